"""How near are pieces to a collection of tunes? Histograms of what is heard, compared by the Jensen-Shannon distance.

Three histograms, each of several pieces together:

- degrees: sounding notes by their distance above the piece's own tonic, in semitones within the octave. Tunes stand in
  many keys, and taken together they sound every pitch class: only within one key is it heard that a piece keeps to one.
- melody: steps of the highest note from one change to the next, in semitones, those beyond two octaves at the ends.
- harmony: distances of sounding notes from the lowest one, in semitones within the octave.

Plain pitch classes, without regard to keys, are counted as well, but a baseline that draws every note by its frequency
in the training tunes has their histogram by construction, whatever it sounds like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from protocols.prbm.music.tunes import LOWEST_MIDI, Roll

FloatArray = NDArray[np.float64]

WIDEST_STEP = 24
"""Semitones of a melodic step that are told apart."""

_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How well each pitch class fits a key of C (Krumhansl, "Cognitive foundations of musical pitch", 1990, table 2.1)."""

KINDS = ("degrees", "melody", "harmony", "pitch_classes")
_RESAMPLINGS = 500


def counts(roll: Roll) -> dict[str, FloatArray]:
    """Each histogram's counts in one piece: 12 degrees, 2 WIDEST_STEP + 1 melodic steps, 12 harmonies, 12 pitch
    classes."""
    steps, keys = np.nonzero(roll > 0)
    classes = np.bincount((keys + LOWEST_MIDI) % 12, minlength=12).astype(np.float64)
    heard = (roll > 0).any(axis=1)
    top = roll.shape[1] - 1 - np.argmax(roll[heard, ::-1] > 0, axis=1)
    moves = np.diff(top)
    moves = np.clip(moves[moves != 0], -WIDEST_STEP, WIDEST_STEP)  # held and repeated notes look alike in a roll
    above = keys - np.argmax(roll > 0, axis=1)[steps]
    return {
        "degrees": np.roll(classes, -tonic(classes)),
        "melody": np.bincount(moves + WIDEST_STEP, minlength=2 * WIDEST_STEP + 1).astype(np.float64),
        "harmony": np.bincount(above[above > 0] % 12, minlength=12).astype(np.float64),
        "pitch_classes": classes,
    }


def tonic(classes: FloatArray) -> int:
    """Pitch class of the tonic: that of the major or minor key whose profile correlates best with the counts (12,).

    A minor key is told by the tonic of its relative major, so that a tune and its relative have the same degrees.
    """
    if classes.std() == 0:
        return 0
    fits = [
        (float(np.corrcoef(np.roll(profile, key), classes)[0, 1]), (key + shift) % 12)
        for profile, shift in ((_MAJOR, 0), (_MINOR, 3))
        for key in range(12)
    ]
    return max(fits)[1]


def distance(p: FloatArray, q: FloatArray) -> FloatArray:
    """Jensen-Shannon distance of histograms of counts (..., bins): square root of the divergence in bits, 0 to 1.

    nan where a histogram is empty.
    """
    with np.errstate(invalid="ignore"):
        p, q = (side / side.sum(axis=-1, keepdims=True) for side in (p, q))
    # rel_entr is p ln(p/m), zero where p is.
    divergence = 0.5 * (rel_entr(p, 0.5 * (p + q)) + rel_entr(q, 0.5 * (p + q))).sum(axis=-1) / np.log(2)
    return np.asarray(np.sqrt(np.maximum(divergence, 0.0)))


@dataclass(frozen=True)
class Distances:
    """Distances to the held-out tunes by kind of histogram, with standard errors; and the histograms themselves."""

    value: Mapping[str, float]
    error: Mapping[str, float]
    histogram: Mapping[str, FloatArray]


def judge(pieces: Sequence[Roll], reference: Sequence[Roll], rng: np.random.Generator) -> Distances:
    """How far ``pieces`` are from ``reference``. Errors are by bootstrap over pieces and reference tunes, which are
    taken to be independent; a single piece has no error (nan)."""
    ours, theirs = ([counts(roll) for roll in rolls] for rolls in (pieces, reference))
    value, error, histogram = {}, {}, {}
    for kind in KINDS:
        p, q = (np.array([c[kind] for c in side]) for side in (ours, theirs))
        histogram[kind] = p.sum(axis=0)
        value[kind] = float(distance(histogram[kind], q.sum(axis=0)))
        drawn = [side[rng.integers(0, len(side), (_RESAMPLINGS, len(side)))].sum(axis=1) for side in (p, q)]
        resampled = distance(*drawn)
        defined = resampled[np.isfinite(resampled)]
        error[kind] = float(defined.std(ddof=1)) if len(p) > 1 and len(defined) > 1 else float("nan")
    return Distances(value, error, histogram)


def unigram(train: Sequence[Roll], pieces: int, steps: int, rng: np.random.Generator) -> list[Roll]:
    """The baseline: at every step each key sounds with its frequency in the training tunes, whatever else does."""
    frequency = np.concatenate(train).mean(axis=0) / 2 + 0.5
    played = rng.random((pieces, steps, len(frequency))) < frequency
    return list(np.where(played, 1, -1).astype(np.int8))

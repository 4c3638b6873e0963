"""The exposure at which frames repeat themselves best: panels flicker in a tone, which is gone after whole periods.

Of a small pump nearly everything cancels that a panel reflects, so that it flickers by as much as a large one: it is
the largest noise there is. The tone is found in short exposures, by their times.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.nep.table.encoding import FULL, Phases
from protocols.nep.table.law import STEADY
from protocols.nep.table.reading import Reader
from protocols.nep.table.rig import Rig

Array = NDArray[np.float64]

LONGEST = 2.0
"""Of the exposures that are tried, in the bench file's."""
_TRIED, _FRAMES = 33, 12
_SHORT, _SHORT_PLAYS = (0.04, 0.3), 24
"""Exposures, in the bench file's, in which the tone is looked for."""
_TONES_HZ = 40.0, 400.0
_SURE = 0.25
"""Share of what differs from frame to frame, that is a tone if it is explained by one."""


class Calm(NamedTuple):
    """exposure_s that was chosen; tried_s, scatter: (exposures,) rms of fields from frame to frame, relative. tone_hz:
    0 where none was found."""

    exposure_s: float
    tried_s: Array
    scatter: Array
    tone_hz: float


def calm_exposure(rig: Rig, reader: Reader, rng: np.random.Generator) -> Calm:
    """Sets the camera to it. Fields of windows and nodes are those of random pumps."""
    camera = rig.bench.camera
    first_s = float(camera.exposure_s)
    high, wide = rig.plan.places
    x, y = rng.uniform(-0.5, 0.5, (2, high, wide)) * FULL
    T = ((x + y) + 1j * (x - y)) * 0.6
    T[0, ::2], T[1] = STEADY, 0
    T[2:][rig.plan.walls] = 0
    patterns = rig.pump.patterns(np.broadcast_to(T, (_FRAMES, *T.shape)))
    tone_hz = _found_tone(rig, reader, patterns, rng.uniform(*_SHORT, _SHORT_PLAYS) * first_s)
    last_s = LONGEST * first_s
    if tone_hz and math.floor(last_s * tone_hz) >= math.ceil(first_s * tone_hz):
        tried_s = np.arange(math.ceil(first_s * tone_hz), math.floor(last_s * tone_hz) + 1) / tone_hz
    else:
        tried_s = np.linspace(first_s, last_s, _TRIED)
    scatter = np.array([_scatter(rig, reader, patterns, float(s)) for s in tried_s])
    chosen = float(tried_s[int(scatter.argmin())])
    camera.exposure_s = chosen
    return Calm(chosen, tried_s, scatter, tone_hz)


def tone_of(changes: Array, start_s: Array, exposure_s: Array) -> tuple[float, float]:
    """Frequency (Hz) of the tone whose mean over each exposure is ``changes`` (frames,) but for noise, and the share of
    their square that it explains. start_s, exposure_s: (frames,)."""
    middle = start_s + exposure_s / 2 - start_s.mean()
    step = 1 / (4 * max(float(np.ptp(start_s)), 0.1))
    best, share = 0.0, 0.0
    tried = np.arange(*_TONES_HZ, step)
    for _ in range(2):
        explained = np.array([_explained(changes, middle, exposure_s, f) for f in tried.tolist()])
        k = int(explained.argmax())
        best, share = float(tried[k]), float(explained[k])
        tried = best + np.linspace(-step, step, 81)
    return best, share


def _explained(changes: Array, middle: Array, exposure_s: Array, f: float) -> float:
    wave = np.sinc(f * exposure_s) * np.exp(2j * math.pi * f * middle)
    a, b = wave.real, wave.imag
    aa, bb, ab = a @ a, b @ b, a @ b
    pa, pb = a @ changes, b @ changes
    det = max(aa * bb - ab * ab, 1e-12 * (aa + bb) ** 2)
    return float((bb * pa * pa - 2 * ab * pa * pb + aa * pb * pb) / det / max(changes @ changes, 1e-300))


def _found_tone(rig: Rig, reader: Reader, patterns: Phases, exposures_s: Array) -> float:
    changes, start_s, exposure_s = [], [], []
    for wanted_s in exposures_s.tolist():
        rig.bench.camera.exposure_s = wanted_s
        result = rig.play(patterns)
        if result is None:
            continue
        even = _even(reader.fields(np.asarray(result.frames)))
        changes.append((even - even.mean(axis=0)).reshape(len(even), -1))
        start_s.append(result.start_ns * 1e-9)
        exposure_s.append(np.full(len(even), result.exposure_s))
    if not changes:
        return 0.0
    whole = np.concatenate(changes)
    _, _, shapes = np.linalg.svd(np.concatenate([whole.real, whole.imag], axis=1), full_matrices=False)
    series = np.concatenate([whole.real, whole.imag], axis=1) @ shapes[0]
    rig.alive()
    tone_hz, share = tone_of(series, np.concatenate(start_s), np.concatenate(exposure_s))
    return tone_hz if share > _SURE else 0.0


def _even(fields: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """As bright and in the phase of the first frame, by all places together: windows alone are not bright enough."""
    flat = fields.reshape(len(fields), -1)
    factor = flat @ flat[0].conj() / (np.abs(flat[0]) ** 2).sum()
    return np.asarray(fields / factor[:, None, None])


def _scatter(rig: Rig, reader: Reader, patterns: Phases, exposure_s: float) -> float:
    rig.bench.camera.exposure_s = exposure_s
    even = _even(reader.fields(rig.frames(patterns)))
    mean = even.mean(axis=0)
    return float(np.sqrt((np.abs(even - mean) ** 2).mean() / (np.abs(mean) ** 2).mean()))

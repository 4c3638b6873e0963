"""Tunes as spins: melody and chords of ABC files on the 88 keys of a piano, one time step per quaver.

music21 reads the notation. Nothing is downloaded or copied: tunes come from a folder the user names, or from the folder
of the data variable. Reading takes a tenth of a second per tune, so its outcome is kept in the user's cache, under the
hash of the tune's text.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.images.sets import DATA_VARIABLE

KEYS = 88
"""Keys of a piano, A0 to C8."""

LOWEST_MIDI = 21
"""MIDI number of the lowest key, A0."""

QUAVERS_PER_CROTCHET = 2

HELD_OUT = 34
"""Tunes that are never trained on: with the paper's 1,000 they make up the Nottingham collection."""

_ABC_VERSION = (2, 1, 0)
"""By whose rules accidentals hold to the end of the bar; in files that name no version music21 has them hold for one
note."""

_READER = "2"
"""Of what is cached: another reading of the same text needs another number."""

Roll = NDArray[np.int8]
"""(steps, 88) spins, +1 where a key sounds at the beginning of the quaver."""


@dataclass(frozen=True)
class Tunes:
    """Piano rolls to train on and others that are held out, and where they were read from."""

    train: tuple[Roll, ...]
    held_out: tuple[Roll, ...]
    origin: str


def load_tunes(
    songs: int, source: Path | None = None, held_out: int = HELD_OUT, progress: Callable[[], None] = lambda: None
) -> Tunes:
    """At most ``songs`` tunes to train on, and ``held_out`` others, the same ones for any number of songs.

    ``source`` is a folder of ABC files; without it ``nottingham/ABC_cleaned`` in the folder that LABCTL_DATA names.
    Tunes are ordered by the hash of their text, which shuffles them the same way everywhere; texts that occur twice
    count once. ``progress`` is called after every tune.

    Raises ConfigurationError naming the folder or the tune and what is wrong with it.
    """
    folder = _folder(source)
    texts = sorted({text for file in sorted(folder.glob("*.abc")) for text in split(_text(file))}, key=_hash)
    if len(texts) <= held_out:
        raise ConfigurationError(
            f"{folder}: {len(texts)} tunes in ABC files (*.abc); needed: more than the {held_out} that are held out"
        )
    chosen = texts[:held_out] + texts[held_out : held_out + songs]
    rolls = []
    for text in chosen:
        rolls.append(_cached_roll(text))
        progress()
    known = {roll.tobytes() for roll in rolls[:held_out]}
    # A few tunes are in the collection under two names.
    train = tuple(roll for roll in rolls[held_out:] if roll.tobytes() not in known)
    return Tunes(train, tuple(rolls[:held_out]), str(folder))


def split(text: str) -> list[str]:
    """The tunes of an ABC file, each from its ``X:`` line to the next tune's."""
    starts = [match.start() for match in re.finditer(r"^X:", text, re.MULTILINE)]
    return [text[a:b].strip() + "\n" for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def read_tune(text: str) -> Roll:
    """The piano roll of one tune in ABC notation.

    Melody as written, each part once: repeats are not played out, first and second endings follow one another. A chord
    symbol sounds in the octave below the melody, as music21 spells it, until the next one. A note sounds in a step if
    it does so at the step's beginning: of two semiquavers the second is not heard. Rests before the first note and
    after the last are left out. Raises ConfigurationError for a text without notes, or that music21 cannot read.
    """
    try:
        from music21 import abcFormat, harmony  # seconds to import: only when there is something to read
        from music21.abcFormat import translate
    except ImportError:
        raise ConfigurationError("music21, which reads tunes, is not installed: pip install 'labctl[music]'") from None

    title = _title(text)
    try:
        read: Any = translate.abcToStreamScore  # music21 leaves it without types
        score = read(abcFormat.ABCFile(abcVersion=_ABC_VERSION).readstr(text))
        elements = list(score.flatten().notes)
    except Exception as error:  # music21's parsers raise what they happen to stumble over
        raise ConfigurationError(f"tune {title}: cannot be read as ABC ({type(error).__name__}: {error})") from error
    notes, chords = [], []
    for element in elements:
        pitches = [int(pitch.midi) for pitch in element.pitches]
        begin = float(element.offset) * QUAVERS_PER_CROTCHET
        if isinstance(element, harmony.ChordSymbol):
            chords.append((begin, pitches))
        else:
            notes.append((begin, begin + float(element.quarterLength) * QUAVERS_PER_CROTCHET, pitches))
    if not notes:
        raise ConfigurationError(f"tune {title}: no notes in it")
    end = max(until for _, until, _ in notes)
    for k, (begin, pitches) in enumerate(chords):
        notes.append((begin, chords[k + 1][0] if k + 1 < len(chords) else end, pitches))
    roll = np.full((int(np.ceil(end - 1e-6)), KEYS), -1, np.int8)
    for begin, until, pitches in notes:
        # Triplets begin at thirds of a step, which are not numbers of base two.
        steps = slice(int(np.ceil(begin - 1e-6)), int(np.ceil(until - 1e-6)))
        for pitch in pitches:
            if not LOWEST_MIDI <= pitch < LOWEST_MIDI + KEYS:
                raise ConfigurationError(f"tune {title}: MIDI pitch {pitch}; allowed: {LOWEST_MIDI} to 108")
            roll[steps, pitch - LOWEST_MIDI] = 1
    heard = np.flatnonzero((roll > 0).any(axis=1))
    if len(heard) == 0:
        raise ConfigurationError(f"tune {title}: no note sounds at the beginning of a quaver")
    return roll[heard[0] : heard[-1] + 1]


# --- files and cache --------------------------------------------------------------------------------------------------


def _folder(source: Path | None) -> Path:
    named = os.environ.get(DATA_VARIABLE)
    if source is None and not named:
        raise ConfigurationError(
            f"no tunes: set data=FOLDER of ABC files, or {DATA_VARIABLE} to a folder with nottingham/ABC_cleaned in it"
        )
    folder = source or Path(str(named)) / "nottingham" / "ABC_cleaned"
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: no such folder of ABC files; set data=FOLDER")
    return folder


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read ({error})") from error


def _title(text: str) -> str:
    found = re.search(r"^T:\s*(.+)$", text, re.MULTILINE)
    return repr(found.group(1).strip() if found else text[:40])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _cached_roll(text: str) -> Roll:
    file = _cache() / f"{_READER}-{_hash(text)}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):  # not there, or not whole: read again
        packed = np.load(file, allow_pickle=False)
        return np.where(np.unpackbits(packed, axis=1, count=KEYS) > 0, 1, -1).astype(np.int8)
    roll = read_tune(text)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time only
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as part:
            np.save(part, np.packbits(roll > 0, axis=1))
        os.replace(part.name, file)  # readers see a whole file or none
    return roll


def _cache() -> Path:
    """The user's folder of rolls; XDG_CACHE_HOME moves it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labctl" / "tunes"

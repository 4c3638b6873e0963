"""A piano roll survives a MIDI file, and others read the same notes in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.prbm.music.midi import read_midi, write_midi
from protocols.prbm.music.tunes import KEYS, LOWEST_MIDI


def random_roll(seed: int, steps: int = 40) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random((steps, KEYS)) < 0.1, 1, -1).astype(np.int8)


def test_a_roll_reads_back_as_it_was_written(tmp_path: Path) -> None:
    for seed in range(5):
        write_midi(tmp_path / "a.mid", random_roll(seed))
        assert np.array_equal(read_midi(tmp_path / "a.mid"), random_roll(seed))


def test_silence_has_its_length(tmp_path: Path) -> None:
    roll = np.full((7, KEYS), -1, np.int8)
    roll[2, 40] = 1
    for silent in (roll, np.full((7, KEYS), -1, np.int8)):
        write_midi(tmp_path / "a.mid", silent)
        assert np.array_equal(read_midi(tmp_path / "a.mid"), silent)


def test_music21_reads_the_same_notes(tmp_path: Path) -> None:
    from music21 import converter

    roll = np.full((8, KEYS), -1, np.int8)
    roll[0:4, 60 - LOWEST_MIDI] = 1
    roll[2:6, 64 - LOWEST_MIDI] = 1
    roll[6:8, 67 - LOWEST_MIDI] = 1
    write_midi(tmp_path / "a.mid", roll)
    heard = sorted(
        (2 * float(element.offset), pitch.midi, 2 * float(element.quarterLength))
        for element in converter.parse(tmp_path / "a.mid").flatten().notes
        for pitch in element.pitches
    )
    assert heard == [(0.0, 60, 4.0), (2.0, 64, 4.0), (6.0, 67, 2.0)]


def test_what_is_no_midi_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(b"no music")
    for name in ("a.mid", "none.mid"):
        with pytest.raises(ConfigurationError, match=name):
            read_midi(tmp_path / name)

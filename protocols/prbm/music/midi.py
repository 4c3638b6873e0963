"""Piano rolls as MIDI files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labctl.client import ConfigurationError
from protocols.prbm.music.tunes import KEYS, LOWEST_MIDI, QUAVERS_PER_CROTCHET, Roll

CROTCHETS_PER_MINUTE = 120
_TICKS_PER_CROTCHET = 480
_TICKS_PER_STEP = _TICKS_PER_CROTCHET // QUAVERS_PER_CROTCHET
_VELOCITY = 80


def write_midi(path: Path, roll: Roll) -> None:
    """A piano roll as a MIDI file for one piano; a key that sounds in consecutive steps is one long note.

    Raises ConfigurationError where the file cannot be written, or without mido.
    """
    mido = _mido()
    midi = mido.MidiFile(type=0, ticks_per_beat=_TICKS_PER_CROTCHET)
    track = mido.MidiTrack()
    midi.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(CROTCHETS_PER_MINUTE)))
    silent = np.zeros((1, roll.shape[1]), np.int8)
    changes = np.diff(np.concatenate([silent, (roll > 0).astype(np.int8), silent]), axis=0)
    waited = 0
    for change in changes:
        # Ends before beginnings, so that no key is struck while it is down.
        for sign, name in ((-1, "note_off"), (1, "note_on")):
            for key in np.flatnonzero(change == sign):
                track.append(mido.Message(name, note=LOWEST_MIDI + int(key), velocity=_VELOCITY, time=waited))
                waited = 0
        waited += _TICKS_PER_STEP
    track.append(mido.MetaMessage("end_of_track", time=waited - _TICKS_PER_STEP))
    try:
        midi.save(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written ({error})") from error


def read_midi(path: Path) -> Roll:
    """The piano roll (steps, 88) of a file that `write_midi` wrote; notes of others are rounded to whole quavers.

    Raises ConfigurationError for what is no MIDI file, or has notes that a piano does not.
    """
    mido = _mido()
    try:
        midi = mido.MidiFile(path)
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise ConfigurationError(f"{path}: cannot be read as MIDI ({error})") from error
    ticks_per_step = midi.ticks_per_beat / QUAVERS_PER_CROTCHET
    now, notes = 0, []
    struck: dict[int, int] = {}
    for message in mido.merge_tracks(midi.tracks):
        now += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        if not LOWEST_MIDI <= message.note < LOWEST_MIDI + KEYS:
            raise ConfigurationError(f"{path}: MIDI note {message.note}; allowed: {LOWEST_MIDI} to 108")
        key = message.note - LOWEST_MIDI
        if key in struck:
            notes.append((struck.pop(key), now, key))
        if message.type == "note_on" and message.velocity > 0:
            struck[key] = now
    roll = np.full((round(now / ticks_per_step), KEYS), -1, np.int8)
    for begin, end, key in notes:
        roll[round(begin / ticks_per_step) : round(end / ticks_per_step), key] = 1
    return roll


def _mido() -> Any:
    try:
        import mido  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise ConfigurationError("mido, which writes MIDI, is not installed: pip install 'labctl[music]'") from None
    return mido

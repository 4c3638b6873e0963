"""ABC notation becomes piano rolls, the same tunes are always held out, and a roll is kept for the next time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.prbm.music.tunes import KEYS, LOWEST_MIDI, load_tunes, read_tune, split


def abc(notes: str, title: str = "Test", length: str = "1/8") -> str:
    return f"X:1\nT:{title}\nM:4/4\nL:{length}\nK:C\n{notes}\n"


def sounding(text: str) -> list[list[int]]:
    """MIDI numbers of each step."""
    return [[int(key) + LOWEST_MIDI for key in np.flatnonzero(step > 0)] for step in read_tune(text)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine short tunes in two files, and a cache of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tunes = tmp_path / "tunes"
    tunes.mkdir()
    for name, letters in (("a", "CDEFG"), ("b", "ABcd")):
        (tunes / f"{name}.abc").write_text("\n\n".join(abc(f"{letter}2 C4|", letter) for letter in letters))
    return tunes


def test_a_note_sounds_in_each_quaver_of_its_length() -> None:
    assert sounding(abc("C2 E G3|")) == [[60], [60], [64], [67], [67], [67]]


def test_a_chord_sounds_until_the_next_one() -> None:
    G, C = [55, 59, 62], [48, 52, 55]
    assert sounding(abc('"C"c2 d2 "G"b2|')) == [[*C, 72]] * 2 + [[*C, 74]] * 2 + [[*G, 83]] * 2


def test_of_two_semiquavers_the_first_is_heard_and_triplets_are_heard_at_their_quavers() -> None:
    assert sounding(abc("C/D/ E/F/ G2|")) == [[60], [64], [67], [67]]
    # Three quavers in the time of two: beginnings at 0, 2/3 and 4/3 of a step.
    assert sounding(abc("(3CDE G2|")) == [[60], [62], [67], [67]]


def test_keys_and_accidentals_are_those_of_the_notation() -> None:
    assert sounding("X:1\nT:t\nM:4/4\nL:1/8\nK:D\nF =F F c|F4|\n") == [[66], [65], [65], [73], *[[66]] * 4]


def test_without_a_length_the_metre_decides() -> None:
    assert len(read_tune("X:1\nT:t\nM:2/2\nK:C\nC2 D2|\n")) == 4
    assert len(read_tune("X:1\nT:t\nM:2/4\nK:C\nC2 D2|\n")) == 2


def test_silence_at_the_ends_is_left_out() -> None:
    assert sounding(abc("z2 C z D z2|")) == [[60], [], [62]]


@pytest.mark.parametrize("text", [abc("z4|"), "X:1\nT:Test\n", abc("c'''''|")])
def test_what_is_no_tune_for_a_piano_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match="tune 'Test'"):
        read_tune(text)


def test_a_file_is_split_at_its_tunes() -> None:
    assert split("% nothing\n" + abc("C|", "one") + "\n" + abc("D|", "two")) == [abc("C|", "one"), abc("D|", "two")]


def test_the_same_tunes_are_held_out_for_any_number_of_songs(folder: Path) -> None:
    few, all_others = (load_tunes(songs, folder, held_out=3) for songs in (2, 100))
    assert (len(few.train), len(all_others.train)) == (2, 6)
    for one, other in zip(few.held_out, all_others.held_out, strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(few.train[1], all_others.train[1])
    assert all(roll.shape == (6, KEYS) and roll.dtype == np.int8 for roll in all_others.train)
    # Nine different tunes: none is in both.
    both = {roll.tobytes() for roll in all_others.train} & {roll.tobytes() for roll in all_others.held_out}
    assert not both


def test_a_tune_under_two_names_is_not_trained_on_if_it_is_held_out(folder: Path) -> None:
    before = load_tunes(100, folder, held_out=3)
    for file in folder.glob("*.abc"):
        text = file.read_text()
        (folder / f"again-{file.name}").write_text(text.replace("T:", "T:another "))
    after = load_tunes(100, folder, held_out=3)
    assert len(before.train) == 6
    held_out = {roll.tobytes() for roll in after.held_out}
    assert not held_out & {roll.tobytes() for roll in after.train}
    assert len(after.train) < 15


def test_a_spoilt_cache_is_made_anew(folder: Path, tmp_path: Path) -> None:
    first = load_tunes(100, folder, held_out=3)
    kept = sorted((tmp_path / "cache" / "labctl" / "tunes").iterdir())
    assert len(kept) == 9
    kept[0].write_bytes(b"no array")
    kept[1].write_bytes(kept[2].read_bytes()[:90])
    again = load_tunes(100, folder, held_out=3)
    assert all(np.array_equal(a, b) for a, b in zip(first.train, again.train, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(first.held_out, again.held_out, strict=True))


def test_missing_tunes_are_told_with_their_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABCTL_DATA", raising=False)
    with pytest.raises(ConfigurationError, match="set data=FOLDER"):
        load_tunes(10)
    monkeypatch.setenv("LABCTL_DATA", str(tmp_path))
    with pytest.raises(ConfigurationError, match="ABC_cleaned: no such folder"):
        load_tunes(10)
    with pytest.raises(ConfigurationError, match=r"0 tunes.* more than the 34"):
        load_tunes(10, tmp_path)

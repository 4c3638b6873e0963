"""Histograms of what is heard, and distances between them that are known."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.prbm.music.judging import WIDEST_STEP, counts, distance, judge, tonic, unigram
from protocols.prbm.music.tunes import KEYS, LOWEST_MIDI, Roll

MAJOR = (0, 2, 4, 5, 7, 9, 11)


def roll_of(*steps: tuple[int, ...]) -> Roll:
    roll = np.full((len(steps), KEYS), -1, np.int8)
    for t, step in enumerate(steps):
        roll[t, [midi - LOWEST_MIDI for midi in step]] = 1
    return roll


def test_distances_are_zero_for_the_same_and_one_for_what_shares_nothing() -> None:
    p = np.array([1.0, 3.0, 0.0])
    assert distance(p, 7 * p) == 0.0
    assert distance(p, np.array([0.0, 0.0, 2.0])) == pytest.approx(1.0)
    # Divergence of (1, 0) and (1/2, 1/2): 3/4 log2(4/3) with the mean (3/4, 1/4), by hand.
    by_hand = 0.5 * np.log2(4 / 3) + 0.5 * (0.5 * np.log2(2 / 3) + 0.5 * np.log2(2))
    assert distance(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(np.sqrt(by_hand))
    assert np.isnan(distance(p, np.zeros(3)))


def test_a_major_tune_and_its_transpositions_have_the_same_degrees() -> None:
    cadence = [(60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67), (62,), (64,), (65,), (60,)]
    degrees = counts(roll_of(*cadence))["degrees"]
    assert degrees[[1, 3, 6, 8, 10]].sum() == 0
    assert np.argmax(degrees) == 0
    for key in range(-5, 7):
        moved = roll_of(*[tuple(midi + key for midi in step) for step in cadence])
        assert np.array_equal(counts(moved)["degrees"], degrees)
        assert tonic(counts(moved)["pitch_classes"]) == key % 12


def test_melody_is_the_steps_of_the_highest_note_and_harmony_stands_on_the_lowest() -> None:
    found = counts(roll_of((48, 60), (48, 60), (48, 64), (), (48, 55), (48, 100)))
    assert dict(enumerate(found["melody"])) == {
        k: {WIDEST_STEP + 4: 1.0, WIDEST_STEP - 9: 1.0, 2 * WIDEST_STEP: 1.0}.get(k, 0.0)
        for k in range(2 * WIDEST_STEP + 1)
    }
    assert found["harmony"].tolist() == [2, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0]


def test_silence_has_no_histogram() -> None:
    assert all(histogram.sum() == 0 for histogram in counts(roll_of((), (), ())).values())


def test_the_baseline_has_each_keys_frequency_and_nothing_else() -> None:
    train = [roll_of((60, 64), (60,), (60, 67), (60,)), roll_of((60,), (64,))]
    played = np.concatenate(unigram(train, 200, 100, np.random.default_rng(0))) > 0
    for midi, frequency in ((60, 5 / 6), (64, 2 / 6), (67, 1 / 6), (61, 0.0)):
        heard = played[:, midi - LOWEST_MIDI].mean()
        # 20,000 draws: 5 standard errors, false alarm 6e-7.
        assert heard == pytest.approx(frequency, abs=5 * np.sqrt(frequency * (1 - frequency) / 20000) + 1e-12)
    together = (played[:, 60 - LOWEST_MIDI] & played[:, 64 - LOWEST_MIDI]).mean()
    assert together == pytest.approx(5 / 6 * 2 / 6, abs=5 * np.sqrt(0.28 * 0.72 / 20000))


def test_error_bars_cover_the_scatter_between_sets_of_pieces() -> None:
    rng = np.random.default_rng(3)

    def piece() -> Roll:
        key = int(rng.integers(55, 67))
        return roll_of(*[(key + int(rng.choice(MAJOR)),) for _ in range(40)])

    reference = [piece() for _ in range(60)]
    found = [judge([piece() for _ in range(15)], reference, rng) for _ in range(12)]
    scatter = float(np.std([d.value["melody"] for d in found], ddof=1))
    told = float(np.mean([d.error["melody"] for d in found]))
    # Of 12 sets the standard deviation is known to 21 %; the bootstrap adds the reference's own scatter.
    assert 0.4 * scatter < told < 2.5 * scatter
    assert np.isnan(judge(reference[:1], reference, rng).error["melody"])

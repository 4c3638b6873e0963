"""Min-entropy estimates: NIST's own results, strings counted one by one, and sources of known entropy."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from pi_bits import pi_bits

from labctl.client import ConfigurationError
from protocols.dyad.noise.entropy.counts import collision, compression, markov, most_common_value, upper_bound
from protocols.dyad.noise.entropy.estimate import min_entropy
from protocols.dyad.noise.entropy.predictors import entropy_of, lag, markov_models, most_common_in_window
from protocols.dyad.noise.entropy.tuples import suffix_array, tuple_entropies

NIST_ON_PI = {
    "most-common-value": 0.81114057970407438,
    "collision": 0.56953759345777466,
    "markov": 0.72318078199004532,
    "compression": 0.60155919063219654,
    "t-tuple": 0.70186099415040004,
    "longest-repeated": 0.90880365648334804,
    "windows": 0.81233323259173817,
    "lag": 0.81143461261488992,
    "markov-models": 0.81118369680348135,
    "lz78y": 0.81115864436468677,
}
"""By NIST's program SP800-90B_EntropyAssessment on its file ``data.pi.bin`` (cpp/selftest/refdata/data.pi.res)."""


def biased(p: float, n: int = 200_000, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < p).astype(np.uint8)


def sticky(stay: float, n: int = 200_000, seed: int = 0) -> np.ndarray:
    """A fair Markov chain that keeps its state with probability ``stay``."""
    return (np.cumsum(np.random.default_rng(seed).random(n) >= stay) % 2).astype(np.uint8)


def test_all_ten_estimates_are_those_of_nists_program():
    """Its file holds π in lines of 25 digits, the first of 24, each with three characters before and one after, which
    it reads as ones."""
    pi = pi_bits()
    lines = [pi[:24], *np.split(pi[24:], np.arange(25, len(pi) - 24, 25))]
    edge = np.ones(3, np.uint8)
    bits = np.concatenate([part for line in lines for part in (edge, line, edge[:1])])
    assert (len(bits), int(bits.sum())) == (1_165_666, 662_972)
    assert min_entropy(bits).estimates == pytest.approx(NIST_ON_PI, abs=1e-10)


def test_suffixes_are_sorted():
    bits = biased(0.5, 300)
    text = "".join(map(str, bits))
    assert suffix_array(bits).tolist() == sorted(range(300), key=lambda k: text[k:])


def test_suffixes_of_long_repetitions_are_sorted():
    bits = np.tile(np.array([0, 0, 1, 0, 1], np.uint8), 80)
    text = "".join(map(str, bits))
    assert suffix_array(bits).tolist() == sorted(range(400), key=lambda k: text[k:])


@pytest.mark.parametrize("bits", [biased(0.4, 600), np.tile(biased(0.5, 90), 4)], ids=["biased", "repeated"])
def test_strings_are_counted_as_one_by_one(bits):
    """SP 800-90B, 6.3.5 and 6.3.6, with every string of every length counted."""
    n, text = len(bits), "".join(map(str, bits))
    counts = [Counter(text[k : k + w] for k in range(n - w + 1)) for w in range(1, n)]
    frequent = sum(max(c.values()) >= 35 for c in counts)
    longest = sum(max(c.values()) >= 2 for c in counts)
    often = max((max(counts[w - 1].values()) / (n - w + 1)) ** (1 / w) for w in range(1, frequent + 1))
    pairs = max(
        (sum(math.comb(c, 2) for c in counts[w - 1].values()) / math.comb(n - w + 1, 2)) ** (1 / w)
        for w in range(frequent + 1, longest + 1)
    )
    expected = [-math.log2(upper_bound(p, n)) for p in (often, pairs)]
    assert tuple_entropies(bits) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("p", [0.5, 0.6, 0.8])
def test_of_independent_bits_counting_finds_the_entropy_and_hardly_an_estimate_exceeds_it(p):
    """False alarm: the bound of each is one-sided 99.5 %; the margin of 0.01 is four standard errors more. Repeated
    strings and lags know only how likely two bits are to be alike, which is less likely than the likeliest bit."""
    found = dict(min_entropy(biased(p)).estimates)
    truth, alike = -math.log2(p), -math.log2(p**2 + (1 - p) ** 2)
    assert max(found.pop("longest-repeated"), found.pop("lag")) < alike + 0.01
    assert max(found.values()) < truth + 0.01
    assert found["most-common-value"] == pytest.approx(truth, abs=0.02)


def test_a_markov_chain_is_found_by_those_who_look_back_and_not_by_counting():
    bits, truth = sticky(0.7), -math.log2(0.7)
    assert markov(bits) == pytest.approx(truth, abs=0.02)
    assert lag(bits) == pytest.approx(truth, abs=0.02)
    assert markov_models(bits) == pytest.approx(truth, abs=0.02)
    assert most_common_value(bits) > 0.98


def test_what_repeats_has_no_entropy():
    found = min_entropy(np.tile(biased(0.5, 100), 200))
    assert found.value < 1e-3
    assert found.decided_by in ("t-tuple", "longest-repeated")


@pytest.mark.parametrize("symbol", [0, 1])
def test_a_constant_has_no_entropy_by_any_estimate(symbol):
    found = min_entropy(np.full(20_000, symbol))
    assert {value for value in found.estimates.values() if value is not None} <= {0.0}


def test_a_bias_that_wanders_is_found_by_the_windows():
    """Ones are frequent in one thousand bits, rare in the next: no bias over all."""
    p = np.where(np.arange(200_000) // 1000 % 2, 0.9, 0.1)
    bits = (np.random.default_rng(3).random(200_000) < p).astype(np.uint8)
    assert most_common_in_window(bits) < 0.5 < most_common_value(bits)


def test_alternating_bits_deceive_collisions_and_not_compression():
    bits = (np.arange(20_000) % 2).astype(np.uint8)
    assert collision(bits) == 1.0
    assert compression(bits) == 0.0


def test_a_long_run_of_right_predictions_counts_where_all_do_not():
    """A thousand of 100,000 in one run: at p = 0.5 that never happens (step 6 of 6.3.7)."""
    assert entropy_of((50_000, 100_000, 1_000)) < 0.02
    assert entropy_of((50_000, 100_000, 16)) > 0.98


def test_bits_that_are_none_are_refused():
    with pytest.raises(ConfigurationError, match="allowed: 0 and 1"):
        min_entropy(np.full(20_000, 2))


def test_too_few_bits_are_refused():
    with pytest.raises(ConfigurationError, match="measure more frames"):
        min_entropy(biased(0.5, 100))

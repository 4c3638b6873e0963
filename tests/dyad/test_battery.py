"""The statistical tests: NIST's published p-values, ideal bits pass, each fault is found."""

from __future__ import annotations

import numpy as np
import pytest
from pi_bits import pi_bits

from labctl.client import ConfigurationError
from protocols.dyad.noise.battery import LEVEL, TESTS, Verdict, run_battery, run_tests, templates

NIST_ON_PI = {
    "frequency": 0.578211,
    "block_frequency": 0.380615,
    "cumulative_sums": 0.628308,
    "runs": 0.419268,
    "longest_run_of_ones": 0.024390,
    "rank": 0.083553,
    "discrete_fourier_transform": 0.010186,
    "overlapping_template_matchings": 0.296897,
    "universal": 0.669012,
    "approximate_entropy": 0.361595,
    "linear_complexity": 0.255475,
}
"""SP 800-22 Rev. 1a, Appendix B: of the first million binary digits of π, where the program gives the same one."""


def test_p_values_are_those_that_nist_published():
    chosen = tuple(test for test in TESTS if test[0] in NIST_ON_PI)
    assert run_tests(pi_bits()[:1_000_000], chosen, templates(9)) == pytest.approx(NIST_ON_PI, abs=1e-6)


def test_templates_are_counted_as_nist_published():
    """SP 800-22 Rev. 1a, Appendix B: 0.165757 for the template 000000001; the program asks for 148."""
    word = np.tile(np.array([[0] * 8 + [1]], np.uint8), (148, 1))
    found = run_tests(pi_bits()[:1_000_000], (("non_overlapping_template_matchings", 9, 148),), word)
    assert found["non_overlapping_template_matchings"] == pytest.approx(0.165757, abs=1e-6)


def test_there_are_148_templates_of_nine_bits():
    """SP 800-22 Rev. 1a, Section 2.7.2."""
    assert len(templates(9)) == 148


@pytest.fixture(scope="module")
def random_numbers() -> np.ndarray:
    return np.random.default_rng(11).random(1_000_000)


def test_ideal_bits_pass(random_numbers):
    """False alarm 1e-3 at most, as the level says; the seed is fixed."""
    assert run_battery(random_numbers < 0.5).passed


def failed(bits: np.ndarray, *names: str) -> tuple[str, ...]:
    """Those of the named tests that fail: the others take seconds."""
    chosen = tuple(test for test in TESTS if test[0] in names)
    return Verdict(run_tests(bits.astype(np.uint8), chosen, templates(9))).failed


def test_a_small_bias_fails(random_numbers):
    assert failed(random_numbers < 0.504, "frequency") == ("frequency",)


def test_dependence_of_neighbours_fails(random_numbers):
    """A chain that keeps its state with probability 0.505: no bias, and runs too long."""
    assert failed(np.cumsum(random_numbers >= 0.505) % 2, "runs", "frequency") == ("runs",)


def test_a_linear_register_fails():
    """A shift register of 40 bits, all of whose words are about equally frequent."""
    bits = np.zeros(1_000_000, np.uint8)
    bits[:40] = np.random.default_rng(0).integers(0, 2, 40)
    for k in range(40, 1_000_000, 19):  # x^40 + x^38 + x^21 + x^19 + 1: taps no nearer than 19, so 19 at a time
        here = slice(k, min(k + 19, 1_000_000))
        back = [bits[here.start - lag : here.stop - lag] for lag in (40, 38, 21, 19)]
        bits[here] = back[0] ^ back[1] ^ back[2] ^ back[3]
    assert failed(bits, "linear_complexity", "frequency") == ("linear_complexity",)


def test_the_level_is_shared_by_the_tests():
    names = [name for name, _, _ in TESTS]
    below, above = (dict.fromkeys(names, 0.5) | {"runs": factor * LEVEL / 15} for factor in (0.9, 1.1))
    assert Verdict(below).failed == ("runs",)
    assert Verdict(above).passed


def test_a_test_that_does_not_apply_fails_nothing():
    assert Verdict({"runs": 0.5, "random_excursions": None}).passed


def test_too_few_bits_are_refused():
    with pytest.raises(ConfigurationError, match="1,000,000"):
        run_battery(np.zeros(1000, np.uint8))

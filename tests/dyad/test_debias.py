"""Fair bits of unfair ones: nothing is left of the bias, and as much comes out as there is."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.dyad.noise.debias import HASH_BLOCK, HASH_SECURITY, extract, peres, toeplitz, von_neumann

RNG_SEED = 5


def unfair(p: float, n: int) -> np.ndarray:
    return (np.random.default_rng(RNG_SEED).random(n) < p).astype(np.uint8)


def z_of(bits: np.ndarray) -> float:
    return abs(2 * float(bits.sum()) - len(bits)) / math.sqrt(len(bits))


def test_von_neumann_keeps_the_first_of_unlike_pairs():
    assert von_neumann(np.array([0, 1, 1, 1, 1, 0, 0, 0, 1], np.uint8)).tolist() == [0, 1]


@pytest.mark.parametrize("method", [von_neumann, peres])
def test_every_output_of_a_length_is_equally_likely(method):
    """Of all words of 8 bits with as many ones, which are equally likely whatever the bias is: exact."""
    outputs: dict[tuple[int, int], dict[str, int]] = {}
    for word in product((0, 1), repeat=8):
        out = method(np.array(word, np.uint8))
        by_text = outputs.setdefault((sum(word), len(out)), {})
        text = "".join(map(str, out))
        by_text[text] = by_text.get(text, 0) + 1
    for (_, length), counts in outputs.items():
        assert len(counts) == 2**length
        assert len(set(counts.values())) == 1


@pytest.mark.parametrize("p", [0.5, 0.7, 0.95])
def test_peres_gives_nearly_all_the_entropy(p):
    entropy = -p * math.log2(p) - (1 - p) * math.log2(1 - p)
    share = len(peres(unfair(p, 100_000))) / 100_000
    assert 0.93 * entropy < share < entropy + 0.01


@pytest.mark.parametrize("method", ["von-neumann", "peres", "toeplitz"])
def test_no_bias_is_left(method):
    """False alarm 1e-4 a method (z < 3.9), the seed is fixed. Dyads of any bias, which is as the method takes it."""
    p = np.array([0.6, 0.55, 0.42, 0.5])
    states = np.random.default_rng(RNG_SEED).random((40_000, 4)) < p
    bits = extract(states, method, 0.7, np.random.default_rng(1))
    assert z_of(states.ravel().astype(np.uint8)) > 10
    assert z_of(bits) < 3.9


def test_raw_bits_are_the_states_frame_after_frame():
    states = np.array([[True, False], [True, True]])
    assert extract(states, "none", 1.0, np.random.default_rng(0)).tolist() == [1, 0, 1, 1]


def test_hashing_is_the_product_with_a_toeplitz_matrix():
    bits = unfair(0.5, HASH_BLOCK)
    kept = math.floor(HASH_BLOCK * 0.02) - HASH_SECURITY
    seed = np.random.default_rng(2).integers(0, 2, HASH_BLOCK + kept - 1)
    matrix = np.array([seed[k : k + HASH_BLOCK][::-1] for k in range(kept)])
    expected = matrix @ bits.astype(np.int64) % 2
    assert toeplitz(bits, 0.02, np.random.default_rng(2)).tolist() == expected.tolist()


def test_bits_of_hardly_any_entropy_are_not_hashed():
    with pytest.raises(ConfigurationError, match="calibrate the dyads"):
        toeplitz(unfair(0.5, HASH_BLOCK), 0.005, np.random.default_rng(0))


def test_an_unknown_way_is_refused():
    with pytest.raises(ConfigurationError, match="von-neumann, peres"):
        extract(np.zeros((4, 2), bool), "xor", 1.0, np.random.default_rng(0))  # type: ignore[arg-type]

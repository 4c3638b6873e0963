"""Couplings that are few patterns: found without their diagonal, checked, and as exact in a step as all of them."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.langevin.training.parameters import TrainParameters
from protocols.langevin.training.training import train_now
from simulators.physics.counter_random import noise_key
from simulators.physics.langevin.kernel import Couplings, evolve
from simulators.physics.langevin.patterns import TOLERANCE, patterns
from simulators.physics.langevin.potential import Units
from simulators.physics.langevin.reference import Scheme, evolve_plainly

KEY = noise_key(3, "test")


def few(n: int, rank: int, free: int = 0) -> np.ndarray:
    """Couplings (n, n) of so many random patterns, none among the first ``free`` units."""
    rng = np.random.default_rng(1)
    V = rng.normal(size=(n, rank))
    J: np.ndarray = (V * rng.choice([-1.0, 1.0], rank)) @ V.T
    J[:free, :free] = 0
    np.fill_diagonal(J, 0)
    return J


@pytest.mark.parametrize(("free", "rank"), [(0, 5), (60, 10)], ids=["all coupled", "visible units free"])
def test_few_patterns_are_found_without_their_diagonal(free: int, rank: int) -> None:
    J = few(150, 5, free)
    found = patterns(J, 20)
    assert found is not None
    assert found.left.shape == (150, rank)
    np.testing.assert_allclose(found.left @ found.right + np.diag(found.own), J, atol=1e-6)


def noisy() -> np.ndarray:
    """As a board has them: every coupling is off by a part of its own."""
    J = few(150, 5)
    off = np.triu(np.random.default_rng(2).normal(size=J.shape), 1) * 3e-4
    return np.asarray(J + (off + off.T) * np.abs(J).mean())


def one_pair() -> np.ndarray:
    """Two units have a pattern to themselves, whose diagonal is not easily found."""
    J = few(150, 2)
    J[3, 4] = J[4, 3] = J[3, 4] + 10.0
    return J


def computed_with(couplings: Couplings) -> np.ndarray:
    """J of either road."""
    if couplings.left.shape[1]:
        return couplings.left.astype(np.float64) @ couplings.right + np.diag(couplings.own)
    free = couplings.free
    corner = np.zeros((free, free), np.float32)
    return np.block([[corner, couplings.upper], [couplings.lower]]).astype(np.float64)


@pytest.mark.parametrize(("J", "few_enough"), [(few(150, 50), False), (noisy(), False), (one_pair(), None),
                                               (np.zeros((150, 150)), False), (few(150, 8, 20), True)],
                         ids=["many", "noisy", "one pair", "none", "few"])  # fmt: skip
def test_whatever_couplings_are_the_kernel_has_them_within_the_tolerance(
    J: np.ndarray, few_enough: bool | None
) -> None:
    couplings = Couplings.of(J)
    assert few_enough in (None, couplings.left.shape[1] > 0)
    off = computed_with(couplings) - J
    assert np.linalg.norm(off, axis=1).max() <= TOLERANCE * np.linalg.norm(J) / np.sqrt(len(J))


@pytest.mark.parametrize("scheme", ["euler", "averaged"])
def test_steps_by_patterns_are_those_of_all_couplings(scheme: Scheme) -> None:
    n, steps = 150, 100
    J = 0.3 * few(n, 3, 90)
    couplings = Couplings.of(J)
    assert couplings.left.shape == (n, 6)
    units, b = Units.of(n), np.linspace(-30, 30, n)
    x = np.random.default_rng(4).normal(size=(9, n)) * 0.5
    for count, atol in ((1, 2e-7), (steps, 3e-6)):
        plain = evolve_plainly(x, units, J, (b, -b), count, 1e-3, KEY, scheme)
        found = evolve(x, units, couplings, (b, -b), count, 1e-3, KEY, scheme=scheme)[0]
        np.testing.assert_allclose(found, plain, atol=atol)


def test_a_computer_trained_on_three_digits_has_few_patterns_and_moves_as_by_all_its_couplings() -> None:
    model = train_now(TrainParameters(classes=(0, 7, 9), size=14, hidden=128), 0)
    couplings = Couplings.of(model.J)
    assert 0 < couplings.left.shape[1] <= 16
    units, b = Units.of(len(model.J)), np.zeros(len(model.J))
    x = model.J[:8] / np.abs(model.J[:8]).max()
    for _ in range(20):  # a step at a time, each from the same state: what one step is off by
        plain = evolve_plainly(x, units, model.J.astype(np.float64), (b, b), 1, 1e-3, KEY)
        np.testing.assert_allclose(evolve(x, units, couplings, (b, b), 1, 1e-3, KEY)[0], plain, atol=1e-6)
        x = plain

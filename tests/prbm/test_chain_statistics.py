"""Errors of correlated samples: autocorrelation times, burn-in, blocks, the Binder crossing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.prbm.ising.binder import binder_crossing
from protocols.prbm.ising.chain_statistics import (
    QUANTITIES,
    Kept,
    autocorrelation_time,
    averages,
    blocked,
    equilibrium,
    from_blocks,
)
from simulators.physics.ising import enumerated, exact_averages, torus_bonds


def autoregressive(rho: float, sweeps: int, chains: int, seed: int) -> NDArray[np.float64]:
    """x_t = rho x_(t-1) + noise, in equilibrium: tau_int = (1 + rho) / (2 (1 - rho))."""
    rng = np.random.default_rng(seed)
    x = np.empty((sweeps, chains))
    x[0] = rng.normal(size=chains) / np.sqrt(1 - rho**2)
    for t in range(1, sweeps):
        x[t] = rho * x[t - 1] + rng.normal(size=chains)
    return x


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.97])
def test_the_autocorrelation_time_is_that_of_an_autoregressive_process(rho: float) -> None:
    tau = (1 + rho) / (2 * (1 - rho))
    # Sokal: relative error sqrt(2 (2 M + 1) / n), M = 5 tau, here below 5 %; the window leaves out e^-5 of the sum.
    assert autocorrelation_time(autoregressive(rho, 20_000, 8, 1)) == pytest.approx(tau, rel=0.15)


def test_chains_that_stay_apart_are_correlated_for_as_long_as_they_are() -> None:
    apart = autoregressive(0.0, 400, 4, 2) + 5 * np.arange(4)
    assert autocorrelation_time(apart) > 40


def test_constant_series_are_not_correlated() -> None:
    assert autocorrelation_time(np.full((100, 3), -2.0)) == 0.5


def test_errors_cover_the_true_mean_as_often_as_they_say() -> None:
    """300 series: the share within one standard error is 0.683 ± 0.027; false alarm 1e-3 at 3.3 of these."""
    within = 0
    for seed in range(300):
        blocks = blocked(autoregressive(0.8, 2000, 2, seed)[..., None], 4.5)
        mean, error = from_blocks(blocks, lambda m: m)
        within += abs(mean[0]) < error[0]
    assert within / 300 == pytest.approx(0.683, abs=0.09)


def test_what_remembers_the_start_is_discarded() -> None:
    x = autoregressive(0.9, 4000, 4, 3)
    x += 30 * np.exp(-np.arange(4000) / 10)[:, None]
    kept = equilibrium([x])
    assert 20 * 9 < kept.first < 1000
    assert kept.long_enough
    assert not equilibrium([autoregressive(0.9, 200, 1, 4)]).long_enough


def test_excitations_that_were_never_seen_are_not_excluded() -> None:
    """All 1,000 independent samples in the ground state of 16 spins: the energy is known to 8/16/1000, no better."""
    found = averages(np.full((1000, 1), -32.0), np.full((1000, 1), 16.0), 16, 1.0, 8.0, Kept(0, 0.5, True))
    assert found.E == -2.0
    assert found.E_err == pytest.approx(8 / 16 / 1000, rel=0.15)
    assert found.C_err > 0
    assert pytest.approx(2 / 3) == found.U4


def test_errors_know_of_excitations_that_are_rare() -> None:
    """200 runs of 1,200 independent samples of a cold 4 x 4 lattice: six beyond four errors would be 3 % (three in ten
    thousand is what Gaussian errors promise, rare excitations are not Gaussian). Seed fixed."""
    bonds, temperature = torus_bonds(4), 1.5
    energy, total = enumerated(bonds, np.ones(len(bonds)), np.zeros(16))
    exact = exact_averages(energy, total, 16, temperature)
    kinds, of_kind = np.unique(np.stack([energy, np.abs(total)]), axis=1, return_inverse=True)
    weight = np.bincount(of_kind.ravel(), np.exp(-(energy - energy.min()) / temperature))
    rng = np.random.default_rng(7)
    beyond = dict.fromkeys(QUANTITIES, 0)
    for _ in range(200):
        drawn = kinds[:, rng.choice(len(weight), (300, 4), p=weight / weight.sum())]
        found = averages(drawn[0], drawn[1], 16, temperature, 8.0, Kept(0, 0.5, True))
        for q in QUANTITIES:
            beyond[q] += abs(getattr(found, q) - exact[q]) > 4 * getattr(found, f"{q}_err")
    assert max(beyond.values()) < 6, beyond


def test_cumulants_cross_where_they_do() -> None:
    T = np.array([2.0, 2.1, 2.2, 2.25, 2.3, 2.35, 2.4, 2.5, 2.6])
    rng = np.random.default_rng(5)
    off = []
    for _ in range(24):
        curves = {
            L: (0.61 - 0.1 * np.tanh((T - 2.269) * L / 3) + 0.003 * rng.normal(size=len(T)), np.full(len(T), 0.003))
            for L in (8, 16)
        }
        found = binder_crossing(T, curves)
        assert found is not None
        assert [pair for pair, _, _ in found.pairs] == [(8, 16)]
        off.append((found.T_c - 2.269) / found.T_c_err)
    # 24 standardised deviations: mean and spread as of a unit normal, at 4 standard errors.
    assert abs(np.mean(off)) < 4 / np.sqrt(24)
    assert 0.5 < np.std(off) < 1.6


def test_curves_that_do_not_cross_have_no_crossing() -> None:
    T = np.linspace(2, 2.6, 9)
    error = np.full(9, 0.001)
    assert binder_crossing(T, {8: (0.6 - 0.1 * T, error), 16: (0.7 - 0.1 * T, error)}) is None
    assert binder_crossing(T[:3], {8: (0.6 - 0.1 * T[:3], error[:3]), 16: (0.7 - 0.2 * T[:3], error[:3])}) is None

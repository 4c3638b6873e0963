"""DOMINO's flow: Eqs (4) to (6) as they are written, and the fast road held to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.domino.problem.networks import clique_network
from simulators.physics.domino.equation import derivative, evolve, loss
from simulators.physics.domino.locked_flow import Stage, flow, paper_stages, spread_starts, stages_for, starts
from simulators.physics.domino.quadratic import maximum
from simulators.physics.domino.support_values import worth

Array = NDArray[np.float64]


def weights(n: int, density: float, seed: int) -> Array:
    return clique_network(n, density, np.random.default_rng(seed))


def test_the_flow_descends_the_loss_of_eq_4() -> None:
    # d psi / dt = -dL/d psi*: by differences of L in real and imaginary parts.
    rng = np.random.default_rng(0)
    W, psi = weights(6, 0.7, 0), rng.normal(size=6) + 1j * rng.normal(size=6)
    slope = np.zeros(6, np.complex128)
    for k in range(6):
        for unit in (1, 1j):
            step = np.zeros(6, np.complex128)
            step[k] = 1e-5 * unit
            slope[k] -= unit * (loss(psi + step, W, 0.3) - loss(psi - step, W, 0.3)) / 2e-5 / 2
    np.testing.assert_allclose(derivative(psi, W, 0.3), slope, atol=1e-7)


def test_the_fast_step_solves_its_cubic() -> None:
    rng = np.random.default_rng(1)
    W, x, h, gamma = weights(20, 0.5, 1), starts(20, 7, rng), 0.02, 0.4
    after = flow(W, x, (Stage(1, h, 2, (gamma, gamma)),)).x  # ends with a lock
    S, drive = x.sum(axis=0), (W @ x).sum(axis=0)
    for s in range(7):
        roots = np.roots([h * 20, 0, 1 - h * 20 * gamma, -(S[s] + h * drive[s])])
        total = roots[(abs(roots.imag) < 1e-9) & (roots.real > 0)].real[0]
        expected = x[:, s] + h * (W @ x[:, s]) + (total - S[s] - h * drive[s]) / 20
        np.testing.assert_allclose(after[:, s], np.abs(expected), rtol=1e-10)


def test_the_fast_flow_tends_to_the_equation_as_the_step_tends_to_zero() -> None:
    rng = np.random.default_rng(2)
    W, x, gamma, tau = weights(10, 0.6, 2), starts(10, 3, rng), 0.5, 0.1
    exact = np.abs(evolve(x.T.astype(np.complex128), W, gamma, 3.0, tau, 1e-3)).T
    off = []
    for every in (20, 40, 80):
        fast = flow(W, x, (Stage(30 * every, tau / every, every, (gamma, gamma)),)).x
        off.append(np.abs(fast - exact).max())
    assert off[2] < 5e-3
    assert 1.7 < off[0] / off[1] < 2.4  # of first order in h
    assert 1.7 < off[1] / off[2] < 2.4


def test_without_locks_the_total_field_vanishes_and_amplitudes_run_away() -> None:
    # Two links apart: their difference has no total field and grows as exp(t), whatever the gain.
    W = np.kron(np.eye(2), np.ones((2, 2)) - np.eye(2))
    start = np.array([0.02, 0.02, 0.01, 0.01], np.complex128)
    free, locked = (evolve(start, W, 0.5, 8.0, tau, 0.005) for tau in (8.0, 0.1))
    np.testing.assert_allclose(np.abs(free), 0.005 * np.exp(8), rtol=0.05)
    assert np.abs(locked).sum() ** 2 < 1.6  # at most gamma + q, q = 1/2


def test_the_stationary_total_is_gamma_and_q() -> None:
    W = np.ones((5, 5)) - np.eye(5)
    end = flow(W, starts(5, 4, np.random.default_rng(4)), paper_stages(0.7))
    np.testing.assert_allclose(end.x.sum(axis=0) ** 2, 0.7 + 0.8, rtol=1e-3)  # q = 1 - 1/5


def test_nodes_that_keep_their_sign_are_the_support() -> None:
    # A triangle with a tail: the tail's sign turns at every lock.
    W = np.zeros((4, 4))
    for i, j in ((0, 1), (0, 2), (1, 2), (2, 3)):
        W[i, j] = W[j, i] = 1
    end = flow(W, starts(4, 20, np.random.default_rng(5)), paper_stages(0.5))
    assert end.support().T.tolist() == [[True, True, True, False]] * 20
    assert end.flips[3].min() > 0.9
    assert end.moved.max() < 1e-5


def test_starts_are_independent_of_those_beside_them() -> None:
    W, x = weights(30, 0.5, 6), starts(30, 8, np.random.default_rng(6))
    together, alone = flow(W, x, paper_stages(0.5)), flow(W, x[:, 3:4], paper_stages(0.5))
    assert (together.support()[:, 3] == alone.support()[:, 0]).all()
    np.testing.assert_allclose(together.x[:, 3], alone.x[:, 0], atol=1e-6)


def test_varied_couplings_repeat_with_the_seed_and_leave_strong_cliques() -> None:
    W, x = weights(15, 0.4, 7), starts(15, 10, np.random.default_rng(7))
    one, again = (flow(W, x, paper_stages(0.5), 0.1, np.random.default_rng(8)) for _ in range(2))
    np.testing.assert_array_equal(one.x, again.x)
    still = worth(W, flow(W, x, paper_stages(0.5)).support()).q
    assert np.median(worth(W, one.support(0.02)).q / still) > 0.97


def test_success_on_weighted_networks_is_that_of_the_sheet() -> None:
    # 0.24 of Supp. A's networks, which differ by 0.22 (standard deviation): of 16 the mean is within 4
    # standard errors, 0.055 each, false alarm 6e-5.
    share = []
    for seed in range(16):
        W = weights(50, (0.3, 0.5, 0.7, 0.9)[seed % 4], 100 + seed)
        end = flow(W, starts(50, 30, np.random.default_rng(seed)), paper_stages(0.5))
        share.append(np.mean(worth(W, end.support()).q >= maximum(W).q * (1 - 1e-4)))
    assert 0.02 < np.mean(share) < 0.45


def test_spread_starts_end_at_more_different_supports() -> None:
    W = weights(50, 0.5, 11)
    ends = []
    for power in (1.0, 8.0):
        x = spread_starts(50, 60, power, np.random.default_rng(9))
        np.testing.assert_allclose(x.sum(axis=0), 1)
        ends.append(len(np.unique(worth(W, flow(W, x, paper_stages(0.5, steps=400)).support()).q.round(9))))
    assert ends[1] > ends[0]


def test_a_decay_of_each_field_is_a_diagonal_of_the_couplings_and_falls_to_nothing() -> None:
    W, x = weights(20, 0.5, 12), starts(20, 5, np.random.default_rng(12))
    gains = (0.5, 0.5)
    decaying = flow(W, x, (Stage(40, 0.01, 4, gains, decay=(3.0, 3.0)),)).x
    np.testing.assert_allclose(decaying, flow(W - 3 * np.eye(20), x, (Stage(40, 0.01, 4, gains),)).x, rtol=1e-9)
    first, last = stages_for(20, 8.0, 0.5, decay=4.0)
    assert first.decay == (4.0, 0.0)
    assert last.decay == (0.0, 0.0)
    assert first.h * (8.0 + 4.0) <= 0.5 + 1e-9


def test_a_gain_goes_evenly_to_its_end_and_starts_are_read_out_there() -> None:
    W = np.ones((5, 5)) - np.eye(5)
    first, last = stages_for(5, 4.0, 2.0, gamma_end=0.7)
    assert first.gamma == (2.0, 0.7)
    assert last.gamma == (0.7, 0.7)
    end = flow(W, starts(5, 4, np.random.default_rng(14)), (first, last))
    np.testing.assert_allclose(end.x.sum(axis=0) ** 2, 0.7 + 0.8, rtol=1e-3)  # q = 1 - 1/5
    assert stages_for(5, 4.0, 2.0) == stages_for(5, 4.0, 2.0, gamma_end=2.0)


def test_a_decay_at_first_leads_more_starts_to_the_clique_of_a_dense_graph() -> None:
    # A clique of 12 planted among 60 nodes, 0.7 of all pairs linked: paired starts, a tenth more of 200 at least.
    rng = np.random.default_rng(13)
    W = np.triu(rng.random((60, 60)) < 0.7, 1).astype(float)
    W[:12, :12] = np.triu(np.ones((12, 12)), 1)
    W += W.T
    best, x = maximum(W).q, spread_starts(60, 200, 8.0, rng)
    success = []
    for decay in (0.0, 4.0):
        end = flow(W, x, stages_for(60, float(np.linalg.eigvalsh(W)[-1]), 0.5, None, 4.0, decay=decay))
        success.append(np.mean(worth(W, end.support()).q >= best * (1 - 1e-4)))
    assert success[1] > success[0] + 0.1

"""The loop around the optics, with optics of arithmetic: what it shares with the ideal loop, and how it fails."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.domino.ideal import largest_eigenvalue
from protocols.domino.problem.networks import clique_network
from protocols.domino.table.loop import Loop, run_through, stepped
from protocols.domino.table.measured import Measured
from simulators.physics.domino.locked_flow import Stage, flow, stages_for, starts
from simulators.physics.domino.support_values import worth

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


class Exact:
    """Optics without errors, but for noise (rms of v, relative to the largest coupling), and frames that are lost or
    unlocked, by play."""

    def __init__(self, W: Array, noise: float = 0.0, lost: tuple[int, ...] = (), astray: tuple[int, ...] = ()) -> None:
        self.W, self.noise, self.lost, self.astray = W, noise, lost, astray
        self.rng, self.play = np.random.default_rng(0), 0

    def measure(self, psi: Complex) -> Measured:
        count = psi.shape[1]
        noise = self.noise * self.W.max() * np.abs(psi).max(axis=0)
        v = self.W @ psi + noise * (self.rng.normal(size=psi.shape) + 1j * self.rng.normal(size=psi.shape))
        came, locked = np.ones(count, np.bool_), np.ones(count, np.bool_)
        if self.play in self.lost:
            came[:], v = False, np.full_like(v, np.nan)
        if self.play in self.astray:
            locked[0], v[:, 0] = False, 1e3
        self.play += 1
        return Measured(v, psi.sum(axis=0), came, locked, np.full(count, 0.01), np.ones(count))


@pytest.fixture(scope="module")
def W() -> Array:
    return clique_network(12, 0.5, np.random.default_rng(4))


def stages(W: Array, duration: float = 4.0) -> tuple[Stage, Stage]:
    return stages_for(len(W), largest_eigenvalue(W), 0.5, duration=duration, read=90)


def test_with_exact_optics_it_is_the_locked_flow(W: Array) -> None:
    x = starts(12, 5, np.random.default_rng(1))
    plain, ended = flow(W, x, stages(W)), run_through(x, stages(W), 0, Exact(W))
    np.testing.assert_allclose(ended.x, plain.x, atol=1e-10)
    np.testing.assert_array_equal(ended.flips, plain.flips)
    np.testing.assert_array_equal(ended.support(0.0), plain.support())


@pytest.mark.parametrize("latency", [1, 3])
def test_an_old_measurement_leads_to_the_same_cliques(W: Array, latency: int) -> None:
    x = starts(12, 20, np.random.default_rng(2))
    plain = worth(W, flow(W, x, stages(W, 10.0)).support()).q
    found = worth(W, run_through(x, stages(W, 10.0), latency, Exact(W)).support(0.02)).q
    assert np.mean(np.isclose(found, plain)) > 0.7


def test_noise_of_two_percent_does_not_cost_success() -> None:
    """As many of 60 starts as without, less 4 standard errors of the difference (false alarm 3e-5)."""
    W = clique_network(20, 0.5, np.random.default_rng(7))
    x = starts(20, 60, np.random.default_rng(3))
    plain = worth(W, flow(W, x, stages(W, 10.0)).support()).q
    found = worth(W, run_through(x, stages(W, 10.0), 1, Exact(W, noise=0.02)).support(0.02)).q
    best = max(plain.max(), found.max()) * (1 - 1e-4)
    p = (plain >= best).mean()
    assert p > 0
    assert (found >= best).mean() >= p - 4 * np.sqrt(2 * p * (1 - p) / 60 + 1 / 60**2)


def test_the_common_field_is_the_same_at_every_site() -> None:
    """A gain of each site's own would follow the leading eigenvector: it multiplies psi_i, and this does not."""
    rng = np.random.default_rng(5)
    psi = rng.random((7, 3)) + 0.1j * rng.normal(size=(7, 3))
    v = rng.random((7, 3)).astype(np.complex128)
    common = stepped(psi, v, np.zeros(3, np.complex128), 0.02, 0.5) - psi - 0.02 * v
    np.testing.assert_allclose(common, np.broadcast_to(common[0], common.shape), atol=1e-15)
    small = 1e-6
    step = stepped(psi, v, np.zeros(3, np.complex128), small, 0.5) - psi - small * v
    total = psi.sum(axis=0)
    np.testing.assert_allclose(step[0] / small, (0.5 - np.abs(total) ** 2) * total, rtol=1e-3)


def test_a_gain_of_each_sites_own_only_finds_the_leading_eigenvector() -> None:
    """And the loop does not: on a network whose eigenvector has most weight outside of the best clique."""
    W = np.zeros((10, 10))
    W[3:, 3:] = 0.35
    W[:3, :3] = 1.0
    W[2, 3] = W[3, 2] = 0.3
    np.fill_diagonal(W, 0)
    x = starts(10, 20, np.random.default_rng(6))
    own = x.copy()
    for _ in range(4000):
        own = np.abs(own + 0.02 * ((0.5 - own.sum(axis=0) ** 2) * own + W @ own))
    leading = np.abs(np.linalg.eigh(W)[1][:, -1])
    assert np.all((own / np.linalg.norm(own, axis=0)).T @ leading > 0.999)
    assert np.count_nonzero(leading > 0.05) > 3
    supports = run_through(x, stages(W, 10.0), 0, Exact(W)).support(0.0)
    best = np.arange(10) < 3
    found = np.all(supports == best[:, None], axis=0)
    assert found.any()
    np.testing.assert_array_equal(supports[:, ~found].sum(axis=0), 7)


def test_lost_frames_are_counted_and_bridged_by_what_was_known_last(W: Array) -> None:
    x = starts(12, 4, np.random.default_rng(1))
    ended = run_through(x, stages(W), 1, Exact(W, lost=(0, 1, 40, 41, 90)))
    np.testing.assert_array_equal(ended.lost, 5)
    assert not ended.unlocked.any()
    assert np.isfinite(ended.x).all()
    whole = run_through(x, stages(W), 1, Exact(W))
    np.testing.assert_allclose(ended.x.sum(axis=0), whole.x.sum(axis=0), rtol=0.05)


def test_a_start_whose_light_is_not_what_was_written_has_no_support(W: Array) -> None:
    x = starts(12, 4, np.random.default_rng(1))
    few = run_through(x, stages(W), 1, Exact(W, astray=tuple(range(50, 60))))
    assert few.unlocked_frames.tolist() == [10, 0, 0, 0]
    assert not few.unlocked.any()
    many = run_through(x, stages(W), 1, Exact(W, astray=tuple(range(50, 80))))
    assert many.unlocked.tolist() == [True, False, False, False]
    assert not many.support(0.02)[:, 0].any()
    assert many.support(0.02)[:, 1:].any(axis=0).all()
    frequent = run_through(x, stages(W), 1, Exact(W, astray=tuple(range(0, 290, 5))))
    assert frequent.unlocked[0]


@pytest.mark.parametrize("latency", [0, 2])
def test_a_loop_goes_on_from_its_state(W: Array, latency: int) -> None:
    x = starts(12, 3, np.random.default_rng(8))
    whole = run_through(x, stages(W), latency, Exact(W, lost=(30,)))
    optics = Exact(W, lost=(30,))
    first = Loop(x, stages(W), latency)
    for _ in range(77):
        first.advance(optics)
    second = Loop(x, stages(W), latency)
    second.restore(first.state())
    for _ in range(second.frames - 77):
        second.advance(optics)
    again = second.ended()
    for name in ("x", "flips", "lost", "phase_rms", "visibility"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name), err_msg=name)

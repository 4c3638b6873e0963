"""Energies, actions, moments and trajectories of thermodynamic computers, beside other ways to the same numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from simulators.physics.counter_random import noise_key
from simulators.physics.langevin.action import action_gradient, forward_action, step_action
from simulators.physics.langevin.kernel import LANES, Couplings, evolve
from simulators.physics.langevin.noise import normals
from simulators.physics.langevin.noising import noising
from simulators.physics.langevin.potential import LangevinError, Units, checked_program, energy, gradient, moments
from simulators.physics.langevin.reference import Scheme, evolve_injected, evolve_plainly

KEY = noise_key(1, "test")


def program(n: int, free: int = 0, strength: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Random couplings (n, n), none among the first ``free`` units, and biases (n,)."""
    rng = np.random.default_rng(2)
    J = np.triu(rng.normal(size=(n, n)) * strength, 1)
    J[:free, :free] = 0
    return J + J.T, rng.normal(size=n)


def unlike(n: int) -> Units:
    """Units of which no two are alike."""
    rng = np.random.default_rng(3)
    return Units.of(n, *(base * (1 + 0.2 * rng.random(n)) for base in (10.0, 10.0, 1.0, 1.0)))


def test_the_gradient_is_that_of_the_energy() -> None:
    units, (J, b) = unlike(6), program(6)
    x = np.random.default_rng(4).normal(size=6)
    h = 1e-5
    found = [float(energy(x + h * e, units, J, b) - energy(x - h * e, units, J, b)) / (2 * h) for e in np.eye(6)]
    np.testing.assert_allclose(gradient(x, units, J, b), found, rtol=1e-7)


def test_derivatives_of_the_reversed_action_are_finite_differences() -> None:
    units, (J, b) = unlike(5), program(5)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(7, 5)) * 0.4
    x_next = x + 0.05 * rng.normal(size=(7, 5))
    dJ, db = action_gradient(x, x_next, units, J, b, 1e-3)

    def action(J: np.ndarray, b: np.ndarray) -> float:
        return float(step_action(x, x_next, units, J, b, 1e-3).sum())

    h = 1e-3  # of a quadratic function central differences are exact but for rounding
    for i in range(5):
        e = np.eye(5)[i]
        assert (action(J, b + h * e) - action(J, b - h * e)) / (2 * h) == pytest.approx(db[i], rel=1e-6)
        for j in range(i):
            moved = np.zeros((5, 5))
            moved[i, j] = moved[j, i] = h
            assert (action(J + moved, b) - action(J - moved, b)) / (2 * h) == pytest.approx(dJ[i, j], rel=1e-6)


def test_a_reversed_step_is_a_forward_step_from_the_other_end() -> None:
    units, (J, b) = unlike(4), program(4)
    x, x_next = np.random.default_rng(6).normal(size=(2, 4))
    assert step_action(x, x_next, units, J, b, 1e-3) == pytest.approx(forward_action(x_next, x, units, J, b, 1e-3))


@pytest.mark.parametrize(("J2", "J4", "force"), [(10, 10, 0), (10, 10, 36), (3, 0, 5), (-8, 10, 0.5), (-50, 10, 0)])
def test_moments_are_those_of_adaptive_quadrature(J2: float, J4: float, force: float) -> None:
    far = 8.0
    low = min((J2 + J4 * x * x) * x * x - force * x for x in np.linspace(-far, far, 4001))

    def weighted(power: int) -> float:
        points = [-2, -1.58, -1, 0, 1, 1.58, 2]
        return float(quad(lambda x: x**power * math.exp(low - (J2 + J4 * x * x) * x * x + force * x), -far, far,
                          points=points, limit=400, epsabs=1e-13)[0])  # fmt: skip

    np.testing.assert_allclose(moments(J2, J4, force), (weighted(1) / weighted(0), weighted(2) / weighted(0)),
                               rtol=1e-8, atol=1e-10)  # fmt: skip


@pytest.mark.parametrize("scheme", ["euler", "averaged"])
@pytest.mark.parametrize("free", [0, 20, 33], ids=["all coupled", "visible units free", "none coupled"])
def test_the_kernel_follows_plain_numpy(scheme: Scheme, free: int) -> None:
    n, steps = 33, 150
    units, (J, b) = unlike(n), program(n, free)
    couplings = Couplings.of(J)
    assert couplings.free == max(free, 1)
    x = np.random.default_rng(7).normal(size=(5, n)) * 0.3
    biases = b, -2 * b
    plain = evolve_plainly(x, units, J, biases, steps, 1e-3, KEY, scheme)
    np.testing.assert_allclose(
        evolve(x, units, couplings, biases, steps, 1e-3, KEY, scheme=scheme)[0], plain, atol=3e-6
    )


def test_a_trajectory_depends_neither_on_its_batch_nor_on_when_it_is_read() -> None:
    n, count = 9, LANES + 3
    units, (J, b) = Units.of(n), program(n)
    x = np.zeros((count, n))
    couplings = Couplings.of(J)
    whole = evolve(x, units, couplings, (b, b), 40, 1e-3, KEY, read=[0, 13, 40], workers=2)
    alone = evolve(x[-1:], units, couplings, (b, b), 40, 1e-3, KEY, first_trajectory=count - 1)
    np.testing.assert_allclose(whole[-1, -1], alone[0, 0], atol=1e-6)
    np.testing.assert_array_equal(whole[0], x)


def test_noise_is_normal_and_white() -> None:
    # False alarm 1e-6 for each of the comparisons: 4.9 standard errors.
    z = np.stack([normals(KEY, step, 0, 500, 6) for step in range(40)]).astype(np.float64)  # steps, trajectories, units
    count = z.size
    assert abs(z.mean()) < 4.9 / math.sqrt(count)
    assert abs(z.var() - 1) < 4.9 * math.sqrt(2 / count)
    assert abs((z**4).mean() - 3) < 4.9 * math.sqrt(96 / count)
    for neighbour in (z[1:] * z[:-1], z[:, 1:] * z[:, :-1], z[..., 1:] * z[..., :-1]):
        assert abs(neighbour.mean()) < 4.9 / math.sqrt(neighbour.size)


def test_the_averaged_scheme_has_less_bias_than_eulers_at_four_times_the_step() -> None:
    _, exact = moments(10.0, 10.0, 0.0)
    n, count = 400, 500
    none, b = Couplings.of(np.zeros((n, n))), np.zeros(n)
    bias = {}
    for scheme, dt in (("euler", 2e-3), ("averaged", 8e-3)):
        x = evolve(np.zeros((count, n)), Units.of(n), none, (b, b), round(0.5 / dt), dt, KEY, scheme=scheme)  # type: ignore[arg-type]
        bias[scheme] = float((x[0].astype(np.float64) ** 2).mean()) / exact - 1
    # 200,000 numbers: standard error of <x²> 0.3 %, false alarm 1e-6.
    assert 0.002 < bias["euler"] < 0.035
    assert abs(bias["averaged"]) < 0.017


def test_moments_of_noising_are_those_of_trajectories() -> None:
    found = noising(10.0, 10.0, 60.0, 1.0)
    n, count, dt = 200, 200, 5e-4
    none, b = Couplings.of(np.zeros((n, n))), np.full(n, -60.0)
    units = Units.of(n)
    x = evolve(np.full((count, n), moments(10, 10, 60)[0]), units, none, (b, b), 400, dt, KEY)[0]
    seen = evolve(x, units, none, (b, 0 * b), 2000, dt, noise_key(2, "test"), read=[1000, 2000]).astype(np.float64)
    for k, row in ((0, 125), (1, 250)):
        mean, square = (float(found.at(name, np.array(-60.0))[row]) for name in ("mean", "square"))
        spread = math.sqrt((square - mean**2) / (n * count))
        assert abs(float(seen[k].mean()) - mean) < 4.9 * spread + 2e-3  # false alarm 1e-6, and the grid's error
        assert float((seen[k] ** 2).mean()) == pytest.approx(square, rel=0.04)


@pytest.mark.parametrize("scheme", ["euler", "averaged"])
def test_a_trajectory_under_given_noise_is_that_of_the_generator_that_gave_it(scheme: Scheme) -> None:
    n, steps = 6, 30
    units, (J, b) = unlike(n), program(n)
    given = np.concatenate([normals(KEY, k, 0, 1, n) for k in range(steps + 1)])
    x = np.linspace(-0.3, 0.3, n)
    plain = evolve_plainly(x[None], units, J, (b, b), steps, 1e-3, KEY, scheme)
    np.testing.assert_allclose(evolve_injected(x, units, J, b, given, 1e-3, scheme)[-1], plain[0], rtol=1e-12)


def test_linear_units_reach_the_covariance_of_their_quadratic_form() -> None:
    J = np.array([[0.0, 3.0], [3.0, 0.0]])
    units = Units.of(2, 4.0, 0.0)
    J, b = checked_program(units, J, np.zeros(2))
    x = evolve(np.zeros((20_000, 2)), units, Couplings.of(J), (b, b), 600, 5e-3, KEY, scheme="averaged")[0]
    expected = np.linalg.inv(np.diag([8.0, 8.0]) + J)
    # 20,000 samples: 1 % of a variance, false alarm 1e-6
    np.testing.assert_allclose(np.cov(x.T.astype(np.float64)), expected, atol=0.05 * expected.max())


def test_bistable_units_stay_where_they_are_and_follow_their_neighbour() -> None:
    units = Units.of(2, -40.0, 10.0)
    J, b = checked_program(units, [[0.0, -20.0], [-20.0, 0.0]], [0.0, 0.0])
    x = evolve(np.tile([1.4, -0.1], (50, 1)), units, Couplings.of(J), (b, b), 500, 1e-3, KEY)[0]
    assert (x > 1).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Units.of(3, 10, -1), "J4=-1"),
        (lambda: Units.of(3, -1, 0), "nothing holds a unit"),
        (lambda: Units.of(3, math.nan), "J2: nan"),
        (lambda: Units.of(3, 1, 1, temperature=0), "temperature: 0"),
        (lambda: Units.of(3, [1, 2]), "one for each of 3"),
        (lambda: checked_program(Units.of(2), np.zeros((2, 3)), [0, 0]), "shape (2, 3)"),
        (lambda: checked_program(Units.of(2), [[0, 1], [2, 0]], [0, 0]), "symmetric"),
        (lambda: checked_program(Units.of(2), [[1, 0], [0, 0]], [0, 0]), "diagonal"),
        (lambda: checked_program(Units.of(2), [[0, math.inf], [math.inf, 0]], [0, 0]), "finite"),
        (lambda: checked_program(Units.of(2, 1, 0), [[0, 5], [5, 0]], [0, 0]), "indefinite"),
        (lambda: step_action(np.zeros(1), np.zeros(1), Units.of(1), np.zeros((1, 1)), np.zeros(1), 0.0), "dt=0"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(make: object, said: str) -> None:
    with pytest.raises(LangevinError) as error:
        make()  # type: ignore[operator]
    assert said in str(error.value)


def test_a_step_too_long_is_an_error_and_not_a_number() -> None:
    units = Units.of(2)
    with pytest.raises(LangevinError, match="shorter step"):
        evolve(np.full((2, 2), 5.0), units, Couplings.of(np.zeros((2, 2))), (np.zeros(2), np.zeros(2)), 50, 0.1, KEY)

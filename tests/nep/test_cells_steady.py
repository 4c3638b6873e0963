"""Steady states and responses of cells, beside evolution in time and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.physics.sheet.cells import RULES, CellSolver, complex_of, planar
from simulators.physics.sheet.equation import Sheet, SheetError, evolve, rate

SHEET = Sheet((5, 4), 0.04, 0.07, "density")
OUTPUT = 10
SAMPLES = 12


def problem(V0: float, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """A potential (nodes,) and real pumps (samples, rows, columns)."""
    rng = np.random.default_rng(5)
    return V0 + 0.05 * rng.normal(size=20), strength * rng.normal(size=(SAMPLES, 5, 4))


def exact(sheet: Sheet = SHEET) -> CellSolver:
    """In double precision, to the last digits."""
    return CellSolver(sheet, OUTPUT, 1e-13, np.float64, rescued=1.0)


@pytest.mark.parametrize("V0", [0.05, -1.0], ids=["below the band", "in the band"])
def test_a_cell_settles_where_evolution_in_time_from_the_dark_ends(V0: float) -> None:
    V, pump = problem(V0, 0.3)
    solver = exact()
    found = solver.free(planar(pump, np.float64), solver.operator(V))
    assert found.settled.all()
    psi = complex_of(found.psi).reshape(pump.shape)
    # the nonlinearity counts: a third of the loss and more where the pump is in the band
    assert SHEET.g * (np.abs(psi) ** 2).max() / 0.07 > 0.1
    slow = evolve(np.zeros(pump.shape), V.reshape(5, 4), pump, SHEET, 500, 0.1)
    np.testing.assert_allclose(psi, slow, rtol=0, atol=1e-8)


def test_single_precision_agrees_with_double_within_the_tolerance() -> None:
    V, pump = problem(-1.0, 0.3)
    quick = CellSolver(SHEET, OUTPUT, 1e-3)
    found = quick.free(planar(pump), quick.operator(V, 0.05))
    solver = exact()
    psi = complex_of(solver.free(planar(pump, np.float64), solver.operator(V)).psi)
    apart = np.linalg.norm(complex_of(found.psi) - psi, axis=1) / np.linalg.norm(psi, axis=1)
    assert apart.max() < 1e-3


def test_an_inverse_of_before_serves_a_potential_that_moved_on() -> None:
    V, pump = problem(-1.0, 0.3)
    solver = exact()
    old = solver.operator(V)
    moved = V + 0.02 * np.random.default_rng(6).normal(size=20)
    found = solver.free(planar(pump, np.float64), old._replace(level=solver.level(moved)))
    psi = complex_of(found.psi).reshape(pump.shape)
    assert found.settled.all()
    np.testing.assert_allclose(rate(psi, moved.reshape(5, 4), pump, SHEET), 0, atol=1e-10)


def test_pumps_that_mixing_alone_does_not_settle_are_switched_on_in_time() -> None:
    V, pump = problem(-1.0, 0.6)
    solver = exact()
    found = solver.free(planar(pump, np.float64), solver.operator(V))
    slow = evolve(np.zeros(pump.shape), V.reshape(5, 4), pump, SHEET, 800, 0.1)
    steady = np.abs(rate(slow, V.reshape(5, 4), pump, SHEET)).max(axis=(1, 2)) < 1e-8
    assert steady.sum() > SAMPLES // 2
    same = np.abs(complex_of(found.psi).reshape(pump.shape) - slow).max(axis=(1, 2)) < 1e-7
    assert same[steady].all()


def test_a_line_of_nodes_is_a_cell() -> None:
    sheet = Sheet((7,), 0.1, 0.1, "density")
    solver = CellSolver(sheet, 3, 1e-13, np.float64)
    pump = np.random.default_rng(1).normal(size=(4, 7)) * 0.3
    found = solver.free(planar(pump, np.float64), solver.operator(np.zeros(7)))
    np.testing.assert_allclose(complex_of(found.psi), evolve(np.zeros((4, 7)), 0.0, pump, sheet, 400), atol=1e-8)


def test_the_exact_rule_is_the_gradient_by_finite_differences() -> None:
    V, pump = problem(-1.0, 0.3)
    solver = exact()

    def output(V: np.ndarray, pump: np.ndarray) -> np.ndarray:
        psi = complex_of(solver.free(planar(pump, np.float64), solver.operator(V)).psi)
        return np.abs(psi[:, OUTPUT]) ** 2

    found = solver.free(planar(pump, np.float64), solver.operator(V))
    u, ok = solver.response(found.psi, "exact", solver.operator(V))
    assert ok.all()
    by_V = -2 * np.real(complex_of(u) * complex_of(found.psi))
    by_P = 2 * np.imag(complex_of(u))
    h = 1e-5
    for node in (0, 7, OUTPUT):
        step = np.zeros(20)
        step[node] = h
        dV = (output(V + step, pump) - output(V - step, pump)) / (2 * h)
        np.testing.assert_allclose(by_V[:, node], dV, atol=1e-6 * np.abs(dV).max())
        dP = (output(V, pump + step.reshape(5, 4)) - output(V, pump - step.reshape(5, 4))) / (2 * h)
        np.testing.assert_allclose(by_P[:, node], dP, atol=1e-6 * np.abs(dP).max())


@pytest.mark.parametrize("rule", ["nep", "conjugate"])
def test_a_measurable_rule_is_what_two_evolutions_in_time_show(rule: str) -> None:
    V, pump = problem(0.1, 0.3)
    solver = exact()
    found = solver.free(planar(pump, np.float64), solver.operator(V))
    u, ok = solver.response(found.psi, rule, solver.operator(V))  # type: ignore[arg-type]
    assert ok.all()
    psi = complex_of(found.psi).reshape(pump.shape)
    beta, row, col = 1e-3, *divmod(OUTPUT, 4)
    at = psi[:, row, col] if rule == "nep" else np.conj(psi[:, row, col])
    sides = []
    for sign in (1, -1):
        nudged = pump.astype(complex)
        nudged[:, row, col] += sign * 1j * beta * at
        sides.append(evolve(psi, V.reshape(5, 4), nudged, SHEET, 400, 0.1))
    contrast = (sides[0] - sides[1]) / (2 * beta)
    np.testing.assert_allclose(complex_of(u).reshape(pump.shape), contrast, atol=1e-6 * np.abs(contrast).max())


def test_small_errors_take_a_response_no_more_exact_than_they_deserve() -> None:
    V, pump = problem(-1.0, 0.3)
    solver = CellSolver(SHEET, OUTPUT, 1e-4, np.float64)
    operator = solver.operator(V, 0.03)
    psi = solver.free(planar(pump, np.float64), operator).psi
    fine, _ = exact().response(psi, "exact", operator)
    for weight in (1.0, 1e-2):
        rough, _ = solver.response(psi, "exact", operator, weight)
        error = np.linalg.norm(weight * (rough - fine)) / np.linalg.norm(fine)
        assert error < 1e-3


def test_no_pump_no_light() -> None:
    solver = CellSolver(SHEET, OUTPUT)
    found = solver.free(planar(np.zeros((2, 20))), solver.operator(np.zeros(20)))
    assert found.settled.all()
    assert not found.psi.any()


def test_pumps_beyond_all_numbers_are_told_and_harm_no_others() -> None:
    V, pump = problem(0.05, 0.3)
    pump[3] = np.nan
    pump[5] = 1e30
    solver = CellSolver(SHEET, OUTPUT)
    found = solver.free(planar(pump), solver.operator(V))
    assert not found.settled[3]
    assert not found.settled[5]
    assert found.settled.sum() == SAMPLES - 2
    assert np.isfinite(found.psi).all()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"sheet": Sheet((5, 4), nonlinearity="saturation")}, "density nonlinearity"),
        ({"sheet": Sheet((5, 4), 0.04, -1.0, "density")}, "choose gamma > 0"),
        ({"output": 20}, "the cell has 20"),
        ({"tolerance": 0.0}, "tolerance 0"),
    ],
)
def test_what_is_no_cell_is_refused(given: dict[str, object], says: str) -> None:
    whole = {"sheet": SHEET, "output": OUTPUT} | given
    with pytest.raises(SheetError, match=says):
        CellSolver(**whole)  # type: ignore[arg-type]


def test_a_potential_that_is_no_number_is_refused() -> None:
    with pytest.raises(SheetError, match="no numbers"):
        CellSolver(SHEET, OUTPUT).operator(np.full(20, np.nan))


def test_an_unknown_rule_is_refused() -> None:
    solver = CellSolver(SHEET, OUTPUT)
    with pytest.raises(SheetError, match=", ".join(RULES)):
        solver.response(planar(np.ones((1, 20))), "other", solver.operator(np.zeros(20)))  # type: ignore[arg-type]

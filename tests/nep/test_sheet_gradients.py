"""The adjoint is the cost's derivative; measured contrasts tend to their limits, and those to it where they must."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocols.nep.network import Network
from simulators.physics.sheet.equation import Array, Complex, Nonlinearity, Sheet
from simulators.physics.sheet.gradients import Descent, Rule, contrast, cosine, descent, injected_pump
from simulators.physics.sheet.nudge import Nudge, output_cost, output_error, outputs_of
from simulators.physics.sheet.steady import steady_state

OUTPUTS = np.array([1, 6])
TARGETS = np.array([[1.0, 0.0], [0.0, 1.0]])
GAIN = 2.0


def drawn(shape: tuple[int, ...]) -> tuple[Complex, Complex]:
    rng = np.random.default_rng(2)
    V = rng.uniform(-0.3, 0.6, shape) + 0.05j * rng.random(shape)
    return V, 0.2 * (rng.normal(size=(2, *shape)) + 1j * rng.normal(size=(2, *shape)))


def cost_of(V: Complex, P: Complex, sheet: Sheet, cost: Any) -> float:
    density = outputs_of(steady_state(V, P, sheet).psi, OUTPUTS, sheet)
    return float(output_cost(density, TARGETS, cost, GAIN).sum())


def of_free_phase(
    V: Complex, P: Complex, sheet: Sheet, rule: Rule, cost: Any = "mse"
) -> tuple[Complex, Array, Descent]:
    psi = steady_state(V, P, sheet).psi
    e = output_error(outputs_of(psi, OUTPUTS, sheet), TARGETS, cost, GAIN)
    return psi, e, descent(psi, V, sheet, OUTPUTS, e, rule)


@pytest.mark.parametrize("cost", ["mse", "cce"])
@pytest.mark.parametrize("nonlinearity", ["density", "saturation"])
@pytest.mark.parametrize("shape", [(9,), (3, 4)], ids=["chain", "sheet"])
def test_the_adjoint_is_the_derivative_of_the_cost(shape: Any, nonlinearity: Nonlinearity, cost: Any) -> None:
    sheet = Sheet(shape, 0.2, 0.15, nonlinearity, np.arange(np.prod(shape)).reshape(shape) == 3)
    V, P = drawn(shape)
    found = of_free_phase(V, P, sheet, "exact", cost)[2]
    h = 1e-5
    for node in (0, 6, 8):
        for part in (1, 1j):
            small = np.zeros(shape, np.complex128)
            small.flat[node] = h * part
            by_V = -(cost_of(V + small, P, sheet, cost) - cost_of(V - small, P, sheet, cost)) / (2 * h)
            by_P = -(cost_of(V, P + small, sheet, cost) - cost_of(V, P - small, sheet, cost)) / (2 * h)
            assert by_V == pytest.approx(np.real(np.conj(found.V.sum(axis=0).flat[node]) * part), rel=1e-6, abs=1e-9)
            assert by_P == pytest.approx(np.real(np.conj(found.P.sum(axis=0).flat[node]) * part), rel=1e-6, abs=1e-9)


def test_weights_of_gaussian_spots_and_complex_inputs_have_their_derivative() -> None:
    sheet = Sheet((9,), 0.2, 0.15)
    network = Network(sheet, np.array([2, 7]), OUTPUTS, width=1.3)
    V, _ = drawn((9,))
    w, X = np.array([0.5 - 0.2j, -0.7]), np.array([[1.0, 0.3], [0.2 + 0.4j, 1.0]])
    exact = of_free_phase(V, network.pumps(w, X), sheet, "exact")[2].weights(X, network.spots).sum(axis=0)
    h = 1e-5
    for k in (0, 1):
        for part in (1, 1j):
            small = h * part * np.eye(2)[k]
            low, high = (cost_of(V, network.pumps(w + s * small, X), sheet, "mse") for s in (-1, 1))
            assert -(high - low) / (2 * h) == pytest.approx(np.real(np.conj(exact[k]) * part), rel=1e-6)


@pytest.mark.parametrize("rule", ["nep", "conjugate"])
def test_a_contrast_tends_to_the_linear_response(rule: Rule) -> None:
    sheet = Sheet((9,), 0.2, 0.15, "density")
    V, P = drawn((9,))
    psi, e, limit = of_free_phase(V, P, sheet, rule)
    pull = injected_pump(psi, OUTPUTS, e, np.full(2, 1e-4), rule)
    plus, minus = (steady_state(V, P + s * pull, sheet).psi for s in (1, -1))
    found = contrast(psi, plus, 1e-4, minus, rule)
    np.testing.assert_allclose(found.V, limit.V, atol=1e-7)
    np.testing.assert_allclose(found.P, limit.P, atol=1e-7)


def test_the_phase_conjugate_contrast_is_of_the_free_phase() -> None:
    """dC/dV = 2 Re(psi dpsi/dbeta), with the psi that is nudged, also where dpsi is of both sides."""
    sheet = Sheet((9,), 0.2, 0.15, "density")
    V, P = drawn((9,))
    psi, e, _ = of_free_phase(V, P, sheet, "conjugate")
    pull = injected_pump(psi, OUTPUTS, e, np.full(2, 0.1), "conjugate")
    plus, minus = (steady_state(V, P + s * pull, sheet).psi for s in (1, -1))
    found = contrast(psi, plus, 0.1, minus, "conjugate")
    np.testing.assert_allclose(found.V.real, -2 * (psi * (plus - minus) / 0.2).real, atol=1e-12)


@pytest.mark.parametrize(("sides", "order"), [(1, 1), (2, 2)])
def test_the_error_of_a_nudge_falls_by_its_order(sides: int, order: int) -> None:
    sheet = Sheet((9,))
    V, P = drawn((9,))
    psi, _, limit = of_free_phase(V, P, sheet, "nep")
    errors = []
    for beta in (0.008, 0.004):
        plus, minus = (steady_state(V, P, sheet, psi, Nudge(OUTPUTS, TARGETS, s * beta)).psi for s in (1, -1))
        found = contrast(psi, plus, beta, minus if sides == 2 else None)
        errors.append(np.abs(found.V.real - limit.V.real).max())
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.15)


def test_the_phase_conjugate_nudge_is_exact_without_nonlinearity() -> None:
    V, P = drawn((9,))
    sheet = Sheet((9,), 0.0, 0.3)
    found, exact = (of_free_phase(V, P, sheet, rule)[2] for rule in ("conjugate", "exact"))
    np.testing.assert_allclose(found.V, exact.V, atol=1e-12)
    np.testing.assert_allclose(found.P, exact.P, atol=1e-12)


def test_the_papers_rule_becomes_exact_as_loss_vanishes_and_turns_round_near_resonance() -> None:
    """Above the band of a chain; and at gamma = 0.5 within it, where w goes the wrong way."""
    V, P = drawn((9,))
    cosines = []
    for gamma, detuning in ((1e-3, 1.0), (0.5, -0.5)):
        sheet = Sheet((9,), 0.1, gamma)
        found, exact = (of_free_phase(V.real + detuning, P, sheet, rule)[2] for rule in ("nep", "exact"))
        cosines.append(cosine(found.P.sum(axis=0), exact.P.sum(axis=0)))
    assert cosines[0] > 0.9999
    assert cosines[1] < 0


def test_the_papers_rule_has_no_right_limit_for_gain() -> None:
    """-dC/d Im V is of the order of gamma, as is what the rule neglects; the phase-conjugate nudge has it."""
    sheet = Sheet((9,), 0.1, 1e-3)
    V, P = np.full(9, 0.3), np.zeros((2, 9))
    P[:, [2, 6]] = [[2.0, 0.0], [2.0, -1.8]]
    nep, conjugate, exact = (
        of_free_phase(V, P, sheet, rule)[2].V.sum(axis=0) for rule in ("nep", "conjugate", "exact")
    )
    assert cosine(nep.real, exact.real) > 0.9999
    assert cosine(nep.imag, exact.imag) < 0.5
    assert cosine(conjugate.imag, exact.imag) > 0.99

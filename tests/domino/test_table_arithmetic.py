"""The table's arithmetic: encoding on phase-only panels, demodulation, answers to codes, phases that are left."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.client import CalibrationError, ConfigurationError, LimitError
from protocols.domino.table.alignment import DominoAlignment
from protocols.domino.table.bands import Bands
from protocols.domino.table.encoding import Couplings, Panel, Strip, amplitude, in_halves, without_wrap
from protocols.domino.table.law import ALPHA, SHOWN, fitted
from protocols.domino.table.multiplier import inconsistency, phases_left
from protocols.domino.table.reading import band_reader
from protocols.domino.table.response import signs, solved

PLAN = DominoAlignment.model_validate(
    {
        "vector": {"rows": 4, "columns": 16},
        "coupling": {"rows": 8, "columns": 16},
        "camera": {"row": 20.0, "column": 10.0, "pitch": 20.0, "columns": 2},
        "carrier": {"row": 0.25, "column": 0.0},
    }
)


def means(phases: np.ndarray, rows: int, columns: int) -> np.ndarray:
    field = np.exp(1j * (phases.astype(np.float64) - math.pi))
    return field.reshape(phases.shape[0] // rows, rows, phases.shape[1] // columns, columns).mean(axis=(1, 3))


@pytest.mark.parametrize("levels", [0, 256])
def test_macro_pixels_have_the_mean_that_is_asked_for(levels: int) -> None:
    rng = np.random.default_rng(0)
    T = np.sqrt(rng.random((5, 4))) * np.exp(2j * math.pi * rng.random((5, 4)))
    couplings = Couplings(PLAN, Panel(40, 64, levels), (5, 4), (1, 1), (0, 0))
    couplings.leak = 0.0
    shown = couplings.pattern(T)
    assert shown.min() >= 0
    assert shown.max() <= 2 * math.pi
    step = 2 * math.pi / levels if levels else 0.0
    seen = np.round(shown / step) * step if levels else shown
    np.testing.assert_allclose(means(seen, 8, 16), T, atol=0.01 if levels else 1e-5)


def test_a_strip_and_couplings_multiply_also_where_they_are_shifted() -> None:
    """Mean over eight columns of one row is cos alpha cos beta, whatever the columns' shift on one another."""
    alpha, T = np.array([[0.9], [0.9]]), np.full((1, 2), 0.4 + 0j)
    strip = Strip(PLAN, Panel(4, 32, 0), 2, 1, 0).patterns(alpha)[0, 0]
    couplings = Couplings(PLAN, Panel(8, 32, 0), (1, 2), (1, 1), (0, 0))
    couplings.leak = 0.0
    rows = couplings.pattern(T)
    for shift in range(-3, 4):
        product = np.exp(1j * (np.roll(strip, shift) - math.pi)) * np.exp(1j * (rows - math.pi))
        np.testing.assert_allclose(product[:, 8:24].mean(axis=1), math.cos(0.9) * 0.4, atol=1e-6)


def test_no_amplitude_needs_a_wrap_and_gaps_are_bridged_by_halves() -> None:
    rng = np.random.default_rng(1)
    T = 0.6 * np.sqrt(rng.random((40, 6))) * np.exp(2j * math.pi * rng.random((40, 6)))
    for leak in (0.0, 0.35):
        theta, alpha = in_halves(T, leak)
        assert np.all(np.abs(theta) + alpha <= math.pi + 1e-9)
        halves = (np.exp(1j * theta) * amplitude(alpha, leak)).reshape(40, 6, 2)
        small = np.abs(T) < 0.2
        np.testing.assert_allclose(halves.mean(axis=2)[small], T[small], atol=2e-3)
    theta, alpha = without_wrap(T)
    np.testing.assert_allclose(np.exp(1j * theta) * np.cos(alpha), T, atol=2e-3)
    with pytest.raises(LimitError, match=r"amplitude 1\.2; 1 is the most"):
        Couplings(PLAN, Panel(8, 16, 256), (1, 1), (1, 1), (0, 0)).pattern(np.array([[1.2 + 0j]]))


def test_demodulation_takes_fringes_and_nothing_else() -> None:
    """The fields of two bands, with their own light, the reference's, and a slope; noise as predicted within 10 %."""
    rng = np.random.default_rng(2)
    rows, carrier = np.arange(40)[:, None], np.exp(2j * math.pi * 0.24 * np.arange(40))[:, None] * np.ones((1, 2))
    product = 300 * carrier.conj()
    reader, size = band_reader(product, np.array([9.0, 29.0]), 13, 0.5, 100.0, 1.5)
    np.testing.assert_allclose(size, 300, rtol=1e-12)
    truth = np.array([[1.3 - 0.4j, -0.2 + 0.9j]])
    light = np.zeros((40, 2))
    for k, band in enumerate((slice(0, 20), slice(20, 40))):
        e = truth[0, k]
        light[band] = (2 * (product * e).real + 300 * abs(e) ** 2 + 2500 + 10.0 * rows)[band]
    frame = light + 100
    found, noise = reader.fields(frame[None])
    np.testing.assert_allclose(found[:, 0], truth[0] * 300 / 300 * size / 1, rtol=1e-9)
    noisy = 100 + (rng.poisson(np.repeat(light[None] * 0.5, 4000, axis=0)) + rng.normal(0, 1.5, (4000, 40, 2))) / 0.5
    spread = reader.fields(noisy)[0]
    np.testing.assert_allclose(spread.real.std(axis=1), noise[:, 0], rtol=0.1)
    np.testing.assert_allclose(spread.imag.std(axis=1), noise[:, 0], rtol=0.1)
    with pytest.raises(CalibrationError, match="leave its 40"):
        band_reader(product, np.array([2.0]), 13, 0.5, 100.0, 1.5)


def test_answers_are_found_though_phase_and_power_drift() -> None:
    rng = np.random.default_rng(3)
    M = rng.normal(size=(9, 5)) + 1j * rng.normal(size=(9, 5))
    B = rng.normal(size=9) + 1j * rng.normal(size=9)
    s = SHOWN * signs(5, 64, rng)
    g = (1 + 0.02 * rng.normal(size=s.shape[1])) * np.exp(1j * np.linspace(0, 0.5, s.shape[1]))
    found = solved(g * (B[:, None] + M @ s), s)
    turn = np.vdot(found.M, M) / np.vdot(found.M, found.M)
    np.testing.assert_allclose(found.M * turn, M, atol=0.005)
    np.testing.assert_allclose(found.background * turn, B, atol=0.005)


def test_a_law_gives_back_the_amplitudes_it_was_fitted_to() -> None:
    """Relative to what is left at zero, of columns that turn in phase as they go, and differ in brightness."""
    bright = np.array([[1.0], [0.9]])

    def light(a: np.ndarray) -> np.ndarray:
        return np.exp(0.1j * a) * (0.8 * np.cos(1.05 * a) + 0.1) * bright

    alpha = np.linspace(0.05, 2.5, 17)
    law = fitted(alpha, light(alpha))
    wanted = np.array([[0.0, 0.2, 0.6, 0.85], [-0.1, 0.1, 0.5, 0.8]])
    angle, turn = law.of(wanted)
    dark = light(law.of(np.zeros((2, 1)))[0])
    found = (light(angle) * np.exp(1j * turn) - dark) * SHOWN / (light(np.array([ALPHA])) - dark)
    np.testing.assert_allclose(found.real, wanted, atol=0.02)
    with pytest.raises(CalibrationError, match="column 0 of the strip"):
        fitted(alpha, np.ones((1, 17)) + 0.1 * np.cos(4 * alpha))


def test_phases_of_nodes_are_told_from_the_references() -> None:
    """Also of nodes dimmer than the light that no vector reaches."""
    rng = np.random.default_rng(4)
    a = rng.random((8, 60)) * np.array([1, 1, 1, 0.5, 0.5, 0.3, 0.3, 0.2])[:, None]
    background = 0.8 * np.exp(2j * math.pi * rng.random((8, 1)))
    ahead = 0.05 * rng.normal(size=(8, 1))
    g = np.exp(1j * 0.03 * rng.normal(size=60))
    fields = g * (background + a * np.exp(1j * ahead))
    found = phases_left(background + a, a.astype(np.complex128), fields)
    assert np.abs(found - ahead[:, 0]).max() < 0.4 * np.abs(ahead).max()
    still = phases_left(background + a, a.astype(np.complex128), g * (background + a))
    assert np.abs(still).max() < 0.003


def test_phases_that_differ_are_told_from_noise() -> None:
    rng = np.random.default_rng(5)
    a = rng.random((10, 400)).astype(np.complex128)
    sigma = np.full(a.shape, 0.1)
    noise = 0.1 * (rng.normal(size=a.shape) + 1j * rng.normal(size=a.shape))
    var, beyond = inconsistency(a, a + noise, sigma)
    assert abs(var.mean()) < 0.005
    assert (beyond > 5).mean() < 0.01
    turned = a * np.exp(1j * rng.normal(0, 0.3, a.shape))
    var, beyond = inconsistency(a, turned + noise, sigma)
    assert var.mean() == pytest.approx(0.3**2, rel=0.15)


def test_bands_and_what_does_not_fit() -> None:
    W = np.array([[0, 0.5, 0], [0.5, 0, 0.25], [0, 0.25, 0]])
    bands = Bands(W)
    assert bands.count == 7
    np.testing.assert_array_equal(bands.target[bands.coupled], W / 0.5)
    np.testing.assert_array_equal(bands.target[bands.single], np.eye(3))

    class Size:
        rows, columns = 8, 48

    assert PLAN.most_nodes(Size, Size) == 0
    with pytest.raises(ConfigurationError, match="0 nodes fit the panels"):
        PLAN.check_on({"slm": Size, "coupler": Size})
    with pytest.raises(ConfigurationError, match="alternate with a period of 8"):
        PLAN.model_copy(update={"coupling": PLAN.coupling.model_copy(update={"columns": 12})}).check_on({})

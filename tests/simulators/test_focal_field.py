"""Zernike polynomials are orthonormal; a panel's field in the focal plane keeps its power and follows its equation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulators.physics.far_field import square
from simulators.physics.focal_field import (
    PHASORS,
    FocalGrid,
    axis_transform,
    envelope,
    focal_grid,
    pixel_fields,
    pixel_means,
)
from simulators.physics.fringing import blurred, neighbour_weights, sub_pixel_centres
from simulators.physics.zernike import noll_indices, zernike, zernikes

PITCH, FOCAL, WAVELENGTH = 8e-6, 0.2, 785e-9
KAPPA = 2 * math.pi / (WAVELENGTH * FOCAL)


def test_zernikes_are_nolls_and_orthonormal_on_the_disc() -> None:
    assert [noll_indices(j) for j in (1, 2, 3, 4, 5, 6, 7, 8, 11)] == [
        (0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (3, -1), (3, 1), (4, 0)
    ]  # fmt: skip
    x, y = np.meshgrid(*[np.linspace(-1, 1, 801)] * 2)
    inside = np.hypot(x, y) <= 1
    modes = zernikes(range(1, 16), x, y)[:, inside]
    np.testing.assert_allclose(modes @ modes.T / inside.sum(), np.eye(15), atol=2e-3)
    np.testing.assert_allclose(zernike(4, x, y), math.sqrt(3) * (2 * (x**2 + y**2) - 1), atol=1e-12)
    with pytest.raises(ValueError, match="counts from 1"):
        noll_indices(0)


def _field(phase: np.ndarray, pupil: np.ndarray, grid: FocalGrid, sigma: tuple[float, float], fill: float):
    active = math.sqrt(fill) * PITCH
    centres = sub_pixel_centres(4 if max(sigma) else 1, math.sqrt(fill))
    down, across = (neighbour_weights(centres, s) for s in sigma)
    rows_m, columns_m = ((np.arange(n) - (n - 1) / 2) * PITCH for n in phase.shape)
    by_row = axis_transform(grid.y_m, rows_m, centres * PITCH, KAPPA)
    by_column = axis_transform(grid.x_m, columns_m, centres * PITCH, KAPPA)
    out = np.empty((1, len(by_row.matrix), len(by_column.matrix)), np.complex64)
    pixel_fields(
        phase, np.arange(len(phase)), pupil.astype(np.complex64), down, across, by_row.weights, by_column.weights,
        np.ones(1), PHASORS, out,
    )  # fmt: skip
    scale = active**2 / (PITCH * WAVELENGTH * FOCAL)
    parts = envelope(grid, active / len(centres), KAPPA)
    return scale * parts * (by_row.matrix.T @ out[0] @ by_column.matrix)


@pytest.mark.parametrize("half_m", [2e-4, 4e-3], ids=["interpolated", "sub-pixel by sub-pixel"])
def test_the_field_is_the_sum_over_sub_pixels(half_m: float) -> None:
    rng = np.random.default_rng(1)
    phase = rng.uniform(0, 6.2, (14, 18))
    pupil = rng.normal(size=(14, 18)) + 1j * rng.normal(size=(14, 18))
    grid = FocalGrid(3e-3 + np.linspace(-half_m, half_m, 9), -2e-3 + np.linspace(-half_m, half_m, 7))
    sigma, fill = (0.15, 0.2), 0.93
    found = _field(phase, pupil, grid, sigma, fill)
    centres = sub_pixel_centres(4, math.sqrt(fill)) * PITCH
    down, across = (neighbour_weights(centres / PITCH, s) for s in sigma)
    phasors = np.exp(1j * blurred(phase, down, across)) * pupil[:, None, :, None] / 16
    rows_m, columns_m = ((np.arange(n) - (n - 1) / 2) * PITCH for n in phase.shape)
    plain = np.empty((7, 9), complex)
    for i, y in enumerate(grid.y_m):
        for j, x in enumerate(grid.x_m):
            y_turn = np.exp(-1j * KAPPA * y * (rows_m[:, None] + centres))[:, :, None, None]
            x_turn = np.exp(-1j * KAPPA * x * (columns_m[:, None] + centres))[None, None]
            width = math.sqrt(fill) * PITCH / 4
            plain[i, j] = (phasors * y_turn * x_turn).sum() * square(KAPPA * x, KAPPA * y, width)  # type: ignore[arg-type]
    plain *= fill * PITCH**2 / (PITCH * WAVELENGTH * FOCAL)
    assert np.abs(found - plain).max() < 2e-3 * np.abs(plain).max()


def test_all_orders_together_have_the_power_of_the_panel() -> None:
    rng = np.random.default_rng(2)
    phase, shares = rng.uniform(0, 6.2, (10, 12)), rng.uniform(0, 1, (10, 12))
    zone = WAVELENGTH * FOCAL / PITCH
    orders, per_zone = 21, 60
    axis = (np.arange(orders * per_zone) - orders * per_zone / 2 + 0.5) * zone / per_zone
    field = _field(phase, np.sqrt(shares), FocalGrid(axis, axis), (0.0, 0.0), 1.0)
    power = (np.abs(field) ** 2).sum() * (zone / per_zone) ** 2
    # Of a square's sinc^2, 1 / (pi^2 10.5) lies beyond 10.5 orders, in either direction.
    assert power == pytest.approx(shares.sum() * (1 - 1 / (math.pi**2 * 10.5)) ** 2, rel=3e-3)


def test_a_turned_pixel_sees_the_mean_of_the_field_in_it() -> None:
    rng = np.random.default_rng(3)
    phase, pupil = rng.uniform(0, 6.2, (40, 40)), np.ones((40, 40))
    width = 40 * PITCH
    grid = focal_grid((-3e-4, -2e-4), (3e-4, 4e-4), WAVELENGTH * FOCAL, (width, width))
    field = _field(phase, pupil, grid, (0.0, 0.0), 1.0)
    turn = 0.03
    pixel = 13e-6 * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    first = np.array([-1e-4, -2e-4])
    step = np.array([grid.y_m[1] - grid.y_m[0], grid.x_m[1] - grid.x_m[0]])
    origin = (first - [grid.y_m[0], grid.x_m[0]]) / step
    nodes, weights = np.array([-0.5, 0.5]) / math.sqrt(3), np.array([0.5, 0.5])
    intensity, product = np.empty((20, 22)), np.empty((20, 22), complex)
    other = np.ones((40, 44), np.complex64)
    pixel_means(
        field.astype(np.complex64), tuple(origin), pixel / step[:, None], nodes, weights, other, intensity, product
    )
    fine = (np.arange(8) - 3.5) / 8
    for r, c in ((0, 0), (7, 13), (19, 21)):
        places = np.array([pixel @ [r + a, c + b] + first for a in fine for b in fine])
        exact = [
            _field(phase, pupil, FocalGrid(np.array([x]), np.array([y])), (0.0, 0.0), 1.0)[0, 0] for y, x in places
        ]
        assert intensity[r, c] == pytest.approx((np.abs(exact) ** 2).mean(), abs=3e-3 * intensity.max())
        assert abs(product[r, c] - np.mean(exact)) < 3e-3 * np.abs(product).max()

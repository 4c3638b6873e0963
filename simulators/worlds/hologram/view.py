"""What one region of the camera sees: the panel's field there, kept up to date row by row as the panel changes.

A field is worked out in each state of the panel's flicker (`simulators.worlds.parts.exposure`), so that an exposure
only weighs what is known, and a repeated one costs next to nothing.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.frozen import fill
from simulators.physics.focal_field import (
    PHASORS,
    axis_transform,
    envelope,
    focal_grid,
    pixel_fields,
    pixel_means,
)
from simulators.physics.fourier_plane import gauss_legendre
from simulators.physics.fringing import SUB_PIXELS, neighbour_weights, sub_pixel_centres
from simulators.worlds.hologram.parameters import HologramParameters
from simulators.worlds.hologram.truth import HiddenTable, reference_phase
from simulators.worlds.parts.sensor import Region
from simulators.worlds.parts.threads import one_thread

_ROWS_AT_ONCE = 32
"""Panel rows whose sub-pixels are in memory at a time."""
_CAMERA_ROWS_AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class Means:
    """Over each camera pixel (rows, columns), by state: |E|^2 (states, ...), and E R* of the reference's field R."""

    intensity: NDArray[np.float64]
    product: NDArray[np.complex128] | None


class View:
    """One region of the camera. pupil: (rows, columns) root of each pixel's share of the beam, with its wavefront.

    pointing_m: (rows, columns) where the zeroth order lands. phase_scale: of the panel's phases, by temperature.
    states: relative changes of phase by flicker, the first is none.
    """

    def __init__(
        self,
        p: HologramParameters,
        truth: HiddenTable,
        pupil: NDArray[np.complex64],
        region: Region,
        pointing_m: tuple[float, float],
        phase_scale: float,
        states: NDArray[np.float64],
    ) -> None:
        self._p = p
        self._truth = truth
        self._pupil = pupil
        self._region = region
        self._scales = phase_scale * (1 + states)
        self.stale = np.ones(p.slm.rows, np.bool_)
        self._grid_of_region(pointing_m)
        self._transforms()
        self._per_row = len(self._by_row.weights)
        self._lines = np.zeros((len(states), p.slm.rows * self._per_row, len(self._grid.x_m)), np.complex64)
        self._means: Means | None = None
        self._reference: NDArray[np.complex64] | None = None

    def _grid_of_region(self, pointing_m: tuple[float, float]) -> None:
        p, g, (row, column, rows, columns) = self._p, self._truth.geometry, self._region
        cos, sin = math.cos(g.rotation_rad), math.sin(g.rotation_rad)
        side = -1 if g.flip else 1
        # Metres (down, across) of the focal plane per camera pixel (down, across).
        turn = np.array([[cos, -sin], [side * sin, side * cos]]) * (p.camera.pitch / g.scale)
        from_axis = (row - p.camera.axis_row - g.shift_px[0], column - p.camera.axis_column - g.shift_px[1])
        first = turn @ np.array(from_axis) - np.array(pointing_m)
        corners = np.array([[r, c] for r in (-0.5, rows - 0.5) for c in (-0.5, columns - 0.5)]) @ turn.T + first
        panel = (p.slm.columns * p.slm.pitch, p.slm.rows * p.slm.pitch)
        low, high = corners.min(axis=0), corners.max(axis=0)
        self._grid = focal_grid((low[1], low[0]), (high[1], high[0]), p.wavelength_focal_m2, panel)
        start = np.array([self._grid.y_m[0], self._grid.x_m[0]])
        step = np.array([self._grid.y_m[1], self._grid.x_m[1]]) - start
        down, across = (first - start) / step
        self._origin = float(down), float(across)
        self._affine = turn / step[:, None]
        pixel_m = p.camera.pitch / g.scale
        self.area_m2 = pixel_m**2
        if p.camera.ideal:
            nodes, weights = np.zeros(1), np.ones(1)
        else:
            widest = max(panel) * pixel_m / p.wavelength_focal_m2  # of a pixel in spots of the panel
            nodes, weights = gauss_legendre(2 if widest < 0.4 else 3)
        self._nodes, self._weights = 0.5 * nodes, weights / weights.sum()

    def _transforms(self) -> None:
        p, t = self._p, self._truth.panel
        pitch, active = p.slm.pitch, math.sqrt(p.slm.fill_factor) * p.slm.pitch
        parts = SUB_PIXELS if max(t.crosstalk_px) > 0 else 1
        centres_px = sub_pixel_centres(parts, active / pitch)
        self._down, self._across = (neighbour_weights(centres_px, s) for s in t.crosstalk_px)
        rows_m, columns_m = (
            (np.arange(n, dtype=np.float64) - (n - 1) / 2) * pitch for n in (p.slm.rows, p.slm.columns)
        )
        grid, kappa = self._grid, p.kappa
        self._by_column = axis_transform(grid.x_m, columns_m, centres_px * pitch, kappa)
        self._by_row = axis_transform(grid.y_m, rows_m, centres_px * pitch, kappa)
        through = math.sqrt(p.slm.reflectance * p.optics.transmission)
        scale = through * active**2 / (pitch * p.wavelength_focal_m2)
        self._envelope = (scale * envelope(grid, active / parts, kappa)).astype(np.complex64)
        self._rest = (scale * self._unmodulated(rows_m, columns_m, active)).astype(np.complex64)

    def _unmodulated(
        self, rows_m: NDArray[np.float64], columns_m: NDArray[np.float64], active_m: float
    ) -> NDArray[np.complex128]:
        """Field of the light that no gray level reaches: gaps, wrong polarisation, the panel's glass."""
        t, pitch = self._truth.panel, self._p.slm.pitch
        grid, kappa, middle = self._grid, self._p.kappa, np.zeros(1)
        whole, active = envelope(grid, pitch, kappa), envelope(grid, active_m, kappa)
        area = (pitch / active_m) ** 2
        by_row, by_column = (
            axis_transform(at, pixels, middle, kappa).matrix
            for at, pixels in ((grid.y_m, rows_m), (grid.x_m, columns_m))
        )
        flat = by_row.T @ self._pupil @ by_column
        dead, axis, front = (
            cmath.rect(math.sqrt(share), phase)
            for share, phase in (
                (t.dead_reflectance, t.dead_phase),
                (t.axis_reflectance, t.axis_phase),
                (t.front_reflectance, t.front_phase),
            )
        )
        out = flat * (dead * (area * whole - active) + axis * active)
        if front:
            tilt = kappa * (t.front_tilt_m[0] * rows_m[:, None] + t.front_tilt_m[1] * columns_m[None, :])
            out = out + front * area * whole * (by_row.T @ (self._pupil * np.exp(1j * tilt)) @ by_column)
        return np.asarray(out, np.complex128)

    # --- frozen state ---------------------------------------------------------------------------------------------

    def frozen(self) -> dict[str, Any]:
        """What it knows of the panel's rows, which were worked out a few at a time, and whether it knows means."""
        means = self._means and ("both" if self._means.product is not None else "one")
        return {"stale": self.stale, "lines": self._lines, "means": means}

    def thaw(self, kept: Any) -> None:
        """Go on from `frozen`. Raises ConfigurationError if it does not fit."""
        fill(self.stale, kept["stale"])
        fill(self._lines, kept["lines"])
        self._means = None
        if kept["means"] is not None:
            with one_thread():
                self._means = self._from_lines(self._lines, kept["means"] == "both")

    # --- fields ---------------------------------------------------------------------------------------------------

    def targets(self, phase: NDArray[np.float64], reference: bool) -> Means:
        """Of the panel's target phases in all states; what is ``stale`` is worked out anew."""
        changed = np.flatnonzero(self.stale)
        if len(changed):
            self._means = None
        if self._means is None or (reference and self._means.product is None):
            with one_thread():
                self._add_lines(phase, changed, self._scales, self._lines)
                self._means = self._from_lines(self._lines, reference)
            self.stale[:] = False
        return self._means

    def at(self, phase: NDArray[np.float64], reference: bool) -> Means:
        """Of a panel in motion, without flicker: one state."""
        lines = np.empty_like(self._lines[:1])
        with one_thread():
            self._add_lines(phase, np.arange(len(phase)), self._scales[:1], lines)
            return self._from_lines(lines, reference)

    def _add_lines(
        self,
        phase: NDArray[np.float64],
        rows: NDArray[np.int64],
        scales: NDArray[np.float64],
        lines: NDArray[np.complex64],
    ) -> None:
        """Transform some rows along themselves."""
        down, across = self._by_row, self._by_column
        n = self._per_row
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[first : first + _ROWS_AT_ONCE]
            fields = np.empty((len(scales), len(some) * n, len(across.matrix)), np.complex64)
            blur = self._down, self._across
            pixel_fields(phase, some, self._pupil, *blur, down.weights, across.weights, scales, PHASORS, fields)
            places = (some[:, None] * n + np.arange(n)).ravel()
            for s in range(len(scales)):
                lines[s, places] = fields[s] @ across.matrix

    def _from_lines(self, lines: NDArray[np.complex64], reference: bool) -> Means:
        rows, columns = self._region[2:]
        other = self.reference() if reference else np.empty((0, 0), np.complex64)
        intensity = np.empty((len(lines), rows, columns))
        product = np.empty((len(lines), rows, columns) if reference else (len(lines), 0, 0), np.complex128)
        for s in range(len(lines)):
            field = (self._by_row.matrix.T @ lines[s]) * self._envelope + self._rest
            pixel_means(field, self._origin, self._affine, self._nodes, self._weights, other, intensity[s], product[s])
        return Means(intensity, product if reference else None)

    def reference(self) -> NDArray[np.complex64]:
        """The reference's field (rows x n, columns x n) at the nodes of the pixels, root W / m for 1 W, at time 0."""
        if self._reference is None:
            p, (row, column, rows, columns) = self._p, self._region
            down = (row + np.arange(rows)[:, None] + self._nodes).ravel()
            across = (column + np.arange(columns)[:, None] + self._nodes).ravel()
            self._reference = np.empty((len(down), len(across)), np.complex64)
            waist = p.reference.waist / p.camera.pitch
            peak = math.sqrt(2 * p.reference.transmission / math.pi) / p.reference.waist
            for first in range(0, len(down), _CAMERA_ROWS_AT_ONCE):
                some = down[first : first + _CAMERA_ROWS_AT_ONCE]
                profile = [np.exp(-(((at - a) / waist) ** 2)) for at, a in
                           ((some, p.camera.axis_row), (across, p.camera.axis_column))]  # fmt: skip
                size = peak * profile[0][:, None] * profile[1][None, :]
                self._reference[first : first + len(some)] = size * np.exp(1j * reference_phase(p, some, across))
        return self._reference

    def reference_intensity(self) -> NDArray[np.float64]:
        """Mean of its |R|^2 over each pixel (rows, columns)."""
        n, (rows, columns) = len(self._nodes), self._region[2:]
        blocks = np.abs(self.reference().reshape(rows, n, columns, n)) ** 2
        return np.asarray(np.einsum("racb,a,b->rc", blocks, self._weights, self._weights), np.float64)

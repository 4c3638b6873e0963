"""A wide window of the focal plane, seen by `simulators.physics.wide_frame`: what does not change, and one exposure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from simulators.physics import chebyshev, wide_frame
from simulators.physics.far_field import square
from simulators.physics.fourier_plane import NODES_PER_PIXEL, gauss_legendre
from simulators.physics.wide_frame import FINE, PARTS, RowOptics
from simulators.worlds.prbm.optics import Optics, Window

Array = NDArray[np.float64]
Short = NDArray[np.float32]
Memory = tuple[NDArray[np.complex64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Of one row: sub-pixels on the panel, what fills them, their transforms at the nodes, what fills lines."""

_STEP_RAD = 1.1
"""Phase of the fastest wave that the panel can make in the light, from one node to the next: 14 of them interpolate it
to 5e-5, and all slower ones, which most of the light is, far better."""
_TAPS = 14
_LINE_RAD = 0.1
"""The same from line to line, where 4 interpolate to 1e-6."""
_DOWN = 4
_TOLERANCE = 3e-6
_OVERSAMPLED = 2.1


class WideView:
    """Lit rows of the panel and the pixels of a window."""

    def __init__(self, optics: Optics, window: Window, panel_rows: int) -> None:
        self._optics, self._window = optics, window
        panel, highest = optics.panel, float(optics.kappa.max())
        self._halo = np.clip(np.arange(optics.rows + 2) + optics.first_row - 1, 0, panel_rows - 1)
        columns = len(panel.columns_m)
        from scipy import fft  # a seventh of a second, which every process of a bench would pay

        self._length = fft.next_fast_len(math.ceil(_OVERSAMPLED * columns))
        self._table, transform = wide_frame.kernel_table(columns, self._length)
        self._field = optics.pupil / transform
        # grids
        half_pixel = 0.0 if window.point else 0.5 * window.width_m
        step_m = _STEP_RAD / (2 * highest * (float(np.abs(panel.columns_m).max()) + panel.pitch_m))
        self._weights_x = _pixel_weights(half_pixel / step_m)
        reach = self._weights_x.shape[1] // 2 + 1
        first, last = float(window.x_m.min()), float(window.x_m.max())
        self._x_m = first + step_m * np.arange(-reach, math.ceil((last - first) / step_m) + reach + 1)
        line_rad = highest * (optics.reach + 1) * panel.pitch_m
        line_m = _LINE_RAD / line_rad
        first, last = float(window.y_m.min()), float(window.y_m.max())
        y_m = first + line_m * np.arange(-_DOWN, math.ceil((last - first) / line_m) + _DOWN + 1)
        half_y = 0.5 * float(y_m[-1] - y_m[0])
        lines_m = 0.5 * float(y_m[0] + y_m[-1]) + half_y * chebyshev.nodes(
            chebyshev.terms_for(line_rad * half_y, _TOLERANCE)
        )
        self._lines_m = lines_m
        self._down = chebyshev.interpolation(lines_m, np.asarray(y_m, np.float64)).astype(np.float32)
        self._weights_y = _lagrange_weights(_DOWN)
        self._places = (window.x_m - self._x_m[0]).ravel() / step_m, (window.y_m - y_m[0]).ravel() / line_m
        self._rows = [self._row(r) for r in range(optics.rows)]
        self._glass = np.stack([self._glass_field(r) for r in range(optics.rows)])

    # --- what does not change -------------------------------------------------------------------------------------

    def _row(self, r: int) -> RowOptics:
        o, panel, kappa = self._optics, self._optics.panel, float(self._optics.kappa[r])
        light, area = o.unmodulated, (panel.pitch_m / panel.active_m) ** 2
        zero, x, y = np.zeros(1), kappa * self._x_m, kappa * self._lines_m
        sub_m = panel.active_m / PARTS
        plain = self._column_sums(r, self._x_m)
        glass = light.coherence * self._tilted(r)
        whole, active = square(x, zero, panel.pitch_m), square(x, zero, panel.active_m)
        turn = np.exp(-1j * np.outer(panel.centres_m, y)) * square(zero, y, sub_m) * o.amplitude[r] / PARTS**2
        return RowOptics(
            scale=float(o.scale[r]),
            kappa=kappa,
            field=_halves(self._field[r]),
            blur_down=o.down.astype(np.float32),
            blur_across=o.across.astype(np.float32),
            turn_down=np.ascontiguousarray(np.stack([turn.real, turn.imag], axis=1), np.float32),
            dead=_halves(o.amplitude[r] * area * whole * (light.dead * plain + light.front * glass)),
            axis=_halves(o.amplitude[r] * active * plain * (light.axis - light.dead)),
            whole=square(zero, y, panel.pitch_m).astype(np.float32),
            active=square(zero, y, panel.active_m).astype(np.float32),
            envelope=square(x, zero, sub_m).astype(np.float32),
        )

    def _column_sums(self, r: int, x_m: Array) -> NDArray[np.complex128]:
        """sum_c pupil exp(-i kappa X x_c) at x_m (S,)."""
        o, columns = self._optics, len(self._optics.panel.columns_m)
        spread = np.zeros((self._length, 1), np.complex64)
        spread[(np.arange(columns) - columns // 2) % self._length, 0] = self._field[r]
        out = np.empty((len(x_m), 2), np.float32)
        wide_frame.interpolate(_transformed(spread), self._in_steps(r, x_m), self._table, out)
        middle_m = o.panel.columns_m[columns // 2]
        return np.asarray((out[:, 0] + 1j * out[:, 1]) * np.exp(-1j * o.kappa[r] * middle_m * x_m))

    def _tilted(self, r: int) -> NDArray[np.complex128]:
        o, light = self._optics, self._optics.unmodulated
        turn = np.exp(1j * o.kappa[r] * light.front_y_m * o.panel.rows_m[r])
        return np.asarray(self._column_sums(r, self._x_m - light.front_x_m) * turn)

    def _glass_field(self, r: int) -> Short:
        """(2, S) of the incoherent part of the glass's light."""
        o, panel, light = self._optics, self._optics.panel, self._optics.unmodulated
        whole = square(o.kappa[r] * self._x_m, np.zeros(1), panel.pitch_m) * (panel.pitch_m / panel.active_m) ** 2
        return _halves(math.sqrt(1 - light.coherence**2) * light.front * o.amplitude[r] * whole * self._tilted(r))

    def _in_steps(self, r: int, x_m: Array) -> Array:
        """x_m (S,) in steps of the grid of a row's transform."""
        step_rad = 2 * math.pi / self._length
        return np.ascontiguousarray(self._optics.kappa[r] * x_m * self._optics.panel.pitch_m / step_rad)

    # --- one exposure ---------------------------------------------------------------------------------------------

    def power(self, images: Iterable[tuple[Array, float, float]], coupling: Array) -> Array:
        """Power (rows, columns) on the window's pixels, W.

        images: phases of the whole panel (panel rows, columns), the state of the flicker they are seen in, and their
        weight. coupling: (rows, reach + 1), W, with the gains of the exposure.
        """
        light = np.zeros((len(self._lines_m), len(self._x_m)), np.float32)
        for phase, state, weight in images:
            self._add(light, phase.astype(np.float32), state, weight * coupling)
        self._add(light, None, 0.0, coupling)
        out = np.empty(self._window.x_m.size)
        wide_frame.read_pixels(self._down @ light, *self._places, self._weights_x, self._weights_y, out)
        return out.reshape(self._window.x_m.shape) * self._window.area_m2

    def _add(self, light: Short, phase: Short | None, state: float, coupling: Array) -> None:
        """Add the light of a panel image; without one, that of the glass alone."""
        nodes, lines = len(self._x_m), len(self._lines_m)
        o, reach = self._optics, coupling.shape[1] - 1
        spare = [np.empty((2, lines, nodes), np.float32) for _ in range(reach + 1)]
        before: deque[Short] = deque(maxlen=reach)
        memory = self._memory(nodes)
        for r in range(o.rows):
            fields = spare[r % (reach + 1)]
            if phase is None:
                np.multiply(self._glass[r][:, None, :], self._rows[r].whole[None, :, None], out=fields)
            else:
                self._fields(r, phase, state, memory, fields)
            wide_frame.add_light(float(coupling[r, 0]), fields, light)
            for d in range(1, min(reach, r) + 1):
                turn = 0.5 * (o.kappa[r - d] + o.kappa[r]) * self._lines_m * d * o.panel.pitch_m
                twice = 2 * coupling[r - d, d]
                cos, sin = ((twice * f(turn)).astype(np.float32) for f in (np.cos, np.sin))
                wide_frame.add_coupled(cos, sin, before[-d], fields, light)
            before.append(fields)

    def _memory(self, nodes: int) -> tuple[NDArray[np.complex64], Short, Short, Short]:
        columns = len(self._optics.panel.columns_m)
        return (
            np.empty((self._length, PARTS**2), np.complex64),
            np.empty((3 * PARTS + 3, columns), np.float32),
            np.empty((nodes, 2 * PARTS**2), np.float32),
            np.empty((2 * PARTS + 3, nodes), np.float32),
        )

    def _fields(self, r: int, phase: Short, state: float, memory: Memory, fields: Short) -> None:
        """Fields (2, lines, nodes) of a row of a panel image."""
        spread, on_panel, parts, on_nodes = memory
        above, own, below = (np.pad(phase[self._halo[r + d]], 1, mode="edge") for d in range(3))
        wide_frame.fill_row(self._rows[r], above, own, below, state, on_panel, spread)
        wide_frame.interpolate(_transformed(spread), self._in_steps(r, self._x_m), self._table, parts)
        panel = self._optics.panel
        centres_m = panel.centres_m + panel.columns_m[len(panel.columns_m) // 2]
        wide_frame.line_fields(self._rows[r], self._x_m, centres_m, parts, on_nodes, fields)


def _halves(field: NDArray[np.complex128]) -> Short:
    return np.ascontiguousarray(np.stack([field.real, field.imag]), np.float32)


def _transformed(spread: NDArray[np.complex64]) -> Short:
    from scipy import fft

    return _parts(fft.fft(spread, axis=0))


def _parts(spectra: NDArray[np.complex64]) -> Short:
    """(length, C) complex as (length, 2 C)."""
    return np.ascontiguousarray(spectra, np.complex64).view(np.float32)


def _lagrange_weights(taps: int, at: Array | None = None) -> Short:
    """(FINE + 1, taps) weights of nodes around a place between the two in the middle, in FINE steps."""
    places = np.arange(FINE + 1) / FINE if at is None else at
    nodes = np.arange(taps) - (taps // 2 - 1.0)
    found = np.ones((len(places), taps))
    for k in range(taps):
        others = np.delete(nodes, k)
        found[:, k] = np.prod((places[:, None] - others) / (nodes[k] - others), axis=1)
    return found.astype(np.float32)


def _pixel_weights(half_steps: float) -> Short:
    """The same for the mean over a pixel of so many steps to either side, by the plain road's points."""
    points, weights = gauss_legendre(1 if half_steps == 0 else NODES_PER_PIXEL)
    wider = math.ceil(half_steps) if half_steps else 0
    found = np.zeros((FINE + 1, _TAPS + 2 * wider))
    for point, weight in zip(points, weights, strict=True):
        at = np.arange(FINE + 1) / FINE + half_steps * point
        whole = np.floor(at).astype(int)
        own = _lagrange_weights(_TAPS, at - whole)
        for k in range(_TAPS):
            np.add.at(found, (np.arange(FINE + 1), whole + wider + k), weight * own[:, k])
    return np.ascontiguousarray(found, np.float32)

"""The expansions by which a small window is seen fast, made for one window and the optics of one time."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics import chebyshev
from simulators.physics.far_field import square
from simulators.physics.fourier_plane import NODES_PER_PIXEL, gauss_legendre
from simulators.physics.window_pixels import Plan, Short
from simulators.physics.window_sums import Coupled, Kept
from simulators.worlds.prbm.optics import Optics, Window

Array = NDArray[np.float64]

_TOLERANCE = 3e-6
"""Of every expansion, relative to the amplitude it expands, at the panel's edge and in the window's corner."""
_WITHIN_PIXEL = 2e-5
"""Of the expansions within a pixel, relative to what a pixel lacks of being even."""

WIDEST_PHASE = 140.0
"""kappa x X at the panel's edge and in the window's corner, rad, up to which an expansion of the whole panel pays: 100
camera columns of the delivered table."""


class Readout(NamedTuple):
    """From light at the nodes to pixels: down (pixels, lines) and across (pixels, nodes); shape of the window."""

    down: Array
    across: Array
    shape: tuple[int, ...]

    def pixels(self, nodes: Array, area_m2: float) -> Array:
        """Power (rows, columns) from irradiance (lines, nodes) at the nodes."""
        power: Array = area_m2 * ((self.down @ nodes) * self.across).sum(axis=1)
        return power.reshape(self.shape)


class WindowPlan(NamedTuple):
    """Kernel arguments, the nodes' places x_m (nodes,), y_m (lines,), and the incoherent field of the glass there."""

    plan: Plan
    readout: Readout
    x_m: Array
    y_m: Array
    glass: Short


def is_narrow(optics: Optics, window: Window) -> bool:
    """Whether a window is small enough for the expansions to be short."""
    half_x = 0.5 * (float(np.ptp(window.x_m)) + window.width_m)
    half_y = 0.5 * float(np.ptp(window.y_m))
    kappa = float(optics.kappa.max())
    within = kappa * float(np.abs(optics.panel.centres_m).max())
    few_terms = kappa * float(np.abs(optics.panel.columns_m).max()) * half_x < WIDEST_PHASE
    few_lines = kappa * (optics.reach + 1) * optics.panel.pitch_m * half_y < 10
    return few_terms and few_lines and within * half_x < 0.1 and within * half_y < 0.1


def plan_window(optics: Optics, window: Window, states: Array, panel_rows: int) -> WindowPlan:
    """Work out everything that depends on geometry alone; states: of the panel's flicker."""
    panel, kappa = optics.panel, optics.kappa
    order = 1 if window.point else NODES_PER_PIXEL
    points, weights = gauss_legendre(order)
    half_pixel = 0.0 if window.point else 0.5 * window.width_m
    centre_x = 0.5 * float(window.x_m.min() + window.x_m.max())
    centre_y = 0.5 * float(window.y_m.min() + window.y_m.max())
    half_x = 0.5 * float(np.ptp(window.x_m)) + half_pixel
    half_y = 0.5 * float(np.ptp(window.y_m))
    reach_x = float(np.abs(panel.columns_m).max())
    highest = float(kappa.max())
    # nodes: light varies along X with up to twice the panel's half width, along Y with the coupled rows
    x_m, across = _nodes_across(window, points, weights, centre_x, half_x, highest * 2 * reach_x)
    reach_y = (optics.reach + 1) * panel.pitch_m
    count = 1 if half_y == 0 else chebyshev.terms_for(highest * reach_y * half_y, _TOLERANCE)
    y_m = centre_y + half_y * chebyshev.nodes(count)
    down = chebyshev.interpolation(y_m, window.y_m.ravel())
    # expansions of the fields
    terms = chebyshev.terms_for(highest * reach_x * half_x, _TOLERANCE)
    orders = np.arange(terms)
    bessel = chebyshev.bessel(np.outer(kappa, x_m - centre_x).ravel() * reach_x, terms)
    bessel = bessel.reshape(len(kappa), len(x_m), terms) * np.where(orders == 0, 1.0, 2.0)
    farthest = highest * float(np.abs(panel.centres_m).max())
    within_x, within_y = _features(farthest * half_x, farthest * half_y, len(panel.centres_m))
    basis = chebyshev.polynomials(panel.columns_m / reach_x, terms, int(within_x.max()))
    basis /= reach_x ** np.arange(len(basis))[:, None, None]
    pupil = optics.pupil * _carrier(-kappa * centre_x, panel.columns_m)
    unmodulated, glass = _unmodulated(optics, pupil, basis[0], bessel, x_m, y_m)
    sub_m = panel.active_m / len(panel.centres_m)
    zero = np.zeros_like(kappa)
    envelope = np.stack([square(kappa * x, zero, sub_m) for x in x_m], axis=-1)
    bessel *= (optics.amplitude[:, None] * envelope)[..., None]
    j = np.arange(int(within_y.max()) + 1)
    factorial = np.array([math.factorial(k) for k in j], np.float64)
    step = np.outer(kappa, y_m - centre_y)[:, None, :] * panel.pitch_m
    down_nodes = step ** j[None, :, None] / factorial[None, :, None]
    # All of an even pixel is in its first feature; the others are what it lacks of being even.
    down_nodes[:, 0] = np.cos(step[..., None] * (panel.centres_m / panel.pitch_m)).mean(axis=-1)[:, 0]
    down_nodes *= np.stack([square(zero, kappa * y, sub_m) for y in y_m], axis=-1)[:, None, :]
    return WindowPlan(
        plan=Plan(
            scale=_short(optics.scale),
            kappa=_short(kappa),
            down=_short(optics.down),
            across=_short(optics.across),
            tilts=_short(centre_x * panel.centres_m[None, :] + centre_y * panel.centres_m[:, None]),
            weights_x=_short(_weights_x(panel.centres_m, int(within_x.max()))),
            weights_y=_short(_weights_y(panel.centres_m / panel.pitch_m, int(within_y.max()))),
            order_x=within_x,
            order_y=within_y,
            pupil=_short(np.stack([pupil.real, pupil.imag])),
            basis=_short(basis),
            basis_across=_short(basis.transpose(0, 2, 1)),
            across_nodes=_short(bessel),
            down_nodes=_short(down_nodes.transpose(2, 1, 0)),
            unmodulated=_halves(unmodulated),
            states=states,
            halo=np.clip(np.arange(optics.rows + 2) + optics.first_row - 1, 0, panel_rows - 1),
        ),
        readout=Readout(down, across, window.x_m.shape),
        x_m=x_m,
        y_m=y_m,
        glass=_halves(glass),
    )


def nothing_kept(plan: Plan) -> Kept:
    """Sums that know nothing yet."""
    states, rows, (_, columns, terms) = len(plan.states), len(plan.scale), plan.basis.shape
    lines, powers, _ = plan.down_nodes.shape
    nodes = plan.across_nodes.shape[1]
    return Kept(
        sums=np.zeros((states, rows, powers, 2, terms)),
        features=np.zeros((rows, len(plan.order_x), 2, columns), np.float32),
        fields=np.zeros((states, 2, lines, nodes, rows), np.float32),
        lines=np.zeros((states + 1, lines, nodes, rows), np.float32),
        shown=np.zeros((rows + 2, columns + 2), np.float32),
        wanted=np.zeros((rows + 2, columns + 2), np.float32),
        first=np.zeros(rows + 2, np.int64),
        last=np.full(rows + 2, columns - 1, np.int64),
        stale=np.ones(rows, np.bool_),
        stamps=np.zeros((rows, columns), np.int32),
        visit=np.zeros(1, np.int32),
    )


def coupled_rows(optics: Optics, coupling: Array, plan: WindowPlan) -> Coupled:
    """How rows add up for C (rows, reach + 1), W."""
    rows, reach = coupling.shape[0], coupling.shape[1] - 1
    turn = np.zeros((reach, len(plan.y_m), rows))
    for d in range(1, reach + 1):
        between = 0.5 * (optics.kappa[: rows - d] + optics.kappa[d:])
        turn[d - 1, :, : rows - d] = np.outer(plan.y_m, between) * d * optics.panel.pitch_m
    twice = 2 * coupling[:, 1:].T[:, None, :]
    return Coupled(
        own=_short(coupling[:, 0]),
        cosines=_short(twice * np.cos(turn)),
        sines=_short(twice * np.sin(turn)),
        glass=plan.glass,
    )


def _nodes_across(
    window: Window, nodes: Array, node_weights: Array, centre: float, half: float, frequency: float
) -> tuple[Array, Array]:
    """Nodes in X and what each counts in each pixel (pixels, nodes)."""
    x = window.x_m.ravel()
    if np.ptp(x) == 0:
        half_pixel = 0.0 if window.point else 0.5 * window.width_m
        return centre + half_pixel * nodes, np.tile(node_weights, (len(x), 1))
    x_m = centre + half * chebyshev.nodes(chebyshev.terms_for(frequency * half, _TOLERANCE))
    points = np.zeros(1) if window.point else 0.5 * window.width_m * nodes
    weights = np.zeros((len(x), len(x_m)))
    for point, weight in zip(points, node_weights, strict=True):
        weights += weight * chebyshev.interpolation(x_m, x + point)
    return x_m, weights


def _features(x: float, y: float, parts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Powers (F,) of x and of y within a pixel for arguments of exp(-i x), exp(-i y) up to these; of x in order."""
    powers = [(i, j) for i in range(parts) for j in range(parts) if (i, j) in ((0, 0), (1, 0)) or
              x**i / math.factorial(i) * y**j / math.factorial(j) > _WITHIN_PIXEL]  # fmt: skip
    found = np.array(powers, np.int64)
    return np.ascontiguousarray(found[:, 0]), np.ascontiguousarray(found[:, 1])


def _weights_x(centres_m: Array, highest: int) -> Array:
    """x^i / i! of each sub-pixel over how many there are, (highest + 1, M)."""
    return np.stack([centres_m**i / math.factorial(i) for i in range(highest + 1)]) / len(centres_m)


def _weights_y(centres_px: Array, highest: int) -> Array:
    """The same of powers of y, the even ones less their mean so that an even pixel has only the first."""
    powers = [centres_px**j for j in range(highest + 1)]
    return np.stack([powers[0], *(power - power.mean() for power in powers[1:])]) / len(centres_px)


def _unmodulated(
    optics: Optics, pupil: NDArray[np.complex128], basis: Array, bessel: Array, x_m: Array, y_m: Array
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Fields (rows, lines, nodes) of light that no gray level reaches, and of the glass's incoherent part.

    pupil: (rows, columns) carried to the window's middle. bessel: (rows, nodes, N).
    """
    panel, kappa, light = optics.panel, optics.kappa, optics.unmodulated
    lines = np.empty((len(kappa), len(y_m), len(x_m)), np.complex128)
    apart = np.empty_like(lines)
    turns = (-1j) ** np.arange(basis.shape[1])
    area = (panel.pitch_m / panel.active_m) ** 2

    def column_sums(field: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """sum_c of a pupil's field exp(-i kappa (X - X_c) x_c) at every node, (rows, S)."""
        moments = ((field.real @ basis) + 1j * (field.imag @ basis)) * turns
        return np.asarray((bessel @ moments.real[..., None] + 1j * (bessel @ moments.imag[..., None]))[..., 0])

    plain = column_sums(pupil)
    tilted = column_sums(pupil * _carrier(kappa * light.front_x_m, panel.columns_m))
    tilted = tilted * np.exp(1j * kappa * light.front_y_m * panel.rows_m)[:, None]
    for q, y in enumerate(y_m):
        kx, ky = np.outer(kappa, x_m), np.broadcast_to((kappa * y)[:, None], (len(kappa), len(x_m)))
        whole, active = square(kx, ky, panel.pitch_m), square(kx, ky, panel.active_m)
        glass = light.front * area * whole * tilted
        lines[:, q] = plain * (light.dead * (area * whole - active) + light.axis * active) + light.coherence * glass
        apart[:, q] = math.sqrt(1 - light.coherence**2) * glass
    scale = optics.amplitude[:, None, None]
    return lines * scale, apart * scale


def _carrier(rad_per_m: Array, columns_m: Array) -> NDArray[np.complex128]:
    """exp(i rad_per_m x) (rows, columns) at evenly spaced columns: each is one of a few steps from one of a few."""
    width = math.isqrt(len(columns_m)) + 1
    step_m = columns_m[1] - columns_m[0] if len(columns_m) > 1 else 0.0
    far = np.exp(1j * np.outer(rad_per_m, columns_m[0] + width * step_m * np.arange(width)))
    near = np.exp(1j * np.outer(rad_per_m, step_m * np.arange(width)))
    found = (far[:, :, None] * near[:, None, :]).reshape(len(rad_per_m), -1)
    return np.asarray(found[:, : len(columns_m)])


def _short(numbers: Array) -> Short:
    return np.ascontiguousarray(numbers, np.float32)


def _halves(fields: NDArray[np.complex128]) -> Short:
    """Real and imaginary parts of fields (rows, lines, nodes) as (2, lines, nodes, rows)."""
    return _short(np.stack([fields.real, fields.imag]).transpose(0, 2, 3, 1))

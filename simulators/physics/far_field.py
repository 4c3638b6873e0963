"""The plain road from panel to focal plane with everything a real table does to the light: the reference.

Rows of the panel in a continuous spectrum (`simulators.physics.row_coupling`), each row r with its own wavelength:

    I(X, Y) = sum_rs C_rs F_r F_s* exp(-i kappa_rs Y (y_r - y_s)),   kappa_rs = (kappa_r + kappa_s) / 2

    F_r(X, Y) = sum_c a_rc exp(-i kappa_r X x_c) [ sum_mk s(X, Y) exp(i Phi_rcmk - i kappa_r (X x_k + Y y_m)) / M^2
                                                   + unmodulated ]

with Phi on M x M even sub-pixels, s the transform of one of them, and kappa_r = 2 pi / (lambda_r f). Left out: the
spread of wavelengths within one row's spot, 1e-4, which blurs an order at the sensor's edge by a tenth of a pixel.

Written to be read, point by point; `simulators.physics.window_sums` and `simulators.physics.wide_frame` are fast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Unmodulated(NamedTuple):
    """Light that no gray level reaches, as amplitudes relative to the pixels' own.

    dead: of the gaps between pixels. axis: of the wrong polarisation, on the pixels' area. front: of the glass, of
    which ``coherence`` adds to the fields and the rest to the intensity; front_x_m, front_y_m: where it lands.
    """

    dead: complex
    axis: complex
    front: complex
    coherence: float
    front_x_m: float
    front_y_m: float


class PanelGeometry(NamedTuple):
    """Sizes of the panel's pixels: pitch and active width, m; centres of columns (columns,), rows (rows,) and of
    sub-pixels (M,) from the middle of theirs, m."""

    pitch_m: float
    active_m: float
    columns_m: NDArray[np.float64]
    rows_m: NDArray[np.float64]
    centres_m: NDArray[np.float64]


def square(kappa_x: NDArray[np.float64], kappa_y: NDArray[np.float64], width_m: float) -> NDArray[np.float64]:
    """Transform of a square of this width, 1 on the axis; kappa X and kappa Y in rad per m."""
    out: NDArray[np.float64] = np.sinc(kappa_x * width_m / (2 * np.pi)) * np.sinc(kappa_y * width_m / (2 * np.pi))
    return out


def row_fields(
    x_m: float,
    y_m: float,
    kappa: NDArray[np.float64],
    pupil: NDArray[np.complex128],
    phasors: NDArray[np.complex128],
    panel: PanelGeometry,
    unmodulated: Unmodulated,
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """F_r (rows,) at one point of the focal plane, and the incoherent part of the glass's (rows,).

    kappa: (rows,) rad per m and m. pupil: (rows, columns) field on the panel. phasors: (rows, M, columns, M) of the
    sub-pixels, in order of y, then x.
    """
    kx, ky = kappa * x_m, kappa * y_m
    parts = len(panel.centres_m)
    carried = pupil * np.exp(-1j * np.outer(kx, panel.columns_m))
    across = np.exp(-1j * np.outer(kx, panel.centres_m)) / parts
    down = np.exp(-1j * np.outer(ky, panel.centres_m)) / parts
    pixels = np.einsum("rmck,rm,rk->rc", phasors, down, across)
    fields = (carried * pixels).sum(axis=1) * square(kx, ky, panel.active_m / parts)
    whole, active = square(kx, ky, panel.pitch_m), square(kx, ky, panel.active_m)
    area = (panel.pitch_m / panel.active_m) ** 2
    fields += carried.sum(axis=1) * (unmodulated.dead * (area * whole - active) + unmodulated.axis * active)
    tilt_x, tilt_y = kappa * unmodulated.front_x_m, kappa * unmodulated.front_y_m
    tilted = carried * np.exp(1j * (np.outer(tilt_x, panel.columns_m) + (tilt_y * panel.rows_m)[:, None]))
    front = unmodulated.front * area * whole * tilted.sum(axis=1)
    fields += unmodulated.coherence * front
    return fields, np.sqrt(1 - unmodulated.coherence**2) * front


def intensity(
    fields: NDArray[np.complex128],
    y_m: float,
    kappa: NDArray[np.float64],
    pitch_m: float,
    coupling: NDArray[np.float64],
) -> float:
    """sum_rs C_rs F_r F_s* at one point; coupling: (rows, reach + 1) as `simulators.physics.row_coupling.coupling`."""
    total = float((coupling[:, 0] * np.abs(fields) ** 2).sum())
    for d in range(1, min(coupling.shape[1], len(fields))):
        turn = np.exp(0.5j * (kappa[:-d] + kappa[d:]) * y_m * d * pitch_m)
        total += 2 * float((coupling[:-d, d] * (fields[:-d] * fields[d:].conj() * turn).real).sum())
    return total

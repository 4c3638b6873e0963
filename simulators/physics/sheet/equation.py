"""Eq. (13) of a driven sheet as it is written, and its plain integrator in time: what every fast road is held to.

    kappa_i = (i/2) (sum_neighbours psi_j - 2 d psi_i) - i (V_i + f(psi_i) - i gamma) psi_i + P_i,    dpsi/dt = kappa

(Sajnok and Matuszewski, near-equilibrium propagation, 2026.) d = 1 or 2 dimensions, psi = 0 outside of the sheet and
on blocked nodes. f = g |psi|^2 ("density") or g / (1 + |psi|^2) ("saturation"). All quantities are dimensionless.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Complex = NDArray[np.complex128]
Array = NDArray[np.float64]
Nonlinearity = Literal["density", "saturation"]


class Sheet(NamedTuple):
    """What stays while pump and potential change.

    shape: (nodes,) or (rows, columns). g: strength of the nonlinearity. gamma: loss, a number or an array of the shape.
    blocked: nodes of the shape behind walls, at which psi = 0, or None.
    """

    shape: tuple[int, ...]
    g: float = 0.1
    gamma: float | Array = 0.1
    nonlinearity: Nonlinearity = "saturation"
    blocked: NDArray[np.bool_] | None = None


class SheetError(ValueError):
    """A sheet, a pump or a potential that makes no sense; the text names the value, the limit and the cure."""


def checked(sheet: Sheet) -> Sheet:
    """The sheet itself. Raises SheetError where its shape, loss, nonlinearity or walls make no sense."""
    shape, gamma = sheet.shape, np.asarray(sheet.gamma, np.float64)
    if len(shape) not in (1, 2) or min(shape) < 1:
        raise SheetError(f"shape {shape}: a sheet is (nodes,) or (rows, columns), each at least 1")
    if gamma.shape not in ((), shape):
        raise SheetError(f"gamma has the shape {gamma.shape}; give a number or an array {shape}")
    if not np.isfinite(gamma).all() or not (gamma > 0).all():
        raise SheetError(f"gamma = {gamma.min():g}: without loss there is no steady state; choose gamma > 0")
    if not math.isfinite(sheet.g):
        raise SheetError(f"g = {sheet.g:g} is no number; choose a finite strength of the nonlinearity")
    if sheet.nonlinearity not in ("density", "saturation"):
        raise SheetError(f'nonlinearity "{sheet.nonlinearity}": choose "density" or "saturation"')
    if sheet.blocked is not None and np.shape(sheet.blocked) != shape:
        raise SheetError(f"blocked has the shape {np.shape(sheet.blocked)}; give an array {shape}")
    return sheet


def blueshift(density: Array, sheet: Sheet) -> tuple[Array, Array]:
    """f (...) and df/d|psi|^2 (...) at densities |psi|^2 (...)."""
    if sheet.nonlinearity == "density":
        return sheet.g * density, np.full_like(density, sheet.g)
    share = 1 / (1 + density)
    return sheet.g * share, -sheet.g * share**2


def laplacian(psi: Complex, sheet: Sheet) -> Complex:
    """Sum over neighbours psi_j - psi_i, (..., *shape): three or five points, zero outside."""
    around = -2 * len(sheet.shape) * psi
    around[..., :-1] += psi[..., 1:]
    around[..., 1:] += psi[..., :-1]
    if len(sheet.shape) == 2:
        around[..., :-1, :] += psi[..., 1:, :]
        around[..., 1:, :] += psi[..., :-1, :]
    return around


def rate(psi: Complex, V: ArrayLike, P: ArrayLike, sheet: Sheet) -> Complex:
    """kappa of Eq. (13), (..., *shape), of amplitudes psi (..., *shape).

    V, real or complex (Im V > 0 is gain), and the pump P broadcast against psi. Zero on blocked nodes, where psi must
    be zero.
    """
    psi = np.asarray(psi, np.complex128)
    f, _ = blueshift(psi.real**2 + psi.imag**2, sheet)
    kappa = 0.5j * laplacian(psi, sheet) - 1j * (np.asarray(V) + f - 1j * np.asarray(sheet.gamma)) * psi + np.asarray(P)
    if sheet.blocked is not None:
        kappa[..., sheet.blocked] = 0
    return np.asarray(kappa, np.complex128)


def evolve(psi: ArrayLike, V: ArrayLike, P: ArrayLike, sheet: Sheet, duration: float, dt: float = 0.1) -> Complex:
    """Amplitudes (..., *shape) after ``duration``, by the classical Runge-Kutta method in steps of at most dt.

    What is left of a transient falls as exp(-gamma t). Steps must be shorter than 2.8 / (d + 1 + max |V + f|).
    """
    shape = np.broadcast_shapes(np.shape(psi), np.shape(V), np.shape(P), sheet.shape)
    psi = np.array(np.broadcast_to(np.asarray(psi, np.complex128), shape))
    if sheet.blocked is not None:
        psi[..., sheet.blocked] = 0
    steps = math.ceil(duration / dt * (1 - 1e-12))
    h = duration / max(steps, 1)
    for _ in range(steps):
        k1 = rate(psi, V, P, sheet)
        k2 = rate(psi + h / 2 * k1, V, P, sheet)
        k3 = rate(psi + h / 2 * k2, V, P, sheet)
        k4 = rate(psi + h * k3, V, P, sheet)
        psi += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return psi

"""Light to potential: V = V_0 + s (B v), B the carriers' diffusion, found by least squares, inverted within bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import ndtr

from labctl.client import CalibrationError
from protocols.nep.table.encoding import LightLaw, PhaseLaw

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_STEPS = 400


@dataclass(frozen=True, eq=False)
class Lift:
    """Of the mesa's nodes (rows, columns). ground: D without light. strength: by which full light everywhere lifts.
    gain: Im / Re of that. blur: rms, nodes. shift: (rows, columns) of the panel's image, nodes. open_nodes: which are.
    off: rms of what potentials differ from this law."""

    ground: Complex
    strength: Array
    gain: float
    blur: float
    shift: tuple[float, float]
    open_nodes: NDArray[np.bool_]
    off: float

    def kernels(self) -> tuple[Array, Array]:
        """Of light along rows' order and along a row: (rows, rows), (columns, columns)."""
        down, across = self.strength.shape
        return _kernel(down, self.blur, self.shift[0]), _kernel(across, self.blur, self.shift[1])

    def lifted(self, light: Array) -> Complex:
        """D (rows, columns) of light (rows, columns), 0 to 1."""
        rows, columns = self.kernels()
        return np.asarray(self.ground + (1 + 1j * self.gain) * self.strength * (rows @ light @ columns.T))

    def light_for(self, V: Array) -> Array:
        """Light (rows, columns) that makes Re D as near to V (rows, columns) as can be (projected descent)."""
        rows, columns = self.kernels()
        wanted = np.where(self.open_nodes, V - self.ground.real, 0.0)
        s = np.where(self.open_nodes, self.strength, 0.0)
        step = 1 / max(float((s**2).max()), 1e-12)
        light = np.clip(np.divide(wanted, s, out=np.zeros_like(s), where=s > 0), 0, 1)
        ahead, t = light, 1.0
        for _ in range(_STEPS):
            left = s * (rows @ ahead @ columns.T) - wanted
            new = np.clip(ahead - step * (rows.T @ (s * left) @ columns), 0, 1)
            if float(np.abs(new - light).max()) < 1e-7:
                light = new
                break
            t, before = 0.5 * (1 + math.sqrt(1 + 4 * t * t)), t
            ahead = new + (before - 1) / t * (new - light)
            light = new
        return light


def _kernel(n: int, blur: float, shift: float) -> Array:
    """Share of the light of node j in the mean over node i, (n, n)."""
    sigma = max(blur, 1e-3)
    away: Array = np.arange(n)[:, None] - np.arange(n)[None, :] - np.float64(shift)

    def twice(x: Array) -> Array:
        """Second integral of the Gaussian."""
        return np.asarray(x * ndtr(x / sigma) + sigma / math.sqrt(2 * math.pi) * np.exp(-0.5 * (x / sigma) ** 2))

    return np.asarray(twice(away + 1) - 2 * twice(away) + twice(away - 1))


def fit_levels(written: Array, D: Complex, open_nodes: NDArray[np.bool_]) -> tuple[LightLaw, Lift]:
    """The panel's law, from D (levels, rows, columns) of even phases ``written`` (levels,), 0 to pi, on all nodes.

    Raises CalibrationError where light hardly lifts the potential.
    """
    real = D.real[:, open_nodes]

    def terms(x: Array) -> Array:
        law = LightLaw(PhaseLaw(x[0], (x[1], x[2]), leak=0.0))
        return np.stack([np.ones(len(written)), law.light(written)], axis=1)

    def left(x: Array) -> Array:
        A = terms(x)
        rest = (real - A @ np.linalg.lstsq(A, real, rcond=None)[0]) / max(float(np.ptp(real)), 1e-9)
        return np.concatenate([rest.ravel(), 0.01 * x])

    found = least_squares(left, np.zeros(3), bounds=(-0.5, 0.5)).x
    law = LightLaw(PhaseLaw(found[0], (found[1], found[2]), leak=0.0))
    fit = np.linalg.lstsq(terms(found), D[:, open_nodes], rcond=None)[0]
    lift, noise = fit[1].real, float(np.std(D.real[:, open_nodes] - (terms(found) @ fit).real))
    if not np.median(lift) > 10 * noise:
        raise CalibrationError(
            f"full light lifts the potential by {np.median(lift):.3g} E0, which is known to {noise:.2g} only: is the "
            "reservoir's laser on, does its panel's light reach the sheet?"
        )
    ground, strength = np.zeros(open_nodes.shape, np.complex128), np.zeros(open_nodes.shape)
    ground[open_nodes], strength[open_nodes] = fit[0], lift
    gain = float((fit[1].imag * lift).sum() / (lift**2).sum())
    return law, Lift(ground, strength, gain, 0.0, (0.0, 0.0), open_nodes, noise)


def fit_blur(lift: Lift, light: Array, D: Complex) -> Lift:
    """With the blur and the shift by which patterns of light (patterns, rows, columns) are seen in D of the same shape.

    Of even light, an edge had less: strengths are found anew.
    """
    ok = lift.open_nodes
    real = D.real[:, ok]

    def model(x: Array) -> Array:
        shift = (float(x[1]) if ok.shape[0] > 1 else 0.0, float(x[2]))
        rows, columns = (_kernel(n, abs(float(x[0])), s) for n, s in zip(ok.shape, shift, strict=True))
        return np.asarray((rows @ light @ columns.T)[:, ok])

    def fitted(x: Array) -> tuple[Array, Array, Array]:
        seen = model(x)
        mean = seen.mean(axis=0)
        strength = ((seen - mean) * (real - real.mean(axis=0))).sum(axis=0) / ((seen - mean) ** 2).sum(axis=0)
        ground = real.mean(axis=0) - strength * mean
        return real - ground - strength * seen, strength, ground

    def left(x: Array) -> Array:
        return np.concatenate([fitted(x)[0].ravel() / max(float(real.std()), 1e-9), 0.1 * np.asarray(x[1:])])

    x = least_squares(left, [0.3, 0.0, 0.0], bounds=([0.0, -1.0, -1.0], [4.0, 1.0, 1.0])).x
    rest, strength, level = fitted(x)
    seen = model(x) * strength
    above = D.imag[:, ok] - D.imag[:, ok].mean(axis=0)
    gain = float((above * (seen - seen.mean(axis=0))).sum() / ((seen - seen.mean(axis=0)) ** 2).sum())
    ground, full = np.zeros_like(lift.ground), np.zeros_like(lift.strength)
    ground[ok] = level + 1j * (D.imag[:, ok].mean(axis=0) - gain * seen.mean(axis=0))
    full[ok] = strength
    off = float(np.sqrt((rest**2).mean()))
    shift = (float(x[1]) if ok.shape[0] > 1 else 0.0, float(x[2]))
    return replace(lift, ground=ground, strength=full, gain=gain, blur=float(x[0]), shift=shift, off=off)

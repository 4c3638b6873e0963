"""The amplitude that a macro-pixel of the strip gives: about cos alpha, but for what panel and fringing make of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

ALPHA = 0.8
"""Phase by which columns of a sign are off pi, first: nowhere near a wrap."""
SHOWN = math.cos(ALPHA)
MOST = 0.95
"""Largest amplitude that is shown: the top of the cosine is flat."""
STEEPEST = 2.5
"""Largest alpha: amplitude -0.8. Beyond, pixels come near the wrap of phase; and no node is as far from its lock."""
_ENOUGH = 0.5
"""Amplitude that every column must reach."""
_ENOUGH_BACK = -0.2
"""And of the other sign, which nodes have for a window between locks at most."""
_INSIDE = 0.99
_POINTS = 513
_HARMONICS = 4


@dataclass(frozen=True, eq=False)
class Law:
    """alpha, theta: (nodes, points) that give real amplitudes from ``least`` to ``most``, in even steps."""

    alpha: Array
    theta: Array
    least: float
    most: float

    def of(self, a: Array) -> tuple[Array, Array]:
        """alpha, theta (nodes, vectors) of real amplitudes (nodes, vectors), which are clipped to what there is."""
        at = np.clip((a - self.least) / (self.most - self.least), 0.0, 1.0) * (_POINTS - 1)
        low = np.minimum(at.astype(np.int64), _POINTS - 2)
        part = at - low
        found = []
        for table in (self.alpha, self.theta):
            below = np.take_along_axis(table, low, axis=1)
            above = np.take_along_axis(table, low + 1, axis=1)
            found.append(below + part * (above - below))
        return found[0], found[1]


def fitted(alpha: Array, amplitude: Complex) -> Law:
    """The law of columns whose amplitudes (nodes, k) were seen at phases alpha (k,): a few terms cos(m alpha) of each.

    Amplitudes are taken from where the real part is 0, whatever light is left there; and are cos(alpha) at `ALPHA`.
    Raises CalibrationError where an amplitude does not fall from one end to the other.
    """
    terms = np.cos(np.arange(_HARMONICS)[None] * alpha[:, None])
    weights = np.linalg.lstsq(terms, amplitude.T, rcond=None)[0].T
    fine = np.linspace(0.0, alpha.max(), 2001)
    curve = weights @ np.cos(np.arange(_HARMONICS)[:, None] * fine[None])
    zero = [int(np.abs(line.real).argmin()) for line in curve]
    curve = curve - curve[np.arange(len(curve)), zero][:, None]
    curve = curve * (SHOWN / curve[:, np.abs(fine - ALPHA).argmin()])[:, None]
    half = len(fine) // 2
    tops = curve.real[:, :half].argmax(axis=1)
    bottoms = half + curve.real[:, half:].argmin(axis=1)
    for k, (line, top, bottom) in enumerate(zip(curve.real, tops, bottoms, strict=True)):
        if line[top] < _ENOUGH or line[bottom] > _ENOUGH_BACK or np.any(np.diff(line[top : bottom + 1]) >= 0):
            raise CalibrationError(
                f"column {k} of the strip: its amplitude goes from {line[top]:.2f} to {line[bottom]:.2f} and not "
                "steadily; calibrate the strip's phase (slm-phase), or look whether it lies in the light"
            )
    every = np.arange(len(curve))
    most = min(MOST, _INSIDE * float(curve.real[every, tops].min()))
    least = _INSIDE * float(curve.real[every, bottoms].max())
    wanted = np.linspace(least, most, _POINTS)
    alphas, thetas = np.empty((len(curve), _POINTS)), np.empty((len(curve), _POINTS))
    for k, (line, top, bottom) in enumerate(zip(curve, tops, bottoms, strict=True)):
        falling = slice(top, bottom + 1)
        alphas[k] = np.interp(wanted, line.real[falling][::-1], fine[falling][::-1])
        # A phase that comes with the amplitude is taken out; near 0 it is hardly known, and matters little.
        phase = np.interp(alphas[k], fine, np.arctan(line.imag / np.where(np.abs(line.real) > 1e-9, line.real, 1e-9)))
        thetas[k] = -phase * np.minimum(1.0, np.abs(wanted) / 0.2)
    return Law(alphas, thetas, least, most)

"""The phase of gray levels from the first order of binary gratings between pairs of them.

Half of each period at level g and half at level r, with all other light L unchanged, give in the first order

    I(g, r) = |a exp(i phi(g)) + b exp(i phi(r)) + L|^2

that is a sum of 1, cos and sin of phi(g) - phi(r), of phi(g) and of phi(r), with factors that are fitted together with
phi: where exactly the window is, and what other light interferes there, need not be known. On the order itself b = -a.
Phases flicker in proportion to themselves, which takes a little of each wave. Fringing fields take the same from both
edges of each line and so drop out of the first order of lines of equal width. One level against several others leaves
no phase at the flat top of a fringe.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from labctl.client import CalibrationError

Array = NDArray[np.float64]

DEGREE = 6
"""Of the polynomial in the level: a look-up table bends slowly. One more would follow noise."""

FACTORS = 7
"""Of the sum, found by linear least squares for each trial of phi."""


class PhaseFit(NamedTuple):
    """phase_rad: (levels,) relative to level 0, unwrapped. error_rad: its standard uncertainty from the scatter.
    residuals: (patterns,) relative to the brightest intensity of the fit. brightest: that. at: (patterns,) fitted."""

    phase_rad: Array
    error_rad: Array
    residuals: Array
    brightest: float
    at: Array


def fit_phase(high: NDArray[np.integer], low: NDArray[np.integer], intensity: Array, levels: int) -> PhaseFit:
    """Phases from intensities (patterns,) in the order in which they were taken, of gratings of levels high and low.

    Raises CalibrationError if the intensities do not follow any phase: the panel does not show what it is sent.
    """
    scale = float(np.ptp(intensity))
    if scale <= 0:
        raise CalibrationError(
            "the first order does not change with the gray level: the SLM does not show its patterns"
        )
    measured = (intensity - intensity.min()) / scale
    time = np.linspace(-1, 1, len(measured))
    every = np.arange(levels) / levels

    def model(p: Array) -> tuple[Array, Array]:
        phase = _polynomial(p[:DEGREE], every)
        return light_of_phases(phase[high], phase[low], 1 + p[DEGREE] * time, p[DEGREE + 1], measured)

    start = np.zeros(DEGREE + 2)
    start[0] = 2 * math.pi
    # The loss keeps one bad frame from bending the curve; what is left of it is in the scatter.
    found = least_squares(lambda p: model(p)[0] - measured, start, loss="soft_l1", f_scale=0.02, x_scale="jac")
    fitted, factors = model(found.x)
    residuals = fitted - measured
    spread = math.sqrt(float((residuals**2).sum()) / max(len(measured) - len(start) - FACTORS, 1))
    if spread > 0.1 or math.hypot(factors[0], factors[1]) < 0.05:
        raise CalibrationError(
            f"the first order follows no phase of the gray levels (residuals of {spread:.2g} of the brightest): the "
            "SLM is stuck, is another display, or its levels do not span a turn; or another light falls on the camera"
        )
    basis = every[:, None] ** np.arange(1, DEGREE + 1)
    phase = _polynomial(found.x[:DEGREE], every)
    terms = _terms(phase[high], phase[low], 1 + found.x[DEGREE] * time, found.x[DEGREE + 1])
    covariance = _jackknife_covariance(found.jac, terms, residuals)[:DEGREE, :DEGREE]
    error = np.sqrt(np.maximum(np.einsum("li,ij,lj->l", basis, covariance, basis), 0.0))
    at = fitted * scale + intensity.min()
    return PhaseFit(phase, error, residuals, scale, at)


def light_of_phases(a: Array, b: Array, power: Array, flicker: float, measured: Array) -> tuple[Array, Array]:
    """The sum (patterns,) for phases a and b of the two levels, with the `FACTORS` that come nearest to ``measured``.

    power: (patterns,) of the light, relative. flicker: mean square of the phase's, relative to the phase.
    """
    terms = _terms(a, b, power, flicker)
    factors = np.linalg.lstsq(terms, measured)[0]
    return np.asarray(terms @ factors, np.float64), np.asarray(factors, np.float64)


def _terms(a: Array, b: Array, power: Array, flicker: float) -> Array:
    """(patterns, FACTORS); see `light_of_phases`."""
    waves = (np.cos(a - b), np.sin(a - b), np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.ones(len(a)))
    moved = (a - b, a - b, a, a, b, b, 0 * a)  # flicker is proportional to phase, and takes from what interferes
    washed = np.exp(-0.5 * flicker * np.stack(moved, axis=1) ** 2)
    out: Array = np.stack(waves, axis=1) * washed * power[:, None]
    return out


def _jackknife_covariance(jacobian: Array, terms: Array, residuals: Array) -> Array:
    """Of the parameters by which ``jacobian`` derives the residuals, whose ``terms`` are fitted at each trial.

    What each pattern would change if it were left out (MacKinnon & White, J. Econometrics 29, 305 (1985), HC3): noise
    grows with the light, and the ends of a polynomial hang on few patterns, so one spread for all is too little there.
    """
    of_terms = np.linalg.qr(terms)[0]
    rest = jacobian - of_terms @ (of_terms.T @ jacobian)
    own = np.einsum("pi,ij,pj->p", rest, np.linalg.pinv(rest.T @ rest), rest) + (of_terms**2).sum(axis=1)
    left_out = residuals / np.maximum(1 - own, 0.05)
    inverse = np.linalg.pinv(jacobian.T @ jacobian)
    out: Array = inverse @ (jacobian.T @ (jacobian * left_out[:, None] ** 2)) @ inverse
    return out


def level_pairs(levels: int, steps: int, references: int) -> NDArray[np.int64]:
    """(patterns, 2) levels of gratings: ``steps`` levels over the range, each against ``references`` others."""
    shown = np.unique(np.rint(np.linspace(0, levels - 1, steps)).astype(np.int64))
    against = np.rint(np.arange(references) * levels / references).astype(np.int64)
    return np.array([(g, r) for r in against for g in shown if abs(g - r) > levels // 64])


def one_turn(phase_rad: Array) -> Array:
    """The phases (..., levels) with nan for levels beyond one turn from level 0, which a panel is better without."""
    return np.where(phase_rad < phase_rad[..., :1] + 2 * math.pi, phase_rad, np.nan)


def _polynomial(coefficients: Array, share: Array) -> Array:
    out: Array = (share[:, None] ** np.arange(1, len(coefficients) + 1)) @ coefficients
    return out

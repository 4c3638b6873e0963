"""Dyads in closed form: what Eq. (1) of Johnston and Berloff, PRL 132, 096901 (2024), says about two condensates.

A dyad's state is psi_1 = a e^(-i mu t), psi_2 = b e^(i theta - i mu t). gamma pumping, g detuning, xi relative
nonlinearity, J coupling (0 < |J| < 1), all dimensionless, as in `equation`. Negative J is positive J with the sign of
psi_2 turned: theta becomes theta + pi and nothing else changes. Stationary states without a closed form are in
`asymmetric_dyads`.

Formulas were derived from Eq. (1): the symmetric state and its growth rate by linearising in a (psi_1 - psi_2), equal
occupation from the four real equations of Eqs. (2) and (3) with |psi_1| = |psi_2|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class NoSuchState(ValueError):
    """Eq. (1) has no such state at these parameters; the message names the bound and what to change."""


@dataclass(frozen=True)
class DyadState:
    """A stationary state of a dyad: amplitudes a, b of condensates 1 and 2, theta = arg(psi_2 / psi_1) in (-pi, pi],
    chemical potential mu, and growth_rate, the largest real part of the eigenvalues of its Jacobian but for the phase
    that both share (negative: stable)."""

    a: float
    b: float
    theta: float
    mu: float
    growth_rate: float

    @property
    def stable(self) -> bool:
        """Whether small disturbances die out."""
        return self.growth_rate < 0


def check_coupling(J: float) -> None:
    """Raises NoSuchState unless 0 < |J| < 1."""
    if not 0 < abs(J) < 1:
        raise NoSuchState(f"J = {J:g} is not between -1 and 1, or is 0: a dyad needs 0 < |J| < 1; choose such a J")


def check_threshold(gamma: float, J: float) -> None:
    """Raises NoSuchState below the threshold gamma + |J| = 1, where both condensates die out."""
    check_coupling(J)
    if not gamma + abs(J) > 1:
        raise NoSuchState(
            f"gamma = {gamma:g} is below the threshold 1 - |J| = {1 - abs(J):g}: there is no condensate; pump harder"
        )


def symmetric_state(gamma: float, g: float, xi: float, J: float) -> DyadState:
    """The state of two equal condensates, in phase for J > 0 and in antiphase for J < 0:

        rho_0 = (gamma + |J| - 1) / ((1 - |J|) xi), mu = g + rho_0.

    Raises NoSuchState below the threshold or where xi is not positive.
    """
    check_threshold(gamma, J)
    if not xi > 0:
        raise NoSuchState(f"xi = {xi:g}: without saturation (xi > 0) condensates grow for ever")
    rho = (gamma + abs(J) - 1) / ((1 - abs(J)) * xi)
    a = math.sqrt(rho)
    rate = float(symmetric_growth_rate(gamma, g, xi, J))
    return DyadState(a, a, 0.0 if J > 0 else math.pi, g + rho, rate)


def symmetric_growth_rate(gamma: ArrayLike, g: ArrayLike, xi: ArrayLike, J: ArrayLike) -> Array:
    """Growth rate of the symmetric state, broadcast over its arguments.

    With X = (gamma + |J| - 1)/(1 - |J|) and K = (1 - |J|)(gamma + |J| - 1)/gamma, how fast gain saturates, the
    eigenvalues are -2K (both amplitudes together) and, of the difference of the condensates,

        -(2|J| + K) +- sqrt((2|J| + K)^2 - 4|J| [(|J| + K)(1 + g^2) - g X/xi]).
    """
    J = np.abs(np.asarray(J, np.float64))
    gamma, g, xi = (np.asarray(value, np.float64) for value in (gamma, g, xi))
    excess = gamma + J - 1
    K = (1 - J) * excess / gamma
    rho = excess / ((1 - J) * xi)
    half = 2 * J + K
    root = np.sqrt((half**2 - 4 * J * ((J + K) * (1 + g**2) - g * rho)).astype(np.complex128))
    return np.asarray(np.maximum(-2 * K, -half + root.real))


def pitchfork_bound(gamma: ArrayLike, g: ArrayLike, J: ArrayLike) -> Array:
    """Largest xi at which asymmetric dyads exist, the upper surface of Fig. 1a, broadcast over its arguments:

        xi_c = g (gamma + |J| - 1) / {(1 - |J|)(1 + g^2) [|J| + (1 - |J|)(gamma + |J| - 1)/gamma]}.

    There the symmetric state loses its stability. Below the threshold, and for g <= 0, it is not positive: no dyad is
    asymmetric there.
    """
    J = np.abs(np.asarray(J, np.float64))
    gamma, g = np.asarray(gamma, np.float64), np.asarray(g, np.float64)
    excess = gamma + J - 1
    return np.asarray(g * excess / ((1 - J) * (1 + g**2) * (J + (1 - J) * excess / gamma)))


def equal_occupation(r_g: float, gamma: float, g: float, J: float) -> float:
    """Ratio r_gamma = gamma_2/gamma_1 at which condensates of detunings g and r_g g are equally occupied (Fig. 1b).

    Of the stationary state that goes over into the symmetric one as r_g -> 1. With s = |J| sin(theta) =
    g(1 - r_g)/(2 + g^2 + r_g^2 g^2) and c = sqrt(J^2 - s^2) it is exactly

        r_gamma = (1 - c + r_g g s) / (1 - c - g s),

    whatever xi is. Raises NoSuchState where |s| > |J|, since the coupling cannot lock such different detunings; where
    no positive gain would do; and where gamma is below the threshold of this state, 1 - c - g s.
    """
    check_coupling(J)
    g_2 = r_g * g
    s = (g - g_2) / (2 + g**2 + g_2**2)
    if abs(s) > abs(J):
        raise NoSuchState(
            f"r_g = {r_g:g}: detunings of {g:g} and {g_2:g} need |J| >= {abs(s):.4g} to be locked, and |J| is "
            f"{abs(J):g}; choose r_g nearer to 1, or a larger |J|"
        )
    c = math.sqrt(J**2 - s**2)
    first, second = 1 - c - g * s, 1 - c + g_2 * s
    if first <= 0 or second <= 0:
        raise NoSuchState(
            f"r_g = {r_g:g}: equal occupation would need gains of {first:.3g} and {second:.3g} at the two sites, and "
            "gain is positive; choose r_g nearer to 1, or a smaller |J|"
        )
    if not gamma > first:
        raise NoSuchState(f"gamma = {gamma:g} is below {first:.4g}, the threshold at r_g = {r_g:g}; pump harder")
    return second / first


def equal_occupation_slope(g: float, J: float) -> float:
    """dr_gamma/dr_g = -g^2/((1 + g^2)(1 - |J|)) of equal occupation at r_g = 1, Eq. (5)."""
    check_coupling(J)
    return -(g**2) / ((1 + g**2) * (1 - abs(J)))

"""Asymmetric dyads: their stationary states, and the range of xi in which they last.

Condensate 1 is the denser one and J > 0 where nothing else is said; see `dyads` for the signs of J and theta.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.physics.condensates.dyad_states import Dyad, follow, growth_rate, newton, rates
from simulators.physics.condensates.dyads import (
    DyadState,
    NoSuchState,
    check_threshold,
    pitchfork_bound,
    symmetric_state,
)

Array = NDArray[np.float64]

_START = 1e-3
"""How far from the pitchfork following begins: 1 - b/a in units of |J|, at which leading order is right to 1e-6."""


def near_pitchfork(gamma: ArrayLike, g: ArrayLike, J: ArrayLike, imbalance: float = _START) -> tuple[Array, Array]:
    """Asymmetric states (..., 3) next to the symmetric one, condensate 1 denser, and their xi (...).

    Of equal sites and J > 0, with b/a = 1 - imbalance J. The ratio r = b/a being given, Eq. (1) leaves two equations:
    sin(theta) = rho r (1 - r^2)/((1 + g^2)(1 + r^2) J), rho = a^2, and, with gains G_1 = 1 - J r (cos + g sin)(theta)
    and G_2 = 1 - (J/r)(cos - g sin)(theta), r^2 (gamma/G_1 - 1) = gamma/G_2 - 1 = xi r^2 rho.
    """
    gamma, g, J = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in (gamma, g, J)))
    r = 1 - imbalance * J
    lever = r * (1 - r) * (1 + r) / ((1 + g**2) * (1 + r**2) * J)
    bound = pitchfork_bound(gamma, g, J)
    theta = lever * (gamma + J - 1) / ((1 - J) * bound)
    for _ in range(8):  # the guess is right to first order, so this ends at rounding
        cos, sin = np.cos(theta), np.sin(theta)
        G_1, G_2 = 1 - J * r * (cos + g * sin), 1 - J / r * (cos - g * sin)
        by_1, by_2 = J * r * (sin - g * cos), J / r * (sin + g * cos)
        off = r**2 * (gamma - G_1) * G_2 - (gamma - G_2) * G_1
        slope = r**2 * ((gamma - G_1) * by_2 - by_1 * G_2) - (gamma - G_2) * by_1 + by_2 * G_1
        theta = theta - off / slope
    rho = np.sin(theta) / lever
    gain = 1 - J * r * (np.cos(theta) + g * np.sin(theta))
    a = np.sqrt(rho)
    return np.stack((a, r * a, theta), axis=-1), np.asarray((gamma / gain - 1) / rho)


def asymmetric_state(
    gamma: float, g: float, xi: float, J: float, r_g: float = 1.0, r_gamma: float = 1.0, denser: int = 1
) -> DyadState:
    """The asymmetric state in which condensate 1 (or 2) is denser; site 2 has detuning r_g g and pumping r_gamma gamma.

    Of equal sites it is followed from the pitchfork down to xi; then the sites are made unequal little by little. It
    may be unstable: see its growth rate. Raises NoSuchState where there is none, with the bound.
    """
    state, dyad = _asymmetric(gamma, g, xi, J)
    if denser == 2:
        state = np.array((state[1], state[0], -state[2]))
    return _unequal(state, dyad, r_g, r_gamma, J, f"the state with condensate {denser} denser")


def asymmetric_branch(gamma: float, g: float, J: float, lowest: float) -> list[tuple[float, DyadState]]:
    """xi and asymmetric state of equal sites (condensate 1 denser) from the pitchfork down to xi = lowest, or to where
    it ends: some tens of places. Empty if lowest is above the bound."""
    bound, start, at = _begin(gamma, g, J)
    if not lowest < min(bound, at):
        return []
    path = _path(gamma, g, J, bound, at, lowest)
    states = [(0.0, start), *follow(start, path)]
    return [(float(np.asarray(path(s).xi)), signed_state(found, path(s), J)) for s, found in states]


def balanced_state(gamma: float, g: float, xi: float, J: float, r_g: float = 1.0, r_gamma: float = 1.0) -> DyadState:
    """The state that the symmetric one becomes when the sites are made unequal. Raises NoSuchState where it ends."""
    even = symmetric_state(gamma, g, xi, J)
    state = np.array((even.a, even.b, 0.0))
    return _unequal(state, Dyad.alike(gamma, g, xi, abs(J)), r_g, r_gamma, J, "the symmetric state")


def lower_bound(gamma: float, g: float, J: float) -> float:
    """xi below which the asymmetric state of equal dyads is not stable, followed down from the pitchfork.

    There it begins to oscillate, or ends. Raises NoSuchState where it is stable nowhere near the pitchfork, and where
    it is stable down to a thousandth of the upper bound.
    """
    bound, start, at = _begin(gamma, g, J)
    if growth_rate(start, Dyad.alike(gamma, g, at, abs(J))) >= 0:
        raise NoSuchState(
            f"(g, J, gamma) = ({g:g}, {J:g}, {gamma:g}): asymmetric states are unstable right below xi_c = "
            f"{bound:.4g}, so that there is no range of xi in which they last; choose a larger |J| or gamma"
        )
    path = _path(gamma, g, J, bound, at, 1e-3 * bound)
    low, state = 0.0, start
    for high, found in follow(start, path):
        if growth_rate(found, path(high)) >= 0:
            break
        low, state = high, found
    else:
        if low == 1:
            raise NoSuchState(
                f"(g, J, gamma) = ({g:g}, {J:g}, {gamma:g}): asymmetric states are stable down to a thousandth of "
                f"xi_c = {bound:.4g}, where the search ends; there is no lower bound above that"
            )
        return float(np.asarray(path(low).xi))  # it ends there
    while high - low > 1e-9:
        middle = (low + high) / 2
        between = newton(state + (found - state) * (middle - low) / (high - low), path(middle))
        if between is None or growth_rate(between, path(middle)) >= 0:
            high, found = (middle, found if between is None else between)
        else:
            low, state = middle, between
    return float(np.asarray(path(low).xi))


def _path(gamma: float, g: float, J: float, bound: float, at: float, to: float) -> Callable[[float], Dyad]:
    """From xi = at to xi = to, in the root of the distance from the bound, of which the state is a smooth function."""
    sign = math.copysign(1.0, bound - at)
    begin, end = math.sqrt(abs(bound - at)), math.sqrt(abs(bound - to))
    return lambda s: Dyad.alike(gamma, g, bound - sign * (begin + s * (end - begin)) ** 2, abs(J))


def _begin(gamma: float, g: float, J: float) -> tuple[float, Array, float]:
    """The upper bound of xi, an asymmetric state next to it, and its xi."""
    check_threshold(gamma, J)
    if not g > 0:
        raise NoSuchState(f"g = {g:g}: dyads are asymmetric by detuning g > 0 alone; choose a positive g")
    start, at = near_pitchfork(gamma, g, abs(J))
    return float(pitchfork_bound(gamma, g, J)), start, float(at)


def _asymmetric(gamma: float, g: float, xi: float, J: float) -> tuple[Array, Dyad]:
    symmetric_state(gamma, g, xi, J)  # what is wrong with gamma, xi or J is told first
    bound, start, at = _begin(gamma, g, J)
    dyad = Dyad.alike(gamma, g, xi, abs(J))
    if (at > bound) != (xi > bound) or xi == bound:
        raise NoSuchState(
            f"xi = {xi:g} is not {'above' if at > bound else 'below'} xi_c = {bound:.6g}, the bound of asymmetric "
            f"states of (g, J, gamma) = ({g:g}, {J:g}, {gamma:g}); choose xi on its other side"
        )
    if abs(bound - xi) < abs(bound - at):  # between the bound and where following begins: asymmetry is as the root
        even = symmetric_state(gamma, g, xi, abs(J))
        centre = np.array((even.a, even.a, 0.0))
        near = newton(centre + (start - centre) * math.sqrt((bound - xi) / (bound - at)), dyad)
        if near is None or not near[0] > near[1]:
            raise NoSuchState(f"xi = {xi:g} is the bound {bound:.6g} but for rounding; choose xi further from it")
        return near, dyad
    path = _path(gamma, g, J, bound, at, xi)
    ended, state = _end(start, path)
    if ended < 1:
        raise NoSuchState(
            f"xi = {xi:g}: the asymmetric state of (g, J, gamma) = ({g:g}, {J:g}, {gamma:g}) ends at xi = "
            f"{float(np.asarray(path(ended).xi)):.4g}; choose xi between that and xi_c = {bound:.6g}"
        )
    return state, dyad


def _end(state: Array, along: Callable[[float], Dyad]) -> tuple[float, Array]:
    """How far a state can be followed, and the state there."""
    last = 0.0, state
    for reached in follow(state, along):
        last = reached
    return last


def _unequal(state: Array, dyad: Dyad, r_g: float, r_gamma: float, J: float, name: str) -> DyadState:
    g, gamma = float(np.asarray(dyad.g_1)), float(np.asarray(dyad.gamma_1))

    def along(s: float) -> Dyad:
        return replace(dyad, g_2=g * (1 + s * (r_g - 1)), gamma_2=gamma * (1 + s * (r_gamma - 1)))

    if (r_g, r_gamma) != (1, 1):
        ended, state = _end(state, along)
        if ended < 1:
            g_at, gamma_at = 1 + ended * (r_g - 1), 1 + ended * (r_gamma - 1)
            raise NoSuchState(
                f"r_g = {r_g:g}, r_gamma = {r_gamma:g}: {name} ends at r_g = {g_at:.4g}, r_gamma = {gamma_at:.4g}; "
                "choose sites more alike"
            )
    return signed_state(state, along(1.0), J)


def signed_state(state: Array, dyad: Dyad, J: float) -> DyadState:
    """With the sign of J, where dyad has |J|."""
    a, b, theta = (float(x) for x in state)
    theta = theta + (math.pi if J < 0 else 0.0)
    theta = math.pi - (math.pi - theta) % (2 * math.pi)  # into (-pi, pi]
    return DyadState(a, b, theta, float(rates(state, dyad)[1]), float(growth_rate(state, dyad)))


def phase_boundary(gamma: ArrayLike, g: ArrayLike, J: ArrayLike) -> Array:
    """xi (...) above which the symmetric state of equal dyads is stable, from the Jacobian of Eq. (1) by bracketing.

    It is the upper surface of Fig. 1a, to 1e-9 of its value, where the asymmetric states next to it are stable; see
    `lasting_below`. gamma, g, J broadcast; J of either sign. Not a number where no xi between 1e-8 and 1e8 bounds them:
    below the threshold gamma + |J| = 1, at |J| >= 1 and for g <= 0.
    """
    gamma, g, J = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in (gamma, g, np.abs(J))))
    shape = gamma.shape
    gamma, g, J = gamma.ravel(), g.ravel(), J.ravel()
    low, high = np.full(gamma.shape, math.log(1e-8)), np.full(gamma.shape, math.log(1e8))
    good = (gamma + J > 1) & (J > 0) & (J < 1)
    gamma, J = np.where(good, gamma, 1.0), np.where(good, J, 0.5)  # states of these are not used

    def rate(log_xi: Array) -> Array:
        xi = np.exp(log_xi)
        a = np.sqrt((gamma + J - 1) / ((1 - J) * xi))
        return growth_rate(np.stack((a, a, np.zeros_like(a)), axis=-1), Dyad.alike(gamma, g, xi, J))

    found = good & (rate(low) > 0) & (rate(high) < 0)
    for _ in range(14):  # to 0.002 of xi
        middle = (low + high) / 2
        grows = rate(middle) > 0
        low, high = np.where(grows, middle, low), np.where(grows, high, middle)
    grows_by, fades_by = rate(low), rate(high)
    for _ in range(4):  # by regula falsi: there the rate is as good as straight
        middle = low + (high - low) * grows_by / np.where(found, grows_by - fades_by, 1.0)
        by = rate(middle)
        low, grows_by = np.where(by > 0, middle, low), np.where(by > 0, by, grows_by)
        high, fades_by = np.where(by > 0, high, middle), np.where(by > 0, fades_by, by)
    return np.where(found, np.exp(middle), np.nan).reshape(shape)


def lasting_below(gamma: ArrayLike, g: ArrayLike, J: ArrayLike) -> NDArray[np.bool_]:
    """Whether asymmetric states exist and are stable right below the bound (...): the pitchfork is supercritical.

    It is not so at weak coupling near the threshold, for example at (g, J, gamma) = (0.2, 0.05, 1.3): there dyads
    oscillate below the bound.
    """
    J = np.abs(np.asarray(J, np.float64))
    state, xi = near_pitchfork(gamma, g, J)
    below = xi < pitchfork_bound(gamma, g, J)
    return np.asarray(below & (growth_rate(state, Dyad.alike(gamma, g, xi, J)) < 0))

"""Chebyshev expansions on -1 to 1: nodes, polynomials with their derivatives, interpolation, Bessel functions.

exp(-i a x) = sum_n (2 - [n = 0]) (-i)^n J_n(a) T_n(x) converges once n exceeds a: what a transform over a bounded
panel needs for a bounded window.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel

Array = NDArray[np.float64]

_TINY = 1e-6
"""Argument below which Bessel functions are the first terms of their series, to 1e-18."""
_LARGE = 1e150


def terms_for(argument: float, tolerance: float) -> int:
    """Terms after which the expansion of exp(i argument x), |x| <= 1, has converged."""
    from scipy.special import jv  # a seventh of a second, which every process of a bench would pay

    orders = np.arange(int(argument) + 60)
    beyond = np.cumsum(np.abs(jv(orders, argument))[::-1])[::-1] * 2
    return max(int(np.argmax(beyond < tolerance)), 1)


def nodes(count: int) -> Array:
    """Roots (count,) of T_count."""
    return np.asarray(np.cos(math.pi * (np.arange(count) + 0.5) / count))


def polynomials(x: Array, terms: int, derivatives: int) -> Array:
    """T_n and its first derivatives (derivatives + 1, points, terms) at points x of -1 to 1."""
    values = np.asarray(np.polynomial.chebyshev.chebvander(x, terms - 1), np.float64)
    slope = np.zeros((terms, terms))  # T_n' = sum_m slope[m, n] T_m = 2 n (T_{n-1} + T_{n-3} + ...)
    for n in range(1, terms):
        slope[n - 1 :: -2, n] = 2 * n
    slope[0] /= 2
    found = [values]
    for _ in range(derivatives):
        values = values @ slope if not found[1:] else found[0] @ np.linalg.matrix_power(slope, len(found))
        found.append(values)
    return np.stack(found)


def interpolation(at: Array, points: Array) -> Array:
    """(points, nodes) values of the polynomials that are 1 at one of `nodes`, scaled to ``at``, and 0 at the others.

    at: roots of a Chebyshev polynomial on any interval, of which points may lie a little outside. Barycentric, second
    form (Berrut and Trefethen, SIAM Review 46, 501).
    """
    count = len(at)
    weights = np.sin(math.pi * (np.arange(count) + 0.5) / count) * (-1.0) ** np.arange(count)
    apart = points[:, None] - at[None, :]
    hit = apart == 0
    share = weights / np.where(hit, 1.0, apart)
    on_node = hit.any(axis=1)
    share[on_node] = hit[on_node]
    return np.asarray(share / share.sum(axis=1, keepdims=True))


@kernel
def bessel(arguments: Array, terms: int) -> Array:
    """J_n of orders 0 to ``terms`` - 1 (arguments, terms), by Miller's downward recurrence; to 1e-14."""
    out = np.zeros((len(arguments), terms))
    for i in range(len(arguments)):
        x = abs(arguments[i])
        if x < _TINY:
            out[i, 0] = 1.0 - x * x / 4
            if terms > 1:
                out[i, 1] = arguments[i] / 2
            if terms > 2:
                out[i, 2] = x * x / 8
            continue
        start = 2 * ((max(terms, int(x)) + 16 + int(math.sqrt(60.0 * max(terms, int(x))))) // 2)
        above, here, total = 0.0, 1e-30, 0.0
        for n in range(start, -1, -1):  # here is J_n, unnormalised
            if n < terms:
                out[i, n] = here
            if n % 2 == 0:
                total += here if n == 0 else 2 * here
            above, here = here, 2 * n / x * here - above
            if abs(here) > _LARGE:
                here /= _LARGE
                above /= _LARGE
                total /= _LARGE
                for m in range(n, terms):
                    out[i, m] /= _LARGE
        for n in range(terms):
            out[i, n] /= total
            if arguments[i] < 0 and n % 2:
                out[i, n] = -out[i, n]
    return out

"""Eqs (1) and (12) of a thermodynamic computer, Euler and Maruyama, by numpy in double precision: all trajectories at
once, as one writes the equations down, and as one does who has measured where the time goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def as_written(x: Array, J: Array, b: Array, J2: float, J4: float, dt: float, steps: int) -> Array:
    """States (trajectories, N) after so many steps from x."""
    rng = np.random.default_rng(0)
    for _ in range(steps):
        gradient = 2 * J2 * x + 4 * J4 * x**3 + b + x @ J
        x = x - gradient * dt + np.sqrt(2 * dt) * rng.standard_normal(x.shape)
    return x


def in_place(
    J: Array, b: Array, J2: float, J4: float, dt: float, steps: int, field: str, visible: int, left: Array, right: Array
) -> Callable[[Array], Array]:
    """The same in memory that is kept, constants multiplied into J beforehand, noise of numpy's fastest generator.

    field: "all" multiplies by J; "blocks" leaves out visible units among each other; "patterns" multiplies by
    left (N, rank) @ right (rank, N), which is J but for its diagonal.
    """
    rng = np.random.Generator(np.random.SFC64(0))
    n = len(J)
    step = -dt * J
    from_visible, from_hidden = step[:visible, visible:].copy(), step[visible:].copy()
    right_t, left_t = right.T.astype(np.float64), -dt * left.T.astype(np.float64)
    own = -(left.astype(np.float64) * right.T).sum(axis=1) if field == "patterns" else np.zeros(n)
    linear, cubic, bias, kick = 1 - dt * (2 * J2 + own), -4 * J4 * dt, -dt * b, np.sqrt(2 * dt)

    def march(x: Array) -> Array:
        x = x.copy()
        push, noise = np.empty_like(x), np.empty_like(x)
        inner, hidden = np.empty((len(x), right_t.shape[1])), np.empty((len(x), n - visible))
        for _ in range(steps):
            if field == "all":
                np.matmul(x, step, out=push)
            elif field == "blocks":
                np.matmul(x[:, visible:], from_hidden, out=push)
                np.matmul(x[:, :visible], from_visible, out=hidden)
                push[:, visible:] += hidden
            else:
                np.matmul(x, right_t, out=inner)
                np.matmul(inner, left_t, out=push)
            push += bias
            np.multiply(x, x, out=noise)
            noise *= cubic
            noise += linear
            x *= noise
            x += push
            rng.standard_normal(out=noise)
            noise *= kick
            x += noise
        return x

    return march

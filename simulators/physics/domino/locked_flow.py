"""The locked flow of many starts side by side, fast: fields stay real between locks, and each step is one product.

The total field S is stiff (its rate is N S^2), so it is taken implicitly, the rest explicitly: with v = W x, a step h

    h N S'^3 + (1 - h N gamma) S' = S + h sum(v),     x_i <- x_i + h v_i + (S' - S - h sum(v)) / N

with S' the total after the step, exactly. h times W's largest eigenvalue should be below 1/2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import reordering_kernel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stage:
    """A part of a run: steps of length h, locked after every so many, at a gain that goes from one value to another.

    read: of its last steps, at whose locks signs are read; 0 for none. decay: of each field by itself, -decay psi_i in
    Eq. (5), from one value to another.
    """

    steps: int
    h: float
    every: int
    gamma: tuple[float, float]
    read: int = 0
    decay: tuple[float, float] = (0.0, 0.0)


def paper_stages(gamma: float, tau: float = 0.1, steps: int = 1500) -> tuple[Stage, Stage]:
    """The sheet's run for N about 50: dt 0.02, locked every tau, then dt = tau = 0.005, read out on a third of that."""
    every = max(1, round(tau / 0.02))
    return (
        Stage(steps, tau / every, every, (gamma, gamma)),
        Stage(steps, 0.005, 1, (gamma, gamma), max(1, steps // 3)),
    )


def window(nodes: int) -> float:
    """Time between locks: 0.1 for N up to 50, 5/N up to 100, and from there on less, down to 1.25/N from 200.

    The total field draws every node that is not linked with the winners below 0 within a window, and the lock puts it
    as far above. N such nodes have a total of their own, of about N tau, which must be small beside that of winners:
    if it is not, some of these turn their sign at every lock, too, and are not read out.
    """
    return min(0.1, float(np.interp(nodes, (100, 200), (5.0, 1.25))) / nodes)


def stages_for(
    nodes: int,
    largest: float,
    gamma: float,
    tau: float | None = None,
    duration: float = 10.0,
    read: int = 300,
    decay: float = 0.0,
    gamma_end: float | None = None,
) -> tuple[Stage, Stage]:
    """A run for any network: time to settle hardly grows with N, but windows shrink (`window`), and steps with W's
    largest eigenvalue: h largest <= 1/2, then, locked at every step and read out, a quarter of that.

    tau: between locks, `window` if None. duration: of the first stage. read: steps of the second, of which a third is
    read. decay: of each field by itself, at the beginning; it falls to nothing within the first stage, in which the
    gain goes evenly from gamma to gamma_end, if that is told.
    """
    end = gamma if gamma_end is None else gamma_end
    tau = window(nodes) if tau is None else tau
    fastest = largest + decay
    every = max(1, int(np.ceil(tau / min(0.02, 0.5 / fastest if fastest > 0 else 0.02) - 1e-9)))
    h = tau / every
    windows = max(1, round(duration / tau))
    return (
        Stage(windows * every, h, every, (gamma, end), decay=(decay, 0.0)),
        Stage(read, min(0.005, tau, 0.125 / largest if largest > 0 else tau), 1, (end, end), max(1, read // 3)),
    )


@dataclass(frozen=True, eq=False)
class Locked:
    """Where starts ended. x: (N, starts) amplitudes. flips: (N, starts) share of the locks read at which a node's sign
    had turned. moved: (starts,) largest change of x / S in the last step, per unit of time."""

    x: Array
    flips: Array
    moved: Array

    def support(self, most_flips: float = 0.0) -> NDArray[np.bool_]:
        """Nodes (N, starts) that kept their sign."""
        return np.asarray((self.flips <= most_flips) & (self.x > 0))


def starts(nodes: int, count: int, rng: np.random.Generator) -> Array:
    """Even in [0, 2/N] (nodes, count)."""
    return np.asarray(rng.uniform(0, 2 / nodes, (nodes, count)))


def spread_starts(nodes: int, count: int, power: float, rng: np.random.Generator) -> Array:
    """U[0, 1]^power (nodes, count), scaled to a total of 1: a few nodes begin ahead, and ends differ more. 1 is
    `starts`, but for the total's spread."""
    x = rng.random((nodes, count)) ** power
    return np.asarray(x / x.sum(axis=0))


def flow(
    W: Array,
    x: Array,
    stages: tuple[Stage, ...],
    eta: float = 0.0,
    rng: np.random.Generator | None = None,
    watch: Callable[[float, Array], None] | None = None,
) -> Locked:
    """Run starts x (N, starts) through stages.

    eta: couplings W_ij (1 + eta U[-1, 1]) are drawn anew in every window between locks, as by a medium that varies.
    watch: is told the time and x after every lock; x is the flow's own, to be copied.
    """
    n, count = x.shape
    W = np.ascontiguousarray(W, np.float64)
    state = np.array(x, np.float64, order="C")
    v, flips = np.empty_like(state), np.zeros((n, count))
    before, reads, largest = np.empty_like(state), 0, np.zeros(count)
    now, t = W, 0.0
    for stage in stages:
        gains, decays = np.linspace(*stage.gamma, stage.steps), np.linspace(*stage.decay, stage.steps)
        for k in range(stage.steps):
            if eta and k % stage.every == 0:
                now = _varied(W, eta, rng or np.random.default_rng())
            np.matmul(now, state, out=v)
            if decays[k]:
                v -= decays[k] * state
            lock = (k + 1) % stage.every == 0 or k == stage.steps - 1
            read = lock and k >= stage.steps - stage.read
            reads += read
            last = stage is stages[-1] and k == stage.steps - 1
            if last:
                before[:] = state
            _step(state, v, stage.h, float(gains[k]), lock, read, flips)
            t += stage.h
            if lock and watch is not None:
                watch(t, state)
    total = state.sum(axis=0)
    share = np.abs(
        state / np.where(total > 0, total, 1) - before / np.where(before.sum(axis=0) > 0, before.sum(axis=0), 1)
    )
    largest = share.max(axis=0) / stages[-1].h
    return Locked(state, flips / max(reads, 1), largest)


def _varied(W: Array, eta: float, rng: np.random.Generator) -> Array:
    factor = np.triu(1 + eta * rng.uniform(-1, 1, W.shape), 1)
    return np.asarray(W * (factor + factor.T))


@reordering_kernel
def _step(x: Array, v: Array, h: float, gamma: float, lock: bool, read: bool, flips: Array) -> None:
    """One step of x (N, starts) in place, v = W x; locked, and turned signs counted, if so told."""
    n, count = x.shape
    a, b = h * n, 1.0 - h * n * gamma
    total, drive = np.zeros(count), np.zeros(count)
    for i in range(n):
        for s in range(count):
            total[s] += x[i, s]
            drive[s] += v[i, s]
    for s in range(count):
        right = total[s] + h * drive[s]
        S = max(total[s], 1e-3)
        for _ in range(12):
            change = (a * S * S * S + b * S - right) / (3.0 * a * S * S + b if 3.0 * a * S * S + b > 1e-9 else 1e-9)
            S -= change
            if abs(change) < 1e-13 * (1.0 + abs(S)):
                break
        drive[s] = (S - right) / n
    for i in range(n):
        for s in range(count):
            value = x[i, s] + h * v[i, s] + drive[s]
            if lock and value < 0.0:
                value = -value
                if read:
                    flips[i, s] += 1.0
            x[i, s] = value

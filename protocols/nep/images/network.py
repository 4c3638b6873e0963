"""Ten cells behind walls, one for each digit, fed the same image: outputs, and gradients by the rules of `cells`.

What a cell is fed is w_k X_k at each of its nodes; its output is |psi|² at its centre. The cost is the cross entropy
of softmax(s |psi|²), with the gain s. The error T - softmax is what the nudge is proportional to, Eq. (7).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulators.physics.sheet.cells import CellSolver, Operator, Real, Rule

Array = NDArray[np.float64]
Train = Literal["Vw", "V"]
T = TypeVar("T")

AT_ONCE = 500
"""Images that are judged side by side."""

_EPSILON = 1e-300


class Answers(NamedTuple):
    """density: (n, cells), |psi|² at the outputs. settled: (n,), whether all cells did. mean_density: over images that
    did, nodes and cells. iterations: products with an inverse."""

    density: Array
    settled: NDArray[np.bool_]
    mean_density: float
    iterations: int


class Learnt(NamedTuple):
    """Of a batch: descents -dC/dV and -dC/dw (cells, nodes) of the mean cost over images that settled; cost; how many
    were right, and how many did not settle."""

    V: Array
    w: Array
    cost: float
    right: int
    unsettled: int


class CellNetwork:
    """Potentials V and weights w (cells, nodes) and what goes with them. threads: cells that are computed at a time;
    results do not depend on it."""

    def __init__(self, solver: CellSolver, V: Array, w: Array, threads: int = 1) -> None:
        self.solver, self.V, self.w = solver, V, w
        self.shift = np.zeros_like(V)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._operators: list[Operator] = []

    def __enter__(self) -> CellNetwork:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End its threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def refresh(self) -> None:
        """Invert each cell's operator as it is now: before the first use, and again when V has changed much."""
        self._operators = self._each(lambda c: self.solver.operator(self.V[c], self.shift[c]))

    def follow(self) -> None:
        """Take V as it is now, with the inverses of before."""
        self._operators = [o._replace(level=self.solver.level(V)) for o, V in zip(self._operators, self.V, strict=True)]

    def answers(self, x: Real) -> Answers:
        """Of images (n, nodes)."""
        density, settled, sums, iterations = [], [], 0.0, 0
        for first in range(0, len(x), AT_ONCE):
            part = x[first : first + AT_ONCE]
            found = self._each(lambda c, part=part: self._answer(c, part))  # type: ignore[misc]
            density.append(np.stack([rho for rho, *_ in found], axis=1))
            good = np.all([ok for _, ok, *_ in found], axis=0)
            settled.append(good)
            sums += float(np.sum([means[good].sum() for *_, means, _ in found])) / len(found)
            iterations += sum(count for *_, count in found)
        all_settled = np.concatenate(settled)
        mean = sums / max(1, int(all_settled.sum()))
        return Answers(np.concatenate(density), all_settled, mean, iterations)

    def _answer(self, cell: int, x: Real) -> tuple[Array, NDArray[np.bool_], Array, int]:
        found = self.solver.free(self._pump(cell, x), self._operators[cell])
        rho = (found.psi**2).sum(axis=1)
        return rho[:, self.solver.output].astype(np.float64), found.settled, rho.mean(axis=1), found.iterations

    def learn(self, x: Real, labels: NDArray[np.int64], rule: Rule, gain: float) -> Learnt:
        """Of a batch (n, nodes) with labels (n,), by one free phase and one response of each cell."""
        free = self._each(lambda c: self.solver.free(self._pump(c, x), self._operators[c]))
        output = self.solver.output
        density = np.stack([(f.psi[:, :, output].astype(np.float64) ** 2).sum(axis=1) for f in free], axis=1)
        good = np.all([f.settled for f in free], axis=0)
        share = softmax(gain * density)
        error = -share
        error[np.arange(len(x)), labels] += 1
        error[~good] = 0

        def descend(c: int) -> tuple[Array, Array, NDArray[np.bool_], Array]:
            psi = free[c].psi
            u, found = self.solver.response(psi, rule, self._operators[c], error[:, c])
            weight = np.where(found, error[:, c], 0).astype(u.dtype)
            V, w = descents(psi, u, x, rule, weight)
            rho = (psi[good] ** 2).sum(axis=1)
            return V, w, found, rho.mean(axis=0) if len(rho) else np.zeros(self.solver.nodes)

        found = self._each(descend)
        lost = ~good | ~np.all([ok for *_, ok, _ in found], axis=0)
        if good.any():
            self.shift = 2 * self.solver.sheet.g * np.stack([rho for *_, rho in found]).astype(np.float64)
        count = max(1, int(good.sum()))
        cost = -np.log(share[np.arange(len(x)), labels] + _EPSILON)[good].sum() / count
        return Learnt(
            gain * np.stack([V for V, *_ in found]) / count,
            gain * np.stack([w for _, w, *_ in found]) / count,
            float(cost),
            int((density.argmax(axis=1) == labels)[good].sum()),
            int(lost.sum()),
        )

    def _pump(self, cell: int, x: Real) -> Real:
        pump = np.zeros((len(x), 2, x.shape[1]), self.solver.dtype)
        np.multiply(x, self.w[cell].astype(self.solver.dtype), out=pump[:, 0])
        return pump

    def _each(self, of: Callable[[int], T]) -> list[T]:
        cells = range(len(self.V))
        return list(self._pool.map(of, cells)) if self._pool is not None else [of(c) for c in cells]


def descents(psi: Real, u: Real, x: Real, rule: Rule, weight: Real) -> tuple[Array, Array]:
    """Σ over samples of -dC/dV and -dC/dw (nodes,), as the rule has them, for responses u to sources of unit error.

    weight: (samples,), the error e = T - share of each. Rule "nep", Eqs (11), (12): dV = -e 2 Re(conj(psi) u),
    dw = -2 e X Im u. Other rules: dV = -e 2 Re(psi u), dw = +2 e X Im u.
    """
    sign = 1.0 if rule == "nep" else -1.0
    if not weight.all():
        kept = np.flatnonzero(weight)
        psi, u, x, weight = psi[kept], u[kept], x[kept], weight[kept]
    weighted = weight[:, None]
    V = -2 * (weighted * (psi[:, 0] * u[:, 0] + sign * psi[:, 1] * u[:, 1])).sum(axis=0, dtype=np.float64)
    w = -2 * sign * (weighted * x * u[:, 1]).sum(axis=0, dtype=np.float64)
    return V, w


def softmax(z: Array) -> Array:
    """Along the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def accuracy_of(answers: Answers, labels: NDArray[Any]) -> float:
    """Share of images whose brightest output is their digit's; one that does not settle is not recognised."""
    return float(((answers.density.argmax(axis=1) == labels) & answers.settled).mean())

"""What pulls outputs towards their targets in the nudged phase: -i beta dC/dpsi*, Eqs. (5) and (7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.physics.sheet.equation import Array, Complex, Sheet, SheetError

Cost = Literal["mse", "cce"]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Nudge:
    """A nudge that follows psi while it settles.

    outputs: (n,) flat indices of nodes. targets: (..., n). beta: a number of either sign, or one of each sample (...).
    cost: "mse", C = sum (T - |psi|^2)^2 / 2, or "cce", C = -sum T log softmax(gain |psi|^2).
    """

    outputs: Indices
    targets: Array
    beta: float | Array
    cost: Cost = "mse"
    gain: float = 1.0

    def spread(self, batch: tuple[int, ...], nodes: int) -> Nudge:
        """With targets (samples, n) and beta (samples,) for a flattened batch of a sheet with so many nodes."""
        outputs = np.asarray(self.outputs, np.int64)
        if outputs.ndim != 1 or len(set(outputs.tolist())) != len(outputs):
            raise SheetError(f"outputs {outputs.tolist()}: give different nodes, one after the other")
        if len(outputs) and not (outputs.min() >= 0 and outputs.max() < nodes):
            raise SheetError(f"outputs {outputs.tolist()}: the sheet has nodes 0 to {nodes - 1}")
        if not np.isfinite(self.beta).all():
            raise SheetError("beta holds numbers that are none or infinite; choose a finite nudge")
        targets = np.broadcast_to(self.targets, (*batch, len(outputs))).reshape(-1, len(outputs))
        beta = np.broadcast_to(np.asarray(self.beta, np.float64), batch).reshape(-1)
        return Nudge(
            outputs, np.ascontiguousarray(targets, np.float64), np.ascontiguousarray(beta), self.cost, self.gain
        )

    def of(self, which: Indices) -> Nudge:
        """Of some samples of a spread nudge."""
        return Nudge(self.outputs, self.targets[which], np.asarray(self.beta)[which], self.cost, self.gain)

    def drive(self, psi: Complex) -> Complex:
        """What it adds to kappa at the outputs (samples, n) of amplitudes (samples, *shape); spread nudges only."""
        at = psi.reshape(len(psi), -1)[:, self.outputs]
        e = output_error(np.abs(at) ** 2, self.targets, self.cost, self.gain)
        return np.asarray(1j * np.asarray(self.beta)[:, None] * e * at)

    def add_slope(self, diagonal: Complex, conjugate: Complex, psi: Complex) -> None:
        """Into the linearised equation (samples, *shape), what it adds at its own node; a softmax's other nodes enter
        to order beta, and are left out."""
        at = psi.reshape(len(psi), -1)[:, self.outputs]
        density = np.abs(at) ** 2
        e = output_error(density, self.targets, self.cost, self.gain)
        if self.cost == "mse":
            slope = np.full_like(density, -1.0)
        else:
            share = self.targets - e / self.gain
            slope = -(self.gain**2) * share * (1 - share)
        beta = np.asarray(self.beta)[:, None]
        diagonal.reshape(len(psi), -1)[:, self.outputs] += 1j * beta * (e + slope * density)
        conjugate.reshape(len(psi), -1)[:, self.outputs] += 1j * beta * slope * at**2


def outputs_of(psi: Complex, outputs: ArrayLike, sheet: Sheet) -> Array:
    """|psi|^2 (..., n) at flat indices of nodes of amplitudes (..., *shape)."""
    flat = psi.reshape(*psi.shape[: psi.ndim - len(sheet.shape)], -1)
    return np.asarray(np.abs(flat[..., np.asarray(outputs)]) ** 2)


def output_error(density: Array, targets: ArrayLike, cost: str = "mse", gain: float = 1.0) -> Array:
    """e = -dC/d|psi|^2 (..., n): T - |psi|^2, or gain (T - softmax(gain |psi|^2)) for targets that add up to 1."""
    targets = np.asarray(targets, np.float64)
    if cost == "mse":
        return np.asarray(targets - density)
    return np.asarray(gain * (targets - softmax(gain * density)))


def output_cost(density: Array, targets: ArrayLike, cost: str = "mse", gain: float = 1.0) -> Array:
    """C (...) of outputs (..., n): half the squared distance, or the categorical cross-entropy."""
    targets = np.asarray(targets, np.float64)
    if cost == "mse":
        return np.asarray(0.5 * ((targets - density) ** 2).sum(axis=-1))
    x = gain * density
    top = x.max(axis=-1, keepdims=True)
    return np.asarray(-(targets * (x - top - np.log(np.exp(x - top).sum(axis=-1, keepdims=True)))).sum(axis=-1))


def softmax(x: Array) -> Array:
    """Along the last axis."""
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))

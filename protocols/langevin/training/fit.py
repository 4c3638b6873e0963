"""Couplings and biases that most probably reverse noising trajectories: by the paper's ascent, or at once.

The reversed action is quadratic in both (`protocols.langevin.training.sums`), so that its minimum is a linear
least-squares problem; conjugate gradients solve it in some tens of products of matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.langevin.training.sums import Sums

Single = NDArray[np.float32]


class Fit:
    """Couplings so far. mask: (N, N) symmetric, true where units may be coupled; free: (N,), which biases are learned.

    weight: (N,), of each unit's part of the action; w is that of a unit of temperature 1/w. One with a `rate` climbs
    the gradient, one without takes steps of conjugate gradients.
    """

    def __init__(
        self,
        sums: Sums,
        mask: NDArray[np.bool_],
        free: NDArray[np.bool_],
        rate: float | None = None,
        weight: NDArray[np.floating] | None = None,
    ) -> None:
        n = len(mask)
        if not np.array_equal(mask, mask.T) or np.diagonal(mask).any():
            raise ConfigurationError(
                "graph: not symmetric, or units are coupled to themselves; allowed: pairs of units"
            )
        self._mask = mask.astype(np.float32)
        self._free = free.astype(np.float32)
        self._weight = np.ones(n, np.float32) if weight is None else weight.astype(np.float32)
        self.rate = rate
        self.J: Single = np.zeros((n, n), np.float32)
        self.b: Single = np.zeros(n, np.float32)
        self.take(sums)

    def take(self, sums: Sums) -> None:
        """Other trajectories; conjugate directions begin anew."""
        self.sums = sums
        self._xx = sums.xx
        self._x, self._g = sums.x.astype(np.float32), sums.g.astype(np.float32)
        self._residual()
        self._start = getattr(self, "_start", 0.0) or self.size
        self._along = self._r_J.copy(), self._r_b.copy()

    def copy(self) -> Fit:
        """Conjugate gradients from here on."""
        other = Fit(self.sums, self._mask > 0, self._free > 0, weight=self._weight)
        other.J, other.b = self.J.copy(), self.b.copy()
        other.take(self.sums)
        return other

    def fix(self, which: NDArray[np.bool_], J: Single) -> None:
        """Couplings ``which`` (N, N) are those of J, and no longer fitted."""
        self.J[which] = J[which]
        self._mask[which] = 0
        self.take(self.sums)

    @property
    def downhill(self) -> tuple[Single, Single]:
        """Minus the derivatives of the action by couplings (N, N) and biases (N,), Eqs (10, 11)."""
        return self._r_J, self._r_b

    @property
    def size(self) -> float:
        """Norm of the gradient."""
        return float(np.sqrt(_inner(self._r_J, self._r_b, self._r_J, self._r_b)))

    @property
    def gap(self) -> float:
        """Norm of the gradient relative to that without couplings: 0 at the minimum."""
        return self.size / self._start if self._start > 0 else 0.0

    @property
    def action(self) -> float:
        """The action (k_BT) of an image's trajectory, less that without couplings and learned biases: below 0."""
        return self.action_of(self.J)

    def action_of(self, J: Single) -> float:
        """The same with other couplings."""
        b, s = self.b, self.sums
        w = self._weight
        wJ, wb = w[:, None] * J, w * b
        quadratic = _dot(wJ, J @ self._xx) + 2 * _dot(wb, J @ self._x) + s.duration * _dot(wb, b)
        return 0.25 * (quadratic + 2 * _dot(wJ, s.gx) + 2 * _dot(wb, self._g))

    def step(self) -> None:
        """One of the ascent, Eqs (8, 9), or one of conjugate gradients."""
        if self.rate is not None:
            self.J += np.float32(self.rate) * self._r_J
            self.b += np.float32(self.rate) * self._r_b
            self._residual()
            if not np.isfinite(self.size) or self.gap > 1e3:
                raise ConfigurationError(f"rate={self.rate:g}: couplings grow without end; choose a smaller one")
            return
        p_J, p_b = self._along
        q_J, q_b = self._applied(p_J, p_b)
        before = self.size**2
        curvature = _inner(p_J, p_b, q_J, q_b)
        if curvature <= 0:
            return
        self.J += np.float32(before / curvature) * p_J
        self.b += np.float32(before / curvature) * p_b
        self._r_J -= np.float32(before / curvature) * q_J
        self._r_b -= np.float32(before / curvature) * q_b
        turn = np.float32(self.size**2 / before) if before > 0 else np.float32(0)
        self._along = self._r_J + turn * p_J, self._r_b + turn * p_b

    def steepest_rate(self, iterations: int = 12) -> float:
        """Rate at which the ascent is fast and does not overshoot: 1/largest curvature, by the power method."""
        J = self._r_J / np.float32(max(self.size, 1e-30))
        b = self._r_b / np.float32(max(self.size, 1e-30))
        size = 1.0
        for _ in range(iterations):
            J, b = self._applied(J, b)
            size = float(np.sqrt(_inner(J, b, J, b)))
            if size == 0:
                return 1.0
            J, b = J / np.float32(size), b / np.float32(size)
        return 1 / size

    def _residual(self) -> None:
        """Downhill: minus the derivatives of the action, Eqs (10, 11)."""
        q_J, q_b = self._applied(self.J, self.b)
        S = self._weight[:, None] * self.sums.gx
        self._r_J = -np.float32(0.5) * (S + S.T) * self._mask - q_J
        self._r_b = -np.float32(0.5) * self._weight * self._g * self._free - q_b

    def _applied(self, J: Single, b: Single) -> tuple[Single, Single]:
        S = J @ self._xx
        S += np.outer(b, self._x)
        S *= self._weight[:, None]
        q_J = np.float32(0.5) * (S + S.T) * self._mask
        q_b = np.float32(0.5) * (J @ self._x + np.float32(self.sums.duration) * b) * self._weight * self._free
        return q_J, q_b

    # --- keeping and resuming ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that steps to come depend on besides the sums."""
        return {"J": self.J, "b": self.b, "p_J": self._along[0], "p_b": self._along[1], "start": self._start,
                "r_J": self._r_J, "r_b": self._r_b, "rate": self.rate or 0.0}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.J, self.b, p_J, p_b = (np.array(state[k], np.float32) for k in ("J", "b", "p_J", "p_b"))
        self._r_J, self._r_b = (np.array(state[k], np.float32) for k in ("r_J", "r_b"))
        self._along, self._start = (p_J, p_b), float(state["start"])
        self.rate = float(state["rate"]) or None


def _inner(J: NDArray[Any], b: NDArray[Any], K: NDArray[Any], c: NDArray[Any]) -> float:
    """Each pair of units counts once, as each bias does."""
    return 0.5 * _dot(J, K) + _dot(b, c)


def _dot(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.vdot(a, b))

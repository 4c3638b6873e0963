"""Complex numbers on phase-only panels: a e^{i theta}, a <= 1, as pixels of phases theta +- arccos a (Davis, 1999).

The strip alternates every two columns, the coupling panel every four columns and every two rows. So in any eight
columns of a row all pairs of signs are met alike, and what passes both panels is the product of their means; and
fringing fields, which spoil borders between signs, meet few of them. Phases are about pi, where real numbers from -1 to
1 need no wrap. Within a macro-pixel they are spread over one gray level, so that a mean is rounded finer than a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.client import LimitError, Sequence
from protocols.domino.table.alignment import COUPLING_PERIOD, DominoAlignment

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Phases = NDArray[np.float32]

LEAK = 0.3
"""Share of a panel's area in which fringing fields are between two signs, until it is measured."""


@dataclass(frozen=True)
class Panel:
    """Size of a panel, and its gray levels over 2 pi; 0 for a continuous one."""

    rows: int
    columns: int
    levels: int


class Strip:
    """Macro-pixels of so many nodes in the middle of the vector panel."""

    def __init__(self, plan: DominoAlignment, panel: Panel, nodes: int, size: int, spare: int) -> None:
        """size: of a macro-pixel, in the plan's. spare: of those, left free before the first."""
        m = plan.vector
        self.nodes, self.rows = nodes, m.rows
        self._columns = size * m.columns
        self._origin = np.array([m.row, m.column + spare * m.columns], np.int32)
        self._sign = signs_along(self._columns)
        self._spread = _spread(self._columns // 2, panel.levels)[_order(self._sign)]
        dark = signs_along(panel.columns) * np.float32(turned_off(LEAK / 2)) + np.float32(math.pi)
        self._base = np.tile(dark, (panel.rows, 1))
        self._dark = dark[: self._columns] + self._spread

    def patterns(self, alpha: Array, theta: Array | float = 0.0, guard: int = 0) -> Phases:
        """Phases (vectors, rows, columns), rad, of macro-pixels pi + theta +- alpha, both (nodes, vectors).

        guard: columns that stay dark on both sides of each, so that no light of it falls on its neighbour's place.
        """
        middle = (np.asarray(theta) + math.pi).astype(np.float32)
        middle = np.broadcast_to(middle, alpha.shape)
        row = middle[:, :, None] + self._sign * alpha[:, :, None].astype(np.float32) + self._spread
        if guard:
            edge = np.minimum(np.arange(self._columns), np.arange(self._columns)[::-1]) < guard
            row = np.where(edge, self._dark, row)
        line = np.mod(row.transpose(1, 0, 2).reshape(alpha.shape[1], -1), np.float32(2 * math.pi))
        return np.repeat(line[:, None, :], self.rows, axis=1)

    def sequence(self, patterns: Phases) -> Sequence:
        """One pattern after the other, on a panel that is dark elsewhere."""
        count = len(patterns)
        return Sequence(
            base=self._base,
            base_origin=(0, 0),
            patches=patterns,
            patch_origins=np.tile(self._origin, (count, 1)),
            offsets=np.arange(count + 1, dtype=np.int32),
            indices=np.arange(count, dtype=np.int32),
        )


class Couplings:
    """Macro-pixels of the coupling panel, bands by nodes, in the middle of those that fit."""

    def __init__(
        self,
        plan: DominoAlignment,
        panel: Panel,
        shape: tuple[int, int],
        size: tuple[int, int],
        spare: tuple[int, int],
    ) -> None:
        """shape: bands and nodes. size, spare: as for the strip, of bands and of nodes."""
        m = plan.coupling
        self.shape, self.leak = shape, LEAK
        self._size = (size[0] * m.rows, size[1] * m.columns)
        self._halved = self._size[1] % (2 * COUPLING_PERIOD[1]) == 0
        corner = (m.row + spare[0] * m.rows, m.column + spare[1] * m.columns)
        self._inside = tuple(slice(a, a + n * k) for a, n, k in zip(corner, shape, self._size, strict=True))
        r, c = np.indices((panel.rows, panel.columns))
        self._sign = np.where((c // 4 + r // 2) % 2, -1.0, 1.0)
        self._last = 2 * math.pi * (1 - 1 / panel.levels) if panel.levels else 2 * math.pi
        one = self._sign[self._inside][: self._size[0], : self._size[1]]
        order = _order(one.ravel()).reshape(one.shape)
        self._spread = np.tile(_spread(one.size // 2, panel.levels)[order], shape)

    def pattern(self, T: Complex) -> Phases:
        """Phases (rows, columns), rad, of the whole panel with macro-pixels T (bands, nodes); dark elsewhere.

        Raises LimitError where one is larger than 1.
        """
        amount = np.abs(T)
        if amount.max() > 1 + 1e-9:
            raise LimitError(f"a coupling's macro-pixel would have amplitude {amount.max():.3g}; 1 is the most")
        theta, alpha = in_halves(T, self.leak) if self._halved else without_wrap(T, self.leak)
        return self._phases(theta, alpha)

    def dark_pattern(self, theta: float) -> Phases:
        """Pixels theta +- pi / 2 about pi in all macro-pixels: no light but the fringing fields' leak, e^{i theta}."""
        return self._phases(np.full(self.shape, theta), np.full(self.shape, math.pi / 2))

    def _phases(self, theta: Array, alpha: Array) -> Phases:
        """Of macro-pixels, or of their halves side by side."""
        blocks = np.ones((self._size[0], self._size[1] * self.shape[1] // theta.shape[1]))
        phase = math.pi + self._sign * float(turned_off(self.leak))
        phase[self._inside] = math.pi + np.kron(theta, blocks) + self._sign[self._inside] * np.kron(alpha, blocks)
        phase[self._inside] += self._spread
        return np.asarray(np.clip(phase, 0.0, self._last), np.float32)


def amplitude(alpha: Array, leak: float) -> Array:
    """Of pixels +- alpha side by side: between them fringing fields pass through all phases, in a share ``leak``."""
    return np.asarray((1 - leak) * np.cos(alpha) + leak * np.sinc(alpha / math.pi))


def turned_off(leak: float) -> float:
    """alpha at which that is 0."""
    return float(_alpha_of(np.zeros(1), leak)[0])


def _alpha_of(wanted: Array, leak: float) -> Array:
    fine = np.linspace(math.pi, 0.0, 2001)
    return np.asarray(np.interp(wanted, amplitude(fine, leak), fine))


def without_wrap(T: Complex, leak: float = 0.0) -> tuple[Array, Array]:
    """theta, alpha that give T = e^{i theta} `amplitude`(alpha), with |theta| + alpha <= pi.

    Of a number there are two pairs, with phases half a turn apart. One of them lies between 0 and 2 pi when it is put
    about pi; where leaking light leaves a gap between the two, theta is as near as can be. Pixels on both sides of a
    wrap would lose most of their light to fringing.
    """
    theta, alpha = _nearer(T, leak)
    return np.clip(theta, alpha - math.pi, math.pi - alpha), alpha


def in_halves(T: Complex, leak: float) -> tuple[Array, Array]:
    """The same (bands, 2 nodes) for macro-pixels T (bands, nodes) of two halves.

    Both are alike, but in the gap: there halves of phases +- pi / 4 have amplitudes of two signs.
    """
    theta, alpha = _nearer(T, leak)
    two_alpha, two_theta = np.repeat(alpha, 2, axis=1), np.repeat(theta, 2, axis=1)
    x, y = math.sqrt(2) * T.real, math.sqrt(2) * T.imag
    apart = np.stack([_alpha_of(x + y, leak), _alpha_of(x - y, leak)], axis=-1)
    fits = (np.maximum(np.abs(x + y), np.abs(x - y)) <= 1) & (apart.max(axis=-1) <= 0.75 * math.pi)
    gap = np.repeat((np.abs(theta) + alpha > math.pi) & fits, 2, axis=1)
    turns = np.tile(np.array([0.25, -0.25]) * math.pi, T.shape[1])
    two_alpha = np.where(gap, apart.reshape(two_alpha.shape), two_alpha)
    two_theta = np.where(gap, turns, two_theta)
    return np.clip(two_theta, two_alpha - math.pi, math.pi - two_alpha), two_alpha


def _nearer(T: Complex, leak: float) -> tuple[Array, Array]:
    size, theta = np.minimum(np.abs(T), 1.0), np.angle(T)
    plus, minus = _alpha_of(size, leak), _alpha_of(-size, leak)
    back = theta - np.copysign(math.pi, theta)
    other = np.abs(back) + minus < np.abs(theta) + plus
    return np.where(other, back, theta), np.where(other, minus, plus)


def signs_along(count: int) -> Phases:
    """Of columns (count,) of the strip: in pairs, so that pixels' fringing fields reach half of them only."""
    return np.where(np.arange(count) // 2 % 2, -1.0, 1.0).astype(np.float32)


def _order(sign: NDArray[np.floating]) -> NDArray[np.int64]:
    """Of pixels (k,): the first of each sign is 0, the next 1, and so on."""
    return np.where(sign > 0, np.cumsum(sign > 0), np.cumsum(sign < 0)).astype(np.int64) - 1


def _spread(count: int, levels: int) -> Phases:
    """Even steps (count,) within one gray level, about 0; in an order whose neighbours differ."""
    if not levels:
        return np.zeros(count, np.float32)
    even = (np.arange(count) + 0.5) / count - 0.5
    step = next(k for k in range(max(1, int(0.618 * count)), 2 * count + 2) if math.gcd(k, count) == 1)
    return np.asarray(even[(np.arange(count) * step) % count] * (2 * math.pi / levels), np.float32)

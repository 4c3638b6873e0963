"""Steady states of many pumps on one potential: Picard's iteration with the linear operator factorised once.

    psi <- D^-1 (-P + i (f - s) psi),    D = (i/2) laplacian - i (V + s - i gamma)

s, at every node, is the samples' mean of d(f psi)/dpsi, so that what is left to iterate is how samples differ, and the
conjugate's part. Anderson's mixing of the last iterates makes it converge where the plain iteration does not.
"""

from __future__ import annotations

import numpy as np

from simulators.physics.sheet.blocks import Lines, one_thread
from simulators.physics.sheet.equation import Array, Complex, Sheet, blueshift
from simulators.physics.sheet.newton import bound, kappa, largest
from simulators.physics.sheet.nudge import Indices, Nudge

_MEMORY = 5
_STEPS = 40
_AT_ONCE = 64


class Factorised:
    """The inverse of (i/2) sum_neighbours + diagonal, (*shape) complex, in blocks along the sheet's longer axis."""

    def __init__(self, diagonal: Complex, sheet: Sheet) -> None:
        self._sheet, self._lines = sheet, Lines.of(sheet)
        n, m, ok = self._lines.n, self._lines.m, self._lines.ok
        d = np.where(ok, self._lines.fold(diagonal[None])[0], 1)
        self._joined = 0.5j * (ok[1:] & ok[:-1])
        beside = 0.5j * (ok[:, 1:] & ok[:, :-1])
        self._inverses = np.empty((n, m, m), np.complex128)
        k = np.arange(m)
        for j in range(n):
            block = np.zeros((m, m), np.complex128)
            block[k, k] = d[j]
            block[k[1:], k[:-1]] = block[k[:-1], k[1:]] = beside[j]
            if j:
                block -= self._joined[j - 1][:, None] * self._inverses[j - 1] * self._joined[j - 1]
            self._inverses[j] = np.linalg.inv(block)

    def solve(self, source: Complex) -> Complex:
        """x (samples, *shape) of right-hand sides of that shape; 0 on blocked nodes."""
        lines, joined = self._lines, self._joined[:, :, None]
        folded = np.where(lines.ok, lines.fold(source), 0)
        y = np.ascontiguousarray(np.moveaxis(folded, 0, 2))
        for j in range(1, lines.n):
            y[j] -= joined[j - 1] * (self._inverses[j - 1] @ y[j - 1])
        y[-1] = self._inverses[-1] @ y[-1]
        for j in range(lines.n - 2, -1, -1):
            y[j] = self._inverses[j] @ (y[j] - joined[j] * y[j + 1])
        return lines.unfold(np.moveaxis(y, 2, 0), self._sheet)


def picard(
    psi: Complex, V: Complex, P: Complex, sheet: Sheet, nudge: Nudge | None, tolerance: float
) -> tuple[Array, Indices]:
    """Improve psi (samples, *shape), in place, on one V (*shape), until `newton.bound` or no further.

    P: (samples, *shape). Returns largest |kappa| and iterations, (samples,).
    """
    with one_thread():
        return _picard(psi, V, P, sheet, nudge, tolerance)


def _picard(
    psi: Complex, V: Complex, P: Complex, sheet: Sheet, nudge: Nudge | None, tolerance: float
) -> tuple[Array, Indices]:
    residual, steps = np.empty(len(psi)), np.zeros(len(psi), np.int64)
    plain = V - 1j * np.asarray(sheet.gamma)
    flat = -1j * (len(sheet.shape) + plain)
    guess = psi
    if not psi.any():
        guess = _limited(Factorised(flat, sheet).solve(-P), sheet)
    density = np.abs(guess) ** 2
    f, slope = blueshift(density, sheet)
    shift = (f + slope * density).mean(axis=0)
    operator = Factorised(flat - 1j * shift, sheet)
    for first in range(0, len(psi), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        which = np.arange(first, min(first + _AT_ONCE, len(psi)))
        pull = None if nudge is None else nudge.of(which)
        start = psi[part] if psi[part].any() else guess[part].copy()
        psi[part], residual[part], steps[part] = _mixed(start, V, P[part], sheet, pull, operator, tolerance)
    return residual, steps


def _limited(psi: Complex, sheet: Sheet) -> Complex:
    """A linear response whose blueshift, were it as dense as that, would exceed one is made smaller."""
    if sheet.nonlinearity != "density" or sheet.g == 0:
        return psi
    size = abs(sheet.g) * np.abs(psi) ** 2
    return np.asarray(psi / np.sqrt(1 + size))


def _mixed(
    psi: Complex, V: Complex, P: Complex, sheet: Sheet, nudge: Nudge | None, operator: Factorised, tolerance: float
) -> tuple[Complex, Array, Indices]:
    count, nodes = len(psi), psi[0].size
    best, least = psi.copy(), largest(kappa(psi, V, P, sheet, nudge))
    steps = np.zeros(count, np.int64)
    active = np.arange(count)
    states: list[Complex] = []
    changes: list[Complex] = []
    for _ in range(_STEPS):
        pull = None if nudge is None else nudge.of(active)
        rest = kappa(psi, V, P[active], sheet, pull)
        off = largest(rest)
        better = off <= least[active]
        best[active[better]], least[active[better]] = psi[better], off[better]
        going = (off > bound(psi, tolerance)) & (off < 1e3 * np.maximum(least[active], 1e-300)) & np.isfinite(off)
        if not going.all():
            active, psi, rest = active[going], psi[going], rest[going]
            states, changes = [x[going] for x in states], [x[going] for x in changes]
        if not len(active):
            break
        steps[active] += 1
        change = -operator.solve(rest)
        states, changes = [*states[-_MEMORY:], psi], [*changes[-_MEMORY:], change]
        psi = psi + change
        if len(states) > 1:
            dx = np.stack([a - b for a, b in zip(states[1:], states[:-1], strict=True)], axis=1)
            df = np.stack([a - b for a, b in zip(changes[1:], changes[:-1], strict=True)], axis=1)
            psi = psi - _least_squares(df, change, dx + df, nodes)
    return best, least, steps


def _least_squares(df: Complex, f: Complex, back: Complex, nodes: int) -> Complex:
    """Combination of ``back`` (samples, k, *shape) whose df comes next to f, of real weights."""
    count, k = df.shape[:2]
    a = df.reshape(count, k, nodes).view(np.float64)
    b = np.ascontiguousarray(f.reshape(count, nodes)).view(np.float64)
    square = a @ a.transpose(0, 2, 1)
    scale = np.trace(square, axis1=1, axis2=2)[:, None, None] + 1e-300
    weights = np.linalg.solve(square + 1e-13 * scale * np.eye(k), (a @ b[:, :, None]))
    return np.asarray((weights.transpose(0, 2, 1) @ back.reshape(count, k, nodes))[:, 0].reshape(f.shape))

"""Linear equations of a sheet: block tridiagonal along its longer axis, one block for each line of nodes across.

A complex number and its conjugate both enter the linearised Eq. (13), so that blocks are real and twice as large.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]

from simulators.physics.sheet.equation import Array, Complex, Sheet

_LIBRARIES = ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Products of small matrices on one thread: several are ten times slower where others use the machine."""
    return cast(AbstractContextManager[object], _LIBRARIES.limit(limits=1, user_api="blas"))


@dataclass(frozen=True, eq=False)
class Lines:
    """Nodes of a sheet as lines (n, m) across its longer axis. ok: whether light may be there."""

    n: int
    m: int
    turned: bool
    ok: NDArray[np.bool_]

    @classmethod
    def of(cls, sheet: Sheet) -> Lines:
        rows, columns = (*sheet.shape, 1) if len(sheet.shape) == 1 else sheet.shape
        turned = columns > rows
        ok = np.ones((rows, columns), np.bool_) if sheet.blocked is None else ~sheet.blocked.reshape(rows, columns)
        return cls(*((columns, rows) if turned else (rows, columns)), turned, ok.T if turned else ok)

    def fold(self, values: Complex) -> Complex:
        """(batch, *shape) as (batch, n, m)."""
        if self.turned:
            return np.ascontiguousarray(np.moveaxis(values.reshape(-1, self.m, self.n), 1, 2))
        return np.ascontiguousarray(values.reshape(-1, self.n, self.m))

    def unfold(self, values: Complex, sheet: Sheet) -> Complex:
        """(batch, n, m) as (batch, *shape)."""
        turned = np.moveaxis(values, 1, 2) if self.turned else values
        return np.ascontiguousarray(turned).reshape(-1, *sheet.shape)


def solve_linearised(diagonal: Complex, conjugate: Complex, source: Complex, sheet: Sheet) -> Complex:
    """x (batch, *shape) with (i/2) sum_neighbours x_j + diagonal x + conjugate x* = source; x = 0 on blocked nodes.

    diagonal, conjugate, source: (batch, *shape). Exact, one elimination for each sample.
    """
    lines = Lines.of(sheet)
    at_once = max(1, int(4e6 / (lines.n * 4 * lines.m**2)))
    out = np.empty_like(source)
    for first in range(0, len(source), at_once):
        part = slice(first, first + at_once)
        d, c, s = (lines.fold(values[part]) for values in (diagonal, conjugate, source))
        with one_thread():
            out[part] = lines.unfold(_eliminate(d, c, s, lines), sheet)
    return out


def _eliminate(d: Complex, c: Complex, s: Complex, lines: Lines) -> Complex:
    n, m, ok = lines.n, lines.m, lines.ok
    d, c, s = np.where(ok, d, 1), np.where(ok, c, 0), np.where(ok, s, 0)
    k = np.arange(m)
    right = np.concatenate((s.real, s.imag), axis=-1)
    inverses = np.empty((len(d), n, 2 * m, 2 * m))
    joined = (ok[1:] & ok[:-1]).astype(np.float64) / 2
    for j in range(n):
        block = np.zeros((len(d), 2 * m, 2 * m))
        block[:, k, k] = d[:, j].real + c[:, j].real
        block[:, k, m + k] = c[:, j].imag - d[:, j].imag
        block[:, m + k, k] = c[:, j].imag + d[:, j].imag
        block[:, m + k, m + k] = d[:, j].real - c[:, j].real
        beside = (ok[j, 1:] & ok[j, :-1]).astype(np.float64) / 2
        for one, other in ((k[1:], k[:-1]), (k[:-1], k[1:])):
            block[:, one, m + other] -= beside
            block[:, m + one, other] += beside
        if j:
            before, w = inverses[:, j - 1], joined[j - 1]
            pair = w[:, None] * w
            block[:, :m, :m] += pair * before[:, m:, m:]
            block[:, :m, m:] -= pair * before[:, m:, :m]
            block[:, m:, :m] -= pair * before[:, :m, m:]
            block[:, m:, m:] += pair * before[:, :m, :m]
            right[:, j] -= _times_half_i(_apply(before, right[:, j - 1]), w)
        inverses[:, j] = np.linalg.inv(block)
    x = np.empty_like(right)
    for j in range(n - 1, -1, -1):
        if j < n - 1:
            right[:, j] -= _times_half_i(x[:, j + 1], joined[j])
        x[:, j] = _apply(inverses[:, j], right[:, j])
    return np.asarray(np.where(ok, x[..., :m] + 1j * x[..., m:], 0))


def _apply(matrices: Array, vectors: Array) -> Array:
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _times_half_i(x: Array, w: Array) -> Array:
    """(i/2) w x of real and imaginary parts side by side; w has the half."""
    m = len(w)
    return np.concatenate((-w * x[..., m:], w * x[..., :m]), axis=-1)

"""Sums over the sub-pixels of the pump's panel: the field of every place of the sample."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import reordering_kernel

Array = NDArray[np.float64]


def row_bands(weights: Array) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of weights (places, parts), for each part: first of the places that see it, and weights (parts, most places)."""
    lit = weights > 0
    first = np.where(lit.any(axis=0), lit.argmax(axis=0), 0)
    most = max(1, int(lit.sum(axis=0).max(initial=1)))
    first = np.minimum(first, max(len(weights) - most, 0))
    index = first[:, None] + np.arange(most)[None, :]
    return first.astype(np.int64), np.ascontiguousarray(
        weights[index, np.arange(weights.shape[1])[:, None]], np.float32
    )


def column_bands(weights: Array, parts: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of weights (places, pixels x parts), for each place: first of the pixels that it sees, and weights (places,
    parts, most pixels)."""
    by_pixel = weights.reshape(len(weights), -1, parts)
    lit = np.asarray(by_pixel.max(axis=2) > 0)
    some = lit.any(axis=1)
    first = np.where(some, lit.argmax(axis=1), 0)
    last = np.where(some, lit.shape[1] - lit[:, ::-1].argmax(axis=1), 1)
    most = max(1, int((last - first).max(initial=1)))
    first = np.minimum(first, max(lit.shape[1] - most, 0))
    seen = by_pixel[np.arange(len(weights))[:, None], first[:, None] + np.arange(most)[None, :]]
    return first.astype(np.int64), np.ascontiguousarray(seen.transpose(0, 2, 1), np.float32)


@reordering_kernel
def _fields(  # type: ignore[no-untyped-def]
    left, here, right, p, q, s, light_re, light_im, re, im
):
    """light exp(2 pi i turns) into re and im, turns = p left + q here + s right; all (columns,)."""
    one, half, third = np.float32(p), np.float32(q), np.float32(s)
    for c in range(len(re)):
        turns = one * left[c] + half * here[c] + third * right[c]
        x = np.float32(math.pi) * (turns - np.rint(turns))  # half of the angle, at most a quarter turn
        z = x * x
        u = np.float32(2.60005463e-6) * z - np.float32(1.98066151e-4)
        u = u * z + np.float32(8.33301729e-3)
        u = u * z - np.float32(0.166666571)
        u = x + x * z * u  # sine to 5e-9
        v = np.float32(2.31943850e-5) * z - np.float32(1.38559271e-3)
        v = v * z + np.float32(4.16639894e-2)
        v = v * z - np.float32(0.499999323)
        v = np.float32(1.0) + z * v  # cosine to 5e-8
        twice = u + u
        cosine, sine = np.float32(1.0) - twice * u, twice * v
        re[c] = light_re[c] * cosine - light_im[c] * sine
        im[c] = light_re[c] * sine + light_im[c] * cosine


@reordering_kernel
def _add(weights, fields, into) -> None:  # type: ignore[no-untyped-def]
    """weights (4,), fields (4, columns)."""
    a, b, c, d = weights[0], weights[1], weights[2], weights[3]
    one, two, three, four = fields[0], fields[1], fields[2], fields[3]
    for i in range(len(into)):
        into[i] += a * one[i] + b * two[i] + c * three[i] + d * four[i]


@reordering_kernel
def imaged(  # type: ignore[no-untyped-def]
    phase, down, across, scale, light_re, light_im, first_row, row_weights, first_column, column_weights, out
):
    """Sums over sub-pixels of light exp(i scale phase) with the weights of rows and of columns, in single precision.

    phase, light: (rows, columns). down, across: (4, 3) `fringing.neighbour_weights`. first_row, row_weights: of
    `row_bands`. first_column, column_weights: of `column_bands`. out: (places down, places across).
    """
    rows, columns = phase.shape
    parts, high = len(down), len(out)
    step = np.float32(scale / (2.0 * math.pi))
    mixed = np.empty((parts, columns + 2), np.float32)
    re, im = np.empty((parts, columns), np.float32), np.empty((parts, columns), np.float32)
    sums = np.zeros((2, high, parts, columns), np.float32)
    weights = np.empty((high, parts), np.float32)
    for r in range(rows):
        above, own, below = phase[max(r - 1, 0)], phase[r], phase[min(r + 1, rows - 1)]
        first, last = high, 0
        weights[:] = np.float32(0.0)
        for m in range(parts):
            y = r * parts + m
            for w in range(row_weights.shape[1]):
                if row_weights[y, w] != 0.0:
                    weights[first_row[y] + w, m] = row_weights[y, w]
                    first, last = min(first, first_row[y] + w), max(last, first_row[y] + w + 1)
        if first >= last:
            continue
        for m in range(parts):
            p, q, s = step * down[m, 0], step * down[m, 1], step * down[m, 2]
            here = mixed[m, 1 : columns + 1]
            for c in range(columns):
                here[c] = p * above[c] + q * own[c] + s * below[c]
            mixed[m, 0], mixed[m, columns + 1] = here[0], here[columns - 1]
        for k in range(parts):
            for m in range(parts):
                line = mixed[m]
                _fields(  # type: ignore[no-untyped-call]
                    line[:columns], line[1 : columns + 1], line[2:], across[k, 0], across[k, 1], across[k, 2],
                    light_re[r], light_im[r], re[m], im[m],
                )  # fmt: skip
            for i in range(first, last):
                _add(weights[i], re, sums[0, i, k])
                _add(weights[i], im, sums[1, i, k])
    most = column_weights.shape[2]
    for i in range(high):
        for j in range(out.shape[1]):
            at, a, b = first_column[j], np.float32(0.0), np.float32(0.0)
            for k in range(parts):
                for d in range(most):
                    weight = column_weights[j, k, d]
                    a += weight * sums[0, i, k, at + d]
                    b += weight * sums[1, i, k, at + d]
            out[i, j] = complex(a, b)

"""Compiled parts of `cells`: residuals of Eq. (13) and of its linear response, and Anderson's mixing, sample by sample.

Amplitudes are (samples, 2, nodes), real parts before imaginary ones. What the inverse is applied to is (3, samples,
nodes): real part, imaginary part and their sum, so that three real products do for a complex one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import reordering_kernel

Real = NDArray[np.floating]
Index = NDArray[np.int64]

RUNNING, SETTLED, LOST = 0, 1, 2
"""Of a sample: goes on; converged; no finite number any more."""


@reordering_kernel
def less_neighbours(re: Real, im: Real, link: Real, cols: int, out_re: Real, out_im: Real) -> None:
    """Subtract half the sum over neighbours; link (nodes,) is 1/2 where a node has one to its left."""
    n = re.shape[0]
    half = link.dtype.type(0.5)
    for i in range(1, n):
        out_re[i] -= link[i] * re[i - 1]
        out_im[i] -= link[i] * im[i - 1]
    for i in range(n - 1):
        out_re[i] -= link[i + 1] * re[i + 1]
        out_im[i] -= link[i + 1] * im[i + 1]
    for i in range(cols, n):
        out_re[i] -= half * re[i - cols]
        out_im[i] -= half * im[i - cols]
    for i in range(n - cols):
        out_re[i] -= half * re[i + cols]
        out_im[i] -= half * im[i + cols]


@reordering_kernel
def free_residuals(
    active: Index, psi: Real, pump: Real, level: Real, gamma: Real, link: Real, cols: int, g: float, out: Real
) -> None:
    """(H + V + g|psi|^2 - i gamma) psi + i P of the active samples, packed into ``out`` (3, samples, nodes).

    level: (nodes,) of V and the diagonal of H = -Laplacian / 2. pump: (samples, 2, nodes).
    """
    n = psi.shape[2]
    strength = level.dtype.type(g)
    for k in range(active.shape[0]):
        s = active[k]
        re, im, out_re, out_im, both = psi[s, 0], psi[s, 1], out[0, k], out[1, k], out[2, k]
        drive_re, drive_im = pump[s, 0], pump[s, 1]
        for i in range(n):
            energy = level[i] + strength * (re[i] * re[i] + im[i] * im[i])
            out_re[i] = energy * re[i] + gamma[i] * im[i] - drive_im[i]
            out_im[i] = energy * im[i] - gamma[i] * re[i] + drive_re[i]
        less_neighbours(re, im, link, cols, out_re, out_im)
        for i in range(n):
            both[i] = out_re[i] + out_im[i]


@reordering_kernel
def response_residuals(
    active: Index,
    u: Real,
    psi: Real,
    source: Real,
    turned: float,
    output: int,
    level: Real,
    gamma: Real,
    link: Real,
    cols: int,
    g: float,
    out: Real,
) -> None:
    """(H + V + 2g|psi|^2 - i gamma) u + g Q conj(u) - source, packed as by `free_residuals`.

    Q = psi^2, or its conjugate where ``turned`` is -1 rather than 1. source: (samples, 2), at the node ``output``.
    """
    n = psi.shape[2]
    strength, sign, two = level.dtype.type(g), level.dtype.type(turned), level.dtype.type(2)
    for k in range(active.shape[0]):
        s = active[k]
        re, im, out_re, out_im, both = u[s, 0], u[s, 1], out[0, k], out[1, k], out[2, k]
        field_re, field_im = psi[s, 0], psi[s, 1]
        for i in range(n):
            rr, ii = field_re[i] * field_re[i], field_im[i] * field_im[i]
            energy = level[i] + two * strength * (rr + ii)
            q_re, q_im = strength * (rr - ii), sign * two * strength * field_re[i] * field_im[i]
            out_re[i] = energy * re[i] + gamma[i] * im[i] + q_re * re[i] + q_im * im[i]
            out_im[i] = energy * im[i] - gamma[i] * re[i] + q_im * re[i] - q_re * im[i]
        less_neighbours(re, im, link, cols, out_re, out_im)
        out_re[output] -= source[s, 0]
        out_im[output] -= source[s, 1]
        for i in range(n):
            both[i] = out_re[i] + out_im[i]


@reordering_kernel
def _dot(a: Real, b: Real) -> float:
    total = a.dtype.type(0)
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return float(total)


@reordering_kernel
def _weights(gram: Real, right: Real, count: int) -> None:
    """Solve gram w = right in place of ``right`` by Cholesky's method, a little regularised."""
    trace = 0.0
    for a in range(count):
        trace += gram[a, a]
    for a in range(count):
        gram[a, a] += 1e-7 * trace + 1e-300
        for b in range(a):
            gram[a, a] -= gram[a, b] * gram[a, b]
        gram[a, a] = np.sqrt(max(gram[a, a], 1e-9 * trace + 1e-300))
        for c in range(a + 1, count):
            for b in range(a):
                gram[c, a] -= gram[c, b] * gram[a, b]
            gram[c, a] /= gram[a, a]
    for a in range(count):
        for b in range(a):
            right[a] -= gram[a, b] * right[b]
        right[a] /= gram[a, a]
    for a in range(count - 1, -1, -1):
        for b in range(a + 1, count):
            right[a] -= gram[b, a] * right[b]
        right[a] /= gram[a, a]


@reordering_kernel
def mix(
    active: Index,
    product: Real,
    x: Real,
    last_f: Real,
    moved: Real,
    changed: Real,
    iteration: int,
    tolerance: Real,
    clip: float,
    state: NDArray[np.int8],
    size: Real,
) -> None:
    """One step of Anderson's mixing with real weights, for x -> x - G R(x), from the products of R with the inverse G.

    product: (3, samples, nodes), packed as the residuals were. x, last_f: (samples, 2, nodes). moved, changed:
    (depth, samples, 2, nodes), the latest steps of x and changes of f = -G R. tolerance: (samples,) of |f| / |x|.
    clip: longest step, of |x|. state: (samples,), set where a sample settles or is lost. size: (samples,) gets
    |f| / |x|.
    """
    n, depth = x.shape[2], moved.shape[0]
    gram, weight = np.empty((depth, depth)), np.empty(depth)
    f = np.empty((2, n), x.dtype)
    step = np.empty((2, n), x.dtype)
    flat_f, flat_step = f.reshape(2 * n), step.reshape(2 * n)
    for k in range(active.shape[0]):
        s = active[k]
        for i in range(n):
            f[0, i] = product[1, k, i] - product[0, k, i]
            f[1, i] = product[0, k, i] + product[1, k, i] - product[2, k, i]
        here, before = x[s].reshape(2 * n), last_f[s].reshape(2 * n)
        f2, x2 = _dot(flat_f, flat_f), _dot(here, here)
        if not np.isfinite(f2) or not np.isfinite(x2):
            state[s] = LOST
            continue
        size[s] = np.sqrt(f2 / max(x2, 1e-30))
        if f2 <= tolerance[s] * tolerance[s] * x2:
            for i in range(2 * n):
                here[i] += flat_f[i]
            state[s] = SETTLED
            continue
        count = min(iteration, depth)
        if iteration > 0:
            newest = changed[(iteration - 1) % depth, s].reshape(2 * n)
            for i in range(2 * n):
                newest[i] = flat_f[i] - before[i]
        for i in range(2 * n):
            flat_step[i] = flat_f[i]
        for a in range(count):
            row = changed[a, s].reshape(2 * n)
            for b in range(a + 1):
                gram[a, b] = _dot(row, changed[b, s].reshape(2 * n))
            weight[a] = _dot(row, flat_f)
        _weights(gram, weight, count)
        for a in range(count):
            share = x.dtype.type(weight[a])
            row, way = changed[a, s].reshape(2 * n), moved[a, s].reshape(2 * n)
            for i in range(2 * n):
                flat_step[i] -= share * (row[i] + way[i])
        longest, length = clip * np.sqrt(x2), np.sqrt(_dot(flat_step, flat_step))
        factor = x.dtype.type(longest / length if x2 > 0 and length > longest else 1.0)
        way = moved[iteration % depth, s].reshape(2 * n)
        for i in range(2 * n):
            way[i] = factor * flat_step[i]
            here[i] += way[i]
            before[i] = flat_f[i]

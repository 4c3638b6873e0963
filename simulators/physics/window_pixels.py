"""Pixels of a real panel as a small window of the focal plane sees them: their fields in few numbers each.

Over a window about (X_c, Y_c) the transform of a pixel at column x and row y varies slowly, so expansions take the
place of sums over sub-pixels (k, m) and points:

    exp(-i kappa (X - X_c) x) = sum_n (2 - [n = 0]) (-i)^n J_n(kappa (X - X_c) x_max) T_n(x / x_max)   across the panel
    T_n(x_c + x_k) = sum_i x_k^i / i! T_n^(i)(x_c)                                                     within a pixel
    exp(-i kappa (Y - Y_c) y_m) = sum_j (-i kappa (Y - Y_c) p)^j / j! (y_m / p)^j                      within a pixel

What is kept of a pixel are its *features*: sums over its sub-pixels with the weights x_k^i / i! and (y_m / p)^j, of
which even powers of y lack their mean, so that an even pixel has few. Everything is laid out so that the innermost loop
runs over many pixels side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import reordering_kernel
from simulators.physics.fringing import SUB_PIXELS

Array = NDArray[np.float64]
Short = NDArray[np.float32]

PARTS = SUB_PIXELS
BATCH = 256
"""Pixels worked on at a time."""


WORK = 5 * PARTS + 5
"""Numbers per pixel of the memory that is worked in."""


class Plan(NamedTuple):
    """What stays as it is while a window is looked at.

    scale, kappa: (rows,). down, across: (PARTS, 3) neighbour weights. tilts: (PARTS, PARTS) X_c x_k + Y_c y_m of the
    sub-pixels, m^2. weights_x: (I, PARTS) and weights_y: (J, PARTS) their weights, of which a pixel's features have the
    products; order_x and order_y: (F,) the powers i and j, i never falling. pupil: (2, rows, columns) field at (X_c,
    Y_c). basis: (I, columns, N) derivatives of T_n, and the same again as basis_across (I, N, columns). across_nodes:
    (rows, nodes, N) Bessel functions with pixel envelope and scale. down_nodes: (lines, J, rows). unmodulated: (2,
    lines, nodes, rows). states: of the flicker, the first 0 and the others opposite. halo: (rows + 2,) rows of the
    panel that the lit ones have as neighbours.
    """

    scale: Short
    kappa: Short
    down: Short
    across: Short
    tilts: Short
    weights_x: Short
    weights_y: Short
    order_x: NDArray[np.int64]
    order_y: NDArray[np.int64]
    pupil: Short
    basis: Short
    basis_across: Short
    across_nodes: Short
    down_nodes: Short
    unmodulated: Short
    states: Array
    halo: NDArray[np.int64]


@reordering_kernel
def phasors(phases: Short, count: int, cosines: Short, sines: Short) -> None:
    """cos and sin of the first phases, |phase| < 1e4 rad, to 1e-7 (Cephes); written so that many run side by side."""
    for i in range(count):
        quarter = np.rint(phases[i] * np.float32(0.6366197723675814))
        x = phases[i] - quarter * np.float32(1.5703125)
        x = x - quarter * np.float32(4.837512969970703125e-4)
        x = x - quarter * np.float32(7.549789948768648e-8)
        z = x * x
        s = np.float32(-1.9515295891e-4) * z + np.float32(8.3321608736e-3)
        s = x + x * z * (s * z - np.float32(1.6666654611e-1))
        c = np.float32(2.443315711809948e-5) * z - np.float32(1.388731625493765e-3)
        c = np.float32(1.0) - np.float32(0.5) * z + z * z * (c * z + np.float32(4.166664568298827e-2))
        turn = np.int32(quarter)
        one = c if turn & 1 else s
        other = s if turn & 1 else c
        sines[i] = -one if turn & 2 else one
        cosines[i] = -other if (turn + 1) & 2 else other


@reordering_kernel
def pixel_features(
    plan: Plan, places: NDArray[np.int64], count: int, around: Short, work: Short, features: Short
) -> None:
    """Features (F, 2, BATCH) of pixels at places (2, count) from the phases (3, 3, count) around each.

    work: (WORK, BATCH) memory.
    """
    down, across = plan.down, plan.across
    along, phases, cosines, sines = work[: 3 * PARTS], work[3 * PARTS], work[3 * PARTS + 1], work[3 * PARTS + 2]
    scale, kappa = work[3 * PARTS + 3], work[3 * PARTS + 4]
    for i in range(count):
        scale[i] = plan.scale[places[0, i]]
        kappa[i] = plan.kappa[places[0, i]]
    for d in range(3):
        for k in range(PARTS):
            left, own, right = across[k, 0], across[k, 1], across[k, 2]
            for i in range(count):
                along[d * PARTS + k, i] = left * around[d, 0, i] + own * around[d, 1, i] + right * around[d, 2, i]
    features[:, :, :count] = 0.0
    for m in range(PARTS):
        above, own, below = down[m, 0], down[m, 1], down[m, 2]
        for k in range(PARTS):
            tilt = plan.tilts[m, k]
            for i in range(count):
                blurred = above * along[k, i] + own * along[PARTS + k, i] + below * along[2 * PARTS + k, i]
                phases[i] = scale[i] * blurred - kappa[i] * tilt
            phasors(phases, count, cosines, sines)
            for f in range(features.shape[0]):
                weight = plan.weights_x[plan.order_x[f], k] * plan.weights_y[plan.order_y[f], m]
                for i in range(count):
                    features[f, 0, i] += weight * cosines[i]
                    features[f, 1, i] += weight * sines[i]


@reordering_kernel
def row_features(plan: Plan, image: Short, row: int, first: int, count: int, work: Short, features: Short) -> None:
    """`pixel_features` of neighbours in a row, from the phases image (rows + 2, columns + 2), bordered by one."""
    along, phases, cosines, sines = work[: 3 * PARTS], work[3 * PARTS], work[3 * PARTS + 1], work[3 * PARTS + 2]
    partial = work[3 * PARTS + 5 :]
    scale, kappa, orders = plan.scale[row], plan.kappa[row], len(plan.basis)
    # Innermost loops have a function of their own: only so do all of them run side by side.
    for d in range(3):
        line = image[row + d]
        for k in range(PARTS):
            blend(line[first:], line[first + 1 :], line[first + 2 :], plan.across[k], 0.0, count, along[d * PARTS + k])
    features[:, :, :count] = 0.0
    for m in range(PARTS):
        partial[: 2 * orders, :count] = 0.0
        down = scale * plan.down[m]
        for k in range(PARTS):
            shift = kappa * plan.tilts[m, k]
            blend(along[k], along[PARTS + k], along[2 * PARTS + k], down, shift, count, phases)
            phasors(phases, count, cosines, sines)
            for i in range(orders):
                _add(plan.weights_x[i, k], cosines, sines, count, partial[2 * i], partial[2 * i + 1])
        for f in range(features.shape[0]):
            i = plan.order_x[f]
            weight = plan.weights_y[plan.order_y[f], m]
            _add(weight, partial[2 * i], partial[2 * i + 1], count, features[f, 0], features[f, 1])


@reordering_kernel
def blend(one: Short, two: Short, three: Short, weights: Short, less: float, count: int, out: Short) -> None:
    a, b, c, shift = weights[0], weights[1], weights[2], np.float32(less)
    for i in range(count):
        out[i] = a * one[i] + b * two[i] + c * three[i] - shift


@reordering_kernel
def _add(weight: float, re: Short, im: Short, count: int, out_re: Short, out_im: Short) -> None:
    for i in range(count):
        out_re[i] += weight * re[i]
        out_im[i] += weight * im[i]


@reordering_kernel
def add_pixels(plan: Plan, fields: Array, places: NDArray[np.int64], count: int, sums: Array) -> None:
    """Add to sums (rows, J, 2, N) what pixels with features times field, (F, 2, count), at places (2, count) make."""
    for f in range(fields.shape[0]):
        basis, power = plan.basis[plan.order_x[f]], plan.order_y[f]
        for i in range(count):
            re, im = fields[f, 0, i], fields[f, 1, i]
            own, terms_re, terms_im = basis[places[1, i]], sums[places[0, i], power, 0], sums[places[0, i], power, 1]
            for n in range(len(own)):
                terms_re[n] += re * own[n]
                terms_im[n] += im * own[n]


@reordering_kernel
def features_of(plan: Plan, order: int) -> tuple[int, int]:
    """The first feature of a power of x, and the one after its last."""
    begin, after = len(plan.order_x), 0
    for f in range(len(plan.order_x)):
        if plan.order_x[f] == order:
            begin, after = min(begin, f), f + 1
    return begin, after


@reordering_kernel
def project(fields: Short, count: int, basis_across: Short, first: int, out: Short) -> None:
    """sum_c fields (4 Q, columns) basis (N, columns) over ``count`` neighbours from ``first`` on: out (4 Q or less, N),
    of which rows that are not there are left out."""
    wanted = len(out)
    for q in range(0, wanted, 4):
        a, b, c, d = fields[q], fields[q + 1], fields[q + 2], fields[q + 3]
        for n in range(basis_across.shape[0]):
            one = basis_across[n, first : first + count]
            s = t = u = v = np.float32(0.0)
            for i in range(count):
                weight = one[i]
                s += a[i] * weight
                t += b[i] * weight
                u += c[i] * weight
                v += d[i] * weight
            out[q, n] = s
            if q + 1 < wanted:
                out[q + 1, n] = t
            if q + 2 < wanted:
                out[q + 2, n] = u
            if q + 3 < wanted:
                out[q + 3, n] = v

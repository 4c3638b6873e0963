"""Macro-pixels in numbers: kinds to amplitudes plainly, and amplitudes to kinds quickly.

What `amplitudes` says of kinds is turned round by `solved`, many places side by side, in single precision. Phases of
kinds are +-pi/4 +- alpha with a cosine that is given, so that half and quarter angles come by square roots, and the
mean of exp(i phi) along a border is sin(h)/h exp(i m) of half the difference and the middle, both products of those.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel, reordering_kernel

Single = NDArray[np.float32]

_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_SMALL = np.float32(0.02)
"""Half differences, rad, below which sin(h)/h is 1 - h^2/6."""
_COS16, _SIN16 = np.float32(math.cos(math.pi / 16)), np.float32(math.sin(math.pi / 16))
_QUARTER_TURN = np.float32(math.pi / 2)
_EIGHTH_TURN = np.float32(math.pi / 4)


@kernel
def _line(one: float, other: float) -> complex:
    """Mean of exp(i phi) from one phase to the other."""
    half = 0.5 * (other - one)
    size = 1.0 - half * half / 6.0 if abs(half) < 1e-3 else math.sin(half) / half
    middle = 0.5 * (one + other)
    return complex(size * math.cos(middle), size * math.sin(middle))


@kernel
def amplitudes(
    phase: NDArray[np.float64],
    dark: NDArray[np.float64],
    leak: float,
    latin: NDArray[np.int64],
    pairs: NDArray[np.int64],
    counts: NDArray[np.float64],
    out: NDArray[np.complex128],
) -> None:
    """T (patterns, down, across) of phases (4, patterns, down, across) of kinds; see `PhaseLaw.amplitude`."""
    _, patterns, high, wide = phase.shape
    mine, beside = np.empty(4), np.empty(4)
    for n in range(patterns):
        for i in range(high):
            for j in range(wide):
                own, between = 0.0j, 0.0j
                for k in range(4):
                    mine[k] = phase[k, n, i, j]
                    own += 0.25 * complex(math.cos(mine[k]), math.sin(mine[k]))
                for p in range(len(pairs)):
                    between += counts[p] / 32.0 * _line(mine[pairs[p, 0]], mine[pairs[p, 1]])
                for side in range(4):
                    r = i + (1 if side == 2 else -1 if side == 3 else 0)
                    c = j + (1 if side == 0 else -1 if side == 1 else 0)
                    inside = 0 <= r < high and 0 <= c < wide
                    for k in range(4):
                        beside[k] = phase[k, n, r, c] if inside else dark[k]
                    for k in range(4):
                        if side == 0:
                            a, b = latin[k, 3], latin[k, 0]
                        elif side == 1:
                            a, b = latin[k, 0], latin[k, 3]
                        elif side == 2:
                            a, b = latin[3, k], latin[0, k]
                        else:
                            a, b = latin[0, k], latin[3, k]
                        between += 0.5 / 32.0 * _line(mine[a], 0.5 * (mine[a] + beside[b]))
                out[n, i, j] = (1.0 - leak) * own + leak * between


@reordering_kernel
def _along(
    weight: float, part: float, one: Single, other: Single, c: Single, s: Single, d: Single, e: Single,
    u: Single, v: Single, x: Single, y: Single, re: Single, im: Single,
) -> None:  # fmt: skip
    """Add weight x the mean of exp(i phi) between phases one and other (places,).

    part: of their difference that is half of what lies between. (c, s), (d, e): phasors of one and other times
    ``part``, whose difference has sin(h). (u, v), (x, y): phasors whose product is the middle's.
    """
    w, p = np.float32(weight), np.float32(part)
    for k in range(len(re)):
        h = p * (other[k] - one[k])
        sine = e[k] * c[k] - d[k] * s[k]
        near = abs(h) < _SMALL
        size = w * (_ONE - h * h * np.float32(1.0 / 6.0) if near else sine / (_ONE if near else h))
        re[k] += size * (u[k] * x[k] - v[k] * y[k])
        im[k] += size * (u[k] * y[k] + v[k] * x[k])


@reordering_kernel
def _phasors(cosine: Single, sign: float, phase: Single, quarter: Single, half: Single, three: Single) -> None:
    """Of phases sign_of_pi/4 +- alpha. cosine: (places,) of alpha. phase: (2, places), with +alpha and -alpha.

    quarter, half, three: (2, 2, places) phasors, (re, im) first, of a quarter, a half, three quarters of the phase.
    """
    f = np.float32(sign)
    turn_im = f * _SIN16
    for k in range(len(cosine)):
        a = cosine[k]
        size = abs(a)
        steep = size > _HALF
        z = _HALF * (_ONE - size) if steep else a * a
        r = np.sqrt(z) if steep else size
        p = np.float32(4.2163199048e-2) * z + np.float32(2.4181311049e-2)
        p = p * z + np.float32(4.5470025998e-2)
        p = p * z + np.float32(7.4953002686e-2)
        p = p * z + np.float32(1.6666752422e-1)
        p = r + r * z * p  # Cephes' arc sine
        arc = _QUARTER_TURN - np.float32(2.0) * p if steep else p
        alpha = _QUARTER_TURN - (arc if a > np.float32(0.0) else -arc)
        phase[0, k] = f * _EIGHTH_TURN + alpha
        phase[1, k] = f * _EIGHTH_TURN - alpha
        c2 = np.sqrt(_HALF * (_ONE + a))
        s2 = np.sqrt(_HALF * (_ONE - a))
        c4 = np.sqrt(_HALF * (_ONE + c2))
        s4 = s2 / (np.float32(2.0) * c4)
        quarter[0, 0, k] = c4 * _COS16 - s4 * turn_im
        quarter[1, 0, k] = c4 * turn_im + s4 * _COS16
        quarter[0, 1, k] = c4 * _COS16 + s4 * turn_im
        quarter[1, 1, k] = c4 * turn_im - s4 * _COS16
    for sort in range(2):
        for k in range(len(cosine)):
            c, s = quarter[0, sort, k], quarter[1, sort, k]
            x, y = c * c - s * s, np.float32(2.0) * c * s
            half[0, sort, k], half[1, sort, k] = x, y
            three[0, sort, k], three[1, sort, k] = x * c - y * s, x * s + y * c


@kernel
def solved(
    T: NDArray[np.complex128], leak: float, most: float, rounds: int, latin: NDArray[np.int64],
    pairs: NDArray[np.int64], counts: NDArray[np.float64], out: Single,
) -> None:  # fmt: skip
    """Phases of kinds about their middle, out (4, patterns, down, across), for T (patterns, down, across).

    Fringing fields take ``leak`` and are made up for in so many rounds: T is aimed at by what was missed before. most:
    the largest cosine. latin, pairs, counts: where kinds are, and how many borders two of them have in a macro-pixel.
    """
    patterns, high, wide = T.shape
    line = wide + 2
    size = (high + 2) * line
    a, b = np.zeros(size, np.float32), np.zeros(size, np.float32)  # dark around all places
    phase = np.empty((4, size), np.float32)
    quarter, half, three = (
        np.empty((2, 4, size), np.float32),
        np.empty((2, 4, size), np.float32),
        np.empty((2, 4, size), np.float32),
    )
    inner = slice(line, size - line)
    count = size - 2 * line
    re, im = np.empty(count, np.float32), np.empty(count, np.float32)
    largest, root = np.float32(most), math.sqrt(2.0)
    aim = np.empty((high, wide), np.complex128)
    for n in range(patterns):
        aim[:] = T[n]
        for turn in range(rounds + 1):
            for i in range(high):
                for j in range(wide):
                    at = (i + 1) * line + j + 1
                    x, y = root * aim[i, j].real, root * aim[i, j].imag
                    a[at] = min(max(np.float32(x + y), -largest), largest)
                    b[at] = min(max(np.float32(x - y), -largest), largest)
            _phasors(a, 1.0, phase[:2], quarter[:, :2], half[:, :2], three[:, :2])
            _phasors(b, -1.0, phase[2:], quarter[:, 2:], half[:, 2:], three[:, 2:])
            if turn == rounds:
                break
            re[:] = np.float32(0.0)
            im[:] = np.float32(0.0)
            for p in range(len(pairs)):
                k, m = pairs[p, 0], pairs[p, 1]
                c, s, d, e = half[0, k, inner], half[1, k, inner], half[0, m, inner], half[1, m, inner]
                _along(
                    counts[p] / 32.0, 0.5, phase[k, inner], phase[m, inner], c, s, d, e, c, s, d, e, re, im
                )  # fmt: skip
            for side in range(4):
                step = (1, -1, line, -line)[side]
                beside = slice(line + step, size - line + step)
                for q in range(4):
                    if side == 0:
                        k, m = latin[q, 3], latin[q, 0]
                    elif side == 1:
                        k, m = latin[q, 0], latin[q, 3]
                    elif side == 2:
                        k, m = latin[3, q], latin[0, q]
                    else:
                        k, m = latin[0, q], latin[3, q]
                    d, e = quarter[0, m, beside], quarter[1, m, beside]
                    _along(
                        0.5 / 32.0, 0.25, phase[k, inner], phase[m, beside], quarter[0, k, inner],
                        quarter[1, k, inner], d, e, three[0, k, inner], three[1, k, inner], d, e, re, im,
                    )  # fmt: skip
            # Of (a e^{i pi/4} + b e^{-i pi/4}) / 2, what no border takes.
            for i in range(high):
                for j in range(wide):
                    at = (i + 1) * line + j + 1
                    plain = complex((a[at] + b[at]) / (2 * root), (a[at] - b[at]) / (2 * root))
                    between = complex(re[at - line], im[at - line])
                    aim[i, j] += T[n, i, j] - (1.0 - leak) * plain - leak * between
        for k in range(4):
            for i in range(high):
                for j in range(wide):
                    out[k, n, i, j] = phase[k, (i + 1) * line + j + 1]


@kernel
def written(
    shown: Single, first: float, step: float, table: Single, kind: NDArray[np.int64], spreads: Single, turn: int,
    last: float, out: Single,
) -> None:  # fmt: skip
    """Phases (patterns, rows, columns) of macro-pixels whose kinds are to show phases (4, patterns, down, across).

    table: phases to be written for those from ``first`` on in steps. kind: (m, m) of a macro-pixel's pixels. spreads:
    (turns, m, m), of which patterns take one after the other, from ``turn`` on. last: the largest phase.
    """
    _, patterns, high, wide = shown.shape
    m, most = len(kind), len(table) - 1
    values = np.empty((4, wide), np.float32)
    dark, bright = np.float32(0.0), np.float32(last)
    for n in range(patterns):
        spread = spreads[(turn + n) % len(spreads)]
        for i in range(high):
            for k in range(4):
                for j in range(wide):
                    at = min(max((shown[k, n, i, j] - first) / step, 0.0), float(most))
                    low = min(int(at), most - 1)
                    part = np.float32(at - low)
                    values[k, j] = table[low] + part * (table[low + 1] - table[low])
            for r in range(m):
                for c in range(m):
                    value, more = values[kind[r, c]], spread[r, c]
                    for j in range(wide):
                        out[n, i * m + r, j * m + c] = min(max(value[j] + more, dark), bright)

"""The fast road from a real panel to a wide frame of the focal plane, up to a whole camera.

The same light as `simulators.physics.far_field`. Each row of the panel, on M x M even sub-pixels (k across, m down), is

    G_rm(X) = sum_k exp(-i kappa_r X x_k) sum_c a_rc exp(i Phi_rcmk) exp(-i kappa_r X x_c)

where the inner sum is a discrete Fourier transform of twice the panel's columns, interpolated to an even grid of X that
all rows share by a Kaiser-Bessel kernel (Greengard and Lee, SIAM Review 46, 443). Fields follow at some lines in Y,
between which light is interpolated: it varies there with the distance of coupled rows only. Rows are taken one after
the other, so memory is that of a few of them. Single precision throughout; equal to the plain road to 3e-5.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import reordering_kernel
from simulators.physics.fringing import SUB_PIXELS
from simulators.physics.window_pixels import Short, blend, phasors

Array = NDArray[np.float64]

PARTS = SUB_PIXELS
TAPS = 8
"""Of the Kaiser-Bessel kernel."""
FINE = 1024
"""Entries of a table of weights per step of its grid, between which weights are straight lines."""


class RowOptics(NamedTuple):
    """One row of the panel. Lines: (Q,), nodes: (S,).

    scale, kappa: as in `window_pixels.Plan`. field: (2, columns) on the panel, over the kernel's transform. blur_down,
    blur_across: (PARTS, 3). turn_down: (PARTS, 2, Q) exp(-i kappa Y y_m) with all that does not depend on X. dead,
    axis: (2, S) light that no gray level reaches, which the envelopes whole, active (Q,) multiply. envelope: (S,) of
    the sub-pixels across.
    """

    scale: float
    kappa: float
    field: Short
    blur_down: Short
    blur_across: Short
    turn_down: Short
    dead: Short
    axis: Short
    whole: Short
    active: Short
    envelope: Short


def kernel_table(columns: int, length: int) -> tuple[Short, Array]:
    """The Kaiser-Bessel kernel (TAPS FINE + 2,) from its left end, and its transform (columns,) at each column."""
    ratio = length / columns
    beta = math.pi * math.sqrt((TAPS / ratio) ** 2 * (ratio - 0.5) ** 2 - 0.8)
    place = np.arange(TAPS * FINE + 2) / FINE - TAPS / 2
    kernel = np.i0(beta * np.sqrt(np.maximum(1 - (2 * place / TAPS) ** 2, 0)))
    kernel[np.abs(place) > TAPS / 2] = 0.0
    at = np.sqrt(beta**2 - (math.pi * TAPS * (np.arange(columns) - columns // 2) / length) ** 2)
    return kernel.astype(np.float32), TAPS * np.sinh(at) / at


@reordering_kernel
def fill_row(
    row: RowOptics, above: Short, own: Short, below: Short, state: float, work: Short, spread: NDArray[np.complex64]
) -> None:
    """Fields of a row's sub-pixels into spread (length, PARTS^2), the middle column first, as a transform wants them.

    above, own, below: (columns + 2,) phases of three rows, bordered by one. work: (3 PARTS + 3, columns) memory.
    """
    columns, length = len(own) - 2, len(spread)
    along, phases, cosines, sines = work[: 3 * PARTS], work[3 * PARTS], work[3 * PARTS + 1], work[3 * PARTS + 2]
    for k in range(PARTS):
        across = row.blur_across[k]
        blend(above, above[1:], above[2:], across, 0.0, columns, along[k])
        blend(own, own[1:], own[2:], across, 0.0, columns, along[PARTS + k])
        blend(below, below[1:], below[2:], across, 0.0, columns, along[2 * PARTS + k])
    middle = columns // 2
    flicker = np.float32(state * row.scale)
    spread[:] = 0.0
    here, field_re, field_im = own[1:], row.field[0], row.field[1]
    for m in range(PARTS):
        down = np.float32(row.scale) * row.blur_down[m]
        for k in range(PARTS):
            blend(along[k], along[PARTS + k], along[2 * PARTS + k], down, 0.0, columns, phases)
            for i in range(columns):
                phases[i] += flicker * here[i]
            phasors(phases, columns, cosines, sines)
            for i in range(columns):
                re = field_re[i] * cosines[i] - field_im[i] * sines[i]
                im = field_re[i] * sines[i] + field_im[i] * cosines[i]
                at = i - middle if i >= middle else i - middle + length
                spread[at, m * PARTS + k] = complex(re, im)


@reordering_kernel
def interpolate(spectra: Short, places: Array, table: Short, out: Short) -> None:
    """Spectra (length, C), periodic, at places (S,) in steps of their grid: out (S, C)."""
    length, parts = spectra.shape
    for s in range(len(places)):
        first = math.floor(places[s]) - TAPS // 2 + 1
        offset = (first - places[s] + TAPS / 2) * FINE
        entry = int(offset)
        share = np.float32(offset - entry)
        one = out[s]
        one[:] = 0.0
        for tap in range(TAPS):
            at = entry + tap * FINE
            weight = table[at] + share * (table[at + 1] - table[at])
            line = spectra[(first + tap) % length]
            for c in range(parts):
                one[c] += weight * line[c]


@reordering_kernel
def line_fields(row: RowOptics, x_m: Array, centres_m: Array, parts: Short, work: Short, fields: Short) -> None:
    """Fields (2, lines, nodes) of a row from its sub-pixels' transforms parts (nodes, 2 PARTS^2), re and im in turn.

    centres_m: (PARTS,) of the sub-pixels of the middle column. work: (2 PARTS + 3, nodes) memory.
    """
    nodes = len(x_m)
    phases, cosines, sines = work[2 * PARTS], work[2 * PARTS + 1], work[2 * PARTS + 2]
    work[: 2 * PARTS] = 0.0
    for k in range(PARTS):
        for s in range(nodes):
            phases[s] = np.float32(-row.kappa * centres_m[k] * x_m[s])
        phasors(phases, nodes, cosines, sines)
        for m in range(PARTS):
            re, im, c = work[2 * m], work[2 * m + 1], 2 * (m * PARTS + k)
            for s in range(nodes):
                re[s] += cosines[s] * parts[s, c] - sines[s] * parts[s, c + 1]
                im[s] += cosines[s] * parts[s, c + 1] + sines[s] * parts[s, c]
    for p in range(2 * PARTS):
        part = work[p]
        for s in range(nodes):
            part[s] *= row.envelope[s]
    for q in range(fields.shape[1]):
        _start(row.whole[q], row.active[q], row.dead, row.axis, fields[0, q], fields[1, q])
        for m in range(PARTS):
            turn_re, turn_im = row.turn_down[m, 0, q], row.turn_down[m, 1, q]
            _add_turned(turn_re, turn_im, work[2 * m], work[2 * m + 1], fields[0, q], fields[1, q])


@reordering_kernel
def _start(whole: float, active: float, dead: Short, axis: Short, re: Short, im: Short) -> None:
    dead_re, dead_im, axis_re, axis_im = dead[0], dead[1], axis[0], axis[1]
    for s in range(len(re)):
        re[s] = whole * dead_re[s] + active * axis_re[s]
        im[s] = whole * dead_im[s] + active * axis_im[s]


@reordering_kernel
def _add_turned(turn_re: float, turn_im: float, part_re: Short, part_im: Short, re: Short, im: Short) -> None:
    for s in range(len(re)):
        re[s] += turn_re * part_re[s] - turn_im * part_im[s]
        im[s] += turn_re * part_im[s] + turn_im * part_re[s]


@reordering_kernel
def add_light(own: float, fields: Short, out: Short) -> None:
    """Add a row's own light: own |F|^2 to out (lines, nodes)."""
    weight = np.float32(own)
    for q in range(len(out)):
        re, im, line = fields[0, q], fields[1, q], out[q]
        for s in range(len(line)):
            line[s] += weight * (re[s] * re[s] + im[s] * im[s])


@reordering_kernel
def add_coupled(cosines: Short, sines: Short, fields: Short, later: Short, out: Short) -> None:
    """Add the light of two rows together, cosines and sines: (lines,) 2 C exp(i kappa Y d p), to out (lines, nodes)."""
    for q in range(len(out)):
        re, im, next_re, next_im, line = fields[0, q], fields[1, q], later[0, q], later[1, q], out[q]
        cos, sin = cosines[q], sines[q]
        for s in range(len(line)):
            in_phase = re[s] * next_re[s] + im[s] * next_im[s]
            ahead = im[s] * next_re[s] - re[s] * next_im[s]
            line[s] += cos * in_phase - sin * ahead


@reordering_kernel
def read_pixels(light: Short, x: Array, y: Array, weights_x: Short, weights_y: Short, out: Array) -> None:
    """Light (rows, nodes) on even grids at pixels whose places x, y: (pixels,) are in steps of them; out: (pixels,).

    weights_x: (FINE + 1, taps) for places between two nodes, the first of its taps being the node below less half of
    them and one; weights_y: the same down.
    """
    taps, down = weights_x.shape[1], weights_y.shape[1]
    for i in range(len(out)):
        left, top = math.floor(x[i]), math.floor(y[i])
        at, at_y = (x[i] - left) * FINE, (y[i] - top) * FINE
        entry, entry_y = int(at), int(at_y)
        share, share_y = np.float32(at - entry), np.float32(at_y - entry_y)
        left -= taps // 2 - 1
        top -= down // 2 - 1
        total = np.float32(0.0)
        for d in range(down):
            row, low, high = light[top + d], weights_x[entry], weights_x[entry + 1]
            part = np.float32(0.0)
            for t in range(taps):
                part += (low[t] + share * (high[t] - low[t])) * row[left + t]
            total += (weights_y[entry_y, d] + share_y * (weights_y[entry_y + 1, d] - weights_y[entry_y, d])) * part
        out[i] = total

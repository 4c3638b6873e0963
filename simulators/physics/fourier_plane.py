"""Light of a phase panel in the focal plane of a lens, for incoherent bands of coherent rows.

Far field of one band of rows r and columns c (Fraunhofer; supplement Eqs. S5-S13 of arXiv 2508.20472), lens f:

    E(X, Y) = s(X, Y) sum_rc a_c exp(i phi_rc) exp(-i kappa (X x_c + Y y_r)),   kappa = 2 pi / (lambda f)

    I(X, Y) = sum_bands |E|^2

with s the transform of one square pixel. A camera pixel integrates I over its area: by Gauss-Legendre nodes along X
(the pattern varies within a pixel there), at its centre along Y (a band is a few rows: the line is millimetres long).

Two roads to the same numbers. The reference transforms the whole pattern (`column_sums_*`, numpy). The fast road keeps
the sums of the settled pattern, adds what changed (`add_region`), and corrects for pixels in motion (`line_power`).
"""

from __future__ import annotations

import cmath
import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import inline, kernel
from simulators.physics.liquid_crystal import TARGET, fading, phases_at, set_targets

NODES_PER_PIXEL = 5
"""Gauss-Legendre order along X. The finest fringe of a 15 mm panel at f = 200 mm is 7.8 um long, a pixel 6.5 um: five
points integrate it to 1e-6 of the mean."""


@lru_cache(maxsize=128)
def gauss_legendre(order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes on (-1, 1) and weights that sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return nodes, 0.5 * weights


def pixel_nodes(
    centres_m: NDArray[np.floating[Any]], width_m: float, order: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Integration points of pixels: positions (pixels, order) in m and weights (order,) that average over a pixel."""
    nodes, weights = gauss_legendre(order)
    return centres_m[:, None] + 0.5 * width_m * nodes[None, :], weights


def column_sums_direct(
    field: NDArray[np.complex128], kappa_x: NDArray[np.float64], columns_m: NDArray[np.floating[Any]]
) -> NDArray[np.complex128]:
    """sum_c field[r, c] exp(-i kappa_X x_c) for every row and point; kappa_x = kappa X (points,) in rad/m."""
    out: NDArray[np.complex128] = field @ np.exp(-1j * np.outer(columns_m, kappa_x))
    return out


def column_sums_chirp(
    field: NDArray[np.complex128], first_kappa_x: float, step_kappa_x: float, points: int, pitch_m: float
) -> NDArray[np.complex128]:
    """The same at evenly spaced points, by the chirp z-transform; x_c = c pitch. For wide regions of the sensor."""
    from scipy.signal import czt  # a second, which every process of a bench would pay

    out: NDArray[np.complex128] = czt(
        field,
        m=points,
        w=np.exp(-1j * step_kappa_x * pitch_m),
        a=np.exp(1j * first_kappa_x * pitch_m),
        axis=-1,
    )
    return out


@kernel
def column_sums_flat(amplitude: NDArray[np.float64], kappa_pitch: NDArray[np.float64]) -> NDArray[np.complex128]:
    """sum_c amplitude[c] exp(-i kappa_pitch c) for every entry of ``kappa_pitch`` (bands, points), in rad per column.

    By turning a phasor from column to column, which loses a few 1e-13 over some thousand columns.
    """
    out = np.empty(kappa_pitch.shape, np.complex128)
    for b in range(kappa_pitch.shape[0]):
        for k in range(kappa_pitch.shape[1]):
            turn = cmath.rect(1.0, -kappa_pitch[b, k])
            phasor = 1.0 + 0.0j
            total = 0.0j
            for c in range(len(amplitude)):
                total += amplitude[c] * phasor
                phasor *= turn
            out[b, k] = total
    return out


@inline
def _phasor(phase: float, table: NDArray[np.complex128], per_rad: float) -> complex:
    if len(table):
        return complex(table[int(phase * per_rad + 0.5)])
    return cmath.rect(1.0, phase)


@inline
def _alike(motions: NDArray[np.float64], slot: int, other: int) -> bool:
    same = True
    for k in range(6):
        same = same and motions[slot, k] == motions[other, k]
    return same


@inline
def _turn(angle: float) -> complex:
    """exp(i angle) - 1; by its series where that is short, since most pixels in motion are nearly there."""
    if abs(angle) > 0.25:
        return cmath.rect(1.0, angle) - 1.0
    x = angle * angle
    cosine = -x / 2 * (1 - x / 12 * (1 - x / 30 * (1 - x / 56 * (1 - x / 90))))
    sine = angle * (1 - x / 6 * (1 - x / 20 * (1 - x / 42 * (1 - x / 72 * (1 - x / 110)))))
    return complex(cosine, sine)


@inline
def _carrier(
    carriers: NDArray[np.complex128], kappa_pitch: NDArray[np.float64], band: int, column: int, s: int
) -> complex:
    if carriers.shape[1]:
        return complex(carriers[band, column, s])
    return cmath.rect(1.0, -kappa_pitch[band, s] * column)


@kernel
def carrier_table(kappa_pitch: NDArray[np.float64], columns: int) -> NDArray[np.complex128]:
    """exp(-i kappa X x_c) for every (band, panel column, point): what a narrow detector saves time with."""
    bands, points = kappa_pitch.shape
    out = np.empty((bands, columns, points), np.complex128)
    for band in range(bands):
        for column in range(columns):
            for s in range(points):
                out[band, column, s] = cmath.rect(1.0, -kappa_pitch[band, s] * column)
    return out


@kernel
def add_region(
    sums: NDArray[np.complex128],
    old_phase: NDArray[np.float64],
    new_phase: NDArray[np.float64],
    first_row: int,
    first_column: int,
    lit_first_row: int,
    rows_per_band: int,
    amplitude: NDArray[np.float64],
    kappa_pitch: NDArray[np.float64],
    carriers: NDArray[np.complex128],
    table: NDArray[np.complex128],
    changed: NDArray[np.bool_],
) -> None:
    """Add to the column sums what a region's change of phase adds.

    sums: (lit rows, points). old_phase, new_phase: (rows, columns) rad. amplitude: (panel columns,) field amplitude.
    kappa_pitch: (bands, points) phase step per panel column, rad. carriers: `carrier_table`, or (bands, 0, points)
    where it would be too large. table: exp(i phase) of every gray level, if phases are gray levels; empty if they are
    continuous. changed: (bands,) set where a sum changes.
    """
    lit_rows, points = sums.shape
    rows, columns = new_phase.shape
    per_rad = len(table) / (2 * math.pi)
    accumulated = np.empty(points, np.complex128)
    steps = np.empty(points, np.complex128)
    for r in range(rows):
        lit = first_row + r - lit_first_row
        if lit < 0 or lit >= lit_rows:
            continue
        first = -1
        last = -1
        for c in range(columns):
            if new_phase[r, c] != old_phase[r, c]:
                if first < 0:
                    first = c
                last = c
        if first < 0:
            continue
        band = lit // rows_per_band
        changed[band] = True
        for s in range(points):
            steps[s] = _carrier(carriers, kappa_pitch, band, 1, s)
            accumulated[s] = 0.0
        for c in range(last, first - 1, -1):  # Horner's rule
            difference = 0j
            if new_phase[r, c] != old_phase[r, c]:
                difference = amplitude[first_column + c] * (
                    _phasor(new_phase[r, c], table, per_rad) - _phasor(old_phase[r, c], table, per_rad)
                )
            for s in range(points):
                accumulated[s] = accumulated[s] * steps[s] + difference
        for s in range(points):
            sums[lit, s] += accumulated[s] * _carrier(carriers, kappa_pitch, band, first_column + first, s)


@kernel
def add_patches(
    sums: NDArray[np.complex128],
    panel_phase: NDArray[np.float64],
    origins: NDArray[np.int32],
    values: NDArray[np.float64],
    lit_first_row: int,
    rows_per_band: int,
    amplitude: NDArray[np.float64],
    kappa_pitch: NDArray[np.float64],
    carriers: NDArray[np.complex128],
    table: NDArray[np.complex128],
    changed: NDArray[np.bool_],
) -> None:
    """`add_region` for many patches of few columns, pixel by pixel: values (n, rows, columns) at origins (n, 2)."""
    n, height, width = values.shape
    lit_rows, points = sums.shape
    per_rad = len(table) / (2 * math.pi)
    for k in range(n):
        for r in range(height):
            row = origins[k, 0] + r
            lit = row - lit_first_row
            if lit < 0 or lit >= lit_rows:
                continue
            band = lit // rows_per_band
            for c in range(width):
                column = origins[k, 1] + c
                old, new = panel_phase[row, column], values[k, r, c]
                if new == old:
                    continue
                changed[band] = True
                difference = amplitude[column] * (_phasor(new, table, per_rad) - _phasor(old, table, per_rad))
                for s in range(points):
                    sums[lit, s] += difference * _carrier(carriers, kappa_pitch, band, column, s)


@kernel
def set_patches(
    panel_phase: NDArray[np.float64],
    origins: NDArray[np.int32],
    values: NDArray[np.float64],
    refresh_s: float,
    scan_s_per_row: float,
    tau_on_s: float,
    tau_off_s: float,
    slots: NDArray[np.int32],
    places: NDArray[np.int32],
    motions: NDArray[np.float64],
    count: int,
) -> int:
    """Write many patches to the panel's targets and its table of moving pixels; return how many move."""
    n, height, width = values.shape
    for k in range(n):
        r, c = origins[k, 0], origins[k, 1]
        region = panel_phase[r : r + height, c : c + width]
        count = set_targets(
            region,
            values[k],
            r,
            c,
            refresh_s,
            scan_s_per_row,
            tau_on_s,
            tau_off_s,
            slots,
            places,
            motions,
            count,
        )
        region[:] = values[k]
    return count


# Arrays are passed whole, with an index, below: a slice handed to a kernel costs as much as the work done on it here.


@kernel
def _add_products(
    blocks: NDArray[np.complex128],
    block: int,
    column_weights: NDArray[np.float64],
    band: int,
    nodes_per_pixel: int,
    weight: float,
    out: NDArray[np.complex128],
) -> None:
    """Add weight * <sum_r F_(r+d) F_r*>, averaged over each camera column, to out (columns, distances).

    blocks: (n, rows per band, points) column sums, of which ``block`` is taken; column_weights: (bands, points).
    """
    rows = blocks.shape[1]
    for d in range(rows):
        for column in range(len(out)):
            mean_re = mean_im = 0.0
            for s in range(column * nodes_per_pixel, (column + 1) * nodes_per_pixel):
                re = im = 0.0
                for r in range(rows - d):
                    one, other = blocks[block, r + d, s], blocks[block, r, s]
                    re += one.real * other.real + one.imag * other.imag
                    im += one.imag * other.real - one.real * other.imag
                mean_re += column_weights[band, s] * re
                mean_im += column_weights[band, s] * im
            out[column, d] += weight * complex(mean_re, mean_im)


@kernel
def _add_line(
    terms: NDArray[np.complex128],
    band: int,
    weights: NDArray[np.float64],
    cosines: NDArray[np.float64],
    sines: NDArray[np.float64],
    line: NDArray[np.float64],
) -> None:
    """Add the intensity of one band to line (columns, camera rows): terms (columns, distances) of `_add_products`."""
    columns, distances = terms.shape
    rows = weights.shape[1]
    for column in range(columns):
        own = terms[column, 0].real
        if distances == 2:  # the usual two rows per band, in one pass
            re, im = 2.0 * terms[column, 1].real, 2.0 * terms[column, 1].imag
            for y in range(rows):
                line[column, y] += weights[band, y] * (own + (re * cosines[band, 1, y] + im * sines[band, 1, y]))
            continue
        for y in range(rows):
            line[column, y] += weights[band, y] * own
        for d in range(1, distances):
            re, im = 2.0 * terms[column, d].real, 2.0 * terms[column, d].imag
            for y in range(rows):
                line[column, y] += weights[band, y] * (re * cosines[band, d, y] + im * sines[band, d, y])


@kernel
def line_power(
    sums: NDArray[np.complex128],
    changed: NDArray[np.bool_],
    settled_terms: NDArray[np.complex128],
    settled_line: NDArray[np.float64],
    row_weights: NDArray[np.float64],
    cosines: NDArray[np.float64],
    sines: NDArray[np.float64],
    nodes_per_pixel: int,
    column_weights: NDArray[np.float64],
    amplitude: NDArray[np.float64],
    kappa_pitch: NDArray[np.float64],
    carriers: NDArray[np.complex128],
    table: NDArray[np.complex128],
    lit_first_row: int,
    places: NDArray[np.int32],
    motions: NDArray[np.float64],
    count: int,
    times_s: NDArray[np.float64],
    time_weights: NDArray[np.float64],
    tau_on_s: float,
    tau_off_s: float,
) -> NDArray[np.float64]:
    """Mean power (camera columns, camera rows) on each pixel during an exposure.

    sums: (lit rows, points) of the targets. settled_terms (bands, columns, rows per band) and settled_line (columns,
    camera rows) are this function's memory of the settled pattern: only bands marked in ``changed`` are worked out
    again, and the marks cleared. row_weights: (bands, camera rows) power and pixel envelope. cosines, sines: (bands,
    rows per band, camera rows) of kappa Y pitch d for row distance d. column_weights: (bands, points) integration
    weight and envelope. The first ``count`` entries of places and motions are the pixels still on their way, as in
    `simulators.physics.liquid_crystal`; their bands are averaged over the instants times_s with time_weights.
    """
    bands, columns, rows_per_band = settled_terms.shape
    points = sums.shape[1]
    blocks = sums.reshape(bands, rows_per_band, points)
    terms = np.empty((columns, rows_per_band), np.complex128)
    anew = 2 * changed.sum() > bands
    if anew:
        settled_line[:] = 0.0
    for band in range(bands):
        if not (changed[band] or anew):
            continue
        # The line takes the difference to what it held of this band, or the whole if it is made anew.
        for column in range(columns):
            for d in range(rows_per_band):
                terms[column, d] = 0.0 if anew else -settled_terms[band, column, d]
                if changed[band]:
                    settled_terms[band, column, d] = 0.0
        if changed[band]:
            _add_products(blocks, band, column_weights, band, nodes_per_pixel, 1.0, settled_terms[band])
        for column in range(columns):
            for d in range(rows_per_band):
                terms[column, d] += settled_terms[band, column, d]
        _add_line(terms, band, row_weights, cosines, sines, settled_line)
        changed[band] = False
    out = settled_line.copy()
    if count == 0:
        return out

    # Bands in which something moves get sums of their own for every instant.
    where = np.full(bands, -1, np.int64)
    moving = 0
    for m in range(count):
        band = (places[m, 0] - lit_first_row) // rows_per_band
        if 0 <= band < bands and where[band] < 0:
            where[band] = moving
            moving += 1
    instants = len(times_s)
    moved = np.empty((moving * instants, rows_per_band, points), np.complex128)
    for band in range(bands):
        if where[band] >= 0:
            for block in range(where[band] * instants, (where[band] + 1) * instants):
                for d in range(rows_per_band):
                    for s in range(points):
                        moved[block, d, s] = blocks[band, d, s]
    carrier = np.empty(points, np.complex128)
    fade_on, fade_off = fading(times_s, tau_on_s), fading(times_s, tau_off_s)
    phases = np.empty(instants)
    m = 0
    while m < count:
        first = m
        lit = places[m, 0] - lit_first_row
        band = lit // rows_per_band
        if band < 0 or band >= bands:
            m += 1
            continue
        # Neighbours in a row that move alike, as the pixels of a macro-pixel do, are taken together.
        carrier[:] = 0.0
        while m < count and places[m, 0] == places[first, 0] and _alike(motions, m, first):
            column = places[m, 1]
            for s in range(points):
                carrier[s] += amplitude[column] * _carrier(carriers, kappa_pitch, band, column, s)
            m += 1
        target = _phasor(motions[first, TARGET], table, len(table) / (2 * math.pi))
        phases_at(motions, first, times_s, fade_on, fade_off, tau_on_s, tau_off_s, phases)
        d = lit - band * rows_per_band
        for q in range(instants):
            difference = target * _turn(phases[q] - motions[first, TARGET])
            block = where[band] * instants + q
            for s in range(points):
                moved[block, d, s] += carrier[s] * difference
    for band in range(bands):
        if where[band] < 0:
            continue
        for column in range(columns):
            for d in range(rows_per_band):
                terms[column, d] = -settled_terms[band, column, d]
        for q in range(instants):
            block = where[band] * instants + q
            _add_products(moved, block, column_weights, band, nodes_per_pixel, time_weights[q], terms)
        _add_line(terms, band, row_weights, cosines, sines, out)
    return out


def square_pixel_envelope(kappa_position: NDArray[np.float64], aperture_m: float) -> NDArray[np.float64]:
    """Transform of a one-dimensional pixel aperture, normalised to 1 on axis: sinc(kappa X w / 2)."""
    return np.sinc(kappa_position * aperture_m / (2 * math.pi))

"""The fast road from a real panel to a narrow window of the focal plane: running sums that follow what changes.

The same light as `simulators.physics.far_field`, for a window of some pixels about a point (X_c, Y_c). Over so small a
window the transform of a pixel at x varies slowly, so three expansions take the place of sums over sub-pixels and
points:

    exp(-i kappa (X - X_c) x) = sum_n (2 - [n = 0]) (-i)^n J_n(kappa (X - X_c) x_max) T_n(x / x_max)   across the panel
    T_n(x_c + x_k) = T_n(x_c) + x_k T_n'(x_c)                                                          within a pixel
    exp(-i kappa (Y - Y_c) y_m) = sum_j (-i kappa (Y - Y_c) p)^j / j! (y_m / p)^j                      within a pixel

of which the last is used for what a pixel lacks of being even.

Kept are the sums over the columns of each row in every state of the panel's flicker. From them follow fields at a few
nodes in X and lines in Y, from these the light of each row with its coupled neighbours, and only rows that changed are
worked out again. The intensity is interpolated from the nodes to the pixels.

Everything is laid out so that the innermost loop runs over many pixels, or many rows, side by side. Sums are kept in
double precision, what is added to them and what follows from them in single.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import reordering_kernel
from simulators.physics.fringing import SUB_PIXELS
from simulators.physics.liquid_crystal import fading, phases_at

Array = NDArray[np.float64]
Short = NDArray[np.float32]

PARTS = SUB_PIXELS
BATCH = 256
"""Pixels worked on at a time."""


class Plan(NamedTuple):
    """What stays as it is while a window is looked at.

    scale, kappa: (rows,). down, across: (PARTS, 3) neighbour weights. tilts: (PARTS, PARTS) X_c x_k + Y_c y_m of the
    sub-pixels, m^2. places: (J + 1, PARTS, PARTS) their weights in a pixel's features: powers of y, then x. pupil:
    (rows, columns, 2) field at (X_c, Y_c). basis, slopes: (columns, N) T_n and its derivative. across_nodes: (nodes, N,
    rows) Bessel functions with pixel envelope and scale. down_nodes: (lines, J, rows). unmodulated: (2, lines, nodes,
    rows). states: of the flicker, the first 0 and the others opposite. halo: (rows + 2,) rows of the panel that the lit
    ones have as neighbours.
    """

    scale: Short
    kappa: Short
    down: Short
    across: Short
    tilts: Short
    places: Short
    pupil: Short
    basis: Array
    slopes: Array
    across_nodes: Short
    down_nodes: Short
    unmodulated: Short
    states: Array
    halo: NDArray[np.int64]


class Kept(NamedTuple):
    """What follows the panel.

    sums: (states, rows, J, 2, N). features: (rows, columns, J + 1, 2) what the sums hold of each pixel. fields:
    (states, 2, lines, nodes, rows). lines: (states + 1, lines, nodes, rows) light of each row with itself and the rows
    after it, the last that of the glass alone. shown: (rows + 2, columns) phases that the sums know. first, last:
    (rows + 2,) columns in which the panel may differ from that. stale: (rows,) rows whose fields are not those of the
    sums. stamps: (rows, columns) last visit, visit: (1,).
    """

    sums: Array
    features: Short
    fields: Short
    lines: Short
    shown: Array
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    stale: NDArray[np.bool_]
    stamps: NDArray[np.int32]
    visit: NDArray[np.int32]


class Coupled(NamedTuple):
    """How rows add up under the light of now.

    own: (rows,) W. cosines, sines: (reach, lines, rows) 2 C_rd exp(i kappa Y d p). glass: (2, lines, nodes, rows) its
    incoherent field.
    """

    own: Short
    cosines: Short
    sines: Short
    glass: Short


class Motion(NamedTuple):
    """Pixels on their way, as in `simulators.physics.liquid_crystal`.

    slots of the whole panel; places and motions, of which the first ``moving`` count; instants of the exposure and
    their weights.
    """

    slots: NDArray[np.int32]
    places: NDArray[np.int32]
    motions: Array
    moving: int
    times_s: Array
    weights: Array
    tau_on_s: float
    tau_off_s: float


# --- pixels -----------------------------------------------------------------------------------------------------------


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
    down: Short,
    across: Short,
    tilts: Short,
    places: Short,
    scale: Short,
    kappa: Short,
    around: Short,
    count: int,
    work: Short,
    features: Short,
) -> None:
    """Features (J + 1, 2, count) of pixels from the phases (3, 3, count) around each.

    scale, kappa: (count,) of each pixel's row. work: (3 PARTS + 3, BATCH) memory.
    """
    along, phases, cosines, sines = work[: 3 * PARTS], work[3 * PARTS], work[3 * PARTS + 1], work[3 * PARTS + 2]
    for d in range(3):
        for k in range(PARTS):
            left, own, right = across[k, 0], across[k, 1], across[k, 2]
            for i in range(count):
                along[d * PARTS + k, i] = left * around[d, 0, i] + own * around[d, 1, i] + right * around[d, 2, i]
    for f in range(features.shape[0]):
        for i in range(count):
            features[f, 0, i] = 0.0
            features[f, 1, i] = 0.0
    for m in range(PARTS):
        above, own, below = down[m, 0], down[m, 1], down[m, 2]
        for k in range(PARTS):
            tilt = tilts[m, k]
            for i in range(count):
                blurred = above * along[k, i] + own * along[PARTS + k, i] + below * along[2 * PARTS + k, i]
                phases[i] = scale[i] * blurred - kappa[i] * tilt
            phasors(phases, count, cosines, sines)
            for f in range(features.shape[0]):
                weight = places[f, m, k]
                for i in range(count):
                    features[f, 0, i] += weight * cosines[i]
                    features[f, 1, i] += weight * sines[i]


@reordering_kernel
def _add_pixels(fields: Array, places: NDArray[np.int64], count: int, basis: Array, power: int, sums: Array) -> None:
    """Add to one power of sums (rows, powers, 2, N) what pixels with fields (2, count) at places (2, count) make."""
    for i in range(count):
        re, im = fields[0, i], fields[1, i]
        own, terms_re, terms_im = basis[places[1, i]], sums[places[0, i], power, 0], sums[places[0, i], power, 1]
        for n in range(len(own)):
            terms_re[n] += re * own[n]
            terms_im[n] += im * own[n]


@reordering_kernel
def follow(plan: Plan, kept: Kept, panel_phase: Array, anew: bool) -> None:
    """Bring the sums up to date with the panel's targets (panel rows, columns), where they may differ.

    anew: the sums are zero and know nothing.
    """
    rows, width = len(plan.scale), panel_phase.shape[1]
    halo, shown = plan.halo, kept.shown
    places, driven = np.empty((2, BATCH), np.int64), np.empty((2, BATCH))
    around = np.empty((3, 3, BATCH), np.float32)
    count = 0
    for r in range(rows):
        first = width
        last = -1
        for d in range(3):
            first = min(first, kept.first[r + d])
            last = max(last, kept.last[r + d])
        for c in range(max(first - 1, 0), min(last + 2, width)):
            left = max(c - 1, 0)
            right = min(c + 1, width - 1)
            differs = anew
            for d in range(3):
                row = halo[r + d]
                differs = differs or (
                    panel_phase[row, left] != shown[r + d, left]
                    or panel_phase[row, c] != shown[r + d, c]
                    or panel_phase[row, right] != shown[r + d, right]
                )
            if not differs:
                continue
            for d in range(3):
                row = halo[r + d]
                around[d, 0, count] = panel_phase[row, left]
                around[d, 1, count] = panel_phase[row, c]
                around[d, 2, count] = panel_phase[row, right]
            places[0, count], places[1, count] = r, c
            driven[0, count], driven[1, count] = shown[r + 1, c], panel_phase[halo[r + 1], c]
            count += 1
            if count == BATCH:
                _take_over(plan, kept, places, count, around, driven)
                count = 0
    if count:
        _take_over(plan, kept, places, count, around, driven)
    for h in range(rows + 2):
        for c in range(max(kept.first[h], 0), min(kept.last[h] + 1, width)):
            shown[h, c] = panel_phase[halo[h], c]
        kept.first[h] = width
        kept.last[h] = -1


@reordering_kernel
def _take_over(
    plan: Plan,
    kept: Kept,
    places: NDArray[np.int64],
    count: int,
    around: Short,
    driven: Array,
) -> None:
    """Have the sums hold what pixels at places (2, count) are now, with phases (3, 3, count) around them, instead of
    what they were; driven: (2, count) their own phases then and now."""
    features = _features_at(plan, places, count, around)
    total = len(features)
    fields = np.empty((total, 2, BATCH))
    for state in range(len(plan.states)):
        for i in range(count):
            r, c = places[0, i], places[1, i]
            pupil_re, pupil_im = plan.pupil[r, c, 0], plan.pupil[r, c, 1]
            turn = plan.states[state] * plan.scale[r]
            cos, sin = math.cos(turn * driven[1, i]), math.sin(turn * driven[1, i])
            was_cos, was_sin = math.cos(turn * driven[0, i]), math.sin(turn * driven[0, i])
            for f in range(total):
                new_re, new_im = features[f, 0, i], features[f, 1, i]
                old_re, old_im = kept.features[r, c, f, 0], kept.features[r, c, f, 1]
                re = new_re * cos - new_im * sin - (old_re * was_cos - old_im * was_sin)
                im = new_im * cos + new_re * sin - (old_im * was_cos + old_re * was_sin)
                fields[f, 0, i] = pupil_re * re - pupil_im * im
                fields[f, 1, i] = pupil_re * im + pupil_im * re
        for f in range(total - 1):
            _add_pixels(fields[f], places, count, plan.basis, f, kept.sums[state])
        _add_pixels(fields[total - 1], places, count, plan.slopes, 0, kept.sums[state])
    for i in range(count):
        r, c = places[0, i], places[1, i]
        kept.stale[r] = True
        for f in range(total):
            kept.features[r, c, f, 0] = features[f, 0, i]
            kept.features[r, c, f, 1] = features[f, 1, i]


@reordering_kernel
def _features_at(plan: Plan, places: NDArray[np.int64], count: int, around: Short) -> Short:
    """`pixel_features` (J + 1, 2, count) of pixels at places (2, count)."""
    scale, kappa = np.empty(count, np.float32), np.empty(count, np.float32)
    for i in range(count):
        scale[i] = plan.scale[places[0, i]]
        kappa[i] = plan.kappa[places[0, i]]
    work = np.empty((3 * PARTS + 3, BATCH), np.float32)
    features = np.empty((len(plan.places), 2, BATCH), np.float32)
    pixel_features(plan.down, plan.across, plan.tilts, plan.places, scale, kappa, around, count, work, features)
    return features


@reordering_kernel
def mark(plan: Plan, kept: Kept, row: int, column: int, rows: int, columns: int) -> None:
    """Note that a region of the panel may have changed."""
    for h in range(len(plan.halo)):
        if row <= plan.halo[h] < row + rows:
            kept.first[h] = min(kept.first[h], column)
            kept.last[h] = max(kept.last[h], column + columns - 1)


@reordering_kernel
def mark_patches(plan: Plan, kept: Kept, origins: NDArray[np.int32], rows: int, columns: int) -> None:
    """`mark` for many patches of one size."""
    top = plan.halo[1]  # lit row 0; halo rows beyond the panel's border repeat it
    for k in range(len(origins)):
        for r in range(origins[k, 0], origins[k, 0] + rows):
            h = r - top + 1
            for near in range(max(h - 1, 0), min(h + 2, len(plan.halo))):
                if plan.halo[near] == r:
                    kept.first[near] = min(kept.first[near], origins[k, 1])
                    kept.last[near] = max(kept.last[near], origins[k, 1] + columns - 1)


# --- rows -------------------------------------------------------------------------------------------------------------


@reordering_kernel
def _row_fields(plan: Plan, first: int, sums: Short, fields: Short) -> None:
    """Fields (2, lines, nodes, rows) of some rows from ``first`` on, from their sums (J, 2, N, some rows), each already
    times (-i)^(n + j)."""
    across, down = plan.across_nodes, plan.down_nodes
    powers, _, terms, count = sums.shape
    re, im = np.empty(count, np.float32), np.empty(count, np.float32)
    # Slices of one dimension, counted from 0: only so do the innermost loops run side by side.
    some = slice(first, first + count)
    for s in range(across.shape[0]):
        for j in range(powers):
            re[:] = 0.0
            im[:] = 0.0
            for n in range(terms):
                weight, sum_re, sum_im = across[s, n, some], sums[j, 0, n], sums[j, 1, n]
                for i in range(count):
                    re[i] += weight[i] * sum_re[i]
                    im[i] += weight[i] * sum_im[i]
            for q in range(down.shape[0]):
                weight, field_re, field_im = down[q, j, some], fields[0, q, s, some], fields[1, q, s, some]
                if j == 0:
                    field_re[:] = plan.unmodulated[0, q, s, some]
                    field_im[:] = plan.unmodulated[1, q, s, some]
                for i in range(count):
                    field_re[i] += weight[i] * re[i]
                    field_im[i] += weight[i] * im[i]


@reordering_kernel
def _turn_over(sums: Array, first: int, out: Short) -> None:
    """Sums (rows, J, 2, N) of some rows from ``first`` on as (J, 2, N, some rows), each times (-i)^(n + j)."""
    powers, _, terms, count = out.shape
    for i in range(count):
        for j in range(powers):
            for n in range(terms):
                re, im = sums[first + i, j, 0, n], sums[first + i, j, 1, n]
                if (n + j) & 1:
                    re, im = im, -re
                if (n + j) & 2:
                    re, im = -re, -im
                out[j, 0, n, i] = re
                out[j, 1, n, i] = im


@reordering_kernel
def _row_lines(coupled: Coupled, first: int, end: int, fields: Short, lines: Short) -> None:
    """Light (lines, nodes, rows) of rows ``first`` to ``end`` - 1 with themselves and with the rows after them."""
    rows = fields.shape[3]
    some = slice(first, end)
    own_w = coupled.own[some]
    for q in range(lines.shape[0]):
        for s in range(lines.shape[1]):
            re, im, line = fields[0, q, s, some], fields[1, q, s, some], lines[q, s, some]
            for i in range(end - first):
                line[i] = own_w[i] * (re[i] * re[i] + im[i] * im[i])
            for d in range(1, coupled.cosines.shape[0] + 1):
                cos, sin = coupled.cosines[d - 1, q, some], coupled.sines[d - 1, q, some]
                next_re, next_im = fields[0, q, s, first + d : end + d], fields[1, q, s, first + d : end + d]
                for i in range(min(end, rows - d) - first):
                    in_phase = re[i] * next_re[i] + im[i] * next_im[i]
                    ahead = im[i] * next_re[i] - re[i] * next_im[i]
                    line[i] += cos[i] * in_phase - sin[i] * ahead


@reordering_kernel
def _lines_of(coupled: Coupled, changed: NDArray[np.bool_], fields: Short, lines: Short) -> None:
    """`_row_lines` of rows that changed or have a changed one among those they reach."""
    rows, reach = len(changed), coupled.cosines.shape[0]
    end = rows
    while end > 0:
        if not changed[end - 1]:
            end -= 1
            continue
        first = end - 1
        lowest = first - reach  # no row above that is reached by the changed ones found so far
        while first > 0 and first > lowest:
            first -= 1
            if changed[first]:
                lowest = first - reach
        _row_lines(coupled, first, end, fields, lines)
        end = first


@reordering_kernel
def bring_lines_up_to_date(plan: Plan, kept: Kept, coupled: Coupled) -> None:
    """Fields and lines of rows whose sums have changed."""
    states, rows, powers, _, terms = kept.sums.shape
    r = 0
    while r < rows:
        if not kept.stale[r]:
            r += 1
            continue
        first = r
        while r < rows and kept.stale[r]:
            r += 1
        count = r - first
        turned = np.empty((powers, 2, terms, count), np.float32)
        for state in range(states):
            _turn_over(kept.sums[state], first, turned)
            _row_fields(plan, first, turned, kept.fields[state])
    for state in range(states):
        _lines_of(coupled, kept.stale, kept.fields[state], kept.lines[state])
    kept.stale[:] = False


@reordering_kernel
def light_glass(kept: Kept, coupled: Coupled) -> None:
    """Lines of the glass's own light, under new light on the panel."""
    _row_lines(coupled, 0, len(coupled.own), coupled.glass, kept.lines[len(kept.fields)])


@reordering_kernel
def window_nodes(kept: Kept, gains: Array, weights: Array) -> Array:
    """Light (lines, nodes) there; gains: (rows,) of each row's slice, weights: (states,) of the flicker."""
    states, lines, nodes, rows = kept.lines.shape
    out = np.zeros((lines, nodes))
    for state in range(states):
        weight = 1.0 if state == states - 1 else weights[state]
        for q in range(lines):
            for s in range(nodes):
                total = 0.0
                for r in range(rows):
                    total += gains[r] * kept.lines[state, q, s, r]
                out[q, s] += weight * total
    return out


# --- motion -----------------------------------------------------------------------------------------------------------


@reordering_kernel
def add_motion(
    plan: Plan, kept: Kept, coupled: Coupled, panel_phase: Array, motion: Motion, gains: Array, out: Array
) -> None:
    """Add to the light (lines, nodes) there what pixels on their way change, averaged over the exposure, calm panel."""
    rows, columns, instants = len(plan.scale), panel_phase.shape[1], len(motion.times_s)
    top = plan.halo[1]
    fade_on, fade_off = fading(motion.times_s, motion.tau_on_s), fading(motion.times_s, motion.tau_off_s)
    moving = np.empty((motion.moving, instants))
    for m in range(motion.moving):
        phases_at(motion.motions, m, motion.times_s, fade_on, fade_off, motion.tau_on_s, motion.tau_off_s, moving[m])
    # pixels that move or are next to one that does, once each
    places = np.empty((2, 9 * motion.moving), np.int64)
    found = 0
    changed = np.zeros(rows, np.bool_)
    kept.visit[0] += 1
    for m in range(motion.moving):
        row, column = motion.places[m, 0] - top, motion.places[m, 1]
        for r in range(max(row - 1, 0), min(row + 2, rows)):
            for c in range(max(column - 1, 0), min(column + 2, columns)):
                if kept.stamps[r, c] != kept.visit[0]:
                    kept.stamps[r, c] = kept.visit[0]
                    places[0, found], places[1, found] = r, c
                    found += 1
                    changed[r] = True
    _, _, powers, _, terms = kept.sums.shape
    moved = np.empty((rows, powers, 2, terms))
    some = np.empty((2, BATCH), np.int64)
    turned = np.empty((powers, 2, terms, rows), np.float32)
    fields, lines = kept.fields[0].copy(), kept.lines[0].copy()
    for t in range(instants):
        moved[:] = kept.sums[0]
        for first in range(0, found, BATCH):
            count = min(BATCH, found - first)
            some[:, :count] = places[:, first : first + count]
            _add_moved(plan, kept, panel_phase, motion, moving, t, some, count, moved)
        _turn_over(moved, 0, turned)
        _row_fields(plan, 0, turned, fields)
        _lines_of(coupled, changed, fields, lines)
        for q in range(out.shape[0]):
            for s in range(out.shape[1]):
                total = 0.0
                for r in range(rows):
                    total += gains[r] * (lines[q, s, r] - kept.lines[0, q, s, r])
                out[q, s] += motion.weights[t] * total


@reordering_kernel
def _add_moved(
    plan: Plan,
    kept: Kept,
    panel_phase: Array,
    motion: Motion,
    moving: Array,
    instant: int,
    places: NDArray[np.int64],
    count: int,
    moved: Array,
) -> None:
    """Add to sums (rows, J, 2, N) what pixels at places (2, count) are at an instant, less what they are at rest."""
    width = panel_phase.shape[1]
    around = np.empty((3, 3, BATCH), np.float32)
    for i in range(count):
        r, c = places[0, i], places[1, i]
        for d in range(3):
            row = plan.halo[r + d]
            for e in range(3):
                column = min(max(c + e - 1, 0), width - 1)
                slot = motion.slots[row, column]
                around[d, e, i] = moving[slot, instant] if slot >= 0 else panel_phase[row, column]
    features = _features_at(plan, places, count, around)
    total = features.shape[0]
    fields = np.empty((total, 2, BATCH))
    for i in range(count):
        r, c = places[0, i], places[1, i]
        pupil_re, pupil_im = plan.pupil[r, c, 0], plan.pupil[r, c, 1]
        for f in range(total):
            re = np.float64(features[f, 0, i]) - kept.features[r, c, f, 0]
            im = np.float64(features[f, 1, i]) - kept.features[r, c, f, 1]
            fields[f, 0, i] = pupil_re * re - pupil_im * im
            fields[f, 1, i] = pupil_re * im + pupil_im * re
    for f in range(total - 1):
        _add_pixels(fields[f], places, count, plan.basis, f, moved)
    _add_pixels(fields[total - 1], places, count, plan.slopes, 0, moved)

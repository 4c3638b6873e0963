"""The fast road from a real panel to a small window of the focal plane: running sums that follow what changes.

The same light as `simulators.physics.far_field`. Kept are the sums over the columns of each row in every state of the
panel's flicker, of the pixels' features (`simulators.physics.window_pixels`). From them follow fields at a few nodes in
X and lines in Y, from these the light of each row with its coupled neighbours, and only rows that changed are worked
out again. The intensity is interpolated from the nodes to the pixels.

Where few pixels of a row change, each is taken on its own; where many do, the row is, side by side. Sums are kept in
double precision, what is added to them and what follows from them in single.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import reordering_kernel
from simulators.physics.window_pixels import (
    BATCH,
    PARTS,
    WORK,
    Array,
    Plan,
    Short,
    add_pixels,
    features_of,
    phasors,
    pixel_features,
    project,
    row_features,
)

DENSE = 32
"""Changed pixels in a row, at least, and a quarter of those between the first and the last of them, for it to be taken
as a whole."""


class Kept(NamedTuple):
    """What follows the panel.

    sums: (states, rows, J, 2, N). features: (rows, F, 2, columns) what the sums hold of each pixel. fields:
    (states, 2, lines, nodes, rows). lines: (states + 1, lines, nodes, rows) light of each row with itself and the rows
    after it, the last that of the glass alone. shown: (rows + 2, columns + 2) phases that the sums know, bordered by
    one; wanted: those of now. first, last: (rows + 2,) columns in which the panel may differ from that. stale: (rows,)
    rows whose fields are not those of the sums. stamps: (rows, columns) last visit, visit: (1,).
    """

    sums: Array
    features: Short
    fields: Short
    lines: Short
    shown: Short
    wanted: Short
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


# --- pixels -----------------------------------------------------------------------------------------------------------


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


@reordering_kernel
def follow(plan: Plan, kept: Kept, panel_phase: Array, anew: bool) -> None:
    """Bring the sums up to date with the panel's targets (panel rows, columns), where they may differ.

    anew: the sums are zero and know nothing.
    """
    rows, width = len(plan.scale), panel_phase.shape[1]
    wanted, shown = kept.wanted, kept.shown
    for h in range(rows + 2):
        for c in range(max(kept.first[h], 0), min(kept.last[h] + 1, width)):
            wanted[h, c + 1] = panel_phase[plan.halo[h], c]
        wanted[h, 0], wanted[h, width + 1] = wanted[h, 1], wanted[h, width]
    some = np.empty((2, BATCH), np.int64)
    waiting = 0
    differs = np.zeros(width + 2, np.bool_)
    columns = np.empty(width, np.int64)
    for r in range(rows):
        first, last = width, -1
        for d in range(3):
            first, last = min(first, kept.first[r + d]), max(last, kept.last[r + d])
        first, last = max(first - 1, 0), min(last + 1, width - 1)
        if anew:
            _take_over_row(plan, kept, r, 0, width, True)
            continue
        if last < first:
            continue
        differs[first : last + 3] = False
        for d in range(3):
            now, then = wanted[r + d], shown[r + d]
            for c in range(first, last + 3):
                differs[c] |= now[c] != then[c]
        count = 0
        for c in range(first, last + 1):
            if differs[c] or differs[c + 1] or differs[c + 2]:
                columns[count] = c
                count += 1
        if count == 0:
            continue
        begin, end = columns[0], columns[count - 1] + 1
        if count >= DENSE and 4 * count >= end - begin:
            if 4 * (end - begin) > 3 * width:
                _take_over_row(plan, kept, r, 0, width, True)
            else:
                _take_over_row(plan, kept, r, begin, end, False)
            continue
        for i in range(count):
            some[0, waiting], some[1, waiting] = r, columns[i]
            waiting += 1
            if waiting == BATCH:
                _take_over(plan, kept, some, waiting)
                waiting = 0
    if waiting:
        _take_over(plan, kept, some, waiting)
    for h in range(rows + 2):
        if kept.last[h] >= kept.first[h]:
            shown[h] = wanted[h]
        kept.first[h] = width
        kept.last[h] = -1


@reordering_kernel
def _take_over(plan: Plan, kept: Kept, places: NDArray[np.int64], count: int) -> None:
    """Have the sums hold what pixels at places (2, count) are now instead of what they were."""
    around = np.empty((3, 3, BATCH), np.float32)
    for i in range(count):
        for d in range(3):
            for e in range(3):
                around[d, e, i] = kept.wanted[places[0, i] + d, places[1, i] + e]
    work = np.empty((WORK, BATCH), np.float32)
    features = np.empty((len(plan.order_x), 2, BATCH), np.float32)
    pixel_features(plan, places, count, around, work, features)
    total = len(features)
    fields = np.empty((total, 2, BATCH))
    for state in range(len(plan.states)):
        for i in range(count):
            r, c = places[0, i], places[1, i]
            pupil_re, pupil_im = plan.pupil[0, r, c], plan.pupil[1, r, c]
            turn = plan.states[state] * plan.scale[r]
            now, then = turn * kept.wanted[r + 1, c + 1], turn * kept.shown[r + 1, c + 1]
            cos, sin, was_cos, was_sin = math.cos(now), math.sin(now), math.cos(then), math.sin(then)
            for f in range(total):
                new_re, new_im = features[f, 0, i], features[f, 1, i]
                old_re, old_im = kept.features[r, f, 0, c], kept.features[r, f, 1, c]
                re = new_re * cos - new_im * sin - (old_re * was_cos - old_im * was_sin)
                im = new_im * cos + new_re * sin - (old_im * was_cos + old_re * was_sin)
                fields[f, 0, i] = pupil_re * re - pupil_im * im
                fields[f, 1, i] = pupil_re * im + pupil_im * re
        add_pixels(plan, fields, places, count, kept.sums[state])
    for i in range(count):
        r, c = places[0, i], places[1, i]
        kept.stale[r] = True
        for f in range(total):
            kept.features[r, f, 0, c] = features[f, 0, i]
            kept.features[r, f, 1, c] = features[f, 1, i]


@reordering_kernel
def _take_over_row(plan: Plan, kept: Kept, row: int, first: int, end: int, anew: bool) -> None:
    """`_take_over` of neighbours in a row, ``first`` to ``end`` - 1; anew: of all of it, whatever the sums hold."""
    states, total = len(plan.states), len(plan.order_x)
    quarters = (2 * states * total + 3) // 4 * 4
    fields = np.zeros((quarters, end - first), np.float32)
    work = np.empty((WORK, BATCH), np.float32)
    features = np.empty((total, 2, BATCH), np.float32)
    turns, was = np.empty((4, BATCH), np.float32), np.empty((2, BATCH), np.float32)
    phases = work[3 * PARTS]
    swing = np.float32(abs(plan.states[states - 1])) * plan.scale[row]
    for begin in range(first, end, BATCH):
        count = min(BATCH, end - begin)
        row_features(plan, kept.wanted, row, begin, count, work, features)
        now, then = kept.wanted[row + 1, begin + 1 :], kept.shown[row + 1, begin + 1 :]
        for i in range(count):
            phases[i] = swing * now[i]
        phasors(phases, count, turns[0], turns[1])
        for i in range(count):
            phases[i] = swing * then[i]
        phasors(phases, count, turns[2], turns[3])
        # Slices of one dimension only, here and below: their innermost loops run side by side.
        pupil_re, pupil_im = plan.pupil[0, row, begin:], plan.pupil[1, row, begin:]
        for state in range(states):
            sign = float(np.sign(plan.states[state]))
            for f in range(total):
                at = 2 * (f * states + state)
                out_re, out_im = fields[at, begin - first :], fields[at + 1, begin - first :]
                _turned(sign, turns[0], turns[1], features[f, 0], features[f, 1], count, out_re, out_im)
                if not anew:
                    old_re, old_im = kept.features[row, f, 0, begin:], kept.features[row, f, 1, begin:]
                    _turned(sign, turns[2], turns[3], old_re, old_im, count, was[0], was[1])
                    _subtract(was[0], was[1], count, out_re, out_im)
                _multiply(pupil_re, pupil_im, count, out_re, out_im)
        for f in range(total):
            for part in range(2):
                old, new = kept.features[row, f, part, begin:], features[f, part]
                for i in range(count):
                    old[i] = new[i]
    if anew:
        kept.sums[:, row] = 0.0
    for order in range(len(plan.basis)):
        begin, after = features_of(plan, order)
        lowest = 2 * begin * states // 4 * 4
        out = np.empty((2 * after * states - lowest, plan.basis.shape[2]), np.float32)
        project(fields[lowest:], end - first, plan.basis_across[order], first, out)
        for f in range(begin, after):
            for state in range(states):
                at = 2 * (f * states + state) - lowest
                kept.sums[state, row, plan.order_y[f], 0] += out[at]
                kept.sums[state, row, plan.order_y[f], 1] += out[at + 1]
    kept.stale[row] = True


@reordering_kernel
def _turned(
    sign: float, cosines: Short, sines: Short, re: Short, im: Short, count: int, out_re: Short, out_im: Short
) -> None:
    """A feature in a state of the flicker: by so much onwards (sign 1), back (-1) or not at all (0)."""
    if sign == 0.0:
        for i in range(count):
            out_re[i], out_im[i] = re[i], im[i]
        return
    direction = np.float32(sign)
    for i in range(count):
        sine = direction * sines[i]
        out_re[i] = re[i] * cosines[i] - im[i] * sine
        out_im[i] = im[i] * cosines[i] + re[i] * sine


@reordering_kernel
def _subtract(re: Short, im: Short, count: int, out_re: Short, out_im: Short) -> None:
    for i in range(count):
        out_re[i] -= re[i]
        out_im[i] -= im[i]


@reordering_kernel
def _multiply(re: Short, im: Short, count: int, out_re: Short, out_im: Short) -> None:
    for i in range(count):
        x, y = out_re[i], out_im[i]
        out_re[i] = re[i] * x - im[i] * y
        out_im[i] = re[i] * y + im[i] * x


# --- rows -------------------------------------------------------------------------------------------------------------


@reordering_kernel
def fields_of(plan: Plan, changed: NDArray[np.bool_], sums: Array, fields: Short) -> None:
    """Fields (2, lines, nodes, rows) of the rows that changed, from their sums (rows, J, 2, N)."""
    rows, powers, _, terms = sums.shape
    across, down = plan.across_nodes, plan.down_nodes
    nodes, lines = across.shape[1], down.shape[0]
    turned = np.zeros(((2 * powers + 3) // 4 * 4, terms), np.float32)
    out = np.empty((2 * powers, nodes), np.float32)
    for r in range(rows):
        if not changed[r]:
            continue
        for j in range(powers):
            for n in range(terms):  # times (-i)^(n + j)
                re, im = sums[r, j, 0, n], sums[r, j, 1, n]
                if (n + j) & 1:
                    re, im = im, -re
                if (n + j) & 2:
                    re, im = -re, -im
                turned[2 * j, n], turned[2 * j + 1, n] = re, im
        project(turned, terms, across[r], 0, out)
        for q in range(lines):
            field_re, field_im = fields[0, q, :, r], fields[1, q, :, r]
            field_re[:] = plan.unmodulated[0, q, :, r]
            field_im[:] = plan.unmodulated[1, q, :, r]
            for j in range(powers):
                weight = down[q, j, r]
                for s in range(nodes):
                    field_re[s] += weight * out[2 * j, s]
                    field_im[s] += weight * out[2 * j + 1, s]


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
def lines_of(coupled: Coupled, changed: NDArray[np.bool_], fields: Short, lines: Short) -> NDArray[np.bool_]:
    """`_row_lines` of rows that changed or have a changed one among those they reach; returns which (rows,)."""
    rows, reach = len(changed), coupled.cosines.shape[0]
    touched = np.zeros(rows, np.bool_)
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
        touched[first:end] = True
        end = first
    return touched


@reordering_kernel
def bring_lines_up_to_date(plan: Plan, kept: Kept, coupled: Coupled) -> None:
    """Fields and lines of rows whose sums have changed."""
    for state in range(len(kept.sums)):
        fields_of(plan, kept.stale, kept.sums[state], kept.fields[state])
        lines_of(coupled, kept.stale, kept.fields[state], kept.lines[state])
    kept.stale[:] = False


@reordering_kernel
def light_rows(kept: Kept, coupled: Coupled) -> None:
    """All lines, and those of the glass's own light, under new light on the panel."""
    for state in range(len(kept.fields)):
        _row_lines(coupled, 0, len(coupled.own), kept.fields[state], kept.lines[state])
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
                total, line = 0.0, kept.lines[state, q, s]
                for r in range(rows):
                    total += gains[r] * line[r]
                out[q, s] += weight * total
    return out

"""What pixels on their way change in a small window of the focal plane, averaged over an exposure.

The sums of `simulators.physics.window_sums` hold the panel's targets. At each instant of an exposure, rows in which
pixels move get sums of their own, without flicker.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import reordering_kernel
from simulators.physics.liquid_crystal import fading, phases_at
from simulators.physics.window_pixels import (
    BATCH,
    WORK,
    Array,
    Plan,
    Short,
    add_pixels,
    features_of,
    pixel_features,
    project,
    row_features,
)
from simulators.physics.window_sums import DENSE, Coupled, Kept, fields_of, lines_of


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


@reordering_kernel
def add_motion(plan: Plan, kept: Kept, coupled: Coupled, motion: Motion, gains: Array, out: Array) -> None:
    """Add to the light (lines, nodes) there what pixels on their way change, averaged over the exposure, calm panel.

    The sums must be up to date with the panel's targets.
    """
    instants = len(motion.times_s)
    fade_on, fade_off = fading(motion.times_s, motion.tau_on_s), fading(motion.times_s, motion.tau_off_s)
    moving = np.empty((motion.moving, instants))
    for m in range(motion.moving):
        phases_at(motion.motions, m, motion.times_s, fade_on, fade_off, motion.tau_on_s, motion.tau_off_s, moving[m])
    changed, spans, places = _affected(plan, kept, motion)
    rows = np.flatnonzero(changed)
    if len(rows) == 0:
        return
    image, moved = np.empty_like(kept.shown), np.empty_like(kept.sums[0])
    for r in rows:
        image[r : r + 3] = kept.shown[r : r + 3]
    # of the rows that changed and those that they reach
    low, high = max(rows[0] - len(coupled.cosines), 0), rows[-1] + 1 + len(coupled.cosines)
    fields, lines = np.empty_like(kept.fields[0]), np.empty_like(kept.lines[0])
    fields[..., low:high] = kept.fields[0, ..., low:high]
    lines[..., low:high] = kept.lines[0, ..., low:high]
    for t in range(instants):
        _draw(plan, motion, moving, t, image)
        for r in rows:
            moved[r] = kept.sums[0, r]
            if spans[r, 1] > spans[r, 0]:
                _add_moved_row(plan, kept, image, int(r), spans[r, 0], spans[r, 1], moved)
        for first in range(0, places.shape[1], BATCH):
            count = min(BATCH, places.shape[1] - first)
            _add_moved(plan, kept, image, places[:, first : first + count], count, moved)
        fields_of(plan, changed, moved, fields)
        touched = np.flatnonzero(lines_of(coupled, changed, fields, lines))
        for q in range(out.shape[0]):
            for s in range(out.shape[1]):
                total, line, still = 0.0, lines[q, s], kept.lines[0, q, s]
                for r in touched:
                    total += gains[r] * (line[r] - still[r])
                out[q, s] += motion.weights[t] * total


@reordering_kernel
def _affected(plan: Plan, kept: Kept, motion: Motion) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Rows (rows,) in which a pixel moves or is next to one that does; of those in which many do, their first column
    and the one after their last (rows, 2); in the other rows each such pixel (2, n)."""
    rows, columns, top = len(plan.scale), kept.stamps.shape[1], plan.halo[1]
    number = np.zeros(rows, np.int64)
    spans = np.zeros((rows, 2), np.int64)
    spans[:, 0] = columns
    for m in range(motion.moving):
        row, column = motion.places[m, 0] - top, motion.places[m, 1]
        for r in range(max(row - 1, 0), min(row + 2, rows)):
            number[r] += 1
            spans[r, 0] = min(spans[r, 0], max(column - 1, 0))
            spans[r, 1] = max(spans[r, 1], min(column + 2, columns))
    changed = number > 0
    room = 0
    for r in range(rows):
        if number[r] < DENSE or 4 * number[r] < spans[r, 1] - spans[r, 0]:
            spans[r] = 0
            room += 3 * number[r]
    places = np.empty((2, room), np.int64)
    found = 0
    kept.visit[0] += 1
    for m in range(motion.moving):
        row, column = motion.places[m, 0] - top, motion.places[m, 1]
        for r in range(max(row - 1, 0), min(row + 2, rows)):
            if spans[r, 1] > spans[r, 0]:
                continue
            for c in range(max(column - 1, 0), min(column + 2, columns)):
                if kept.stamps[r, c] != kept.visit[0]:
                    kept.stamps[r, c] = kept.visit[0]
                    places[0, found], places[1, found] = r, c
                    found += 1
    return changed, spans, places[:, :found]


@reordering_kernel
def _draw(plan: Plan, motion: Motion, moving: Array, instant: int, image: Short) -> None:
    """Phases of moving pixels into image (rows + 2, columns + 2), bordered by one, wherever they are neighbours."""
    top, rows, columns = plan.halo[1], len(plan.halo), image.shape[1] - 2
    for m in range(motion.moving):
        row, column, phase = motion.places[m, 0], motion.places[m, 1], moving[m, instant]
        for h in range(max(row - top, 0), min(row - top + 3, rows)):
            if plan.halo[h] == row:
                image[h, column + 1] = phase
                if column == 0:
                    image[h, 0] = phase
                if column == columns - 1:
                    image[h, columns + 1] = phase


@reordering_kernel
def _add_moved(plan: Plan, kept: Kept, image: Short, places: NDArray[np.int64], count: int, moved: Array) -> None:
    """Add to sums (rows, J, 2, N) what pixels at places (2, count) are in an image, less what they are at rest."""
    around = np.empty((3, 3, BATCH), np.float32)
    for i in range(count):
        for d in range(3):
            for e in range(3):
                around[d, e, i] = image[places[0, i] + d, places[1, i] + e]
    work = np.empty((WORK, BATCH), np.float32)
    features = np.empty((len(plan.order_x), 2, BATCH), np.float32)
    pixel_features(plan, places, count, around, work, features)
    fields = np.empty((len(features), 2, BATCH))
    for i in range(count):
        r, c = places[0, i], places[1, i]
        pupil_re, pupil_im = plan.pupil[0, r, c], plan.pupil[1, r, c]
        for f in range(len(features)):
            re = np.float64(features[f, 0, i]) - kept.features[r, f, 0, c]
            im = np.float64(features[f, 1, i]) - kept.features[r, f, 1, c]
            fields[f, 0, i] = pupil_re * re - pupil_im * im
            fields[f, 1, i] = pupil_re * im + pupil_im * re
    add_pixels(plan, fields, places, count, moved)


@reordering_kernel
def _add_moved_row(plan: Plan, kept: Kept, image: Short, row: int, first: int, end: int, moved: Array) -> None:
    """`_add_moved` of neighbours in a row, ``first`` to ``end`` - 1."""
    total = len(plan.order_x)
    fields = np.zeros(((2 * total + 3) // 4 * 4, end - first), np.float32)
    work = np.empty((WORK, BATCH), np.float32)
    features = np.empty((total, 2, BATCH), np.float32)
    for begin in range(first, end, BATCH):
        count = min(BATCH, end - begin)
        row_features(plan, image, row, begin, count, work, features)
        pupil_re, pupil_im = plan.pupil[0, row, begin:], plan.pupil[1, row, begin:]
        for f in range(total):
            new_re, new_im = features[f, 0], features[f, 1]
            old_re, old_im = kept.features[row, f, 0, begin:], kept.features[row, f, 1, begin:]
            out_re, out_im = fields[2 * f, begin - first :], fields[2 * f + 1, begin - first :]
            for i in range(count):
                re, im = new_re[i] - old_re[i], new_im[i] - old_im[i]
                out_re[i] = pupil_re[i] * re - pupil_im[i] * im
                out_im[i] = pupil_re[i] * im + pupil_im[i] * re
    for order in range(len(plan.basis)):
        start, after = features_of(plan, order)
        lowest = 2 * start // 4 * 4
        out = np.empty((2 * after - lowest, plan.basis.shape[2]), np.float32)
        project(fields[lowest:], end - first, plan.basis_across[order], first, out)
        for f in range(start, after):
            moved[row, plan.order_y[f], 0] += out[2 * f - lowest]
            moved[row, plan.order_y[f], 1] += out[2 * f + 1 - lowest]

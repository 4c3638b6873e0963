"""A liquid-crystal panel in time: each pixel relaxes exponentially towards its last gray level.

Numbers: optical-table.md, section 1.

phi(t) = target + (start - target) exp(-(t - t_start) / tau), tau_on for rising and tau_off for falling phase; a wrap
of 2 pi is a full swing. Only pixels still in motion are kept, as a compact table; all others show their target.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import inline, kernel

# Columns of the table of moving pixels: the trajectory before the last change and the one after it. That is exact while
# at most one change is waiting to arrive. Writes less than latency and scan (25 ms) apart can leave two waiting; then
# the oldest trajectory is forgotten early, which an exposure in that gap would see.
OLD_START, OLD_TARGET, OLD_TIME, START, TARGET, TIME = range(6)


@inline
def _relaxed(start: float, target: float, elapsed_s: float, tau_on_s: float, tau_off_s: float) -> float:
    tau = tau_on_s if target > start else tau_off_s
    if tau <= 0.0:
        return target
    return target + (start - target) * math.exp(-elapsed_s / tau)


@inline
def phase_in(motions: NDArray[np.float64], slot: int, time_s: float, tau_on_s: float, tau_off_s: float) -> float:
    """Phase (rad) of one moving pixel, row ``slot`` of the table, at ``time_s``."""
    if time_s >= motions[slot, TIME]:
        return _relaxed(motions[slot, START], motions[slot, TARGET], time_s - motions[slot, TIME], tau_on_s, tau_off_s)
    if time_s >= motions[slot, OLD_TIME]:
        return _relaxed(
            motions[slot, OLD_START], motions[slot, OLD_TARGET], time_s - motions[slot, OLD_TIME], tau_on_s, tau_off_s
        )
    return float(motions[slot, OLD_START])


@kernel
def phase_at(motion: NDArray[np.float64], time_s: float, tau_on_s: float, tau_off_s: float) -> float:
    """`phase_in` for one row of the table."""
    return float(phase_in(motion.reshape(1, 6), 0, time_s, tau_on_s, tau_off_s))


@kernel
def fading(times_s: NDArray[np.float64], tau_s: float) -> NDArray[np.float64]:
    """exp(-(t - t_0) / tau) at the instants of an exposure, t_0 the first of them."""
    out = np.zeros(len(times_s))
    if tau_s > 0.0:
        for q in range(len(times_s)):
            out[q] = math.exp(-(times_s[q] - times_s[0]) / tau_s)
    return out


@kernel
def phases_at(
    motions: NDArray[np.float64],
    slot: int,
    times_s: NDArray[np.float64],
    fade_on: NDArray[np.float64],
    fade_off: NDArray[np.float64],
    tau_on_s: float,
    tau_off_s: float,
    phases: NDArray[np.float64],
) -> None:
    """`phase_in` for rising instants at once: one exponential instead of one per instant where nothing starts between.

    fade_on, fade_off: `fading` of the two time constants.
    """
    first = phase_in(motions, slot, times_s[0], tau_on_s, tau_off_s)
    if times_s[0] >= motions[slot, TIME]:
        target = motions[slot, TARGET]
        rising = target > motions[slot, START]
        for q in range(len(times_s)):
            phases[q] = target + (first - target) * (fade_on[q] if rising else fade_off[q])
        return
    for q in range(len(times_s)):
        phases[q] = phase_in(motions, slot, times_s[q], tau_on_s, tau_off_s)


@kernel
def set_targets(
    old_phase: NDArray[np.float64],
    new_phase: NDArray[np.float64],
    first_row: int,
    first_column: int,
    refresh_s: float,
    scan_s_per_row: float,
    tau_on_s: float,
    tau_off_s: float,
    slots: NDArray[np.int32],
    places: NDArray[np.int32],
    motions: NDArray[np.float64],
    count: int,
) -> int:
    """Enter every changed pixel of a region into the table; return the new number of moving pixels.

    old_phase, new_phase: (rows, columns) targets before and after, rad. slots: (panel rows, panel columns) index into
    the table or -1. places: (n, 2) row and column. motions: (n, 6). The table must have room for every pixel of the
    region.
    """
    rows, columns = new_phase.shape
    for r in range(rows):
        row = first_row + r
        start_s = refresh_s + scan_s_per_row * row
        for c in range(columns):
            target = new_phase[r, c]
            if target == old_phase[r, c]:
                continue
            column = first_column + c
            slot = slots[row, column]
            if slot < 0:
                slot = count
                count += 1
                slots[row, column] = slot
                places[slot, 0] = row
                places[slot, 1] = column
                motions[slot, OLD_START] = motions[slot, OLD_TARGET] = old_phase[r, c]
                motions[slot, OLD_TIME] = -1e300
                motions[slot, START] = old_phase[r, c]
            elif motions[slot, TIME] < start_s:
                phase = phase_in(motions, slot, start_s, tau_on_s, tau_off_s)
                motions[slot, OLD_START] = motions[slot, START]
                motions[slot, OLD_TARGET] = motions[slot, TARGET]
                motions[slot, OLD_TIME] = motions[slot, TIME]
                motions[slot, START] = phase
            # else: rewritten before the refresh came; only the target is replaced
            motions[slot, TARGET] = target
            motions[slot, TIME] = start_s
    return count


@kernel
def drop_settled(
    time_s: float,
    tolerance_rad: float,
    tau_on_s: float,
    tau_off_s: float,
    slots: NDArray[np.int32],
    places: NDArray[np.int32],
    motions: NDArray[np.float64],
    count: int,
) -> int:
    """Remove pixels that are within ``tolerance_rad`` of their target at ``time_s``; return how many still move.

    Those that stay keep their order until one is removed; the last one then takes its place.
    """
    # Pixels of a row start together: what is left of a motion is the same share for all that rise, or fall.
    begun, on, off = np.inf, 0.0, 0.0
    settled = np.zeros(count, np.bool_)
    still = 0
    for slot in range(count):
        if time_s >= motions[slot, TIME]:
            if motions[slot, TIME] != begun:
                begun = motions[slot, TIME]
                on = math.exp(-(time_s - begun) / tau_on_s) if tau_on_s > 0.0 else 0.0
                off = math.exp(-(time_s - begun) / tau_off_s) if tau_off_s > 0.0 else 0.0
            start, target = motions[slot, START], motions[slot, TARGET]
            phase = target + (start - target) * (on if target > start else off)
            settled[slot] = abs(phase - target) < tolerance_rad
        still += not settled[slot]
    if still == 0:
        for slot in range(count):
            slots[places[slot, 0], places[slot, 1]] = -1
        return 0
    slot = 0
    while slot < count:
        if not settled[slot]:
            slot += 1
            continue
        slots[places[slot, 0], places[slot, 1]] = -1
        count -= 1
        if slot < count:
            settled[slot] = settled[count]
            for k in range(6):
                motions[slot, k] = motions[count, k]
            places[slot, 0] = places[count, 0]
            places[slot, 1] = places[count, 1]
            slots[places[slot, 0], places[slot, 1]] = slot
    return count


@kernel
def draw_moving(
    image: NDArray[np.float64],
    time_s: float,
    tau_on_s: float,
    tau_off_s: float,
    places: NDArray[np.int32],
    motions: NDArray[np.float64],
    count: int,
) -> None:
    """Write the phase of every moving pixel at ``time_s`` into an image (panel rows, panel columns) of targets."""
    for slot in range(count):
        image[places[slot, 0], places[slot, 1]] = phase_in(motions, slot, time_s, tau_on_s, tau_off_s)


@kernel
def fastest_motion(
    time_s: float, noticeable_rad: float, tau_on_s: float, tau_off_s: float, motions: NDArray[np.float64], count: int
) -> float:
    """Time constant of the fastest noticeable motion at ``time_s``: what an exposure's integration must resolve."""
    if tau_on_s <= 0.0 or tau_off_s <= 0.0:
        return max(tau_on_s, tau_off_s)
    slow = max(tau_on_s, tau_off_s)
    for slot in range(count):
        tau = tau_on_s if motions[slot, TARGET] > motions[slot, START] else tau_off_s
        if tau < slow:
            phase = phase_in(motions, slot, time_s, tau_on_s, tau_off_s)
            if time_s < motions[slot, TIME] or abs(phase - motions[slot, TARGET]) > noticeable_rad:
                return tau
    return slow


@kernel
def largest_motion(time_s: float, tau_on_s: float, tau_off_s: float, motions: NDArray[np.float64], count: int) -> float:
    """How far (rad) the moving pixel that is farthest from its target is from it at ``time_s``.

    A pixel that has not begun to move counts with the whole way.
    """
    largest = 0.0
    for slot in range(count):
        phase = phase_in(motions, slot, time_s, tau_on_s, tau_off_s)
        largest = max(largest, abs(phase - motions[slot, TARGET]))
    return largest

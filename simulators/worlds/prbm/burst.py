"""A whole burst in one compiled loop: pattern, settling, exposure, noise, next pattern.

It calls the same kernels in the same order, with the same numbers, as the plain loop of one call per pattern
(`simulators.slide_show.play`), which stays the reference; tests hold the two equal bit for bit. What it
saves is the way in and out of compiled code, eight times per frame. What is kept of it on disk holds those kernels as
they were when it was compiled: change this module, too, when one of them changes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.fourier_plane import add_patches, line_power, set_patches
from simulators.physics.liquid_crystal import drop_settled, fastest_motion
from simulators.physics.scmos import digitise
from simulators.worlds.parts.panel import NOTICEABLE_RAD, Crystal, refresh_time_s
from simulators.worlds.parts.panel_sequence import Patterns, gather, patch_changes
from simulators.worlds.prbm.probe import Sums


class Sensor(NamedTuple):
    """Camera, its light and its exposure. instants and weights: of the exposure, for fast and for slow motion.

    emission: (1,) the source's, which may go off at any moment.
    """

    exposure_s: float
    electrons_per_watt: float
    dark_e: float
    beam_open: bool
    emission: NDArray[np.bool_]
    first_row: int
    first_column: int
    read_noise_e: NDArray[np.float64]
    shot_key: np.uint64
    read_key: np.uint64
    electrons_per_count: float
    offset_counts: float
    full_well_e: float
    max_count: int
    noise: bool
    fast_s: float
    fast_instants_s: NDArray[np.float64]
    fast_weights: NDArray[np.float64]
    slow_instants_s: NDArray[np.float64]
    slow_weights: NDArray[np.float64]


@kernel
def play_burst(
    patterns: Patterns,
    crystal: Crystal,
    probe: Sums,
    sensor: Sensor,
    moving: int,
    first: int,
    now_ns: int,
    settle_ns: int,
    dwell_ns: int,
    first_number: int,
    slm_stop: NDArray[np.uint8],
    camera_stop: NDArray[np.uint8],
    counts: NDArray[np.uint16],
    saturated: NDArray[np.int64],
    stable_ns: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Patterns ``first`` and following; fills counts (n, rows, columns), saturated (n,), stable_ns (n,) from there on.

    now_ns: bench time when the first of them is written; each next one is written when the last exposure's dwell is
    over. first_number: exposure number of pattern ``first``. slm_stop, camera_stop: (1,) flags that may be set at any
    moment; the burst then ends before its next pattern. Returns the pixels still moving, the bench time, and the
    pattern that would have come next.
    """
    n = len(patterns.offsets) - 1
    rows, columns = sensor.read_noise_e.shape
    whole, at_start = np.ones(1), np.empty(1)
    mean = np.empty((rows, columns))
    for k in range(first, n):
        if slm_stop[0] or camera_stop[0]:
            return moving, now_ns, k
        # the pattern
        wanted = patterns.indices[patterns.offsets[k] : patterns.offsets[k + 1]]
        undrawn, drawn = patch_changes(patterns.active, wanted)
        refresh_s = refresh_time_s(now_ns, crystal.refresh_period_s, crystal.controller_s)
        for turn in range(2 if patterns.overlap else 1):
            off = undrawn if turn == 0 else undrawn[:0]
            on = drawn[:0] if patterns.overlap and turn == 0 else drawn
            at, values = gather(patterns.origins, patterns.under, off, patterns.patches, on)
            if len(at) == 0:
                continue
            add_patches(
                probe.sums,
                crystal.phase,
                at,
                values,
                probe.lit_first_row,
                probe.rows_per_band,
                probe.amplitude,
                probe.kappa_pitch,
                probe.carriers,
                crystal.table,
                probe.changed,
            )
            moving = set_patches(
                crystal.phase,
                at,
                values,
                refresh_s,
                crystal.scan_s_per_row,
                crystal.tau_on_s,
                crystal.tau_off_s,
                crystal.slots,
                crystal.places,
                crystal.motions,
                moving,
            )
        # settling
        now_ns += settle_ns
        stable_ns[k] = now_ns
        start_s = now_ns * 1e-9
        # the exposure
        if sensor.beam_open and sensor.emission[0]:
            if moving:
                moving = drop_settled(
                    start_s,
                    crystal.settled_rad,
                    crystal.tau_on_s,
                    crystal.tau_off_s,
                    crystal.slots,
                    crystal.places,
                    crystal.motions,
                    moving,
                )
            if moving == 0:
                at_start[0] = start_s
                times_s, weights = at_start, whole
            else:
                fastest_s = fastest_motion(
                    start_s, NOTICEABLE_RAD, crystal.tau_on_s, crystal.tau_off_s, crystal.motions, moving
                )
                if fastest_s == sensor.fast_s:
                    times_s, weights = start_s + sensor.fast_instants_s, sensor.fast_weights
                else:
                    times_s, weights = start_s + sensor.slow_instants_s, sensor.slow_weights
            line = line_power(
                probe.sums,
                probe.changed,
                probe.settled_terms,
                probe.settled_line,
                probe.row_weights,
                probe.cosines,
                probe.sines,
                probe.nodes_per_pixel,
                probe.column_weights,
                probe.amplitude,
                probe.kappa_pitch,
                probe.carriers,
                crystal.table,
                probe.lit_first_row,
                crystal.places,
                crystal.motions,
                moving,
                times_s,
                weights,
                crystal.tau_on_s,
                crystal.tau_off_s,
            )
            for r in range(rows):
                for c in range(columns):
                    mean[r, c] = line[c, r] * sensor.electrons_per_watt + sensor.dark_e
        else:
            mean[:] = sensor.dark_e
        saturated[k], _ = digitise(
            mean,
            sensor.read_noise_e,
            sensor.first_row,
            sensor.first_column,
            first_number + k - first,
            sensor.shot_key,
            sensor.read_key,
            sensor.electrons_per_count,
            sensor.offset_counts,
            sensor.full_well_e,
            sensor.max_count,
            sensor.noise,
            counts[k],
        )
        now_ns += dwell_ns
    return moving, now_ns, n

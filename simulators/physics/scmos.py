"""A scientific CMOS sensor: from mean electrons to counts (EMVA 1288 camera model; optical-table.md, section 1).

counts = clip(round(offset + (min(Poisson(mean), full well) + N(0, sigma_pixel)) / electrons_per_count))

Without noise the mean takes the place of the Poisson number and sigma is 0; counts are rounded and saturate as ever.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.counter_random import fill_uniforms, normals_of, standard_normal, uniforms
from simulators.physics.shot_noise import BATCH, fill_poisson


@kernel
def digitise(
    mean_electrons: NDArray[np.float64],
    read_noise_e: NDArray[np.float64],
    first_row: int,
    first_column: int,
    exposure_number: int,
    shot_key: np.uint64,
    read_key: np.uint64,
    electrons_per_count: float,
    offset_counts: float,
    full_well_e: float,
    max_count: int,
    noise: bool,
    counts: NDArray[np.uint16],
) -> tuple[int, int]:
    """Fill ``counts`` (rows, columns) from the mean photo- and dark electrons of the same shape.

    Noise is addressed by the pixel's place on the sensor, so a smaller region of interest reads the same counts.
    Returns the number of saturated pixels (full well or end of the converter) and the largest count.
    """
    return _converted(
        mean_electrons,
        mean_electrons,
        mean_electrons,
        mean_electrons,
        False,
        0.0,
        0.0,
        math.inf,
        read_noise_e,
        first_row,
        first_column,
        exposure_number,
        shot_key,
        read_key,
        electrons_per_count,
        offset_counts,
        full_well_e,
        max_count,
        noise,
        counts,
    )


@kernel
def _converted(
    mean_electrons: NDArray[np.float64],
    response: NDArray[np.float64],
    dark_e: NDArray[np.float64],
    offsets_e: NDArray[np.float64],
    uneven: bool,
    nonlinearity: float,
    kink: float,
    kink_e: float,
    read_noise_e: NDArray[np.float64],
    first_row: int,
    first_column: int,
    exposure_number: int,
    shot_key: np.uint64,
    read_key: np.uint64,
    electrons_per_count: float,
    offset_counts: float,
    full_well_e: float,
    max_count: int,
    noise: bool,
    counts: NDArray[np.uint16],
) -> tuple[int, int]:
    """`digitise`, or `digitise_uneven` where pixels differ; if they do not, their maps are not looked at."""
    rows, columns = mean_electrons.shape
    pixels = rows * columns
    at_row, at_column = np.empty(BATCH, np.int64), np.empty(BATCH, np.int64)
    places, work = np.zeros((3, BATCH), np.int64), np.zeros((5, BATCH))
    one, other = np.zeros(BATCH), np.zeros(BATCH)
    short = np.empty((2, BATCH), np.float32)
    values, read, offsets = np.empty(BATCH), np.empty(BATCH), np.zeros(BATCH)
    counted = np.empty(BATCH, np.uint16)
    saturated, peak = 0, 0
    most = float(max_count)
    for first in range(0, pixels, BATCH):
        count = min(BATCH, pixels - first)
        r, c, done = first // columns, first % columns, 0
        while done < count:  # what of the batch is in one row
            run = min(count - done, columns - c)
            for i in range(run):
                at_row[done + i], at_column[done + i] = first_row + r, first_column + c + i
                values[done + i] = mean_electrons[r, c + i]
                read[done + i] = read_noise_e[r, c + i]
            if uneven:
                for i in range(run):
                    values[done + i] = values[done + i] * response[r, c + i] + dark_e[r, c + i]
                    offsets[done + i] = offsets_e[r, c + i]
            r, c, done = r + 1, 0, done + run
        if noise:
            fill_uniforms(shot_key, at_row, at_column, exposure_number, 0, count, one, other)
            fill_poisson(shot_key, at_row, at_column, exposure_number, count, values, one, other, work, places)
            fill_uniforms(read_key, at_row, at_column, exposure_number, 0, count, one, other)
            normals = normals_of(count, one, other, short)
            for i in range(count):
                read[i] *= normals[i]
        over = 0
        for i in range(count):
            electrons = values[i]
            full = electrons >= full_well_e
            signal = full_well_e if full else electrons
            if uneven:
                signal *= 1.0 + nonlinearity * signal / full_well_e
                signal += kink * (signal - kink_e) if signal > kink_e else 0.0
                signal += offsets[i]
            if noise:
                signal += read[i]
            value = np.rint(offset_counts + signal / electrons_per_count)
            over += full | (value >= most)
            value = most if value >= most else value
            value = 0.0 if value < 0.0 else value
            counted[i] = np.uint16(np.int32(value))
        saturated += over
        for i in range(count):
            peak = max(peak, int(counted[i]))
        r, c, done = first // columns, first % columns, 0
        while done < count:
            run = min(count - done, columns - c)
            for i in range(run):
                counts[r, c + i] = counted[done + i]
            r, c, done = r + 1, 0, done + run
    return saturated, peak


@kernel
def fixed_pattern(
    pixel_key: np.uint64,
    column_key: np.uint64,
    response_spread: float,
    offset_spread_e: float,
    column_spread_e: float,
    first_row: int,
    first_column: int,
    rows: int,
    columns: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Response (rows, columns), 1 on average, and offsets (rows, columns) in electrons: the same for ever."""
    response = np.empty((rows, columns))
    offsets = np.empty((rows, columns))
    of_column = np.empty(columns)
    for c in range(columns):
        of_column[c] = column_spread_e * standard_normal(column_key, first_column + c, 0, 0, 0)
    for r in range(rows):
        for c in range(columns):
            one, other = uniforms(pixel_key, first_row + r, first_column + c, 0, 0)
            far = math.sqrt(-2.0 * math.log(one))  # Box-Muller's two numbers
            response[r, c] = 1.0 + response_spread * far * math.cos(2.0 * math.pi * other)
            offsets[r, c] = offset_spread_e * far * math.sin(2.0 * math.pi * other) + of_column[c]
    return response, offsets


@kernel
def blink(
    offsets_e: NDArray[np.float64], blinking: NDArray[np.float64], key: np.uint64, exposure_number: int, sign: float
) -> None:
    """Add to offsets (rows, columns), or take away again, what pixels that blink add in one exposure.

    blinking: (pixels, 6) row and column within offsets, electrons, share of exposures in which it is up, row and column
    on the sensor.
    """
    for k in range(len(blinking)):
        up, _ = uniforms(key, int(blinking[k, 4]), int(blinking[k, 5]), exposure_number, 0)
        if up < blinking[k, 3]:
            offsets_e[int(blinking[k, 0]), int(blinking[k, 1])] += sign * blinking[k, 2]


@kernel
def digitise_uneven(
    mean_electrons: NDArray[np.float64],
    response: NDArray[np.float64],
    dark_e: NDArray[np.float64],
    offsets_e: NDArray[np.float64],
    nonlinearity: float,
    kink: float,
    kink_e: float,
    read_noise_e: NDArray[np.float64],
    first_row: int,
    first_column: int,
    exposure_number: int,
    shot_key: np.uint64,
    read_key: np.uint64,
    electrons_per_count: float,
    offset_counts: float,
    full_well_e: float,
    max_count: int,
    noise: bool,
    counts: NDArray[np.uint16],
) -> tuple[int, int]:
    """`digitise` for pixels that differ: all maps are (rows, columns).

    Electrons are Poisson(light x response + dark), at most a full well F; the signal is e (1 + nonlinearity e / F), of
    which what exceeds kink_e counts 1 + kink times; offsets and read noise come on top.
    """
    return _converted(
        mean_electrons,
        response,
        dark_e,
        offsets_e,
        True,
        nonlinearity,
        kink,
        kink_e,
        read_noise_e,
        first_row,
        first_column,
        exposure_number,
        shot_key,
        read_key,
        electrons_per_count,
        offset_counts,
        full_well_e,
        max_count,
        noise,
        counts,
    )

"""A scientific CMOS sensor: from mean electrons to counts (EMVA 1288 camera model; tables.md, section 1).

counts = clip(round(offset + (min(Poisson(mean), full well) + N(0, sigma_pixel)) / electrons_per_count))

Without noise the mean takes the place of the Poisson number and sigma is 0; counts are rounded and saturate as ever.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.counter_random import poisson, standard_normal, uniforms


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
    rows, columns = mean_electrons.shape
    saturated = 0
    peak = 0
    for r in range(rows):
        for c in range(columns):
            electrons = mean_electrons[r, c]
            if noise:
                electrons = float(poisson(electrons, shot_key, first_row + r, first_column + c, exposure_number))
            full = electrons >= full_well_e
            if full:
                electrons = full_well_e
            if noise:
                electrons += read_noise_e[r, c] * standard_normal(
                    read_key, first_row + r, first_column + c, exposure_number, 0
                )
            value = np.rint(offset_counts + electrons / electrons_per_count)
            if value >= max_count:
                value = float(max_count)
                full = True
            if value < 0.0:
                value = 0.0
            if full:
                saturated += 1
            count = int(value)
            counts[r, c] = count
            if count > peak:
                peak = count
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
    rows, columns = mean_electrons.shape
    saturated = 0
    peak = 0
    for r in range(rows):
        for c in range(columns):
            electrons = mean_electrons[r, c] * response[r, c] + dark_e[r, c]
            if noise:
                electrons = float(poisson(electrons, shot_key, first_row + r, first_column + c, exposure_number))
            full = electrons >= full_well_e
            if full:
                electrons = full_well_e
            signal = electrons * (1.0 + nonlinearity * electrons / full_well_e)
            if signal > kink_e:
                signal += kink * (signal - kink_e)
            signal += offsets_e[r, c]
            if noise:
                signal += read_noise_e[r, c] * standard_normal(
                    read_key, first_row + r, first_column + c, exposure_number, 0
                )
            value = np.rint(offset_counts + signal / electrons_per_count)
            if value >= max_count:
                value = float(max_count)
                full = True
            if value < 0.0:
                value = 0.0
            if full:
                saturated += 1
            count = int(value)
            counts[r, c] = count
            if count > peak:
                peak = count
    return saturated, peak

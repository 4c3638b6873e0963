"""A scientific CMOS sensor: from mean electrons to counts (EMVA 1288 camera model; tables.md, section 1).

counts = clip(round(offset + (min(Poisson(mean), full well) + N(0, sigma_pixel)) / electrons_per_count))

Without noise the mean takes the place of the Poisson number and sigma is 0; counts are rounded and saturate as ever.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.counter_random import poisson, standard_normal


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

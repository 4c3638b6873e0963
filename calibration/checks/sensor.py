"""Has the camera still the offset, noise and gain that were found?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import digamma

from calibration.checks import unchanged
from calibration.photon_transfer import ROUNDING
from calibration.pixel_sums import PixelSums
from labctl.client import ROI, Calibration, CalibrationError, Check

ALLOWED_COUNTS = 0.5
"""Change of the mean offset: a fraction of the read noise."""

ALLOWED_NOISE = 0.05
ALLOWED_GAIN = 0.01


def region(dark: Calibration, wanted: ROI) -> tuple[ROI, tuple[slice, slice]]:
    """What a dark map has of a region: on the sensor, and in the map. CalibrationError if that is nothing."""
    row, column = int(dark.number("row")), int(dark.number("column"))
    rows, columns = dark["offset_counts"].shape
    top, left = max(wanted.row - row, 0), max(wanted.column - column, 0)
    bottom, right = min(wanted.row + wanted.rows - row, rows), min(wanted.column + wanted.columns - column, columns)
    if bottom <= top or right <= left:
        raise CalibrationError(
            f"the dark map in force has {rows} x {columns} pixels from row {row}, column {column}, and the check would "
            f"look at row {wanted.row}, column {wanted.column}: give it the region that was measured, or measure the "
            "camera anew"
        )
    here = slice(top, bottom), slice(left, right)
    return ROI(row=row + top, column=column + left, rows=bottom - top, columns=right - left), here


def take_dark(camera: Any, where: ROI, exposure_s: float, frames: int) -> PixelSums:
    """Frames without light."""
    camera.binning = 1
    camera.roi = where
    camera.exposure_s = exposure_s
    sums = PixelSums()
    for _ in range(frames):
        sums.add(camera.trigger().data.astype(np.float64))
    return sums


def of_dark(then: Calibration, now: PixelSums, here: tuple[slice, slice], exposure_s: float) -> tuple[Check, ...]:
    """The mean of the offsets. Single pixels may blink: those far off, then or now, are left out."""
    rate = then["rate_counts_per_s"]
    expected = then["offset_counts"][here] + (rate[here] if rate.size > 1 else rate) * exposure_s
    off = now.mean - expected
    error = np.sqrt(np.maximum(now.variance, ROUNDING) / now.frames + then.uncertainty("offset_counts")[here] ** 2)
    middle = float(np.median(off))
    near = np.abs(off - middle) < 6 * np.median(error)
    mean_error = float(np.sqrt((error[near] ** 2).sum())) / max(int(near.sum()), 1)
    return (unchanged("mean offset, change", float(off[near].mean()), mean_error, ALLOWED_COUNTS, "counts"),)


def of_noise(then: Calibration, now: PixelSums) -> Check:
    """The median of the pixels' read noise, in electrons of the gain found then."""
    n = now.frames - 1
    noise = np.sqrt(np.maximum(now.variance - ROUNDING, 0.0)) * then.number("electrons_per_count")
    median = float(np.median(noise) / np.exp(0.5 * (digamma(n / 2) - np.log(n / 2))))
    before, error = then.number("read_noise_median_e"), float(then.uncertainty("read_noise_median_e"))
    spread = float(np.diff(np.percentile(np.log(np.maximum(noise, 1e-3)), [16, 84]))[0]) / 2
    own = math.hypot(1.2533 * spread / math.sqrt(noise.size), error / before)
    return unchanged("read noise, relative change", median / before - 1, own, ALLOWED_NOISE)


def of_gain(then: Calibration, pairs: list[tuple[float, float, int]], dark_variance: float) -> Check:
    """Electrons per count from pairs of frames of even light, little enough for the response to be straight.

    pairs: of each, mean counts above dark, variance in time and of how many numbers that is the mean.
    """
    means, variances, freedom = np.array(pairs).T
    gain = float(means.mean()) / (float(variances.mean()) - dark_variance)
    before, error = then.number("electrons_per_count"), float(then.uncertainty("electrons_per_count"))
    own = math.hypot(math.sqrt(2 / float(freedom.sum())), error / before)
    return unchanged("gain, relative change", gain / before - 1, own, ALLOWED_GAIN)

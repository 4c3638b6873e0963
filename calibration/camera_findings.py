"""What follows from a camera's dark, exposure and flat series: maps, photon transfer, and pixels not to trust."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from calibration import flat_field, photon_transfer
from calibration.panels import panels
from calibration.photon_transfer import ROUNDING, Levels, PhotonTransfer
from calibration.pixel_sums import PixelSums, blinking, hot
from labctl.client import ROI, Check, Condition, Finding, Measured

Map = NDArray[np.float64]

HOT_NOISES = 10.0
"""Read noises, the median's, above which a dark signal makes a pixel hot."""


@dataclass(frozen=True)
class Series:
    """What was measured.

    whole, lit: regions of the dark maps and, within it, of the light. short, long: dark frames at dark_s. level_of,
    means, variances: (n,) of each pair of frames, its exposure's number, counts above dark and their variance in time
    over ``pixels`` pixels; exposures_s by number. saturation: (2, 2) median and spread of counts at twice and thrice
    the exposure of full scale. halves: mean counts (rows, columns) of even and odd patterns of light.
    """

    whole: ROI
    lit: ROI
    short: PixelSums
    long: PixelSums
    dark_s: tuple[float, float]
    level_of: NDArray[np.int64]
    means: Map
    variances: Map
    exposures_s: Map
    pixels: int
    saturation: Map
    halves: list[Map]
    full_scale: float
    nominal_gain: float
    switch_e: float | None
    bit_depth: int

    @property
    def here(self) -> tuple[slice, slice]:
        """The lit region within the maps."""
        return within(self.whole, self.lit)

    @property
    def offset(self) -> float:
        """Median counts in the dark."""
        return float(np.median(self.short.mean))


def within(whole: ROI, lit: ROI) -> tuple[slice, slice]:
    """Where a region lies in the maps of a larger one."""
    top, left = lit.row - whole.row, lit.column - whole.column
    return slice(top, top + lit.rows), slice(left, left + lit.columns)


def findings(s: Series, photon_picture: Path, pixel_picture: Path) -> list[Finding]:
    """Dark, flat, pixels not to trust and photon transfer, with two pictures."""
    transfer = _transfer(s)
    photon_transfer.draw(photon_picture, transfer)
    noise_counts = np.sqrt(np.maximum(s.short.variance - ROUNDING, 0.0))
    median_counts = float(np.median(noise_counts))
    is_hot = hot(s.short, s.long, HOT_NOISES * median_counts)
    blinks = blinking([s.short, s.long], median_counts) & ~is_hot
    good = ~(is_hot | blinks)
    gain = transfer.value("electrons_per_count")
    flat = flat_field.response([half - s.short.mean[s.here] for half in s.halves], good[s.here])
    _draw_pixels(pixel_picture, s, noise_counts * gain, flat.response, good)
    # Another read-out mode has another converter, or another nominal gain, and is another camera.
    mode = (
        Condition(setting="camera.bit_depth", low=s.bit_depth, high=s.bit_depth),
        Condition(setting="camera.electrons_per_count", low=0.99 * s.nominal_gain, high=1.01 * s.nominal_gain),
    )
    found = [
        _dark(s, good, transfer),
        _flat(s, flat),
        _pixels(s, good, blinks, HOT_NOISES * median_counts, gain),
        _photon_transfer(s, noise_counts[good] * gain, transfer),
    ]
    return [replace(finding, holds_while=mode) for finding in found]


def quiet(dark: PixelSums) -> NDArray[np.bool_]:
    """Pixels of a dark series that are neither far off nor very noisy, (rows, columns)."""
    noise = np.sqrt(dark.variance)
    off = np.abs(dark.mean - np.median(dark.mean))
    return np.asarray((noise < 10 * np.median(noise)) & (off < 10 * np.median(off) + 5 * np.median(noise)))


def _transfer(s: Series) -> PhotonTransfer:
    dark = s.short.variance[s.here][quiet(s.short)[s.here]]
    variance = float(dark.mean())
    error = variance * np.sqrt(2 / (dark.size * (s.short.frames - 1))) + 1e-4
    switch = None if s.switch_e is None else s.switch_e / s.nominal_gain
    return photon_transfer.fit(_levels(s), variance, error, s.nominal_gain, s.full_scale - s.offset, switch)


def _levels(s: Series) -> Levels:
    """Means over the pairs. The series went through all levels again and again, each time under its own light."""
    used = np.unique(s.level_of)
    rates = np.array([(s.means / s.exposures_s[s.level_of])[s.level_of == k] for k in used])  # (levels, pairs)
    light_now = np.exp(np.log(rates).mean(axis=0))
    relative = rates / light_now * light_now.mean()
    pairs = rates.shape[1]
    # Scatter of the light is much alike at all levels; a few pairs alone tell it badly.
    scatter = relative.std(axis=1, ddof=1) / relative.mean(axis=1)
    error = np.sqrt((scatter**2 + 4 * (scatter**2).mean()) / 5 / pairs)
    variances = np.array([s.variances[s.level_of == k].mean() for k in used])
    mean = relative.mean(axis=1) * s.exposures_s[used]
    return Levels(
        exposure_s=s.exposures_s[used],
        mean=mean,
        mean_error=mean * np.maximum(error, 1e-5),
        variance=variances,
        variance_error=variances * np.sqrt(2 / (s.pixels * pairs)),
    )


def _dark(s: Series, good: NDArray[np.bool_], transfer: PhotonTransfer) -> Finding:
    gain, gain_error = transfer.value("electrons_per_count"), transfer.error("electrons_per_count")
    short, long, (short_s, long_s) = s.short, s.long, s.dark_s
    rate = (long.mean - short.mean) / (long_s - short_s)
    errors = [np.sqrt(np.maximum(x.variance, ROUNDING) / x.frames) for x in (short, long)]
    rate_error = np.hypot(*errors) / (long_s - short_s)
    pattern = flat_field.pattern(short.mean, errors[0], good)
    dark_e = float(np.mean(rate[good])) * gain
    dark_error = float(np.sqrt((rate_error[good] ** 2).sum())) / int(good.sum()) * gain
    pixels_error = np.hypot(pattern.pixels_error * gain, pattern.pixels * gain_error)
    return Finding(
        kind="dark",
        values={
            "offset_counts": Measured(
                short.mean - rate * short_s,
                "counts",
                np.hypot(errors[0] * long_s, errors[1] * short_s) / (long_s - short_s),
            ),
            "rate_counts_per_s": Measured(rate, "counts/s", rate_error),
            "row": Measured(s.whole.row, "px"),
            "column": Measured(s.whole.column, "px"),
            "offset_mean_counts": Measured(pattern.mean, "counts", pattern.mean_error),
            "dsnu_e": Measured(pattern.pixels * gain, "e", pixels_error),
            "dsnu_columns_e": Measured(pattern.columns * gain, "e", pattern.columns_error * gain),
            "dark_current_e_per_s": Measured(dark_e, "e/s", dark_error),
        },
        conditions={
            "exposure": Measured(short_s, "s"),
            "long_exposure": Measured(long_s, "s"),
            "frames": Measured(short.frames),
        },
        checks=(Check(name="dark current in standard errors", value=dark_e / max(dark_error, 1e-12), low=-6.0),),
    )


def _flat(s: Series, found: flat_field.Response) -> Finding:
    response = np.ones((s.whole.rows, s.whole.columns))
    error = np.full(response.shape, found.spread)
    response[s.here], error[s.here] = found.response, found.error
    plateau, width = s.saturation[0]
    return Finding(
        kind="flat",
        values={
            "response": Measured(response, "1", error),
            "row": Measured(s.whole.row, "px"),
            "column": Measured(s.whole.column, "px"),
            "saturation_counts": Measured(min(plateau - 5 * width, s.full_scale), "counts"),
            "prnu": Measured(found.spread, "1", found.spread_error),
        },
        conditions={
            "level": Measured(float(np.median(s.halves[0])) - s.offset, "counts"),
            "lit_row": Measured(s.lit.row, "px"),
            "lit_column": Measured(s.lit.column, "px"),
            "lit_rows": Measured(s.lit.rows, "px"),
            "lit_columns": Measured(s.lit.columns, "px"),
        },
        checks=(
            Check(name="uneven light that is left, relative", value=float(np.median(found.error)), high=0.02),
            Check(name="share of the lit pixels without a response", value=found.left_out, high=0.2),
        ),
    )


def _pixels(
    s: Series, good: NDArray[np.bool_], blinks: NDArray[np.bool_], threshold_counts: float, gain: float
) -> Finding:
    rate = (s.long.mean - s.short.mean) * gain / (s.dark_s[1] - s.dark_s[0])
    return Finding(
        kind="hot_pixels",
        values={
            "pixels": Measured(np.argwhere(~good) + np.array([s.whole.row, s.whole.column]), "px"),
            "blinks": Measured(blinks[~good].astype(np.uint8)),
            "dark_e_per_s": Measured(rate[~good], "e/s"),
        },
        conditions={
            "threshold": Measured(threshold_counts * gain, "e"),
            "exposure": Measured(s.dark_s[1], "s"),
            "row": Measured(s.whole.row, "px"),
            "column": Measured(s.whole.column, "px"),
            "rows": Measured(s.whole.rows, "px"),
            "columns": Measured(s.whole.columns, "px"),
        },
        checks=(Check(name="share of pixels not to trust", value=float((~good).mean()), high=0.05),),
    )


def _photon_transfer(s: Series, noise_e: Map, transfer: PhotonTransfer) -> Finding:
    gain, gain_error = transfer.value("electrons_per_count"), transfer.error("electrons_per_count")
    n = s.short.frames - 1
    # Noises spread over a wide range: their median shifts as the logarithm of chi-square does in the mean.
    median = float(np.median(noise_e) / np.exp(0.5 * (digamma(n / 2) - np.log(n / 2))))
    spread = float(np.diff(np.percentile(np.log(np.maximum(noise_e, 1e-3)), [16, 84]))[0]) / 2
    squares = noise_e**2
    rms = float(np.sqrt(squares.mean()))
    rms_error = squares.std() / np.sqrt(squares.size) / (2 * rms)
    (plateau, width), (higher, _) = s.saturation
    well, well_error = transfer.electrons(min(plateau, s.full_scale) - s.offset)
    beyond = transfer.value("light_variance") * float(transfer.linear.max()) * gain
    levels = transfer.levels
    return Finding(
        kind="photon_transfer",
        values={
            "electrons_per_count": Measured(gain, "e", gain_error),
            "read_noise_median_e": Measured(
                median, "e", median * np.hypot(1.2533 * spread / np.sqrt(noise_e.size), gain_error / gain)
            ),
            "read_noise_rms_e": Measured(rms, "e", np.hypot(rms_error, rms * gain_error / gain)),
            "full_well_e": Measured(well, "e", well_error),
            "saturation_counts": Measured(plateau, "counts", max(width, 0.5)),
            "nonlinearity": Measured(transfer.value("bend"), "1", transfer.error("bend")),
            "gain_change": Measured(transfer.value("gain_change"), "1", transfer.error("gain_change")),
            "mean_counts": Measured(levels.mean, "counts", levels.mean_error),
            "variance_counts2": Measured(levels.variance, "counts^2", levels.variance_error),
            "exposure_s": Measured(levels.exposure_s, "s"),
        },
        conditions={"lit_pixels": Measured(s.pixels)},
        checks=(
            Check(name="scatter about the photon transfer curve, in standard errors", value=transfer.chi, high=2.5),
            Check(
                name="saturation at twice the exposure, relative to thrice", value=plateau / higher, low=0.99, high=1.01
            ),
            Check(
                name="variance beyond the photons' at the highest level, relative", value=beyond, low=-0.05, high=0.2
            ),
        ),
    )


def _draw_pixels(path: Path, s: Series, noise_e: Map, response: Map, good: NDArray[np.bool_]) -> None:
    with panels(path) as axes:
        axes[0, 0].hist(s.short.mean[good], bins=80, histtype="stepfilled")
        axes[0, 0].set(xlabel="offset (counts)", ylabel="pixels", yscale="log")
        axes[0, 1].hist(noise_e[good], bins=80, histtype="stepfilled")
        axes[0, 1].set(xlabel="read noise (e)", ylabel="pixels", yscale="log")
        axes[1, 0].imshow(response, vmin=0.98, vmax=1.02)
        axes[1, 0].set(xlabel="column of the lit region", ylabel="row", title="response, 0.98 to 1.02")
        places = np.argwhere(~good)
        axes[1, 1].plot(places[:, 1] + s.whole.column, places[:, 0] + s.whole.row, ".", ms=3)
        axes[1, 1].set(xlabel="column of the sensor", ylabel="row", title="hot or blinking")

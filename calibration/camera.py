"""The camera from dark to full well: offset, noise, gain, linearity, each pixel's response, pixels not to trust."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.camera_findings import Series, findings, quiet, within
from calibration.checks import sensor as sensor_check
from calibration.flat_field import blocks
from calibration.flat_light import chirp, metered, middle_region
from calibration.lighting import light, limits, must_emit
from calibration.pixel_sums import PixelSums
from labctl.client import (
    ROI,
    Bench,
    Calibration,
    CalibrationError,
    Check,
    Finding,
    Frame,
    Parameters,
    Recorder,
    Routine,
)

LEAST_FRAMES, LEAST_PAIRS, LEAST_LEVELS = 16, 2, 8
FILL = 0.75
"""Of full scale at the highest level of the series."""

CHECK_FILL = 0.03
"""The same of a check: below where amplifiers switch, and where a response that bends is straight to 1e-4."""


class CameraParameters(Parameters):
    """Which pixels, how often, and at which levels."""

    rows: int | None = Field(512, ge=8, description="of the dark maps, at the middle of the sensor; null is all of it")
    columns: int | None = Field(512, ge=8)
    flat_rows: int | None = Field(128, ge=8, description="of the region that is lit, at the middle of the other")
    flat_columns: int | None = Field(64, ge=8)
    flat_offset: int = Field(128, ge=0, description="columns beside the middle, where the panel's own lines are")
    dark_frames: int = Field(64, ge=1, le=10000, description="of each of the two exposures")
    dark_exposure_s: float = Field(1e-3, gt=0, le=30)
    long_exposure_s: float = Field(0.5, gt=0, le=30, description="by which hot pixels and the dark current show")
    levels: int = Field(14, ge=1, le=100, description="exposures of the photon transfer")
    lowest_level: float = Field(2e-3, gt=0, lt=0.1, description="of them, relative to the highest")
    pairs: int = Field(8, ge=1, le=1000, description="of frames at each level")
    flat_patterns: int = Field(16, ge=2, le=1000, description="of light, over which its unevenness averages out")
    flat_frames: int = Field(4, ge=1, le=1000, description="of each")
    power: float = Field(0.05, gt=0, le=1, description="set-point of the source to begin with")
    full_exposure_s: float = Field(20e-3, gt=0, le=10, description="of the highest level, at least; power follows")
    spread: float = Field(0.25, gt=0, le=1, description="of the light, relative to the first order's width")
    check_frames: int = Field(16, ge=8, le=1000, description="without light, by which a check sees offset and noise")
    check_pairs: int = Field(8, ge=2, le=1000, description="of frames of weak light, by which it sees the gain")
    switch_e: float | None = Field(1500.0, gt=0, description="electrons where the amplifiers switch; null: one only")


class Camera(Routine):
    """Offset, read noise, gain, full well, linearity, hot and blinking pixels, and response of each pixel.

    Dark frames of two exposures give the dark maps and the pixels not to trust. The source then lights the sensor
    evenly by a chirp on the SLM: pairs of frames over a series of exposures give the gain (photon transfer, EMVA 1288),
    many such patterns the response of each pixel. Where nothing was lit, the response is 1.
    """

    Parameters = CameraParameters
    role = "camera"
    roles = ("camera", "slm", "source")
    kinds = ("dark", "flat", "hot_pixels", "photon_transfer")
    valid_for = timedelta(days=30)

    def run(self, bench: Bench, parameters: CameraParameters, record: Recorder) -> dict[str, Any]:
        """Dark series, exposure series, saturation, flat series."""
        p, camera, slm = parameters, bench.camera, bench.slm
        _must_be_enough(p)
        if math.isinf(float(camera.full_scale_counts)):
            raise CalibrationError(
                "the camera is an ideal one, without noise or end of its scale: nothing to calibrate"
            )
        camera.binning = 1
        whole = middle_region(camera, p.rows, p.columns)
        lit = _lit_region(camera, p, whole)
        bench.source.emission = False
        camera.roi = whole
        short, long = (_dark(camera, s, p.dark_frames) for s in (p.dark_exposure_s, p.long_exposure_s))
        record.save("dark_mean", np.stack([short[0].mean, long[0].mean]))
        record.save("dark_variance", np.stack([short[0].variance, long[0].variance]))
        offset = float(np.median(short[0].mean))
        camera.roi = lit
        with light(bench, p.power):
            self._show(slm, p, p.flat_patterns // 2)
            full_s = metered(bench, offset, FILL, p.full_exposure_s)
            level_of, means, variances, exposures, pixels = self._series(bench, p, full_s, short[0], whole, lit, record)
            must_emit(bench)
            saturation = self._saturation(camera, full_s, limits(bench, "camera", "exposure_s")[1])
            halves = self._flats(bench, p, full_s)
        series = Series(
            whole=whole,
            lit=lit,
            short=short[0],
            long=long[0],
            dark_s=(short[1], long[1]),
            level_of=level_of,
            means=means,
            variances=variances,
            exposures_s=exposures,
            pixels=pixels,
            saturation=saturation,
            halves=halves,
            full_scale=float(camera.full_scale_counts),
            nominal_gain=float(camera.electrons_per_count),
            switch_e=p.switch_e,
            bit_depth=int(camera.bit_depth),
        )
        return {"series": series}

    def check(
        self, bench: Bench, parameters: CameraParameters, in_force: Mapping[str, Calibration], record: Recorder
    ) -> dict[str, tuple[Check, ...]]:
        """Mean offset and read noise from dark frames, gain from pairs of frames of weak even light."""
        p, camera = parameters, bench.camera
        if "dark" not in in_force:
            return {}
        dark, transfer = in_force["dark"], in_force.get("photon_transfer")
        bench.source.emission = False
        camera.binning = 1
        lit = _lit_region(camera, p, middle_region(camera, p.rows, p.columns))
        where, here = sensor_check.region(dark, lit)
        now = sensor_check.take_dark(camera, where, p.dark_exposure_s, p.check_frames)
        found = {"dark": sensor_check.of_dark(dark, now, here, float(camera.exposure_s))}
        if transfer is not None:
            with light(bench, p.power):
                self._show(bench.slm, p, p.flat_patterns // 2)
                metered(bench, float(np.median(now.mean)), CHECK_FILL, p.full_exposure_s / 10)
                good = quiet(now)
                pairs = [_pair([camera.trigger() for _ in range(2)], now.mean, good) for _ in range(p.check_pairs)]
            record.save("pairs", np.array(pairs))
            gain = sensor_check.of_gain(transfer, pairs, float(now.variance[good].mean()))
            found["photon_transfer"] = (sensor_check.of_noise(transfer, now), gain)
        return found

    def _show(self, slm: Any, p: CameraParameters, number: int) -> None:
        slm.write(chirp(slm.rows, slm.columns, p.spread, number, p.flat_patterns))
        slm.settle()

    def _series(
        self, bench: Bench, p: CameraParameters, full_s: float, dark: PixelSums, whole: ROI, lit: ROI, record: Recorder
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
        """Pairs of frames: level, mean above dark and half the mean square of the difference of each; exposures of the
        levels; how many pixels were looked at."""
        camera = bench.camera
        shortest_s = limits(bench, "camera", "exposure_s")[0]
        wanted = np.unique(np.maximum(full_s * np.geomspace(p.lowest_level, 1.0, p.levels), shortest_s))
        here = within(whole, lit)
        offset, good = dark.mean[here], quiet(dark)[here]
        exposures = np.zeros(len(wanted))
        order = np.concatenate([np.arange(len(wanted))[:: 1 if k % 2 == 0 else -1] for k in range(p.pairs)])
        found = []
        for step in record.steps(len(order), "pairs of frames"):
            level = int(order[step.index])
            camera.exposure_s = float(wanted[level])
            exposures[level] = float(camera.exposure_s)
            frames = [camera.trigger() for _ in range(2)]
            ok = all(f.saturated <= 1e-3 * f.data.size for f in frames)
            mean, half, freedom = _pair(frames, offset, good)
            found.append((level, mean, half, ok))
            step.save(exposure_s=exposures[level], mean=mean, variance=half, unsaturated=ok)
        level_of, means, halves, unsaturated = (np.array(x) for x in zip(*found, strict=True))
        keep = ~np.isin(level_of, level_of[~unsaturated])
        if len(np.unique(level_of[keep])) < LEAST_LEVELS:
            raise CalibrationError(
                f"only {len(np.unique(level_of[keep]))} of {len(wanted)} exposures from {wanted[0]:.3g} to "
                f"{wanted[-1]:.3g} s are usable, {LEAST_LEVELS} are needed: the others are too close to one another, "
                "or saturate. Raise `levels`, or lower the light so that exposures may be longer (`full_exposure_s`)"
            )
        return level_of[keep], means[keep], halves[keep], exposures, freedom

    def _saturation(self, camera: Any, full_s: float, longest_s: float) -> NDArray[np.float64]:
        """Median counts and their spread (2, 2) at twice and thrice the exposure of full scale."""
        found = []
        for times in (2.0, 3.0):
            camera.exposure_s = min(full_s * times / FILL, longest_s)
            frame = camera.trigger()
            counts = frame.data.astype(np.float64)
            found.append(
                (float(np.median(counts)), float(np.percentile(counts, 75) - np.percentile(counts, 25)) / 1.349)
            )
        return np.array(found)

    def _flats(self, bench: Bench, p: CameraParameters, full_s: float) -> list[NDArray[np.float64]]:
        """Mean counts (rows, columns) under even and under odd patterns."""
        camera, slm = bench.camera, bench.slm
        camera.exposure_s = 0.9 * full_s
        sums, taken = np.zeros((2, camera.roi.rows, camera.roi.columns)), np.zeros(2)
        for number in range(p.flat_patterns):
            self._show(slm, p, number)
            for _ in range(p.flat_frames):
                sums[number % 2] += camera.trigger().data
                taken[number % 2] += 1
        return [total / n for total, n in zip(sums, taken, strict=True)]

    def findings(self, results: dict[str, Any], parameters: CameraParameters, record: Recorder) -> Sequence[Finding]:
        """See `calibration.camera_findings`."""
        return findings(results["series"], record.picture("photon-transfer"), record.picture("pixels"))


def _pair(frames: list[Frame], offset: NDArray[np.float64], good: NDArray[np.bool_]) -> tuple[float, float, int]:
    """Mean above dark of two frames, and their `_half_variance`."""
    a, b = (np.where(good, f.data - offset, 0.0) for f in frames)
    mean = float(a.sum() + b.sum()) / 2 / float(good.sum())
    # Light that was stronger in one of them was so everywhere.
    scale = [mean * good.sum() / x.sum() if mean > 0 else 1.0 for x in (a, b)]
    return mean, *_half_variance(a * scale[0] - b * scale[1], good)


def _half_variance(difference: NDArray[np.float64], good: NDArray[np.bool_]) -> tuple[float, int]:
    """Half the mean square of the difference (rows, columns) of two frames, 0 where not good, and how many numbers it
    is the mean of.

    Flicker of the panel moves fringes along rows of the camera, which are alike in neighbouring rows: the mean of each
    column over some rows is left out.
    """
    starts = blocks(len(difference))
    sums, taken = (np.add.reduceat(x, starts, axis=0) for x in (difference, good.astype(np.float64)))
    squares = float((difference**2).sum() - (sums**2 / np.maximum(taken, 1)).sum())
    freedom = int(good.sum() - (taken > 0).sum())
    return squares / (2 * freedom), freedom


def _lit_region(camera: Any, p: CameraParameters, whole: ROI) -> ROI:
    """Within the whole, beside its middle as far as there is room: light that no pattern reaches (dead area, glass)
    makes bright lines about the zeroth order."""
    rows, columns = min(p.flat_rows or whole.rows, whole.rows), min(p.flat_columns or whole.columns, whole.columns)
    middle = middle_region(camera, rows, columns)
    aside = min(p.flat_offset, (whole.columns - columns) // 2)
    return ROI(row=middle.row, column=middle.column + aside, rows=rows, columns=columns)


def _must_be_enough(p: CameraParameters) -> None:
    for name, least in (("dark_frames", LEAST_FRAMES), ("pairs", LEAST_PAIRS), ("levels", LEAST_LEVELS)):
        if getattr(p, name) < least:
            raise CalibrationError(
                f"{name} = {getattr(p, name)}: too few frames; {least} are needed for a noise, and for what it is "
                "told by"
            )
    if p.long_exposure_s < 10 * p.dark_exposure_s:
        raise CalibrationError(
            f"long_exposure_s = {p.long_exposure_s:g} with dark_exposure_s = {p.dark_exposure_s:g}: it must be 10 "
            "times as long for the dark current to show"
        )


def _dark(camera: Any, exposure_s: float, frames: int) -> tuple[PixelSums, float]:
    camera.exposure_s = exposure_s
    sums = PixelSums()
    for _ in range(frames):
        frame = camera.trigger()
        # A hot pixel may saturate in the dark; so many do not without light.
        if frame.saturated > 5e-3 * frame.data.size:
            raise CalibrationError(
                f"{frame.saturated} of {frame.data.size} pixels saturate in the dark: is light on, or the camera "
                "uncovered?"
            )
        sums.add(frame.data.astype(np.float64))
    if float((sums.mean <= 0).mean()) > 1e-3:
        raise CalibrationError("many pixels read 0 in the dark, where the converter cuts noise off: raise the offset")
    return sums, float(camera.exposure_s)

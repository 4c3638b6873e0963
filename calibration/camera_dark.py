"""The camera in the dark: offset, dark current and read noise from frames without light (EMVA 1288, dark part)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from calibration.checks import sensor as sensor_check
from calibration.flat_light import middle_region
from labctl.client import (
    ROI,
    Bench,
    Calibration,
    CalibrationError,
    Check,
    Finding,
    Measured,
    Parameters,
    Recorder,
    Routine,
)

CONVERTER_VARIANCE = 1 / 12
"""Of the rounding to whole counts (EMVA 1288, Eq. 12)."""


class CameraDarkParameters(Parameters):
    """Which pixels, how often, and with which exposures."""

    frames: int = Field(64, ge=4, le=10000, description="of each of the two exposures")
    rows: int | None = Field(128, ge=1, description="of the region at the middle of the sensor; null is all of it")
    columns: int | None = Field(128, ge=1)
    exposure_s: float = Field(1e-3, gt=0, le=30)
    long_exposure_s: float = Field(0.5, gt=0, le=30, description="by which the dark current shows; 10 times the other")
    check_frames: int = Field(8, ge=2, le=1000, description="of the short exposure, by which a check sees the offset")

    @model_validator(mode="after")
    def _long_enough(self) -> CameraDarkParameters:
        if self.long_exposure_s < 10 * self.exposure_s:
            raise ValueError(
                f"long_exposure_s = {self.long_exposure_s:g} with exposure_s = {self.exposure_s:g}; 10 times as long, "
                "or more, is needed for the dark current to show"
            )
        return self


class CameraDark(Routine):
    """Offset, dark current and read noise of every pixel with the light off.

    The dark of a pixel is offset + rate x exposure, from the means at two exposures. Read noise is the standard
    deviation over the short frames, less the converter's 1/12 count squared, times the nominal gain; standard errors
    are those of a mean, and of a standard deviation of Gaussian numbers.
    """

    Parameters = CameraDarkParameters
    role = "camera"
    roles = ("camera",)
    kinds = ("dark",)
    valid_for = timedelta(days=30)

    @classmethod
    def suits(cls, config: Any) -> bool:
        """Where there is light to measure with, the routine `camera` finds this and more."""
        return super().suits(config) and not {"slm", "source"} <= config.devices.keys()

    def run(self, bench: Bench, parameters: CameraDarkParameters, record: Recorder) -> dict[str, Any]:
        """Take the frames: sums of each half, so that the halves can judge each other."""
        p, camera = parameters, bench.camera
        rows, columns = min(p.rows or camera.rows, camera.rows), min(p.columns or camera.columns, camera.columns)
        roi = ROI(row=(camera.rows - rows) // 2, column=(camera.columns - columns) // 2, rows=rows, columns=columns)
        camera.binning = 1
        camera.roi = roi
        exposures_s, halves, squares = [], np.zeros((2, 2, rows, columns)), np.zeros((2, rows, columns))
        series = [(k, n % 2) for k in range(2) for n in range(p.frames)]
        for step in record.steps(len(series), "dark frames"):
            k, half = series[step.index]
            if step.index % p.frames == 0:
                camera.exposure_s = (p.exposure_s, p.long_exposure_s)[k]
                exposures_s.append(float(camera.exposure_s))
            frame = camera.trigger()
            # A hot pixel may saturate in the dark; so many do not without light.
            if frame.saturated > 1e-3 * frame.data.size:
                raise CalibrationError(
                    f"{frame.saturated} of {frame.data.size} pixels saturate in the dark: is light on, or the camera "
                    "uncovered?"
                )
            counts = frame.data.astype(np.float64)
            halves[k, half] += counts
            squares[k] += counts**2
            step.save(mean=float(counts.mean()), frame_id=frame.frame_id, exposure_s=frame.exposure_s)
        return {
            "roi": [roi.row, roi.column, roi.rows, roi.columns],
            "exposures_s": exposures_s,
            "sums": halves,
            "squares": squares,
            "gain_e": float(camera.electrons_per_count),
        }

    def check(
        self, bench: Bench, parameters: CameraDarkParameters, in_force: Mapping[str, Calibration], record: Recorder
    ) -> dict[str, tuple[Check, ...]]:
        """The mean offset, from a few short frames."""
        dark, camera = in_force["dark"], bench.camera
        rows, columns = min(parameters.rows or camera.rows, 128), min(parameters.columns or camera.columns, 128)
        where, here = sensor_check.region(dark, middle_region(camera, rows, columns))
        now = sensor_check.take_dark(camera, where, parameters.exposure_s, parameters.check_frames)
        return {"dark": sensor_check.of_dark(dark, now, here, float(camera.exposure_s))}

    def findings(
        self, results: dict[str, Any], parameters: CameraDarkParameters, record: Recorder
    ) -> Sequence[Finding]:
        """Maps from the sums."""
        n, (short_s, long_s) = parameters.frames, results["exposures_s"]
        row, column = results["roi"][:2]
        counts = np.array([(n + 1) // 2, n // 2])
        means = results["sums"].sum(axis=1) / n
        variances = (results["squares"] - n * means**2) / (n - 1)
        rate = (means[1] - means[0]) / (long_s - short_s)
        offset = means[0] - rate * short_s
        errors = np.sqrt(np.maximum(variances, CONVERTER_VARIANCE) / n)
        rate_error = np.hypot(*errors) / (long_s - short_s)
        offset_error = np.hypot(errors[0] * long_s, errors[1] * short_s) / (long_s - short_s)
        noise_e = np.sqrt(np.maximum(variances[0] - CONVERTER_VARIANCE, 0.0)) * results["gain_e"]
        relative = 1 / np.sqrt(2 * (n - 1) * noise_e.size)
        median_e, rms_e = float(np.median(noise_e)), float(np.sqrt((noise_e**2).mean()))
        # Halves of the frames, taken in turn, see the same dark: their difference in its own standard errors.
        half_means = results["sums"] / counts[None, :, None, None]
        of_halves = np.maximum(variances, CONVERTER_VARIANCE) * (1 / counts).sum()
        z = (half_means[:, 0] - half_means[:, 1]) / np.sqrt(of_halves)
        _draw(record, offset, noise_e)
        return [
            Finding(
                kind="dark",
                values={
                    "offset_counts": Measured(offset, "counts", offset_error),
                    "rate_counts_per_s": Measured(rate, "counts/s", rate_error),
                    "row": Measured(row, "px"),
                    "column": Measured(column, "px"),
                    "read_noise_e": Measured(noise_e, "e", noise_e / np.sqrt(2 * (n - 1))),
                    "read_noise_median_e": Measured(median_e, "e", 1.2533 * median_e * relative),
                    "read_noise_rms_e": Measured(rms_e, "e", rms_e * relative),
                    "offset_mean_counts": Measured(
                        offset.mean(), "counts", float(np.sqrt((offset_error**2).sum())) / offset.size
                    ),
                },
                conditions={
                    "exposure": Measured(short_s, "s"),
                    "long_exposure": Measured(long_s, "s"),
                    "frames": Measured(n),
                },
                checks=(
                    Check(name="rms difference of two halves, in its standard errors",
                          value=float(np.sqrt(np.median(z**2) / 0.4549)), high=1.25 + 3 / np.sqrt(z.size)),
                    Check(name="pixels at offset 0, where the converter cuts noise off",
                          value=float((means[0] <= 0).mean()), high=1e-3),
                ),
            )
        ]  # fmt: skip


def _draw(record: Recorder, offset: Any, noise_e: Any) -> None:
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(9, 3.2), layout="constrained")
    left, right = drawing.subplots(1, 2)
    left.hist(offset.ravel(), bins=80, histtype="stepfilled")
    left.set(xlabel="offset (counts)", ylabel="pixels", yscale="log")
    right.hist(noise_e.ravel(), bins=80, histtype="stepfilled")
    right.set(xlabel="read noise (e)", ylabel="pixels", yscale="log")
    drawing.savefig(record.picture("dark"), dpi=110)

"""The camera in the dark: offset and read noise from frames without light (EMVA 1288, dark part)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from labctl.client import ROI, Bench, CalibrationError, Parameters, Protocol, Recorder


class CameraDarkParameters(Parameters):
    """Which pixels, and how often."""

    frames: int = Field(64, ge=2, le=10000)
    rows: int = Field(128, ge=1, description="of the region at the middle of the sensor")
    columns: int = Field(128, ge=1)
    exposure_s: float = Field(1e-3, gt=0, le=30)


class CameraDark(Protocol):
    """Offset (counts) and read noise (electrons, median and rms over the pixels) with the light off.

    Read noise is the standard deviation of each pixel over the frames, less the converter's 1/12 count squared, times
    the nominal gain; standard errors are those of a mean, and of a standard deviation of Gaussian numbers.
    """

    Parameters = CameraDarkParameters
    roles = ("camera",)

    def run(self, bench: Bench, parameters: CameraDarkParameters, record: Recorder) -> dict[str, Any]:
        """Take the frames."""
        p, camera = parameters, bench.camera
        rows, columns = min(p.rows, camera.rows), min(p.columns, camera.columns)
        camera.roi = ROI(
            row=(camera.rows - rows) // 2, column=(camera.columns - columns) // 2, rows=rows, columns=columns
        )
        camera.exposure_s = p.exposure_s
        stack = np.empty((p.frames, rows, columns))
        for step in record.steps(p.frames, "dark frames"):
            frame = camera.trigger()
            if frame.saturated:
                raise CalibrationError(
                    f"{frame.saturated} pixels saturate in the dark: is light on, or the camera uncovered?"
                )
            stack[step.index] = frame.data
            step.save(mean=float(frame.data.mean()), frame_id=frame.frame_id)
        gain = float(camera.electrons_per_count)
        variance = np.maximum(stack.var(axis=0, ddof=1) - 1 / 12, 0.0)
        noise_e = np.sqrt(variance) * gain
        return {
            "offset_counts": float(stack.mean()),
            "offset_error_counts": float(np.sqrt(variance.mean() / stack.size)),
            "read_noise_median_e": float(np.median(noise_e)),
            "read_noise_rms_e": float(np.sqrt((noise_e**2).mean())),
            "read_noise_relative_error": float(1 / np.sqrt(2 * (p.frames - 1) * rows * columns)),
            "frames": p.frames,
        }

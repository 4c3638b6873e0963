"""`bench.series`: frames and powers one after another, by any bench with a camera or a photodetector."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, model_validator

from labctl.client import Bench, ConfigurationError, Parameters, Protocol, Recorder


class SeriesParameters(Parameters):
    """How many, and of what; roles are names of devices of the bench."""

    count: int = Field(100, ge=1, le=10_000_000, description="frames, or readings")
    camera: str = Field("", description="role of a camera; empty for none")
    detector: str = Field("", description="role of a photodetector; empty for none")
    laser: str = Field("", description="role of a laser that emits meanwhile; empty for darkness")
    power: float | None = Field(None, ge=0, description="of the laser: W, fraction of a supercontinuum; else as it is")
    frames: bool = Field(False, description="keep every pixel, not only sums")

    @model_validator(mode="after")
    def _something(self) -> SeriesParameters:
        if not (self.camera or self.detector):
            raise ValueError("nothing to measure with: name a camera or a detector of the bench, such as camera=camera")
        if self.frames and not self.camera:
            raise ValueError("frames=true keeps a camera's pixels: name the camera, such as camera=camera")
        return self


class Series(Protocol):
    """A series of measurements: drifts, noise, a warm-up, darkness.

    Series ``time_s`` (bench time), of a camera ``mean_counts``, ``saturated`` pixels, ``lost`` frames before it and,
    with frames=true, ``frame`` (rows, columns); of a detector ``power_w``. Values: mean and standard deviation of each,
    ``saturated``, the share of frames with such pixels. It goes on with the measurement after its last checkpoint.
    """

    Parameters = SeriesParameters

    def run(self, bench: Bench, parameters: SeriesParameters, record: Recorder) -> dict[str, Any]:
        """Measure."""
        p = parameters
        for key, role, kinds in (("camera", p.camera, ("camera",)), ("detector", p.detector, ("photodetector",)),
                                 ("laser", p.laser, ("pump", "supercontinuum"))):  # fmt: skip
            kind = bench[role].description.kind if role else ""
            if role and kind not in kinds:
                raise ConfigurationError(f"{key}={role}: {role} is a {kind}; name a {' or '.join(kinds)} of the bench")
        if p.laser:
            laser = bench[p.laser]
            if p.power is not None:
                setattr(laser, "power_w" if laser.description.kind == "pump" else "power_fraction", p.power)
            laser.emission = True
        for step in record.steps(p.count, "measuring"):
            step.save(**_measured(bench, p))
            if record.checkpoint_due:
                record.checkpoint()
        return {}

    def conclude(self, results: dict[str, Any], parameters: SeriesParameters, record: Recorder) -> dict[str, Any]:
        """Means and deviations."""
        values: dict[str, Any] = {}
        for name in ("mean_counts", "power_w"):
            series = record.series(name)
            if series is not None:
                values |= {name: float(series.mean()), f"{name}_sd": float(series.std(ddof=min(1, len(series) - 1)))}
        saturated = record.series("saturated")
        if saturated is not None:
            values["saturated"] = float(np.mean(saturated > 0))
        return values


def _measured(bench: Bench, p: SeriesParameters) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if p.camera:
        frame = bench[p.camera].trigger()
        found = {
            "mean_counts": frame.data.mean(dtype=np.float64),
            "saturated": frame.saturated,
            "lost": frame.lost_before,
        }
        if p.frames:
            found["frame"] = frame.data
    if p.detector:
        found["power_w"] = bench[p.detector].measure().power_w
    return {"time_s": bench.time_s(), **found}

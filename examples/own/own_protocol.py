"""Your own protocol: does the light follow the laser's set-point? A line through what the meter reads.

A protocol sees devices by role, never what they are made of: this one runs unchanged on ``own-sim.toml``, on
``own-emulated.toml``, and on a table. Parameters are checked, steps recorded and the light turned off for it.

    labctl run own.linearity --bench own-sim.toml points=9
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from labctl.client import Bench, Parameters, Protocol, Recorder


class LinearityParameters(Parameters):
    """What ``--set`` may set."""

    points: int = Field(5, ge=3, le=1000, description="set-points, evenly from a fifth of the highest one on")
    highest: float = Field(0.4, gt=0, le=1, description="power fraction of the last point")
    readings: int = Field(4, ge=1, le=1000, description="of the meter at each point")


class Linearity(Protocol):
    """Power at the meter against the laser's set-point.

    Values: ``slope_w``, power at full set-point by the line, with ``slope_w_err``; ``offset_w``; ``worst``, the largest
    distance from the line in standard errors.
    """

    Parameters = LinearityParameters
    bench: ClassVar[str] = "own-sim.toml"
    roles = ("source", "meter")

    def run(self, bench: Bench, parameters: LinearityParameters, record: Recorder) -> dict[str, Any]:
        """Measure; the bench is in our control, and its light goes off after it whatever happens."""
        p = parameters
        fractions = np.linspace(p.highest / 5, p.highest, p.points)
        bench.source.power_fraction = float(fractions[0])
        bench.source.emission = True
        for step in record.steps(p.points, "set-points"):
            bench.source.power_fraction = float(fractions[step.index])
            taken = [bench.meter.measure() for _ in range(p.readings)]
            mean_w = float(np.mean([reading.power_w for reading in taken]))
            error_w = float(np.mean([reading.standard_power_w for reading in taken])) / p.readings**0.5
            step.save(fraction=bench.source.power_fraction, power_w=mean_w, power_w_err=error_w)
            step.note(f"{mean_w * 1e6:.2f} µW")
        return {}

    def conclude(self, results: dict[str, Any], parameters: LinearityParameters, record: Recorder) -> dict[str, Any]:
        """The light is off: a weighted line through what was saved."""
        x, y, error = (np.asarray(record.series(name)) for name in ("fraction", "power_w", "power_w_err"))
        (slope, offset), covariance = np.polyfit(x, y, 1, w=1 / error, cov="unscaled")
        residuals = (y - slope * x - offset) / error
        return {
            "slope_w": float(slope),
            "slope_w_err": float(covariance[0, 0] ** 0.5),
            "offset_w": float(offset),
            "worst": float(np.abs(residuals).max()),
        }

"""A lattice of equally bright spots: weighted Gerchberg-Saxton with the camera in the loop (slmsuite)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.panels import panels
from calibration.spot_hologram import SpotPattern
from calibration.spot_lattice import Lattice, located, powers
from calibration.spot_search import find_light
from calibration.superpixels import Shown, Spot
from calibration.wavefront_fit import panel_phase
from calibration.wavefront_layouts import Station, hologram_station
from labctl.client import (
    Bench,
    CalibrationError,
    Check,
    Finding,
    Measured,
    Parameters,
    Recorder,
    Routine,
)

Array = NDArray[np.float64]

EVEN_WITHIN = 0.0005
"""Standard uncertainty of the uniformity: pixels respond by 0.5 % more or less, and a spot lies on some ten of them."""


class SpotWeightsParameters(Parameters):
    """The lattice, and how often it is looked at."""

    rows: int = Field(8, ge=1, le=64, description="of spots")
    columns: int = Field(8, ge=1, le=64)
    pitch: int = Field(14, ge=2, le=512, description="from spot to spot, in lambda f / (twice the padded panel)")
    centre: tuple[int, int] | None = Field(
        None, description="of the lattice, camera pixels from the zeroth order; else half as far again as the spot"
    )
    prepared: int = Field(30, ge=1, le=1000, description="iterations in the computer beforehand")
    iterations: int = Field(20, ge=1, le=200, description="most with the camera")
    frames: int = Field(2, ge=1, le=100, description="per iteration")
    verified: int = Field(8, ge=2, le=1000, description="frames of the last pattern that are in no feedback")
    enough: float = Field(0.004, gt=0, lt=1, description="uniformity at which iterations end")
    power_w: float = Field(0.3, gt=0, le=100, description="most power of the pump")
    search_px: int = Field(45, ge=4, le=400, description="camera pixels either way within which the middle must be")
    scale_limit: float = Field(0.05, gt=0, le=0.5, description="an image whose scale is further off is another lens")
    uniformity_limit: float = Field(0.01, gt=0, lt=1, description="rms of the spots' powers")


class SpotWeights(Routine):
    """Spots are found by a single one and by where they lie; their powers weigh the next iteration of the hologram.

    The table's aberrations ("wavefront") are taken out of every pattern.
    """

    Parameters = SpotWeightsParameters
    role = "slm"
    roles = ("slm", "camera", "pump")
    alignments = ("hologram",)
    kinds = ("spot-weights",)
    requires = ("wavefront",)
    valid_for = timedelta(days=7)

    def run(self, bench: Bench, parameters: SpotWeightsParameters, record: Recorder) -> dict[str, Any]:
        """Locate, iterate, and look once more."""
        p, slm = parameters, bench.slm
        plan: Any = bench.alignment("hologram")
        centre = p.centre or (round(1.5 * plan.spot.row), round(1.5 * plan.spot.column))
        at = hologram_station(bench, (1, 1), 4, p.power_w, centre)
        plan_px = planned_lattice(bench, at, p, centre)
        pattern = SpotPattern((slm.rows, slm.columns), plan_px.size, plan_px.units, record.rng)
        pattern.prepare(p.prepared)
        pixels = (np.arange(n, dtype=np.float64) for n in (slm.rows, slm.columns))
        flat = panel_phase(bench.calibration("wavefront"), *pixels)
        spot = Spot(bench.camera, at.switch)

        def show(phase: Array) -> None:
            slm.write(np.mod(phase - flat, 2 * math.pi))
            slm.settle()

        with at.switch.light(at.power / 100):
            place, _ = find_light(at, p.search_px, Shown(slm, at.layout), spot)
            show(pattern.phase)
            spot.look(place[0], place[1], *plan_px.region)
            at.switch.power = at.power
            spot.meter(0.4, 0.001, "of the spots")
            corner = np.array([spot.roi.row, spot.roi.column])
            half, limit = plan_px.half_px, max(1.0, 0.25 * plan_px.half_px)
            lattice = located(spot.take(p.frames), plan_px.places + place - corner, half, limit)
            _refuse_wrong(lattice, p)
            trials: list[tuple[float, Array, Array]] = []
            steps = record.steps(p.iterations, "iterations with the camera")

            def look(phase: Array) -> Array | None:
                step = next(steps)
                show(phase)
                power = powers(spot.take(p.frames), lattice.places, half)
                uneven = uniformity(power)
                step.save(power=power, uniformity=uneven)
                step.note(f"{100 * uneven:.2f} %")
                trials.append((uneven, power / power.mean(), phase))
                return None if uneven < p.enough else power

            pattern.feed_back(p.iterations, look)
            phase = min(trials, key=lambda t: t[0])[2]
            show(phase)
            last = np.stack([powers(spot.take(), lattice.places, half) for _ in range(p.verified)])
            image = spot.take()
        return {
            "phase": np.mod(phase - flat, 2 * math.pi),
            "weights": pattern.weights,
            "uneven": np.array([t[0] for t in trials]),
            "last": last,
            "image": image,
            "lattice": lattice,
            "residual_limit_px": limit,
            "box_px": 2 * half + 1,
            "places": lattice.places + corner,
        }

    def findings(self, results: dict[str, Any], parameters: Any, record: Recorder) -> Sequence[Finding]:
        """How even the spots are in frames that were in no feedback."""
        p, r = parameters, results
        off = r["lattice"].residual_px
        last: Array = r["last"] / r["last"].mean(axis=1, keepdims=True)
        power, error = last.mean(axis=0), last.std(axis=0, ddof=1) / math.sqrt(len(last))
        measured = uniformity(power)
        # What noise adds to it is known from how the frames differ.
        true = math.sqrt(max(measured**2 - float((error**2).mean()), 0.0))
        spread = math.hypot(EVEN_WITHIN, math.sqrt(float((error**2).mean()) / (2 * max(len(power) - 1, 1))))
        _draw(record, r, power)
        return [
            Finding(
                kind="spot-weights",
                values={
                    "phase_rad": Measured(r["phase"], "rad"),
                    "weights": Measured(r["weights"]),
                    "places": Measured(r["places"], "px", max(off, 0.02)),
                    "power": Measured(power, "1", np.hypot(error, EVEN_WITHIN)),
                    "box_px": Measured(r["box_px"], "px"),
                    "uniformity": Measured(true, "1", spread),
                    "iterations": Measured(len(r["uneven"])),
                    "uniformity_before": Measured(float(r["uneven"][0]), "1"),
                },
                checks=(
                    Check(name="uniformity of the spots, rms", value=true, high=p.uniformity_limit),
                    Check(name="rms distance from a lattice", value=off, unit="px", high=r["residual_limit_px"]),
                ),
                devices=("camera",),
            )
        ]


def uniformity(power: Array) -> float:
    """Rms deviation of powers (n,) from their mean, relative to it."""
    return float(power.std() / power.mean())


@dataclass(frozen=True, eq=False)
class PlannedLattice:
    """size: of the transform, SLM pixels. units: (n, 2) rows and columns from the zeroth order, lambda f / size.
    places: (n, 2) the same in camera pixels from the lattice's centre. half_px: of a box around a spot. region: rows
    and columns of the camera that hold all of it."""

    size: int
    units: Array
    places: Array
    half_px: int
    region: tuple[int, int]


def planned_lattice(bench: Bench, at: Station, p: SpotWeightsParameters, centre: tuple[int, int]) -> PlannedLattice:
    """The lattice in the units of the hologram's transform, and on the camera. centre: camera pixels from the axis."""
    slm, camera = bench.slm, bench.camera
    size = 2 * 2 ** math.ceil(math.log2(max(slm.rows, slm.columns)))
    wavelength_focal = 2 * math.pi / float(at.layout.kappa.mean())
    unit_px = wavelength_focal / (size * slm.pixel_pitch_m * camera.pixel_pitch_m)
    i, j = np.meshgrid(np.arange(p.rows), np.arange(p.columns), indexing="ij")
    steps = np.stack([i.ravel() - (p.rows - 1) / 2, j.ravel() - (p.columns - 1) / 2], axis=1)
    units = np.rint(np.array(centre) / unit_px + p.pitch * steps)
    places = units * unit_px - np.array(centre)
    half = max(2, math.floor(0.42 * p.pitch * unit_px))
    rows, columns = (2 * math.ceil(v * (1 + p.scale_limit) + 2 * half) + 1 for v in np.abs(places).max(axis=0))
    return PlannedLattice(size, units, places, half, (rows, columns))


def _refuse_wrong(lattice: Lattice, p: SpotWeightsParameters) -> None:
    if np.linalg.det(lattice.matrix) < 0:
        raise CalibrationError("the lattice is mirrored: an image is flipped, by a mirror more or less than planned")
    if abs(lattice.scale - 1) > p.scale_limit:
        raise CalibrationError(
            f"the lattice has {lattice.scale:.3f} times the size that is planned: another lens; check the focal "
            "length, or raise scale_limit if it is meant"
        )


def _draw(record: Recorder, r: dict[str, Any], power: Array) -> None:
    with panels(record.picture("spots"), 1, 2) as (spots, course):
        step = max(1, len(r["image"]) // 256)
        spots.imshow(r["image"][::step, ::step], aspect="auto", vmin=0)
        places = r["lattice"].places / step
        spots.plot(places[:, 1], places[:, 0], "+", ms=4, color="C1")
        spots.set(title=f"spots, uneven by {100 * uniformity(power):.2f} % rms")
        course.semilogy(100 * r["uneven"], ".-")
        course.set(xlabel="iteration with the camera", ylabel="uniformity, rms (%)")

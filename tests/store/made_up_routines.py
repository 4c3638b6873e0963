"""Calibration routines that are quick and can be told to go wrong, and a protocol that needs what they find."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from labctl import registry
from labctl.client import (
    Bench,
    Calibration,
    CalibrationError,
    Check,
    Condition,
    DeviceError,
    Finding,
    Measured,
    Parameters,
    Protocol,
    Recorder,
    Routine,
    calibrate_on,
)

_POINTS = """[labctl.calibrations]
t.gain = made_up_routines:Gain
t.line = made_up_routines:Line
t.map = made_up_routines:Map
t.elsewhere = made_up_routines:Elsewhere

[labctl.protocols]
t.needs = made_up_routines:Needs
t.around = made_up_routines:Around
"""


class GainParameters(Parameters):
    gain: float = Field(0.45, gt=0, description="what is found, e per count")
    wrong: str = Field("", description="dark: the light fails; check: the result is bad; kinds: of another kind")
    now: float | None = Field(None, description="what a check sees; null: what was found")


class Gain(Routine):
    """Gain of the camera, made up.

    A second paragraph that no list shows.
    """

    Parameters = GainParameters
    role = "camera"
    roles = ("camera", "slm")
    kinds = ("gain",)
    valid_for = timedelta(days=3)

    def run(self, bench: Bench, parameters: GainParameters, record: Recorder) -> dict[str, Any]:
        if parameters.wrong == "dark":
            raise CalibrationError("no light on the camera: is the beam blocked?")
        if parameters.wrong == "device":
            raise DeviceError("camera: the cable is out")
        frames = []
        for step in record.steps(2, "frames"):
            frames.append(bench.camera.trigger().data.mean())
            step.save(mean=frames[-1])
        return {"mean": float(np.mean(frames)), "ids": bench.camera.calibration_ids}

    def findings(self, results: dict[str, Any], parameters: GainParameters, record: Recorder) -> Sequence[Finding]:
        record.picture("photon-transfer").write_bytes(b"\x89PNG made up")
        bad = parameters.wrong == "check"
        return [
            Finding(
                kind="other" if parameters.wrong == "kinds" else "gain",
                devices=("telescope",) if parameters.wrong == "devices" else (),
                values={
                    "gain": Measured(parameters.gain, "e", 0.002),
                    "curve": Measured(np.arange(12.0).reshape(3, 4), "counts"),
                },
                conditions={"mean": Measured(results["mean"], "counts")},
                checks=(Check(name="residual", value=9.0 if bad else 0.3, unit="%", high=1.0),),
                holds_while=(Condition(setting="camera.bit_depth", low=16, high=16),),
            )
        ]

    def check(
        self, bench: Bench, parameters: GainParameters, in_force: Mapping[str, Calibration], record: Recorder
    ) -> dict[str, tuple[Check, ...]]:
        if parameters.wrong == "dark":
            raise CalibrationError("no light on the camera: is the beam blocked?")
        then = in_force["gain"]
        now = bench.camera.trigger().data.mean() * 0 + (parameters.now or parameters.gain)
        allowed = 0.01 + 3 * float(then.uncertainty("gain"))
        name = "no_gain" if parameters.wrong == "kinds" else "gain"
        return {name: (Check(name="gain now, less then", value=now - then.number("gain"), unit="e", low=-allowed,
                             high=allowed),)}  # fmt: skip


class LineParameters(Parameters):
    wrong: bool = False


class Line(Routine):
    """Linearity, which stands on the gain."""

    Parameters = LineParameters
    role = "camera"
    roles = ("camera",)
    kinds = ("linearity",)
    requires = ("t.gain",)
    valid_for = None

    def run(self, bench: Bench, parameters: LineParameters, record: Recorder) -> dict[str, Any]:
        if parameters.wrong:
            raise CalibrationError("the line is bent")
        return {"gain": bench.calibration("gain").number("gain")}

    def findings(self, results: dict[str, Any], parameters: LineParameters, record: Recorder) -> Sequence[Finding]:
        return [Finding(kind="linearity", values={"slope": Measured(1 / results["gain"], "counts/e", 0.01)})]


class Map(Routine):
    """Where the SLM is seen by the camera, and a dark: two devices, two kinds; stands on linearity."""

    role = "slm"
    roles = ("slm", "camera")
    kinds = ("slm-camera", "camera.dark")
    requires = ("t.line",)

    def run(self, bench: Bench, parameters: Parameters, record: Recorder) -> dict[str, Any]:
        return {"rows": bench.camera.rows, "columns": bench.camera.columns}

    def findings(self, results: dict[str, Any], parameters: Parameters, record: Recorder) -> Sequence[Finding]:
        offset = np.full((results["rows"], results["columns"]), 90.0)
        return [
            Finding(kind="slm-camera", values={"matrix": Measured(np.eye(3), "px", 0.1)}, devices=("camera",)),
            Finding(
                kind="dark",
                role="camera",
                values={
                    "offset_counts": Measured(offset, "counts"),
                    "rate_counts_per_s": Measured([[0.0]], "counts/s"),
                },
            ),
        ]


class Elsewhere(Routine):
    """Something of a device that small benches lack."""

    role = "interferometer"
    roles = ("interferometer",)
    kinds = ("arms",)

    def run(self, bench: Bench, parameters: Parameters, record: Recorder) -> dict[str, Any]:
        return {}

    def findings(self, results: dict[str, Any], parameters: Parameters, record: Recorder) -> Sequence[Finding]:
        return []


class Around(Protocol):
    """What calibrating changes: takes control before and after it."""

    roles = ("camera",)
    takes_control = True

    def run(self, bench: Bench, parameters: Parameters, record: Recorder) -> dict[str, Any]:
        told = {}
        for when in ("before", "after"):
            with bench.control(when):
                told[when] = dict(bench.camera.calibration_ids)
            if when == "before":
                told["states"] = [r.state for r in calibrate_on(bench, {"t.gain.gain": 0.5}, out=record.directory)]
        return told


class Needs(Protocol):
    """A protocol that cannot do without two calibrations."""

    roles = ("camera",)
    calibrations = ("linearity", "camera.gain")

    prepared = 0

    def prepare(self, parameters: Parameters, record: Recorder) -> None:
        Needs.prepared += 1

    def run(self, bench: Bench, parameters: Parameters, record: Recorder) -> dict[str, Any]:
        return {"slope": bench.calibration("linearity").number("slope")}


@contextmanager
def installed(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registered like a third party's, for this process and its children."""
    info = folder / "madeup-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: madeup\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(_POINTS, encoding="utf-8")
    before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    patch.setenv("PYTHONPATH", os.pathsep.join([*before, str(folder), str(Path(__file__).parent)]))
    patch.syspath_prepend(str(folder))
    registry._registered.cache_clear()
    yield
    registry._registered.cache_clear()

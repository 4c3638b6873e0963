"""Made-up experiments to sweep over, registered like a third party's."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field, model_validator

from labctl import registry
from labctl.client import Bench, CalibrationError, Figure, Parameters, Protocol, Recorder
from labctl.sweep import Plan, plan_of

_POINTS = """
[labctl.protocols]
t.kinds = sweepable:Kinds
t.curious = sweepable:Curious

[labctl.figures]
t.wave = sweepable:Wave
t.table = sweepable:OfTheTable
"""


class WaveParameters(Parameters):
    g: float = Field(0.5, description="detuning", gt=0)
    J: float = 0.5
    word: str = "a"
    bad_above: float = Field(9.0, description="g from which on it fails")
    tally: Path | None = None
    wait_s: float = 0.0
    deadly_g: float | None = None
    lives: int = Field(0, description="deaths at deadly_g before it is survived")

    @model_validator(mode="after")
    def _fit(self) -> WaveParameters:
        if self.g + self.J > 10:
            raise ValueError(f"g + J = {self.g + self.J}: at most 10")
        return self


class Wave(Figure):
    """Arithmetic that uses all there is of a recorder, and tells on disk that it was here."""

    Parameters = WaveParameters

    def run(self, bench: Bench, parameters: WaveParameters, record: Recorder) -> dict[str, Any]:
        p = parameters
        if p.tally is not None:
            with p.tally.open("a") as file:
                file.write(f"{p.g} {p.J}\n")
        if p.g == p.deadly_g and (p.tally is None or p.tally.read_text().count(f"{p.g} {p.J}\n") > p.lives - 1):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(p.wait_s)
        record.save("start", np.array([p.g, p.J]))
        for step in record.steps(3, "waving"):
            bench.renew()
            step.save(height=record.rng.normal(p.g))
            record.checkpoint(at=step.index)
        if p.g > p.bad_above:
            raise CalibrationError(f"g = {p.g} is above {p.bad_above}")
        return {"product": p.g * p.J}

    def conclude(self, results: dict[str, Any], parameters: WaveParameters, record: Recorder) -> dict[str, Any]:
        heights, start = record.series("height"), record.saved("start")
        assert heights is not None
        assert start is not None
        record.picture("wave").write_bytes(b"")
        return {**results, "height": float(heights.mean()), "start": start, "letters": parameters.word}


class KindParameters(Parameters):
    n: int = 1


class Kinds(Protocol):
    """Values of all kinds; some differ in length from point to point, or are missing."""

    Parameters = KindParameters

    def run(self, bench: Bench, parameters: KindParameters, record: Recorder) -> dict[str, Any]:
        n = parameters.n
        values: dict[str, Any] = {
            "whole": n,
            "fraction": n / 2,
            "even": n % 2 == 0,
            "numpy": np.float32(n),
            "complex": n + 1j,
            "matrix": np.full((2, 3), n),
            "ragged": [0.5] * n,
            "text": "x" * n + "\0",
            "nested": {"a": n, "b": {"c": "c"}},
            "rows": [{"n": n}, {"n": None}],
            "undefined": float("nan") if n == 2 else None,
        }
        return values if n != 3 else {**values, "rare": 3}


class Curious(Protocol):
    """Says that it needs no device, and asks for one."""

    Parameters = KindParameters

    def run(self, bench: Bench, parameters: KindParameters, record: Recorder) -> dict[str, Any]:
        return {"rows": bench.slm.rows}


class OfTheTable(Figure):
    """Shot noise of a table: what the camera sees of a dark source."""

    Parameters = KindParameters
    roles = ("camera",)

    def run(self, bench: Bench, parameters: KindParameters, record: Recorder) -> dict[str, Any]:
        counts = bench.camera.trigger().data
        return {"sum": int(counts.sum()), "exposure_s": bench.camera.exposure_s, "n": parameters.n}


def wave(*varied: str, **options: Any) -> Plan:
    """A plan over `Wave`; keywords other than those of `plan_of` are its parameters."""
    own = {key: options.pop(key) for key in list(options) if key in WaveParameters.model_fields}
    return plan_of("t.wave", varied, own, **options)


@contextmanager
def installed(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The experiments are registered, for this process and its children."""
    before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    patch.setenv("PYTHONPATH", os.pathsep.join([*before, str(folder), str(Path(__file__).parent)]))
    with registered(folder, patch, "sweepable", _POINTS):
        yield


@contextmanager
def registered(folder: Path, patch: pytest.MonkeyPatch, name: str, points: str) -> Iterator[None]:
    """Entry points of a distribution are found, by this process."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    with patch.context() as here:
        here.syspath_prepend(str(folder))
        registry._registered.cache_clear()
        yield
    registry._registered.cache_clear()

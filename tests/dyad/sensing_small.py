"""A small lattice of dyads with a probe: a bench file, fair ratios for it, and the truth of its sample."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from labctl.bench.load import packaged_benches
from labctl.experiments.calibrate import calibrate
from simulators.worlds.condensates import CondensateParameters
from simulators.worlds.condensates.sample import detunings, efficiencies, on_sample

Array = NDArray[np.float64]

CENTRE = (-100, 130)
"""Camera pixels from the zeroth order."""


def write_small(folder: Path, rows: int = 2, columns: int = 3, probe: bool = True) -> Path:
    """The packaged bench with a quarter of the panel and few dyads."""
    text = packaged_benches()["dyad-sim"].read_text()
    for old, new in (
        ("seed = 7", 'seed = 7\nslm.rows = 256\nslm.columns = 256\nbeam.waist = "0.8 mm"\noptics.focal_length = "50 mm"'
         f"\nsample.mesa = {{ row = {CENTRE[0]}, column = {CENTRE[1]}, rows = 120, columns = 180 }}"),
        ("rows = 10 ", f"rows = {rows} "),
        ("columns = 10", f"columns = {columns}"),
        ("focal_length = 100.0", "focal_length = 50.0"),
        ("spot = { row = -150, column = 200 }", "spot = { row = -75, column = 100 }"),
        ("centre = { row = -230, column = 300 }", f"centre = {{ row = {CENTRE[0]}, column = {CENTRE[1]} }}"),
        *(() if probe else (("[devices.probe]", "[devices.other]"),)),
    ):  # fmt: skip
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / "dyad-small.toml"
    path.write_text(text)
    return path


@contextmanager
def fair_small(folder: Path, rows: int, columns: int) -> Iterator[tuple[Path, Path]]:
    """The bench file, and the folder with a calibration of its lattice, which is in force meanwhile: what finding the
    spots and making dyads fair takes, is spent once for all tests of a file."""
    bench, store = write_small(folder, rows, columns), folder / "calibrations"
    roughly: dict[str, object] = {
        "precision": 0.04,
        "patience": 0.25,
        "before": 60,
        "settle": 0,
        "verify": 200,
        "most": 2000,
    }
    roughly |= {"bench.lease": "60 s"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABCTL_CALIBRATIONS", str(store))
        made = calibrate("dyad.calibrate", bench, roughly | {"bench.lease": "60 s"}, seed=3, out=folder / "runs")
        assert made.state == "made"
        yield bench, store


def parameters(bench: Path) -> CondensateParameters:
    """Of its world."""
    return CondensateParameters.model_validate(tomllib.loads(bench.read_text())["world"])


def site_under_probe(bench: Path, places: Array) -> int:
    """Which of the sites (n, 2) on the camera is next to where the probe is aimed."""
    p = parameters(bench)
    aim = np.array([p.camera.axis_row, p.camera.axis_column]) + CENTRE
    return int(((places - aim) ** 2).sum(axis=1).argmin())


def strength(bench: Path, places: Array, kappa: float) -> Array:
    """ln(efficiency) / kappa + ln g at places (m, 2) on the camera: what a map shows, but for its mean."""
    p = parameters(bench)
    on = on_sample(p, places - (p.camera.axis_row, p.camera.axis_column), 0.0)
    return np.log(detunings(p, on)) + np.log(efficiencies(p, on)) / kappa


def least_probe_share(bench: Path) -> float:
    """Of the probe's shift in its middle, what a site sees that it misses by as much as it may."""
    p = parameters(bench)
    return math.exp(-2 * (p.hidden.probe_miss / p.probe.radius) ** 2)

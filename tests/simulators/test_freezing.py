"""A table that was frozen goes on, on a bench that did something else meanwhile, as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labctl.client import ROI, Bench, Sequence, open_bench

LITTLE = {"world.slm.rows": 24, "world.slm.columns": 48}
PRBM = LITTLE | {
    "world.optics.first_row": 3,
    "world.optics.bands": 6,
    "world.optics.dispersion": 3e3,
    "world.optics.camera_attenuation": 1e-9,
    "world.camera.rows": 200,
    "world.camera.columns": 300,
    "world.camera.axis_row": 90,
    "world.camera.axis_column": 140,
}
BENCHES: dict[str, tuple[str, dict[str, Any], ROI]] = {
    "prbm": ("prbm-sim", PRBM, ROI(row=80, column=138, rows=21, columns=4)),
    "prbm with noise of its source": (
        "prbm-sim",
        PRBM | {"world.hidden.preset": "typical"},
        ROI(row=80, column=138, rows=21, columns=4),
    ),
    "a wide look": ("prbm-sim", PRBM, ROI(row=80, column=50, rows=8, columns=100)),
    "hologram": (
        "hologram-lab",
        {"world.slm.rows": 48, "world.slm.columns": 48},
        ROI(row=1070, column=1270, rows=20, columns=24),
    ),
    "condensates": (
        "dyad-sim",
        {"world.slm.rows": 48, "world.slm.columns": 48},
        ROI(row=1070, column=1270, rows=20, columns=24),
    ),
    "multiplier": (
        "domino-sim",
        {"world.slm.columns": 120, "world.coupling.rows": 48, "world.coupling.columns": 120},
        ROI(row=1060, column=1279, rows=40, columns=3),
    ),
    "sheet": ("nep-sim", {}, ROI(row=1070, column=1270, rows=20, columns=24)),
    "cells": ("nep-cells", {}, ROI(row=1070, column=1270, rows=20, columns=24)),
}


def of_kind(bench: Bench, kind: str) -> list[Any]:
    return [d for d in bench.devices.values() if d.description.kind == kind]


def lit(bench: Bench, roi: ROI) -> None:
    for laser in of_kind(bench, "pump"):
        laser.power_w = laser.limits("power_w").maximum / (5000 if bench.name == "nep-cells" else 50)
        laser.emission = True
    for laser in of_kind(bench, "supercontinuum"):
        laser.power_fraction = 0.2
        laser.emission = True
    if bench.name == "dyad-sim":
        bench.pump.modulation = "external"
        bench.pump.power_w = bench.pump.limits("power_w").maximum / 2
    bench.camera.roi = roi
    bench.camera.exposure_s = 2e-3


def sequence(slm: Any, rng: np.random.Generator, patterns: int = 5) -> Sequence:
    rows, columns = int(slm.rows), int(slm.columns)
    origins = np.array([[k % 4 * (rows // 4), k // 4 * (columns // 8)] for k in range(24)], np.int32)
    chosen = [np.sort(rng.choice(24, rng.integers(1, 9), replace=False)) for _ in range(patterns)]
    return Sequence(
        base=rng.uniform(0, 6, (rows, columns)),
        base_origin=(0, 0),
        patches=rng.uniform(0, 6, (24, max(rows // 6, 1), columns // 12)),
        patch_origins=origins,
        offsets=np.cumsum([0] + [len(c) for c in chosen]).astype(np.int32),
        indices=np.concatenate(chosen).astype(np.int32),
    )


def act(bench: Bench, seed: int) -> list[NDArray[Any]]:
    """Whatever one does on a table; all that was seen."""
    rng, seen = np.random.default_rng(seed), []
    for _ in range(2):
        for slm in of_kind(bench, "slm"):
            rows, columns = int(slm.rows), int(slm.columns)
            r, c = int(rng.integers(rows // 2)), int(rng.integers(columns // 2))
            slm.write(rng.uniform(0, 6, (rows - r, columns - c)), r, c)
            if rng.random() < 0.5:
                slm.settle()
            seen.append(bench.camera.trigger().data)
        if of_kind(bench, "sequencer"):
            seen.append(bench.sequencer.play(sequence(bench.slm, rng), [], frames=True).frames)
        seen.append(bench.camera.burst(3).data)
        seen += [np.array([d.measure().power_w]) for d in of_kind(bench, "photodetector")]
        for laser in of_kind(bench, "pump")[:1]:
            laser.power_w = float(laser.power_w) * rng.uniform(0.8, 1.2)
        bench.camera.exposure_s = float(rng.uniform(1e-3, 4e-3))
    return [np.array(s) for s in seen]


@contextmanager
def under_control(name: str) -> Iterator[Bench]:
    path, overrides, roi = BENCHES[name]
    with open_bench(path, overrides | {"bench.lease": "60 s"}) as bench, bench.control("test"):
        lit(bench, roi)
        yield bench


def frozen(bench: Bench) -> NDArray[np.uint8]:
    found = bench.freeze()
    assert found is not None
    return found


@pytest.mark.parametrize("name", BENCHES)
def test_a_thawed_table_goes_on_bit_for_bit(name: str) -> None:
    with under_control(name) as bench:
        act(bench, 1)
        kept = frozen(bench)
        expected = act(bench, 2)
        afterwards, time_s = frozen(bench), bench.time_s()
    with under_control(name) as bench:
        act(bench, 3)
        bench.thaw(kept)
        found = act(bench, 2)
        assert bench.time_s() == time_s
        for k, (one, other) in enumerate(zip(expected, found, strict=True)):
            np.testing.assert_array_equal(one, other, err_msg=f"{k}")
        assert np.array_equal(frozen(bench), afterwards)

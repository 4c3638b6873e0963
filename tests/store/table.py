"""A small simulated bench with a store of its own, and calibrations of its devices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from drivers.contract import Identity
from labctl.store import Calibration, Measured, Store

ROWS, COLUMNS = 40, 60
SENSOR_ROWS, SENSOR_COLUMNS = 30, 50
SLM = Identity(model="simulated PLUTO-NIR-011", serial="sim-slm-7", firmware="labctl")
CAMERA = Identity(model="simulated Zyla 5.5", serial="sim-camera-7", firmware="labctl")
SOURCE = Identity(model="simulated supercontinuum", serial="sim-source-7", firmware="labctl")
TOMORROW = datetime.now(UTC) + timedelta(days=1)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)

_BENCH = f"""
[bench]
name = "small"
world = "prbm"

[world]
seed = 7
noise = false
slm.rows = {ROWS}
slm.columns = {COLUMNS}
optics.bands = 4
optics.first_row = 8
camera.rows = {SENSOR_ROWS}
camera.columns = {SENSOR_COLUMNS}
camera.axis_row = 15
camera.axis_column = 25

[devices.slm]
kind = "slm"
backend = "simulated"

[devices.camera]
kind = "camera"
backend = "simulated"

[devices.source]
kind = "supercontinuum"
backend = "simulated"

[devices.sequencer]
kind = "sequencer"
slm = "slm"
camera = "camera"
"""


def write_bench(folder: Path, calibrations: str = "", more: str = "") -> Path:
    """The bench file; its calibrations lie in ``kept`` beside it."""
    path = folder / "small.toml"
    path.write_text(f'{_BENCH}\n{more}\n[calibrations]\nfolder = "kept"\n{calibrations}\n')
    return path


def store_of(bench: Path) -> Store:
    return Store(bench.parent / "kept")


def calibration(kind: str, role: str, who: Identity, values: dict[str, Measured], **changes: Any) -> Calibration:
    fields: dict[str, Any] = {"valid_until": TOMORROW, "git": {}, "devices": {role: who}} | changes
    return Calibration(kind=kind, routine=f"made-up.{kind}", bench="small", role=role, values=values, **fields)


def dark(offset: float = 100.0, **changes: Any) -> Calibration:
    values = {
        "offset_counts": Measured(np.full((SENSOR_ROWS, SENSOR_COLUMNS), offset), "counts", 0.1),
        "rate_counts_per_s": Measured(np.zeros((1, 1)), "counts/s"),
        "row": Measured(0, "px"),
        "column": Measured(0, "px"),
    }
    return calibration("dark", "camera", CAMERA, values, **changes)


def flat(**changes: Any) -> Calibration:
    values = {
        "response": Measured(np.full((SENSOR_ROWS, SENSOR_COLUMNS), 2.0)),
        "saturation_counts": Measured(60000.0, "counts"),
    }
    return calibration("flat", "camera", CAMERA, values, **changes)


def phase_table(span_turns: float = 2.0, levels: int = 256, **changes: Any) -> Calibration:
    ramp = np.arange(levels) * (2 * np.pi * span_turns / levels)
    values = {
        "row_edges": Measured(np.array([0, ROWS])),
        "column_edges": Measured(np.array([0, COLUMNS])),
        "phase_rad": Measured(ramp[None, None, :], "rad", 0.02),
    }
    return calibration("phase_table", "slm", SLM, values, **changes)


def power_curve(**changes: Any) -> Calibration:
    values = {
        "set_point": Measured([0.0, 0.5, 1.0]),
        "emitted_w": Measured([0.0, 20e-3, 55e-3], "W", 1e-4),
    }
    return calibration("power_curve", "source", SOURCE, values, **changes)

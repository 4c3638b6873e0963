"""Calibrations for tests: of a camera that does not exist, on a bench that does not exist."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from drivers.contract import Identity
from labctl.store import Calibration, Check, Measured, RunFile

CAMERA = Identity(model="Zyla 5.5", serial="VSC-01234", firmware="18.4")
MADE = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def dark(offset: float = 100.0, **changes: Any) -> Calibration:
    """A dark map of 8 x 6 pixels around ``offset``."""
    fields: dict[str, Any] = {
        "kind": "dark",
        "routine": "camera.dark",
        "bench": "table-1",
        "role": "camera",
        "devices": {"camera": CAMERA},
        "values": {
            "offset_counts": Measured(np.full((8, 6), offset), "counts", np.full((8, 6), 0.5)),
            "rate_counts_per_s": Measured(np.zeros((1, 1)), "counts/s"),
            "gain": Measured(0.45, "e", 0.004),
        },
        "conditions": {"exposure": Measured(1e-3, "s"), "temperature": Measured(273.15, "K", 0.1)},
        "made": MADE,
        "run": RunFile(path="/data/runs/2026-03-01-camera-dark.h5", sha256="5" * 64),
        "checks": (Check(name="halves agree", value=1.02, high=1.25),),
        "software": {"labctl": "0.1.0"},
        "git": {"commit": "0" * 40, "changed": "no"},
    }
    return Calibration(**(fields | changes))

"""A reduced photonic RBM's table for the mapped order, and the calibrations it stands on, made from the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.bench.load import load_bench
from labctl.client import Calibration, Measured, open_bench
from labctl.store import Store
from simulators.physics.fourier_plane import gauss_legendre
from simulators.worlds.prbm import PrbmParameters
from simulators.worlds.prbm.optics import OpticsInTime, camera_window
from simulators.worlds.prbm.truth import hidden_table

BENCH = str(Path(__file__).resolve().parents[2] / "benches" / "prbm-lab.toml")
COLUMNS, BANDS, FIRST_ROW = 320, 16, 8

# Flicker is off, since it triples the time of an exposure, and the look-up table is right: slm-phase has its own tests.
SMALL: dict[str, Any] = {
    "world.slm.rows": 2 * BANDS + 2 * FIRST_ROW,
    "world.slm.columns": COLUMNS,
    "world.beam.waist": "2.8 mm",
    "world.optics.first_row": FIRST_ROW,
    "world.optics.bands": BANDS,
    "world.optics.camera_attenuation": "60 %",
    "world.hidden.lut_error": 0,
    "world.hidden.lut_tile_error": 0,
    "world.hidden.lut_wavelength": 0,
    "world.hidden.aberration": "0.3 rad",
    "world.hidden.dust": 0,
    "world.hidden.flicker": 0,
    "world.hidden.row_slope": 0,
    "world.hidden.row_offset": 1,
    "world.hidden.spectrum": 0.05,
    "alignment.prbm.first_row": FIRST_ROW,
    "alignment.prbm.bands": BANDS,
    "alignment.prbm.centre_column": COLUMNS // 2,
    "devices.slm.base_settle": "300 ms",
    "devices.slm.settle": "300 ms",
    "bench.lease": "60 s",
}


def stand_on_truth(folder: Path, given: Mapping[str, object], bench: str = BENCH) -> PrbmParameters:
    """Put slm-phase, slm-camera and spectral-rows in force in a store, with the table's own numbers in them."""
    config = load_bench(bench, {**given, "calibrations.folder": str(folder)})
    p = config.world_parameters
    assert isinstance(p, PrbmParameters)
    truth = hidden_table(p)
    geometry, spectrum, middle = truth.geometry, truth.spectrum, p.optics.bands * p.optics.rows_per_wavelength / 2
    cos, sin = math.cos(geometry.rotation_rad), math.sin(geometry.rotation_rad)
    per_nm = p.optics.dispersion * 1e-9 / p.slm.pitch * (1 + spectrum.row_slope)
    middle_m = p.optics.wavelength_first + middle * p.slm.pitch / p.optics.dispersion
    levels = 2 * math.pi * np.arange(256) / 256
    found: dict[tuple[str, str], dict[str, Measured]] = {
        ("slm", "phase_table"): {
            "row_edges": Measured([0, p.slm.rows], "px"),
            "column_edges": Measured([0, p.slm.columns], "px"),
            "phase_rad": Measured(levels[None, None, :], "rad"),
        },
        ("camera", "slm-camera"): {
            "matrix": Measured(np.array([[cos, sin], [-sin, cos]]) / geometry.scale * p.camera.pitch, "m/px"),
            "row": Measured(float(p.camera.axis_row), "px"),
            # Where X = 0 crosses the row that the plan has.
            "column": Measured(
                p.camera.axis_column + geometry.shift_px[1] + geometry.shift_px[0] * sin / cos, "px", 0.1
            ),
        },
        ("slm", "spectral-rows"): {
            "row_middle": Measured(p.optics.first_row + middle + spectrum.row_offset, "px", 0.02),
            "wavelength_middle_m": Measured(middle_m, "m"),
            "rows_per_nm": Measured(per_nm, "1/nm"),
            "row_blur": Measured(truth.panel.crosstalk_px[0], "px", 0.01),
        },
    }
    with open_bench(config) as opened:
        identities = {role: opened[role].identity() for role in ("slm", "camera")}
    store, made = Store(folder), datetime.now(UTC)
    for (role, kind), values in found.items():
        routine = {"phase_table": "slm-phase"}.get(kind, kind)
        record = Calibration(
            kind=kind,
            routine=routine,
            bench=config.name,
            role=role,
            devices={role: identities[role]},
            values=values,
            made=made,
            valid_until=made + timedelta(days=1),
        )
        store.use(store.add(record), note="the truth")
    return p


def seen_from(p: PrbmParameters, pixel: tuple[int, int], rows: NDArray[np.int64]) -> NDArray[np.complex128]:
    """What light of each column (rows, columns) adds to the pixel's interference with the middle column: its field
    there, averaged over the pixel's width, relative to the middle's."""
    optics = OpticsInTime(p).at(0.0)
    window = camera_window(p, (0.0, 0.0), (*pixel, 1, 1))
    nodes, weights = gauss_legendre(5)
    out = np.zeros((len(rows), p.slm.columns), np.complex128)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        x = float(window.x_m[0, 0]) + 0.5 * window.width_m * node
        chosen = rows - optics.first_row
        field = optics.pupil[chosen] * np.exp(-1j * optics.kappa[chosen, None] * x * optics.panel.columns_m[None, :])
        middle = 0.5 * (field[:, p.slm.columns // 2 - 1] + field[:, p.slm.columns // 2])
        out += weight * field / middle[:, None]
    return out

"""A table that drifts makes the checks flag what no longer holds, and nothing else; one that does not, nothing.

A check errs by chance in one of 370 where nothing moved, and seldomer by what it allows besides; seeds are fixed.
"""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_camera
from slm_small import BENCH, SMALL
from test_prbm_window import SHORT as WINDOW
from test_slm_camera import SHORT as LINES
from test_slm_camera import WIDE
from test_slm_phase import SHORT as PHASE
from test_spectral_rows import SHORT as ROWS

from calibration.checks import phase, unchanged
from labctl.bench.load import load_bench
from labctl.client import CalibrationError, open_bench
from labctl.experiments.calibrate import Calibrated, calibrate
from labctl.experiments.check_up import Checked, check_bench
from labctl.experiments.report import page
from labctl.store import Store

TABLE: dict[str, Any] = {
    **SMALL,
    **WIDE,
    "world.seed": 3,
    "world.hidden.power_drift": 0,
    "world.hidden.warm_up": 0,
    "world.hidden.temperature_drift": 0,
    "world.hidden.spectrum_drift": 0,
    "devices.slm.base_settle": "300 ms",
    "devices.slm.settle": "300 ms",
}
ROUTINES: dict[str, dict[str, Any]] = {
    "laser-power": {"watch_s": 100, "integration_s": 10, "noise_samples": 64, "points": 8, "meter_step": 0},
    "slm-phase": {**PHASE, "column_tiles": 2, "steps": 12},
    "slm-camera": LINES,
    "spectral-rows": ROWS,
    "prbm-window": WINDOW,
}
WARM = {"world.hidden.temperature_drift": "1 K", "world.elapsed": "1.5 h"}
"""A room that is 0.7 to 1.4 K from what it was; each drift that follows it is then set by itself."""
STILL = {
    "world.hidden.rows_per_kelvin": 0,
    "world.hidden.phase_per_kelvin": 0,
    "world.hidden.pointing_per_kelvin": 0,
}


@cache
def _measured(folder: Path) -> Path:
    """A store with everything of the reduced table, measured once for all tests."""
    for name, given in ROUTINES.items():
        calibrate(name, BENCH, {**TABLE, **given, "calibrations.folder": str(folder)}, out=folder.parent)
    return folder


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    base = tmp_path_factory.getbasetemp() / "of checks"
    return Store(_measured(base / "kept"))


def checked(store: Store, out: Path, given: dict[str, Any]) -> dict[str, Checked]:
    assignments = {**TABLE, **given, "calibrations.folder": str(store.path)}
    return {r.name: r for r in check_bench(BENCH, list(ROUTINES), assignments, out=out)}


@pytest.mark.parametrize(
    ("drift", "affected"),
    [
        ({"world.elapsed": "5 h"}, set()),
        ({"world.elapsed": "4 h", "world.hidden.power_drift": 0.05}, {"laser-power"}),
        ({"world.elapsed": "2 h", "world.hidden.spectrum_drift": 0.15}, {"spectral-rows"}),
        (
            {**WARM, **STILL, "world.hidden.rows_per_kelvin": 3, "world.hidden.phase_per_kelvin": 0.1},
            {"spectral-rows", "slm-phase"},
        ),
        ({**WARM, **STILL, "world.hidden.pointing_per_kelvin": "2e-4 rad"}, {"slm-camera", "prbm-window"}),
    ],
    ids=["nothing", "power", "spectrum", "rows and phase", "pointing"],
)
def test_exactly_what_drifted_is_flagged(
    store: Store, tmp_path: Path, drift: dict[str, Any], affected: set[str]
) -> None:
    found = checked(store, tmp_path, drift)
    told = {name: (r.state, r.why) for name, r in found.items()}
    assert {name for name, r in found.items() if r.state == "drifted"} == affected, told
    assert {r.state for name, r in found.items() if name not in affected} == {"holds"}, told
    for name in affected:
        assert not any(v.holds for v in found[name].verdicts)
    flagged = {f.header.routine for f in store.all_in_force("prbm-lab") if f.verdict and not f.verdict.holds}
    assert flagged == affected  # the others stay valid


def test_what_was_flagged_is_refused_with_the_command_to_run(store: Store, tmp_path: Path) -> None:
    config = load_bench(BENCH, {**TABLE, "calibrations.folder": str(store.path)})
    far = {**WARM, **STILL, "world.hidden.pointing_per_kelvin": "2e-4 rad"}
    assert checked(store, tmp_path, far)["prbm-window"].state == "drifted"
    with open_bench(config) as bench, pytest.raises(CalibrationError, match="labctl calibrate prbm-window --bench"):
        bench.calibration("prbm-window")
    assert checked(store, tmp_path, {})["prbm-window"].state == "holds"  # back where it was
    with open_bench(config) as bench:
        assert bench.calibration("prbm-window").kind == "prbm-window"


def test_without_light_nothing_is_flagged(store: Store, tmp_path: Path) -> None:
    before = len(store.verdicts())
    found = checked(store, tmp_path, {"world.beam.blocked": True})
    assert {name for name, r in found.items() if r.state == "failed"} == set(ROUTINES) - {"laser-power"}
    assert "beam blocks" in found["slm-phase"].why
    assert [v.kind for v in store.verdicts()[before:]] == ["power_curve"]


def test_a_cold_source_is_allowed_what_it_lacked_before(tmp_path: Path) -> None:
    given = {
        **TABLE, "world.hidden.warm_up": 0.05, "calibrations.folder": str(tmp_path / "kept"),
        "devices.source.limits.power": {"max": "100 %"},
    }  # fmt: skip
    watch = {"watch_s": 3600, "integration_s": 60}
    calibrate("laser-power", BENCH, {**given, **ROUTINES["laser-power"], **watch}, out=tmp_path)

    def state(**more: Any) -> str:
        (found,) = check_bench(BENCH, ["laser-power"], {**given, **more}, out=tmp_path)
        return found.state

    assert state() == "holds"  # as cold as when the first watch began
    assert state(**{"world.elapsed": "2 h"}) == "holds"
    warm_and_weak = {"world.elapsed": "2 h", "world.source.density": "2.4 mW/nm"}
    assert state(**warm_and_weak) == "drifted"


@cache
def _camera(folder: Path) -> Path:
    given = {**test_camera.TABLE, **test_camera.ENOUGH_FRAMES, "dark_frames": 32, "pairs": 4}
    calibrate("camera", "prbm-sim", {**given, "calibrations.folder": str(folder)}, out=folder.parent)
    return folder


@pytest.mark.parametrize(
    ("change", "flagged"),
    [
        ({}, set()),
        ({"world.camera.offset": 101}, {"dark"}),
        ({"world.camera.electrons_per_count": 0.4536, "world.camera.read_noise": 1.75}, {"photon_transfer"}),
    ],
    ids=["nothing", "offset", "noise"],
)
def test_a_camera_that_changed_is_flagged(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, change: dict[str, Any], flagged: set[str]
) -> None:
    folder = _camera(tmp_path_factory.getbasetemp() / "of the camera" / "kept")
    given = {**test_camera.TABLE, **change, "calibrations.folder": str(folder)}
    (found,) = check_bench("prbm-sim", ["camera"], given, out=tmp_path)
    assert {v.kind for v in found.verdicts if not v.holds} == flagged, found
    assert {v.kind for v in found.verdicts} == {"dark", "photon_transfer"}


def test_another_read_out_mode_is_another_camera(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = _camera(tmp_path_factory.getbasetemp() / "of the camera" / "kept")
    given = {**test_camera.TABLE, "world.camera.electrons_per_count": 0.6, "calibrations.folder": str(folder)}
    refused = pytest.raises(CalibrationError, match=r"is unsuited: it holds while camera\.electrons_per_count")
    with open_bench("prbm-sim", given) as bench, refused, bench.control():
        pass


def test_the_report_shows_checks_and_a_picture_of_every_routine(store: Store) -> None:
    found = {name: [store.get(f.use.id) for f in store.all_in_force("prbm-lab") if f.header.routine == name]
             for name in ROUTINES}  # fmt: skip
    html = page("prbm-lab", [Calibrated(name, "valid", tuple(of_it)) for name, of_it in found.items()])
    sections = html.split("<h2 ")[1:]
    for section, (name, of_it) in zip(sections, found.items(), strict=True):
        assert section.count("data:image/png;base64,") >= 1, name
        assert all(c.checks for c in of_it)
        for check in [check for c in of_it for check in c.checks]:
            assert f'<td class="pass">pass</td><td>{escape(str(check))}' in section
    assert "source.pulse_picker = 1" in html


# --- by themselves ------------------------------------------------------------------------------------------------


def test_phases_that_grew_are_found_grown_within_the_stated_uncertainty() -> None:
    rng = np.random.default_rng(4)
    levels = np.arange(256)
    table = 2 * np.pi * (levels / 256 + 0.01 * np.sin(np.pi * levels / 256))
    high, low = (rng.integers(0, 256, 30) for _ in range(2))
    z = []
    for grown in np.linspace(-0.05, 0.05, 20):
        a, b = (1 + grown) * table[high], (1 + grown) * table[low]
        light = np.abs(np.exp(1j * a) - np.exp(1j * b) + 0.1 * np.exp(0.4j)) ** 2 + rng.normal(0, 0.02, 30)
        found, error = phase.stretch(high, low, light, table)
        z.append((found - grown) / error)
    assert sum(abs(v) < 1.96 for v in z) >= 16  # a right one is outside of more than 4 in 20 with probability 0.003


def test_a_bound_is_three_uncertainties_and_what_is_allowed() -> None:
    assert unchanged("x", 0.039, 0.01, 0.01).passed
    assert not unchanged("x", 0.041, 0.01, 0.01).passed
    assert unchanged("x", -0.059, 0.01, 0.01, below=0.02).passed
    assert not unchanged("x", float("nan"), 0.01, 0.01).passed

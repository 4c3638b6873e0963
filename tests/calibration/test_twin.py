"""The twin of an unknown table: planted truths are recovered within what is stated, its simulation gives the same."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interval_coverage import WITHIN
from slm_small import BENCH
from test_camera import ENOUGH_FRAMES
from test_camera import TABLE as CAMERA_TABLE
from test_checks import PHASE, ROUTINES, SMALL, WIDE
from test_wavefront import PRBM as WAVE_TABLE
from typer.testing import CliRunner

from calibration.twin.fit import TwinFit, fit
from labctl.bench.load import load_bench
from labctl.bench.problems import BenchFileError
from labctl.bench.write import toml
from labctl.cli.app import app
from labctl.client import Calibration, CalibrationError, ConfigurationError
from labctl.experiments.calibrate import calibrate
from labctl.experiments.execute import BENCH_KEYS
from labctl.experiments.twin import fit_twin
from labctl.store import Store
from simulators.worlds.prbm import PrbmParameters
from simulators.worlds.prbm.truth import hidden_table
from simulators.worlds.prbm.twin import PrbmTwin

TABLE: dict[str, Any] = {
    **SMALL,
    **WIDE,
    "devices.slm.base_settle": "300 ms",
    "devices.slm.settle": "300 ms",
    "devices.source.limits.power": {"max": "100 %"},
}
GIVEN: dict[str, dict[str, Any]] = {
    **ROUTINES,
    "slm-phase": PHASE,
    "laser-power": {"watch_s": 3600, "integration_s": 30, "noise_samples": 1024, "points": 8, "meter_step": 0},
}


def planted(p: PrbmParameters, key: str) -> float:
    """The truth of an unknown of `PrbmTwin`."""
    if not key.startswith("hidden.stated."):
        section, name = key.split(".")
        return float(getattr(getattr(p, section), name))
    h = hidden_table(p)
    name, *places = key.removeprefix("hidden.stated.").split(":")
    truth: Any = {
        "camera_shift": h.geometry.shift_px,
        "camera_rotation": h.geometry.rotation_rad,
        "camera_scale": h.geometry.scale,
        "row_offset": h.spectrum.row_offset,
        "row_slope": h.spectrum.row_slope,
        "spectrum": h.spectrum.shape,
        "coupling": h.spectrum.coupling,
        "power_curve": h.source.curve,
        "power_drift": h.source.drift_per_hour,
        "warm_up": h.source.warm_up,
        "nonlinearity": h.sensor.nonlinearity,
        "gain_kink": h.sensor.kink,
        "lut_bend": h.panel.lut_bend,
        "tile_gain": h.panel.lut_gain + h.panel.tile_gain,
        "wavefront": h.panel.wavefront_modes,
    }[name]
    return float(np.asarray(truth)[tuple(map(int, places))])


def parameters(given: dict[str, Any], bench: str | Path = BENCH) -> PrbmParameters:
    return PrbmParameters.model_validate(load_bench(bench, given).world_parameters)


def measured(seed: int, out: Path, names: Iterable[str] = GIVEN) -> list[Calibration]:
    """What the routines find on a reduced table of this seed; nothing is kept."""
    found: list[Calibration] = []
    for name in names:
        given = {**TABLE, **GIVEN[name], "world.seed": seed}
        found += calibrate(name, BENCH, given, out=out, dry_run=True).calibrations
    return found


def deviations(found: TwinFit, p: PrbmParameters) -> dict[str, float]:
    """(Found - planted) / stated uncertainty, of what the data determine."""
    return {f.key: (f.value - planted(p, f.key)) / f.error for f in found.fitted if f.determined}


def must_be_covered(tables: list[dict[str, float]]) -> None:
    """Of all unknowns of all tables 95 % are within their interval; four standard deviations less are an alarm.

    False alarm: below 1e-4 if they err independently; those of one table do in part.
    """
    z = np.array([v for table in tables for v in table.values()])
    least = 0.95 * len(z) - 4 * math.sqrt(0.95 * 0.05 * len(z))
    wrong = {k: round(v, 1) for table in tables for k, v in table.items() if abs(v) > WITHIN}
    assert np.count_nonzero(np.abs(z) <= WITHIN) >= least, wrong
    assert np.abs(z).max() < 6, wrong


def test_planted_truths_are_recovered_within_their_stated_uncertainties(tmp_path: Path) -> None:
    tables = []
    for seed in (300, 301):
        # What the fit begins with is another table: nothing of this one's truth is known.
        names = [name for name in GIVEN if name != "prbm-window" or seed == 300]  # it takes as long as the others
        found = fit(PrbmTwin(parameters({**TABLE, "world.seed": 7})), measured(seed, tmp_path, names))
        tables.append(deviations(found, parameters({**TABLE, "world.seed": seed})))
        assert found.chi2 < found.freedom + 5 * math.sqrt(2 * found.freedom)
    must_be_covered(tables)
    told = {key.removeprefix("hidden.stated.").split(":")[0] for table in tables for key in table}
    assert {"camera_shift", "camera_rotation", "camera_scale", "row_offset", "coupling", "power_curve", "warm_up",
            "power_drift", "lut_bend", "tile_gain", "source.density", "hidden.warm_up_time"} <= told  # fmt: skip


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_coverage_over_forty_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tables = []
    for seed in range(400, 440):
        p = parameters({**TABLE, "world.seed": seed})
        tables.append(deviations(fit(PrbmTwin(p), measured(seed, tmp_path)), p))
    with capsys.disabled():
        for key in sorted({key for table in tables for key in table}):
            z = np.array([table[key] for table in tables if key in table])
            inside = np.count_nonzero(np.abs(z) < WITHIN)
            print(f"\ntwin {key}: {inside} of {len(z)} within the 95 % interval, rms {z.std():.2f}", end="")  # noqa: T201
    must_be_covered(tables)


def test_a_camera_is_recovered_too(tmp_path: Path) -> None:
    planted_camera = {
        "world.camera.electrons_per_count": 0.52,
        "world.camera.read_noise": 1.9,
        "world.camera.offset": 123,
        "world.hidden.gain_kink": 0.02,
        "world.hidden.prnu": 0.008,
    }
    given = {**CAMERA_TABLE, **planted_camera, **ENOUGH_FRAMES, "dark_frames": 32, "pairs": 4, "flat_patterns": 8}
    calibrations = calibrate("camera", "prbm-sim", given, out=tmp_path, dry_run=True).calibrations
    found = fit(PrbmTwin(parameters(CAMERA_TABLE, "prbm-sim")), calibrations)
    p = parameters({**CAMERA_TABLE, **planted_camera}, "prbm-sim")
    z = deviations(found, p)
    assert {"camera.electrons_per_count", "camera.read_noise", "camera.offset", "hidden.stated.gain_kink"} <= z.keys()
    must_be_covered([z])
    assert ("hot_pixels", "dark_e_per_s") not in found.unexplained  # it has no uncertainty to be judged by


def test_the_bend_of_the_wave_is_recovered_too(tmp_path: Path) -> None:
    tables = []
    for seed in (300, 301):
        given = {**WAVE_TABLE, "world.seed": seed}
        calibrations = calibrate("wavefront", BENCH, given, out=tmp_path, dry_run=True).calibrations
        p = parameters({key: value for key, value in given.items() if key.startswith(BENCH_KEYS)})
        found = fit(PrbmTwin(p), calibrations)
        focus, upright = (found.values[f"hidden.stated.wavefront:{k}"] for k in range(2))
        planted_modes = hidden_table(p).panel.wavefront_modes
        # Along rows focus and astigmatism bend the wave alike: of the two only a sum shows, 2 sqrt(3) and sqrt(6).
        bend, true = (math.sqrt(2) * a + b for a, b in ((focus, upright), planted_modes[:2]))
        assert bend == pytest.approx(true, abs=0.1)
        tables.append(deviations(found, p))
    must_be_covered(tables)


# --- the file -----------------------------------------------------------------------------------------------------


@dataclass
class Unknown:
    """A table that somebody measured, and where its calibrations and runs are."""

    given: dict[str, Any]
    runs: Path


@cache
def _calibrated(folder: Path) -> Path:
    """Calibrations and runs of the table, measured once for all tests."""
    for name in ("slm-camera", "spectral-rows"):
        given = {**TABLE, **GIVEN[name], "world.seed": 11, "calibrations.folder": str(folder / "kept")}
        calibrate(name, BENCH, given, out=folder / "runs")
    return folder


@pytest.fixture
def unknown(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Unknown:
    folder = _calibrated(tmp_path_factory.getbasetemp() / "of the twin")
    shutil.copytree(folder / "kept", tmp_path / "kept")
    return Unknown({**TABLE, "world.seed": 11, "calibrations.folder": str(tmp_path / "kept")}, folder / "runs")


def test_the_twin_s_simulation_gives_what_was_found(unknown: Unknown, tmp_path: Path) -> None:
    like = {**unknown.given, "world.seed": 5}  # what its own seed draws is another table
    twin = fit_twin(BENCH, out=tmp_path / "twin.toml", assignments=like)
    config = load_bench(twin.path)
    assert config.name == "prbm-lab-twin"
    truth = hidden_table(PrbmParameters.model_validate(config.world_parameters))
    assert truth.geometry.scale == pytest.approx(twin.fit.values["hidden.stated.camera_scale"])
    for name, values in (("slm-camera", ("scale", "rotation", "column")), ("spectral-rows", ("row", "overlap"))):
        then = next(c for c in twin.calibrations if c.kind == name)
        now = calibrate(name, twin.path, GIVEN[name], out=tmp_path, dry_run=True).calibrations[0]
        for value in values:
            z = (now[value] - then[value]) / np.hypot(now.uncertainty(value), then.uncertainty(value))
            assert np.abs(z).max() < 4, (name, value, z)  # 1e-4 for each of nine numbers
        other = calibrate(name, BENCH, {**like, **GIVEN[name]}, out=tmp_path, dry_run=True).calibrations[0]
        apart = [
            np.abs((other[v] - then[v]) / np.hypot(other.uncertainty(v), then.uncertainty(v))).max() for v in values
        ]
        assert max(apart) > 5  # the table that was begun with does not


def test_runs_may_be_named_and_others_are_left_out(unknown: Unknown, tmp_path: Path) -> None:
    (run,) = unknown.runs.glob("*slm-camera.h5")
    for k, name in enumerate((str(run), run.name, run.stem)):
        twin = fit_twin(BENCH, [name], tmp_path / f"{k}.toml", unknown.given)
        assert [c.kind for c in twin.calibrations] == ["slm-camera"]
    with pytest.raises(ConfigurationError, match=r"--run nosuch: no calibration .* runs that made some: .*slm-camera"):
        fit_twin(BENCH, ["nosuch"], tmp_path / "x.toml", unknown.given)


def test_the_command_tells_what_was_fitted_and_what_does_not_fit(unknown: Unknown, tmp_path: Path) -> None:
    sets = [f"--set={k}={v}" for k, v in unknown.given.items() if not isinstance(v, dict)]
    path = tmp_path / "twin.toml"
    done = CliRunner().invoke(app, ["twin", "fit", "--bench", str(BENCH), "--to", str(path), *sets])
    assert done.exit_code == 0, done.output
    assert "hidden.stated.camera_scale" in done.output
    assert "slm-camera.scale: " in done.output
    assert "no calibration tells camera.electrons_per_count" in done.output
    assert "not explained: slm-camera.matrix" in done.output
    assert "chi^2 = " in path.read_text()
    told = json.loads(
        CliRunner().invoke(app, ["twin", "fit", "--bench", str(BENCH), "--out", f"{path}2", "--json", *sets]).output
    )
    assert {f["key"] for f in told["fitted"]} >= {"hidden.stated.camera_scale", "hidden.stated.row_offset"}
    assert all(r["fits"] for r in told["residuals"])


def test_what_no_table_explains_is_said_not_to_fit(unknown: Unknown, tmp_path: Path) -> None:
    store = Store(unknown.given["calibrations.folder"])
    before = store.in_force("prbm-lab", "camera", "slm-camera")
    assert before is not None
    # Two calibrations that contradict each other: the camera is rotated by one thing and by another.
    window = {"row": before.values["row"], "column": before.values["column"], "tilt": before.values["rotation"]}
    m = window["tilt"]
    assert m.uncertainty is not None
    moved = type(m)(m.value + 40 * m.uncertainty, m.unit, m.uncertainty)
    fields = {name: getattr(before, name) for name in ("bench", "role", "devices", "made", "software", "git")}
    odd = Calibration(kind="prbm-window", routine="prbm-window", values={"tilt": moved}, **fields)
    store.use(store.add(odd))
    twin = fit_twin(BENCH, out=tmp_path / "twin.toml", assignments=unknown.given)
    worst = {f"{r.kind}.{r.name}": abs(r.largest) for r in twin.fit.residuals}
    assert worst["prbm-window.tilt"] > 10
    assert worst["slm-camera.rotation"] > 10
    assert max(v for k, v in worst.items() if k.startswith("spectral-rows")) < 4
    # Uncertainties grow with what is left.
    rotation = next(f for f in twin.fit.fitted if f.key == "hidden.stated.camera_rotation")
    assert rotation.error > 3 * float(before.uncertainty("rotation"))


def test_bad_input_is_told(tmp_path: Path) -> None:
    given = {**TABLE, "calibrations.folder": str(tmp_path / "none")}
    with pytest.raises(CalibrationError, match="no calibrations in force"):
        fit_twin(BENCH, out=tmp_path / "twin.toml", assignments=given)
    (tmp_path / "there.toml").write_text("")
    with pytest.raises(ConfigurationError, match="the file exists and is kept"):
        fit_twin(BENCH, out=tmp_path / "there.toml", assignments=given)
    real = tmp_path / "real.toml"
    real.write_text(
        '[bench]\nname = "real"\nclock = "real"\n[devices.source]\nkind = "supercontinuum"\nbackend = "real"\n'
        'driver = "nkt_superk"\nport = "/dev/ttyUSB0"\n'
    )
    with pytest.raises(ConfigurationError, match="has no world to fit; name a bench file that has, with --like"):
        fit_twin(real, out=tmp_path / "twin.toml")
    with pytest.raises(CalibrationError, match=r"\(dark\) tells anything|no calibrations in force"):
        fit_twin(real, out=tmp_path / "twin.toml", like=BENCH)
    with pytest.raises(BenchFileError, match="spectrum"):
        load_bench(BENCH, {"world.hidden.stated.spectrum": [[0.1, 0.2]]})


def test_tables_are_written_as_toml_reads_them() -> None:
    import tomllib

    data = {
        "bench": {"name": 'a "b"\\\n\x7f', "on": True},
        "world": {"seed": 7, "beam": {"waist": "16.8 mm"}, "a b": {"x.y": [1.5, [2, 3]]}},
        "devices": {"slm": {"limits": {"power": {"max": "40 %"}}}, "empty": {}},
    }
    assert tomllib.loads(toml(data)) == data
    assert tomllib.loads(toml({"a": None, "b": 1})) == {"b": 1}
    with pytest.raises(ConfigurationError, match=r"a\.b = .* cannot be written"):
        toml({"a": {"b": object()}})

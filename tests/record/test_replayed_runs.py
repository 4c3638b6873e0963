"""Whole protocols and calibrations, from a record of a run on the bench: the same results, bit for bit."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from resumable import contents
from table import dark, flat, store_of, write_bench

from drivers.errors import ConfigurationError, ReplayError
from labctl.bench.client import open_bench
from labctl.bench.load import load_bench
from labctl.experiments.calibrate import calibrate
from labctl.experiments.execute import execute, job_of, perform
from labctl.record.bench_file import replay_bench
from labctl.record.record import Record
from labctl.record.session import recording
from labctl.server.host import rehearse


def replay_of(file: Path) -> Path:
    bench = file.with_suffix(".toml")
    bench.write_text(replay_bench(Record(file), bench))
    return bench


def assert_same(one: Path, other: Path) -> None:
    """Steps, data and results, bench time included; pictures have other names."""
    a, b = contents(one), contents(other)
    assert a.keys() == b.keys()
    for name in a:
        if name != "results/picture":
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_digits_generated_by_light_are_generated_from_the_record(tmp_path: Path) -> None:
    given = {"classes": [0, 3], "images": 2, "iterations": 2, "per_class": 50, "epochs": 2}
    file = tmp_path / "digits.record"
    job = job_of("labctl.protocols", "prbm.generate", "prbm-sim", given)
    with open_bench(job.config) as table, recording(table, file):
        was = perform(job, contextlib.nullcontext(table), 1, tmp_path / "was")
    bench = replay_of(file)
    assert rehearse(load_bench(bench))
    now = execute("labctl.protocols", "prbm.generate", bench, given, 1, tmp_path / "now")
    assert_same(was.run_file, now.run_file)
    assert now.bench_seconds == was.bench_seconds
    with pytest.raises(ReplayError, match=r"of sequencer: recorded .* differ"):
        execute("labctl.protocols", "prbm.generate", bench, given, 2, tmp_path / "other")


def test_a_calibration_is_found_again_from_the_record(tmp_path: Path) -> None:
    bench, file = write_bench(tmp_path), tmp_path / "dark.record"
    given = {"frames": 4}
    with open_bench(bench) as table, recording(table, file):
        job = job_of("labctl.calibrations", "camera.dark", bench, given)
        was = perform(job, contextlib.nullcontext(table), 3, tmp_path / "was")
    now = calibrate("camera.dark", replay_of(file), given, 3, tmp_path / "now", dry_run=True)
    assert now.outcome is not None
    assert_same(was.run_file, now.outcome.run_file)
    (found,) = now.calibrations
    assert found.devices["camera"].serial == "sim-camera-7"


def test_calibrations_in_force_come_with_the_record(tmp_path: Path) -> None:
    bench, file = write_bench(tmp_path), tmp_path / "looked.record"
    store = store_of(bench)
    for made in (dark(), flat()):
        store.use(store.add(made))
    with open_bench(bench) as table, recording(table, file), table.control():
        offset = np.array(table.calibration("dark")["offset_counts"])
        correction = table.camera.correction()
    shutil.rmtree(store.path)
    with open_bench(replay_of(file)) as table, table.control():
        np.testing.assert_array_equal(table.calibration("dark")["offset_counts"], offset)
        np.testing.assert_array_equal(table.camera.correction().response, correction.response)


def test_other_settings_in_the_bench_file_than_were_recorded_are_refused(tmp_path: Path) -> None:
    bench, file = write_bench(tmp_path), tmp_path / "x.record"
    with open_bench(bench, {"devices.camera.exposure": "5 ms"}) as table, recording(table, file):
        table.camera.identity()
    replays = replay_of(file)
    assert 'exposure = "5 ms"' in replays.read_text()
    with pytest.raises(ConfigurationError, match=r"devices.camera: exposure_s = 0.007, and .* was made with 0.005"):
        rehearse(load_bench(replays, {"devices.camera.exposure": "7 ms"}))
    with pytest.raises(ConfigurationError, match="No such file"):
        rehearse(load_bench(replays, {"devices.camera.file": "elsewhere.record"}))


def test_a_simulated_device_may_stand_beside_replayed_ones(tmp_path: Path) -> None:
    bench, file = write_bench(tmp_path), tmp_path / "x.record"
    with open_bench(bench) as table, recording(table, file), table.control():
        frame = table.camera.trigger()
    backends = {"devices.camera.backend": "replay", "devices.camera.file": str(file)}
    text = bench.read_text().replace('[devices.sequencer]\nkind = "sequencer"\nslm = "slm"\ncamera = "camera"\n', "")
    bench.write_text(text)
    with open_bench(bench, backends) as table, table.control():
        table.slm.write(np.zeros((40, 60)))
        np.testing.assert_array_equal(table.camera.trigger().data, frame.data)

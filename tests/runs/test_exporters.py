"""Runs in other formats: read back with the libraries of those who use them, they say what the run file says."""

from __future__ import annotations

import csv
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import event_model
import folders
import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from drivers.errors import ConfigurationError
from labctl.experiments.recorder import Recorder
from labctl.runs.data import RunData
from labctl.runs.export import export, formats

_BENCH = '[devices.camera]\nkind = "camera"\n[devices.slm]\nkind = "slm"\n'
_FRAMES = np.arange(3 * 40 * 30, dtype=np.uint16).reshape(3, 40, 30)
_POWERS = np.array([1e-3, np.nan, 0.1 + 0.2])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A run with numbers, lists, frames, complex numbers, and results of every kind."""
    with Recorder("t.exported", tmp_path_factory.mktemp("made"), 11) as record:
        record.setup(
            bench="small", bench_file=_BENCH, group="labctl.protocols", given="{}", fingerprint="f" * 16,
            parameters={"size": 3, "exposure_s": 0.01}, calibrations={"camera.dark": "a" * 64},
            devices={"camera": {"model": "Zyla", "serial": "1", "firmware": "2"}, "slm": {"model": "PLUTO"}},
        )  # fmt: skip
        record.save("W", np.linspace(-1, 1, 64).reshape(8, 8))
        record.save("counts", np.array([1, 2, 3]))
        record.picture("own").write_bytes(b"\x89PNG")
        for step in record.steps(3, "measuring"):
            step.save(
                power_w=_POWERS[step.index], spins=np.array([-1, 1], np.int8), frame=_FRAMES[step.index],
                field=np.array([1 + 2j, step.index * 1j]), many=np.arange(1200.0).reshape(2, 600),
            )  # fmt: skip
        record.finish({"mean_w": 0.5, "n": 3, "word": "calm", "table": {"a.b": [1, 2]}, "curve": np.arange(4.0)})
    return RunData(record.path)


def _documents(path: Path) -> list[tuple[str, dict[str, Any]]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["name"], line["doc"]) for line in lines]


def test_every_format_is_found_and_described() -> None:
    assert {"bluesky", "csv", "images", "nexus", "npz", "ome-tiff"} <= formats().keys()
    assert all(formats().values())


def test_documents_are_those_of_the_event_model_and_tell_all_steps(run: RunData, tmp_path: Path) -> None:
    documents = _documents(export(run, "bluesky", tmp_path).files[0])
    for name, document in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(document)
    assert [name for name, _ in documents] == [
        "start", "descriptor", "stream_resource", "stream_datum", "stream_resource", "stream_datum",
        *["event"] * 3, "descriptor", "event", "descriptor", "event", "stop",
    ]  # fmt: skip
    start, stop = documents[0][1], documents[-1][1]
    assert (start["plan_name"], start["labctl"]["seed"], stop["exit_status"]) == ("t.exported", 11, "success")
    assert stop["num_events"] == {"primary": 3, "data": 1, "results": 1}
    keys = documents[1][1]["data_keys"]
    assert (keys["power_w"]["units"], keys["frame"]["external"]) == ("W", "STREAM:")
    events = [document for name, document in documents if name == "event"]
    assert [event["data"]["power_w"] for event in events[:3]] == [1e-3, None, 0.1 + 0.2]
    assert events[2]["data"]["field_imag"] == [2.0, 2.0]
    assert events[4]["data"]["mean_w"] == 0.5
    with h5py.File(run.path, locking=False) as file:
        assert [event["time"] for event in events[:3]] == list(file["step_times"])
    assert json.loads(events[4]["data"]["table"]) == {"a.b": [1, 2]}


def test_documents_lead_to_frames_in_the_run_file(run: RunData, tmp_path: Path) -> None:
    documents = _documents(export(run, "bluesky", tmp_path).files[0])
    resource = next(d for n, d in documents if n == "stream_resource" and d["data_key"] == "frame")
    datum = next(d for n, d in documents if n == "stream_datum" and d["stream_resource"] == resource["uid"])
    with h5py.File(resource["uri"].removeprefix("file://localhost"), locking=False) as file:
        frames = file[resource["parameters"]["dataset"]][datum["indices"]["start"] : datum["indices"]["stop"]]
    np.testing.assert_array_equal(frames, _FRAMES)
    assert (resource["parameters"]["join_method"], resource["parameters"]["chunk_shape"]) == ("stack", [1, 40, 30])


def test_of_a_run_that_was_killed_the_documents_end_in_an_abort(tmp_path: Path) -> None:
    path = folders.killed(tmp_path)
    documents = _documents(export(RunData(path), "bluesky").files[0])
    assert (documents[-1][0], documents[-1][1]["exit_status"]) == ("stop", "abort")


def test_nexus_has_classes_signals_axes_units_and_devices(run: RunData, tmp_path: Path) -> None:
    (path,) = export(run, "nexus", tmp_path).files
    with h5py.File(path) as file:
        entry = file[file.attrs["default"]]
        assert (file.attrs["NX_class"], entry.attrs["NX_class"]) == ("NXroot", "NXentry")
        shown = entry[entry.attrs["default"]]
        assert shown.attrs["NX_class"] == "NXdata"
        power = entry["series_power_w"]
        signal = power[power.attrs["signal"]]
        assert (signal.attrs["units"], list(power.attrs["axes"])) == ("W", ["step"])
        np.testing.assert_array_equal(signal, _POWERS)
        np.testing.assert_array_equal(entry["series_frame/data"], _FRAMES)
        time = entry["series_frame/time"]
        assert (time.attrs["units"], entry["series_frame"].attrs["time_indices"]) == ("s", 0)
        assert file[time.attrs["target"]] == time
        begun_s = datetime.fromisoformat(time.attrs["start"]).timestamp()
        np.testing.assert_allclose(begun_s + time[()], run.step_times(), rtol=0, atol=2e-6)
        np.testing.assert_array_equal(entry["array_W/data"], run.data("W"))
        assert entry["instrument/camera"].attrs["NX_class"] == "NXdetector"
        assert entry["instrument/camera/fabrication/model"].asstr()[()] == "Zyla"
        assert (entry["parameters/exposure_s"][()], entry["parameters/exposure_s"].attrs["units"]) == (0.01, "s")
        assert entry["bench_file/data"].asstr()[()] == _BENCH


def test_npz_has_every_array_without_pickles(run: RunData, tmp_path: Path) -> None:
    (path,) = export(run, "npz", tmp_path).files
    with np.load(path, allow_pickle=False) as found:
        np.testing.assert_array_equal(found["steps/field"], run.series("field"))
        np.testing.assert_array_equal(found["step_times"], run.step_times())
        np.testing.assert_array_equal(found["data/W"], run.data("W"))
        np.testing.assert_array_equal(found["results/curve"], np.arange(4.0))
        assert json.loads(str(found["run"]))["results"]["table"] == {"a.b": [1, 2]}


def test_tables_are_read_back_as_the_same_numbers(run: RunData, tmp_path: Path) -> None:
    done = export(run, "csv", tmp_path)
    with open(tmp_path / f"{run.name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_array_equal([float(row["power_w"]) for row in rows], _POWERS)
    np.testing.assert_array_equal([float(row["step_time_s"]) for row in rows], run.step_times())
    assert complex(rows[2]["field[1]"]) == 2j
    assert done.left_out.keys() == {"frame", "many"}
    with open(tmp_path / f"{run.name}-results.csv", newline="") as file:
        assert ["mean_w", "0.5", "W"] in list(csv.reader(file))
    np.testing.assert_array_equal(np.loadtxt(tmp_path / f"{run.name}-W.csv", delimiter=","), run.data("W"))


def test_images_keep_counts_and_say_how_others_were_scaled(run: RunData, tmp_path: Path) -> None:
    (folder,) = export(run, "images", tmp_path).files
    assert (folder / f"{run.name}-own.png").exists()
    with Image.open(folder / "steps-frame-00002.png") as image:
        np.testing.assert_array_equal(np.asarray(image), _FRAMES[2])
    with Image.open(folder / "data-W-00000.png") as image:
        low, high = float(image.text["black"]), float(image.text["white"])
        back = low + np.asarray(image) * (high - low) / 65535
    np.testing.assert_allclose(back, run.data("W"), atol=2 / 65535)


def test_stacks_are_exact_in_ome_tiff(run: RunData, tmp_path: Path) -> None:
    export(run, "ome-tiff", tmp_path)
    with tifffile.TiffFile(tmp_path / f"{run.name}-steps-frame.ome.tif") as file:
        assert file.is_ome
        assert 'SizeT="3"' in file.ome_metadata
        np.testing.assert_array_equal(file.asarray(), _FRAMES)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / f"{run.name}-data-W.ome.tif"), run.data("W"))


def test_whole_numbers_of_64_bits_are_narrowed_only_if_they_stay_exact(tmp_path: Path) -> None:
    small, large = np.arange(25).reshape(5, 5), np.full((5, 5), (1 << 53) + 1)
    with Recorder("t.wide", tmp_path, 0) as record:
        record.save("small", small)
        record.save("large", large)
        record.finish({})
    done = export(RunData(record.path), "ome-tiff")
    assert [path.name for path in done.files] == [f"{record.path.stem}-data-small.ome.tif"]
    assert done.left_out.keys() == {"data-large"}
    found = tifffile.imread(done.files[0])
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, small)


@pytest.mark.parametrize(("form", "module"), [("bluesky", "event_model"), ("ome-tiff", "tifffile")])
def test_a_library_that_is_missing_is_named_and_nothing_left_behind(
    run: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=r"labctl\[export\]"):
        export(run, form, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_with_nothing_to_export_an_unknown_format_and_files_that_are_there_are_told(tmp_path: Path) -> None:
    with Recorder("t.bare", tmp_path, 0) as record:
        record.finish({"mean": 1.0})
    bare = RunData(record.path)
    for form in ("images", "ome-tiff"):
        with pytest.raises(ConfigurationError, match=f"nothing to export as {form}"):
            export(bare, form)
    with pytest.raises(ConfigurationError, match='did you mean "nexus"'):
        export(bare, "nexis")
    (path,) = export(bare, "nexus").files
    kept = path.read_bytes()
    with pytest.raises(ConfigurationError, match="--replace"):
        export(bare, "nexus")
    assert path.read_bytes() == kept
    export(bare, "nexus", replace=True)
    assert sorted(p.suffix for p in tmp_path.iterdir() if "catalogue" not in p.name) == [".h5", ".nxs"]

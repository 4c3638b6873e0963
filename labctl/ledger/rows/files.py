"""Files are spoilt: a run file, the catalogue, a calibration. What is damaged is said; nothing else is harmed."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np

from drivers.errors import CalibrationError, ConfigurationError
from labctl.bench.client import open_bench
from labctl.ledger.benches import SIMULATED
from labctl.ledger.command import done, run_file, values
from labctl.ledger.rail import emulated
from labctl.ledger.row import Bench, Row, Trial, refused
from labctl.runfile.catalogue import Catalogue
from labctl.runfile.file import open_run
from labctl.store import Calibration, Measured, Store

_WORLD = """
[world]
detector.tap_range = "2 W"
slm = { rows = 24, columns = 48 }
optics = { first_row = 3, bands = 6, dispersion = 3e3 }
camera = { rows = 40, columns = 64, axis_row = 20, axis_column = 30 }
"""
_BENCH = f"""
[bench]
name = "ledger-files"
world = "rail"
{_WORLD}
{SIMULATED}
"""
_EMULATED_CAMERA = f"""
[bench]
name = "ledger-camera"
world = "rail"
clock = "real"
{_WORLD}
[devices.camera]
kind = "camera"
backend = "emulated"
driver = "andor_sdk3"
"""


class _HasABench(Protocol):
    bench_file: Path


class Desk:
    """A bench that scripts serve for themselves, in virtual time."""

    def __init__(self, folder: Path) -> None:
        self.bench_file = folder / "files.toml"
        self.bench_file.write_text(_BENCH, encoding="utf-8")

    def set_up(self) -> None:
        """Nothing is up."""


@contextlib.contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    yield Desk(folder)


def _measure(bench_file: Path, out: Path) -> None:
    values("run", "bench.series", "--bench", str(bench_file), "--out", str(out), "camera=camera", "count=20")


def _runs(stage: _HasABench, folder: Path) -> Path:
    """A folder with one run in it, to be spoilt: a copy."""
    first = stage.bench_file.parent / "first"
    if not first.is_dir():
        _measure(stage.bench_file, first)
    copy = folder / "runs"
    shutil.copytree(first, copy)
    return copy


def _listed(out: Path) -> list[dict[str, object]]:
    said = done("runs", "list", "--out", str(out), "--json")  # a catalogue that was made anew is told of below it
    found: list[dict[str, object]] = json.loads(said.splitlines()[0])["runs"]
    return found


def _truncated(stage: _HasABench, trial: Trial) -> None:
    runs = _runs(stage, trial.folder)
    whole = run_file(runs)
    cut = whole.with_name(f"cut-{whole.name}")
    data = whole.read_bytes()
    cut.write_bytes(data[: trial.dice.randrange(len(data))])
    try:
        with open_run(cut) as file:
            list(file)
    except ConfigurationError as error:
        told = str(error)
        if cut.name not in told:
            raise AssertionError(f"it does not name the file: {told}") from error
    names = {str(run["file"]): run for run in _listed(runs)}
    assert whole.name in names, f"the whole one is not listed: {names}"
    assert names[whole.name]["status"] == "complete", names[whole.name]
    assert cut.name in names, f"the cut one is not listed: {names}"
    assert cut.read_bytes() == data[: cut.stat().st_size], "it was changed"


def _catalogue(runs: Path) -> Path:
    found = [path for path in runs.iterdir() if path.suffix == ".sqlite"]
    assert len(found) == 1, f"catalogues: {found}"
    return found[0]


def _locked(stage: _HasABench, trial: Trial) -> None:
    runs = _runs(stage, trial.folder)
    with contextlib.closing(sqlite3.connect(_catalogue(runs), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        _measure(stage.bench_file, runs)
        assert len(_listed(runs)) == 2
        other.execute("ROLLBACK")
    assert len(_listed(runs)) == 2


def _corrupted(stage: _HasABench, trial: Trial) -> None:
    runs = _runs(stage, trial.folder)
    place = _catalogue(runs)
    data = bytearray(place.read_bytes())
    for _ in range(64):
        data[trial.dice.randrange(len(data))] ^= 1 << trial.dice.randrange(8)
    place.write_bytes(data)
    _measure(stage.bench_file, runs)
    assert [run["status"] for run in _listed(runs)] == ["complete", "complete"]
    for file in runs.glob("catalogue*"):
        file.unlink()
    assert len(_listed(runs)) == 2, "not rebuilt from the run files"
    assert Catalogue(runs).runs()


def _calibration(stage: _HasABench, trial: Trial) -> None:
    store = Store(trial.folder / "store")
    text, name = (_BENCH, "ledger-files") if isinstance(stage, Desk) else (_EMULATED_CAMERA, "ledger-camera")
    bench_file = trial.folder / "files.toml"
    with open_bench(stage.bench_file) as bench:  # its camera is the same: there is one on the table
        camera = bench.camera.identity()
    kept = store.add(
        Calibration(
            kind="dark", routine="camera.dark", bench=name, role="camera", devices={"camera": camera},
            values={
                "offset_counts": Measured(np.full((40, 64), 100.0), "counts", np.full((40, 64), 0.5)),
                "rate_counts_per_s": Measured(np.zeros((1, 1)), "counts/s"),
                "gain": Measured(0.45, "e", 0.004),
            },
            made=datetime.now(UTC),
        )
    )  # fmt: skip
    store.use(kept)
    file = next(store.path.rglob(f"{kept}.h5"))
    data = bytearray(file.read_bytes())
    data[trial.dice.randrange(len(data))] ^= 1 << trial.dice.randrange(8)
    file.chmod(0o600)
    file.write_bytes(data)
    bench_file.write_text(text + f'[calibrations]\nfolder = "{store.path}"\n', encoding="utf-8")

    def control() -> None:
        with open_bench(bench_file) as bench, bench.control("ledger"):
            pass

    told = refused(CalibrationError, control)
    assert kept[:12] in told or file.name in told, told


_BENCHES = (Bench("simulated", desk), Bench("emulated", emulated))
ROWS = [
    Row("run file truncated", "its reader", "opened as far as it is whole, or an error that names it; other runs are "
        "listed", _BENCHES, _truncated),
    Row("catalogue of runs locked", "a time-out of its own", "runs go on, and are listed", _BENCHES, _locked),
    Row("catalogue of runs corrupted", "its check sums", "made anew from the run files", _BENCHES, _corrupted),
    Row("calibration file corrupted", "its hash", "refused before there is light; the error names it", _BENCHES,
        _calibration),
]  # fmt: skip

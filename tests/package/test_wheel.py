"""What a built wheel carries, and what it leaves at home."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> list[str]:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(repository)],
        check=True,
        capture_output=True,
        timeout=240,
    )
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_wheel_carries_the_bench_files(names: list[str]) -> None:
    assert "labctl/benches/prbm-sim.toml" in names


def test_wheel_carries_every_room(names: list[str]) -> None:
    for room in ("labctl", "drivers", "simulators", "protocols", "calibration"):
        assert f"{room}/__init__.py" in names


def test_wheel_carries_neither_tests_nor_benchmarks(names: list[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert not tops & {"tests", "benchmarks", "examples", "docs"}

"""A driver, a protocol and a world of one's own: installed as a user would, each in a file that is read in a minute."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OWN = Path(__file__).resolve().parents[2] / "examples" / "own"
LABCTL = str(Path(sys.executable).with_name("labctl"))

_CONFORMS = """
from labctl.conformance.runner import run_cases
from labctl.conformance.stand import cases

near = [c for c in cases("own_meter") if c.backend == "emulated" and c.layout == "in process"]
results = run_cases(near)
print(len(results), [f"{r.check}: {r.broken}" for r in results if r.broken])
"""

_FRINGES = """
import sys
import numpy as np
import labctl
from labctl.client import ROI

with labctl.open_bench(sys.argv[1], control="fringes") as bench:
    bench.camera.roi = ROI(row=100, column=200, rows=8, columns=256)
    bench.camera.exposure_s = 1e-3
    bench.source.power_fraction = 0.1
    bench.source.emission = True
    seen = []
    for phase in 2 * np.pi * np.arange(4) / 4:
        bench.slm.write(np.full((bench.slm.rows, bench.slm.columns), phase))
        seen.append(bench.camera.snap().data.astype(float).mean(axis=0) - 100)
a, b, c, d = seen
found = np.unwrap(np.arctan2(d - b, a - c))
print(np.polyfit(np.arange(256), found, 1)[0], np.hypot(a - c, b - d).mean() / (2 * np.mean(seen)))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of programs that find the parts by their entry points."""
    site = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
         "--no-build-isolation", "--target", str(site), str(OWN)],
        check=True, capture_output=True, timeout=240,
    )  # fmt: skip
    return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}


def _run(environment: dict[str, str], folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, cwd=folder, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _linearity(environment: dict[str, str], folder: Path, bench: str) -> dict[str, Any]:
    told = _run(environment, folder, LABCTL, "run", "own.linearity", "--bench", str(OWN / bench), "--json", "points=4")
    values: dict[str, Any] = json.loads(told)["values"]
    return values


@pytest.mark.parametrize("name", ["own_meter.py", "own_protocol.py", "own_world.py"])
def test_a_part_has_less_than_80_lines(name: str) -> None:
    assert len((OWN / name).read_text(encoding="utf-8").splitlines()) < 80


def test_the_protocol_finds_the_same_line_simulated_and_through_real_drivers(
    environment: dict[str, str], tmp_path: Path
) -> None:
    simulated = _linearity(environment, tmp_path, "own-sim.toml")
    emulated = _linearity(environment, tmp_path, "own-emulated.toml")
    # The meter's ranges jump by 0.2 %; the line is that of one optical table.
    assert emulated["slope_w"] == pytest.approx(simulated["slope_w"], rel=5e-3)
    assert simulated["worst"] < 5  # of 4 points; false alarm 2e-6


def test_the_world_serves_a_bench_on_which_phase_steps_find_its_tilt(
    environment: dict[str, str], tmp_path: Path
) -> None:
    told = _run(environment, tmp_path, sys.executable, "-c", _FRINGES, str(OWN / "own-sim.toml"))
    tilt, contrast = map(float, told.split())
    assert tilt == pytest.approx(0.05, abs=2e-3)
    assert contrast == pytest.approx(0.9, abs=0.05)


def test_the_driver_keeps_the_promises_of_its_kind(environment: dict[str, str], tmp_path: Path) -> None:
    assert _run(environment, tmp_path, sys.executable, "-c", _CONFORMS).strip() == "24 []"


@pytest.mark.soak
def test_the_driver_passes_the_suite_by_the_command_and_the_suite_finds_a_broken_meter(
    environment: dict[str, str], tmp_path: Path
) -> None:
    told = _run(environment, tmp_path, LABCTL, "conformance", "own_meter")
    assert "own_meter, emulated, in process: 24 of 24 checks passed" in told
    assert "own_meter, emulated, over ipc: 24 of 24 checks passed" in told
    for mutation in ("scale", "stale", "dark", "late", "ignore-setpoint"):
        command = [LABCTL, "conformance", "own_meter", "--mutate", mutation]
        assert subprocess.run(command, cwd=tmp_path, env={**os.environ, **environment}, timeout=240).returncode == 1

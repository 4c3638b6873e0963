"""The examples run as they are given, in a fresh folder."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs_and_prints_what_it_found(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, timeout=240, check=True, cwd=tmp_path
    )
    assert done.stdout.strip()
    if example.stem == "calibration_session":
        told = done.stdout
        assert "source.power_curve" in told
        assert "camera.dark: holds" in told
        assert "refused on another table" in told


def test_first_light_finds_the_first_order_where_the_grating_sends_it(capsys: pytest.CaptureFixture[str]) -> None:
    module = runpy.run_path(str(next(e for e in EXAMPLES if e.stem == "first_light")))
    module["main"]()
    flat, grating = capsys.readouterr().out.splitlines()
    assert "column 1280," in flat
    # lambda f / (32 pixels of 8 um) is 72 camera pixels at 600 nm
    assert any(f"column {c}," in grating for c in (1280 - 72, 1280 + 72, 1280 - 73, 1280 + 73, 1280 - 71, 1280 + 71))

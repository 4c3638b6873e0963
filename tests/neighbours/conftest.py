"""A small simulated table that neighbours use."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCH = """
[bench]
name = "neighbour"
world = "rail"
clock = "virtual"
lease = "5 s"

[devices.slm]
kind = "slm"
backend = "simulated"

[devices.camera]
kind = "camera"
backend = "simulated"
exposure = "5 ms"
roi = { row = 1000, column = 1200, rows = 16, columns = 24 }

[devices.pump]
kind = "pump"
backend = "simulated"
power = "1 W"
limits.power = { max = "5 W" }

[devices.meter]
kind = "photodetector"
backend = "simulated"
port = "tap"
integration = "5 ms"
"""


@pytest.fixture
def bench_file(tmp_path: Path) -> Path:
    file = tmp_path / "neighbour.toml"
    file.write_text(BENCH, encoding="utf-8")
    return file

"""Figures that slow a simulated pump down tell what to choose on a table that has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.client import ConfigurationError
from labctl.experiments.execute import job_of

REAL = """
[bench]
name = "real"
clock = "real"

[devices.pump]
kind = "pump"
backend = "real"
driver = "coherent_obis"
resource = "ASRL/dev/ttyUSB0::INSTR"
"""


@pytest.mark.parametrize("name", ["dyad.noise", "dyad.diffuse", "dyad.cost"])
def test_a_bench_without_a_simulated_pump_is_told_what_to_choose(tmp_path: Path, name: str) -> None:
    bench = tmp_path / "real.toml"
    bench.write_text(REAL)
    with pytest.raises(ConfigurationError, match=r"choose pulses_hz=null"):
        job_of("labctl.figures", name, bench, {})
    assert job_of("labctl.figures", name, bench, {"pulses_hz": None}).config.overrides == {}

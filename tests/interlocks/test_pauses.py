"""A run whose bench file says so waits at a tripped interlock, and measures again what it was measuring."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from drill import drill_file

from drivers.errors import InterlockError
from labctl.bench.load import load_bench
from labctl.client import Bench, Parameters, Protocol, Recorder, open_bench, open_run
from labctl.experiments.execute import Job, perform

RULES = """
[interlocks.tap]
rule = "reading"
device = "meter"
max = "15 mW"
within = "5 s"
"""
WAITS = """
[recovery]
acknowledge_within = "20 s"
"""
READINGS = 6


class Measures(Protocol):
    """Readings in steady light; whoever is asked acknowledges a trip after a while."""

    Parameters = Parameters

    def run(self, bench: Bench, parameters: Any, record: Recorder) -> dict[str, Any]:
        bench.pump.power_w = 1.0
        bench.pump.emission = True
        other = threading.Timer(1.0, bench.acknowledge, ["tap", "looked at"])
        other.start()
        try:
            for step in record.steps(READINGS, "readings"):
                step.save(power_w=bench.meter.measure().power_w)
        except InterlockError:
            other.cancel()
            raise
        finally:
            other.join()
        return {"lit": bool(bench.pump.emission)}


def measured(folder: Path, more: str, servers: str) -> Any:
    """A reading far too large comes in the middle of the run; rules look at a few before."""
    file = drill_file(folder, RULES + more, servers=servers)
    config = load_bench(file, {"world.faults": ["saturated meter 4"]})
    return perform(Job("measures", Measures(), Parameters(), config, {}), open_bench(config), 0, folder)


def test_a_run_waits_and_goes_on_with_light(tmp_path: Path) -> None:
    found = measured(tmp_path, WAITS, "")
    assert found.values["lit"] is True
    assert found.values["recoveries"] == {"interlock tap waited for": 1}
    with open_run(found.run_file) as run:
        powers = run["steps/power_w"][()]
        assert json.loads(run.attrs["recoveries"]) == {"interlock tap waited for": 1}
        assert json.loads(run.attrs["interlocks"]) == {"tap": 1}
    assert len(powers) == READINGS
    assert powers == pytest.approx(0.01, rel=0.05)  # none in the dark, none of the trip


def test_else_it_ends(tmp_path: Path) -> None:
    with pytest.raises(InterlockError, match="tap"):
        measured(tmp_path, "", "")

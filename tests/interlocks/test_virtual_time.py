"""In virtual time rules are looked at after calls, by bench time: a run does not depend on the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drill import APART, drill_file, lit, served, state_of

from drivers.errors import InterlockError
from labctl.client import ROI
from labctl.safety.record import folder

RULES = """
[interlocks.tap]
rule = "reading"
device = "meter"
max = "{max}"
within = "0.4 s"
[interlocks.told]
rule = "read-back"
[interlocks.eye]
rule = "camera"
device = "camera"
[interlocks.dose]
rule = "dose"
per = "session"
limit = "100 J"
"""

ONE = ""


def measured(path: Path, clutter: bool) -> list[Any]:
    """What a control loop sees. clutter: while somebody else looks on all the time."""
    with served(path) as (bench, _), bench.control():
        bench.camera.roi = ROI(row=0, column=0, rows=8, columns=8)
        lit(bench)
        frames = []
        for _ in range(12):
            if clutter:
                bench.status()
                bench.interlocks()
            bench.slm.write(np.zeros((8, 8)))
            frames.append(bench.camera.trigger())
        found = [(f.data.tolist(), f.start_ns) for f in frames]
        return [*found, bench.meter.measure().reading_id, bench.time_s(), state_of(bench, "dose")["dose_j"]]


@pytest.mark.parametrize("servers", [ONE, APART], ids=["one server", "three servers"])
def test_runs_with_interlocks_are_the_same_bit_for_bit(tmp_path: Path, servers: str) -> None:
    path = drill_file(tmp_path, RULES.format(max="15 mW"), servers=servers, clock="virtual")
    first = measured(path, clutter=False)
    assert measured(path, clutter=True) == first
    assert first[-3] > 1  # the meter was asked now and then


@pytest.mark.parametrize("servers", [ONE, APART], ids=["one server", "three servers"])
def test_a_rule_trips_at_the_end_of_the_call_that_breaks_it(tmp_path: Path, servers: str) -> None:
    path = drill_file(tmp_path, RULES.format(max="15 mW"), servers=servers, clock="virtual")
    told = []
    for _ in range(2):
        with served(path) as (bench, host), bench.control():
            lit(bench)
            with pytest.raises(InterlockError, match="meter reads") as raised:
                bench.pump.power_w = 2.0
            told.append((str(raised.value).split("UTC")[1], bench.time_s()))
            assert not host.devices["pump"].emission
            with pytest.raises(InterlockError, match="tripped"):
                bench.pump.emission = True
            bench.pump.power_w = 1.0
            bench.acknowledge()
            bench.pump.emission = True
    assert told[0] == told[1]


def test_a_simulated_table_in_virtual_time_leaves_nothing_on_disk(tmp_path: Path) -> None:
    path = drill_file(tmp_path, RULES.format(max="5 mW"), clock="virtual")
    with served(path) as (bench, _), bench.control():
        with pytest.raises(InterlockError, match="tripped"):
            lit(bench)
        assert state_of(bench, "tap")["tripped"]
    assert list(folder().iterdir()) == []


def test_a_ramp_takes_bench_time(tmp_path: Path) -> None:
    rules = '[interlocks.slow]\nrule = "ramp"\nrate = "0.1 W/s"\n'
    with served(drill_file(tmp_path, rules, clock="virtual")) as (bench, _), bench.control():
        lit(bench)
        begun = bench.time_s()
        bench.pump.power_w = 2.0
        assert bench.time_s() - begun == pytest.approx(10.0)

"""Interlocks of a bench that is up, on emulated instruments that fail, and with a server that is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drill import state_of, told_of_trip

from drivers.errors import InterlockError, LabError
from labctl.bench.client import Bench, open_bench
from labctl.bench.load import load_bench
from labctl.cli.app import app
from labctl.server.supervisor import Supervisor, supervised

BENCH = """
[bench]
name = "emulated-drill"
world = "rail"
clock = "real"
lease = "20 s"

[devices.slm]
kind = "slm"
backend = "simulated"

[devices.pump]
kind = "pump"
backend = "emulated"
driver = "sprout"
settle = "0.1 s"
timeout = "0.3 s"
power = "1 W"

[devices.source]
kind = "supercontinuum"
backend = "emulated"
driver = "nkt_superk"
timeout = "0.3 s"
power = "10 %"

[devices.meter]
kind = "photodetector"
backend = "emulated"
driver = "thorlabs_pm100"
timeout = "0.3 s"

[servers.pumps]
devices = ["pump"]
[servers.sources]
devices = ["source"]
[servers.meters]
devices = ["meter"]
[servers.panels]
devices = ["slm"]

[interlocks.key]
rule = "armed"

[interlocks.pump-told]
rule = "read-back"
guards = ["pump"]
monitor = "output_power"
tolerance = "10 %"
after = "1 s"

[interlocks.source-told]
rule = "read-back"
guards = ["source"]

[interlocks.tap]
rule = "reading"
device = "meter"
within = "2 s"
"""


@pytest.fixture(scope="module")
def up() -> Iterator[tuple[Path, Supervisor]]:
    """The bench, served by processes of its own."""
    with tempfile.TemporaryDirectory(prefix="labctl-test-") as folder, pytest.MonkeyPatch.context() as patch:
        for variable in ("LABCTL_RUNTIME", "LABCTL_LOGS", "LABCTL_INTERLOCKS"):
            patch.setenv(variable, f"{folder}/{variable[7:10]}")
        path = Path(folder, "drill.toml")
        path.write_text(BENCH, encoding="utf-8")
        ended = threading.Event()
        with supervised(load_bench(path)) as supervisor:
            watching = threading.Thread(target=supervisor.watch, args=(ended.is_set,))
            watching.start()
            yield path, supervisor
            ended.set()
            watching.join()


@pytest.fixture
def bench(up: tuple[Path, Supervisor], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """With both lasers lit, and its instruments whole again afterwards."""
    path, supervisor = up
    for variable in ("LABCTL_RUNTIME", "LABCTL_LOGS", "LABCTL_INTERLOCKS"):
        monkeypatch.setenv(variable, f"{path.parent}/{variable[7:10]}")
    with open_bench(path) as made, made.control("drill"):
        made.arm()
        for laser in (made.pump, made.source):
            laser.emission = True
        yield made
        for device in ("pump", "source", "meter"):
            supervisor.strike(device)
        acknowledged(made)


def acknowledged(bench: Bench) -> None:
    """As soon as the cause is gone."""
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(InterlockError):
            bench.acknowledge()
            return
        assert time.monotonic() < deadline, bench.interlocks()
        time.sleep(0.1)


def test_a_laser_whose_own_interlock_opens_trips_its_own(bench: Bench, up: tuple[Path, Supervisor]) -> None:
    up[1].strike("pump", fault="interlock-open")
    assert "interlock pump-told (read-back) tripped" in told_of_trip(bench)
    assert bench.source.emission  # which that interlock does not guard
    with pytest.raises(InterlockError, match="pump-told"):
        bench.pump.emission = True


def test_a_laser_that_says_nothing_any_more_is_not_known(bench: Bench, up: tuple[Path, Supervisor]) -> None:
    up[1].strike("source", fault="mute")
    assert "interlock source-told (read-back) tripped" in told_of_trip(bench)


def test_a_dead_detector_turns_off_every_laser(bench: Bench, up: tuple[Path, Supervisor]) -> None:
    up[1].strike("meter", fault="mute")
    told = told_of_trip(bench)
    assert "interlock tap (reading) tripped" in told
    assert "meter was last seen" in told
    assert not bench.pump.emission
    assert not bench.source.emission


def test_a_server_that_is_killed_comes_back_dark_disarmed_and_tripped(
    bench: Bench, up: tuple[Path, Supervisor], capsys: pytest.CaptureFixture[str]
) -> None:
    up[1].strike("pump", fault="interlock-open")
    told_of_trip(bench)
    before = bench.status()["pumps"]
    os.kill(before["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(LabError):
            after = bench.status()["pumps"]
            if after["pid"] != before["pid"] and "pump" in after["devices"]:
                break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    up[1].strike("pump")
    assert state_of(bench, "pump-told")["tripped"]
    assert state_of(bench, "key")["state"] == "not armed"
    with pytest.raises(SystemExit) as done:
        app(["ack", "emulated-drill", "--interlock", "pump-told", "--reason", "closed again"])
    assert done.value.code == 0, capsys.readouterr()
    assert not state_of(bench, "pump-told")["tripped"]


def test_light_in_time_is_what_it_was_told_to_be(bench: Bench) -> None:
    for power_w in (0.5, 2.0):
        bench.pump.power_w = power_w
        time.sleep(1.2)
        assert bench.pump.output_power_w == pytest.approx(power_w, rel=0.05)
    assert not any(state["tripped"] for state in bench.interlocks())
    assert np.isfinite(bench.meter.measure().power_w)

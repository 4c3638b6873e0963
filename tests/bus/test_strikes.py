"""A drill: the emulated instruments of a bench that is up are broken, and mended, while it is up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.errors import ConfigurationError, DeviceError
from labctl.bench.client import open_bench
from labctl.bench.load import load_bench
from labctl.conformance.stand import own_folders
from labctl.server.supervisor import supervised

BENCH = """
[bench]
name = "drill"
world = "rail"
clock = "real"

[devices.meter]
kind = "photodetector"
backend = "emulated"
driver = "thorlabs_pm100"
timeout = "0.3 s"

[devices.tap]
kind = "photodetector"
backend = "simulated"
port = "tap"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with own_folders() as own:
        yield own


def test_an_emulated_instrument_is_struck_and_mended(folder: Path) -> None:
    path = folder / "drill.toml"
    path.write_text(BENCH, encoding="utf-8")
    ended = threading.Event()
    with supervised(load_bench(path)) as supervisor:
        watching = threading.Thread(target=supervisor.watch, args=(ended.is_set,))
        watching.start()
        try:
            with open_bench(path) as bench:
                bench.meter.measure()
                supervisor.strike("meter", fault="mute")
                with pytest.raises(DeviceError, match="meter"):
                    bench.meter.measure()
                supervisor.strike("meter")
                for _ in range(3):  # a few may fail after the fault
                    try:
                        bench.meter.measure()
                        break
                    except DeviceError:
                        continue
                bench.meter.measure()
                with pytest.raises(ConfigurationError, match=r"no fault 'tired'; it has"):
                    supervisor.strike("meter", fault="tired")
                with pytest.raises(ConfigurationError, match="emulated: meter"):
                    supervisor.strike("tap", fault="mute")
        finally:
            ended.set()
            watching.join()

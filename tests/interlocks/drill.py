"""A rail with a laser, a camera, a panel and a meter in three servers, and whatever interlocks a test wants."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zmq

from drivers.errors import InterlockError
from labctl.bench.client import Bench
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.server.host import Host, running

BENCH = """
[bench]
name = "drill"
world = "rail"
clock = "{clock}"
lease = "10 s"

[world]
seed = 7
camera_share = 1e-9

[devices.slm]
kind = "slm"
backend = "simulated"
settle = "5 ms"
base_settle = "5 ms"

[devices.camera]
kind = "camera"
backend = "simulated"
exposure = "2 ms"

[devices.pump]
kind = "pump"
backend = "simulated"
power = "1 W"

[devices.meter]
kind = "photodetector"
backend = "simulated"
port = "tap"
integration = "1 ms"

[devices.sequencer]
kind = "sequencer"
slm = "slm"
camera = "camera"
photodetector = "meter"
"""

APART = """
[servers.lasers]
devices = ["pump"]
[servers.meters]
devices = ["meter"]
[servers.cameras]
devices = ["slm", "camera", "sequencer"]
"""

WATTS_AT_METER = 0.01
"""Of each watt of the pump."""


def drill_file(folder: Path, rules: str, *, servers: str = APART, clock: str = "real") -> Path:
    """A bench file with these interlocks."""
    path = folder / "drill.toml"
    path.write_text(BENCH.format(clock=clock) + servers + rules, encoding="utf-8")
    return path


@contextlib.contextmanager
def served(config: BenchConfig | Path, **overrides: object) -> Iterator[tuple[Bench, Host]]:
    """A bench in this process, and its host to look at from inside."""
    loaded = config if isinstance(config, BenchConfig) else load_bench(config, overrides)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with running(loaded, context) as host:
            bench = Bench(loaded, context, host.entry())
            try:
                yield bench, host
            finally:
                bench.close()
    finally:
        context.destroy(linger=0)


def lit(bench: Bench) -> None:
    """A pattern, and light."""
    bench.slm.write(np.zeros((8, 8)))
    bench.pump.emission = True


def told_of_trip(bench: Bench, within_s: float = 20.0) -> str:
    """What a control loop that only looks at the panel is told once its light went off."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            bench.slm.settle_s  # noqa: B018 - a call like any other
        except InterlockError as error:
            return str(error)
        time.sleep(0.01)
    raise AssertionError("no interlock acted")


def state_of(bench: Bench, name: str) -> dict[str, object]:
    """One interlock as the bench tells it."""
    return next(state for state in bench.interlocks() if state["name"] == name)

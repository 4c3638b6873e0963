"""Interlocks: from too much light to none, on a simulated rail in real time, and what watching costs a call.

The laser is told twice the power that the meter may read. Each of 50 trials is timed from then until the laser's server
says that it is dark, which the client asks for without a break: the meter's next reading (it is asked 20 times a
second), its way to the guard, and "off" are all in it. The ratio is to 100 ms; p99 is the worst of the 50. Calls read a
setting of the laser, in one process, in virtual time; their ratio is to the same call on the bench without interlocks.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.client import Bench, InterlockError, open_bench
from labctl.conformance.stand import own_folders
from labctl.server.supervisor import supervised

_TRIALS = 50
_BOUND_S = 0.1
_CALLS, _ROUNDS = 500, 9

_BENCH = """
[bench]
name = "interlock-benchmark"
world = "rail"
clock = "{clock}"
lease = "30 s"

[devices.pump]
kind = "pump"
backend = "simulated"
power = "1 W"

[devices.meter]
kind = "photodetector"
backend = "simulated"
port = "tap"
integration = "1 ms"
"""
_APART = """
[servers.lasers]
devices = ["pump"]
[servers.meters]
devices = ["meter"]
"""
_RULES = """
[interlocks.tap]
rule = "reading"
device = "meter"
max = "15 mW"
[interlocks.told]
rule = "read-back"
[interlocks.dose]
rule = "dose"
per = "session"
limit = "1 MJ"
"""


def rows() -> list[dict[str, Any]]:
    """Times of a trip, and of a call."""
    found = []
    with own_folders() as folder:
        for name, servers in (("meter beside the laser", ""), ("meter in a server of its own", _APART)):
            config = _config(folder, _RULES, servers, "real")
            with supervised(config), open_bench(config) as bench, bench.control("benchmark"):
                found.append(_row(f"too bright to dark, {name}", [_trip(bench) for _ in range(_TRIALS)], _BOUND_S))
        without, watched = (_call_times(folder, rules) for rules in ("", _RULES))
        for name, times in (("a call without interlocks", without), ("a call with three of them, lit", watched)):
            found.append(_row(name, times, float(np.median(without))))
    return found


def _row(name: str, times_s: list[float], bound_s: float) -> dict[str, Any]:
    us = np.array(times_s) * 1e6
    median, p99 = float(np.median(us)), float(us.max() if len(us) < 100 else np.percentile(us, 99))
    return {"name": name, "median_us": median, "p99_us": p99, "ratio": median / (bound_s * 1e6)}


def _trip(bench: Bench) -> float:
    bench.pump.power_w = 1.0
    bench.pump.emission = True
    time.sleep(0.1 + 0.05 * np.random.default_rng().random())  # anywhere between two readings
    begun = time.monotonic()
    bench.pump.power_w = 2.0
    while any(server["devices"].get("pump", {}).get("emission") for server in bench.status().values()):
        pass
    took_s = time.monotonic() - begun
    while not any(state["tripped"] for state in bench.interlocks()):
        time.sleep(0.01)
    with contextlib.suppress(InterlockError):
        bench.pump.power_w  # noqa: B018 - which tells of the trip
    bench.acknowledge()
    return took_s


def _call_times(folder: Path, rules: str) -> list[float]:
    with open_bench(_config(folder, rules, "", "virtual")) as bench, bench.control("benchmark"):
        bench.pump.emission = True
        return [_time(lambda: [bench.pump.power_w for _ in range(_CALLS)]) / _CALLS for _ in range(_ROUNDS)]


def _time(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _config(folder: Path, rules: str, servers: str, clock: str) -> BenchConfig:
    path = folder / "interlock-benchmark.toml"
    path.write_text(_BENCH.format(clock=clock) + servers + rules, encoding="utf-8")
    return load_bench(path)

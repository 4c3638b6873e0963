"""labctl's bus beside raw ZeroMQ, memcpy and other RPC libraries, all in one interleaved run.

Every labctl row goes the whole road: proxy, lease, role, expiry, wire, device server in a process of its own, driver,
and back. Rows take turns in short rounds, so load on the machine meets all of them; three runs are made and the median
of their medians, 99th percentiles and ratios is given.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.devices import COLUMNS, ROWS, SLM_COLUMNS, SLM_ROWS
from benchmarks.peers import all_peers
from benchmarks.peers.memcpy import CAMERA_AND_PATTERN_BYTES, CAMERA_BYTES, cold_copy
from benchmarks.table import table
from labctl.bus import security
from labctl.client import open_bench

_RUNS = 3
_ROUNDS = 30
_PAUSE_S = 0.1
_WARM_UP_ROUNDS = 3
_IN_FLIGHT = 16

# Row, calls per round, and the row its time is divided by. A turn is long enough that a row is measured as it runs in a
# loop, not as it begins after another has used the caches. Rows that go through much memory come last, and a pause
# follows: for tens of milliseconds after them everything is slower here, whichever row is next.
_ROWS: dict[str, tuple[int, str]] = {
    "raw-ipc": (200, "raw-ipc"),
    "command-ipc": (200, "raw-ipc"),
    "command-tcp-curve": (200, "raw-ipc"),
    "pyleco": (40, "raw-ipc"),
    "pyro5": (100, "raw-ipc"),
    "rpyc": (100, "raw-ipc"),
    "command-ipc-pipelined16": (30, "command-ipc"),
    "frame-11mb-inplace": (200, "memcpy-11mb"),
    "iteration": (100, "memcpy-13mb"),
    "frame-11mb-onecopy": (30, "memcpy-11mb"),
    "memcpy-11mb": (30, "memcpy-11mb"),
    "memcpy-13mb": (30, "memcpy-13mb"),
}

_NETWORK = '\n[network]\nlisten = "127.0.0.1"\nport = 0\nkeys = "server"\n'


def rows() -> list[dict[str, Any]]:
    """Time of each row (per command where several are in flight), and its ratio."""
    with contextlib.ExitStack() as stack:
        calls = _calls(stack)
        runs = [_run(calls) for _ in range(_RUNS)]
    found = []
    for name, (_, baseline) in _ROWS.items():
        medians = [statistics.median(run[name]) for run in runs]
        baselines = [statistics.median(run[baseline]) for run in runs]
        found.append(
            {
                "name": name,
                "median_us": statistics.median(medians),
                "p99_us": statistics.median(float(np.percentile(run[name], 99)) for run in runs),
                "ratio": statistics.median(own / other for own, other in zip(medians, baselines, strict=True)),
            }
        )
    return found


def _run(calls: dict[str, Callable[[], float | None]]) -> dict[str, list[float]]:
    """One run: times in us of every row."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(_WARM_UP_ROUNDS + _ROUNDS):
        time.sleep(_PAUSE_S)
        for name, call in calls.items():
            for _ in range(_ROWS[name][0]):
                begun = time.perf_counter()
                share = call()
                taken = (time.perf_counter() - begun) * 1e6
                if turn >= _WARM_UP_ROUNDS:
                    times[name].append(taken * (share or 1.0))
    return times


def _calls(stack: contextlib.ExitStack) -> dict[str, Callable[[], float | None]]:
    served = stack.enter_context(table(network=_NETWORK))
    for name in ("server", "client"):
        security.make(name)
    security.allow("client", str(security.folder() / "client.key"), "laser-operator")
    served.up()
    near = stack.enter_context(open_bench(served.bench_file))
    stack.enter_context(near.control("benchmark", devices=["laser", "camera", "own_buffers", "slm"]))
    far = stack.enter_context(open_bench(served.bench_file, at=_trust(served.name)))
    stack.enter_context(far.control("benchmark over tcp", devices=["spare"]))
    laser, spare, camera, own_buffers, slm = near.laser, far.spare, near.camera, near.own_buffers, near.slm

    def command(device: Any) -> Callable[[], None]:
        def call() -> None:
            if device.power_w != 1.0:
                raise ValueError("a wrong answer")

        return call

    def pipelined() -> float:
        under_way = [laser.submit_get("power_w") for _ in range(_IN_FLIGHT)]
        if any(pending.result() != 1.0 for pending in under_way):
            raise ValueError("a wrong answer")
        return 1 / _IN_FLIGHT

    def frame(of: Any) -> Callable[[], None]:
        def call() -> None:
            frame = of.trigger()
            if frame.data.shape != (ROWS, COLUMNS) or frame.data[-1, -1] != frame.frame_id & 0xFFFF:
                raise ValueError("a wrong frame")

        return call

    drawn = np.zeros((SLM_ROWS, SLM_COLUMNS), np.uint8)
    numbers = itertools.count()

    def iteration() -> None:
        gray = slm.allocate((SLM_ROWS, SLM_COLUMNS), np.uint8)
        np.copyto(gray, drawn)
        gray[0, 0] = next(numbers) & 0xFF
        pattern = slm.write_gray(gray)
        frame = camera.trigger(pattern)
        if frame.pattern_id != pattern or frame.data[0, 0] != frame.frame_id & 0xFFFF:
            raise ValueError("a wrong frame")

    calls: dict[str, Callable[[], float | None]] = {p.name: stack.enter_context(p).call for p in all_peers()}
    calls.update(
        {
            "command-ipc": command(laser),
            "command-tcp-curve": command(spare),
            "command-ipc-pipelined16": pipelined,
            "memcpy-11mb": cold_copy(CAMERA_BYTES),
            "frame-11mb-inplace": frame(camera),
            "frame-11mb-onecopy": frame(own_buffers),
            "memcpy-13mb": cold_copy(CAMERA_AND_PATTERN_BYTES),
            "iteration": iteration,
        }
    )
    return {name: calls[name] for name in _ROWS}


def _trust(bench: str) -> str:
    """Believe the bench that was just started, and name it."""
    from labctl.server import runtime

    record = runtime.find(bench)
    assert record is not None
    security.trust("benchmark", record.remote, str(security.folder() / "server.key"))
    return "benchmark"

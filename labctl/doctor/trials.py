"""Parts of labctl tried for real, on nothing but this machine: the bus, shared memory, a simulated bench."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from drivers.errors import DeviceError, LabError
from labctl.bench.client import Bench, open_bench
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.bus.connection import Connection
from labctl.bus.segments import Segment
from labctl.bus.server_side import ServerSide
from labctl.doctor.finding import Finding, Findings, taken_apart
from labctl.server import runtime
from labctl.server.apart import served_apart
from labctl.server.lane import Lane, end_context

_ASKED = 200
_SEGMENT_BYTES = 1 << 20
_READ = "import sys; print(open(sys.argv[1], 'rb').read(16).hex())"
_BENCH = """
[bench]
name = "{name}"
world = "rail"
clock = "virtual"
lease = "20 s"

[devices.slm]
kind = "slm"
backend = "simulated"

[devices.camera]
kind = "camera"
backend = "simulated"

[devices.pump]
kind = "pump"
backend = "simulated"
"""


def trials(processes: bool) -> Findings:
    """Each trial with how long it took. processes: also a bench of processes of its own, as `labctl up` makes."""
    yield _tried("bus", _bus)
    yield _tried("shared memory", _shared_memory)
    yield _tried("simulated bench", lambda: _bench(processes=False))
    if processes:
        yield _tried("bench of processes", lambda: _bench(processes=True))


def _tried(what: str, trial: Callable[[], str]) -> Finding:
    began = time.perf_counter()
    try:
        told = trial()
    except LabError as error:
        return Finding("trials", what, "broken", *taken_apart(error))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with this machine is what is looked for
        told = f"{type(error).__name__}: {error}"
        return Finding("trials", what, "broken", told, "see the other findings; else report it with this output")
    return Finding("trials", what, "ok", f"{told}, {time.perf_counter() - began:.1f} s")


def _bus() -> str:
    """Requests to a lane of this process and back, through a socket as between processes."""
    context: zmq.Context[Any] = zmq.Context()
    try:
        endpoint = runtime.local_endpoint(runtime.base_endpoint("doctor"), "-bus")
        lane = Lane(context, endpoint, lambda request, caller: request.arguments, ServerSide("doctor"))
        lane.start()
        connection = Connection(context, lane.endpoint)
        try:
            took = []
            for number in range(_ASKED):
                began = time.perf_counter()
                if connection.request("", "echo", arguments=number, timeout_s=2.0) != number:
                    raise DeviceError("the bus gave another answer than was sent; reinstall labctl and pyzmq")
                took.append(time.perf_counter() - began)
        finally:
            connection.close()
            lane.stop()
            if endpoint.startswith("ipc://"):
                Path(endpoint.removeprefix("ipc://")).unlink(missing_ok=True)
    finally:
        end_context(context)
    return f"{_ASKED} requests and answers, median {statistics.median(took) * 1e6:.0f} µs"


def _shared_memory() -> str:
    """What is written here is read by another process."""
    from labctl.bus import segments

    segment = Segment(_SEGMENT_BYTES)
    try:
        written = os.urandom(16)
        segment.memory[:16] = written
        command = [sys.executable, "-I", "-S", "-c", _READ, str(segments.folder() / segment.name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        if done.stdout.strip() != written.hex():
            raise DeviceError(
                f"another process read something else in {segments.folder()} {done.stderr.strip()[-200:]}; "
                "see that it is a tmpfs of this machine"
            )
    finally:
        segment.close()
    return f"{_SEGMENT_BYTES >> 20} MiB shared with another process"


def _bench(*, processes: bool) -> str:
    """Light on, a frame, light off, and nothing left behind."""
    name = f"doctor-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="labctl-doctor-") as folder:
        file = Path(folder, f"{name}.toml")
        file.write_text(_BENCH.format(name=name), encoding="utf-8")
        config = load_bench(file)
        if not processes:
            with open_bench(config, own=True) as bench:
                told = _used(bench)
        else:
            told = _used_apart(config)
    left = [host.bench for host in runtime.all_hosts() if host.bench == name]
    if left:
        raise DeviceError(f"bench {name} did not end; see `labctl status`")
    return told


def _used_apart(config: BenchConfig) -> str:
    quiet = os.environ.get("LABCTL_SHOW")
    os.environ["LABCTL_SHOW"] = "ERROR"  # of the processes that are started
    try:
        with served_apart(config), open_bench(config) as bench:
            told = _used(bench)
            shares = all(server.calls.side.shares_memory for server in bench.servers.values())
    finally:
        os.environ.pop("LABCTL_SHOW")
        if quiet is not None:
            os.environ["LABCTL_SHOW"] = quiet
    return f"{told}, arrays {'by shared memory' if shares else 'in messages'}"


def _used(bench: Bench) -> str:
    with bench.control("labctl doctor"):
        bench.pump.emission = True
        rows, columns = bench.camera.trigger().data.shape
    if bench.pump.emission:
        raise DeviceError("the light of a simulated bench is on after control was left; do not use this installation")
    return f"up, light on, a frame of {rows} x {columns}, light off, down"

"""Anything may be killed at any moment: the light goes off, nothing is left behind, and the bench comes up again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from clients import FRAMES, LOOKER, end, heard, start

from benchmarks.table import Table, table
from labctl.bus import segments
from labctl.bus.segments import process_alive
from labctl.client import LabError, open_bench
from labctl.server import runtime

PATIENCE_S = 60.0
VICTIMS = ("emitter", "frames", "looker", "light", "camera", "slm", "directory", "supervisor")
# Each death once is a row of the ledger, and so tried by `make test`.
KILLS = [
    pytest.param(len(VICTIMS), id="each once", marks=pytest.mark.soak),
    pytest.param(200, id="all", marks=pytest.mark.soak),
]

EMITTER = """
import sys
from labctl import open_bench
with open_bench(sys.argv[1]) as bench, bench.control("emitter", devices=["laser"]):
    bench.laser.emission = True
    print("on", flush=True)
    while True:
        bench.renew()
        bench.laser.power_w
"""


class Stage:
    """A bench with a frame stream and a laser that emits, and whoever of them can be killed."""

    def __init__(self, served: Table) -> None:
        self.served = served
        self.clients: dict[str, subprocess.Popen[str]] = {}
        self.every_pid: set[int] = set()

    def set(self) -> None:
        """Everything that is missing is started (again)."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._set()
                return
            except (LabError, AssertionError):  # a server is just being started again, or took a client with it
                assert time.monotonic() < deadline, "the bench did not come back"
                time.sleep(0.05)

    def _set(self) -> None:
        if self.served.process is None or self.served.process.poll() is not None:
            self.served.down()
            wait_until(lambda: runtime.find(self.served.name) is None)
            self.served.up()
        with open_bench(self.served.bench_file) as bench:
            bench.status()
        for name, source in (("emitter", EMITTER), ("frames", FRAMES), ("looker", LOOKER)):
            client = self.clients.get(name)
            if client is not None and client.poll() is None:
                continue
            if client is not None:
                end(client)
            self.clients[name] = client = start(source, self.served.bench_file, "camera")
            self.every_pid.add(client.pid)
            heard(client)
        assert self.served.mark.read()[0], "the emitter has not noticed yet that its light went off"

    def pids(self) -> dict[str, int]:
        """Of every victim."""
        deadline = time.monotonic() + PATIENCE_S
        while True:  # the directory hears twice a second which processes there are
            record = runtime.find(self.served.name)
            assert record is not None
            found = {"supervisor": record.pid, **{name: c.pid for name, c in self.clients.items()}}
            found.update(children(record.pid))
            self.every_pid.update(found.values())
            if set(VICTIMS) <= set(found) and all(process_alive(found[name]) for name in VICTIMS):
                return found
            assert time.monotonic() < deadline, f"not all of {VICTIMS} are there: {found}"
            time.sleep(0.05)
            self.set()  # a client may have gone with what was killed before

    def close(self) -> None:
        for client in self.clients.values():
            end(client)
        self.served.down()


def children(supervisor: int) -> dict[str, int]:
    """Processes of a bench by name, as its log tells."""
    record = runtime.find("kills")
    found: dict[str, int] = {}
    if record is None:
        return found
    import zmq

    from labctl.bus.transport import Address
    from labctl.server.directory import ask

    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        processes = ask(context, Address(record.directory), "status")["processes"]
    finally:
        context.destroy(linger=0)
    return {name: told["pid"] for name, told in processes.items() if told["pid"]}


def wait_until(condition: object, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", KILLS)
def test_random_kills_leave_the_light_off_and_nothing_behind(kills: int) -> None:
    """Seed fixed; the moment is random, as the stage is never in the same state twice."""
    dice = random.Random(3)
    dark_s: dict[str, list[float]] = {name: [] for name in VICTIMS}
    with table("kills", lease_s=0.5) as served:
        stage = Stage(served)
        try:
            for number in range(kills):
                stage.set()
                victim = VICTIMS[number % len(VICTIMS)] if number < len(VICTIMS) else dice.choice(VICTIMS)
                pids = stage.pids()
                time.sleep(dice.uniform(0, 0.05))
                begun_ns = time.monotonic_ns()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pids[victim], signal.SIGKILL)
                if victim in ("frames", "looker"):
                    continue  # they have nothing to do with the laser: it may stay on
                dark_s[victim].append(seconds_until_dark(served, begun_ns))
            stage.set()
            with open_bench(served.bench_file) as bench, bench.control("last", devices=["slm"]):
                assert bench.slm.rows == 1080  # it still works
        finally:
            stage.close()
        assert not served.mark.read()[0]
        wait_until(lambda: not [pid for pid in stage.every_pid if process_alive(pid)], 20.0)
        assert left_behind(served, stage.every_pid) == []
    worst = {name: f"{1000 * max(delays):.0f} ms" for name, delays in dark_s.items() if delays}
    print(f"\n{kills} kills; worst time to emission off by victim: {worst}")  # noqa: T201


def seconds_until_dark(served: Table, begun_ns: int) -> float:
    """Until the laser was turned off after that time; it may have been turned on again since."""
    wait_until(lambda: not served.mark.read()[0] or served.mark.read()[1] > begun_ns)
    return (served.mark.read()[1] - begun_ns) / 1e9


def left_behind(served: Table, pids: set[int]) -> list[str]:
    """Sockets and records in the bench's folder, segments of its processes."""
    names = [path.name for path in segments.folder().glob("labctl-*") if int(path.name.split("-")[3]) in pids]
    return names + sorted(os.listdir(Path(served.folder) / "run"))

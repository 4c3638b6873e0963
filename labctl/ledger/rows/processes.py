"""A process of the bench fails: a server, the directory, the supervisor, or one that no server can do without."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from functools import partial
from pathlib import Path

from labctl.ledger.child import Child
from labctl.ledger.rail import LEASE_S, Rail, emulated, simulated, until
from labctl.ledger.row import Row, Trial
from labctl.ledger.runs import broken_off, goes_on

AT_ONCE_S = 0.1
"""From detection to darkness, where software is left."""
WATCHDOG_S = 2.5
"""Of the laser itself, 2 s from the last word of its driver, where no software is left."""
_FRAMES = 400
_RESTART_S = 2.0
"""Until another process has taken a dead one's place and made its devices safe."""


def _kill(rail: Rail, victim: str) -> int:
    """When a process of the bench was killed, monotonic ns."""
    pid = rail.supervisor.pid if victim == "supervisor" else rail.pids()[victim]
    begun_ns = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    return begun_ns


def _signal(pid: int, number: int) -> None:
    """A process may have been replaced by now."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _other_killed(rail: Rail, trial: Trial, victim: str) -> float:
    """What has no lasers of its own dies: those of the others are dark, and the operator is told who died."""
    with rail.operator("pump") as operator:
        time.sleep(trial.dice.uniform(0, 0.1))
        dark_s = rail.dark_after_s(_kill(rail, victim))
        _told_why(operator)
        if victim != "supervisor":
            rail.set_up()  # it is started again
    return dark_s


def _told_why(operator: Child) -> None:
    told = operator.heard()
    assert told.get("error") in ("LeaseError", "BusError"), f"the operator was told {told}"
    assert any(word in told["message"] for word in ("died", "gone", "started again", "no answer")), told["message"]


def _lasers_server_killed(rail: Rail, trial: Trial) -> float:
    """The instrument goes on for as long as its own watchdog, or until another server has opened it."""
    with rail.operator("source") as operator:
        time.sleep(trial.dice.uniform(0, 0.1))
        dark_s = rail.dark_after_s(_kill(rail, "light"))
        told = operator.heard()
        assert told.get("error") in ("LeaseError", "BusError"), f"the operator was told {told}"
        rail.set_up()
        until(lambda: rail.logged("light died"), otherwise="the log does not tell of it")
    return dark_s


def _stopped(rail: Rail, trial: Trial) -> float:
    """No software of the server's runs any more, and nothing tells the others before it is silent for 10 s."""
    with rail.operator("source") as operator:
        pid = rail.pids()["light"]
        begun_ns = time.monotonic_ns()
        os.kill(pid, signal.SIGSTOP)
        try:
            dark_s = rail.dark_after_s(begun_ns)
            told = operator.heard()
            assert told.get("error") in ("LeaseError", "BusError"), f"the operator was told {told}"
            assert "light" in told["message"], f"it does not say which server: {told['message']}"
            return dark_s
        finally:
            _signal(pid, signal.SIGCONT)


def _out_of_memory(rail: Rail, trial: Trial) -> float:
    """The laser's server gets not a byte more, not even for a thread: its watchdog works all the same."""
    with rail.operator("pump") as operator:
        pid = rail.pids()["light"]
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        room = trial.dice.randrange(4) << 20
        resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + room,) * 2)
        try:
            begun_ns = time.monotonic_ns()
            operator.kill()
            return rail.dark_after_s(begun_ns)
        finally:
            _signal(pid, signal.SIGKILL)
            until(lambda: rail.pids().get("light", pid) != pid)


def _hangs_in_a_call(rail: Rail, trial: Trial) -> float:
    """A call to a camera does not come back, and its caller with it: an emergency stop acts all the same."""
    pid = rail.pids()["camera (emulated)"]
    with rail.operator("pump") as operator:
        os.kill(pid, signal.SIGSTOP)
        try:
            operator.say("call camera trigger")
            begun_ns = time.monotonic_ns()
            with rail.bench() as bench:
                bench.stop("the camera hangs")
            dark_s = rail.dark_after_s(begun_ns)
        finally:
            _signal(pid, signal.SIGCONT)
        told = operator.heard()
        assert "camera" in told.get("message", ""), f"the operator was told {told}"
        return dark_s


def _killed_during_a_run(rail: Rail, trial: Trial, victim: str) -> float:
    """The run is told who died; what it has measured is sound, and it goes on when the bench is whole again."""
    run, dark_s = broken_off(rail, trial, _FRAMES, lambda: _kill(rail, victim), f"{victim}|started again")
    until(lambda: rail.logged(f"{victim} died"), otherwise="the log does not tell of it")
    rail.set_up()
    goes_on(run, _FRAMES)
    return dark_s


ROWS = [
    Row("server without lasers killed", "supervisor", "emission off everywhere; the operator is told who died; it is "
        "started again", AT_ONCE_S, simulated, partial(_other_killed, victim="eyes")),
    Row("directory killed", "supervisor", "emission off; the operator is told; it is started again", AT_ONCE_S,
        simulated, partial(_other_killed, victim="directory")),
    Row("camera's server killed during a run", "supervisor", "emission off; the run ends and says why; no frame stands "
        "twice in it; it goes on", AT_ONCE_S, simulated, partial(_killed_during_a_run, victim="eyes")),
    Row("laser's server killed during a run", "supervisor", "emission off; the run ends and says why; no frame stands "
        "twice in it; it goes on", _RESTART_S, simulated, partial(_killed_during_a_run, victim="light")),
    Row("supervisor killed", "every server: its lifeline ends", "emission off; the processes end; the operator is "
        "told", AT_ONCE_S, simulated, partial(_other_killed, victim="supervisor")),
    Row("world killed", "supervisor", "emission off; table and servers begin anew", _RESTART_S,
        simulated, partial(_other_killed, victim="world")),
    Row("laser's server killed", "supervisor; until another has taken its place the laser's own watchdog",
        "emission off by whichever is first", WATCHDOG_S, emulated, _lasers_server_killed),
    Row("laser's server stopped", "the laser's own watchdog", "emission off though no software is left; the "
        "operator is told", WATCHDOG_S, emulated, _stopped),
    Row("server out of memory", f"lease, {LEASE_S:g} s", "emission off", LEASE_S + 0.05, simulated, _out_of_memory),
    Row("server hangs in a vendor's call", "emergency stop, beside the call", "emission off while the call hangs",
        AT_ONCE_S, emulated, _hangs_in_a_call),
]  # fmt: skip

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
from labctl.ledger.rail import BOTH_BY_LEASE, BY_LEASE, Rail, both, simulated, until
from labctl.ledger.row import Bench, Row, Trial
from labctl.ledger.runs import broken_off, goes_on

AT_ONCE_S = 0.1
"""From detection to darkness, where software is left. The supervisor says in its log when it noticed."""
WATCHDOG_S = 2.5
"""Of the laser itself, 2 s from the last word of its driver, where no software is left."""
_RESTART_S, _REOPEN_S = 2.0, 4.0
"""Until another process has taken a dead one's place and made its devices safe; real drivers must be opened for it."""
_SILENCE_S = 14.0
"""Until the supervisor ends a process that has been silent for 10 s, and another one has taken its place."""


def _kill(rail: Rail, victim: str) -> int:
    """When a process of the bench was killed, monotonic ns."""
    pid = rail.supervisor.pid if victim == "supervisor" else rail.pid(victim)
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
        begun_ns = _kill(rail, victim)
        rail.dark_after_s(begun_ns)
        _told_why(operator)
        if victim == "supervisor":
            return rail.dark_after_s(begun_ns)
        dark_s = rail.dark_after_s(rail.noticed_ns(f"{victim} died", begun_ns))
        rail.set_up()  # it is started again
    return dark_s


def _told_why(operator: Child) -> None:
    told = operator.heard()
    assert told.get("error") in ("LeaseError", "BusError"), f"the operator was told {told}"
    assert any(word in told["message"] for word in ("died", "gone", "started again", "no answer")), told["message"]


def _lasers_server_killed(rail: Rail, trial: Trial) -> float:
    """The instrument goes on for as long as its own watchdog, or until another server has opened it."""
    rail.come_to_rest()
    with rail.operator("source") as operator:
        time.sleep(trial.dice.uniform(0, 0.1))
        begun_s = time.time()
        dark_s = rail.dark_after_s(_kill(rail, "light"))
        told = operator.heard()
        assert told.get("error") in ("LeaseError", "BusError"), f"the operator was told {told}"
        rail.set_up()
        assert rail.logged("light died", since_s=begun_s), "the log does not tell of it"
    return dark_s


def _stopped(rail: Rail, trial: Trial) -> float:
    """No software of the server's runs any more, and nothing tells the others before it is silent for 10 s."""
    with rail.operator("source") as operator:
        pid = rail.pid("light")
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
    """The laser's server gets not a byte more, not even for a thread: its watchdog works all the same. The bench keeps
    no stacks of threads that have ended (see `labctl.ledger.rail`), or a new one would find memory there."""
    with rail.operator("pump") as operator:
        pid = rail.pid("light")
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        room = trial.dice.randrange(4) << 20
        resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + room,) * 2)
        try:
            begun_ns = time.monotonic_ns()
            operator.kill()
            return rail.dark_after_s(begun_ns)
        finally:
            _signal(pid, signal.SIGKILL)
            until(lambda: rail.pids().get("light", pid) != pid, otherwise="it is not started again")


def _hangs_in_a_call(rail: Rail, trial: Trial) -> float:
    """A call to a camera does not come back, and its caller with it: an emergency stop acts all the same. What hangs
    below the driver is the instrument, or the simulated table with all that is on it."""
    pid = rail.pid("camera (emulated)" if rail.emulated else "world")
    with rail.operator("pump") as operator:
        os.kill(pid, signal.SIGSTOP)
        try:
            operator.say("call camera trigger")
            with rail.bench() as bench:
                begun_ns = time.monotonic_ns()  # of the stop: how long it takes to find the bench is no part of it
                bench.stop("the camera hangs")
            dark_s = rail.dark_after_s(begun_ns)
        finally:
            _signal(pid, signal.SIGCONT)
        told = operator.heard()
        if "called" in told:  # the call came back all the same; the next one does not
            told = operator.heard()
        assert "camera" in told.get("message", ""), f"the operator was told {told}"
        return dark_s


def _killed_during_a_run(rail: Rail, trial: Trial, victim: str) -> float:
    """The run is told who died; what it has measured is sound, and it goes on when the bench is whole again."""
    rail.come_to_rest()
    run, begun_ns = broken_off(rail, trial, lambda: _kill(rail, victim), f"{victim}|started again")
    noticed_ns = rail.noticed_ns(f"{victim} died", begun_ns)
    dark_s = rail.dark_after_s(begun_ns if victim == "light" else noticed_ns)
    rail.set_up()
    goes_on(rail, run)
    return dark_s


_SUPERVISOR = "supervisor (time from there)"
_TOLD = "emission off; the run ends and says why; no frame stands twice in it; it goes on"
ROWS = [
    Row("server without lasers killed", _SUPERVISOR, "emission off everywhere; the operator is told who died; it is "
        "started again", both(AT_ONCE_S), partial(_other_killed, victim="eyes")),
    Row("directory killed", _SUPERVISOR, "emission off; the operator is told; it is started again", both(AT_ONCE_S),
        partial(_other_killed, victim="directory")),
    Row("camera's server killed during a run", _SUPERVISOR, _TOLD, both(AT_ONCE_S),
        partial(_killed_during_a_run, victim="eyes")),
    Row("laser's server killed during a run", "supervisor, which starts another one", _TOLD,
        both(_RESTART_S, _REOPEN_S), partial(_killed_during_a_run, victim="light")),
    Row("supervisor killed", "every server: its lifeline ends", "emission off; the processes end; the operator is "
        "told", both(AT_ONCE_S), partial(_other_killed, victim="supervisor")),
    Row("world killed", _SUPERVISOR, "emission off; table and servers begin anew",
        (Bench("simulated", simulated, AT_ONCE_S),), partial(_other_killed, victim="world"),
        "with real drivers a world only stands for the light of the laboratory, which does not die"),
    Row("laser's server killed", "supervisor, which starts another one; until then a laser's own watchdog",
        "emission off by whichever is first", both(_RESTART_S, WATCHDOG_S), _lasers_server_killed),
    Row("laser's server stopped", "the laser's own watchdog; a simulated laser has none: the supervisor, after 10 s of "
        "silence", "emission off though no software of the laser's is left; the operator is told",
        both(_SILENCE_S, WATCHDOG_S), _stopped),
    Row("server out of memory", BY_LEASE, "emission off; the server is started again", both(*BOTH_BY_LEASE),
        _out_of_memory),
    Row("server hangs in a vendor's call", "emergency stop, beside the call", "emission off while the call hangs",
        both(AT_ONCE_S), _hangs_in_a_call),
]  # fmt: skip

"""The stage of most rows: an optical rail whose bench is up in processes of its own, and whom trials happen to.

A pump laser and a supercontinuum, a panel, a camera and a power meter, simulated or emulated. What is broken by a trial
is set up again before the next one.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import zmq

from drivers.errors import LabError
from labctl.bench.client import Bench, open_bench
from labctl.bench.load import load_bench
from labctl.bus.transport import Address
from labctl.ledger.benches import BENCH, EMULATED, SIMULATED
from labctl.ledger.child import START_S, Child, children, spent_s
from labctl.ledger.row import Bench as On
from labctl.ledger.witness import Witness
from labctl.server import logs, runtime
from labctl.server.directory import ask

LEASE_S = 0.5
EMULATED_LEASE_S = 2.0
MARGIN_S = 0.05
"""From the end of a lease to darkness."""
BY_LEASE = f"lease ({LEASE_S:g} s, emulated {EMULATED_LEASE_S:g} s)"
NOTICED_S = 2.0
"""Within which a supervisor must notice that a process has died, also where others take the processors."""
_IDLE_WITHIN_S = 5.0
_REST_WITHIN_S, _LOOK_S = 20.0, 0.6
"""Longer than what is told of processes is old."""
_TRIES = 3
_LOG_STEP_S = 0.001
_LOGGED_WITHIN_S = 5.0
_PATIENCE_S = 60.0
_LIKE = {"mute": "lost", "stale": "frozen", "over-range": "saturated"}
"""What befalls a simulated device, by what would be done to an emulated instrument."""


class Rail:
    """A bench that is up. Use `standing`."""

    def __init__(self, folder: Path, name: str, devices: str, more: str = "", lease_s: float = LEASE_S) -> None:
        self.name = name
        self.emulated = devices == EMULATED
        self.bench_file = folder / f"{name}.toml"
        text = BENCH.format(name=name, lease_s=lease_s, devices=devices, more=more)
        self.bench_file.write_text(text, encoding="utf-8")
        self.config = load_bench(self.bench_file)
        self.lease_s = lease_s
        self.frames = 200
        """Of a run that is long enough to be broken in the middle."""
        self.environment = {"GLIBC_TUNABLES": "glibc.pthread.stack_cache_size=0"}
        """Of its processes and operators, beside this process's own. Of a thread that has ended nothing is kept, so
        that one that is out of memory cannot begin in its place."""
        self._bench: Child | None = None
        self._world_at = ""
        self._witness: Witness | None = None
        self._operators: list[Child] = []
        self._idle: dict[str, Child] = {}

    # --- up and down ------------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Everything that is missing is started (again): the bench, and whoever looks at its light."""
        if self._bench is None or not self._bench.lives:
            self.take_down()
            until(lambda: runtime.find(self.name) is None)
            self._bench = Child("labctl.ledger.served", str(self.bench_file), environment=self.environment)
            self._world_at = self._bench.heard(START_S)["world"]
        until(self._answers, every_s=0.1)  # the bench needs the processors to come up
        if self._witness is None or not self._witness.sees:  # a world that is started again has other memory
            self._look_away()
            self._witness = Witness(self.config, self._world_at)
            for device in ("camera", "meter") if not self.emulated else ():
                self.strike(device)  # from now on its last value is kept, to come again

    def _answers(self) -> bool:
        """Whether every server is there, none in the middle of being started again."""
        try:
            with open_bench(self.config) as bench:
                return set(bench.status()) == set(self.config.servers)
        except LabError:
            return False

    def take_down(self) -> None:
        """Everything ended, in order if it can be."""
        for operator in self._operators:
            operator.kill()
        self._operators.clear()
        self._idle.clear()
        self._look_away()
        if self._bench is not None:
            self._bench.end()
            self._bench = None

    def come_to_rest(self) -> None:
        """Wait until the bench has a process that stands ready to take another's place, and that one does nothing any
        more; for some seconds at most. A fault in the middle of the repair of another one is another fault."""
        until_s = time.monotonic() + _REST_WITHIN_S
        while time.monotonic() < until_s:
            there = children(self.supervisor.pid)
            before_s = {pid: spent_s([pid]) for pid in there}
            time.sleep(_LOOK_S)
            ready = set(there) - set(self.pids().values())
            if ready and all(spent_s([pid]) == before_s[pid] for pid in ready):
                return

    def _look_away(self) -> None:
        witness, self._witness = self._witness, None
        if witness is not None:
            witness.close()

    @property
    def supervisor(self) -> Child:
        """Its process."""
        assert self._bench is not None
        return self._bench

    def pids(self) -> dict[str, int]:
        """Processes of the bench by label: servers, ``world``, ``directory``, ``DEVICE (emulated)``."""
        record = runtime.find(self.name)
        assert record is not None, f"bench {self.name} is not up"
        context: zmq.Context[Any] = zmq.Context()
        try:
            told = ask(context, Address(record.directory), "status")["processes"]
        finally:
            context.destroy(linger=0)
        return {name: process["pid"] for name, process in told.items() if process["pid"]}

    def pid(self, label: str) -> int:
        """The process of that label which lives now. The directory hears of a new one with the next beat only."""
        known: list[int] = []

        def lives() -> bool:
            known[:] = {self.pids().get(label, 0)}.intersection(children(self.supervisor.pid))
            return bool(known)

        until(lives, every_s=0.05, otherwise=f"the bench has no process of {label}")
        return known[0]

    # --- whoever is there -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def operator(self, *lasers: str, at: str = "") -> Iterator[Child]:
        """A control loop in a process of its own, which has turned the lasers on, if any are named. at: by network."""
        child = self._idle.pop(at, None)
        if child is None:
            arguments = [at] if at else []
            child = Child("labctl.ledger.operator", str(self.bench_file), *arguments, environment=self.environment)
            self._operators.append(child)
            child.heard()
        try:
            if lasers:
                self._light(child, lasers)
            yield child
        except BaseException:
            self._end(child)
            raise
        if at not in self._idle and child.lives and _is_idle(child):
            self._idle[at] = child  # whoever was not killed goes on with the next trial, as people do
        else:
            self._end(child)

    def _light(self, operator: Child, lasers: tuple[str, ...]) -> None:
        """Asked for again where others take the processors from an operator for longer than its lease."""
        for _ in range(_TRIES):
            told = operator.asked("on " + " ".join(lasers))
            assert "on" in told, f"no light: {told}"
            until(lambda: bool(self.witness.lit()) or operator.has_spoken, otherwise=f"no light, and no error: {told}")
            if self.witness.lit():
                return
            told = operator.heard()
            assert "not renewed within" in told.get("message", ""), f"the light went off again: {told}"
        raise AssertionError(f"the operator loses its lease again and again: {told}")

    def _end(self, operator: Child) -> None:
        operator.signal("SIGCONT")
        operator.kill()
        self._operators.remove(operator)

    @contextlib.contextmanager
    def bench(self) -> Iterator[Bench]:
        """The bench, as a script has it."""
        with open_bench(self.bench_file) as bench:
            yield bench

    # --- faults and light -------------------------------------------------------------------------------------------

    def strike(self, device: str, fault: str | None = None, mutation: str | None = None) -> None:
        """Break an instrument; with neither, mend it. A simulated device is broken in the way that is most like it."""
        if not self.emulated:
            what = mutation or fault or ""
            self.witness.strike(device, _LIKE.get(what, what))
            return
        told = self.supervisor.asked(json.dumps({"device": device, "fault": fault, "mutation": mutation}))
        assert told.get("struck"), f"{device} was not struck: {told}"

    @property
    def witness(self) -> Witness:
        """Who sees the light itself."""
        assert self._witness is not None
        return self._witness

    def dark_after_s(self, begun_ns: int, within_s: float = _PATIENCE_S) -> float:
        """How long after that moment (monotonic ns) all lasers were dark. AssertionError if they are not in time."""
        until(lambda: self.witness.dark_since_ns() is not None, within_s, f"light is on: {self.witness.lit()}")
        since_ns = self.witness.dark_since_ns()
        assert since_ns is not None, "the light went on again"
        return max(since_ns - begun_ns, 0) / 1e9

    def logged(self, *words: str, since_s: float = 0.0, until_s: float = math.inf) -> bool:
        """Whether the bench's log has, or soon has, a line with all these words; of a time (s, as `time.time` counts)
        by the clock of who wrote it."""

        def there() -> bool:
            times_s = (_written_s(line) for line in self._log() if all(word in line for word in words))
            return any(since_s - _LOG_STEP_S <= time_s <= until_s for time_s in times_s)

        with contextlib.suppress(AssertionError):
            until(there, _LOGGED_WITHIN_S, every_s=0.02)
            return True
        return False

    def noticed_ns(self, words: str, since_ns: int) -> int:
        """When a process of the bench said so in its log, after a moment (both monotonic ns). AssertionError if it did
        not, or took longer than `NOTICED_S`."""
        until(lambda: self._said_ns(words, since_ns) is not None, otherwise=f"the log does not say {words!r}")
        said_ns = self._said_ns(words, since_ns)
        assert said_ns is not None
        took_s = (said_ns - since_ns) / 1e9
        assert took_s < NOTICED_S, f"{words!r} was said after {took_s:.3f} s, allowed are {NOTICED_S:g}"
        return max(said_ns, since_ns)

    def _said_ns(self, words: str, since_ns: int) -> int | None:
        offset_ns = time.time_ns() - time.monotonic_ns()
        for line in self._log():
            if words in line:
                said_ns = round(_written_s(line) * 1e9) - offset_ns
                if said_ns >= since_ns - 1e9 * _LOG_STEP_S:
                    return said_ns
        return None

    def _log(self) -> list[str]:
        file = logs.newest_file(self.name)
        return file.read_text(encoding="utf-8", errors="replace").splitlines() if file is not None else []


def _written_s(line: str) -> float:
    return datetime.fromisoformat(json.loads(line)["utc"]).timestamp()


def _is_idle(operator: Child) -> bool:
    """Whether it has given back control by now, and every answer of its was heard."""
    try:
        operator.say("off")
        operator.say("mark")
        while operator.heard(_IDLE_WITHIN_S).get("done") != "mark":
            pass
    except (AssertionError, OSError):
        return False
    return True


def until(
    condition: Callable[[], bool],
    within_s: float = _PATIENCE_S,
    otherwise: str = "waited in vain",
    every_s: float = 0.002,
) -> None:
    """Wait for something. AssertionError, which says ``otherwise``, if it does not happen in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{otherwise} (for {within_s:g} s)"
        time.sleep(every_s)


R = TypeVar("R", bound=Rail)


@contextlib.contextmanager
def standing(rail: R) -> Iterator[R]:
    """The stage; in the end it is taken down."""
    try:
        yield rail
    finally:
        rail.take_down()


def both(bound_s: float | None = None, emulated_bound_s: float | None = None) -> tuple[On, On]:
    """Benches of a row; the second bound where it is another one with emulated instruments."""
    return On("simulated", simulated, bound_s), On("emulated", emulated, emulated_bound_s or bound_s)


BOTH_BY_LEASE = (LEASE_S + MARGIN_S, EMULATED_LEASE_S + MARGIN_S)
"""Bounds where only the lease detects."""


def simulated(folder: Path) -> contextlib.AbstractContextManager[Rail]:
    """With simulated devices."""
    return standing(Rail(folder, "ledger-simulated", SIMULATED))


def emulated(folder: Path) -> contextlib.AbstractContextManager[Rail]:
    """With the drivers of real tables, on emulated instruments."""
    return standing(Rail(folder, "ledger-emulated", EMULATED, lease_s=EMULATED_LEASE_S))

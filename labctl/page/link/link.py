"""The page's connections to its bench, made again when the bench is started again.

What is shown is read by an observer's connections. What somebody does goes over connections whose requests the device
servers execute in that person's role at most; those of a role are opened when the first person of it acts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import zmq

from drivers.errors import BusError, LabError
from labctl.bench.client import Bench
from labctl.bench.observe import open_observer
from labctl.bus import security
from labctl.bus.aio import AsyncBench
from labctl.bus.entries import BenchEntry
from labctl.bus.roles import Role
from labctl.bus.transport import Address
from labctl.safety import desk
from labctl.server import runtime
from labctl.server.directory import ask, trusted_address
from labctl.server.emergency import stop_benches

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.4
_PROCESSES_EVERY_S = 2.0
_AGAIN_AFTER_S = 0.5
_OLD_AFTER_S = 4.0
_THREADS = 24
_APART, _STOPS = 2, 4

T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """What the bench is, as it was told last. trouble: why nothing newer is known; seen_s: monotonic time."""

    connected: bool = False
    trouble: str = "the bench has not answered yet"
    seen_s: float = 0.0
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    processes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether this is how the bench is now, and not how it was a while ago."""
        return self.connected and time.monotonic() - self.seen_s < _OLD_AFTER_S

    @property
    def devices(self) -> dict[str, dict[str, Any]]:
        """kind, backend, emission and server by device."""
        return {
            name: {**told, "server": server}
            for server, state in self.servers.items()
            for name, told in state.get("devices", {}).items()
        }

    @property
    def lit(self) -> list[str]:
        """Devices that emit."""
        return [name for name, told in self.devices.items() if told["emission"]]

    @property
    def unknown(self) -> list[str]:
        """Servers that do not answer: whether their devices emit is not known."""
        return [name for name, told in self.servers.items() if "error" in told]

    @property
    def leases(self) -> list[dict[str, Any]]:
        """holder, run, devices and remaining_s of each lease, those of one holder together."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for state in self.servers.values():
            for lease in state.get("leases", ()):
                one = found.setdefault((lease["holder"], lease["run"]), {**lease, "devices": []})
                one["devices"] = sorted({*one["devices"], *lease["devices"]})
                one["remaining_s"] = min(one["remaining_s"], lease["remaining_s"])
        return list(found.values())

    @property
    def interlocks(self) -> list[dict[str, Any]]:
        """Every interlock once."""
        return desk.merged([one for state in self.servers.values() for one in state.get("interlocks", ())])

    @property
    def busy(self) -> list[str]:
        """Servers that are just serving a call."""
        return [name for name, told in self.servers.items() if told.get("busy")]


class Link:
    """One bench, here or ``at`` another machine."""

    def __init__(self, bench: str, at: str | None = None) -> None:
        self.bench = bench
        self.at = at or os.environ.get("LABCTL_AT") or None
        self.state = State()
        self.observer: AsyncBench | None = None
        self.fingerprint = ""
        self.bench_file = ""
        self.changed = asyncio.Event()
        """Set, and made anew, whenever `state` is."""
        self._keys: security.KeyPair | None = None
        self._context: zmq.Context[Any] = zmq.Context()
        self._benches: dict[Role, Bench] = {}
        self._opening = asyncio.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="labctl-page")
        self._apart = ThreadPoolExecutor(_APART, thread_name_prefix="labctl-page-apart")
        self._stops = ThreadPoolExecutor(_STOPS, thread_name_prefix="labctl-page-stop")

    async def keep(self) -> None:
        """Look at the bench until cancelled, and connect again whenever it is another one."""
        while True:
            try:
                await self._attend()
            except LabError as error:
                self._tell(State(trouble=str(error)))
            except Exception as error:
                # Whatever it is: what was known before must not be shown as if it were known now.
                log.exception("page: the bench cannot be looked at")
                self._tell(State(trouble=f"{type(error).__name__}: {error}"))
            await asyncio.sleep(_AGAIN_AFTER_S)

    async def _attend(self) -> None:
        start = await self.in_thread(self._start_of_bench)
        async with open_observer(self.bench, self.at) as observer:
            observer.cap_role(Role.OBSERVER)
            self._keys = security.own_keys() if self.at else None
            self.fingerprint = observer.entry.fingerprint
            self.observer = observer
            try:
                processes, asked_s = {}, 0.0
                while True:
                    if time.monotonic() - asked_s > _PROCESSES_EVERY_S:
                        if await self.in_thread(self._start_of_bench) != start:
                            raise BusError(f"bench {self.bench} was started again")
                        processes, asked_s = await self.in_thread(self._processes), time.monotonic()
                    servers = await observer.status()
                    self._tell(State(True, "", time.monotonic(), servers, processes))
                    await asyncio.sleep(_LOOK_EVERY_S)
            finally:
                self.observer = None
                await self.in_thread(self._close_benches)

    def _tell(self, state: State) -> None:
        if not state.connected and self.state.connected:
            log.warning("page: %s", state.trouble)
        self.state = state
        self.changed.set()
        self.changed = asyncio.Event()

    def _start_of_bench(self) -> tuple[int, int]:
        """What differs after every start of the bench. BusError while it is not up."""
        if self.at is not None:
            told = ask(self._context, trusted_address(self.at), "bench", self._keys or security.own_keys())
            return int(told["supervisor_pid"]), int(told["started_utc_ns"])
        entry = runtime.find(self.bench)
        if entry is None or not entry.ready:
            word = "is not up; start it with `labctl up`" if entry is None else "is being started"
            raise BusError(f"bench {self.bench} {word}")
        self.bench_file = entry.bench_file
        return entry.pid, entry.started_utc_ns

    def _processes(self) -> dict[str, dict[str, Any]]:
        if self.at is not None:
            told = ask(self._context, trusted_address(self.at), "status", self._keys)
        else:
            entry = runtime.find(self.bench)
            told = {} if entry is None else ask(self._context, Address(entry.directory), "status")
        return {
            name: {**process, "heard_s": told["servers"].get(name, {}).get("heard_s", process.get("heard_s"))}
            for name, process in told.get("processes", {}).items()
        }

    # --- what people do ---------------------------------------------------------------------------------------------

    async def in_thread(self, act: Callable[[], T]) -> T:
        """Do what waits, beside the event loop. Who is cancelled meanwhile waits for its end: it may use a socket that
        would be closed next."""
        return await _done_by(self._pool, act)

    async def apart(self, act: Callable[[], T]) -> T:
        """The same for files and drawings, which may take long: by threads of their own, so that no instrument waits
        for a disk."""
        return await _done_by(self._apart, act)

    async def bench_for(self, role: Role) -> Bench:
        """The bench, whose servers execute what is asked in ``role`` at most. BusError while it is not up."""
        async with self._opening:
            if self.observer is None:
                raise BusError(self.state.trouble)
            if role not in self._benches:
                entry, keys = self.observer.entry, self._keys
                self._benches[role] = await self.in_thread(lambda: self._open(entry, keys, role))
            return self._benches[role]

    async def opened_for(self, role: Role) -> Bench:
        """Another one, for whoever closes it: what takes long there keeps nobody else waiting."""
        if self.observer is None:
            raise BusError(self.state.trouble)
        entry, keys = self.observer.entry, self._keys
        return await self.in_thread(lambda: self._open(entry, keys, role))

    def _open(self, entry: BenchEntry, keys: security.KeyPair | None, role: Role) -> Bench:
        bench = Bench(None, self._context, entry, remote=self.at is not None, keys=keys)
        for server in bench.servers.values():
            server.cap_role(role)
        return bench

    async def stop(self, reason: str) -> dict[str, float | str]:
        """Emergency stop, by the road of `labctl stop`; by server the seconds it took, or what was wrong.

        It needs no connection that was there before, no role, and no thread that something else may keep busy. Raises
        ConfigurationError if the bench is not up.
        """
        bench = None if self.at else self.bench
        told = await _done_by(self._stops, lambda: stop_benches(bench, self.at, reason))
        return {server: result for servers in told.values() for server, result in servers.items()}

    def _close_benches(self) -> None:
        while self._benches:
            _, bench = self._benches.popitem()
            with contextlib.suppress(LabError):
                bench.close()

    def close(self) -> None:
        """Disconnect."""
        self._close_benches()
        for pool in (self._pool, self._apart, self._stops):
            pool.shutdown(wait=False, cancel_futures=True)
        self._context.destroy(linger=0)


async def _done_by(pool: ThreadPoolExecutor, act: Callable[[], T]) -> T:
    doing = asyncio.get_running_loop().run_in_executor(pool, act)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])
        raise

"""The supervisor of `labctl up`: starts the processes of a bench, starts again what dies, and ends them in order.

If any of them dies, the bench is made safe as a whole and nobody is in control any more: half a bench must not go on
making light. If the supervisor dies, every process makes its devices safe and ends.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import zmq

from drivers.errors import BusError, ConfigurationError, DeviceTimeout, LabError
from labctl.bench.config import BenchConfig
from labctl.bus import segments
from labctl.bus.transport import Address
from labctl.server import logs, runtime
from labctl.server.children import FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S, LONGEST_BACK_OFF_WITH_LASERS_S, Child, Children
from labctl.server.directory import Heart
from labctl.server.emergency import stop_everything
from labctl.server.layout import Layout
from labctl.server.worker import Blow

log = logging.getLogger(__name__)

_START_PATIENCE_S = 300.0
_HEALTHY_AFTER_S = 30.0
_SWEEP_EVERY_S = 1.0
_STRIKE_PATIENCE_S = 5.0
_blows = itertools.count(1)


class Supervisor:
    """Runs a bench as one process per server, one for the world if it has one, and one for the directory."""

    def __init__(self, config: BenchConfig, context: zmq.Context[Any], *, instruments_only: bool = False) -> None:
        """instruments_only: run the emulated instruments and their world, and nothing that drives them."""
        self._config = config
        self._context = context
        self._heart: Heart | None = None
        self.log_file = logs.new_file(config.name)
        layout = Layout(config, str(self.log_file))
        self.entry = layout.entry
        self.directory_advertised = layout.directory_advertised
        self.world_endpoint = layout.world
        self._children = Children(layout.instruments() if instruments_only else layout.tasks())

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and wait until it is ready. The first error of a process is raised here."""
        self._announce(ready=False)
        logs.set_up(self._config.name, "supervisor", self.log_file)
        deadline = time.monotonic() + _START_PATIENCE_S
        while not self._children.all_ready:
            self._start_what_can()
            for child in self._children.changed(0.2):
                if child.ended or child.process is None:
                    raise child.failure(str(self.log_file))
            if time.monotonic() > deadline:
                waiting = [child.label for child in self._children if not child.ready]
                raise BusError(
                    f"{', '.join(waiting)} did not start within {_START_PATIENCE_S:g} s; see {self.log_file}"
                )
        self._heart = Heart(self._context, self.entry.directory, "supervisor", self._state)
        self._heart.start()
        with contextlib.suppress(LabError):
            self._heart.beat()
        self._announce(ready=True)

    @property
    def connections(self) -> dict[str, dict[str, Any]]:
        """What leads to the emulated instruments, by device: options of their drivers."""
        return {c.task.name: c.connection for c in self._children.of_role("emulator")}

    def strike(self, device: str, fault: str | None = None, mutation: str | None = None) -> None:
        """Break an emulated instrument while everything is up: a drill. With neither, it is mended.

        fault, mutation: of `simulators.emulators.base`. Raises ConfigurationError if the device is not emulated or has
        no such one.
        """
        child = next((c for c in self._children.of_role("emulator") if c.task.name == device), None)
        if child is None:
            names = ", ".join(c.task.name for c in self._children.of_role("emulator")) or "none are"
            raise ConfigurationError(f"{device} is not emulated on bench {self._config.name}; emulated: {names}")
        emulator = self._config.devices[device].emulator
        for what, named, known in (
            ("fault", fault, emulator.faults),
            ("mutation", mutation, emulator.mutations),
        ):
            if named is not None and named not in known:
                raise ConfigurationError(f"{device}: no {what} {named!r}; it has {', '.join(sorted(known))}")
        blow = Blow(next(_blows), fault, mutation)
        child.strike(blow)
        deadline = time.monotonic() + _STRIKE_PATIENCE_S
        while child.struck < blow.number:
            if time.monotonic() > deadline:
                raise DeviceTimeout(f"{device}: its emulated instrument did not answer within {_STRIKE_PATIENCE_S:g} s")
            time.sleep(0.002)

    def watch(self, ended: Callable[[], bool] = lambda: False) -> None:
        """Start again what dies, until interrupted, or until ``ended`` says so."""
        swept = time.monotonic()
        while not ended():
            for child in self._children.changed(0.1):
                if child.ended:
                    self._died(child)
            self._start_what_can()
            now = time.monotonic()
            for child in self._children:
                if child.ready and now - child.started > _HEALTHY_AFTER_S:
                    child.back_off_s = FIRST_BACK_OFF_S
            if now - swept > _SWEEP_EVERY_S:
                swept = now
                self._children.kill_silent()
                if self._children.all_ready:
                    self._children.keep_spare()
                for name in segments.sweep():
                    log.warning("removed the shared memory %s of a process that died", name)

    def _start_what_can(self) -> None:
        """Start every process that has none; servers wait for the emulated instruments of their devices."""
        now = time.monotonic()
        for child in self._children:
            if child.process is not None or now < child.start_at:
                continue
            if child.task.role == "server":
                needed = [c for c in self._children if c.task.role == "emulator" and self._uses(child, c)]
                if not all(instrument.ready for instrument in needed):
                    continue
                connections = {c.task.name: c.connection for c in needed}
                child.task = msgspec.structs.replace(child.task, connections=connections)
            self._children.spawn(child)

    def _uses(self, server: Child, instrument: Child) -> bool:
        return instrument.task.name in self._config.servers[server.task.name]

    def end(self) -> None:
        """Make everything safe, then end the processes: servers, world, directory. Leaves nothing behind."""
        # A second Ctrl-C, or a terminal that closes meanwhile, must not leave half of it undone with the light on.
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name) and threading.current_thread() is threading.main_thread():
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        if self._heart is not None:
            self._heart.stop()
        self._make_safe("the bench is being taken down: every device was made safe", self._children.of_role("server"))
        self._children.end_spare()
        for role in ("server", "emulator", "world", "directory"):
            group = self._children.of_role(role)
            for child in group:
                child.tell_to_end()
            for child in group:
                child.wait_or_kill()
                child.forget()
        runtime.withdraw(self.entry)
        segments.sweep()

    def _died(self, child: Child) -> None:
        assert child.process is not None
        status = child.process.returncode
        how = f"signal {-status}" if status < 0 else f"status {status}"
        child.forget()
        child.deaths += 1
        reason = f"{child.label} died ({how}): every device was made safe"
        log.error("%s; it is started again in %.1f s", reason, child.back_off_s)
        others = self._children.of_role("server")
        self._make_safe(reason, others)
        # What was simulated on a world, or connected to an emulated instrument, begins anew with the new one.
        if child.task.role == "world":
            self._end_for_now([*others, *self._children.of_role("emulator")], child.back_off_s)
        elif child.task.role == "emulator":
            self._end_for_now([server for server in others if self._uses(server, child)], child.back_off_s)
        segments.sweep()
        child.start_at = time.monotonic() + child.back_off_s
        longest_s = LONGEST_BACK_OFF_WITH_LASERS_S if self._emits(child) else LONGEST_BACK_OFF_S
        child.back_off_s = min(2 * child.back_off_s, longest_s)

    def _emits(self, server: Child) -> bool:
        devices = self._config.servers.get(server.task.name, ()) if server.task.role == "server" else ()
        factories = [self._config.devices[name].factory for name in devices]
        return any(s.needs_lease for factory in factories for s in factory.declared_settings().values())

    def _end_for_now(self, children: list[Child], back_off_s: float) -> None:
        for child in children:
            child.tell_to_end()
        for child in children:
            child.wait_or_kill()
            child.forget()
            child.start_at = time.monotonic() + back_off_s

    def _make_safe(self, reason: str, servers: list[Child]) -> None:
        addresses = {c.label: Address(self.entry.emergency[c.label]) for c in servers}
        for name, result in stop_everything(self._context, addresses, reason, verb="revoke").items():
            if isinstance(result, str):
                log.error("%s: emergency stop failed: %s", name, result)

    # --- word of it -------------------------------------------------------------------------------------------------

    def _announce(self, *, ready: bool) -> None:
        with runtime.announcing():
            if not ready:
                other = runtime.find(self._config.name)
                if other is not None:
                    raise ConfigurationError(
                        f"bench {self._config.name} is up already (pid {other.pid}); stop that one first"
                    )
            self.entry = msgspec.structs.replace(self.entry, ready=ready)
            runtime.announce(self.entry)

    def _state(self) -> Mapping[str, Any]:
        return {
            child.label: {
                "pid": child.process.pid if child.process is not None else None,
                "ready": child.ready,
                "deaths": child.deaths,
                "heard_s": time.monotonic() - child.heard if child.ready else None,
            }
            for child in self._children
        }


@contextlib.contextmanager
def supervised(config: BenchConfig, *, instruments_only: bool = False) -> Iterator[Supervisor]:
    """A bench that is up; when the block is left everything is made safe and ended."""
    segments.sweep()
    context: zmq.Context[Any] = zmq.Context()
    try:
        supervisor = Supervisor(config, context, instruments_only=instruments_only)
        try:
            supervisor.start()
            yield supervisor
        finally:
            supervisor.end()
    finally:
        context.destroy(linger=0)

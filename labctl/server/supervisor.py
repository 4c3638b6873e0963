"""The supervisor of `labctl up`: starts the processes of a bench, starts again what dies, and ends them in order.

If any of them dies, the bench is made safe as a whole and nobody is in control any more: half a bench must not go on
making light. If the supervisor dies, every process makes its devices safe and ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import zmq

from drivers.errors import ERROR_TYPES, BusError, ConfigurationError, DeviceError, LabError
from labctl.bench.config import BenchConfig
from labctl.bus import security, segments
from labctl.bus.records import LANES, BenchRecord, ServerRecord
from labctl.bus.transport import Address, is_loopback
from labctl.server import logs, runtime
from labctl.server.directory import Heart
from labctl.server.emergency import stop_everything
from labctl.server.worker import Task

log = logging.getLogger(__name__)

_START_PATIENCE_S = 120.0
_END_PATIENCE_S = 8.0
_FIRST_BACK_OFF_S, _LONGEST_BACK_OFF_S = 0.05, 10.0
_HEALTHY_AFTER_S = 30.0
_SWEEP_EVERY_S = 1.0
_SILENT_AFTER_S = 10.0
"""Every process says twice a second that it lives."""


@dataclass
class _Child:
    """A process of the bench, over all its lives."""

    task: Task
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    heard: float = 0.0
    ready: bool = False
    deaths: int = 0
    start_at: float = 0.0
    back_off_s: float = _FIRST_BACK_OFF_S
    said: bytes = field(default=b"")

    @property
    def label(self) -> str:
        return self.task.name if self.task.role == "server" else self.task.role


class Supervisor:
    """Runs a bench as one process per server, one for the world if it has one, and one for the directory."""

    def __init__(self, config: BenchConfig, context: zmq.Context[Any]) -> None:
        self._config = config
        self._context = context
        self._said: queue.Queue[tuple[_Child, subprocess.Popen[bytes], bytes]] = queue.Queue()
        self._heart: Heart | None = None
        self._spare: subprocess.Popen[bytes] | None = None
        self._started_utc_ns = time.time_ns()
        self.log_file = logs.new_file(config.name)
        self._endpoints()
        self._children = {child.label: child for child in map(_Child, self._tasks())}
        self._ending = False

    # --- what is where ----------------------------------------------------------------------------------------------

    def _endpoints(self) -> None:
        config = self._config
        base = runtime.base_endpoint(config.name)
        self._local = {
            name: {lane: runtime.local_endpoint(base, f"-{name}.{lane}") for lane in LANES} for name in config.servers
        }
        self._world = runtime.local_endpoint(base, ".world") if config.world_name is not None else ""
        self._remote: dict[str, dict[str, str]] = {name: {} for name in config.servers}
        self._advertised: dict[str, dict[str, str]] = {name: {} for name in config.servers}
        self._directory_remote = self.directory_advertised = ""
        network = config.network
        self._keys = self._public_key = ""
        if network is not None:
            self._listen_for_others(network)
        self.record = runtime.HostRecord(
            bench=config.name,
            pid=os.getpid(),
            fingerprint=config.fingerprint,
            bench_file=str(config.path.resolve()),
            started_utc_ns=self._started_utc_ns,
            directory=runtime.local_endpoint(base, ".directory"),
            remote=self.directory_advertised,
            emergency={name: lanes["stop"] for name, lanes in self._local.items()},
            log_file=str(self.log_file),
            ready=False,
            process_start=segments.process_start(os.getpid()),
        )

    def _listen_for_others(self, network: Any) -> None:
        keys = security.load(network.keys)
        if keys is None and not is_loopback(f"tcp://{network.listen}:1"):
            raise ConfigurationError(
                f"{self._config.where('network', 'listen')}: {network.listen} can be reached from other machines and "
                f"there is no key pair {network.keys!r}: anybody could command the lasers. Make it with "
                f"`labctl keys make {network.keys}`, or listen on 127.0.0.1"
            )
        self._keys, self._public_key = (network.keys, keys.public) if keys is not None else ("", "")
        host = f"[{network.listen}]" if ":" in network.listen else network.listen
        told = network.advertise or (socket.gethostname() if network.listen in ("0.0.0.0", "::") else host)
        count = 1 + len(LANES) * len(self._config.servers)
        wildcard = network.listen in ("0.0.0.0", "::")
        ports = (
            list(range(network.port, network.port + count))
            if network.port
            else runtime.free_ports(count, "127.0.0.1" if wildcard else network.listen)
        )
        if ports[-1] > 65535:
            raise ConfigurationError(
                f"{self._config.where('network', 'port')}: {count} ports from {network.port} on are needed"
            )
        free = iter(ports)
        port = next(free)
        self._directory_remote = f"tcp://{host}:{port}"
        self.directory_advertised = f"tcp://{told}:{port}"
        for name in self._config.servers:
            lanes = {lane: next(free) for lane in LANES}
            self._remote[name] = {lane: f"tcp://{host}:{p}" for lane, p in lanes.items()}
            self._advertised[name] = {lane: f"tcp://{told}:{p}" for lane, p in lanes.items()}

    def _tasks(self) -> list[Task]:
        config = self._config
        record = BenchRecord(
            config.name,
            config.fingerprint,
            config.lease_s,
            os.getpid(),
            self._started_utc_ns,
            servers=[
                ServerRecord(
                    name=name,
                    devices=list(devices),
                    pid=0,
                    instance="",
                    local=self._local[name],
                    remote=self._advertised[name],
                    key=self._public_key if self._remote[name] else "",
                )
                for name, devices in config.servers.items()
            ],
        )

        def task(role: Any, name: str) -> Task:
            return Task(
                role=role,
                name=name,
                bench_file=str(config.path),
                overrides=dict(config.overrides),
                text=config.text,
                overlay_text=config.overlay_text,
                host=self.record,
                lanes=self._local,
                local=self._local.get(name, {}),
                remote=self._remote.get(name, {}),
                advertised=self._advertised.get(name, {}),
                world=self._world,
                directory_remote=self._directory_remote,
                keys=self._keys,
                record=record,
            )

        tasks = [task("directory", ""), *(task("server", name) for name in config.servers)]
        return [task("world", ""), *tasks] if self._world else tasks

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and wait until it is ready. The first error of a process is raised here."""
        self._announce(ready=False)
        logs.set_up(self._config.name, "supervisor", self.log_file)
        for child in self._children.values():
            self._spawn(child)
        deadline = time.monotonic() + _START_PATIENCE_S
        while not all(child.ready for child in self._children.values()):
            for child in self._events(0.2):
                if child.process is None or child.process.poll() is not None:
                    raise self._failure(child)
            if time.monotonic() > deadline:
                waiting = [child.label for child in self._children.values() if not child.ready]
                raise BusError(
                    f"{', '.join(waiting)} did not start within {_START_PATIENCE_S:g} s; see {self.log_file}"
                )
        self._heart = Heart(self._context, self.record.directory, "supervisor", self._state)
        self._heart.start()
        with contextlib.suppress(LabError):
            self._heart.beat()
        self._announce(ready=True)

    def watch(self) -> None:
        """Start again what dies, until interrupted."""
        swept = time.monotonic()
        while True:
            for child in self._events(0.1):
                if child.process is not None and child.process.poll() is not None:
                    self._died(child)
            now = time.monotonic()
            for child in self._children.values():
                if child.process is None and now >= child.start_at:
                    self._spawn(child)
                if child.ready and now - child.started > _HEALTHY_AFTER_S:
                    child.back_off_s = _FIRST_BACK_OFF_S
            if now - swept > _SWEEP_EVERY_S:
                swept = now
                self._kill_silent()
                if all(child.ready for child in self._children.values()):
                    self._keep_spare()
                for name in segments.sweep():
                    log.warning("removed the shared memory %s of a process that died", name)

    def end(self) -> None:
        """Make everything safe, then end the processes: servers, world, directory. Leaves nothing behind."""
        # A second Ctrl-C, or a terminal that closes meanwhile, must not leave half of it undone with the light on.
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name) and threading.current_thread() is threading.main_thread():
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        self._ending = True
        if self._heart is not None:
            self._heart.stop()
        alive = [c for c in self._children.values() if c.process is not None]
        servers = [c for c in alive if c.task.role == "server"]
        self._make_safe("the bench is being taken down: every device was made safe", servers)
        if self._spare is not None:
            self._spare.kill()
            self._spare.wait()
        for role in ("server", "world", "directory"):
            group = [c for c in alive if c.task.role == role]
            for child in group:
                self._tell_to_end(child)
            for child in group:
                self._wait_or_kill(child)
        runtime.withdraw(self.record)
        segments.sweep()

    # --- processes --------------------------------------------------------------------------------------------------

    def _spawn(self, child: _Child) -> None:
        child.process = process = self._spare_or_new()
        child.started = child.heard = time.monotonic()
        child.ready = False
        child.said = b""
        threading.Thread(target=self._listen, args=(child, process), daemon=True).start()
        _write(process, child.task)

    def _spare_or_new(self) -> subprocess.Popen[bytes]:
        spare, self._spare = self._spare, None
        if spare is not None and spare.poll() is None:
            return spare
        return subprocess.Popen(
            [sys.executable, "-m", "labctl.server.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C, and whatever else is sent to the group, is the supervisor's to act on
        )

    def _keep_spare(self) -> None:
        """A process that has everything imported, so that a laser whose server dies is made safe a second sooner."""
        if self._spare is None or self._spare.poll() is not None:
            self._spare = self._spare_or_new()
            first = next(iter(self._children.values()))
            _write(self._spare, msgspec.structs.replace(first.task, role="spare"))

    def _listen(self, child: _Child, process: subprocess.Popen[bytes]) -> None:
        """What a process says, line by line, and at last nothing: it closed its end, so it died or is about to."""
        assert process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in process.stdout:
                child.heard = time.monotonic()
                if line.strip():
                    self._said.put((child, process, line))
        self._said.put((child, process, b""))

    def _events(self, timeout_s: float) -> list[_Child]:
        """Children that said something or ended, after taking note of what they said."""
        changed = []
        with contextlib.suppress(queue.Empty):
            child, process, said = self._said.get(timeout=timeout_s)
            while True:
                if child.process is process:  # and not an earlier life of it
                    self._note(child, process, said)
                    changed.append(child)
                child, process, said = self._said.get_nowait()
        return changed

    def _note(self, child: _Child, process: subprocess.Popen[bytes], said: bytes) -> None:
        if not said:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_PATIENCE_S)
            if process.poll() is None:
                process.kill()
                process.wait()
        child.said += said
        if b'"ready":true' in said and not child.ready:
            child.ready = True
            log.info("%s is up (pid %d)", child.label, process.pid)

    def _kill_silent(self) -> None:
        """End processes that live but say nothing: stopped, or hung so thoroughly that no thread of theirs runs."""
        for child in self._children.values():
            silent_s = time.monotonic() - child.heard
            if child.ready and child.process is not None and silent_s > _SILENT_AFTER_S:
                log.error("%s has been silent for %.0f s and is killed", child.label, silent_s)
                child.process.kill()

    def _died(self, child: _Child) -> None:
        assert child.process is not None
        status = child.process.returncode
        how = f"signal {-status}" if status < 0 else f"status {status}"
        self._forget(child)
        child.deaths += 1
        reason = f"{child.label} died ({how}): every device was made safe"
        log.error("%s; it is started again in %.1f s", reason, child.back_off_s)
        others = [c for c in self._children.values() if c.process is not None and c.task.role == "server"]
        self._make_safe(reason, others)
        if child.task.role == "world":
            # What was simulated on it is gone; servers begin anew with the new world.
            for other in others:
                self._tell_to_end(other)
            for other in others:
                self._wait_or_kill(other)
                self._forget(other)
                other.start_at = time.monotonic() + child.back_off_s
        segments.sweep()
        child.start_at = time.monotonic() + child.back_off_s
        child.back_off_s = min(2 * child.back_off_s, _LONGEST_BACK_OFF_S)

    def _forget(self, child: _Child) -> None:
        assert child.process is not None
        assert child.process.stdin is not None
        with contextlib.suppress(OSError):
            child.process.stdin.close()
        child.process = None
        child.ready = False

    def _make_safe(self, reason: str, servers: list[_Child]) -> None:
        addresses = {c.label: Address(self.record.emergency[c.label]) for c in servers if c.ready}
        for name, result in stop_everything(self._context, addresses, reason, verb="revoke").items():
            if isinstance(result, str):
                log.error("%s: emergency stop failed: %s", name, result)

    def _tell_to_end(self, child: _Child) -> None:
        if child.process is not None and child.process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                child.process.stdin.write(b"end\n")
                child.process.stdin.flush()

    def _wait_or_kill(self, child: _Child) -> None:
        assert child.process is not None
        try:
            child.process.wait(_END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            log.error("%s did not end and is killed", child.label)
            child.process.kill()
            child.process.wait()

    def _failure(self, child: _Child) -> LabError:
        """Why a process could not start, in its own words."""
        for line in child.said.splitlines():
            with contextlib.suppress(msgspec.MsgspecError):
                told = msgspec.json.decode(line)
                if isinstance(told, dict) and told.get("ready") is False:
                    return ERROR_TYPES.get(str(told.get("error")), ConfigurationError)(str(told.get("message")))
        return DeviceError(f"{child.label} ended while it was being started; see {self.log_file}")

    # --- word of it -------------------------------------------------------------------------------------------------

    def _announce(self, *, ready: bool) -> None:
        with runtime.announcing():
            if not ready:
                other = runtime.find(self._config.name)
                if other is not None:
                    raise ConfigurationError(
                        f"bench {self._config.name} is up already (pid {other.pid}); stop that one first"
                    )
            self.record = msgspec.structs.replace(self.record, ready=ready)
            runtime.announce(self.record)

    def _state(self) -> Mapping[str, Any]:
        return {
            child.label: {
                "pid": child.process.pid if child.process is not None else None,
                "ready": child.ready,
                "deaths": child.deaths,
                "heard_s": time.monotonic() - child.heard if child.ready else None,
            }
            for child in self._children.values()
        }


def _write(process: subprocess.Popen[bytes], task: Task) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.write(msgspec.json.encode(task) + b"\n")
        process.stdin.flush()


@contextlib.contextmanager
def supervised(config: BenchConfig) -> Any:
    """A bench that is up; when the block is left everything is made safe and ended."""
    segments.sweep()
    context: zmq.Context[Any] = zmq.Context()
    try:
        supervisor = Supervisor(config, context)
        try:
            supervisor.start()
            yield supervisor
        finally:
            supervisor.end()
    finally:
        context.destroy(linger=0)

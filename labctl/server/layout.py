"""What is where in a bench that is up: endpoints of every process, near and far, and what each process is to be."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

from drivers.errors import ConfigurationError
from labctl.bench.config import BenchConfig
from labctl.bench.schema import NetworkTable
from labctl.bus import security
from labctl.bus.entries import LANES, BenchEntry, ServerEntry
from labctl.bus.segments import process_start
from labctl.bus.transport import is_loopback
from labctl.server import runtime
from labctl.server.worker import Task

_WILDCARDS = ("0.0.0.0", "::")


class Layout:
    """Endpoints of a bench. Raises ConfigurationError if it is to be reached by others and has no keys, BusError if the
    runtime folder's path is too long."""

    def __init__(self, config: BenchConfig, log_file: str) -> None:
        self._config = config
        base = runtime.base_endpoint(config.name)
        self.local = {
            name: {lane: runtime.local_endpoint(base, f"-{name}.{lane}") for lane in LANES} for name in config.servers
        }
        self.world = runtime.local_endpoint(base, ".world") if config.world_name is not None else ""
        self.remote: dict[str, dict[str, str]] = {name: {} for name in config.servers}
        self.advertised: dict[str, dict[str, str]] = {name: {} for name in config.servers}
        self.directory_remote = self.directory_advertised = ""
        self._keys = self._public_key = ""
        if config.network is not None:
            self._listen_for_others(config.network)
        self.entry = runtime.HostEntry(
            bench=config.name,
            pid=os.getpid(),
            fingerprint=config.fingerprint,
            bench_file=str(config.path.resolve()),
            started_utc_ns=time.time_ns(),
            directory=runtime.local_endpoint(base, ".directory"),
            remote=self.directory_advertised,
            emergency={name: lanes["stop"] for name, lanes in self.local.items()},
            log_file=log_file,
            ready=False,
            process_start=process_start(os.getpid()),
        )

    def _listen_for_others(self, network: NetworkTable) -> None:
        keys = security.load(network.keys)
        if keys is None and not is_loopback(f"tcp://{network.listen}:1"):
            raise ConfigurationError(
                f"{self._config.where('network', 'listen')}: {network.listen} can be reached from other machines and "
                f"there is no key pair {network.keys!r}: anybody could command the lasers. Make it with "
                f"`labctl keys make {network.keys}`, or listen on 127.0.0.1"
            )
        if keys is not None:
            self._keys, self._public_key = network.keys, keys.public
        host = f"[{network.listen}]" if ":" in network.listen else network.listen
        told = network.advertise or (socket.gethostname() if network.listen in _WILDCARDS else host)
        free = iter(self._ports(network))
        port = next(free)
        self.directory_remote = f"tcp://{host}:{port}"
        self.directory_advertised = f"tcp://{told}:{port}"
        for name in self._config.servers:
            ports = {lane: next(free) for lane in LANES}
            self.remote[name] = {lane: f"tcp://{host}:{p}" for lane, p in ports.items()}
            self.advertised[name] = {lane: f"tcp://{told}:{p}" for lane, p in ports.items()}

    def _ports(self, network: NetworkTable) -> list[int]:
        count = 1 + len(LANES) * len(self._config.servers)
        if not network.port:
            return runtime.free_ports(count, "127.0.0.1" if network.listen in _WILDCARDS else network.listen)
        ports = list(range(network.port, network.port + count))
        if ports[-1] > 65535:
            raise ConfigurationError(
                f"{self._config.where('network', 'port')}: {count} ports from {network.port} on are needed"
            )
        return ports

    # --- what each process is to be ---------------------------------------------------------------------------------

    def tasks(self) -> list[Task]:
        """The world, if the bench has one, emulated instruments, the directory, and every device server."""
        tasks = [self._task("directory", ""), *(self._task("server", name) for name in self._config.servers)]
        return [*self.instruments(), *tasks]

    def instruments(self) -> list[Task]:
        """The world and the emulated instruments in it."""
        if not self.world:
            return []
        return [self._task("world", ""), *(self._task("emulator", device.name) for device in self._config.emulated)]

    def _task(self, role: Any, name: str) -> Task:
        config = self._config
        return Task(
            role=role,
            name=name,
            bench_file=str(config.path),
            overrides=dict(config.overrides),
            text=config.text,
            overlay_text=config.overlay_text,
            host=self.entry,
            lanes=self.local,
            local=self.local.get(name, {}),
            remote=self.remote.get(name, {}),
            advertised=self.advertised.get(name, {}),
            world=self.world,
            directory_remote=self.directory_remote,
            keys=self._keys,
            entry=self._bench_entry(),
        )

    def _bench_entry(self) -> BenchEntry:
        servers = [
            ServerEntry(
                name=name,
                devices=list(devices),
                pid=0,
                instance="",
                local=self.local[name],
                remote=self.advertised[name],
                key=self._public_key if self.remote[name] else "",
            )
            for name, devices in self._config.servers.items()
        ]
        return BenchEntry(
            bench=self._config.name,
            fingerprint=self._config.fingerprint,
            lease_s=self._config.lease_s,
            supervisor_pid=self.entry.pid,
            started_utc_ns=self.entry.started_utc_ns,
            servers=servers,
        )

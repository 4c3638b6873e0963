"""The bench as an experiment sees it: devices by role, one lease, bench time; on whichever backend."""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import zmq
from pydantic import BaseModel

from drivers.errors import BusError, ConfigurationError, LabError
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.bus.connection import Connection
from labctl.bus.proxy import DeviceProxy
from labctl.server import runtime

_RENEWALS_PER_LEASE = 4
_CONTROL_TIMEOUT_S = 2.0
_numbers = itertools.count(1)


class NoSuchDevice(ConfigurationError, AttributeError):
    """An experiment asks for a role that the bench file does not give to any device."""


class Bench:
    """Devices of a bench file, reached over the bus.

    Roles are attributes (``bench.camera``) or items (``bench["camera"]``). Light needs control:

        with bench.control():
            bench.source.emission = True
    """

    def __init__(self, config: BenchConfig, context: zmq.Context[Any], control_endpoint: str) -> None:
        self._config = config
        self._context = context
        self._lease = ""
        self._connections: dict[str, Connection] = {}
        self._control = Connection(context, control_endpoint, patience_s=_CONTROL_TIMEOUT_S)
        try:
            hello = self._control.request("", "hello", timeout_s=10.0)
            for name, endpoint in hello["endpoints"].items():
                self._connections[name] = Connection(
                    context,
                    endpoint,
                    patience_s=hello["lease_s"] / _RENEWALS_PER_LEASE,
                    while_waiting=self._sign_of_life,
                )
            self._devices = {
                device: DeviceProxy(self._connections[server], device, self._control)
                for server, devices in hello["servers"].items()
                for device in devices
            }
        except BaseException:
            self.close()  # an open socket would keep the context from ending
            raise

    # --- devices ----------------------------------------------------------------------------------------------------

    def __getattr__(self, role: str) -> DeviceProxy:
        devices: dict[str, DeviceProxy] = self.__dict__.get("_devices", {})
        if role.startswith("_") or role not in devices:
            raise NoSuchDevice(f"the bench has no device {role!r}; it has {', '.join(devices)}")
        return devices[role]

    def __getitem__(self, role: str) -> DeviceProxy:
        if role not in self._devices:
            raise NoSuchDevice(f"bench {self._config.name} has no device {role!r}; it has {', '.join(self._devices)}")
        return self._devices[role]

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._devices]

    def __repr__(self) -> str:
        return f"<bench {self._config.name!r}: {', '.join(self._devices)}>"

    @property
    def name(self) -> str:
        """The bench's name."""
        return self._config.name

    @property
    def devices(self) -> Mapping[str, DeviceProxy]:
        """All devices by role."""
        return self._devices

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Every setting of every device as read back now."""
        return {name: device.snapshot() for name, device in self._devices.items()}

    def alignment(self, name: str) -> BaseModel:
        """The bench file's ``[alignment.NAME]``; ConfigurationError if it has none."""
        if name not in self._config.alignment:
            raise ConfigurationError(
                f"bench {self._config.name} ({self._config.path}) has no [alignment.{name}]; add it to the bench file"
            )
        return self._config.alignment[name]

    # --- control ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def control(self, purpose: str = "script") -> Iterator[Bench]:
        """Exclusive control. Every call to the bench renews the lease; leaving makes every device safe.

        Raises LeaseError if somebody else has control.
        """
        holder = f"{purpose} ({getpass.getuser()}@{socket.gethostname()}, pid {os.getpid()})"
        self._lease = self._control.request("", "acquire", arguments=holder, timeout_s=30.0)
        for connection in (*self._connections.values(), self._control):
            connection.lease = self._lease
        try:
            yield self
        finally:
            try:
                # Makes every device safe. The control lane acts at once, even while a long sequence is being played.
                self._control.request("", "release", timeout_s=_CONTROL_TIMEOUT_S)
            finally:
                self._lease = ""
                for connection in (*self._connections.values(), self._control):
                    connection.lease = ""

    def renew(self) -> None:
        """Renew the lease without doing anything else, in a loop that has no call to make."""
        if self._lease:
            self._control.request("", "renew", timeout_s=_CONTROL_TIMEOUT_S)

    def safe(self) -> None:
        """Every device to its safe state, now, whoever has control."""
        self._control.request("", "safe", timeout_s=_CONTROL_TIMEOUT_S)

    def time_s(self) -> float:
        """Bench time: what the experiment takes on the table, whatever the simulation takes."""
        return float(self._control.request("", "time", timeout_s=_CONTROL_TIMEOUT_S)) / 1e9

    def status(self) -> dict[str, Any]:
        """Servers, devices, lease."""
        value: dict[str, Any] = self._control.request("", "status", timeout_s=_CONTROL_TIMEOUT_S)
        return value

    def _sign_of_life(self) -> None:
        self._control.request("", "renew" if self._lease else "ping", timeout_s=_CONTROL_TIMEOUT_S)

    def close(self) -> None:
        """Disconnect from the servers."""
        for connection in self._connections.values():
            connection.close()
        self._control.close()


@contextlib.contextmanager
def open_bench(source: str | Path | BenchConfig, overrides: Mapping[str, object] | None = None) -> Iterator[Bench]:
    """A bench ready for use: that of a running `labctl up` if there is one, else served in this process.

    source: path or name of a bench file, or a loaded one. overrides: dotted keys such as ``world.seed``.

    Raises ConfigurationError if a server for this bench runs with another configuration.
    """
    config = source if isinstance(source, BenchConfig) else load_bench(source, overrides or {})
    context: zmq.Context[Any] = zmq.Context()
    try:
        with contextlib.ExitStack() as stack:
            record = runtime.find(config.name)
            if record is not None:
                _must_match(config, record)
                control = record.control_endpoint
            else:
                from labctl.server.host import running

                host = stack.enter_context(running(config, context, f"inproc://labctl-{os.getpid()}-{next(_numbers)}"))
                control = host.control_endpoint
            bench = Bench(config, context, control)
            stack.callback(bench.close)
            yield bench
    finally:
        context.term()


def _must_match(config: BenchConfig, record: runtime.HostRecord) -> None:
    if record.fingerprint != config.fingerprint:
        raise ConfigurationError(
            f"a server for bench {config.name} is up (pid {record.pid}) with another configuration; give the same "
            "bench file and --set options, or stop it (Ctrl-C in its terminal) and start it again with these"
        )


__all__ = ["Bench", "BusError", "LabError", "open_bench"]

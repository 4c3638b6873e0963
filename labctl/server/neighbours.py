"""Other servers of a bench as seen from one of its processes: what composites and interlocks reach there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import zmq

from drivers.contract import DeviceDescription
from drivers.errors import BusError
from labctl.bench.config import BenchConfig
from labctl.bus.connection import Connection
from labctl.bus.entries import ServerEntry
from labctl.bus.reach import Reach
from labctl.bus.ring import Arena
from labctl.server.server import DeviceServer

_DESCRIBE_PATIENCE_S = 60.0
_CONTROL_PATIENCE_S = 0.2


class Neighbours:
    """Servers by name. near: those of this process. elsewhere: endpoints of the others by lane."""

    def __init__(
        self,
        config: BenchConfig,
        context: zmq.Context[Any],
        arena: Arena,
        near: Mapping[str, DeviceServer],
        elsewhere: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._config = config
        self._context = context
        self._arena = arena
        self._near = near
        self._elsewhere = {name: dict(lanes) for name, lanes in elsewhere.items()}
        self._reaches: dict[str, Reach] = {}
        self._leaving = False

    def reached(self, server: str, device: str) -> tuple[Reach, DeviceDescription]:
        """A server, and a device of it; both may be starting at the same time as this process.

        Raises BusError if the device does not come within a minute, or this process is being closed.
        """
        if server not in self._reaches:
            entry = ServerEntry(
                server, list(self._config.servers[server]), pid=0, instance="", local=self._lanes(server)
            )
            reach = self._reaches[server] = Reach(entry, self._context, arena=self._arena, watch=self._watch)
            for connection in (reach.calls, reach.control):
                connection.side.delegated = True
        reach = self._reaches[server]
        deadline = time.monotonic() + _DESCRIBE_PATIENCE_S
        while True:
            try:
                if not reach.instance:
                    reach.greet()
                return reach, reach.describe(device)
            except BusError:
                self._must_stay()
                if time.monotonic() > deadline or server in self._near:
                    raise
                time.sleep(0.05)

    def control_of(self, server: str) -> Connection:
        """A connection to the control lane of a server, for interlocks."""
        connection = Connection(self._context, self._lanes(server)["control"], patience_s=_CONTROL_PATIENCE_S)
        connection.set_send_patience(_CONTROL_PATIENCE_S)
        return connection

    def leave(self) -> None:
        """Wait for none of them any more. From any thread."""
        self._leaving = True

    def close(self) -> None:
        """Disconnect from all."""
        for reach in self._reaches.values():
            reach.close()
        self._reaches.clear()

    def _lanes(self, server: str) -> dict[str, str]:
        near = self._near.get(server)
        return near.entry().local if near is not None else self._elsewhere[server]

    def _watch(self, reach: Reach, session: str, number: int) -> str | None:
        self._must_stay()
        return reach.whereabouts(session, number)

    def _must_stay(self) -> None:
        if self._leaving:
            raise BusError(f"bench {self._config.name} is being closed")

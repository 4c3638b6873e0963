"""A device server as somebody reaches it: a connection for each lane, and whether it was started again since."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import zmq

from drivers.contract import DeviceDescription
from drivers.errors import BusError, LabError
from labctl.bus.connection import Connection
from labctl.bus.entries import ServerEntry
from labctl.bus.ring import Arena
from labctl.bus.roles import Role
from labctl.bus.security import KeyPair

_PATIENCE_S = 0.2
_CONTROL_TIMEOUT_S = 2.0
_SEND_PATIENCE_S = 0.7
_DESCRIBE_TIMEOUT_S = 10.0


class Reach:
    """Calls, control and emergency lane of one server.

    watch: asked, with this object, session and number, while a call is waited for; see `Connection`. By default it
    finds out whether the call still lives.
    """

    def __init__(
        self,
        entry: ServerEntry,
        context: zmq.Context[Any],
        *,
        remote: bool = False,
        keys: KeyPair | None = None,
        arena: Arena | None = None,
        patience_s: float = 0.5,
        watch: Callable[[Reach, str, int], str | None] | None = None,
    ) -> None:
        self.entry = entry
        self.instance = ""
        self._doubts = 0

        def connection(lane: str, **options: Any) -> Connection:
            return Connection(context, entry.address(lane, remote=remote), keys=keys, **options)

        self.control = connection("control", patience_s=_PATIENCE_S)
        self.stop = connection("stop", patience_s=_PATIENCE_S)
        for short in (self.control, self.stop):  # whoever does not listen there is gone
            short.set_send_patience(_SEND_PATIENCE_S)
        self.calls = connection(
            "calls",
            patience_s=patience_s,
            while_waiting=lambda session, number: (watch or Reach.whereabouts)(self, session, number),
            abandoned=self.cancel,
            arena=arena,
        )

    def greet(self) -> None:
        """Learn which start of the server this is. The calls, which may be busy, and the emergency lane, which must
        not wait, are not asked."""
        self.control.forget_greeting()
        self.instance = self.control.about()["instance"]
        self._doubts = 0
        self.calls.adopt(self.control)
        self.stop.adopt(self.control)

    def describe(self, device: str) -> DeviceDescription:
        """What a device is; its server's calls, which may be busy, are not asked."""
        for description in self.control.request("", "describe", timeout_s=_DESCRIBE_TIMEOUT_S):
            if description.name == device:
                found: DeviceDescription = description
                return found
        raise BusError(f"server {self.entry.name} has no device {device!r} (yet)")

    def whereabouts(self, session: str, number: int) -> str | None:
        """Where a call is. BusError if it went down with an earlier start of the server."""
        answer = self.control.request("", "renew-where", "", [session, number], _CONTROL_TIMEOUT_S)
        return self.still(*answer)

    def still(self, instance: str, where: str) -> str:
        """Hold what the server says of a call against what was known. BusError if the call went down with an earlier
        start of the server."""
        known = where in ("running", "done")
        self._doubts = 0 if known or instance == self.instance else self._doubts + 1
        if instance != self.instance and (known or self._doubts > 1):
            self.greet()
            if not known:
                raise BusError(
                    f"server {self.entry.name} ended during a call and was started again; whether the call was "
                    "executed is not known. Every device was made safe"
                )
        return where

    def cancel(self, session: str, number: int) -> None:
        """What nobody waits for need not be begun."""
        with contextlib.suppress(LabError):
            self.control.request("", "cancel", arguments=[session, number], timeout_s=0.5)

    def set_lease(self, token: str, thread: int = 0) -> None:
        """In whose name requests are made from now on, and which thread's requests renew it."""
        for connection in (self.calls, self.control):
            connection.lease = token
            connection.side.renewing_thread = thread

    def cap_role(self, role: Role) -> None:
        """From now on requests are executed in at most this role: they are made for others, who may do no more."""
        for connection in (self.calls, self.control, self.stop):
            connection.side.role_cap = int(role)

    def close(self) -> None:
        """Disconnect, giving back the shared memory that is not in use any more."""
        self.calls.say_goodbye()
        for connection in (self.calls, self.control, self.stop):
            connection.close()

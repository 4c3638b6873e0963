"""One process owns a world; devices in other processes reach it by a private socket and shared memory.

`WorldHome` is the owner's side, `RemoteWorld` what a device server gives its simulated devices in place of the world.
Both offer the same four things: ``parameters``, ``clock``, ``state`` and the world's operations.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray
from pydantic import BaseModel

from drivers.errors import BusError
from labctl.bus.connection import Connection
from labctl.bus.messages import Request
from labctl.bus.ring import Arena
from labctl.bus.roles import Caller
from labctl.bus.segments import Attachments, Segment, process_alive
from labctl.bus.server_side import ServerSide
from labctl.bus.values import revive
from labctl.server.lane import Lane

_CELLS = 64
"""Shared numbers of the clock: its two zeros, and the time of each process that moves it."""
_PATIENCE_S = 0.5
_START_WITHIN_S = 3600.0
_START_PATIENCE_S = 280.0
"""A world that was never run on this machine compiles first."""
_DIED = "the world's process died; the bench starts it and its devices again"


def operations_of(world_type: type) -> set[str]:
    """Names of a world's methods that devices may call."""
    return {
        name
        for base in world_type.__mro__
        for name, member in vars(base).items()
        if getattr(member, "__operation__", None) is not None
    }


def _shared_parts(memory: Any, world_type: Any) -> tuple[NDArray[np.int64], NDArray[Any]]:
    cells = np.frombuffer(memory, np.int64, _CELLS)
    state = np.frombuffer(memory, world_type.State, 1, 8 * _CELLS)
    return cells, state


class WorldHome:
    """The world and the private lane to it. Calls are executed one at a time; none of them sleeps."""

    def __init__(
        self, world_type: Any, parameters: BaseModel, clock: str, context: zmq.Context[Any], endpoint: str
    ) -> None:
        self._segment = Segment(8 * _CELLS + world_type.State.itemsize)
        cells, state = _shared_parts(self._segment.memory, world_type)
        self.world = world_type(parameters, world_type.clock_of_kind(clock, cells, 0), state)
        warm_up = getattr(self.world, "warm_up", None)
        if warm_up is not None and not self.world.clock.virtual:  # nobody waits in virtual time
            warm_up()
        self._operations = operations_of(world_type)
        self._entered: dict[str, int] = {}
        self._arena = Arena()
        rules = ServerSide("world", None, self._arena, shares_memory=True, writable=True)
        self.lane = Lane(context, endpoint, self._handle, rules)

    def start(self) -> None:
        """Listen."""
        self.lane.start()

    def close(self) -> None:
        """Stop listening and take the shared memory's name away."""
        self.lane.stop()
        self._arena.close()
        self._segment.close()

    def _handle(self, request: Request, caller: Caller) -> Any:
        match request.verb:
            case "enter":
                # A server that was started again takes its predecessor's place: so time never goes back.
                own = self._entered.setdefault(request.name, len(self._entered) + 1)
                if own > _CELLS - 3:
                    raise BusError(f"{own} processes want to enter this world; {_CELLS - 3} can")
                return {"segment": self._segment.name, "own": own, "pid": os.getpid()}
            case "call":
                return self._call(request)
        raise BusError(f"unknown verb {request.verb!r} for a world")

    def _call(self, request: Request) -> Any:
        if request.name not in self._operations:
            raise BusError(f"the world has no operation {request.name!r:.80}")
        arguments = request.arguments
        if not (isinstance(arguments, list) and [type(a) for a in arguments] == [list, dict]):
            raise BusError(f"world.{request.name}: malformed arguments")
        positional, named = revive(arguments[0]), {str(k): revive(v) for k, v in arguments[1].items()}
        made = None
        if isinstance(named.get("out"), list):  # too small for shared memory, or none was free: filled here
            shape, dtype = named["out"]
            made = named["out"] = np.empty([int(n) for n in shape], np.dtype({"u2": "<u2", "f8": "<f8"}[dtype]))
        value = getattr(self.world, request.name)(*positional, **named)
        return [value, made]


class RemoteWorld:
    """A world in another process. Calls from several threads each have a connection of their own."""

    def __init__(
        self,
        world_type: Any,
        parameters: BaseModel,
        clock: str,
        context: zmq.Context[Any],
        endpoint: str,
        arena: Arena,
        name: str,
    ) -> None:
        """name: of the device server that enters."""
        self.parameters = parameters
        self._context = context
        self._endpoint = endpoint
        self._arena = arena
        self._pid = 0
        self._gone = False
        self._own_connection = threading.local()
        self._connections: list[Connection] = []
        told = self._connection().request("world", "enter", name, timeout_s=_START_PATIENCE_S)
        self._pid = told["pid"]
        self._connection().set_send_patience(_PATIENCE_S)
        self._attachments = Attachments(writable=True)
        cells, self.state = _shared_parts(self._attachments.memory(told["segment"]), world_type)
        self.clock = world_type.clock_of_kind(clock, cells, told["own"])
        for name in operations_of(world_type):
            setattr(self, name, self._operation(name, getattr(world_type, name)))

    @property
    def lives(self) -> bool:
        """Whether its process has not ended: another one in its place has other memory."""
        return process_alive(self._pid)

    def close(self) -> None:
        """Disconnect."""
        for connection in self._connections:
            connection.close()

    def _operation(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(method)
        writes = "out" in signature.parameters

        @functools.wraps(method)
        def call(*positional: Any, **named: Any) -> Any:
            out = None
            if writes:
                named = dict(signature.bind(None, *positional, **named).arguments)
                named.pop("self")
                positional = ()
                if isinstance(named.get("out"), np.ndarray) and not self._arena.holds(named["out"]):
                    out = named["out"]
                    named["out"] = [list(out.shape), out.dtype.str[1:]]
            value, made = self._ask(name, positional, named)
            if out is not None:
                out[...] = made
            return value

        return call

    def _ask(self, name: str, positional: Any, named: Any) -> Any:
        if self._gone:
            raise BusError(f"world.{name}: {_DIED}")
        try:
            return self._connection().request("world", "call", name, [positional, named])
        except BusError:
            self._gone = not process_alive(self._pid)
            raise

    def _connection(self) -> Connection:
        found: Connection | None = getattr(self._own_connection, "connection", None)
        if found is None:
            found = Connection(
                self._context, self._endpoint, _PATIENCE_S, lambda session, number: self._must_live(), arena=self._arena
            )
            found.side.start_within_s = _START_WITHIN_S  # the world may be computing for another device
            found.set_send_patience(_PATIENCE_S if self._pid else _START_PATIENCE_S)
            self._own_connection.connection = found
            self._connections.append(found)
        return found

    def _must_live(self) -> None:
        if self._pid and not process_alive(self._pid):
            raise BusError(_DIED)

"""pyleco (LECO): a parameter of an Actor's device, read by a Director through a Coordinator; three processes.

Defaults throughout, but for two things that take no part in a call: the Coordinator binds to the loopback on a free
port instead of to all interfaces, and the Director waits longer than 0.1 s before it gives up on a loaded machine.
"""

from __future__ import annotations

import sys
from typing import Any

import zmq
from pyleco.actors.actor import Actor
from pyleco.coordinators.coordinator import Coordinator
from pyleco.directors.director import Director
from pyleco.utils.coordinator_utils import ZmqMultiSocket

from benchmarks.peers import SETTING, VALUE, Peer, check
from benchmarks.peers.process import ServerProcess, announce

_HOST = "127.0.0.1"
_ACTOR = "camera"
_TIMEOUT_S = 5.0


class PylecoPeer(Peer):
    """`Director.get_parameters`, pyleco's direct way to read a parameter."""

    name = "pyleco"

    def __init__(self) -> None:
        self._servers: list[ServerProcess] = []
        self._director: Any = None

    def start(self) -> None:
        coordinator = ServerProcess("benchmarks.peers.pyleco_peer", "coordinator")
        self._servers.append(coordinator)
        self._servers.append(ServerProcess("benchmarks.peers.pyleco_peer", "actor", coordinator.address))
        self._director = Director(actor=_ACTOR, host=_HOST, port=int(coordinator.address), timeout=_TIMEOUT_S)

    def call(self) -> None:
        check(self._director.get_parameters((SETTING,))[SETTING])

    def stop(self) -> None:
        if self._director is not None:
            self._director.close()
            self._director = None
        while self._servers:
            self._servers.pop().stop()


class Camera:
    """The device of the measurement."""

    exposure_s = VALUE


class _AnnouncedActor(Actor):
    """An Actor that says when the Coordinator knows it."""

    _announced = False

    def finish_sign_in(self, response_message: Any) -> None:
        super().finish_sign_in(response_message)
        if not self._announced:
            self._announced = True
            announce(self.full_name)


class _LoopbackSocket(ZmqMultiSocket):
    def bind(self, host: str = "*", port: str | int = 0) -> None:
        super().bind(_HOST, port)

    @property
    def port(self) -> str:
        return str(self._sock.getsockopt_string(zmq.LAST_ENDPOINT)).rpartition(":")[2]


def _serve_coordinator() -> None:
    socket = _LoopbackSocket()
    with Coordinator(host=_HOST, port=0, multi_socket=socket) as coordinator:
        announce(socket.port)
        coordinator.routing()


def _serve_actor(port: int) -> None:
    with _AnnouncedActor(_ACTOR, Camera, host=_HOST, port=port) as actor:
        actor.connect()
        actor.listen()


if __name__ == "__main__":
    if sys.argv[2] == "coordinator":
        _serve_coordinator()
    else:
        _serve_actor(int(sys.argv[3]))

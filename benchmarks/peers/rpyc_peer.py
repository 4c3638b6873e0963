"""RPyC: an exposed method of a service behind a threaded server on a unix socket.

`connection.root.read(...)` is how RPyC's tutorial calls a service. It fetches the method as a netref, calls it and
releases it, so that one call is two round trips and a message.
"""

from __future__ import annotations

from typing import Any

import rpyc
from rpyc.utils.factory import unix_connect
from rpyc.utils.server import ThreadedServer

from benchmarks.peers import SETTING, VALUE, Peer, check
from benchmarks.peers.process import ServerProcess, announce, socket_folder


class RpycPeer(Peer):
    """A connection with RPyC's default configuration."""

    name = "rpyc"

    def __init__(self) -> None:
        self._server: ServerProcess | None = None
        self._connection: Any = None

    def start(self) -> None:
        self._server = ServerProcess("benchmarks.peers.rpyc_peer")
        self._connection = unix_connect(self._server.address)

    def call(self) -> None:
        check(self._connection.root.read(SETTING))

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._server is not None:
            self._server.stop()
            self._server = None


class Camera(rpyc.Service):
    """The device of the measurement."""

    def __init__(self) -> None:
        self._settings = {SETTING: VALUE}

    def exposed_read(self, name: str) -> float:
        return self._settings[name]


def _serve() -> None:
    address = str(socket_folder() / "server")
    server = ThreadedServer(Camera, socket_path=address)
    server.listener.listen(server.backlog)  # start() does it too, but too late for a client that was told the address
    announce(address)
    server.start()


if __name__ == "__main__":
    _serve()

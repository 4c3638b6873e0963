"""Pyro5: a method of an exposed object behind a daemon on a unix socket, with the default serializer (serpent)."""

from __future__ import annotations

from typing import Any

import Pyro5.api

from benchmarks.peers import SETTING, VALUE, Peer, check
from benchmarks.peers.process import ServerProcess, announce, socket_folder


class Pyro5Peer(Peer):
    """A proxy made from the object's URI; the name server is left out, since it takes no part in a call."""

    name = "pyro5"

    def __init__(self) -> None:
        self._server: ServerProcess | None = None
        self._camera: Any = None

    def start(self) -> None:
        self._server = ServerProcess("benchmarks.peers.pyro5_peer")
        self._camera = Pyro5.api.Proxy(self._server.address)

    def call(self) -> None:
        check(self._camera.read(SETTING))

    def stop(self) -> None:
        if self._camera is not None:
            self._camera._pyroRelease()
            self._camera = None
        if self._server is not None:
            self._server.stop()
            self._server = None


@Pyro5.api.expose
class Camera:
    """The device of the measurement."""

    def __init__(self) -> None:
        self._settings = {SETTING: VALUE}

    def read(self, name: str) -> float:
        return self._settings[name]


def _serve() -> None:
    daemon = Pyro5.api.Daemon(unixsocket=str(socket_folder() / "daemon"))
    announce(str(daemon.register(Camera(), "camera")))
    daemon.requestLoop()


if __name__ == "__main__":
    _serve()

"""The baseline: 100 bytes from a DEALER to a ROUTER over ipc and back; no poller, no timeout, no encoding."""

from __future__ import annotations

import zmq

from benchmarks.peers import Peer
from benchmarks.peers.process import ServerProcess, announce, socket_folder

_MESSAGE = bytes(range(100))


class RawIpc(Peer):
    """pyzmq alone; the server returns the message."""

    name = "raw-ipc"

    def __init__(self) -> None:
        self._server: ServerProcess | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None

    def start(self) -> None:
        self._server = ServerProcess("benchmarks.peers.raw_ipc")
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.connect(self._server.address)

    def call(self) -> None:
        self._socket.send(_MESSAGE)
        if self._socket.recv() != _MESSAGE:
            raise ValueError("the message came back changed")

    def stop(self) -> None:
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None
        if self._server is not None:
            self._server.stop()
            self._server = None


def _serve() -> None:
    router: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    address = f"ipc://{socket_folder()}/router"
    router.bind(address)
    announce(address)
    while True:
        router.send_multipart(router.recv_multipart())


if __name__ == "__main__":
    _serve()

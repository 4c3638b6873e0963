"""A link between two addresses of this machine that can be cut, as if somebody pulled the cable."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator


class Link:
    """Forwards tcp connections from ``near`` to ``far``, port by port, until it is cut."""

    def __init__(self, near: str, far: str, ports: list[int]) -> None:
        self.up = True
        self._far = far
        self._listening: dict[socket.socket, int] = {}
        self._peers: dict[socket.socket, socket.socket] = {}
        self._ended = False
        for port in ports:
            made = socket.socket()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((near, port))
            made.listen()
            self._listening[made] = port
        self._thread = threading.Thread(target=self._forward, daemon=True)
        self._thread.start()

    def _forward(self) -> None:
        while not self._ended:
            ready, _, _ = select.select([*self._listening, *self._peers], [], [], 0.05)
            if not self.up:  # nothing passes and nobody is told
                threading.Event().wait(0.01)
                continue
            for one in ready:
                if one in self._listening:
                    self._accept(one)
                elif one in self._peers:
                    self._pass_on(one)

    def _accept(self, listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        try:
            onward = socket.create_connection((self._far, self._listening[listening]))
        except OSError:  # nobody listens there now
            accepted.close()
            return
        for end in (accepted, onward):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers[accepted], self._peers[onward] = onward, accepted

    def _pass_on(self, one: socket.socket) -> None:
        other = self._peers[one]
        try:
            data = one.recv(1 << 16)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for end in (one, other):
            self._peers.pop(end, None)
            end.close()

    def close(self) -> None:
        """End the thread and every connection."""
        self._ended = True
        self._thread.join()
        for end in (*self._listening, *self._peers):
            end.close()


@contextlib.contextmanager
def link(near: str, far: str, ports: list[int]) -> Iterator[Link]:
    """One that is closed in the end."""
    made = Link(near, far, ports)
    try:
        yield made
    finally:
        made.close()

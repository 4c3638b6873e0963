"""The other servers of a bench, as interlocks of one tell them of trips and of what is seen."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from drivers.errors import LabError
from labctl.bus.connection import Connection

log = logging.getLogger(__name__)

TELL_WITHIN_S = 1.0


class Peers:
    """Connections to their control lanes, made when they are needed. connect: makes one, by the server's name.

    Threads that tell stand ready from `start` on: who has light to put out must not wait for a new one, which a server
    that is out of memory may never get.
    """

    def __init__(self, names: Sequence[str], connect: Callable[[str], Connection]) -> None:
        self.names = tuple(names)
        self._connect = connect
        self._connections: dict[str, Connection] = {}
        self._making = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._to_tell: dict[str, queue.SimpleQueue[tuple[str, Any] | None]] = {n: queue.SimpleQueue() for n in names}

    def start(self) -> None:
        """Have the threads stand ready."""
        self._threads = [
            threading.Thread(target=self._tell_on, args=item, name=f"labctl-tell-{item[0]}", daemon=True)
            for item in self._to_tell.items()
        ]
        for thread in self._threads:
            thread.start()

    def _tell_on(self, name: str, waiting: queue.SimpleQueue[tuple[str, Any] | None]) -> None:
        while (told := waiting.get()) is not None:
            try:
                self.ask(name, *told)
            except Exception:  # the next trip is to be told all the same
                with contextlib.suppress(Exception):  # a server without memory cannot even say so
                    log.exception("server %s was not told (%s)", name, told[0])

    def ask(self, server: str, verb: str, arguments: Any = None, timeout_s: float = TELL_WITHIN_S) -> Any:
        """Tell or ask one; None, and a line in the log, if it does not answer."""
        with self._making:
            if server not in self._connections:
                self._connections[server] = self._connect(server)
            connection = self._connections[server]
        try:
            return connection.request("", verb, arguments=arguments, timeout_s=timeout_s)
        except LabError as error:
            log.error("server %s was not told (%s): %s", server, verb, error)
            return None

    def tell(self, verb: str, arguments: Any) -> None:
        """Tell all of them, one after the other."""
        for name in self.names:
            self.ask(name, verb, arguments)

    def tell_at_once(self, verb: str, arguments: Any) -> None:
        """Tell all of them, without waiting."""
        for waiting in self._to_tell.values():
            waiting.put((verb, arguments))

    def close(self) -> None:
        """Let the threads go, and disconnect."""
        for waiting in self._to_tell.values():
            waiting.put(None)
        for thread in self._threads:
            thread.join(2 * TELL_WITHIN_S)
        for connection in self._connections.values():
            connection.close()

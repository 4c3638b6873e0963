"""The other servers of a bench, as interlocks of one tell them of trips and of what is seen."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from drivers.errors import LabError
from labctl.bus.connection import Connection

log = logging.getLogger(__name__)

TELL_WITHIN_S = 1.0


class Peers:
    """Connections to their control lanes, made when they are needed. connect: makes one, by the server's name."""

    def __init__(self, names: Sequence[str], connect: Callable[[str], Connection]) -> None:
        self.names = tuple(names)
        self._connect = connect
        self._connections: dict[str, Connection] = {}
        self._making = threading.Lock()

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
        for name in self.names:
            threading.Thread(target=self.ask, args=(name, verb, arguments), daemon=True).start()

    def close(self) -> None:
        """Disconnect."""
        for connection in self._connections.values():
            connection.close()

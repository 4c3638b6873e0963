"""Other ways to send a command, measured beside labctl's bus: each peer reads one setting of a server of its own.

    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(peer) for peer in all_peers()]
        peers[0].call()  # one round trip

The peers' libraries are the extra `bench` and are imported by `all_peers` only.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

SETTING = "exposure_s"
VALUE = 0.0123  # what every server answers for SETTING

# Module and class of each peer; the first is the one that the others are compared with.
_PEERS = {
    "raw-ipc": ("raw_ipc", "RawIpc"),
    "pyro5": ("pyro5_peer", "Pyro5Peer"),
    "rpyc": ("rpyc_peer", "RpycPeer"),
    "pyleco": ("pyleco_peer", "PylecoPeer"),
}
NAMES = tuple(_PEERS)


class Peer(ABC):
    """One library with one server process behind it; `call` is what gets timed."""

    name: str

    @abstractmethod
    def start(self) -> None:
        """Start the server and connect to it; `stop` must follow even if this raises."""

    @abstractmethod
    def call(self) -> None:
        """Make one round trip of about 100 bytes; raises ValueError if the answer is wrong."""

    @abstractmethod
    def stop(self) -> None:
        """Disconnect and end the server; does nothing if there is none."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def all_peers() -> list[Peer]:
    """Every peer in the order of `NAMES`, not started; raises ImportError if the extra `bench` is not installed."""
    return [peer(name) for name in NAMES]


def peer(name: str) -> Peer:
    """The peer of that name, not started; raises ImportError if its library is not installed."""
    module, kind = _PEERS[name]
    try:
        loaded = importlib.import_module(f"{__name__}.{module}")
    except ImportError as error:
        raise ImportError(f"Peer '{name}': {error}. Install the peers: pip install -e '.[bench]'") from error
    found: Peer = getattr(loaded, kind)()
    return found


def check(answer: object) -> None:
    """Raise ValueError unless a server's answer is the setting's value."""
    if answer != VALUE:
        raise ValueError(f"answer {answer!r}, expected {VALUE!r}")

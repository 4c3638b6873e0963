"""What the directory tells of device servers, and servers of themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from drivers.errors import BusError
from labctl.bus.transport import Address

LANES = ("calls", "control", "stop", "stream")
"""calls: settings and operations. control: leases and state, never behind a call. stop: the emergency lane. stream:
frames for whoever listens."""


class ServerEntry(msgspec.Struct, frozen=True):
    """A device server: its devices, and where its lanes are found on this host and from others."""

    name: str
    devices: list[str]
    pid: int
    instance: str
    local: dict[str, str]
    remote: dict[str, str] = {}
    key: str = ""

    def address(self, lane: str, *, remote: bool = False) -> Address:
        """Where a lane is found."""
        return Address(self.remote[lane], self.key) if remote else Address(self.local[lane])


class BenchEntry(msgspec.Struct, frozen=True):
    """A bench that is up: what a client needs besides the servers. next_key: the public key that it will have, while it
    is being changed."""

    bench: str
    fingerprint: str
    lease_s: float
    supervisor_pid: int
    started_utc_ns: int
    servers: list[ServerEntry]
    next_key: str = ""


def entry_from(value: Any) -> BenchEntry:
    """An entry as it came over the bus. BusError if it is none."""
    try:
        return msgspec.convert(value, BenchEntry)
    except msgspec.ValidationError as error:
        raise BusError(f"the directory answered what no directory answers: {error}") from None


def to_wire(entry: msgspec.Struct) -> Any:
    """An entry as it goes over the bus."""
    return msgspec.to_builtins(entry)

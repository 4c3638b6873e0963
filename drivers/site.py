"""Where a driver is built: how it finds the world it is simulated on or the other devices it is composed of."""

from __future__ import annotations

from typing import Any, Protocol


class Site(Protocol):
    """Given to `Device.build` by the device server."""

    def world(self) -> Any:
        """The bench's world; ConfigurationError if it has none."""
        ...

    def device(self, name: str) -> Any:
        """Another device of the bench by role name, direct or over the bus."""
        ...

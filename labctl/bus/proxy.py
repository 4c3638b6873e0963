"""Proxies: devices as an experiment sees them, derived from what the server says of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drivers.contract import DeviceDescription, Identity
from labctl.bus.connection import Connection


class DeviceProxy:
    """A device behind the bus. Settings are attributes, operations are methods, as in its description."""

    def __init__(self, connection: Connection, name: str, control: Connection | None = None) -> None:
        set_ = object.__setattr__
        set_(self, "_connection", connection)
        set_(self, "_control", control or connection)
        set_(self, "name", name)
        description: DeviceDescription = connection.request(name, "describe", timeout_s=10.0)
        set_(self, "description", description)
        set_(self, "kind", description.kind)
        set_(self, "_settings", {s.name: s for s in description.settings})
        for operation in description.operations:
            set_(self, operation.name, _Call(connection, name, operation.name, operation.signature, operation.doc))

    def identity(self) -> Identity:
        """Model, serial number and firmware."""
        value: Identity = self._connection.request(self.name, "identity")
        return value

    def snapshot(self) -> dict[str, Any]:
        """Every setting as read back now."""
        value: dict[str, Any] = self._connection.request(self.name, "snapshot")
        return value

    def safe(self) -> None:
        """Bring the device to its safe state, without waiting for a call that is being served."""
        self._control.request(self.name, "safe", timeout_s=2.0)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._settings:
            raise AttributeError(f"{self.name} has no {name!r}; it has {', '.join(dir(self))}")
        return self._connection.request(self.name, "get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._settings:
            raise AttributeError(f"{self.name} has no setting {name!r}; it has {', '.join(self._settings)}")
        self._connection.request(self.name, "set", name, value)

    def __dir__(self) -> Iterable[str]:
        operations = (o.name for o in self.description.operations)
        return [*self._settings, *operations, "identity", "snapshot", "safe"]

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r} ({self.description.backend}) at {self._connection.endpoint}>"


class _Call:
    """One remote operation."""

    def __init__(self, connection: Connection, device: str, name: str, signature: str, doc: str) -> None:
        self._connection = connection
        self._device = device
        self._name = name
        self.__doc__ = f"{name}{signature}\n\n{doc}"

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return self._connection.request(self._device, "call", self._name, [list(positional), named])

    def __repr__(self) -> str:
        return f"<operation {self._device}.{self._name}>"

"""A device server: turns requests into settings read, settings written and operations called, under the lease."""

from __future__ import annotations

import threading
from typing import Any

import zmq

from drivers.contract import Device
from drivers.errors import BusError, LabError
from labctl.bus.messages import Request, revive
from labctl.server.arguments import check_arguments
from labctl.server.lane import Lane
from labctl.server.leases import LeaseBook


class DeviceServer:
    """Serves some devices of a bench, one request at a time, in a thread of its own."""

    def __init__(self, name: str, context: zmq.Context[Any], endpoint: str, book: LeaseBook) -> None:
        self.name = name
        self.endpoint = endpoint
        self.devices: dict[str, Device] = {}
        self._book = book
        self.lock = threading.Lock()
        """Held while a request is being served; a host holds it to change every device at once."""
        self._lane = Lane(context, endpoint, self._handle, f"labctl-server-{name}")

    def start(self) -> None:
        """Begin to serve."""
        self._lane.start()

    def stop(self) -> None:
        """Finish the request in hand and stop serving."""
        self._lane.stop()

    def counters(self) -> dict[str, int]:
        """Requests answered and refused."""
        return {"handled": self._lane.handled, "refused": self._lane.refused}

    def _handle(self, request: Request) -> Any:
        device = self.devices.get(request.device)
        if device is None:
            raise BusError(f"server {self.name} has no device {request.device!r}; it has {', '.join(self.devices)}")
        if request.verb == "safe":  # at any moment, by anybody, whatever else is going on
            return device.safe()
        if request.lease and request.lease != self._book.internal_token:
            self._book.renew(request.lease)
        with self.lock:
            return self._serve(device, request)

    def _serve(self, device: Device, request: Request) -> Any:
        what = f"{request.device}.{request.name}"
        match request.verb:
            case "describe":
                return device.describe()
            case "identity":
                return device.identity()
            case "snapshot":
                return device.snapshot()
            case "get":
                self._known(device, request.name, device.declared_settings())
                return getattr(device, request.name)
            case "set":
                return self._set(device, request, what)
            case "call":
                operations = device.declared_operations()
                self._known(device, request.name, operations)
                if not operations[request.name]:
                    self._book.allow(request.lease, what)
                return self._call(device, request)
        raise BusError(f"unknown verb {request.verb!r}")

    def _set(self, device: Device, request: Request, what: str) -> Any:
        settings = device.declared_settings()
        self._known(device, request.name, settings)
        value = revive(request.arguments)
        if settings[request.name].needs_lease and value:
            self._book.require(request.lease, what)
        else:
            self._book.allow(request.lease, what)
        setattr(device, request.name, value)
        if settings[request.name].needs_lease and value and request.lease != self._book.internal_token:
            try:
                # The lease may have lapsed while the instrument was being told: then safe() may have come first.
                self._book.require(request.lease, what)
            except LabError:
                device.safe()
                raise
        return getattr(device, request.name)

    def _call(self, device: Device, request: Request) -> Any:
        arguments = request.arguments
        if not (isinstance(arguments, list) and [type(a) for a in arguments] == [list, dict]):
            raise BusError(f"{request.device}.{request.name}: malformed arguments")
        positional, named = revive(arguments[0]), {str(k): revive(v) for k, v in arguments[1].items()}
        check_arguments(device, request.name, positional, named)
        return getattr(device, request.name)(*positional, **named)

    def _known(self, device: Device, name: str, table: dict[str, Any]) -> None:
        if name not in table:
            raise BusError(f"{device.name} has no {name!r}; it has {', '.join(table)}")

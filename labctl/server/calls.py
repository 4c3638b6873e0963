"""What devices of a server are asked for: settings read, settings written and operations called, by who may."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from drivers.contract import Device, DeviceDescription
from drivers.errors import BusError, LabError
from labctl.bus.messages import Request
from labctl.bus.roles import Caller, Role
from labctl.bus.values import revive
from labctl.safety.interlocks import Interlocks
from labctl.server.arguments import check_arguments
from labctl.server.leases import LeaseBook
from labctl.server.publisher import Publisher

log = logging.getLogger(__name__)


class Calls:
    """Requests to devices of one server, one at a time: who calls holds the server's lock.

    devices: those of the server, by name, also ones that are added later.
    """

    def __init__(self, devices: Mapping[str, Device], book: LeaseBook, publisher: Publisher) -> None:
        self.devices = devices
        self.book = book
        self.publisher = publisher
        self.delegates: dict[str, list[Any]] = {}
        """Connections by which a composite reaches devices elsewhere; they carry the lease of its caller."""
        self.parts: dict[str, set[str]] = {}
        """What a composite is made of: who may not use a part may not use the composite."""
        self.emitting: dict[str, bool] = {}
        """Whether emitters emitted when last asked, by device."""

    def serve(self, device: Device, request: Request, caller: Caller, interlocks: Interlocks | None) -> Any:
        """The answer to a request. interlocks: of the bench, which are told of it and may forbid it.

        Raises BusError for what the device does not have, LeaseError and LimitError for what the caller may not, and
        whatever the device does.
        """
        if interlocks is None:
            return self._serve(device, request, caller, None)
        interlocks.before(request)
        try:
            value = self._serve(device, request, caller, interlocks)
        except Exception as error:
            interlocks.failed(request, error)
            raise
        interlocks.after(request, value)
        return value

    def describe(self, device: Device) -> DeviceDescription:
        """What a device says of itself, and what it is made of."""
        return msgspec.structs.replace(device.describe(), parts=sorted(self.parts.get(device.name, ())))

    def origin(self, request: Request) -> dict[str, str]:
        """What a line of the log says of a request: its device, and the run that holds its lease."""
        lease = self.book.holder(request.lease)
        return {"device": request.device, "run": lease.run if lease else ""}

    def _serve(self, device: Device, request: Request, caller: Caller, interlocks: Interlocks | None) -> Any:
        verb, name = request.verb, request.name
        if verb == "get":
            if name not in device.declared_settings():
                raise self._unknown(device, name, device.declared_settings())
            value = getattr(device, name)
            if name == "emission":
                self.emitting[device.name] = bool(value)
            return value
        if verb == "call":
            return self._call(device, request, caller)
        if verb == "set":
            return self._set(device, request, caller, interlocks)
        if verb == "describe":
            return self.describe(device)
        if verb == "identity":
            return device.identity()
        if verb == "snapshot":
            return device.snapshot()
        raise BusError(f"unknown verb {verb!r}")

    def _set(self, device: Device, request: Request, caller: Caller, interlocks: Interlocks | None) -> Any:
        name, what = request.name, f"{request.device}.{request.name}"
        settings = device.declared_settings()
        if name not in settings:
            raise self._unknown(device, name, settings)
        value = revive(request.arguments)
        makes_light = settings[name].needs_lease and bool(value)
        if makes_light:
            caller.must_be(Role.LASER_OPERATOR, what)
            self.book.require(request.lease, device.name, what)
        else:
            caller.must_be(Role.OPERATOR, what)
            self.book.allow(request.lease, device.name, what)
        if interlocks is None:
            setattr(device, name, value)
        else:
            interlocks.write(device, name, value, request.lease, makes_light)
        if makes_light:
            log.info("%s = %r", what, value, extra=self.origin(request))
            try:
                # The lease may have been lost while the instrument was being told: then safe() may have come first.
                self.book.require(request.lease, device.name, what)
            except LabError:
                device.safe()
                raise
        value = getattr(device, name)
        if name == "emission":
            self.emitting[device.name] = bool(value)
        return value

    def _call(self, device: Device, request: Request, caller: Caller) -> Any:
        name = request.name
        operations = device.declared_operations()
        if name not in operations:
            raise self._unknown(device, name, operations)
        if not operations[name]:
            what = f"{request.device}.{name}"
            caller.must_be(Role.OPERATOR, what)
            self.book.allow(request.lease, device.name, what)
            for part in self.parts.get(device.name, ()):
                if part in self.devices:  # the others are guarded by their own servers
                    self.book.allow(request.lease, part, f"{what} on {part}")
        arguments = request.arguments
        if not (isinstance(arguments, list) and [type(a) for a in arguments] == [list, dict]):
            raise BusError(f"{request.device}.{name}: malformed arguments")
        positional, named = revive(arguments[0]), {str(k): revive(v) for k, v in arguments[1].items()}
        check_arguments(device, name, positional, named)
        for connection in self.delegates.get(device.name, ()):
            connection.side.lease = request.lease
            connection.side.role_cap = caller.role
        value = getattr(device, name)(*positional, **named)
        self.publisher.publish(device.name, value)
        return value

    def _unknown(self, device: Device, name: str, table: Iterable[str]) -> BusError:
        return BusError(f"{device.name} has no {name!r:.80}; it has {', '.join(table)}")

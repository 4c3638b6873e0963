"""A host: one process's share of a bench. It builds the world and the devices, serves them and keeps them safe."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

import zmq

from drivers.contract import Device
from drivers.errors import BusError, ConfigurationError, LabError, LimitError
from drivers.settings import Limits
from labctl import registry
from labctl.bench.config import BenchConfig, DeviceConfig
from labctl.bus.connection import Connection
from labctl.bus.messages import Request
from labctl.bus.proxy import DeviceProxy
from labctl.server.lane import Lane
from labctl.server.leases import LeaseBook, Watchdog
from labctl.server.server import DeviceServer

log = logging.getLogger(__name__)

BEGIN_PATIENCE_S = 2.0


class Host:
    """All servers of one bench in this process.

    ``base`` is the endpoint prefix: ``inproc://labctl-1`` or ``ipc:///run/…/prbm-sim``; each server listens on
    ``base/NAME`` (ipc: ``base-NAME``) and the control lane on ``control``.
    """

    def __init__(self, config: BenchConfig, context: zmq.Context[Any], base: str) -> None:
        self.config = config
        self._context = context
        self.book = LeaseBook()
        self._watchdog = Watchdog(self.book, self.make_safe)
        self.endpoints = {name: f"{base}-{name}" for name in config.servers}
        self.control_endpoint = f"{base}.control"
        self._servers = {name: DeviceServer(name, context, e, self.book) for name, e in self.endpoints.items()}
        self._control = Lane(context, self.control_endpoint, self._handle_control, "labctl-control")
        self._connections: list[Connection] = []
        self._devices: dict[str, Device] = {}
        self._server_of = {device: server for server, names in config.servers.items() for device in names}
        self._world: Any = None
        self._clock: Any = None
        self._closing = False
        self._started_ns = time.time_ns()

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Build, open and serve everything; on failure nothing is left running or emitting."""
        try:
            self._build_world()
            composites = [
                d for d in self.config.devices.values() if issubclass(d.factory, Device) and d.factory.composite
            ]
            for device in self.config.devices.values():
                if device not in composites:
                    self._build(device)
            for server in self._servers.values():
                server.start()
            for device in composites:
                self._build(device)
            self._control.start()
            self._watchdog.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Every device safe, then closed; every thread ended."""
        self._closing = True
        self.make_safe()
        self._watchdog.stop()
        self._control.stop()
        for server in self._servers.values():
            server.stop()
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        for device in reversed(list(self._devices.values())):
            try:
                device.close()
            except Exception:  # the others must be closed all the same
                log.exception("%s did not close", device.name)

    def make_safe(self) -> None:
        """`safe` on every device, emitters first; one that fails does not keep the others waiting."""
        emitters = [d for d in self._devices.values() if any(s.needs_lease for s in d.declared_settings().values())]
        for device in [*emitters, *(d for d in self._devices.values() if d not in emitters)]:
            try:
                device.safe()
            except Exception:  # safety first: report and go on
                log.exception("%s could not be made safe", device.name)

    # --- building ---------------------------------------------------------------------------------------------------

    def _build_world(self) -> None:
        if self.config.world_name is None:
            return
        world_type = registry.load("labctl.worlds", self.config.world_name)
        self._clock = world_type.clock_of_kind(self.config.clock)
        self._world = world_type(self.config.world_parameters, self._clock)

    def _build(self, device: DeviceConfig) -> None:
        if not issubclass(device.factory, Device):
            raise ConfigurationError(f"{device.name}: {device.factory.__name__} is not a device")
        try:
            made = device.factory.build(device.name, device.options, _Place(self, device.name))
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.config.where('devices', device.name)}: {error}") from None
        self._devices[device.name] = made
        made.open()
        made.safe()
        self._apply_settings(device, made)
        self._servers[self._server_of[device.name]].devices[device.name] = made

    def _apply_settings(self, device: DeviceConfig, made: Device) -> None:
        for name, limits in device.limits.items():
            made.restrict(name, limits)
        for name, value in device.settings.items():
            try:
                setattr(made, name, value)
            except LimitError as error:
                key = made.declared_settings()[name].info(Limits()).file_key
                raise ConfigurationError(f"{self.config.where('devices', device.name, key)}: {error}") from None

    @property
    def devices(self) -> Mapping[str, Device]:
        """The devices themselves, by role; for checks in this process."""
        return self._devices

    def world(self) -> Any:
        """The world devices are simulated on."""
        if self._world is None:
            raise ConfigurationError(f"bench {self.config.name}: a simulated device needs `world` in [bench]")
        return self._world

    def device_for(self, asking: str, name: str) -> Any:
        """A device for a composite: itself in the same server, a proxy otherwise."""
        if name not in self._server_of:
            raise ConfigurationError(f"{asking}: the bench has no device {name!r}; it has {', '.join(self._server_of)}")
        if self._server_of[name] == self._server_of[asking]:
            return self._devices[name]
        connection = Connection(self._context, self.endpoints[self._server_of[name]], while_waiting=self._must_be_open)
        connection.lease = self.book.internal_token
        self._connections.append(connection)
        return DeviceProxy(connection, name)

    def _must_be_open(self) -> None:
        if self._closing:
            raise BusError(f"bench {self.config.name} is being closed")

    # --- the control lane -------------------------------------------------------------------------------------------

    def _handle_control(self, request: Request) -> Any:
        arguments = request.arguments
        match request.verb:
            case "ping":
                return None
            case "hello":
                return self._hello()
            case "renew":
                return self.book.renew(request.lease)
            case "acquire":
                holder = str(arguments)[:200]
                token = self.book.acquire(holder, self.config.lease_s)
                try:
                    self._begin()
                    self.book.renew(token)
                except LabError:
                    self.book.release(token)
                    raise
                return token
            case "release":
                # In this order: what another lane turns on in between finds its lease gone and is turned off there.
                # A lease that was lost belongs to somebody else by now: their light stays on.
                if self.book.release(request.lease):
                    self.make_safe()
                return None
            case "safe":
                return self.make_safe() if not request.device else self._device(request.device).safe()
            case "time":
                return self._clock.now_ns() if self._clock is not None else time.monotonic_ns()
            case "status":
                return self._status()
        raise BusError(f"unknown verb {request.verb!r} on the control lane")

    def _device(self, name: str) -> Device:
        if name not in self._devices:
            raise BusError(f"the bench has no device {name!r}; it has {', '.join(self._devices)}")
        return self._devices[name]

    def _begin(self) -> None:
        """A session starts from the bench file's state; a table in virtual time starts anew, so runs repeat."""
        with contextlib.ExitStack() as held:
            for server in self._servers.values():
                if not server.lock.acquire(timeout=BEGIN_PATIENCE_S):
                    raise BusError(f"server {server.name} is busy with another call; try again when it has ended")
                held.callback(server.lock.release)
            self.make_safe()
            fresh = self._clock is not None and self._clock.virtual
            if fresh:
                for device in self._devices.values():
                    device.close()
                self._clock.reset()
                self._world.rewind()
            for name, device in self._devices.items():
                if fresh:
                    device.open()
                self._apply_settings(self.config.devices[name], device)

    def _hello(self) -> dict[str, Any]:
        return {
            "bench": self.config.name,
            "fingerprint": self.config.fingerprint,
            "endpoints": self.endpoints,
            "servers": {name: list(devices) for name, devices in self.config.servers.items()},
            "lease_s": self.config.lease_s,
        }

    def _status(self) -> dict[str, Any]:
        devices = {}
        for name, device in self._devices.items():
            emission = self._emission(name, device)
            devices[name] = {
                "kind": device.kind,
                "backend": device.backend,
                "server": self._server_of[name],
                "emission": emission,
            }
        return {
            "bench": self.config.name,
            "fingerprint": self.config.fingerprint,
            "lease": self.book.status(),
            "lapsed": self._watchdog.trips,
            "up_s": (time.time_ns() - self._started_ns) / 1e9,
            "servers": {name: {"endpoint": self.endpoints[name], **s.counters()} for name, s in self._servers.items()},
            "devices": devices,
        }

    def _emission(self, name: str, device: Device) -> bool | None:
        """None for devices without emission, and while another call is keeping the instrument busy."""
        lock = self._servers[self._server_of[name]].lock
        if "emission" not in device.declared_settings() or not lock.acquire(timeout=0.1):
            return None
        try:
            return bool(getattr(device, "emission"))  # noqa: B009 - only devices that declare it have it
        finally:
            lock.release()


class _Place:
    """The site of one device; see `drivers.site.Site`."""

    def __init__(self, host: Host, asking: str) -> None:
        self._host = host
        self._asking = asking

    def world(self) -> Any:
        return self._host.world()

    def device(self, name: str) -> Any:
        return self._host.device_for(self._asking, name)


@contextlib.contextmanager
def running(config: BenchConfig, context: zmq.Context[Any], base: str) -> Iterator[Host]:
    """A started host that is closed, and thereby safe, whatever happens."""
    host = Host(config, context, base)
    host.start()
    try:
        yield host
    finally:
        host.close()


def rehearse(config: BenchConfig) -> bool:
    """Set a wholly simulated bench up and take it down again, to find what only its devices know to be wrong.

    False, and nothing done, if a real instrument would have to be opened. Raises ConfigurationError with file and line.
    """
    instruments = [d for d in config.devices.values() if not (issubclass(d.factory, Device) and d.factory.composite)]
    if any(d.backend != "simulated" for d in instruments):
        return False
    context: zmq.Context[Any] = zmq.Context()
    try:
        with running(config, context, "inproc://rehearsal") as host:
            for name, alignment in config.alignment.items():
                fits = getattr(alignment, "check_on", None)
                if fits is not None:
                    try:
                        fits(host.devices)
                    except ConfigurationError as error:
                        raise ConfigurationError(f"{config.where('alignment', name)}: {error}") from None
    finally:
        context.term()
    return True

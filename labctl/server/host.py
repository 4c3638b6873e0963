"""A host: one process's share of a bench. It builds devices, gives each server its own, and keeps them safe."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import zmq
from pydantic import ValidationError

from drivers.contract import Device
from drivers.errors import ConfigurationError, LabError, LimitError
from drivers.settings import Limits
from labctl import registry
from labctl.bench.config import BenchConfig
from labctl.bench.device import DeviceConfig
from labctl.bench.interlocks import live_interlocks
from labctl.bus.entries import LANES, BenchEntry
from labctl.bus.proxy import DeviceProxy
from labctl.bus.ring import Arena
from labctl.record.device import Replayed
from labctl.record.record import Record
from labctl.record.replay import Replay
from labctl.safety.interlocks import Interlocks
from labctl.server.feeding import Feeder
from labctl.server.lane import end_context
from labctl.server.neighbours import Neighbours
from labctl.server.server import DeviceServer, Place
from labctl.server.world import RemoteWorld

log = logging.getLogger(__name__)

_numbers = itertools.count(1)


def local_places(config: BenchConfig) -> dict[str, Place]:
    """Endpoints within this process for every server of a bench."""
    base = f"inproc://labctl-{os.getpid()}-{next(_numbers)}"
    return {name: Place({lane: f"{base}-{name}.{lane}" for lane in LANES}) for name in config.servers}


class Host:
    """The servers of a bench that live in this process: all of them, or one of its own.

    places: where each server of this process listens. elsewhere: endpoints of other servers by lane, by name.
    world_endpoint: of the process that owns the world; empty to own it here. apart: clients are in other processes, so
    frames are made in shared memory. connections: what leads to emulated instruments, by device.
    """

    def __init__(
        self,
        config: BenchConfig,
        context: zmq.Context[Any],
        places: Mapping[str, Place],
        *,
        elsewhere: Mapping[str, Mapping[str, str]] | None = None,
        world_endpoint: str = "",
        started_by: int = 0,
        apart: bool = False,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.config = config
        self._context = context
        self._world_endpoint = world_endpoint
        self._apart = apart
        self._connections = connections or {}
        self._started_by = started_by or os.getpid()
        self._started_utc_ns = time.time_ns()
        self.arena = Arena()
        self._world: Any = None
        self._records: dict[Path, Record] = {}
        self._devices: dict[str, Device] = {}
        self._feeder = Feeder(config)
        self._server_of = {device: server for server, names in config.servers.items() for device in names}
        self.servers = {
            name: DeviceServer(
                name,
                context,
                place,
                self.arena,
                pid=os.getpid(),
                lease_s=config.lease_s,
                begin=self._begin,
                feeder=self._feeder,
                time_ns=self.time_ns,
            )
            for name, place in places.items()
        }
        self._neighbours = Neighbours(config, context, self.arena, self.servers, elsewhere or {})
        interlocked = dataclasses.replace(config, interlocks=live_interlocks(config))
        if interlocked.interlocks:
            for server in self.servers.values():
                server.interlocks = Interlocks(
                    server, interlocked, self._neighbours.control_of, self.time_ns, self._pause
                )

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Build, open and serve everything; on failure nothing is left running or emitting.

        Composites come last: what they are made of may live in servers that start at the same time.
        """
        try:
            self._enter_world()
            mine = [d for d in self.config.devices.values() if self._server_of[d.name] in self.servers]
            composites = [d for d in mine if issubclass(d.factory, Device) and d.factory.composite]
            for device in mine:
                if device not in composites:
                    self._build(device)
            for server in self.servers.values():
                server.start()
            for device in composites:
                self._build(device)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Every device safe, then closed; every thread ended."""
        self._neighbours.leave()
        self.make_safe()
        for server in self.servers.values():
            server.stop()
        self._neighbours.close()
        for device in reversed(list(self._devices.values())):
            try:
                device.close()
            except LabError as error:
                log.warning("%s did not close in order: %s", device.name, error, extra={"device": device.name})
            except Exception:  # the others must be closed all the same
                log.exception("%s did not close", device.name, extra={"device": device.name})
        if isinstance(self._world, RemoteWorld):
            self._world.close()
        self.arena.close()

    def interrupt(self) -> None:
        """Everything safe now, and nothing waited for any more. From any thread, while others start or close."""
        self._neighbours.leave()
        self.make_safe()

    def make_safe(self) -> None:
        """`safe` on every device of this process, emitters first."""
        for server in self.servers.values():
            server.make_safe()

    def emergency(self, reason: str) -> None:
        """Everything in this process safe now, and nobody in control any more."""
        for server in self.servers.values():
            server.emergency(reason)

    def entry(self) -> BenchEntry:
        """What a client needs to reach the servers of this process."""
        return BenchEntry(
            bench=self.config.name,
            fingerprint=self.config.fingerprint,
            lease_s=self.config.lease_s,
            supervisor_pid=self._started_by,
            started_utc_ns=self._started_utc_ns,
            servers=[server.entry() for server in self.servers.values()],
        )

    # --- building ---------------------------------------------------------------------------------------------------

    def _enter_world(self) -> None:
        config = self.config
        replayed = all(
            d.backend == "replay" or (issubclass(d.factory, Device) and d.factory.composite)
            for d in config.devices.values()
        )
        if config.world_name is None or replayed:  # of what was recorded nothing is simulated any more
            return
        world_type = registry.load("labctl.worlds", config.world_name)
        parameters = config.world_parameters
        assert parameters is not None
        if self._world_endpoint:
            self._world = RemoteWorld(
                world_type, parameters, config.clock, self._context, self._world_endpoint, self.arena,
                "+".join(self.servers),
            )  # fmt: skip
        else:
            self._world = world_type(parameters, world_type.clock_of_kind(config.clock))
        for server in self.servers.values():
            server.world = self._world

    def _build(self, device: DeviceConfig) -> None:
        if not issubclass(device.factory, Device):
            raise ConfigurationError(f"{device.name}: {device.factory.__name__} is not a device")
        server = self.servers[self._server_of[device.name]]
        try:
            options = device.options_with(self._connections.get(device.name, {}))
            made = device.factory.build(device.name, options, _Site(self, device.name))
        except (ConfigurationError, ValidationError) as error:
            raise ConfigurationError(f"{self.config.where('devices', device.name)}: {error}") from None
        if self._apart:
            made.allocate = self.arena.array
        self._devices[device.name] = made
        made.open()
        made.safe()
        if isinstance(made, Replayed):
            self._replay(device, made, server)
        else:
            self._apply_settings(device, made)
        # What is refused is told when it is needed: the bench must come up, so that it can be measured anew.
        self._feeder.feed([made], "mark")
        server.devices[device.name] = made

    def _replay(self, device: DeviceConfig, made: Replayed, server: DeviceServer) -> None:
        """A device that its server answers for from a record."""
        try:
            made.must_be(device)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.config.where('devices', device.name)}: {error}") from None
        if server.traffic.replay is None:
            server.traffic.replay = Replay(
                server.publisher.publish, server.renew, str(self._feeder.store.path), clock=self._world is None
            )
        server.traffic.replay.add(device.name, made.record, made.run)

    def record_at(self, path: str) -> Record:
        """A record, by its path from the bench file; read once for all devices that are in it."""
        whole = self.config.path.absolute().parent / path
        if whole not in self._records:
            self._records[whole] = Record(whole)
        return self._records[whole]

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

    def time_ns(self) -> int:
        """Bench time; of a bench that is replayed, that of the record."""
        if self._world is not None:
            return int(self._world.clock.now_ns())
        replayed = [server.traffic.replay for server in self.servers.values() if server.traffic.replay is not None]
        return max(replay.time_ns() for replay in replayed) if replayed else time.monotonic_ns()

    def _pause(self, seconds: float) -> None:
        """Wait in bench time."""
        if self._world is not None and self._world.clock.virtual:
            self._world.clock.sleep_until(self.time_ns() + round(seconds * 1e9))
        else:
            time.sleep(seconds)

    def world(self) -> Any:
        """The world devices are simulated on."""
        if self._world is None:
            raise ConfigurationError(f"bench {self.config.name}: a simulated device needs `world` in [bench]")
        return self._world

    def device_for(self, asking: str, name: str) -> Any:
        """A device for a composite: itself in the same server, a proxy otherwise."""
        if name not in self._server_of:
            raise ConfigurationError(f"{asking}: the bench has no device {name!r}; it has {', '.join(self._server_of)}")
        if self.config.devices[name].backend == "replay":
            raise ConfigurationError(
                f'{asking}: its {name} is replayed, and so must be what is made of it: backend = "replay"'
            )
        server, mine = self._server_of[name], self.servers[self._server_of[asking]]
        mine.parts.setdefault(asking, set()).add(name)
        if server == mine.name:
            return self._devices[name]
        reach, description = self._neighbours.reached(server, name)
        mine.calls.delegates.setdefault(asking, []).append(reach.calls)
        return DeviceProxy(reach.calls, name, reach.stop, description, self.arena)

    # --- sessions ---------------------------------------------------------------------------------------------------

    def _begin(self, server: DeviceServer, names: Iterable[str], session: str, calibrating: bool) -> None:
        """A session starts from the bench file's state, and with the calibrations in force.

        One that has the whole bench, named by ``session``, also starts a table in virtual time anew, so runs repeat.
        Every server of the bench is told, between two calls; the world starts once per session. Raises CalibrationError
        if a calibration is refused, unless the session is there for ``calibrating``.
        """
        server.make_safe(names)
        chosen = {n: d for n, d in server.devices.items() if n in names}
        fresh = bool(session) and self._world is not None and self._world.clock.virtual
        if fresh:
            for device in chosen.values():
                device.close()
            self._world.begin(session)
        for name, device in chosen.items():
            if fresh:
                device.open()
            if not isinstance(device, Replayed):
                self._apply_settings(self.config.devices[name], device)
        self._feeder.feed(chosen.values(), "leave out" if calibrating else "raise")


class _Site:
    """The site of one device; see `drivers.site.Site`."""

    def __init__(self, host: Host, asking: str) -> None:
        self._host = host
        self._asking = asking

    def world(self) -> Any:
        return self._host.world()

    def device(self, name: str) -> Any:
        return self._host.device_for(self._asking, name)

    def record(self, path: str) -> Record:
        return self._host.record_at(path)


@contextlib.contextmanager
def running(
    config: BenchConfig, context: zmq.Context[Any], places: Mapping[str, Place] | None = None, **options: Any
) -> Iterator[Host]:
    """A started host that is closed, and thereby safe, whatever happens. All servers are within this process unless
    ``places`` says which."""
    host = Host(config, context, places if places is not None else local_places(config), **options)
    host.start()
    try:
        yield host
    finally:
        host.close()


def rehearse(config: BenchConfig) -> bool:
    """Set a simulated or replayed bench up and take it down again, to find what only its devices know to be wrong.

    False, and nothing done, if a real instrument would have to be opened. Raises ConfigurationError with file and line.
    """
    instruments = [d for d in config.devices.values() if not (issubclass(d.factory, Device) and d.factory.composite)]
    if any(d.backend not in ("simulated", "replay") for d in instruments):
        return False
    context: zmq.Context[Any] = zmq.Context()
    try:
        # Without interlocks: what they keep on disk is that of the bench which may be up meanwhile.
        with running(dataclasses.replace(config, interlocks={}), context) as host:
            if any(isinstance(device, Replayed) for device in host.devices.values()):
                return True  # it fitted when it was recorded
            for name, alignment in config.alignment.items():
                fits: Callable[[Mapping[str, Device]], None] | None = getattr(alignment, "check_on", None)
                if fits is not None:
                    try:
                        fits(host.devices)
                    except ConfigurationError as error:
                        raise ConfigurationError(f"{config.where('alignment', name)}: {error}") from None
    finally:
        end_context(context)
    return True

"""A device server: turns requests into settings read, settings written and operations called, under lease and role."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zmq

from drivers.contract import Device
from drivers.errors import BusError, ConfigurationError, LabError, LeaseError, LimitError
from labctl.bus.entries import ServerEntry
from labctl.bus.messages import DELEGATED, Request
from labctl.bus.ring import Arena
from labctl.bus.roles import Caller, Role
from labctl.bus.security import Door, KeyPair
from labctl.bus.server_side import ServerSide, Sessions, reclaim
from labctl.record.traffic import Traffic
from labctl.safety.interlocks import VERBS, Interlocks
from labctl.safety.people import PEOPLES_VERBS
from labctl.server.arguments import taken_apart
from labctl.server.calls import Calls
from labctl.server.feeding import Feeder
from labctl.server.freezing import freezable, freeze_devices, freeze_world, thaw_devices
from labctl.server.lane import ANONYMOUS, Lane, start_all
from labctl.server.leases import LONGEST_LEASE_S, LeaseBook, Watchdog
from labctl.server.publisher import Publisher
from labctl.server.rescue import Rescue

log = logging.getLogger(__name__)

_SAFE_PATIENCE_S, _LEAST_PATIENCE_S = 1.0, 0.02
_MEMORY_PAUSE_S, _TRIES_WITHOUT_MEMORY = 0.005, 2000


@dataclass(frozen=True)
class Place:
    """Where a server listens: local endpoints by lane, and tcp ones with the keys and the door they need."""

    local: dict[str, str]
    remote: dict[str, str] = field(default_factory=dict)
    advertised: dict[str, str] = field(default_factory=dict)
    keys: KeyPair | None = None
    door: Door | None = None


class DeviceServer:
    """Serves some devices of a bench: calls one at a time, control and emergency stop at any moment.

    begin: brings the devices to the state of the bench file for a new session. feeder: has the bench's calibrations.
    time_ns: bench time.
    """

    def __init__(
        self,
        name: str,
        context: zmq.Context[Any],
        place: Place,
        arena: Arena,
        *,
        pid: int,
        lease_s: float,
        begin: Callable[[DeviceServer, Iterable[str], str, bool], None],
        feeder: Feeder,
        time_ns: Callable[[], int],
    ) -> None:
        self.name = name
        self.devices: dict[str, Device] = {}
        self.book = LeaseBook()
        self.watchdog = Watchdog(self.book, self._make_safe_of_lapsed)
        self.sessions = Sessions()
        self.arena = arena
        self.lock = threading.Lock()
        """Held while a call is being served; a session holds it to change every device at once."""
        self.interlocks: Interlocks | None = None
        """Of a bench that has some; it is told of every call, and may forbid it."""
        self.world: Any = None
        """What simulated devices are on, if any are."""
        self._context = context
        self._place = place
        self._pid = pid
        self._lease_s = lease_s
        self._begin = begin
        self._feeder = feeder
        self._time_ns = time_ns
        self.rescue = Rescue(self._make_safe)
        self._started_ns = time.monotonic_ns()
        self._stopped: list[str] = []
        self.traffic = Traffic(
            name, lambda: [self.calls.describe(device) for device in list(self.devices.values())], time_ns
        )
        own = {"calls": self._handle_call, "control": self._handle_control, "stop": self._handle_stop}
        handlers = {lane: self.traffic.on(lane, handler) for lane, handler in own.items()}
        self._lanes = {lane: self._lane(lane, handler, tcp=False) for lane, handler in handlers.items()}
        self._remote_lanes = (
            {lane: self._lane(lane, handler, tcp=True) for lane, handler in handlers.items()} if place.remote else {}
        )
        self.publisher = Publisher(context, name, place, self.arena)
        self.calls = Calls(self.devices, self.book, self.publisher)
        self.parts = self.calls.parts

    def _lane(self, lane: str, handler: Callable[[Request, Caller], Any], *, tcp: bool) -> Lane:
        endpoint = self._place.remote[lane] if tcp else self._place.local[lane]
        rules = ServerSide(
            f"{self.name}.{lane}{'.tcp' if tcp else ''}",
            self.sessions if lane == "calls" else Sessions(self.sessions.instance),
            self.arena,
            shares_memory=endpoint.startswith("ipc:"),
            expires=lane != "stop",
        )
        if not tcp:
            return Lane(self._context, endpoint, handler, rules)
        keys, door = self._place.keys, self._place.door
        return Lane(self._context, endpoint, handler, rules, keys=keys, door=door, anonymous=ANONYMOUS)

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to serve. Raises BusError if an endpoint cannot be bound."""
        start_all([*self._lanes.values(), *self._remote_lanes.values()])
        self.publisher.start()
        self.watchdog.start()
        if self.interlocks is not None:
            self.interlocks.start()

    def stop(self) -> None:
        """Finish the call in hand and stop serving."""
        self.watchdog.stop()
        if self.interlocks is not None:
            self.interlocks.stop()
        for lane in [*self._lanes.values(), *self._remote_lanes.values()]:
            lane.stop()
        self.publisher.stop()
        self.traffic.close()
        self.rescue.end()

    def entry(self) -> ServerEntry:
        """For the directory."""
        return ServerEntry(
            name=self.name,
            devices=list(self.devices),
            pid=self._pid,
            instance=self.sessions.instance,
            local=self._place.local,
            remote=self._place.advertised,
            key=self._place.keys.public if self._place.keys and self._place.remote else "",
        )

    def make_safe(
        self, names: Iterable[str] | None = None, patience_s: Callable[[], float] = lambda: _SAFE_PATIENCE_S
    ) -> None:
        """`safe` on devices (all of them unless named), emitters first; one that fails does not keep the others."""
        chosen = [d for n, d in list(self.devices.items()) if names is None or n in names]
        emitters = [d for d in chosen if any(s.needs_lease for s in d.declared_settings().values())]
        for group in (emitters, [d for d in chosen if d not in emitters]):
            within_s = patience_s()
            for name in self.rescue.act([d.name for d in group], within_s):
                log.error("%s has not become safe within %g s and is not waited for", name, within_s,
                          extra={"device": name})  # fmt: skip

    def _make_safe_of_lapsed(self, names: Iterable[str]) -> None:
        """The same, by who watches leases: an instrument that hangs keeps no light on whose lease lapses next."""
        self.make_safe(names, self._until_the_next_lapse_s)

    def _until_the_next_lapse_s(self) -> float:
        expiry_ns = self.book.next_expiry_ns()
        until_s = _SAFE_PATIENCE_S if expiry_ns is None else (expiry_ns - time.monotonic_ns()) / 1e9
        return min(max(until_s, _LEAST_PATIENCE_S), _SAFE_PATIENCE_S)

    def _make_safe(self, name: str) -> None:
        for _ in range(_TRIES_WITHOUT_MEMORY):
            try:
                self.calls.emitting.pop(name, None)
                if self.interlocks is not None:
                    self.interlocks.darkening(name)
                self.devices[name].safe()
                self.calls.emitting[name] = False
                if self.interlocks is not None:
                    self.interlocks.dark(name)
                return
            except MemoryError:  # another thread may give some back
                time.sleep(_MEMORY_PAUSE_S)
            except Exception:  # safety first: report and go on
                log.exception("%s could not be made safe", name, extra={"device": name})
                return

    def emergency(self, reason: str) -> None:
        """Everything safe now, and nobody in control any more: whoever was is told why at the next call."""
        revoked = self.book.revoke(reason)  # first: what another lane turns on in between finds its lease gone
        self.make_safe()
        self._stopped.append(reason)
        log.log(logging.WARNING if revoked else logging.INFO, "%s", reason)

    # --- the emergency lane -----------------------------------------------------------------------------------------

    def _handle_stop(self, request: Request, caller: Caller) -> Any:
        match request.verb:
            case "ping":
                return None
            case "stop":
                self.emergency(f"emergency stop by {request.arguments!s:.200}: every device was made safe")
                if self.interlocks is not None:  # a person had a reason: a person arms again
                    self.interlocks.disarm({"by": f"{request.arguments!s:.200}, by an emergency stop"}, caller)
                return None
            case "revoke":
                return self.emergency(str(request.arguments)[:500])
            case "safe":
                return self.make_safe([self._device(request.device).name] if request.device else None)
        raise BusError(f"unknown verb {request.verb!r} on the emergency lane; it knows ping, safe, stop and revoke")

    # --- the control lane -------------------------------------------------------------------------------------------

    def _handle_control(self, request: Request, caller: Caller) -> Any:
        match request.verb:
            case "ping":
                return self.sessions.instance
            case "renew":
                self.renew(request)
                if self.interlocks is not None:  # a loop that has no call to make is told, too
                    self.interlocks.renewed(request)
                return None
            case "renew-where":
                self.renew(request)
                with taken_apart(request.verb):
                    session, number = str(request.arguments[0]), int(request.arguments[1])
                return [self.sessions.instance, self.sessions.whereabouts(session, number)]
            case "cancel":
                with taken_apart(request.verb):
                    session, number = str(request.arguments[0]), int(request.arguments[1])
                return self.sessions.cancel(session, number)
            case "may-acquire":
                caller.must_be(Role.OPERATOR, "control of devices")
                with taken_apart(request.verb):
                    names = [str(name) for name in request.arguments or []]
                return self.book.must_be_free(names)
            case "describe":
                return [self.calls.describe(device) for device in list(self.devices.values())]
            case "release":
                # In this order: what another lane turns on in between finds its lease gone and is turned off there.
                # A lease that was lost belongs to somebody else by now: their light stays on.
                released = self.book.release(request.lease)
                if released is not None:
                    self.make_safe(released.devices)
                    if self.interlocks is not None:
                        self.interlocks.end(list(released.devices))
                return None
            case "time":
                return self._time_ns()
            case "status":
                return self.status()
        if request.verb in VERBS:
            return self.handle_interlocks(request, caller)
        raise BusError(f"unknown verb {request.verb!r} on the control lane")

    def handle_interlocks(self, request: Request, caller: Caller) -> Any:
        """Answer a request about interlocks; None on a bench that has none."""
        if self.interlocks is None:
            return None
        with contextlib.nullcontext() if request.verb in PEOPLES_VERBS else taken_apart(request.verb):
            return self.interlocks.handle(request, caller)

    def _acquire(self, arguments: Any, caller: Caller) -> None:
        if not isinstance(arguments, dict):
            raise BusError("acquire: malformed arguments")
        token, devices = str(arguments.get("token", "")), arguments.get("devices")
        if len(token) < 16 or not isinstance(devices, list):
            raise BusError("acquire: a token of at least 16 characters and a list of devices are needed")
        for name in devices:
            self._device(name)
        holder, run = str(arguments.get("holder", ""))[:200], str(arguments.get("run", ""))[:100]
        if caller.name not in ("", "this user on this host"):
            holder = f"{holder} [{caller.name}]"
        ttl_s = arguments.get("ttl_s") or self._lease_s
        if not isinstance(ttl_s, (int, float)):
            raise BusError("acquire: ttl_s is a number of seconds")
        if not 0 < ttl_s <= LONGEST_LEASE_S:
            raise LeaseError(f"a lease of {ttl_s:g} s; more than 0 and at most {LONGEST_LEASE_S:g} s are granted")
        emitters = [n for n in devices if any(s.needs_lease for s in self.devices[n].declared_settings().values())]
        self.rescue.stand_ready(emitters)
        # To begin may take longer than the lease lives: it is counted from the end.
        self.book.acquire(token, holder, run, devices, LONGEST_LEASE_S)
        try:
            whole, calibrating = bool(arguments.get("whole")), bool(arguments.get("calibrating"))
            self._begin(self, devices, token if whole else "", calibrating)
            if self.interlocks is not None:
                self.interlocks.begin(devices)
            self.book.start(token, float(ttl_s))
        except BaseException:
            self.book.release(token)
            raise
        log.info("%s has control of %s", holder, ", ".join(devices), extra={"run": run})

    def renew(self, request: Request) -> None:
        """The lease in whose name a request is made, unless it is made for another client."""
        if request.lease and not request.flags & DELEGATED:
            self.book.renew(request.lease, request.sent_ns)

    def status(self) -> dict[str, Any]:
        """Devices with emission, leases, counters. Nothing here waits for an instrument."""
        reclaim(self.arena)
        counts: dict[str, int] = {}
        for lane in [*self._lanes.values(), *self._remote_lanes.values()]:
            for what, count in lane.rules.counts.items():
                counts[what] = counts.get(what, 0) + count
        calls = self._lanes["calls"].rules.counts
        counts["handled"] = calls["handled"] + sum(
            lane.rules.counts["handled"] for name, lane in self._remote_lanes.items() if name == "calls"
        )
        return {
            "server": self.name,
            "pid": self._pid,
            "instance": self.sessions.instance,
            "up_s": (time.monotonic_ns() - self._started_ns) / 1e9,
            "leases": self.book.status(),
            "lapsed": self.watchdog.trips,
            "stopped": len(self._stopped),
            "stopped_by": self._stopped[-1] if self._stopped else "",
            "refused_keys": self._place.door.refused if self._place.door else 0,
            "without_shared_memory": self.arena.refused,
            "refused_streams": self.publisher.refused,
            "busy": self.lock.locked(),
            "recording": self.traffic.status(),
            "interlocks": self.interlocks.status() if self.interlocks is not None else [],
            "counts": counts,
            "devices": {
                name: {
                    "kind": device.kind,
                    "backend": device.backend,
                    "emission": self.calls.emitting.get(name),
                }
                for name, device in list(self.devices.items())
            },
        }

    def refresh_emission(self) -> None:
        """Read again whether devices emit, where no call is keeping them busy: an interlock may have acted."""
        for name, device in list(self.devices.items()):
            if "emission" not in device.declared_settings() or not self.lock.acquire(blocking=False):
                continue
            try:
                self.calls.emitting[name] = bool(getattr(device, "emission"))  # noqa: B009 - only those that declare it
            except LabError:
                self.calls.emitting.pop(name, None)
            finally:
                self.lock.release()

    # --- calls ------------------------------------------------------------------------------------------------------

    def _handle_call(self, request: Request, caller: Caller) -> Any:
        device = self.devices.get(request.device)
        if device is None:
            return self._handle_call_of_server(request, caller)
        if request.verb == "safe":  # whoever may call at all, whatever the lease
            return self.make_safe([device.name])
        self.renew(request)
        with self.lock:
            try:
                return self.calls.serve(device, request, caller, self.interlocks)
            except (LimitError, LeaseError):
                raise  # the caller's doing, and the caller is told
            except Exception as error:
                known = isinstance(error, LabError)
                log.log(
                    logging.WARNING if known else logging.ERROR, "%s.%s: %s", request.device, request.name, error,
                    exc_info=not known, extra=self.calls.origin(request),
                )  # fmt: skip
                raise

    def _handle_call_of_server(self, request: Request, caller: Caller) -> Any:
        match request.device, request.verb:
            case "", "acquire":  # here and not on the control lane, where others' leases are renewed: it takes time
                caller.must_be(Role.OPERATOR, "control of devices")
                with self.lock:
                    return self._acquire(request.arguments, caller)
            case "", "calibrations":
                return self._feeder.told()
            case "", "calibration":
                return self._feeder.file(str(request.arguments))
            case "", "freeze":
                with self.lock:
                    return self._freeze(request, caller)
            case "", "thaw":
                with self.lock:
                    return self._thaw(request, caller)
            case "", "bye":
                return None  # what it gave back came with the message
        return self._device(request.device)

    def _must_have_all(self, request: Request, caller: Caller) -> None:
        caller.must_be(Role.OPERATOR, request.verb)
        self.renew(request)
        for name in self.devices:
            self.book.require(request.lease, name, request.verb)

    def _freeze(self, request: Request, caller: Caller) -> Any:
        """Devices and, if asked for, the world, for who has control of all; None where they cannot be frozen."""
        self._must_have_all(request, caller)
        if not freezable(self.world):
            return None
        devices = freeze_devices(self.devices)
        world = freeze_world(self.world) if devices is not None and request.arguments else None
        return None if devices is None else [devices, world]

    def _thaw(self, request: Request, caller: Caller) -> Any:
        """Devices and, if given, the world; the names of those that emitted, which are dark now."""
        self._must_have_all(request, caller)
        if not freezable(self.world):
            raise ConfigurationError(f"server {self.name}: its devices cannot be put back to where they were")
        if not isinstance(request.arguments, list) or len(request.arguments) != 2:
            raise BusError("thaw: malformed arguments")
        devices, world = request.arguments
        if world is not None:
            self.world.thaw(np.array(world, np.uint8))
        self.calls.emitting.update(dict.fromkeys(self.calls.emitting, False))
        lit = thaw_devices(self.devices, np.array(devices, np.uint8))
        if self.interlocks is not None:
            self.interlocks.thawed()
        return lit

    def _device(self, name: str) -> Device:
        if name not in self.devices:
            raise BusError(f"server {self.name} has no device {name!r:.80}; it has {', '.join(self.devices)}")
        return self.devices[name]

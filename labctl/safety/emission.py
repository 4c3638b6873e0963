"""What emitters of one server are told on its way to the driver: light is refused or allowed, power rises by a ramp."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from drivers.contract import Device
from drivers.errors import InterlockError
from labctl.safety import ramp
from labctl.safety.guard import Guard
from labctl.safety.laser_rules import Dose, Ramp
from labctl.safety.notices import Notices
from labctl.safety.observer import Observer

if TYPE_CHECKING:
    from labctl.bench.device import DeviceConfig
    from labctl.server.leases import LeaseBook


class Server(Protocol):
    """What of a device server is needed here and in `Interlocks`."""

    name: str
    devices: dict[str, Device]
    parts: dict[str, set[str]]
    lock: threading.Lock
    book: LeaseBook

    def make_safe(self, names: Iterable[str] | None = None) -> None:
        """`safe` on devices."""


class Emission:
    """set_points: name of each emitter's set-point, "" without. ramps: by emitter. pause: waits, in bench time.
    changes: called when light comes on, or changes."""

    def __init__(
        self,
        server: Server,
        devices: Mapping[str, DeviceConfig],
        set_points: Mapping[str, str],
        ramps: Mapping[str, Ramp],
        observer: Observer,
        notices: Notices,
        pause: Callable[[float], None],
        changes: Callable[[], None],
        *,
        virtual: bool,
    ) -> None:
        self._server = server
        self._devices = devices
        self._set_points = set_points
        self._ramps = ramps
        self._observer = observer
        self._notices = notices
        self._pause = pause
        self._changes = changes
        self._virtual = virtual
        self._told: dict[str, float | None] = {}

    def begin(self, device: str, settings: Mapping[str, Any]) -> None:
        """A device has the settings of the bench file; none where nothing is known of what it was told."""
        self._told[device] = settings.get(self._set_points.get(device, ""))

    def power_w(self, rule: Dose, device: str) -> float:
        """On the sample, by what an emitter was told."""
        return rule.power_w(self._devices[device], self._told.get(device))

    def write(self, guard: Guard, device: Device, name: str, value: Any, lease: str, makes_light: bool) -> None:
        """Write a setting, under the server's lock. Raises InterlockError if light is refused, or comes to nothing."""
        power = self._set_points[device.name]
        if device.name not in guard.emitters:
            setattr(device, name, value)
        elif makes_light:
            self._light(guard, device, name, value, power, lease)
        elif name == "emission":
            self._observer.told(device.name, name, False)
            setattr(device, name, value)
            guard.gone(device.name)
        elif name == power:
            self._set_power(guard, device, power, value, lease)
        else:
            setattr(device, name, value)

    def _set_power(self, guard: Guard, device: Device, power: str, value: Any, lease: str) -> None:
        guard.look()
        lit = guard.lit(device.name)
        device.declared_settings()[power].check(device, value)
        if lit and device.name in self._ramps and value > float(getattr(device, power)):
            return self._climb(guard, device, power, float(value), lease)
        self._tell(device, power, float(value))
        setattr(device, power, value)
        if lit:
            self._changes()
        return None

    def _light(self, guard: Guard, device: Device, name: str, value: Any, power: str, lease: str) -> None:
        begun = guard.ready(device.name)
        rises = bool(power) and device.name in self._ramps
        target = float(getattr(device, power)) if power else 0.0
        if rises:
            self._set(device, power, ramp.lowest(device, power))
        elif power and self._told.get(device.name) is None:
            self._told[device.name] = target
        guard.coming(device.name)
        self._changes()
        try:
            setattr(device, name, value)
            self._observer.told(device.name, name, True)
            guard.came(device.name)
            guard.still(device.name, begun)
            if rises:
                self._climb(guard, device, power, target, lease)
        except BaseException:
            self._server.make_safe([device.name])
            if rises:
                self._set(device, power, target)
            raise

    def _climb(self, guard: Guard, device: Device, power: str, target: float, lease: str) -> None:
        rule, lock, what = self._ramps[device.name], self._server.lock, f"{device.name}.{power}"

        def pause(seconds: float) -> None:
            if self._virtual:
                return self._pause(seconds)
            lock.release()  # so that devices of this server can be asked meanwhile
            try:
                self._pause(seconds)
            finally:
                lock.acquire()

        def still() -> None:
            self._server.book.require(lease, device.name, what)
            if not guard.lit(device.name):
                self._notices.raise_for(lease)
                raise InterlockError(f"{what}: the light was turned off while the power rose; it rises no further")
            guard.look()

        def tell(at: float) -> None:
            self._tell(device, power, at)

        ramp.climb(device, power, target, rule.rate, rule.step, tell, pause, still)
        self._changes()

    def _set(self, device: Device, power: str, value: float) -> None:
        self._tell(device, power, value)
        setattr(device, power, value)

    def _tell(self, device: Device, power: str, value: float) -> None:
        self._told[device.name] = value
        self._observer.told(device.name, power, value)

"""A bench of made-up devices: as much of an instrument as the bus and the lease need, and nothing optical."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from drivers.contract import ROI, Device, DeviceError, Identity, operation, setting
from drivers.errors import DeviceTimeout
from drivers.settings import Limits
from drivers.site import Site
from labctl.bench.client import Bench
from labctl.bench.config import BenchConfig, DeviceConfig
from labctl.server.host import Host, running

_numbers = itertools.count(1)


class PasswordError(DeviceTimeout):
    """A driver's own error, unknown to clients."""


class Lamp(Device):
    """A lamp that remembers everything that happened to it."""

    kind = "lamp"

    emission = setting(bool, needs_lease=True, doc="Light on or off.")
    power_w = setting(float, unit="W", minimum=0, maximum=5, doc="Power set-point.")
    roi = setting(ROI, doc="A structured setting.")
    hours = setting(float, read_only=True, doc="Hours of use.")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.on = False
        self.power = 1.0
        self.region = ROI(row=0, column=0, rows=1, columns=1)
        self.executed: list[str] = []
        self.made_safe_ns: list[int] = []
        self.busy = threading.Event()
        self.slow_to_light_s = 0.0

    def identity(self) -> Identity:
        return Identity(model="lamp", serial=self.name, firmware="0")

    def safe(self) -> None:
        self.on = False
        self.made_safe_ns.append(time.monotonic_ns())

    def _read_emission(self) -> bool:
        return self.on

    def _write_emission(self, value: bool) -> None:
        self.executed.append(f"emission={value}")
        self.busy.set()
        time.sleep(self.slow_to_light_s)
        self.on = value

    def _read_power_w(self) -> float:
        return self.power

    def _write_power_w(self, value: float) -> None:
        self.executed.append(f"power_w={value}")
        self.power = value

    def _read_roi(self) -> ROI:
        return self.region

    def _write_roi(self, value: ROI) -> None:
        self.region = value

    def _read_hours(self) -> float:
        return 12.0

    @operation()
    def echo(self, value: Any, *, twice: bool = False) -> Any:
        """Give back what was given."""
        self.executed.append("echo")
        return [value, value] if twice else value

    @operation()
    def slow(self, seconds: float) -> str:
        """Take that long."""
        self.executed.append("slow")
        self.busy.set()
        time.sleep(seconds)
        return "done"

    @operation(observes=True)
    def look(self) -> int:
        """Change nothing."""
        return 42

    @operation()
    def fail(self, how: str) -> None:
        """Raise."""
        if how == "own":
            raise PasswordError("the lamp wants its password")
        if how == "bug":
            raise ZeroDivisionError("a bug in the driver")
        if how == "undecodable":
            raise DeviceError("a name the file system knows: \udcff")
        raise DeviceError(f"{self.name}: filament broken")

    def secret(self) -> str:
        """No operation, so not callable over the bus."""
        return "secret"


class Relay(Device):
    """A composite that passes calls on to a lamp, which may live in another server."""

    kind = "relay"
    composite = True

    def __init__(self, name: str, lamp: Any) -> None:
        super().__init__(name)
        self.lamp = lamp

    @classmethod
    def build(cls, name: str, options: Any, site: Site) -> Relay:
        return cls(name, site.device("lamp"))

    def identity(self) -> Identity:
        return Identity(model="relay", serial="", firmware="0")

    def safe(self) -> None:
        pass

    @operation()
    def pass_on(self, value: Any) -> Any:
        """Ask the lamp."""
        return self.lamp.echo(value)


def device(name: str, factory: type[Device], **settings: Any) -> DeviceConfig:
    limits = {"power_w": Limits(maximum=4.0)} if factory is Lamp else {}
    return DeviceConfig(name, factory.kind, "real", None, factory, None, settings, limits)


def bench_config(lease_s: float = 10.0, servers: Mapping[str, tuple[str, ...]] | None = None) -> BenchConfig:
    """Two lamps and a relay, served together or as told."""
    lamps = {"lamp": device("lamp", Lamp, power_w=2.0), "spare": device("spare", Lamp)}
    devices = {**lamps, "relay": device("relay", Relay)}
    return BenchConfig(
        name="lamps",
        path=Path("lamps.toml"),
        text="",
        world_name=None,
        world_parameters=None,
        clock="real",
        lease_s=lease_s,
        devices=devices,
        servers=dict(servers or {"main": tuple(devices)}),
        alignment={},
    )


@dataclass
class Lab:
    """A host in this process, looked at from inside, and benches that reach it over the bus."""

    host: Host
    context: zmq.Context[Any]
    benches: list[Bench]

    def bench(self) -> Bench:
        made = Bench(self.host.config, self.context, self.host.control_endpoint)
        self.benches.append(made)
        return made

    def take(self, bench: Bench) -> None:
        """Control that nobody gives back, as of a client that was killed."""
        token = bench._control.request("", "acquire", arguments="a test", timeout_s=10.0)
        for connection in (*bench._connections.values(), bench._control):
            connection.lease = token
        bench._lease = token

    @property
    def lamp(self) -> Lamp:
        lamp = self.host._devices["lamp"]
        assert isinstance(lamp, Lamp)
        return lamp


@contextmanager
def laboratory(config: BenchConfig) -> Iterator[Lab]:
    context: zmq.Context[Any] = zmq.Context()
    try:
        with running(config, context, f"inproc://lamps-{next(_numbers)}") as host:
            lab = Lab(host, context, [])
            try:
                yield lab
            finally:
                for bench in lab.benches:
                    bench.close()
    finally:
        context.destroy(linger=0)


def wait_until(condition: Any, timeout_s: float = 10.0) -> None:
    """Return once ``condition()`` holds; fail if it does not within a generous time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)

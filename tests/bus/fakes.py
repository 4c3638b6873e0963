"""A bench of made-up devices: as much of an instrument as the bus and the lease need, and nothing optical.

In this process (`laboratory`), or served by `labctl up` in others, which find these devices as any third party's
(`install`).
"""

from __future__ import annotations

import itertools
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from pydantic import BaseModel, ConfigDict

from drivers.contract import ROI, Device, DeviceError, Frame, Identity, Reading, operation, setting
from drivers.errors import DeviceTimeout
from drivers.settings import Limits
from drivers.site import Site
from labctl import registry
from labctl.bench.client import Bench
from labctl.bench.config import BenchConfig
from labctl.bench.device import DeviceConfig
from labctl.bus.connection import Connection
from labctl.bus.entries import LANES
from labctl.server import runtime
from labctl.server.host import Host, local_places, running
from labctl.server.server import DeviceServer, Place

_numbers = itertools.count(1)


class PasswordError(DeviceTimeout):
    """A driver's own error, unknown to clients."""


class Filament:
    """Whether a lamp burns, in a file that outlives the process that drives it, as the lamp itself would."""

    def __init__(self, path: str | Path) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(handle).st_size == 0:
                os.ftruncate(handle, 8)
            self._memory = mmap.mmap(handle, 8)
        finally:
            os.close(handle)

    @property
    def on(self) -> bool:
        return bool(struct.unpack_from("q", self._memory)[0])

    @on.setter
    def on(self, value: bool) -> None:
        struct.pack_into("q", self._memory, 0, int(value))


class Dim:
    """A filament that nobody sees from outside."""

    on = False


class Lamp(Device):
    """A lamp that remembers everything that happened to it. record: file of its `Filament`."""

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        record: str = ""

    kind = "lamp"

    emission = setting(bool, needs_lease=True, doc="Light on or off.")
    power_w = setting(float, unit="W", minimum=0, maximum=5, doc="Power set-point.")
    roi = setting(ROI, doc="A structured setting.")
    hours = setting(float, read_only=True, doc="Hours of use.")

    def __init__(self, name: str, record: str = "") -> None:
        super().__init__(name)
        self.filament: Any = Filament(record) if record else Dim()
        self.power = 1.0
        self.region = ROI(row=0, column=0, rows=1, columns=1)
        self.executed: list[str] = []
        self.made_safe_ns: list[int] = []
        self.busy = threading.Event()
        self.slow_to_light_s = 0.0

    @property
    def on(self) -> bool:
        return bool(self.filament.on)

    @on.setter
    def on(self, value: bool) -> None:
        self.filament.on = value

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

    @operation()
    def keep_asking(self, seconds: float) -> int:
        """Ask the lamp again and again for that long; how often."""
        end, asked = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            self.lamp.echo(asked)
            asked += 1
        return asked


class Eye(Device):
    """A camera whose every pixel is known: frame ``n`` shows `pixels` of n."""

    kind = "eye"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.taken = 0

    def identity(self) -> Identity:
        return Identity(model="eye", serial="", firmware="0")

    def safe(self) -> None:
        pass

    @operation()
    def snap(self, rows: int, columns: int) -> Frame:
        """One frame, drawn where the server wants it."""
        data = self.allocate((rows, columns), np.uint16)
        data[...] = pixels(self.taken, rows, columns)
        self.taken += 1
        return frame(data, self.taken - 1)

    @operation()
    def measure(self) -> Reading:
        """One reading."""
        self.taken += 1
        return Reading(
            reading_id=self.taken,
            power_w=1e-3,
            standard_power_w=0.0,
            start_ns=0,
            end_ns=1,
            utc_start_ns=0,
            wavelength_m=600e-9,
            saturated=False,
        )


def pixels(number: int, rows: int, columns: int) -> np.ndarray:
    """What `Eye` sees: different in every pixel and every frame."""
    return ((np.arange(rows * columns).reshape(rows, columns) * 7 + 1000 * number) % 65521).astype(np.uint16)


def frame(data: np.ndarray, number: int) -> Frame:
    """A frame around an image."""
    return Frame(
        data=data,
        frame_id=number,
        start_ns=0,
        end_ns=1,
        utc_start_ns=0,
        exposure_s=0.01,
        roi=ROI(row=0, column=0, rows=data.shape[-2], columns=data.shape[-1]),
        electrons_per_count=1.0,
        bit_depth=16,
        saturated=0,
        lost_before=0,
        pattern_id=number,
    )


def device(name: str, factory: type[Device], **settings: Any) -> DeviceConfig:
    limits = {"power_w": Limits(maximum=4.0)} if factory is Lamp else {}
    return DeviceConfig(name, factory.kind, "real", None, factory, None, settings, limits)


def bench_config(lease_s: float = 10.0, servers: Mapping[str, tuple[str, ...]] | None = None) -> BenchConfig:
    """Two lamps, an eye and a relay, served together or as told."""
    lamps = {"lamp": device("lamp", Lamp, power_w=2.0), "spare": device("spare", Lamp)}
    devices = {**lamps, "eye": device("eye", Eye), "relay": device("relay", Relay)}
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


TWO_SERVERS = {"a": ("lamp", "spare", "eye"), "b": ("relay",)}


@dataclass
class Lab:
    """A host in this process, looked at from inside, and benches that reach it over the bus."""

    host: Host
    context: zmq.Context[Any]
    benches: list[Bench] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)

    def bench(self) -> Bench:
        made = Bench(self.host.config, self.context, self.host.entry())
        self.benches.append(made)
        return made

    def take(self, bench: Bench) -> None:
        """Control that nobody gives back, as of a client that was killed."""
        held = {server.name: server.devices for server in self.host.entry().servers}
        bench._lease.take("a test", held, whole=True)

    @property
    def server(self) -> DeviceServer:
        """The only server, or the first."""
        return next(iter(self.host.servers.values()))

    def endpoint(self, lane: str, server: str = "") -> str:
        """Where a lane of the server is found."""
        return (self.host.servers[server] if server else self.server).entry().local[lane]

    def connection(self, lane: str = "calls", server: str = "", **options: Any) -> Connection:
        """A connection that the test does not have to close."""
        made = Connection(self.context, self.endpoint(lane, server), **options)
        self.connections.append(made)
        return made

    @property
    def lamp(self) -> Lamp:
        lamp = self.host.devices["lamp"]
        assert isinstance(lamp, Lamp)
        return lamp


def ipc_places(config: BenchConfig) -> dict[str, Place]:
    """Places as other processes reach them, so that arrays go by shared memory, within this process too."""
    base = f"{runtime.base_endpoint(config.name)}-{next(_numbers)}"
    return {name: Place({lane: f"{base}-{name}.{lane}" for lane in LANES}) for name in config.servers}


@contextmanager
def laboratory(config: BenchConfig, *, ipc: bool = False) -> Iterator[Lab]:
    """A host in this process. ipc: reached, and sharing memory, as from another."""
    context: zmq.Context[Any] = zmq.Context()
    try:
        places = ipc_places(config) if ipc else local_places(config)
        with running(config, context, places, apart=ipc) as host:
            lab = Lab(host, context)
            try:
                yield lab
            finally:
                for made in [*lab.benches, *lab.connections]:
                    made.close()
    finally:
        context.destroy(linger=0)


def wait_until(condition: Any, timeout_s: float = 20.0) -> None:
    """Return once ``condition()`` holds; fail if it does not within a generous time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


# --- in other processes -------------------------------------------------------------------------------------------

_KINDS = ("Lamp", "Relay", "Eye")


def install(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let this process and its children find the made-up devices, registered like a third party's."""
    info = folder / "fake-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake\nVersion: 1.0\n", encoding="utf-8")
    points = "\n".join(f"{kind.lower()} = fakes:{kind}" for kind in _KINDS)
    (info / "entry_points.txt").write_text(f"[labctl.kinds]\n{points}\n\n[labctl.drivers]\n{points}\n")
    before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    patch.setenv("PYTHONPATH", os.pathsep.join([*before, str(folder), str(Path(__file__).parent)]))
    patch.syspath_prepend(str(folder))
    registry._registered.cache_clear()


_WORLD = """
[devices.slm]
kind = "slm"
backend = "simulated"

[servers.panels]
devices = ["slm"]
"""


def write_bench(path: Path, record: Path, *, lease_s: float = 10.0, world: bool = False) -> Path:
    """A bench file of made-up devices, in two servers: lamp, spare and eye, and a relay that passes on to the lamp.

    record: file of the lamp's `Filament`. world: with a simulated panel, in a third server.
    """
    path.write_text(
        f"""
[bench]
name = "lamps"
clock = "real"
lease = "{lease_s} s"
{'world = "prbm"' if world else ""}

[devices.lamp]
kind = "lamp"
backend = "real"
driver = "lamp"
power = "2 W"
record = "{record}"

[devices.spare]
kind = "lamp"
backend = "real"
driver = "lamp"

[devices.eye]
kind = "eye"
backend = "real"
driver = "eye"

[devices.relay]
kind = "relay"

[servers.lamps]
devices = ["lamp", "spare", "eye"]

[servers.relays]
devices = ["relay"]
{_WORLD if world else ""}
""",
        encoding="utf-8",
    )
    return path

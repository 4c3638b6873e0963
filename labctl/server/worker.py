"""One process of a bench that is up: the world, the directory, a device server, or a spare that waits to be one.

It is started by the supervisor, which tells it what to be in one line of JSON on its standard input and keeps that pipe
open. When the pipe ends, the supervisor is gone: every device is made safe and the process ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import gc
import io
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import zmq

from drivers.errors import BusError, LabError
from labctl import registry
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.bus import rotation, security, segments
from labctl.bus.entries import BenchEntry
from labctl.bus.ring import Arena
from labctl.private import others_never_write
from labctl.server import logs, runtime
from labctl.server.directory import HEARTBEAT_S, Directory, Heart
from labctl.server.host import Host
from labctl.server.server import DeviceServer, Place
from labctl.server.world import RemoteWorld, WorldHome

log = logging.getLogger(__name__)

_GRACE_S = 5.0
_DIRECTORY_PATIENCE_S = 60.0


class Task(msgspec.Struct, frozen=True):
    """What a process is to be. files: bench file and overlay as they were when the bench was started."""

    role: Literal["world", "emulator", "directory", "server", "spare"]
    name: str
    bench_file: str
    overrides: dict[str, Any]
    text: str
    overlay_text: str
    host: runtime.HostEntry
    lanes: dict[str, dict[str, str]]
    local: dict[str, str]
    remote: dict[str, str]
    advertised: dict[str, str]
    world: str
    directory_remote: str
    keys: str
    entry: BenchEntry
    connections: dict[str, dict[str, Any]] = {}


def main() -> int:
    """Be what the first line of standard input says, until it ends."""
    others_never_write()
    gc.disable()  # what is imported is no garbage; looking for some in it meanwhile takes a tenth of a start
    # Without a buffer, whose lock a thread that waits here for ever would keep from the interpreter's end.
    lifeline = io.FileIO(sys.stdin.fileno(), closefd=False)
    task = msgspec.json.decode(lifeline.readline(), type=Task)
    if task.role == "spare":
        # Everything is imported by reading the bench; the real task comes when another process has died.
        with contextlib.suppress(LabError):
            _bench_of(task)
        gc.freeze()
        line = lifeline.readline()
        if not line.startswith(b"{"):
            return 0
        task = msgspec.json.decode(line, type=Task)
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C is for the supervisor, which ends its processes in order
    end = _End(lifeline)
    signal.signal(signal.SIGTERM, lambda *_: end.now("told to end"))
    sys.setswitchinterval(0.001)  # the watchdog waits no longer than that for a thread that computes
    label = task.name or task.role
    logs.set_up(task.host.bench, label, Path(task.host.log_file) if task.host.log_file else None)
    context: zmq.Context[Any] = zmq.Context()
    try:
        # A directory need know nothing of devices, whose modules take as long to import as all else.
        config = None if task.role == "directory" else _bench_of(task)
        gc.freeze()
        gc.enable()
        with _serving(task, config, context, end) as connection:
            gc.freeze()  # what was loaded stays: collections need not look at it again, in the middle of a call
            _tell({"ready": True, "connection": connection})
            end.wait()
            log.info("ending: %s", end.why)
    except LabError as error:
        log.error("%s", error)
        _tell({"ready": False, "error": type(error).__name__, "message": str(error)})
        return 1
    except Exception as error:  # a driver's own: the log is where it is looked for
        log.exception("%s failed", label)
        _tell({"ready": False, "error": "DeviceError", "message": f"{label}: {type(error).__name__}: {error}"})
        return 1
    finally:
        context.destroy(linger=100)
        if end.orphaned:
            # The last ones out take away what a supervisor that was killed could not.
            runtime.withdraw(task.host)
            segments.sweep()
    return 0


def _bench_of(task: Task) -> BenchConfig:
    return load_bench(task.bench_file, task.overrides, texts=(task.text, task.overlay_text))


def _tell(what: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
        sys.stdout.buffer.flush()


class _End:
    """When the process shall end: its supervisor closed the pipe or died, or it was told to."""

    def __init__(self, lifeline: io.FileIO) -> None:
        self._lifeline = lifeline
        self._event = threading.Event()
        self.why = ""
        self.orphaned = False
        self.first_act: Callable[[], None] | None = None
        self.orders: Callable[[bytes], None] | None = None
        """What does as it is told by any other line of the supervisor's."""
        threading.Thread(target=self._watch_pipe, name="labctl-lifeline", daemon=True).start()

    def _watch_pipe(self) -> None:
        word = self._lifeline.readline()  # "end", or nothing from a supervisor that died
        while word and not word.startswith(b"end"):
            if self.orders is not None:
                self.orders(word)
            word = self._lifeline.readline()
        self.orphaned = not word
        self.now("told to end" if word else "the supervisor is gone")
        threading.Event().wait(_GRACE_S)
        log.error("did not end within %g s and is ended by force", _GRACE_S)
        with contextlib.suppress(OSError):
            faulthandler.dump_traceback(sys.stderr)  # where it hangs
        segments.close_all()
        os._exit(3)

    def now(self, why: str) -> None:
        """End; the first act, making everything safe, is done at once, whatever the main thread is doing."""
        self.why = self.why or why
        if self.first_act is not None:
            self.first_act()
        self._event.set()

    @property
    def told(self) -> bool:
        """Whether it is to end."""
        return self._event.is_set()

    def wait(self) -> None:
        """Until then, telling the supervisor twice a second that this process lives."""
        while not self._event.wait(HEARTBEAT_S):
            with contextlib.suppress(OSError):
                sys.stdout.buffer.write(b"\n")
                sys.stdout.buffer.flush()


@contextlib.contextmanager
def _serving(task: Task, config: BenchConfig | None, context: zmq.Context[Any], end: _End) -> Iterator[dict[str, Any]]:
    with contextlib.ExitStack() as stack:
        keys = security.load(task.keys) if task.keys else None
        door = None
        if keys is not None and (task.remote or task.directory_remote):
            door = security.Door(context)
            stack.callback(door.close)
        if task.role == "directory":
            coming = functools.partial(_coming_key, task.keys)
            directory = Directory(task.entry, context, task.host.directory, task.directory_remote, keys, door, coming)
            stack.callback(directory.stop)
            directory.start()
            yield {}
            return
        assert config is not None
        if task.role == "world":
            world_type = registry.load("labctl.worlds", str(config.world_name))
            assert config.world_parameters is not None
            home = WorldHome(world_type, config.world_parameters, config.clock, context, task.world)
            stack.callback(home.close)
            home.start()
        elif task.role == "emulator":
            yield _emulate(task, config, context, stack, end)
            return
        else:
            place = Place(task.local, task.remote, task.advertised, keys, door)
            elsewhere = {name: lanes for name, lanes in task.lanes.items() if name != task.name}
            host = Host(
                config, context, {task.name: place}, elsewhere=elsewhere, world_endpoint=task.world,
                started_by=task.host.pid, apart=True, connections=task.connections,
            )  # fmt: skip
            end.first_act = host.interrupt
            host.start()
            stack.callback(host.close)
            server = host.servers[task.name]
            heart = Heart(context, task.host.directory, task.name, lambda: _state(server), server.entry)
            stack.callback(heart.stop)
            _first_beat(heart, end)
            heart.start()
        yield {}


def _coming_key(name: str) -> str:
    """The public key that a bench will have, if it has one and it is being changed."""
    try:
        return rotation.coming(name) if name else ""
    except LabError as error:
        log.error("the new key of %s is not told to clients: %s", name, error)
        return ""


class Blow(msgspec.Struct, frozen=True):
    """How an emulated instrument is to be broken from now on: a fault that is noticed, a mutation that is not, or
    neither. number: is told back when that is done."""

    number: int
    fault: str | None = None
    mutation: str | None = None


def _emulate(
    task: Task, config: BenchConfig, context: zmq.Context[Any], stack: contextlib.ExitStack, end: _End
) -> dict[str, Any]:
    """The instrument of one device, attached to the world; what leads to it."""
    device = config.devices[task.name]
    world_type = registry.load("labctl.worlds", str(config.world_name))
    assert config.world_parameters is not None
    arena = Arena()
    stack.callback(arena.close)
    world = RemoteWorld(
        world_type, config.world_parameters, config.clock, context, task.world, arena, f"{task.name} (emulated)"
    )
    stack.callback(world.close)
    emulator = device.emulator(task.name, world, device.emulator_options)
    stack.callback(emulator.stop)
    connection: dict[str, Any] = emulator.start()
    emulator.mutate(getattr(device.emulator_options, "mutation", None))
    emulator.inject(getattr(device.emulator_options, "fault", None))

    def strike(line: bytes) -> None:
        try:
            blow = msgspec.json.decode(line, type=Blow)
            emulator.inject(blow.fault)
            emulator.mutate(blow.mutation)
        except (LabError, msgspec.MsgspecError) as error:
            log.error("%s: %s", task.name, error, extra={"device": task.name})
        else:
            _tell({"struck": blow.number})

    end.orders = strike
    return connection


def _state(server: DeviceServer) -> dict[str, Any]:
    server.refresh_emission()
    return server.status()


def _first_beat(heart: Heart, end: _End) -> None:
    """The directory starts, or is started again, at the same time."""
    deadline = time.monotonic() + _DIRECTORY_PATIENCE_S
    while True:
        try:
            return heart.beat(timeout_s=10.0)
        except BusError:
            if end.told or time.monotonic() > deadline:
                raise


if __name__ == "__main__":
    from labctl.shadow import check_rooms

    check_rooms()
    sys.exit(main())

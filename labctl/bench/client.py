"""The bench as an experiment sees it: devices by role, leases, bench time; on whichever backend, near or far."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray
from pydantic import BaseModel

from drivers.contract import ROI, Identity
from drivers.errors import BusError, ConfigurationError, InterlockError, LabError, LeaseError
from labctl.bench.config import BenchConfig
from labctl.bench.frozen import freeze_table, thaw_table
from labctl.bench.lease import CONTROL_TIMEOUT_S, Lease
from labctl.bench.load import load_bench
from labctl.bench.recovery import Recovery
from labctl.bench.schema import RecoveryTable
from labctl.bench.shelf import Shelf, fetch, must_hold, shelf_of
from labctl.bench.snap import LastPatterns, add_snap
from labctl.bus import display, security
from labctl.bus.connection import Connection
from labctl.bus.entries import BenchEntry
from labctl.bus.proxy import DeviceProxy
from labctl.bus.reach import Reach
from labctl.bus.ring import Arena
from labctl.bus.stream import Stream, reduction_of
from labctl.bus.together import raise_first, this_user, together
from labctl.safety import desk
from labctl.server.apart import served_apart
from labctl.server.directory import find_remote, find_up
from labctl.server.emergency import within_script
from labctl.server.lane import end_context
from labctl.store.calibration import Calibration

_LOOK_AGAIN_S = 0.1
_DESCRIBE_TIMEOUT_S = 10.0
_LOOK_TIMEOUT_S = 0.7


class NoSuchDevice(ConfigurationError, AttributeError):
    """An experiment asks for a role that the bench file does not give to any device."""


class Bench:
    """Devices of a bench file, reached over the bus.

    Roles are attributes (``bench.camera``) or items (``bench["camera"]``). Light needs control:

        with bench.control():
            bench.source.emission = True
    """

    def __init__(
        self,
        config: BenchConfig | None,
        context: zmq.Context[Any],
        entry: BenchEntry,
        *,
        remote: bool = False,
        keys: security.KeyPair | None = None,
    ) -> None:
        self._config = config
        self._context = context
        self._entry = entry
        self._remote = remote
        self.keys = keys
        self.closing: contextlib.ExitStack | None = None
        """What `close` ends besides, if it is not left by ``with``."""
        self.arena = Arena()
        self._recovery: Recovery | None = None
        self._fetched: dict[str, Calibration] = {}
        self._servers: dict[str, Reach] = {}
        self._lease = Lease(self._servers, entry.lease_s)
        self._devices: dict[str, DeviceProxy] = {}
        self._patterns = LastPatterns(lambda device: any(device in names for names in self._lease.held.values()))
        try:
            for told in entry.servers:
                server = self._servers[told.name] = Reach(
                    told, context, remote=remote, keys=keys, arena=self.arena, patience_s=self._lease.patience_s,
                    watch=self._lease.watch,
                )  # fmt: skip
                server.greet()
                for description in server.control.request("", "describe", timeout_s=_DESCRIBE_TIMEOUT_S):
                    self._devices[description.name] = DeviceProxy(
                        server.calls, description.name, server.stop, description, self.arena, self._stream,
                        functools.partial(_status_of, server),
                    )  # fmt: skip
            add_snap(self._devices, self._patterns)
        except BaseException:
            self.close()  # an open socket would keep the context from ending
            raise

    # --- devices ----------------------------------------------------------------------------------------------------

    def __getattr__(self, role: str) -> DeviceProxy:
        devices: dict[str, DeviceProxy] = self.__dict__.get("_devices", {})
        if role.startswith("_") or role not in devices:
            raise NoSuchDevice(f"the bench has no device {role!r}; it has {', '.join(devices)}")
        return devices[role]

    def __getitem__(self, role: str) -> DeviceProxy:
        if role not in self._devices:
            raise NoSuchDevice(f"bench {self.name} has no device {role!r}; it has {', '.join(self._devices)}")
        return self._devices[role]

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._devices]

    def __repr__(self) -> str:
        return f"<bench {self.name!r}: {', '.join(self._devices)}>"

    def __str__(self) -> str:
        return display.bench_text(self.name, self._devices, self._told())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))  # of IPython, in a terminal

    def _repr_html_(self) -> str:
        return display.bench_html(self.name, self._devices, self._told())

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._devices)

    def _told(self) -> dict[str, Any]:
        """What each server says of itself now, or the error that kept it from doing so."""
        return together({name: functools.partial(_status_of, server) for name, server in self._servers.items()})

    @property
    def name(self) -> str:
        """The bench's name."""
        return self._entry.bench

    @property
    def config(self) -> BenchConfig:
        """The bench file; ConfigurationError if the bench was opened without it."""
        if self._config is None:
            raise ConfigurationError(f"bench {self.name} was opened without its file; open it with the bench file")
        return self._config

    @property
    def devices(self) -> Mapping[str, DeviceProxy]:
        """All devices by role."""
        return self._devices

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Every setting of every device as read back now."""
        return {name: device.snapshot() for name, device in self._devices.items()}

    def alignment(self, name: str) -> BaseModel:
        """The bench file's ``[alignment.NAME]``; ConfigurationError if it has none."""
        if self._config is None:
            raise ConfigurationError(f"bench {self.name} was opened without its file; alignments are in the file")
        if name not in self._config.alignment:
            raise ConfigurationError(
                f"bench {self.name} ({self._config.path}) has no [alignment.{name}]; add it to the bench file"
            )
        return self._config.alignment[name]

    def calibration(self, need: str) -> Calibration:
        """The calibration in force for ``KIND`` ("slm-camera"), or ``ROLE.KIND`` where several devices have one.

        Raises CalibrationError, which names the command to run, if there is none, or it is stale, of another device,
        made with other settings, or has failed its last check, and the bench file does not accept that.
        """
        chosen = self.calibrations().find(need, self.name)
        found = must_hold(chosen, need, self._config, self.name, self._identity_of, self._setting_of)
        if found.id not in self._fetched:
            self._fetched[found.id] = fetch(self._ask, found.id)
        return self._fetched[found.id]

    def calibrations(self) -> Shelf:
        """What is in force on this bench, without the arrays; it may be stale, or of other devices."""
        return shelf_of(self._ask, self.name)

    def _identity_of(self, role: str) -> Identity | None:
        return self._devices[role].identity() if role in self._devices else None

    def _setting_of(self, name: str) -> float | None:
        role, _, setting = name.rpartition(".")
        if role not in self._devices or all(s.name != setting for s in self._devices[role].description.settings):
            return None
        value = getattr(self._devices[role], setting)
        return float(value) if isinstance(value, (int, float)) else None

    def _ask(self, verb: str, arguments: Any) -> Any:
        return next(iter(self._servers.values())).calls.request("", verb, arguments=arguments)

    def _stream(
        self,
        device: str,
        windows: Sequence[ROI] | None = None,
        bin: int = 1,
        images: bool = True,
        timeout_s: float | None = None,
    ) -> Stream:
        server = next(s for s in self._servers.values() if device in s.entry.devices)
        return Stream(
            self._context,
            server.entry.address("stream", remote=self._remote),
            device,
            reduction_of(windows, bin, images),
            self.keys,
            timeout_s,
        )

    # --- control ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def control(
        self,
        purpose: str = "script",
        devices: Iterable[str] | None = None,
        *,
        run: str = "",
        lease_s: float | None = None,
        calibrating: bool = False,
    ) -> Iterator[Bench]:
        """Exclusive control of the whole bench, or of some devices with what they are made of.

        Every call of this thread to a device renews the lease, also while it is waited for, and so does `renew`;
        another thread's calls do not, since it would go on for a control loop that hangs. Leaving makes the devices
        safe.

        run: name of the run it is taken for, kept with the lease and in the log. lease_s: time-to-live, else the bench
        file's. calibrating: calibrations that would be refused are left out instead, since they are to be measured
        anew. Raises LeaseError if somebody else has control of one of them, CalibrationError if a calibration in force
        on one of them is stale, or of another device.
        """
        if self._lease.token:
            raise LeaseError("this bench object has control already; leave the first `with bench.control():` before")
        wanted = list(self._devices) if devices is None else list(dict.fromkeys(devices))
        for device in list(wanted):
            wanted += [part for part in self[device].description.parts if part not in wanted]
        held = {
            name: [d for d in server.entry.devices if d in wanted]
            for name, server in sorted(self._servers.items())  # one order for all, so that two never wait in a circle
            if any(d in wanted for d in server.entry.devices)
        }
        self._patterns.forget()
        self._lease.take(purpose, held, run, lease_s, whole=devices is None, calibrating=calibrating)
        try:
            yield self
        except BaseException as error:
            try:
                self._lease.give_back()
            except LabError as second:  # the first error is the one to tell
                error.add_note(f"and control could not be given back: {second}")
            raise
        self._lease.give_back()

    def renew(self) -> None:
        """Renew the lease without doing anything else, in a loop that has no call to make.

        Raises LeaseError if it was lost, and in a thread that did not take control.
        """
        self._lease.renew()

    @property
    def patience_s(self) -> float:
        """How long a call is waited for before the lease is renewed (s): a quarter of its time-to-live."""
        return self._lease.patience_s

    # --- recovery ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def recovering(
        self, count: Callable[[str], None], say: Callable[[str], None] = lambda text: None, *, own: bool = False
    ) -> Iterator[None]:
        """Meanwhile, measurements that fail are made again as the bench file's ``[recovery]`` says; see `Recovery`."""
        policy = RecoveryTable() if self._config is None else self._config.recovery
        self._recovery = Recovery(self, policy, count, say, own=own)
        for proxy in self._devices.values():
            proxy.go_through(self._recovery)
        try:
            yield
        finally:
            self._recovery = None
            for proxy in self._devices.values():
                proxy.go_through(None)

    def recovered(self, what: str) -> None:
        """Count a failure that the experiment has dealt with by itself, such as "play again", in the run's file."""
        if self._recovery is not None:
            self._recovery.recovered(what)

    # --- frozen state -----------------------------------------------------------------------------------------------

    def freeze(self) -> NDArray[np.uint8] | None:
        """All that a simulated table is now, its time and noise included, for who has control of the whole bench.

        None where there is no such thing: in real time, with real instruments, without control.
        """
        if not self._lease.whole or self._config is None or self._config.clock != "virtual":
            return None
        return freeze_table(self._servers, self._entry.fingerprint)

    def thaw(self, frozen: NDArray[np.uint8]) -> None:
        """Go on from what `freeze` gave, bit for bit; lasers that emitted are told to emit, as by anybody.

        Raises ConfigurationError, after which the bench must be let go of, if it is spoilt or of another bench;
        LeaseError without control of the whole bench.
        """
        if not self._lease.whole:
            raise LeaseError("a table goes on from a frozen one under control of the whole bench")
        # To be safe makes it forget what SLMs showed.
        for role in thaw_table(self._servers, self._entry.fingerprint, frozen, self.safe):
            self._devices[role].emission = True

    def safe(self) -> None:
        """Every device to its safe state, now, whoever has control."""
        self._emergency_lanes("safe", None)

    def stop(self, reason: str = "") -> None:
        """Emergency stop: every device safe, now, and nobody in control any more, as `labctl stop` does."""
        self._emergency_lanes("stop", this_user(reason))

    # --- interlocks; see `labctl.safety.desk` -----------------------------------------------------------------------

    def interlocks(self) -> list[dict[str, Any]]:
        """Every interlock: name, rule, guards, state ("tripped", "not armed", "watching", "ready"), reason."""
        return desk.states(self._controls)

    def interlock_events(self, run: str = "") -> list[dict[str, Any]]:
        """What interlocks did, in order: utc (s), what, interlock, text, run, age_s. run: only of this one."""
        return desk.events(self._controls, run)

    def arm(self, *devices: str, for_s: float | None = None) -> dict[str, dict[str, Any]]:
        """Arm emitters that an interlock wants armed, all unless named, as `labctl arm` does."""
        return desk.arm(self._controls, devices, for_s, this_user())

    def disarm(self, *devices: str) -> list[str]:
        """Disarm them, which turns their light off; which were armed."""
        return desk.disarm(self._controls, devices, this_user())

    def acknowledge(self, interlock: str = "", reason: str = "", *, new_sample: bool = False) -> list[str]:
        """Let there be light again after a trip, of one interlock or of all, as `labctl ack` does; which were tripped.

        Raises InterlockError if the cause persists.
        """
        return desk.acknowledge(self._controls, interlock, reason, this_user(), new_sample=new_sample)

    def wait_acknowledged(self, timeout_s: float | None = None) -> list[str]:
        """Wait, keeping control, until nothing is tripped and what was disarmed is armed; interlocks waited for.

        After an InterlockError a control loop waits here and then begins its measurement again: its light is off.
        Raises InterlockError, with the reasons, if it is not so within ``timeout_s`` (None: however long it takes).
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        waited_for: dict[str, None] = {}
        while True:
            refusals = desk.refusals(self.interlocks())
            if not refusals:
                return list(waited_for)
            waited_for |= dict.fromkeys(refusals)
            if deadline is not None and time.monotonic() > deadline:
                raise InterlockError("; ".join(refusals.values()))
            with contextlib.suppress(InterlockError):  # which is what is waited for
                self.renew()
            time.sleep(_LOOK_AGAIN_S)

    @property
    def _controls(self) -> dict[str, Connection]:
        return {name: server.control for name, server in self._servers.items()}

    def _emergency_lanes(self, verb: str, arguments: Any) -> None:
        self._patterns.forget()

        def ask(server: Reach) -> None:
            server.stop.request("", verb, arguments=arguments, timeout_s=CONTROL_TIMEOUT_S)

        raise_first(together({name: functools.partial(ask, server) for name, server in self._servers.items()}))

    def intact(self, array: NDArray[Any]) -> bool:
        """Whether an image that came through shared memory, or a view of one, still holds what was measured.

        It does as long as every process keeps to the rules; ask where much depends on it.
        """
        return all(server.calls.side.reader.intact_array(array) for server in self._servers.values())

    def time_s(self) -> float:
        """Bench time: what the experiment takes on the table, whatever the simulation takes."""
        server = next(iter(self._servers.values()))
        return float(server.control.request("", "time", timeout_s=CONTROL_TIMEOUT_S)) / 1e9

    def status(self) -> dict[str, dict[str, Any]]:
        """State of every server by name: devices, leases, counters."""
        return {
            name: server.control.request("", "status", timeout_s=CONTROL_TIMEOUT_S)
            for name, server in self._servers.items()
        }

    @property
    def servers(self) -> Mapping[str, Reach]:
        """Its device servers by name, for what is asked of each of them, such as to record what it is asked."""
        return self._servers

    def another(self) -> Bench:
        """The same bench once more, with calls and control of its own; to be closed before this one."""
        return Bench(self._config, self._context, self._entry, remote=self._remote, keys=self.keys)

    def close(self) -> None:
        """Disconnect from the servers; of `labctl.connect` also end those that were started for it. Again, nothing."""
        if self.closing is not None:
            closing, self.closing = self.closing, None
            closing.close()  # which calls this once more
            return
        for server in self._servers.values():
            server.close()
        self.arena.close()


@contextlib.contextmanager
def open_bench(
    source: str | Path | BenchConfig,
    overrides: Mapping[str, object] | None = None,
    at: str | None = None,
    *,
    own: bool = False,
    control: str | None = None,
) -> Iterator[Bench]:
    """A bench ready for use: that of a running `labctl up` if there is one, else served in this process.

    source: path or name of a bench file, or a loaded one. overrides: dotted keys such as ``world.seed``. at: a bench on
    another machine, by its name in ``trusted.toml`` (`labctl keys trust`); also the environment's ``LABCTL_AT``. own:
    served in this process whatever else is up, for a simulated table that nobody else is to change. control: take
    control of it all the while, for this purpose, as `Bench.control` does; without, light stays off.

    Raises ConfigurationError if a server for this bench runs with another configuration.
    """
    config = source if isinstance(source, BenchConfig) else load_bench(source, overrides or {})
    context: zmq.Context[Any] = zmq.Context()
    try:
        with contextlib.ExitStack() as stack:
            at = None if own else at or os.environ.get("LABCTL_AT") or None
            keys = security.own_keys() if at else None
            if at:
                entry, remote = find_remote(context, at, keys), True
                _must_match(config, entry, f"bench {config.name} at {at}")
            else:
                found, remote = None if own else find_up(context, config.name), False
                if found is None and config.emulated:
                    # Instruments, and a world they share, are processes of their own: as `labctl up`, for this while.
                    stack.enter_context(served_apart(config))
                    found = find_up(context, config.name)
                if found is not None:
                    _must_match(config, found, f"a server for bench {config.name}")
                    entry = found
                else:
                    from labctl.server.host import running

                    host = stack.enter_context(running(config, context))
                    stack.enter_context(within_script(config, host, context))
                    entry = host.entry()
            bench = Bench(config, context, entry, remote=remote, keys=keys)
            stack.callback(bench.close)
            if control is not None:
                stack.enter_context(bench.control(control))
            yield bench
    finally:
        end_context(context)


def _status_of(server: Reach) -> dict[str, Any]:
    """For who looks on: what does not answer at once is told as such."""
    told: dict[str, Any] = server.control.request("", "status", timeout_s=_LOOK_TIMEOUT_S)
    return told


def _must_match(config: BenchConfig, entry: BenchEntry, what: str) -> None:
    if entry.fingerprint != config.fingerprint:
        raise ConfigurationError(
            f"{what} is up (pid {entry.supervisor_pid}) with another configuration; give the same "
            "bench file and --set options, or stop it (Ctrl-C in its terminal) and start it again with these"
        )


__all__ = ["Bench", "BusError", "LabError", "open_bench"]

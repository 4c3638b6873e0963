"""What is done with a device of each kind while its instrument fails, and what is right: the rail knows the truth."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
from fault_bench import NAME, OPEN_S, TIMEOUT_S, Bench, wait

from drivers.contract import ROI, Device, DeviceTimeout, Frame, Identity, LabError, Reading, Sequence

LIMIT_S = TIMEOUT_S + 1.0
"""Longest that a call may take."""
OPENING_LIMIT_S = OPEN_S + 1.0
"""Longest that opening may take where that has a timeout of its own."""
TRIES = 3
"""A call that took too long is made again: machines stall."""
SILENT = ("mute", "late", "port-loss", "frozen")
"""Faults under which answers stay away."""
RECOVERS_WITHIN = 3
"""Calls that may fail after a fault has ended."""
_PAUSE_S = 0.5
_ARRIVES_S = 2.0
_TAP_FRACTION = 0.4
_COUNTS = 2000.0
_EXPOSURE_S = 5e-3


def names_it(error: BaseException) -> bool:
    """Whether an error is one of the contract and says which device it is about."""
    return isinstance(error, LabError) and NAME in str(error)


@dataclass
class Notes:
    """What was seen while a fault was there: calls that raised, that returned what is not so, and that said so."""

    fault: str | None = None
    raised: dict[str, LabError] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def call(
        self,
        what: str,
        act: Callable[[], Any],
        right: Callable[[Any], bool] = lambda found: True,
        limit_s: float = LIMIT_S,
    ) -> bool:
        """Make a call. It must end in time, and in nothing but an error that names the device; False if in that."""
        taken: list[float] = []
        error: LabError | None = None
        while not taken or ((taken[-1] > limit_s or self._stalled(error)) and len(taken) < TRIES):
            begun = time.monotonic()
            error = None
            try:
                found = act()
            except LabError as raised:
                error = raised
            taken.append(time.monotonic() - begun)
        assert min(taken) <= limit_s, f"{what} took {min(taken):.2f} s, allowed are {limit_s:g}; it raised {error!r}"
        if error is not None:
            assert names_it(error), f"{what}: {error!r} does not say which device"
            self.raised[what] = error
            return False
        if not right(found):
            self.wrong[what] = found
        return True

    def _stalled(self, error: LabError | None) -> bool:
        """Whether it was the machine that was late, since the instrument is not."""
        return self.fault not in SILENT and isinstance(error, DeviceTimeout)


class Recovery:
    """Calls after a fault has ended. A few may fail; each is made again until it succeeds."""

    def __init__(self) -> None:
        self.failed: list[LabError] = []

    def call(self, act: Callable[[], Any]) -> Any:
        """What a call returns, in the end."""
        while True:
            try:
                return act()
            except LabError as error:
                self.failed.append(error)
                said = "; ".join(str(e) for e in self.failed)
                assert len(self.failed) <= RECOVERS_WITHIN, f"it does not recover: {said}"
                time.sleep(_PAUSE_S)


class Trial(ABC):
    """A device that is tried out. Subclasses know one kind each.

    others: by setting, another value that it takes. arguments: by operation, what it is called with.
    """

    def __init__(self, bench: Bench, device: Device) -> None:
        self.bench = bench
        self.device: Any = device
        self.others: dict[str, Any] = {}
        self.arguments: dict[str, tuple[Any, ...]] = {}
        self.fault: str | None = None
        self.notes = Notes()
        self.may_be: dict[str, list[Any]] = {}

    def prepare(self, recovery: Recovery) -> None:
        """Bring an open device, in health, to where its values are known."""
        self.before = recovery.call(self.device.snapshot)
        self.who: Identity = recovery.call(self.device.identity)
        self.may_be = {name: [value] for name, value in self.before.items()}

    # --- while the fault is there -----------------------------------------------------------------------------------

    def sweep(self, fault: str | None) -> Notes:
        """Read and write every setting, and call every operation once."""
        self.fault, self.notes = fault, Notes(fault)
        for name, declared in self.device.declared_settings().items():
            self.read(name)
            if not declared.read_only:
                self.write(name, self.others.get(name, self.before[name]))
        for name in self.device.declared_operations():
            arguments = self.arguments.get(name, ())
            self.notes.call(f"{name}()", lambda n=name, a=arguments: getattr(self.device, n)(*a), self._judge(name))
        self.notes.call("identity()", self.device.identity, self._same_instrument)
        self.notes.call("safe()", self.device.safe)
        return self.notes

    def read(self, name: str) -> None:
        """One setting."""
        self.notes.call(f"{name}?", lambda: getattr(self.device, name), lambda found: self.may_read(name, found))

    def write(self, name: str, value: Any) -> None:
        """One setting, and read it back if it was taken."""
        if self.notes.call(f"{name} = {value}", lambda: setattr(self.device, name, value)):
            self.may_be[name] = [value]
            self.read(name)
        else:
            self.may_be[name].append(value)  # it may have been heard

    def may_read(self, name: str, found: Any) -> bool:
        """Whether a setting can have this value."""
        return name in self.loose or any(_near(found, value) for value in self.may_be[name])

    loose: ClassVar[frozenset[str]] = frozenset()
    """Settings that change by themselves, or with others."""

    def _same_instrument(self, found: Identity) -> bool:
        same = (found.model, found.serial) == (self.who.model, self.who.serial)
        return same if self.fault != "firmware" else found.serial == self.who.serial

    def _judge(self, operation: str) -> Callable[[Any], bool]:
        judge: Callable[[Any], bool] = getattr(self, f"right_{operation}", lambda found: True)
        return judge

    # --- afterwards -------------------------------------------------------------------------------------------------

    def recover(self) -> Recovery:
        """The fault has ended: values are those that were there or asked for, then all is as before."""
        recovery = Recovery()
        for name, declared in self.device.declared_settings().items():
            found = recovery.call(lambda n=name: getattr(self.device, n))
            assert self.may_read(name, found), f"{name} reads {found!r} after the fault; known are {self.may_be[name]}"
            if not declared.read_only and name != "emission":
                recovery.call(lambda n=name: setattr(self.device, n, self.before[n]))
                found = recovery.call(lambda n=name: getattr(self.device, n))
                assert _near(found, self.before[name]), f"{name} = {self.before[name]!r} reads back {found!r}"
        found = recovery.call(self.device.identity)
        assert found == self.who, f"{found} answers, it was {self.who}"
        self.may_be = {name: [value] for name, value in self.before.items()}
        self.works(recovery)
        return recovery

    @abstractmethod
    def works(self, recovery: Recovery) -> None:
        """What the kind is for is done, and the numbers are right. Each time they are others."""

    @abstractmethod
    def ask(self) -> None:
        """One thing that cannot be told without the instrument."""


def _near(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(found, float):
        return bool(found == pytest.approx(wanted, rel=6e-3, nan_ok=True))
    return bool(found == wanted)


# --- lasers -----------------------------------------------------------------------------------------------------------


class LaserTrial(Trial):
    """Emission goes on in the middle of it, and must not stay on."""

    loose = frozenset({"output_power_w", "condition"})
    power: ClassVar[str]

    @abstractmethod
    def full_w(self) -> float:
        """Light at a power setting of 1."""

    def prepare(self, recovery: Recovery) -> None:
        """At some power, dark."""
        self.set_power(recovery)
        super().prepare(recovery)
        self.others[self.power] = self.part(0.5)
        self.arguments["set_point_for"] = (self.share * self.full_w(),)

    def part(self, of_all: float) -> float:
        """A setting of the power that the instrument resolves."""
        limits = self.device.limits(self.power)
        low = limits.minimum or 0.0
        return float(round(low + of_all * (limits.maximum - low), 3))

    def set_power(self, recovery: Recovery, of_all: float = 0.3) -> None:
        """So much of it."""
        self.of_all, self.share = of_all, self.part(of_all)
        recovery.call(lambda: setattr(self.device, self.power, self.share))
        self.may_be[self.power] = [self.share]

    def shines(self) -> bool:
        """Whether light of the power that was set leaves it, within the time that it takes."""
        wanted_w = self.share * self.full_w()
        return wait(lambda: self.bench.light_w == pytest.approx(wanted_w, rel=0.02), _ARRIVES_S)

    def light_up(self, recovery: Recovery) -> None:
        """Light of the power that is set."""
        recovery.call(lambda: setattr(self.device, "emission", True))
        assert self.shines(), f"{self.bench.light_w} W, {self.share * self.full_w()} W were set"

    def write(self, name: str, value: Any) -> None:
        """Emission: on, which must be so or leave no light, and off."""
        if name != "emission":
            super().write(name, value)
            return
        if self.notes.call("emission = True", lambda: setattr(self.device, "emission", True)):
            if not wait(lambda: self.bench.light_w > 0.0, _ARRIVES_S):
                self.notes.wrong["emission = True"] = "dark"
        else:
            self.bench.must_be_dark()
        self.notes.call("emission = False", lambda: setattr(self.device, "emission", False))
        self.bench.must_be_dark()

    def ask(self) -> None:
        """The set-point."""
        getattr(self.device, self.power)

    def works(self, recovery: Recovery) -> None:
        """Light of the right power, and none."""
        self.set_power(recovery, 0.7 - self.of_all)
        self.light_up(recovery)
        assert recovery.call(lambda: self.device.emission) is True
        assert _near(recovery.call(lambda: getattr(self.device, self.power)), self.share)
        recovery.call(lambda: setattr(self.device, "emission", False))
        self.bench.must_be_dark()
        assert recovery.call(lambda: self.device.emission) is False


class PumpTrial(LaserTrial):
    """W."""

    power = "power_w"

    def full_w(self) -> float:
        """A pump's setting is its light."""
        return 1.0


class SupercontinuumTrial(LaserTrial):
    """Fractions of full power, in a band."""

    power = "power_fraction"

    def prepare(self, recovery: Recovery) -> None:
        """With another band and pulse ratio to try."""
        super().prepare(recovery)
        self.others |= {"wavelength_min_m": 500e-9, "wavelength_max_m": 700e-9, "pulse_picker": 2}
        for name in ("wavelength_min_m", "wavelength_max_m"):
            limits = self.device.limits(name)
            if limits.minimum == limits.maximum:
                del self.others[name]

    def full_w(self) -> float:
        """Of the band that the rail makes use of."""
        return float(self.bench.world.parameters.full_power_w)


# --- detectors --------------------------------------------------------------------------------------------------------


class DetectorTrial(Trial):
    """Light at the tap is known."""

    def prepare(self, recovery: Recovery) -> None:
        """Readings of 30 ms."""
        self.shine(_TAP_FRACTION)
        recovery.call(lambda: setattr(self.device, "integration_s", 30e-3))
        super().prepare(recovery)
        self.others |= {"integration_s": 60e-3, "wavelength_m": self.before["wavelength_m"] + 2e-9}
        self.arguments["trace"] = (2,)

    def shine(self, power_fraction: float) -> None:
        """So much light at the tap."""
        self.power_fraction = power_fraction
        self.bench.shine(power_fraction)
        self.truth_w = float(self.bench.world.parameters.watts_at_meter("supercontinuum", power_fraction))

    def right_measure(self, found: Reading) -> bool:
        """Near the truth, or said to be beyond the range."""
        if found.saturated and self.fault == "over-range":
            self.notes.told.add("measure()")
            return True
        return not found.saturated and bool(found.power_w == pytest.approx(self.truth_w, rel=0.03))

    def right_trace(self, found: Any) -> bool:
        """As a reading; what is beyond the range is the range."""
        wanted_w = self.before["range_w"] if "measure()" in self.notes.told else self.truth_w
        return bool(found == pytest.approx(np.full(2, wanted_w), rel=0.03))

    def ask(self) -> None:
        """A reading."""
        self.device.measure()

    def works(self, recovery: Recovery) -> None:
        """A right reading, of other light than before."""
        self.fault = None
        self.shine(_TAP_FRACTION * 1.5 - self.power_fraction)
        found = recovery.call(self.device.measure)
        assert self.right_measure(found), f"{found}, the light is {self.truth_w} W"


class CameraTrial(Trial):
    """Counts follow from light and exposure."""

    loose = frozenset({"readout_s"})

    def prepare(self, recovery: Recovery) -> None:
        """5 ms, the whole sensor."""
        self.offset = float(self.bench.world.parameters.camera.offset)
        self.shine(_COUNTS / _EXPOSURE_S)
        recovery.call(lambda: setattr(self.device, "exposure_s", _EXPOSURE_S))
        super().prepare(recovery)
        self.others |= {"exposure_s": 8e-3, "roi": ROI(row=4, column=8, rows=16, columns=32)}
        self.arguments["arm"] = (1,)

    def shine(self, per_s: float) -> None:
        """Light that makes so many counts per second."""
        self.per_s = per_s
        self.bench.shine(per_s / float(self.bench.world.parameters.counts_per_second(1.0)))

    def right_trigger(self, found: Frame) -> bool:
        """Counts as the light is, or every pixel said to be saturated; only pixels of a region that can be set."""
        if self.fault == "over-range" and found.saturated == found.data.size:
            self.notes.told.add("trigger()")
            return True
        mean = float(found.data.mean(dtype=np.float64))
        wanted = self.offset + self.per_s * found.exposure_s
        fits = found.data.shape == (found.roi.rows, found.roi.columns) and self.may_read("roi", found.roi)
        exposed = any(_near(found.exposure_s, value) for value in self.may_be["exposure_s"])
        return fits and exposed and bool(mean == pytest.approx(wanted, rel=0.03)) and found.saturated == 0

    def ask(self) -> None:
        """A frame."""
        self.device.trigger()

    def works(self, recovery: Recovery) -> None:
        """Two right frames, one after another, of other light than before."""
        self.fault = None
        self.shine(_COUNTS * 1.5 / _EXPOSURE_S - self.per_s)
        first, second = recovery.call(self.device.trigger), recovery.call(self.device.trigger)
        for found in (first, second):
            assert self.right_trigger(found), f"mean {found.data.mean()}, {found.exposure_s} s, {found.roi}"
        assert second.start_ns >= first.end_ns


# --- panels -----------------------------------------------------------------------------------------------------------


class SlmTrial(Trial):
    """The rail's panel shows what was written, or not."""

    def prepare(self, recovery: Recovery) -> None:
        """With a pattern on it."""
        super().prepare(recovery)
        self.random = np.random.default_rng(11)
        self.shape = (int(self.before["rows"]), int(self.before["columns"]))
        self.others |= {"settle_s": 30e-3, "base_settle_s": 60e-3}
        self.gray = self.levels()
        self.next = self.levels()
        phase = self.next * (2 * np.pi / self.before["levels"])
        self.arguments |= {"write": (phase,), "write_gray": (self.next,), "load": (_one_pattern(),), "run": (0.01,)}
        recovery.call(lambda: self.device.write_gray(self.gray))
        assert self.shows(self.gray)

    def levels(self) -> Any:
        """A pattern like no other."""
        return self.random.integers(0, self.before["levels"], self.shape).astype(np.uint8)

    def shows(self, gray: Any, within_s: float = _ARRIVES_S) -> bool:
        """Whether it arrives at the panel."""
        return wait(lambda: bool(np.array_equal(self.bench.gray, gray)), within_s)

    def right_write(self, found: int) -> bool:
        """It is on the panel, soon."""
        return self.shows(self.next, 0.5)

    right_write_gray = right_write

    def right_read_back(self, found: Any) -> bool:
        """One of those that were written, or what is really shown."""
        return any(np.array_equal(found, gray) for gray in (self.gray, self.next, self.bench.gray))

    def ask(self) -> None:
        """What it shows."""
        self.device.read_back()

    def works(self, recovery: Recovery) -> None:
        """A pattern, shown and read back."""
        self.gray = self.levels()
        recovery.call(lambda: self.device.write_gray(self.gray))
        assert self.shows(self.gray), "the pattern is not on the panel"
        assert np.array_equal(recovery.call(self.device.read_back), self.gray)


def _one_pattern() -> Sequence:
    return Sequence(
        base=np.zeros((2, 2)),
        base_origin=(0, 0),
        patches=np.zeros((1, 1, 1)),
        patch_origins=np.zeros((1, 2), np.int32),
        offsets=np.array([0, 1], np.int32),
        indices=np.zeros(1, np.int32),
    )


def made(bench: Bench, device: Device) -> Trial:
    """The trial of a device's kind."""
    assert device.kind in TRIALS, f"say what is to be tried with a {device.kind}: TRIALS"
    return TRIALS[device.kind](bench, device)


@contextlib.contextmanager
def opened(bench: Bench) -> Iterator[Trial]:
    """A device in health, ready to be tried; in the end the instrument is in health again, and dark."""
    device, recovery = bench.make(), Recovery()
    recovery.call(device.open)
    trial = made(bench, device)
    try:
        trial.prepare(recovery)
        yield trial
    finally:
        bench.strike(None)
        Recovery().call(device.close)


class Keeper:
    """One device that goes through fault after fault; another one only after a failure."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._stack = contextlib.ExitStack()
        self._trial: Trial | None = None
        self._in_health: Notes | None = None

    @contextlib.contextmanager
    def trial(self) -> Iterator[Trial]:
        """Of a device in health, which it must be in the end."""
        if self._trial is None:
            self._trial = self._stack.enter_context(opened(self._bench))
        try:
            yield self._trial
        except BaseException:
            self.let_go()
            raise

    def in_health(self) -> Notes:
        """What every call does when there is no fault."""
        if self._in_health is None:
            with self.trial() as trial:
                self._in_health = trial.sweep(None)
                trial.recover()
        return self._in_health

    def let_go(self) -> None:
        """Close the device."""
        self._trial = None
        self._stack.close()


TRIALS: dict[str, type[Trial]] = {
    "pump": PumpTrial,
    "supercontinuum": SupercontinuumTrial,
    "photodetector": DetectorTrial,
    "camera": CameraTrial,
    "slm": SlmTrial,
}
"""By kind."""

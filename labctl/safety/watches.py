"""What is seen of a watched device: in what its server's calls return, in passing, and by asking the device itself.

A watch belongs to one interlock and one device, and is used by one thread at a time: whoever holds the server's lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from drivers.contract import Device, Frame, FrameStack, Reading, SequenceResult
from labctl.safety.device_rules import CameraPresent, PatternWritten, ReadingWithin, SettingWithin
from labctl.safety.laser_rules import Dose, ReadBack
from labctl.safety.rules import Rule, Seen

_BURST_ENDS = ("collect", "trigger", "measure", "trace", "burst")


class Passed(NamedTuple):
    """A call that a server served: to which device, what was asked for and what came of it.

    verb: "get", "set" or "call"; name: of the setting or operation. readout: where a sequence was read.
    """

    device: str
    verb: str
    name: str
    value: Any
    readout: str = ""


class Watch:
    """The state of one rule about one device."""

    asks = True
    """Whether the device has to be asked; else what is seen is known for as long as the server lives."""

    def __init__(self, rule: Rule, device: str, within_s: float) -> None:
        self.device = device
        self.within_s = within_s
        self.every_s = rule.every
        """How often it is asked while somebody wants to know, real time."""
        self.seen = Seen()
        self.hurried = False
        """Whether it is to be asked as soon as can be: what it watches is about to change."""

    def begin(self, settings: dict[str, Any]) -> None:
        """A session begins on the device, with these settings of the bench file; virtual time starts anew."""
        self.seen = Seen()

    def forget(self) -> None:
        """Somebody acknowledged: what was seen before does not count any more."""
        self.seen = Seen() if self.asks else Seen(self.seen.at_ns, self.seen.value)

    def thawed(self) -> None:
        """A simulated table goes on from an earlier state, in which there was light."""
        self.seen = Seen()

    def passed(self, call: Passed, now_ns: int) -> bool:
        """Look at what a call brought; whether it says something about the rule."""
        return False

    def ask(self, device: Device, now_ns: Callable[[], int]) -> None:
        """Ask the device itself. now_ns: tells the time. Raises LabError if it does not answer."""

    def failed(self, text: str) -> None:
        """The device did not answer."""
        self.seen = Seen(self.seen.at_ns, self.seen.value, self.seen.count, text)


class CameraWatch(Watch):
    """Frames, counted while they are saturated; and whether the camera answers."""

    def __init__(self, rule: CameraPresent) -> None:
        super().__init__(rule, rule.device, rule.within)
        self.every_s = max(rule.every, rule.within / 4)  # whether it answers; frames are seen in passing
        self._pixels = rule.pixels

    def passed(self, call: Passed, now_ns: int) -> bool:
        """Frames of the camera, and of sequences that were read by it."""
        value = call.value
        if isinstance(value, (Frame, FrameStack)) or (isinstance(value, SequenceResult) and call.readout == "camera"):
            count, last = self.seen.count, self.seen.value
            for saturated in np.atleast_1d(np.asarray(value.saturated)):
                last = int(saturated)
                count = count + 1 if last > self._pixels else 0
            self.seen = Seen(now_ns, last, count)
            return True
        if call.device == self.device:
            self.seen = Seen(now_ns, self.seen.value, self.seen.count)
        return False

    def ask(self, device: Device, now_ns: Callable[[], int]) -> None:
        """A setting that every camera reads back from the instrument."""
        getattr(device, "exposure_s")  # noqa: B009 - the kind was checked when the bench file was read
        self.seen = Seen(now_ns(), self.seen.value, self.seen.count)


class PatternWatch(Watch):
    """Whether a pattern was written since the session began."""

    asks = False

    def thawed(self) -> None:
        """The panel shows what it showed."""
        self.seen = Seen(value=True)

    def passed(self, call: Passed, now_ns: int) -> bool:
        """Patterns written, stepped through, or played."""
        shown = call.verb == "call" and (call.name in ("write", "write_gray", "run") or call.name == "play")
        if shown:
            self.seen = Seen(now_ns, True)
        return shown


class ReadingWatch(Watch):
    """Readings of a photodetector, with how many in a row were equal to the last digit."""

    def __init__(self, rule: ReadingWithin | Dose, device: str) -> None:
        super().__init__(rule, device, rule.within)
        self._armed_ns: int | None = None
        self._last: float | None = None

    def passed(self, call: Passed, now_ns: int) -> bool:
        """Readings, traces, and sequences that were read by the photodetector."""
        value = call.value
        if call.device == self.device and call.verb == "call":
            self._armed_ns = now_ns if call.name == "arm" else None if call.name in _BURST_ENDS else self._armed_ns
        if isinstance(value, Reading):
            return self._take([math.inf if value.saturated else value.power_w], now_ns)
        if isinstance(value, list) and value and all(isinstance(item, Reading) for item in value):
            return self._take([math.inf if item.saturated else item.power_w for item in value], now_ns)
        if call.name == "trace" and isinstance(value, np.ndarray) and value.size:
            return self._take([float(power) for power in value], now_ns)
        if isinstance(value, SequenceResult) and call.readout in (self.device, "photodetector"):
            powers = zip(value.signal[:, 0].tolist(), np.asarray(value.saturated).tolist(), strict=True)
            return self._take([math.inf if beyond else power for power, beyond in powers], now_ns)
        return False

    def _take(self, powers_w: list[float], now_ns: int) -> bool:
        count = self.seen.count
        for power in powers_w:
            count = count + 1 if power == self._last else 1
            self._last = power
        known = not any(map(math.isnan, powers_w))  # comparing would lose one that is no number
        self.seen = Seen(now_ns, [min(powers_w), max(powers_w)] if known else [math.nan, math.nan], count)
        return True

    def ask(self, device: Device, now_ns: Callable[[], int]) -> None:
        """One reading, unless somebody armed the detector for readings of their own."""
        if self._armed_ns is not None:
            waited_s = (now_ns() - self._armed_ns) / 1e9
            return self.failed(f"it was armed for a burst {waited_s:.1f} s ago, which a reading would spoil")
        reading = getattr(device, "measure")()  # noqa: B009 - the kind was checked when the bench file was read
        self._take([math.inf if reading.saturated else reading.power_w], now_ns())
        return None

    def begin(self, settings: dict[str, Any]) -> None:
        """What was armed for is over."""
        super().begin(settings)
        self._armed_ns = None


class SettingWatch(Watch):
    """A setting as it is read back."""

    def __init__(self, rule: SettingWithin) -> None:
        super().__init__(rule, rule.device, rule.within)
        self._setting = rule.setting

    def passed(self, call: Passed, now_ns: int) -> bool:
        """Whoever reads or writes it."""
        if call.device != self.device or call.verb not in ("get", "set") or call.name != self._setting:
            return False
        self.seen = Seen(now_ns, call.value)
        return True

    def ask(self, device: Device, now_ns: Callable[[], int]) -> None:
        """Read it."""
        value = getattr(device, self._setting)
        self.seen = Seen(now_ns(), value)


class LaserWatch(Watch):
    """A laser beside what it was told: emission, set-point, and the power that it says it emits.

    told_emission, told_power: None where nobody told it. Times of when they were told are bench time.
    """

    def __init__(self, device: str, rule: ReadBack, power: str) -> None:
        super().__init__(rule, device, rule.within)
        self._rule = rule
        self._power = power
        self._told_emission = False
        self._emission_ns = 0
        self._told_power: float | None = None
        self._power_ns = 0

    def begin(self, settings: dict[str, Any]) -> None:
        """Its power is that of the bench file, if that says one."""
        super().begin(settings)
        self._told_power = settings.get(self._power)
        self._power_ns = 0

    def thawed(self) -> None:
        """What it was told is not known; light comes on anew."""
        self.begin({})

    def told(self, name: str, value: Any, now_ns: int) -> None:
        """It was, or is just being, told to emit or how much. What it is told again is nothing new to wait for."""
        if name == "emission" and bool(value) != self._told_emission:
            self._told_emission, self._emission_ns = bool(value), now_ns
        elif name == self._power and float(value) != self._told_power:
            self._told_power, self._power_ns = float(value), now_ns

    def ask(self, device: Device, now_ns: Callable[[], int]) -> None:
        """Emission, set-point, monitor; compared with what was told before the first was asked for."""
        begun_ns = now_ns()
        emits = bool(getattr(device, "emission"))  # noqa: B009 - guards emit
        settled = begun_ns - self._emission_ns > self._rule.after * 1e9
        wrong: list[Any] | None = None
        if settled and emits != self._told_emission:
            says = {True: "that it emits", False: "that it is dark"}
            told = "emit" if self._told_emission else "be dark"
            wrong = [f"{self.device} says {says[emits]}", f"it was told to {told}", emits]
        elif self._power and self._told_power is not None:
            wrong = self._compare(device, emits and self._told_emission and settled, begun_ns)
        self.seen = Seen(now_ns(), wrong, self.seen.count + 1 if wrong else 0)

    def _compare(self, device: Device, lit: bool, begun_ns: int) -> list[Any] | None:
        told = self._told_power
        assert told is not None
        limits = device.limits(self._power)
        allowed = self._rule.tolerance * (limits.maximum if limits.maximum is not None else max(abs(told), 1e-12))
        names = [self._power]
        if self._rule.monitor is not None and lit and begun_ns - self._power_ns > self._rule.after * 1e9:
            names.append(self._rule.monitor)
        for name in names:
            found = float(getattr(device, name))
            if not abs(found - told) <= allowed:
                return [
                    f"{self.device}.{name} is {found:.6g}",
                    f"{told:.6g} as it was told, within {allowed:.3g}",
                    False,
                ]
        return None


def watch_of(rule: Rule, device: str, power: str) -> Watch | None:
    """The watch of a rule about a device, None if it needs none. power: its set-point's name, "" without."""
    match rule:
        case CameraPresent():
            return CameraWatch(rule)
        case PatternWritten():
            return PatternWatch(rule, device, rule.within)
        case ReadingWithin() | Dose():
            return ReadingWatch(rule, device)
        case SettingWithin():
            return SettingWatch(rule)
        case ReadBack():
            return LaserWatch(device, rule, power)
    return None

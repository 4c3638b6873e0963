"""What pump lasers on a serial line or a socket have in common: how they are lit, made safe, and found again when lost.

A driver says how its laser is spoken to (the methods at the end). When its light goes off is decided here, once:

- every new line begins with emission off, read back, before anything else is asked;
- a conversation that was to bring light and fails, wherever it fails, says "off" before it lets go of the line;
- `safe` also stops whoever was about to bring light when it came, or still waits for it.

None of these lasers has a watchdog: when this process is killed with the light on, the light stays on until the process
that takes its place makes the laser safe, or until the hardware interlock opens.
"""

from __future__ import annotations

import contextlib
import math
import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Generic, Protocol, TypeVar

from drivers.contract import DeviceError, Identity, LabError, LimitError, Limits, PumpLaser, setting
from drivers.link import Garbled, Link

_PROBE_S = 0.3
_UNHEARD_S = 0.1
_LEAST_S = 0.05
_POLL_S = 0.05
_MARGIN_S = 0.5
"""A conversation, as opposed to an answer, may last this much longer than the timeout."""
_SEEN = 0.02
"""Fraction of the set-point at which the monitor is said to see light."""


class Patient(Protocol):
    """An open line. Answers are awaited until ``deadline_s`` (monotonic)."""

    deadline_s: float


L = TypeVar("L", bound=Patient)


class PumpOnALine(PumpLaser, Generic[L]):
    """A pump whose set-points are read back, and whose emission is on once its own monitor sees light.

    timeout_s: longest wait for one answer. light_within_s: from "on" until the monitor sees light. step_w: of the
    set-point.
    """

    output_power_w = setting(float, unit="W", read_only=True, doc="Power that the laser's own monitor sees.")
    condition = setting(str, read_only=True, doc="Operating state, interlock, and warnings or faults, in its words.")

    off: ClassVar[tuple[str, ...]]
    """Commands that end the light, in order."""
    power_key: ClassVar[str]
    """Key of the bench file that is wrong if set-points are not taken."""

    def __init__(self, name: str, timeout_s: float, light_within_s: float, step_w: float) -> None:
        super().__init__(name)
        self._timeout_s = timeout_s
        self._light_within_s = light_within_s
        self._step_w = step_w
        self._identity: Identity | None = None
        self._last_stop = object()  # another one each time that it is told to go dark
        self._stopping: list[None] = []
        """One for each conversation, under way or waiting for its turn, that is to end the light."""
        self._probes = 0
        self._link: Link[L] = Link(
            name,
            self._connect,
            self._disconnect,
            self._flush,
            late=(TimeoutError,),
            garbled=(Garbled, ValueError),
            broken=(OSError, EOFError),
        )
        self._link.close()  # until the device is opened
        self._link.on_connect = self._greet
        self._link.on_doubt = self._find_answers

    # --- the line ---------------------------------------------------------------------------------------------------

    def _deadline_s(self) -> float:
        return time.monotonic() + self._timeout_s + _MARGIN_S

    def _greet(self, laser: L) -> None:
        laser.deadline_s = self._deadline_s()
        with self._translated("open"):
            self._begin(laser)
            self._make_dark(laser)
            found, limits = self._introduce(laser)
        if self._identity is not None and self._identity.serial != found.serial:
            raise DeviceError(
                f"{self.name}: laser {found.serial} answers where {self._identity.serial} did; close and open the "
                "device if that is meant"
            )
        self.restrict("power_w", limits)
        self._identity = found

    def _find_answers(self, laser: L) -> None:
        """Ask for what only this laser answers, and drop everything that comes before it.

        Answers do not say what they answer. Two questions take turns, so that the late answer to one probe is not
        taken for that to the next.
        """
        if self._identity is None:
            raise TimeoutError("not known yet")
        if self._stopping:  # first of all, whatever the line is like; the answer is dropped with the others
            for command in self.off:
                self._say(laser, command)
        self._probes += 1
        question, answer = self._marks(self._identity)[self._probes % 2]
        until = time.monotonic() + _PROBE_S
        with self._translated("probe"):
            self._say(laser, question)
            while self._hear(laser, max(until - time.monotonic(), _LEAST_S)) != answer:
                if time.monotonic() > until:
                    raise TimeoutError("nothing but old answers")

    @contextlib.contextmanager
    def _talk(self, what: str, deadline_s: float | None = None) -> Iterator[L]:
        """One conversation, which ends at a deadline; by default a timeout and a margin from when it begins."""
        with self._link.talk(what) as laser, self._translated(what):
            laser.deadline_s = self._deadline_s() if deadline_s is None else deadline_s
            yield laser

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """What the vendor's layer raises in a conversation, as TimeoutError, OSError, `Garbled` or a LabError."""
        yield

    # --- life -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Emission off before anything else, then identity and limits.

        Raises ConfigurationError if a package or a key of the bench file is missing, DeviceError if no laser answers.
        """
        self._link.drop()
        self._identity = None
        self._link.open()
        try:
            with self._talk("open"):
                pass
        except BaseException:
            self._link.close()
            raise

    def close(self) -> None:
        """Emission off, then the line is let go, even if the laser does not answer (DeviceError)."""
        try:
            self.safe()
        finally:
            self._link.close()

    def identity(self) -> Identity:
        """As the laser tells it now."""
        with self._talk("identity") as laser:
            found, _ = self._introduce(laser)
            return found

    def safe(self) -> None:
        """Emission off, read back. Waits at most one timeout for a conversation that is going on.

        Raises DeviceError, which says that emission may still be on, if it could not be made sure that it is off.
        """
        self._last_stop = object()
        if self._link.closed:
            return
        with self._ending_light(), self._talk("safe", self._deadline_s()) as laser:  # waiting for its turn counts
            self._make_dark(laser)

    @contextlib.contextmanager
    def _ending_light(self) -> Iterator[None]:
        """Whoever wants it dark is told if it may not be."""
        self._stopping.append(None)
        try:
            yield
        except LabError as error:
            raise type(error)(
                f"{error}. Emission may still be on, and the laser has no watchdog; it is turned off once the line "
                "is back. Until then turn its key, or open its interlock"
            ) from error
        finally:
            self._stopping.pop()

    def _make_dark(self, laser: L) -> None:
        try:
            self._darken(laser)
        except BaseException:
            self._off_unheard(laser)
            raise

    def _off_unheard(self, laser: L) -> None:
        """Off, by commands whose answers are hardly waited for: when answers are what fails."""
        for command in self.off:
            with contextlib.suppress(Exception):
                self._say(laser, command)
                self._hear(laser, _UNHEARD_S)

    # --- emission ---------------------------------------------------------------------------------------------------

    def _read_emission(self) -> bool:
        with self._talk("emission") as laser:
            return self._emits(laser)

    def _write_emission(self, value: bool) -> None:
        if not value:
            self._last_stop = object()
            with self._ending_light(), self._talk("emission") as laser:
                self._make_dark(laser)
            return
        stop = self._last_stop
        with self._lighting(stop) as laser:
            self._check_set_point(laser)
            awaited = self._turn_on(laser)
        if awaited:
            self._wait_for_light(laser, stop)

    @contextlib.contextmanager
    def _lighting(self, stop: object) -> Iterator[L]:
        """A conversation that leaves no light behind when it fails, and does not begin if there was a later stop."""
        with self._talk("emission") as laser:
            try:
                if self._last_stop is not stop:
                    raise DeviceError(f"{self.name}.emission: safe() came while the light was awaited; it is off")
                yield laser
            except BaseException:
                self._off_unheard(laser)
                raise

    def _check_set_point(self, laser: L) -> None:
        """The laser keeps the set-point of its last user, who may have had other limits."""
        highest_w, wanted_w = self.limits("power_w").maximum, self._wanted_w(laser)
        if highest_w is not None and wanted_w > highest_w + self._step_w / 2:
            raise LimitError(
                f"{self.name}.emission: the laser's set-point is {wanted_w:g} W, which is beyond the limit of "
                f"{highest_w:g} W; set power_w first. It stays off"
            )

    def _wait_for_light(self, lit: L, stop: object) -> None:
        until = time.monotonic() + self._light_within_s
        while True:
            with self._lighting(stop) as laser:
                if laser is not lit:
                    raise DeviceError(
                        f"{self.name}.emission: the line was lost while the light was awaited, and the laser made dark "
                        "when it came back; check the cable, and turn emission on again"
                    )
                wanted_w, seen_w = self._wanted_w(laser), self._seen_w(laser)
                if seen_w >= _SEEN * wanted_w:
                    return
                if time.monotonic() > until:
                    words = self._condition(laser)
                    self._darken(laser)
                    raise DeviceError(
                        f"{self.name}.emission: {self._light_within_s:g} s after it went on the laser sees "
                        f"{seen_w:g} W of {wanted_w:g} W ({words}); it was turned off. Check the laser, or raise "
                        "light_within if it is slow"
                    )
            time.sleep(_POLL_S)  # without the line, so that safe() gets its turn

    # --- other settings ---------------------------------------------------------------------------------------------

    def _read_power_w(self) -> float:
        with self._talk("power_w") as laser:
            return self._wanted_w(laser)

    def _write_power_w(self, value: float) -> None:
        step_w, limits = self._step_w, self.limits("power_w")
        steps = round(value / step_w)
        # A limit holds for the light, not only for what was asked.
        if limits.maximum is not None and steps * step_w > limits.maximum + 1e-9:
            steps -= 1
        wanted_w = steps * step_w
        with self._talk("power_w") as laser:
            self._ask_for(laser, wanted_w)
            read_w = self._wanted_w(laser)
        if abs(read_w - wanted_w) > 0.51 * step_w:
            digits = max(0, math.ceil(-math.log10(step_w) - 1e-9))
            raise DeviceError(
                f"{self.name}.power_w = {wanted_w:.{digits}f} W: the laser reads back {read_w:.{digits}f} W. Check "
                f"that nothing else controls it, and {self.power_key} in the bench file"
            )

    def _read_output_power_w(self) -> float:
        with self._talk("output_power_w") as laser:
            return self._seen_w(laser)

    def _read_condition(self) -> str:
        with self._talk("condition") as laser:
            return self._condition(laser)

    # --- how the laser is spoken to: for each driver to say ---------------------------------------------------------

    @abstractmethod
    def _connect(self) -> L:
        """Open the line, with its timeouts set. Raises OSError if it does not open."""

    @abstractmethod
    def _disconnect(self, laser: L) -> None:
        """Close the line, whatever state it is in."""

    @abstractmethod
    def _flush(self, laser: L) -> None:
        """Throw away what has come in after an answer was late or garbled."""

    @abstractmethod
    def _say(self, laser: L, text: str) -> None:
        """Send a command or question, without its answer."""

    @abstractmethod
    def _hear(self, laser: L, within_s: float) -> str:
        """The next answer, whatever it answers. Raises TimeoutError if none comes in that time."""

    def _begin(self, laser: L) -> None:
        """Bring a new line to where commands are answered; "off", unheard, must come first."""

    @abstractmethod
    def _introduce(self, laser: L) -> tuple[Identity, Limits]:
        """Who the laser is, and the powers that it takes."""

    @abstractmethod
    def _marks(self, known: Identity) -> tuple[tuple[str, str], tuple[str, str]]:
        """Two questions that this laser alone answers so: each with its answer."""

    @abstractmethod
    def _darken(self, laser: L) -> None:
        """Emission off, read back; DeviceError if it is not."""

    @abstractmethod
    def _turn_on(self, laser: L) -> bool:
        """Emission on, read back; whether light is to be awaited.

        Raises InterlockError, or DeviceError with the laser's reason, if it refuses; "off" is said then by the caller.
        """

    @abstractmethod
    def _emits(self, laser: L) -> bool:
        """Whether emission is on."""

    @abstractmethod
    def _wanted_w(self, laser: L) -> float:
        """The set-point, as the laser reads it back."""

    @abstractmethod
    def _seen_w(self, laser: L) -> float:
        """What the laser's monitor sees."""

    @abstractmethod
    def _ask_for(self, laser: L, power_w: float) -> None:
        """Send a set-point."""

    @abstractmethod
    def _condition(self, laser: L) -> str:
        """Operating state, interlock, and warnings or faults, in the laser's words."""

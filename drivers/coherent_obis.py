"""Coherent OBIS LX, LS and LG lasers: SCPI on their serial port or behind a terminal server, by pyvisa.

With handshaking on, every answer is followed by a line OK, and a refused command is answered by ERR and a number; with
handshaking off there is neither, and the error queue is asked after every command.

The laser has no watchdog (its CDRH delay is one before emission): when this process is killed with the light on, the
light stays on until the process that takes its place makes the laser safe, or until the hardware interlock opens.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from drivers.contract import (
    ConfigurationError,
    DeviceError,
    Identity,
    InterlockError,
    LabError,
    LimitError,
    Limits,
    PumpLaser,
    setting,
)
from drivers.link import Link
from drivers.quantity import Seconds, Watts
from drivers.site import Site
from drivers.visa import Line, open_line, to_number

_PROBE_S = 0.4
_MARGIN_S = 0.5
"""A conversation, as opposed to an answer, may last this much longer than the time-out."""
_SEEN = 0.02
"""Fraction of the set-point at which the monitor is said to see light."""
_MOST_LINES = 20
_QUIET_S = 0.25
_WARM_UP, _EXTERNAL, _INTERLOCK = 1 << 8, 1 << 10, 1 << 26
_FAULTS = {
    0: "base plate temperature",
    1: "diode temperature",
    2: "internal temperature",
    3: "power supply",
    4: "I2C bus",
    5: "over-current",
    6: "check sum",
    8: "buffer overflow",
    9: "warm-up limit",
    10: "TEC driver",
    12: "diode temperature limit",
    13: "not ready",
    14: "photodiode",
    15: "fatal",
    16: "start-up",
    17: "processor reset",
    20: "over-power",
}
_EXTERNAL_SOURCES = ("DIGITAL", "ANALOG", "MIXED", "DIGSO", "MIXSO")


class _Talk:
    """The laser's manner of speaking, on one open line. Answers are awaited until ``deadline_s``."""

    def __init__(self, line: Line, device: str, timeout_s: float) -> None:
        self.line = line
        self.handshake = True
        self.deadline_s = 0.0
        self._device = device
        self._timeout_s = timeout_s

    def write(self, command: str) -> None:
        self.line.write(command + "\r")  # the line adds the \n

    def read(self) -> str:
        left_s = max(self.deadline_s - time.monotonic(), 0.05)
        return self.line.read(min(left_s - self._timeout_s, 0.0))

    def ask(self, query: str) -> str:
        """Answer to a query, without the OK behind it."""
        self.write(query)
        told = self.read()
        if told.startswith("ERR"):
            self._refused(query, told)
        if self.handshake and (after := self.read()) != "OK":
            raise ValueError(f"{query!r} was answered by {told!r:.80} and then {after!r:.80} instead of OK")
        return told

    def number(self, query: str) -> float:
        return to_number(query, self.ask(query))

    def bits(self, query: str) -> int:
        return int(self.ask(query), 16)

    def on(self, query: str) -> bool:
        told = self.ask(query)
        if told not in ("ON", "OFF"):
            raise ValueError(f"{query!r} was answered by {told!r:.80} instead of ON or OFF")
        return told == "ON"

    def tell(self, command: str) -> None:
        """A command; DeviceError with the laser's reason if it refuses."""
        self.write(command)
        if self.handshake:
            told = self.read()
            if told.startswith("ERR"):
                self._refused(command, told)
            if told != "OK":
                raise ValueError(f"{command!r} was answered by {told!r:.80} instead of OK")
        elif errors := self.errors():
            self._refused(command, errors)

    def errors(self) -> str:
        """What the error queue held; it is empty now."""
        found = []
        for _ in range(int(self.number("SYST:ERR:COUN?"))):
            found.append(self.ask("SYST:ERR:NEXT?").replace('"', ""))
        return "; ".join(found)

    def drain(self) -> None:
        """Drop what still comes, until nothing comes for a while."""
        with contextlib.suppress(TimeoutError):
            for _ in range(_MOST_LINES):
                self.deadline_s = time.monotonic() + _QUIET_S
                self.read()

    def settle_handshake(self, wanted: bool) -> None:
        """Whatever was said before, and whether or not handshaking was on: from here on it is as wanted."""
        if self._handshake_now() != wanted:
            self.write(f"SYST:COMM:HAND {'ON' if wanted else 'OFF'}")
            if self._handshake_now() != wanted:
                raise ValueError("handshaking cannot be switched")
        self.handshake = wanted

    def _handshake_now(self) -> bool:
        self.write("SYST:COMM:HAND?")
        for _ in range(_MOST_LINES):
            told = self.read()
            if told in ("ON", "OFF"):
                if told == "ON" and (after := self.read()) != "OK":
                    raise ValueError(f"handshaking is on, but {after!r:.80} came instead of OK")
                return told == "ON"
            if told != "OK" and not told.startswith("ERR"):
                break
        raise ValueError(f"'SYST:COMM:HAND?' was answered by {told!r:.80} instead of ON or OFF")

    def _refused(self, command: str, told: str) -> None:
        reason = told
        if told.startswith("ERR"):
            with contextlib.suppress(ValueError, OSError, DeviceError):
                reason += f", {self.errors()}"
        raise DeviceError(f"{self._device}: the laser refuses {command} ({reason}); nothing was changed")


class Obis(PumpLaser):
    """OBIS. Set-points are read back; emission is on when the laser's own monitor sees light.

    In external modulation, and while it warms up, emission reads true once it is accepted: light follows the input.
    """

    class Options(BaseModel):
        """resource: VISA name, such as ``ASRL/dev/ttyACM0::INSTR``, ``ASRL3::INSTR`` (COM3) or ``TCPIP0::…::SOCKET``.

        visa: library, "@py" for pyvisa-py, "" for the vendor's. timeout: for one answer. light_within: from "on" until
        the monitor sees light; must cover the CDRH delay of 5 s. external: what shapes the light in external
        modulation. handshake: whether the laser is to say OK. resolution: of the set-point.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)
        resource: str
        visa: str = "@py"
        baud: int = 115200
        timeout: Seconds = 1.0
        light_within: Seconds = 10.0
        external: Literal["digital", "analog", "mixed"] = "digital"
        handshake: bool = True
        resolution: Watts = 1e-5

    output_power_w = setting(float, unit="W", read_only=True, doc="Power that the laser's own monitor sees.")
    condition = setting(str, read_only=True, doc="Status word, faults, interlock and base plate temperature.")

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name)
        self._options = options
        self._identity: Identity | None = None
        self._is_open = False
        self._safes = 0  # how often it was made safe: whoever waits for light learns that it will not come
        self._probes = 0
        self._doubts = False
        self._link: Link[_Talk] = Link(
            name,
            self._connect,
            lambda laser: laser.line.close(),
            self._doubt,
            late=(TimeoutError,),
            garbled=(ValueError,),
            broken=(OSError, EOFError),
        )
        self._link.on_connect = self._greet
        self._link.on_doubt = self._find_answers

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> Obis:
        """From the bench file."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(f'{name}: an OBIS needs its resource, such as "ASRL/dev/ttyACM0::INSTR"')
        return cls(name, options)

    # --- the line ---------------------------------------------------------------------------------------------------

    def _connect(self) -> _Talk:
        o = self._options
        return _Talk(open_line(self.name, o.resource, o.timeout, o.visa, o.baud), self.name, o.timeout)

    def _deadline_s(self) -> float:
        return time.monotonic() + self._options.timeout + _MARGIN_S

    def _greet(self, laser: _Talk) -> None:
        laser.deadline_s = self._deadline_s()
        laser.write("SOUR:AM:STAT OFF")  # before anything else; its answer, if any, is read with the next one's
        if self._doubts:
            laser.drain()
            laser.deadline_s = self._deadline_s()
        laser.settle_handshake(self._options.handshake)
        self._darken(laser)
        model, serial, firmware = (laser.ask(f"SYST:INF:{what}?") for what in ("MOD", "SNUM", "FVER"))
        found = Identity(model=f"Coherent {model}", serial=serial, firmware=firmware)
        if self._identity is not None and self._identity.serial != serial:
            raise DeviceError(
                f"{self.name}: laser {serial} answers where {self._identity.serial} did; close and open the device if "
                "that is meant"
            )
        lowest_w, highest_w = laser.number("SOUR:POW:LIM:LOW?"), laser.number("SOUR:POW:LIM:HIGH?")
        self.restrict("power_w", Limits(minimum=lowest_w, maximum=highest_w))
        laser.errors()  # of whoever spoke to it before
        self._identity = found
        self._doubts = False

    def _doubt(self, laser: _Talk) -> None:
        self._doubts = True  # what is still on its way is dropped when the next conversation begins

    def _find_answers(self, laser: _Talk) -> None:
        """Ask for what only this laser answers, and drop everything that comes before it.

        Answers do not say what they answer. Two questions take turns, so that the late answer to one probe is not
        taken for that to the next.
        """
        if self._identity is None:
            raise TimeoutError("not known yet")
        self._probes += 1
        which, answer = (("SNUM", self._identity.serial), ("FVER", self._identity.firmware))[self._probes % 2]
        laser.deadline_s = time.monotonic() + _PROBE_S
        laser.write(f"SYST:INF:{which}?")
        while laser.read() != answer:
            if time.monotonic() > laser.deadline_s:
                raise TimeoutError("nothing but old answers")
        if laser.handshake and laser.read() != "OK":
            raise ValueError("no OK behind the answer")
        self._doubts = False

    @contextlib.contextmanager
    def _talk(self, what: str) -> Iterator[_Talk]:
        if not self._is_open:
            raise DeviceError(f"{self.name}.{what}: the device is closed; open it")
        with self._link.talk(what) as laser:
            laser.deadline_s = self._deadline_s()
            yield laser

    # --- life -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Emission off before anything else, then handshaking, identity and limits.

        Raises ConfigurationError without pyvisa, DeviceError if no laser answers.
        """
        self._link.drop()
        self._identity = None
        self._is_open = True
        try:
            with self._talk("open"):
                pass
        except BaseException:
            self._is_open = False
            raise

    def close(self) -> None:
        """Emission off, then the line is let go, even if the laser does not answer (DeviceError)."""
        try:
            self.safe()
        finally:
            self._is_open = False
            self._link.drop()

    def identity(self) -> Identity:
        """As the laser told when it was opened."""
        if self._identity is None:
            raise DeviceError(f"{self.name}: not known before the device was opened; open it")
        return self._identity

    def safe(self) -> None:
        """Emission off, read back. Waits at most one time-out for a conversation that is going on."""
        self._safes += 1
        if not self._is_open:
            return
        deadline_s = self._deadline_s()
        with self._talk("safe") as laser:
            laser.deadline_s = deadline_s  # waiting for another conversation counts
            self._darken(laser)

    def _darken(self, laser: _Talk) -> None:
        laser.tell("SOUR:AM:STAT OFF")
        if laser.on("SOUR:AM:STAT?"):
            raise DeviceError(
                f"{self.name}: told to go off, the laser says it is on. Open the hardware interlock or turn the key"
            )

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_emission(self) -> bool:
        with self._talk("emission") as laser:
            return laser.on("SOUR:AM:STAT?")

    def _write_emission(self, value: bool) -> None:
        if not value:
            with self._talk("emission") as laser:
                self._darken(laser)
            return
        safes = self._safes
        with self._lighting() as laser:
            status, faults = laser.bits("SYST:STAT?"), laser.bits("SYST:FAUL?")
            if status & _INTERLOCK:
                raise InterlockError(
                    f"{self.name}.emission: the laser's interlock or key is open ({self._condition(laser)}); close it"
                )
            if faults:
                raise DeviceError(f"{self.name}.emission: the laser has a fault ({self._condition(laser)})")
            laser.tell("SOUR:AM:STAT ON")
            if not laser.on("SOUR:AM:STAT?"):
                raise DeviceError(f"{self.name}.emission: the laser does not go on ({self._condition(laser)})")
            status = laser.bits("SYST:STAT?")
        if not status & (_WARM_UP | _EXTERNAL):
            self._wait_for_light(safes)

    @contextlib.contextmanager
    def _lighting(self) -> Iterator[_Talk]:
        """A conversation that leaves no light behind when it fails."""
        with self._talk("emission") as laser:
            try:
                yield laser
            except LabError:
                raise
            except BaseException:
                with contextlib.suppress(Exception):
                    laser.write("SOUR:AM:STAT OFF")  # its answer is dropped with what else may still come
                raise

    def _wait_for_light(self, safes: int) -> None:
        until = time.monotonic() + self._options.light_within
        while True:
            with self._lighting() as laser:
                if self._safes != safes:
                    raise DeviceError(f"{self.name}.emission: safe() came while the light was awaited; it is off")
                wanted_w = laser.number("SOUR:POW:LEV:IMM:AMPL?")
                seen_w = laser.number("SOUR:POW:LEV?")
                if seen_w >= _SEEN * wanted_w:
                    return
                if time.monotonic() > until:
                    words = self._condition(laser)
                    self._darken(laser)
                    raise DeviceError(
                        f"{self.name}.emission: {self._options.light_within:g} s after it went on the laser sees "
                        f"{seen_w:g} W of {wanted_w:g} W ({words}); it was turned off. Check the laser, or raise "
                        "light_within if it is slow"
                    )
            time.sleep(0.05)

    def _read_power_w(self) -> float:
        with self._talk("power_w") as laser:
            return laser.number("SOUR:POW:LEV:IMM:AMPL?")

    def _write_power_w(self, value: float) -> None:
        step_w = self._options.resolution
        limits = self.limits("power_w")
        steps = round(value / step_w)
        if limits.maximum is not None and steps * step_w > limits.maximum + 1e-9:
            steps -= 1  # a limit holds for the light, not only for what was asked
        wanted_w = steps * step_w
        with self._talk("power_w") as laser:
            laser.tell(f"SOUR:POW:LEV:IMM:AMPL {wanted_w:.7g}")
            read_w = laser.number("SOUR:POW:LEV:IMM:AMPL?")
        if abs(read_w - wanted_w) > 0.51 * step_w:
            raise DeviceError(
                f"{self.name}.power_w = {wanted_w:.6g} W: the laser reads back {read_w:.6g} W. Check that nothing else "
                "controls it; if its steps are coarser, say so by resolution in the bench file"
            )

    def _read_wavelength_m(self) -> float:
        with self._talk("wavelength_m") as laser:
            return laser.number("SYST:INF:WAV?") * 1e-9

    def _read_modulation(self) -> str:
        with self._talk("modulation") as laser:
            return self._source(laser)

    def _source(self, laser: _Talk) -> str:
        told = laser.ask("SOUR:AM:SOUR?")
        if told in ("CWP", "CWC"):
            return "cw"
        if told in _EXTERNAL_SOURCES:
            return "external"
        raise ValueError(f"'SOUR:AM:SOUR?' was answered by {told!r:.80}")

    def _write_modulation(self, value: str) -> None:
        if value == "pulsed":
            raise LimitError(f"{self.name}.modulation = 'pulsed': an OBIS has no pulse generator; take cw or external")
        command = "SOUR:AM:INT CWP" if value == "cw" else f"SOUR:AM:EXT {self._options.external.upper()}"
        with self._talk("modulation") as laser:
            if laser.on("SOUR:AM:STAT?"):
                raise DeviceError(
                    f"{self.name}.modulation = {value!r}: the laser changes it only while dark; turn emission off first"
                )
            laser.tell(command)
            read = self._source(laser)
        if read != value:
            raise DeviceError(f"{self.name}.modulation = {value!r}: the laser reads back {read!r}. Check its model")

    def _read_output_power_w(self) -> float:
        with self._talk("output_power_w") as laser:
            return laser.number("SOUR:POW:LEV?")

    def _read_condition(self) -> str:
        with self._talk("condition") as laser:
            return self._condition(laser)

    def _condition(self, laser: _Talk) -> str:
        status, faults = laser.bits("SYST:STAT?"), laser.bits("SYST:FAUL?")
        names = [_FAULTS.get(bit, f"bit {bit}") for bit in range(32) if faults >> bit & 1]
        return (
            f"status {status:08X}, faults: {', '.join(names) or 'none'}, "
            f"interlock {'open' if status & _INTERLOCK else 'closed'}, base plate {laser.ask('SOUR:TEMP:BAS?')}"
        )

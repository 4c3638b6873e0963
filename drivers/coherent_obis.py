"""Coherent OBIS LX, LS and LG lasers: SCPI on their serial port or behind a terminal server, by pyvisa.

With handshaking on, every answer is followed by a line OK, and a refused command is answered by ERR and a number; with
handshaking off there is neither, and the error queue is asked after every command. Its CDRH delay is one before
emission, not a watchdog.
"""

from __future__ import annotations

import contextlib
import time
from typing import Literal

from pydantic import BaseModel, ConfigDict

from drivers.contract import ConfigurationError, DeviceError, Identity, InterlockError, LimitError, Limits
from drivers.pump_on_a_line import PumpOnALine
from drivers.quantity import Seconds, Watts
from drivers.site import Site
from drivers.visa import Line, open_line, to_number

_MOST_LINES = 20
_QUIET_S = 0.2
_DRAIN_S = 0.3
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
        """Drop what still comes, until nothing comes for a while, or for long enough."""
        deadline_s, until_s = self.deadline_s, time.monotonic() + _DRAIN_S
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < until_s:
                self.deadline_s = time.monotonic() + _QUIET_S
                self.read()
        self.deadline_s = deadline_s

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
        if told.startswith("ERR") and not command.startswith("SYST:ERR"):
            with contextlib.suppress(DeviceError):  # a firmware without a queue refuses that, too
                reason += f", {self.errors()}"
        raise DeviceError(f"{self._device}: the laser refuses {command} ({reason}); nothing was changed")


class Obis(PumpOnALine[_Talk]):
    """OBIS. In external modulation, and while it warms up, emission reads true once it is accepted: light follows."""

    off = ("SOUR:AM:STAT OFF",)
    power_key = "resolution"

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

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options.timeout, options.light_within, options.resolution)
        self._options = options
        self._doubts = False

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

    def _disconnect(self, laser: _Talk) -> None:
        laser.line.close()

    def _flush(self, laser: _Talk) -> None:
        self._doubts = True  # what is still on its way is dropped when the next conversation begins

    def _say(self, laser: _Talk, text: str) -> None:
        laser.write(text)

    def _hear(self, laser: _Talk, within_s: float) -> str:
        laser.deadline_s = time.monotonic() + within_s
        return laser.read()

    def _begin(self, laser: _Talk) -> None:
        laser.write(self.off[0])  # its answer, if any, is read with the next one's
        if self._doubts:
            laser.drain()
        laser.settle_handshake(self._options.handshake)

    def _introduce(self, laser: _Talk) -> tuple[Identity, Limits]:
        model, serial, firmware = (laser.ask(f"SYST:INF:{what}?") for what in ("MOD", "SNUM", "FVER"))
        lowest_w, highest_w = laser.number("SOUR:POW:LIM:LOW?"), laser.number("SOUR:POW:LIM:HIGH?")
        laser.errors()  # of whoever spoke to it before
        self._doubts = False
        found = Identity(model=f"Coherent {model}", serial=serial, firmware=firmware)
        return found, Limits(minimum=lowest_w, maximum=highest_w)

    def _marks(self, known: Identity) -> tuple[tuple[str, str], tuple[str, str]]:
        return ("SYST:INF:SNUM?", known.serial), ("SYST:INF:FVER?", known.firmware)

    def _find_answers(self, laser: _Talk) -> None:
        super()._find_answers(laser)
        if laser.handshake and laser.read() != "OK":
            raise ValueError("no OK behind the answer")
        self._doubts = False

    # --- light ------------------------------------------------------------------------------------------------------

    def _darken(self, laser: _Talk) -> None:
        laser.tell(self.off[0])
        if self._emits(laser):
            raise DeviceError(
                f"{self.name}: told to go off, the laser says it is on. Open the hardware interlock or turn the key"
            )

    def _turn_on(self, laser: _Talk) -> bool:
        status, faults = laser.bits("SYST:STAT?"), laser.bits("SYST:FAUL?")
        if status & _INTERLOCK:
            raise InterlockError(
                f"{self.name}.emission: the laser's interlock or key is open ({self._condition(laser)}); close it"
            )
        if faults:
            raise DeviceError(f"{self.name}.emission: the laser has a fault ({self._condition(laser)})")
        laser.tell("SOUR:AM:STAT ON")
        if not self._emits(laser):
            raise DeviceError(f"{self.name}.emission: the laser does not go on ({self._condition(laser)})")
        return not laser.bits("SYST:STAT?") & (_WARM_UP | _EXTERNAL)

    def _emits(self, laser: _Talk) -> bool:
        return laser.on("SOUR:AM:STAT?")

    def _wanted_w(self, laser: _Talk) -> float:
        return laser.number("SOUR:POW:LEV:IMM:AMPL?")

    def _seen_w(self, laser: _Talk) -> float:
        return laser.number("SOUR:POW:LEV?")

    def _ask_for(self, laser: _Talk, power_w: float) -> None:
        laser.tell(f"SOUR:POW:LEV:IMM:AMPL {power_w:.7g}")

    def _condition(self, laser: _Talk) -> str:
        status, faults = laser.bits("SYST:STAT?"), laser.bits("SYST:FAUL?")
        names = [_FAULTS.get(bit, f"bit {bit}") for bit in range(32) if faults >> bit & 1]
        return (
            f"status {status:08X}, faults: {', '.join(names) or 'none'}, "
            f"interlock {'open' if status & _INTERLOCK else 'closed'}, base plate {laser.ask('SOUR:TEMP:BAS?')}"
        )

    # --- wavelength and modulation ----------------------------------------------------------------------------------

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

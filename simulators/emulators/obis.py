"""A Coherent OBIS laser with its remote: SCPI on its serial port, or over TCP as from a terminal server.

Commands, status and fault bits, error numbers and the trailing OK are those of the OBIS operator's manual as users'
code quotes it. SYSTem:CDRH is a delay before emission, not a watchdog: nothing ends the light when nobody speaks.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from drivers.quantity import Metres, Watts
from simulators.emulators.sprout import PumpInstrument, PumpOptions

_CDRH_S = 5.0
_QUEUE = 20
_STEP_W = 1e-5

_FAULT, _EMISSION, _STANDBY, _CDRH, _WARM_UP, _EXTERNAL, _VOLTAGE = (1 << b for b in (0, 1, 3, 4, 8, 10, 12))
_INTERLOCK = 1 << 26
_REMOTE = 0xC8000000
"""What a remote with its key turned shows; with the others as users report them: C8001002 while it emits."""
_OVER_POWER = 1 << 20

_TEXTS = {
    -100: "Unrecognized command/query",
    -109: "Parameter missing",
    -200: "Execution error",
    -220: "Invalid parameter",
    -221: "Settings conflict",
    -350: "Queue overflow",
}


class ObisOptions(PumpOptions):
    """As for every pump. transport: a serial port or TCP. cdrh: 5 s from "on" to light, as sold in the USA."""

    rated_power: Watts = 0.15
    head_wavelength: Metres | None = None
    transport: Literal["serial", "tcp"] = "serial"
    cdrh: bool = False


class _Refused(Exception):
    """An error number for the reply and the queue."""


class ObisHead(PumpInstrument):
    """Modes CWP and CWC, and external modulation DIGITAL, ANALOG, MIXED; what its input lets through is ``gate``."""

    Options = ObisOptions
    options: ObisOptions
    supplies = frozenset({"resource"})

    def start(self) -> dict[str, Any]:
        """Power on; the driver's ``resource``."""
        at = self.connect(self.options.transport)
        host, _, port = at.partition(":")
        return {
            "resource": f"ASRL{at}::INSTR" if self.options.transport == "serial" else f"TCPIP0::{host}::{port}::SOCKET"
        }

    def wavelength_m(self) -> float:
        """As the options say, or of the pump that the world's table has, else 532 nm."""
        heads = getattr(getattr(self.world, "parameters", None), "pumps", {})
        of_table = float(heads["pump"].wavelength_m) if "pump" in heads else 532e-9
        return self.options.head_wavelength or of_table

    def switched_on(self) -> None:
        """Dark, constant power, handshaking on, set-point at its lowest."""
        super().switched_on()
        self.gate = 1.0
        self._lowest_w = 0.01 * self.options.rated_power
        self._setpoints_w = [self._lowest_w, self._lowest_w]
        self._on = False
        self._lit_at_s = 0.0
        self._ready_at_s = time.monotonic() + self.options.warm_up
        self._source = "CWP"
        self._handshake = True
        self._cdrh = self.options.cdrh
        self._errors: deque[int] = deque()
        self._commands = _compiled(self._table())

    def lasing(self) -> bool:
        """On, warm, and its delay over."""
        return self._on and time.monotonic() >= max(self._lit_at_s, self._ready_at_s)

    def emitting(self) -> bool:
        """As lasing: it has no shutter."""
        return self.lasing()

    def open_interlock(self) -> None:
        """Off, and so it stays."""
        self._on = False

    def target_w(self) -> float:
        """What it settles to."""
        return super().target_w() * (1.0 if self._source in ("CWP", "CWC") else self.gate)

    def advance(self) -> None:
        """Over-power switches it off."""
        if self.fault == "over-range":
            self._on = False
        super().advance()

    def take_setpoint(self, value_w: float) -> bool:
        """Within its limits."""
        return value_w >= self._lowest_w - 1e-9 and super().take_setpoint(value_w)

    # --- language ---------------------------------------------------------------------------------------------------

    def reply(self, line: str) -> list[str]:
        """Values, then OK or ERR with its number if handshaking is on."""
        shaken = self._handshake
        header, _, parameter = line.strip().partition(" ")
        try:
            told = self._obey(header, parameter.strip().upper())
        except _Refused as error:
            code = int(error.args[0])
            self._errors.append(code if len(self._errors) < _QUEUE else -350)
            while len(self._errors) > _QUEUE:
                self._errors.pop()
            return [f"ERR{code}"] if shaken else []
        values = [] if told is None else [told]
        return [*values, "OK"] if shaken or self._handshake else values

    def _obey(self, header: str, parameter: str) -> str | None:
        for pattern, act in self._commands:
            if pattern.fullmatch(header):
                if parameter and header.endswith("?") and parameter not in ("C", "F"):
                    raise _Refused(-220)
                return act(parameter)
        raise _Refused(-100)

    def _table(self) -> dict[str, Callable[[str], str | None]]:
        o = self.options
        watts = self._watts
        return {
            "*IDN?": lambda _: f"Coherent, Inc - {self._model} - {self._firmware} - Jan 12 2023",
            "SYSTem:INFormation:MODel?": lambda _: self._model,
            "SYSTem:INFormation:SNUMber?": lambda _: self.serial_like("VXA4711"),
            "SYSTem:INFormation:FVERsion?": lambda _: self._firmware,
            "SYSTem:INFormation:WAVelength?": lambda _: f"{1e9 * self.wavelength_m():.0f}",
            "SYSTem:INFormation:POWer?": lambda _: watts(o.rated_power),
            "SYSTem:INFormation:TYPe?": lambda _: "OPSL",
            "SYSTem:COMMunicate:HANDshaking?": lambda _: _on_off(self._handshake),
            "SYSTem:COMMunicate:HANDshaking": self._set_handshake,
            "SYSTem:CDRH?": lambda _: _on_off(self._cdrh),
            "SYSTem:CDRH": self._set_cdrh,
            "SYSTem:STATus?": lambda _: f"{self._status():08X}",
            "SYSTem:FAULt?": lambda _: f"{self._faults():08X}",
            "SYSTem:LOCK?": lambda _: _on_off(self.fault != "interlock-open"),
            "SYSTem:ERRor:COUNt?": lambda _: f"{len(self._errors)}",
            "SYSTem:ERRor[:NEXT]?": self._next_error,
            "SYSTem:ERRor:CLEar": self._clear_errors,
            "SOURce:POWer:NOMinal?": lambda _: watts(o.rated_power),
            "SOURce:POWer:LIMit:LOW?": lambda _: watts(self._lowest_w),
            "SOURce:POWer:LIMit:HIGH?": lambda _: watts(o.rated_power),
            "SOURce:POWer:LEVel?": lambda _: watts(self.reading_w),
            "SOURce:POWer:LEVel:IMMediate:AMPLitude?": lambda _: watts(self.setpoint_w),
            "SOURce:POWer:LEVel:IMMediate:AMPLitude": self._set_power,
            "SOURce:POWer:CURRent?": lambda _: f"{12 * self.reading_w / o.rated_power:.2f}",
            "SOURce:TEMPerature:BASeplate?": lambda p: _temperature(self.light.head_c, p),
            "SOURce:TEMPerature:DIODe?": lambda p: _temperature(25.0, p),
            "SOURce:TEMPerature:INTernal?": lambda p: _temperature(self.light.head_c + 4.0, p),
            "SOURce:AM:STATe?": lambda _: _on_off(self._on),
            "SOURce:AM:STATe": self._set_state,
            "SOURce:AM:SOURce?": lambda _: self._source,
            "SOURce:AM:INTernal": self._set_internal,
            "SOURce:AM:EXTernal": self._set_external,
        }

    @property
    def _model(self) -> str:
        return f"OBIS {1e9 * self.wavelength_m():.0f}nm {1e3 * self.options.rated_power:g}mW C"

    @property
    def _firmware(self) -> str:
        return "V3.0.0" if self.fault == "firmware" else "V1.2.4"

    def _watts(self, value: float) -> str:
        return f"{value:.5f} W" if self.fault == "firmware" else f"{value:.5f}"

    def _status(self) -> int:
        waits = self._on and not self.lasing()
        cold = time.monotonic() < self._ready_at_s
        return (
            _REMOTE
            | _VOLTAGE * (self._on or self._faults() != 0)
            | _FAULT * (self._faults() != 0)
            | _EMISSION * self.lasing()
            | _STANDBY * (not self._on and not cold and not self._faults())
            | _CDRH * (waits and not cold)
            | _WARM_UP * cold
            | _EXTERNAL * (self._source not in ("CWP", "CWC"))
            | _INTERLOCK * (self.fault == "interlock-open")
        )

    def _faults(self) -> int:
        return _OVER_POWER if self.fault == "over-range" else 0

    def _next_error(self, _: str) -> str:
        code = self._errors.popleft() if self._errors else 0
        return f'{code},"{_TEXTS.get(code, "No error")}"'

    def _clear_errors(self, _: str) -> None:
        self._errors.clear()

    def _set_handshake(self, parameter: str) -> None:
        self._handshake = _truth(parameter)

    def _set_cdrh(self, parameter: str) -> None:
        self._cdrh = _truth(parameter)

    def _set_power(self, parameter: str) -> None:
        if not parameter:
            raise _Refused(-109)
        try:
            value_w = float(parameter)
        except ValueError:
            raise _Refused(-220) from None
        if not self.take_setpoint(round(value_w / _STEP_W) * _STEP_W):
            raise _Refused(-220)

    def _set_state(self, parameter: str) -> None:
        on = _truth(parameter)
        if on and self.fault == "interlock-open":
            raise _Refused(-221)
        if on and self._faults():
            raise _Refused(-200)
        if on and not self._on:
            self._lit_at_s = time.monotonic() + _CDRH_S * self._cdrh
        self._on = on

    def _set_internal(self, parameter: str) -> None:
        self._set_source(parameter, ("CWP", "CWC"))

    def _set_external(self, parameter: str) -> None:
        long = {"DIG": "DIGITAL", "ANAL": "ANALOG", "MIX": "MIXED"}.get(parameter, parameter)
        self._set_source(long, ("DIGITAL", "ANALOG", "MIXED"))

    def _set_source(self, source: str, known: tuple[str, ...]) -> None:
        if source not in known:
            raise _Refused(-220 if source else -109)
        if self._on:
            raise _Refused(-221)
        self._source = source
        self.light.modulate("cw" if source in ("CWP", "CWC") else "external")


def _on_off(value: bool) -> str:
    return "ON" if value else "OFF"


def _truth(parameter: str) -> bool:
    if parameter not in ("ON", "OFF"):
        raise _Refused(-220 if parameter else -109)
    return parameter == "ON"


def _temperature(celsius: float, unit: str) -> str:
    return f"{celsius * 9 / 5 + 32:.1f}F" if unit == "F" else f"{celsius:.1f}C"


def _compiled(
    table: dict[str, Callable[[str], str | None]],
) -> list[tuple[re.Pattern[str], Callable[[str], str | None]]]:
    """Headers in long and short form: capitals must be there, the rest of a word all or not at all."""
    found = []
    for header, act in table.items():
        pattern = re.escape(header).replace(r"\[", "(?:").replace(r"\]", ")?")
        pattern = re.sub(r"(?<=[A-Z])[a-z]+", lambda m: f"(?:{m[0]})?", pattern)
        found.append((re.compile(pattern, re.IGNORECASE), act))
    return found

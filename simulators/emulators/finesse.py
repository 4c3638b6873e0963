"""A Laser Quantum finesse 532 nm pump on a serial port.

Commands and the shape of the answers are those that pylablib's driver expects and that users' code for Laser Quantum
supplies of this family sends; the texts that confirm commands and name errors are guesses.
"""

from __future__ import annotations

import re
import time
from typing import Any

from drivers.quantity import Watts
from simulators.emulators.sprout import PumpInstrument, PumpOptions


class FinesseOptions(PumpOptions):
    """As for every pump."""

    rated_power: Watts = 16.0


class FinesseHead(PumpInstrument):
    """Supply and head: LASER=ON and OFF behind key and interlock, and a motorised shutter.

    A set-point beyond the rated power is answered with a line that begins with Error, and changes nothing.
    """

    Options = FinesseOptions
    supplies = frozenset({"port", "rated_power"})

    def start(self) -> dict[str, Any]:
        """Power on; the driver's ``port`` and ``rated_power``, which the instrument does not tell."""
        return {"port": self.connect(), "rated_power": f"{self.options.rated_power:g} W"}

    def switched_on(self) -> None:
        """Laser off, shutter closed."""
        super().switched_on()
        self._enabled = False
        self._open = False
        self._on_at_s = time.monotonic()
        self._enabled_s = 0.0
        self._then_s = self._on_at_s
        self._ready_at_s = self._on_at_s + self.options.warm_up

    def lasing(self) -> bool:
        """Enabled and warm."""
        return self._enabled and time.monotonic() >= self._ready_at_s

    def emitting(self) -> bool:
        """Lasing with an open shutter."""
        return self.lasing() and self._open

    def open_interlock(self) -> None:
        """Off, and so it stays; the shutter falls."""
        self._enabled = self._open = False

    def advance(self) -> None:
        """Hour counters, then light."""
        now_s = time.monotonic()
        self._enabled_s += (now_s - self._then_s) * self._enabled
        self._then_s = now_s
        super().advance()

    def reply(self, line: str) -> list[str]:
        """One line, except for TIMERS?."""
        text = re.sub(r"\s+", " ", line.upper())
        if text == "TIMERS?":
            psu, laser = (int(s / 60) for s in (time.monotonic() - self._on_at_s + 6e6, self._enabled_s + 3e6))
            names = ("PSU Time", "Laser Enabled Time", "Laser Threshold Time")
            return [f"{n} = {m:06d} Mins" for n, m in zip(names, (psu, laser, laser), strict=True)]
        return [self._asked(text) if text.endswith("?") else self._told(text)]

    def _asked(self, text: str) -> str:
        other = self.fault == "firmware"
        watts = "{:.0f}mW" if other else "{:.2f}W"
        scale = 1000.0 if other else 1.0
        match text[:-1]:
            case "STATUS":
                return "ENABLED" if self._enabled else "DISABLED"
            case "INTERLOCK":
                return "DISABLED" if self.fault == "interlock-open" else "ENABLED"
            case "SHUTTER":
                return "SHUTTER OPENED" if self._open else "SHUTTER CLOSED"
            case "POWER":
                return "**.**W" if self.fault == "over-range" else watts.format(self.reading_w * scale)
            case "SETPOWER":
                return watts.format(self.setpoint_w * scale)
            case "CURRENT":
                return f"{100 * self.reading_w / self.options.rated_power if self.lasing() else 0:.1f}%"
            case "HTEMP":
                return f"{self.light.head_c:.3f}C"
            case "PSUTEMP":
                return f"{self.light.head_c + 3:.3f}C"
            case "SERIAL":
                return self.serial_like("FIN-10482")
            case "SOFTVER":
                return "SMD12 V3.01" if other else "SMD12 V2.14"
            case "CALDATE":
                return "11/03/2024"
        return "Error: unknown command"

    def _told(self, text: str) -> str:
        match text:
            case "ON" | "LASER=ON":
                if self.fault == "interlock-open":
                    return "Error: interlock open"
                self._enabled = True
                return "OK"
            case "OFF" | "LASER=OFF":
                self._enabled = False
                return "OK"
            case "SHUTTER OPEN":
                if self.fault == "interlock-open":
                    return "Error: interlock open"
                self._open = True
                return "SHUTTER OPENED"
            case "SHUTTER CLOSE":
                self._open = False
                return "SHUTTER CLOSED"
        found = re.fullmatch(r"POWER ?= ?(\d+\.?\d*)", text)
        if found is None:
            return "Error: unknown command"
        return "OK" if self.take_setpoint(round(float(found[1]), 2)) else "Error: value out of range"

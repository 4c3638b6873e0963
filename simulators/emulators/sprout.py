"""A Lighthouse Photonics Sprout-G 532 nm pump on a serial port, and what all emulated pumps do with light and time.

Commands and the shape of the answers are those that pylablib's and qcodes' drivers for it expect; the texts of
INTERLOCK?, WARNING? and CONFIG? and the error codes are guesses.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from typing import Any

import numpy as np

from drivers.quantity import Seconds, Watts
from simulators.emulators.base import EmulatorOptions
from simulators.emulators.serial_line import SerialInstrument
from simulators.worlds.pumps import MODULATIONS

NOISE = 3e-4
"""Rms of the power over a second or so, as a fraction of it."""
_ROOM_C = 22.0
_HEATING_C_PER_W = 0.6
_THERMAL_S = 60.0


class PumpOptions(EmulatorOptions):
    """What a bench file may say of an emulated pump.

    rated_power: highest set-point it takes. settle: time in which its power comes within 1 % of a new set-point.
    warm_up: from a cold start until it can emit; by default it was left warm. seed: of its noise.
    """

    rated_power: Watts = 10.0
    settle: Seconds = 1.0
    warm_up: Seconds = 0.0
    seed: int = 1


class PumpLight:
    """Power that settles exponentially toward its target, with noise, and warms the head; written into a world.

    A world without a pump (no ``pump_emission`` in its state) is not lit by it.
    """

    def __init__(self, world: Any, settle_s: float, seed: int) -> None:
        self._state = getattr(world, "state", None)
        self._tau_s = max(settle_s, 1e-3) / math.log(100)
        self._rng = np.random.default_rng(seed)
        self._then_s = time.monotonic()
        self._mean_w = 0.0
        self.power_w = 0.0
        """What leaves the laser now, W."""
        self.head_c = _ROOM_C

    def advance(self, target_w: float) -> None:
        """Until now; a target of 0 W is dark at once."""
        now_s = time.monotonic()
        passed_s, self._then_s = now_s - self._then_s, now_s
        rise = 1.0 - math.exp(-passed_s / self._tau_s)
        self._mean_w = 0.0 if target_w <= 0.0 else self._mean_w + rise * (target_w - self._mean_w)
        self.power_w = max(self._mean_w * (1.0 + NOISE * float(self._rng.standard_normal())), 0.0)
        warm_c = _ROOM_C + _HEATING_C_PER_W * self._mean_w
        self.head_c += (1.0 - math.exp(-passed_s / _THERMAL_S)) * (warm_c - self.head_c)

    def shine(self, emission: bool, power_w: float) -> None:
        """Onto the world's table."""
        if self._state is not None and "pump_emission" in (self._state.dtype.names or ()):
            self._state["pump_power_w"][0] = power_w if emission else 0.0
            self._state["pump_emission"][0] = emission

    def modulate(self, how: str) -> None:
        """Tell the table's modulator, if it has one: of `simulators.worlds.pumps.MODULATIONS`."""
        if self._state is not None and "pump_modulation" in (self._state.dtype.names or ()):
            self._state["pump_modulation"][0] = MODULATIONS.index(how)


class PumpInstrument(SerialInstrument):
    """A pump on a wire: set-point, light, interlock, and the ways in which these are wrong.

    Mutations: scale (light, power and set-point reported 10 % high), stale (reports the set-point before the last and
    the power it had when the mutation began), ignore-setpoint, dark (no light; its monitor sees none).
    """

    Options = PumpOptions
    options: PumpOptions

    def switched_on(self) -> None:
        """Set-point 0, cold or warm as the options say, dark."""
        self.light = PumpLight(self.world, self.options.settle, self.options.seed)
        self.light.modulate("cw")
        self._setpoints_w = [0.0, 0.0]
        self._reading_w = 0.0

    def switched_off(self) -> None:
        """Dark."""
        self.light.shine(False, 0.0)

    @abstractmethod
    def emitting(self) -> bool:
        """Whether light leaves the laser."""

    def lasing(self) -> bool:
        """Whether the resonator runs, seen outside or not."""
        return self.emitting()

    @abstractmethod
    def open_interlock(self) -> None:
        """What an open interlock does to it; called again and again while it is open."""

    def target_w(self) -> float:
        """Power it settles to while it lases."""
        return self._setpoints_w[-1] * self._scale

    def advance(self) -> None:
        """Light and interlock."""
        if self.fault == "interlock-open":
            self.open_interlock()
        dark = self.mutation == "dark"
        self.light.advance(self.target_w() if self.lasing() and not dark else 0.0)
        if self.mutation != "stale":
            self._reading_w = self.light.power_w
        self.light.shine(self.emitting() and not dark, self.light.power_w)

    @property
    def _scale(self) -> float:
        return 1.1 if self.mutation == "scale" else 1.0

    @property
    def setpoint_w(self) -> float:
        """As it reports it."""
        return self._setpoints_w[0 if self.mutation == "stale" else -1] * self._scale

    @property
    def reading_w(self) -> float:
        """Of its own monitor."""
        return self._reading_w

    def take_setpoint(self, value_w: float) -> bool:
        """Whether it takes it."""
        if not 0.0 <= value_w <= self.options.rated_power + 1e-9 or self.fault == "over-range":
            return False
        if self.mutation != "ignore-setpoint":
            self._setpoints_w = [self._setpoints_w[-1], value_w]
        return True


_DONE, _NOT_DONE, _OUT_OF_RANGE, _UNKNOWN = "0", "1", "2", "3"


class SproutG(PumpInstrument):
    """Operating modes off, idle (warm, dark), warmup, on, interlock; a manual shutter (`shutter_open`)."""

    supplies = frozenset({"port"})
    ending = b"\r"

    def start(self) -> dict[str, Any]:
        """Power on; the driver's ``port``."""
        self.shutter_open = True
        return {"port": self.connect()}

    def switched_on(self) -> None:
        """Left idle if it needs no warm-up, else off and cold."""
        super().switched_on()
        self._mode = "OFF" if self.options.warm_up else "IDLE"
        self._goal = self._mode
        self._warm_at_s = 0.0
        self._on_since = time.monotonic()

    def lasing(self) -> bool:
        """In mode on."""
        return self._mode == "ON"

    def emitting(self) -> bool:
        """In mode on with an open shutter."""
        return self._mode == "ON" and self.shutter_open

    def open_interlock(self) -> None:
        """Off, and so it stays when the interlock is closed."""
        self._mode = self._goal = "INTERLOCK"

    def advance(self) -> None:
        """Warm-up and interlock, then light."""
        if self._mode == "INTERLOCK" and self.fault != "interlock-open":
            self._mode = self._goal = "OFF"
        if self._mode == "WARMUP" and time.monotonic() >= self._warm_at_s:
            self._mode = self._goal
        super().advance()

    def reply(self, line: str) -> list[str]:
        """Queries are answered NAME=value, commands with a code, 0 when done."""
        text = line.upper()
        if text.endswith("?"):
            value = self._asked(text[:-1])
            return [_UNKNOWN if value is None else f"{text[:-1]}={value}"]
        name, _, value = text.partition("=")
        match name.strip():
            case "OPMODE":
                return [self._enter(value.strip())]
            case "POWER SET":
                try:
                    return [_DONE if self.take_setpoint(round(float(value), 2)) else _OUT_OF_RANGE]
                except ValueError:
                    return [_UNKNOWN]
        return [_UNKNOWN]

    def _asked(self, name: str) -> str | None:
        other = self.fault == "firmware"
        watts = "{:.2f} W" if other else "{:.2f}"
        match name:
            case "PRODUCT":
                return f"SPROUT-G-{self.options.rated_power:g}W"
            case "VERSION":
                return "2.00" if other else "1.38"
            case "SERIALNUMBER":
                return self.serial_like("LP-00217")
            case "CONFIG":
                return "STANDARD"
            case "HOURS" | "RUN HOURS":
                seconds = int(time.monotonic() - self._on_since) + 4_000_000
                return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
            case "WARNING":
                return "NONE"
            case "INTERLOCK":
                return "OPEN" if self.fault == "interlock-open" else "CLOSED"
            case "SHUTTER":
                return "OPEN" if self.shutter_open else "CLOSE"
            case "OPMODE":
                return self._mode
            case "POWER SET":
                return watts.format(self.setpoint_w)
            case "POWER":
                return "***.**" if self.fault == "over-range" else watts.format(self.reading_w)
        return None

    def _enter(self, mode: str) -> str:
        if mode not in ("ON", "OFF", "IDLE"):
            return _UNKNOWN
        if self._mode == "INTERLOCK":
            return _DONE if mode == "OFF" else _NOT_DONE
        if self._mode == "OFF" and mode != "OFF" and self.options.warm_up:
            self._warm_at_s = time.monotonic() + self.options.warm_up
            self._mode = "WARMUP"
        elif self._mode != "WARMUP" or mode == "OFF":
            self._mode = mode
        self._goal = mode
        return _DONE

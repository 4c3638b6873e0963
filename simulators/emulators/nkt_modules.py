"""Modules on an NKT bus and their registers: the laser, an EXTREME or a FIANIUM, and the VARIA filter."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from pydantic import Field

from drivers.quantity import Seconds
from simulators.emulators.base import Emulator, EmulatorOptions

_LOOP_OPEN, _WAITS_FOR_RESET, _CLOSED = "open", "waiting", "closed"
_DOOR_SWITCH = 2
_LOWEST_EDGE, _HIGHEST_EDGE = 4000, 8400  # of a VARIA, 0.1 nm


class _Register(NamedTuple):
    """read: the bytes it holds. write: takes bytes and says whether it took them; None for a reading."""

    read: Callable[[], bytes]
    write: Callable[[bytes], bool] | None = None


class _Glide:
    """A quantity that moves evenly from where it is to where it was told to be."""

    def __init__(self, value: float) -> None:
        self._start, self.target = value, value
        self._begin_s, self._duration_s = 0.0, 0.0

    def to(self, target: float, duration_s: float, now_s: float) -> None:
        self._start, self.target = self.at(now_s), target
        self._begin_s, self._duration_s = now_s, duration_s

    def at(self, now_s: float) -> float:
        elapsed_s = now_s - self._begin_s
        if elapsed_s >= self._duration_s:
            return self.target
        return self._start + (self.target - self._start) * elapsed_s / self._duration_s

    def moving(self, now_s: float) -> bool:
        return now_s - self._begin_s < self._duration_s


class Module:
    """A module on the bus: its registers, and what every module has."""

    type_number = 0

    def __init__(self, serial: str, emulator: Emulator) -> None:
        self.serial = serial
        self.emulator = emulator
        self.registers: dict[int, _Register] = {
            0x61: _Register(self._module_type),
            0x64: _Register(self._firmware),
            0x65: _Register(lambda: self.serial.encode()),
        }

    def _module_type(self) -> bytes:
        # Newer firmware: two bytes and a description (SDK manual, section 6.2).
        if self.emulator.fault == "firmware":
            return self.type_number.to_bytes(2, "little") + b"SuperK\0"
        return bytes([self.type_number])

    def _firmware(self) -> bytes:
        if self.emulator.fault == "firmware":
            return b"\x01\x02"
        return b"\x07\x01ver. 1.07\0"

    def heard(self, now_s: float) -> None:
        """A valid telegram was addressed to it."""


class _Setpoint:
    """An unsigned number of so many bytes, 0 to ``highest``, wrong in the ways the emulator's mutation says."""

    def __init__(
        self, emulator: Emulator, value: int, size: int, lowest: int, highest: int, overruns: bool = True
    ) -> None:
        self._emulator = emulator
        self._overruns = overruns
        self.value = value
        self._before = value
        self._size, self._lowest, self._highest = size, lowest, highest
        self.changed: Callable[[float], None] = lambda now_s: None

    def read(self) -> bytes:
        match self._emulator.mutation, self._emulator.fault:
            case "stale", _:
                shown = self._before
            case _, "over-range" if self._overruns:
                shown = 256**self._size - 1
            case _:
                shown = self.value
        return shown.to_bytes(self._size, "little")

    def write(self, data: bytes) -> bool:
        value = int.from_bytes(data, "little")
        if not data or len(data) > self._size or not self._lowest <= value <= self._highest:
            return False
        self._before = self.value
        match self._emulator.mutation:
            case "ignore-setpoint":
                return True
            case "scale":
                value = max(round(0.9 * value), self._lowest)
        self.value = value
        self.changed(time.monotonic())
        return True

    def register(self) -> _Register:
        return _Register(self.read, self.write)


class Laser(Module):
    """The main module: emission, interlock, watchdog, power."""

    def __init__(self, serial: str, emulator: Emulator, options: InterbusOptions) -> None:
        super().__init__(serial, emulator)
        self._options = options
        self.emission = False
        self._emission_before = False
        self.loop = _CLOSED
        self._watchdog_s = 0
        self._heard_s = 0.0
        self._user_text = b""
        self.extreme = options.module == "extreme"
        self.type_number = 0x60 if self.extreme else 0x88
        self._setup = _Setpoint(emulator, 1 if self.extreme else 0, 2 if self.extreme else 1, 0, 4, overruns=False)
        self._power = _Setpoint(emulator, 0, 2, 0, 1000)
        self._current = _Setpoint(emulator, 0, 2, 0, 1000)
        self._nim = _Setpoint(emulator, 0, 2, 0, 1023)
        self.picker = _Setpoint(emulator, 1, 2, 1, options.most_pulses)
        self.level = _Glide(0.0)
        for setpoint in (self._setup, self._power, self._current):
            setpoint.changed = self._follow
        self.registers |= {
            0x11: _Register(lambda: (241).to_bytes(2, "little")),
            0x30: _Register(self._read_emission, self._write_emission),
            0x31: self._setup.register(),
            0x32: _Register(self._read_interlock, self._write_interlock),
            0x36: _Register(lambda: bytes([self._watchdog_s]), self._write_watchdog),
            0x37: self._power.register(),
            0x39: self._nim.register(),
            0x66: _Register(self._read_status),
            0x67: _Register(lambda: b"\0"),
            0x6C if self.extreme else 0x8D: _Register(lambda: self._user_text, self._write_user_text),
        }
        if self.extreme:
            self.registers |= {0x38: self._current.register(), 0x6B: _Register(lambda: b"\0")}
        if options.pulse_picker:
            self.registers[0x34] = _Register(self._read_picker, self.picker.write)
            if not self.extreme:
                self.registers[0x3D] = _Register(lambda: options.most_pulses.to_bytes(2, "little"))

    def heard(self, now_s: float) -> None:
        self._heard_s = now_s

    def setpoint(self) -> float:
        """What the power is set to, as a fraction: in current mode (0, 4) of an EXTREME the current decides."""
        by_current = self.extreme and self._setup.value in (0, 4)
        return (self._current if by_current else self._power).value / 1000

    def _follow(self, now_s: float) -> None:
        """Let the light go to the set-point."""
        if self.emission:
            self.level.to(self.setpoint(), self._options.settle, now_s)

    def switch(self, on: bool, now_s: float) -> None:
        """Begin to emit, or stop at once."""
        if on and not self.emission:
            self._heard_s = now_s
            self.level.to(self.setpoint(), self._options.ramp, now_s)
        if not on:
            self.level.to(0.0, 0.0, now_s)
        self.emission = on

    def tick(self, now_s: float, tripped: bool) -> None:
        """Interlock and watchdog."""
        if tripped or self.emulator.fault == "interlock-open":
            self.loop = _LOOP_OPEN
        elif self.loop == _LOOP_OPEN:
            self.loop = _CLOSED  # whoever closed the door has pressed reset as well
        starved = 0 < self._watchdog_s <= now_s - self._heard_s
        if self.emission and (self.loop != _CLOSED or starved):
            self.switch(False, now_s)

    def _read_emission(self) -> bytes:
        on = self._emission_before if self.emulator.mutation == "stale" else self.emission
        return b"\x03" if on else b"\x00"

    def _write_emission(self, data: bytes) -> bool:
        if data not in (b"\x00", b"\x03") or (data == b"\x03" and self.loop != _CLOSED):
            return False
        self._emission_before = self.emission
        self.switch(data == b"\x03", time.monotonic())
        return True

    def _read_interlock(self) -> bytes:
        return {_LOOP_OPEN: bytes([0, _DOOR_SWITCH]), _WAITS_FOR_RESET: b"\x01\x00", _CLOSED: b"\x02\x00"}[self.loop]

    def _write_interlock(self, data: bytes) -> bool:
        if not any(data):
            self.loop = _WAITS_FOR_RESET if self.loop == _CLOSED else self.loop
            self.switch(False, time.monotonic())
        elif self.loop == _LOOP_OPEN:
            return False
        else:
            self.loop = _CLOSED
        return True

    def _read_picker(self) -> bytes:
        # One byte below 256, two above, "for historical reasons" (SDK manual); the other firmware has no history.
        data = self.picker.read()
        return data[:1] if self.extreme and data[1] == 0 and self.emulator.fault != "firmware" else data

    def _write_watchdog(self, data: bytes) -> bool:
        if len(data) != 1:
            return False
        self._watchdog_s = data[0]
        return True

    def _write_user_text(self, data: bytes) -> bool:
        if len(data) > (20 if self.extreme else 240):
            return False
        self._user_text = data
        return True

    def _read_status(self) -> bytes:
        status = 0x0001 * (self.emission and not self.level.moving(time.monotonic()))
        status |= 0x0002 * (self.loop != _CLOSED) | 0x0008 * (self.loop == _LOOP_OPEN)
        return status.to_bytes(2, "little")


class Varia(Module):
    """The band filter: a short-wave-pass sets the long edge, a long-wave-pass the short one, in 0.1 nm."""

    type_number = 0x68

    def __init__(self, serial: str, emulator: Emulator, options: InterbusOptions) -> None:
        super().__init__(serial, emulator)
        self._travel_s = options.filter_travel
        self._density = _Setpoint(emulator, 0, 2, 0, 1000)
        self._short_wave_pass = _Setpoint(emulator, _HIGHEST_EDGE, 2, _LOWEST_EDGE, _HIGHEST_EDGE)
        self._long_wave_pass = _Setpoint(emulator, _LOWEST_EDGE, 2, _LOWEST_EDGE, _HIGHEST_EDGE)
        self.long_edge = self._follow(self._short_wave_pass)
        self.short_edge = self._follow(self._long_wave_pass)
        self.registers |= {
            0x13: _Register(lambda: b"\0\0"),
            0x32: self._density.register(),
            0x33: self._short_wave_pass.register(),
            0x34: self._long_wave_pass.register(),
            0x66: _Register(self._read_status),
            0x67: _Register(lambda: b"\0"),
        }

    def _follow(self, setpoint: _Setpoint) -> _Glide:
        edge = _Glide(setpoint.value)

        def move(now_s: float) -> None:
            share = abs(setpoint.value - edge.at(now_s)) / (_HIGHEST_EDGE - _LOWEST_EDGE)
            edge.to(setpoint.value, share * self._travel_s, now_s)

        setpoint.changed = move
        return edge

    def _read_status(self) -> bytes:
        now_s = time.monotonic()
        moving = 0x2000 * self.long_edge.moving(now_s) | 0x4000 * self.short_edge.moving(now_s)
        return moving.to_bytes(2, "little")


class InterbusOptions(EmulatorOptions):
    """Which SuperK it is, and how fast."""

    module: Literal["extreme", "fianium"] = "extreme"
    laser_address: int = Field(15, ge=1, le=160)
    varia: bool = True
    varia_address: int = Field(16, ge=1, le=160)
    pulse_picker: bool = True
    most_pulses: int = Field(40, ge=1, le=65535, description="largest ratio of the pulse picker")
    latency: Seconds = Field(1e-3, ge=0, description="from a telegram to its answer")
    late: Seconds = Field(1.5, gt=0, description="how much later the fault of that name answers")
    ramp: Seconds = Field(0.2, ge=0, description="from emission on to full light")
    settle: Seconds = Field(20e-3, ge=0, description="from a new power set-point to the light")
    filter_travel: Seconds = Field(0.4, ge=0, description="of a VARIA's filter from one end to the other")
    lost_answers: int = Field(0, ge=0, description="every how many telegrams an answer gets lost, 0 for none")
    busy_answers: int = Field(0, ge=0, description="every how many telegrams the module is busy, 0 for none")

"""An NKT SuperK on its serial line: Interbus on a pseudo-terminal, EXTREME or FIANIUM, with a VARIA or without.

Sources. Framing and replies: NKT Photonics, "Software Development Kit, Instruction Manual" (v2.1.3), chapter 2.
Registers: the SDK's register files 60.txt, 68.txt and 88.txt. Interlock values, the watchdog and the width of the pulse
picker's answer: the SDK manual's text on the SuperK EXTREME. How fast light and filters settle, and whether a refused
emission is answered with NACK, are not told there and are typical values, not measured ones.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from pydantic import Field

from drivers.errors import ConfigurationError
from drivers.quantity import Seconds
from simulators.emulators.base import Emulator, EmulatorOptions

# Telegram: start; destination, source, type, register, data and check sum with special bytes substituted; end.
START, END, SUBSTITUTE, SHIFT = 0x0D, 0x0A, 0x5E, 0x40
NACK, CRC_ERROR, BUSY, ACK, READ, WRITE, DATAGRAM = 0, 1, 2, 3, 4, 5, 8
_LEAST_BYTES = 6

_TICK_S = 0.01
_LOOP_OPEN, _WAITS_FOR_RESET, _CLOSED = "open", "waiting", "closed"
_DOOR_SWITCH = 2
_LOWEST_EDGE, _HIGHEST_EDGE = 4000, 8400  # of a VARIA, 0.1 nm


def check_sum(data: bytes) -> int:
    """CRC-16 with polynomial x^16 + x^12 + x^5 + 1, beginning at 0, no reflection ("XMODEM")."""
    remainder = 0
    for byte in data:
        remainder ^= byte << 8
        for _ in range(8):
            remainder = remainder << 1 ^ 0x1021 if remainder & 0x8000 else remainder << 1
        remainder &= 0xFFFF
    return remainder


def telegram(message: bytes, spoil: int = 0) -> bytes:
    """A message (destination, source, type, register, data) as it goes over the line. spoil: added to its check sum."""
    framed = bytearray([START])
    for byte in message + ((check_sum(message) + spoil) & 0xFFFF).to_bytes(2, "big"):
        if byte in (START, END, SUBSTITUTE):
            framed += bytes([SUBSTITUTE, byte + SHIFT])
        else:
            framed.append(byte)
    return bytes(framed) + bytes([END])


class Receiver:
    """Finds telegrams in what comes over the line; noise between them is dropped."""

    def __init__(self) -> None:
        self._message: bytearray | None = None
        self._substituted = False

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Messages that are complete now, and of each whether its check sum holds."""
        messages: list[tuple[bytes, bool]] = []
        for byte in data:
            if byte == START:
                self._message, self._substituted = bytearray(), False
            elif self._message is None:
                continue
            elif byte == END:
                whole, self._message = bytes(self._message), None
                if len(whole) >= _LEAST_BYTES:
                    messages.append((whole[:-2], check_sum(whole[:-2]) == int.from_bytes(whole[-2:], "big")))
            elif byte == SUBSTITUTE:
                self._substituted = True
            else:
                self._message.append((byte - SHIFT) & 0xFF if self._substituted else byte)
                self._substituted = False
        return messages


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


class _Module:
    """A module on the bus: its registers, and what every module has."""

    type_number = 0

    def __init__(self, serial: str, emulator: Interbus) -> None:
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
        self, emulator: Interbus, value: int, size: int, lowest: int, highest: int, overruns: bool = True
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


class _Laser(_Module):
    """The main module: emission, interlock, watchdog, power."""

    def __init__(self, serial: str, emulator: Interbus, options: InterbusOptions) -> None:
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


class _Varia(_Module):
    """The band filter: a short-wave-pass sets the long edge, a long-wave-pass the short one, in 0.1 nm."""

    type_number = 0x68

    def __init__(self, serial: str, emulator: Interbus, options: InterbusOptions) -> None:
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


class Interbus(Emulator):
    """A SuperK on a pseudo-terminal. The port's name stays the same when the line is cut and comes back."""

    supplies = frozenset({"port"})

    Options = InterbusOptions
    faults = frozenset({"mute", "late", "corrupt-crc", "interlock-open", "over-range", "port-loss", "firmware"})
    mutations = frozenset({"scale", "stale", "ignore-setpoint", "dark", "late"})

    options: InterbusOptions

    def __init__(self, name: str, world: Any, options: EmulatorOptions | None = None) -> None:
        super().__init__(name, world, options)
        self._thread: threading.Thread | None = None
        self._modules: dict[int, _Module] = {}

    def start(self) -> dict[str, Any]:
        """Power on: emission off, no power, watchdog off, all of the band."""
        try:
            import pty  # noqa: F401
            import tty  # noqa: F401
        except ImportError:
            raise ConfigurationError(
                f"{self.name}: an emulated SuperK needs pseudo-terminals, which this system does not have; use Linux"
            ) from None
        if self._thread is None:
            o = self.options
            self._laser = _Laser(self.serial_like("SK15007"), self, o)
            self._varia = _Varia(self.serial_like("VA20013"), self, o) if o.varia else None
            self._modules = {o.laser_address: self._laser}
            if self._varia is not None:
                if o.varia_address == o.laser_address:
                    raise ConfigurationError(f"{self.name}: laser and VARIA cannot both have address {o.laser_address}")
                self._modules[o.varia_address] = self._varia
            self._folder = tempfile.mkdtemp(prefix="labctl-nkt-")
            self._port = os.path.join(self._folder, "port")
            self._line: tuple[int, int] | None = None
            self._stopping = False
            self._turned = threading.Condition()
            self._turns = 0
            self._wake = os.pipe()
            self._plug()
            self._thread = threading.Thread(target=self._serve, name=f"{self.name}-interbus", daemon=True)
            self._thread.start()
        return {
            "port": self._port,
            "laser_address": self.options.laser_address,
            "varia_address": self.options.varia_address if self.options.varia else None,
        }

    def stop(self) -> None:
        """Power off: dark."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping = True
        os.write(self._wake[1], b"x")
        thread.join()
        for end in self._wake:
            os.close(end)
        shutil.rmtree(self._folder, ignore_errors=True)

    def inject(self, fault: str | None) -> None:
        """As `Emulator.inject`; returns when the fault is there."""
        super().inject(fault)
        self._finish_turn()

    def mutate(self, mutation: str | None) -> None:
        """As `Emulator.mutate`; returns when it is so."""
        super().mutate(mutation)
        self._finish_turn()

    @property
    def emitting(self) -> bool:
        """Whether the laser itself emits, whatever the world is told."""
        return self._thread is not None and self._laser.emission

    def _finish_turn(self) -> None:
        """Wait until the instrument has gone once more through all it does."""
        if self._thread is None:
            return
        with self._turned:
            seen = self._turns
            os.write(self._wake[1], b"x")
            self._turned.wait_for(lambda: self._turns >= seen + 2, 2.0)

    # --- the line ---------------------------------------------------------------------------------------------------

    def _plug(self) -> None:
        import pty
        import tty

        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._line = (master, slave)  # the slave stays open: else the line would hang up with each driver that goes
        fresh = self._port + ".new"
        os.symlink(os.ttyname(slave), fresh)
        os.replace(fresh, self._port)
        self._receiver = Receiver()
        self._answers: list[tuple[float, int, bytes]] = []
        self._telegrams = 0

    def _unplug(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._port)
            for end in line:
                os.close(end)

    def _serve(self) -> None:
        while not self._stopping:
            if self.fault == "port-loss":
                self._unplug()
            elif self._line is None:
                self._plug()
            self._listen()
            self._say_what_is_due()
            self._live()
            with self._turned:
                self._turns += 1
                self._turned.notify_all()
        self._laser.switch(False, time.monotonic())
        self._shine(time.monotonic())
        self._unplug()

    def _listen(self) -> None:
        wait_s = _TICK_S
        if self._line is not None and self._answers:
            wait_s = min(max(self._answers[0][0] - time.monotonic(), 0.0), wait_s)
        ends = [self._wake[0], *([self._line[0]] if self._line is not None else [])]
        ready, _, _ = select.select(ends, [], [], wait_s)
        if self._wake[0] in ready:
            os.read(self._wake[0], 4096)
        if self._line is not None and self._line[0] in ready:
            with contextlib.suppress(BlockingIOError):
                for message, intact in self._receiver.feed(os.read(self._line[0], 4096)):
                    self._take(message, intact)

    def _take(self, message: bytes, intact: bool) -> None:
        destination, source, kind, register = message[:4]
        module = self._modules.get(destination)
        if module is None:
            return  # nobody of that address is on the bus
        now_s = time.monotonic()
        if not intact:
            self._answer(now_s, source, destination, CRC_ERROR, register)
            return
        module.heard(now_s)
        self._telegrams += 1
        if self._is_nth(self.options.busy_answers):
            self._answer(now_s, source, destination, BUSY, register)
            return
        reply, data = self._act(module, kind, register, message[4:])
        if not self._is_nth(self.options.lost_answers):
            self._answer(now_s, source, destination, reply, register, data)

    def _is_nth(self, every: int) -> bool:
        return every > 0 and self._telegrams % every == 0

    @staticmethod
    def _act(module: _Module, kind: int, number: int, data: bytes) -> tuple[int, bytes]:
        register = module.registers.get(number)
        if register is not None and kind == READ:
            return DATAGRAM, register.read()
        if register is not None and kind == WRITE and register.write is not None and register.write(data):
            return ACK, b""
        return NACK, b""

    def _answer(self, now_s: float, to: int, sender: int, kind: int, register: int, data: bytes = b"") -> None:
        if self.fault == "mute":
            return
        due_s = now_s + self.options.latency
        due_s += self.options.late if self.fault == "late" else 0.0
        due_s += 1.0 if self.mutation == "late" else 0.0
        line = telegram(bytes([to, sender, kind, register]) + data, spoil=self.fault == "corrupt-crc")
        heapq.heappush(self._answers, (due_s, self._telegrams, line))

    def _say_what_is_due(self) -> None:
        while self._line is not None and self._answers and self._answers[0][0] <= time.monotonic():
            _, _, line = heapq.heappop(self._answers)
            with contextlib.suppress(BlockingIOError):  # nobody reads: as on a wire, it is gone
                os.write(self._line[0], line)

    # --- the light --------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        now_s = time.monotonic()
        source = getattr(self.world.parameters, "source", None)
        self._laser.tick(now_s, bool(getattr(source, "tripped", False)))
        self._shine(now_s)

    def _shine(self, now_s: float) -> None:
        """The light as it is now. Again and again, since a table that is set up anew does not switch the laser off."""
        state, laser = self.world.state, self._laser
        emits = laser.emission and self.mutation != "dark"
        if not emits:
            state["emission"][0] = False
        state["power_fraction"][0] = laser.level.at(now_s) if laser.emission else laser.setpoint()
        state["pulse_picker"][0] = laser.picker.value
        if self._varia is not None:
            # Divided, not multiplied by 1e-10, so that 588.0 nm is the number that 588e-9 is.
            state["wavelength_min_m"][0] = self._varia.short_edge.at(now_s) / 1e10
            state["wavelength_max_m"][0] = self._varia.long_edge.at(now_s) / 1e10
        else:
            state["wavelength_min_m"][0], state["wavelength_max_m"][0] = 400e-9, 2400e-9
        if emits:
            state["emission"][0] = True

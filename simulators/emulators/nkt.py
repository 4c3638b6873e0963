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
from typing import Any

from drivers.errors import ConfigurationError
from simulators.emulators.base import Emulator, EmulatorOptions
from simulators.emulators.nkt_modules import InterbusOptions, Laser, Module, Varia
from simulators.emulators.nkt_telegrams import ACK, BUSY, CRC_ERROR, DATAGRAM, NACK, READ, WRITE, Receiver, telegram

_TICK_S = 0.01


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
        self._modules: dict[int, Module] = {}

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
            self._laser = Laser(self.serial_like("SK15007"), self, o)
            self._varia = Varia(self.serial_like("VA20013"), self, o) if o.varia else None
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
    def _act(module: Module, kind: int, number: int, data: bytes) -> tuple[int, bytes]:
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

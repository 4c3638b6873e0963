"""An NKT Interbus through pylablib: modules and their registers, and lost answers told apart from a lost port."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from drivers.contract import DeviceError

T = TypeVar("T")
_MODULE_TYPE, _FIRMWARE = 0x61, 0x64

_FIRST_HOST, _HOSTS = 0xA1, 64
_ATTEMPTS = 4
_BETWEEN_ATTEMPTS_S = 0.01
_LEAST_ATTEMPT_S = 0.02


class NoAnswer(Exception):
    """No answer in time."""


class PortLost(Exception):
    """The serial port failed."""


class Refused(Exception):
    """The instrument answered that it does not know the register or does not allow the value."""


class _Garbled(Exception):
    """An answer that is wrong, or not ours (``stray``: to a question given up long ago), or "busy"."""

    def __init__(self, text: str, stray: bool) -> None:
        super().__init__(text)
        self.stray = stray


class Bus:
    """A pylablib Interbus system with timeouts, repetitions and a way to tell a late answer from the one asked for.

    The laser leaves a question unanswered now and then (others saw one in 250 to 100,000), so each is asked twice
    before it is given up. A late answer is told by its address: each question comes from another host address, as the
    SDK manual advises, and pylablib compares it.
    """

    def __init__(self, nkt: Any, system: Any, timeout_s: float) -> None:
        self._nkt = nkt
        self._system = system
        self._timeout_s = timeout_s
        self._host = 0
        self.laser = Module(self, 0)
        self.varia: Module | None = None
        self.give()

    def give(self, seconds: float | None = None) -> None:
        """A conversation begins that may take so long in all, by default as long as the timeout."""
        self._until_s = time.monotonic() + (self._timeout_s if seconds is None else seconds)

    def close(self) -> None:
        """Close the port."""
        self._system.close()

    def flush(self) -> None:
        """Throw away what has come in."""
        with self._told_apart():
            self._system.instr.flush_read()

    def read(self, module: int, register: int) -> bytes:
        """What a register holds."""
        return self._ask(lambda: bytes(self._system.ib_get_reg(module, register, "raw")), register)

    def write(self, module: int, register: int, data: bytes) -> None:
        """Set a register; returns when the module has acknowledged it."""
        self._ask(lambda: self._system.ib_set_reg(module, register, data, "raw", echo=False), register)

    def _ask(self, question: Callable[[], T], register: int) -> T:
        self._host = (self._host + 1) % _HOSTS
        self._system._ib_src = _FIRST_HOST + self._host
        waits = garbled = 0
        while True:
            left_s = max(self._until_s - time.monotonic(), _LEAST_ATTEMPT_S)
            try:
                with self._told_apart():
                    self._system.instr.set_timeout(left_s if waits else min(left_s, self._timeout_s / 2))
                    return question()
            except NoAnswer as error:
                waits += 1
                if waits == 2 or time.monotonic() >= self._until_s:
                    raise NoAnswer(f"register 0x{register:02X} was asked for {waits} times") from error
            except _Garbled as error:
                garbled += not error.stray
                if garbled == _ATTEMPTS or time.monotonic() >= self._until_s:
                    self.flush()
                    raise DeviceError(
                        f"register 0x{register:02X}: no answer that can be understood ({error}); the line was flushed. "
                        "Check the cable and that no two modules share an address"
                    ) from error
            time.sleep(_BETWEEN_ATTEMPTS_S)
            self.flush()

    @contextlib.contextmanager
    def _told_apart(self) -> Iterator[None]:
        """pylablib's two errors as the five things that they mean: the text is all that tells some of them apart."""
        try:
            yield
        except self._nkt.InterbusBackendError as error:
            if isinstance(error.backend_exc, Exception):  # else it is pylablib's own: the timeout
                raise PortLost(str(error.backend_exc)) from error
            raise NoAnswer from error
        except self._nkt.InterbusError as error:
            if "not understood" in str(error):
                raise Refused from error
            raise _Garbled(str(error), stray="telegram destination: expected 0x" in str(error)) from error


class Module(NamedTuple):
    """One address on the bus."""

    bus: Bus
    address: int

    def read(self, register: int) -> bytes:
        """What a register holds. Raises what `Bus.read` does."""
        return self.bus.read(self.address, register)

    def number(self, register: int) -> int:
        """The same as an unsigned number, lowest byte first, in the register's own unit."""
        return int.from_bytes(self.read(register), "little")

    def write(self, register: int, data: bytes) -> None:
        """Set a register. Raises what `Bus.write` does."""
        self.bus.write(self.address, register, data)

    def optional(self, register: int) -> bytes | None:
        """What a register holds that not every firmware has."""
        try:
            return self.read(register)
        except Refused:
            return None

    def kind(self) -> int:
        """Module type; newer firmware answers two bytes and a description."""
        return int.from_bytes(self.read(_MODULE_TYPE)[:2], "little")

    def firmware(self) -> str:
        """Its firmware as the module names it, by number if it has no name, or "unknown"."""
        data = self.optional(_FIRMWARE)
        if data is None or len(data) < 2:
            return "unknown"
        return text_of(data[2:]) or f"{data[1]}.{data[0]:02d}"


def text_of(data: bytes) -> str:
    """Text up to the first zero byte; what is not ASCII is replaced."""
    return data.split(b"\0")[0].decode("ascii", "replace").strip()

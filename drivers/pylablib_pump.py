"""Pump lasers at 532 nm on a serial port that pylablib has a class for."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from drivers.contract import ConfigurationError
from drivers.link import pylablib_errors, timed
from drivers.pump_on_a_line import PumpOnALine

_BAUD = 19200
_STEP_W = 0.01


class PylablibPump(PumpOnALine[Any]):
    """A pump that is spoken to by pylablib. port: such as ``COM3`` or ``/dev/ttyUSB0``; the rest as `PumpOnALine`."""

    power_key = "rated_power"

    def __init__(self, name: str, port: str, timeout_s: float, light_within_s: float) -> None:
        super().__init__(name, timeout_s, light_within_s, _STEP_W)
        self._port = port

    @abstractmethod
    def _vendor(self) -> Any:
        """pylablib's class; it takes a second to import, hence only when a laser is really opened."""

    def _connect(self) -> Any:
        try:
            vendor = self._vendor()
        except ImportError as error:
            raise ConfigurationError(
                f"{self.name}: pylablib is needed ({error}); pip install 'labctl[hardware]'"
            ) from error
        port = {"port": self._port, "baudrate": _BAUD, "exclusive": True, "write_timeout": self._timeout_s}
        with pylablib_errors():
            laser = timed(vendor)(port)
        laser.timeout_s = self._timeout_s  # pylablib's own is 10 s
        return laser

    def _disconnect(self, laser: Any) -> None:
        # Once, without pylablib's three attempts: what is gone stays gone. Its errors are of several unrelated types.
        with contextlib.suppress(Exception):
            laser.instr.instr.close()

    def _flush(self, laser: Any) -> None:
        with pylablib_errors():
            laser.instr.flush_read()

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        with pylablib_errors():
            yield

    def _say(self, laser: Any, text: str) -> None:
        laser.instr.write(text)

    def _hear(self, laser: Any, within_s: float) -> str:
        return str(laser.instr.readline(timeout=within_s).decode("latin-1").strip())

    def _read_wavelength_m(self) -> float:
        return 532e-9  # a frequency-doubled Nd:YVO4 line; they have no query for it

"""What photodetectors that speak SCPI have in common: line, life, how a measurement ends early, no trigger input."""

from __future__ import annotations

import threading
from abc import abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from drivers.contract import DeviceError, DeviceTimeout, LimitError, Photodetector, Reading
from drivers.quantity import Seconds
from drivers.visa import Line, make_link


class ScpiOptions(BaseModel):
    """resource: VISA name. visa: "@py" for pyvisa-py, "" for an installed vendor VISA. timeout: for one answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    resource: str
    timeout: Seconds = Field(2.0, gt=0, le=60)
    visa: str = "@py"
    baud: int | None = Field(None, gt=0)


class ScpiDetector(Photodetector):
    """A photodetector that is measured with when it is asked; it harms nothing, so it is safe once nothing goes on."""

    untriggered: ClassVar[str]
    """Why it cannot be armed."""

    def __init__(
        self, name: str, resource: str, timeout: float = 2.0, visa: str = "@py", baud: int | None = None
    ) -> None:
        """As `ScpiOptions`."""
        super().__init__(name)
        self._timeout_s = timeout
        self._link = make_link(name, resource, timeout, visa, self._greet, baud)
        self._link.close()  # until the device is opened
        self._stop = threading.Event()
        self._serial: str | None = None
        self._readings = 0

    @abstractmethod
    def _greet(self, line: Line) -> None:
        """Bring an instrument, whoever used it before, to where this driver wants it; said first on every line."""

    def open(self) -> None:
        """Connect and set the instrument up. Raises DeviceError if it does not answer, or is another one."""
        self.safe()
        self._link.open()
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise

    def _recognise(self, serial: str) -> None:
        """Part of every greeting: DeviceError if another instrument answers on a line that was lost in between.

        What was learnt and set, and the calibrations in force, are those of the one that was opened.
        """
        if self._serial is not None and self._serial != serial:
            raise DeviceError(
                f"{self.name}: detector {serial} answers where {self._serial} did; close and open the device if that "
                "is meant"
            )
        self._serial = serial

    @abstractmethod
    def _set_up(self) -> None:
        """What is said and learnt when the device is opened, besides the greeting."""

    def close(self) -> None:
        """Disconnect; a measurement that is going on ends. Another instrument may be opened next."""
        self.safe()
        self._link.close()
        self._serial = None

    def safe(self) -> None:
        """What is being measured ends, without a word on the line."""
        self._stop.set()

    def arm(self, readings: int = 1) -> None:
        """Refused by LimitError: no pulse starts its readings; call `measure`."""
        raise LimitError(
            f"{self.name}.arm: {self.untriggered} (external_trigger is false); call measure, or set the sequencer's "
            "timing to auto or software"
        )

    def collect(self) -> list[Reading]:
        """Refused by DeviceTimeout: it cannot have been armed."""
        raise DeviceTimeout(f"{self.name}.collect: 0 readings came, since {self.untriggered}; call measure")

    def _read_external_trigger(self) -> bool:
        return False

    def _check_going_on(self, what: str) -> None:
        """DeviceError if `safe` came since the measurement began."""
        if self._stop.is_set():
            raise self._stopped(what)

    def _stopped(self, what: str) -> DeviceError:
        return DeviceError(f"{self.name}.{what}: stopped by safe()")

    def _check_samples(self, samples: int) -> None:
        if samples < 1:
            raise LimitError(f"{self.name}.trace: {samples} samples; at least 1 is needed")

    def _next_reading_id(self) -> int:
        self._readings += 1
        return self._readings - 1

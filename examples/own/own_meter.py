"""Your own driver: a power meter that speaks SCPI.

A driver says how settings are read and written (``_read_NAME``, ``_write_NAME``), what operations do and what is safe;
types, limits, leases and the bus are not its business. This one stands on `drivers.scpi_detector`, which keeps the line
and heals it; the contract alone is in `drivers.contract`. `labctl conformance own_meter` tries what it promises.
"""

import time
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Identity, Limits, Reading
from drivers.scpi_detector import ScpiDetector, ScpiOptions
from drivers.visa import Line

_SAMPLE_S, _NOISE_W = 3e-3, 1e-9


class Meter(ScpiDetector):
    """A console with a photodiode, which averages samples of 3 ms."""

    untriggered: ClassVar[str] = "this power meter has no trigger input"
    Options = ScpiOptions  # keys of the bench file besides settings: resource, and how to talk to it

    def _greet(self, line: Line) -> None:  # said first on every line that is opened
        self._recognise(line.ask("*IDN?"))
        line.write("SENS:POW:UNIT W")

    def _set_up(self) -> None:
        with self._link.talk("open") as line:
            low, high = (line.number(f"SENS:CORR:WAV? {end}") * 1e-9 for end in ("MIN", "MAX"))
        self.restrict("wavelength_m", Limits(minimum=low, maximum=high))
        self.restrict("integration_s", Limits(minimum=_SAMPLE_S, maximum=3000 * _SAMPLE_S))

    def identity(self) -> Identity:
        with self._link.talk("identity") as line:
            maker, model, serial, firmware = line.ask("*IDN?").split(",")
        return Identity(model=f"{maker} {model}", serial=serial, firmware=firmware)

    def measure(self) -> Reading:
        integration_s, wavelength_m, range_w = self.integration_s, self.wavelength_m, self.range_w
        with self._link.talk("measure") as line:
            start_ns, utc_ns = time.monotonic_ns(), time.time_ns()
            power_w = line.number("MEAS:POW?", integration_s)
            end_ns = time.monotonic_ns()
        return Reading(
            reading_id=self._next_reading_id(), power_w=min(power_w, range_w), saturated=power_w > range_w,
            standard_power_w=_NOISE_W / (2 * integration_s) ** 0.5, wavelength_m=wavelength_m,
            start_ns=start_ns, end_ns=end_ns, utc_start_ns=utc_ns,
        )  # fmt: skip

    def trace(self, samples: int) -> NDArray[np.float64]:
        self._check_samples(samples)
        return np.array([self.measure().power_w for _ in range(samples)])

    def _number(self, setting: str, query: str) -> float:
        with self._link.talk(setting) as line:
            return line.number(query)

    def _read_wavelength_m(self) -> float:
        return self._number("wavelength_m", "SENS:CORR:WAV?") * 1e-9

    def _write_wavelength_m(self, value: float) -> None:
        with self._link.talk("wavelength_m") as line:
            line.write(f"SENS:CORR:WAV {value * 1e9:.9g}")
            line.check(self.name, "wavelength_m", "Choose a wavelength that the sensor has")

    def _read_integration_s(self) -> float:
        return self._number("integration_s", "SENS:AVER:COUN?") * _SAMPLE_S

    def _write_integration_s(self, value: float) -> None:
        with self._link.talk("integration_s") as line:
            line.write(f"SENS:AVER:COUN {max(1, round(value / _SAMPLE_S))}")
            line.check(self.name, "integration_s", "Choose another integration time")

    def _read_range_w(self) -> float:
        return self._number("range_w", "SENS:POW:RANG? MAX")

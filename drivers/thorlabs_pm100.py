"""Thorlabs power meters of the PM100 family (PM100D, PM100A, PM100USB, PM400) by SCPI over pyvisa.

Every setting is read back. A reading is one `MEASure:POWer?`, which begins after it was asked for, so it is never
older than the question.
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from drivers.contract import (
    ConfigurationError,
    DeviceError,
    DeviceTimeout,
    Identity,
    Limits,
    Reading,
    operation,
)
from drivers.quantity import Seconds, Watts, WattsPerRootHertz
from drivers.scpi_detector import ScpiDetector, ScpiOptions
from drivers.site import Site
from drivers.visa import OVERFLOW, Line

_ELEMENTARY_CHARGE_C = 1.602176634e-19
_MOST_AVERAGES = 3000
_WAVELENGTH_RESOLUTION_M = 0.5e-9
_UNINTERRUPTED_S = 0.3
_LATENCY_S = 10e-3
_LONGEST_BLIND_S = 0.5
_ZEROING_WITHIN_S = 30.0
_POWER_SENSOR, _PHOTODIODE = 1, 1


class PM100(ScpiDetector):
    """A PM100 console with a power sensor. It averages samples of about 3 ms; no trigger input: software timing."""

    untriggered = "this power meter has no trigger input"

    class Options(ScpiOptions):
        """What the bench file says of it, besides its line.

        range: fixed range; left out, the console chooses, and is blind for about 50 ms whenever it changes. sample:
        time of one average. noise: noise-equivalent power of the sensor, from its data sheet.
        """

        range: Watts | None = Field(None, gt=0)
        sample: Seconds = Field(3e-3, gt=0, le=1)
        noise: WattsPerRootHertz = Field(1e-9, ge=0)

    def __init__(
        self,
        name: str,
        resource: str,
        timeout: float = 2.0,
        visa: str = "@py",
        baud: int | None = None,
        range: float | None = None,
        sample: float = 3e-3,
        noise: float = 1e-9,
    ) -> None:
        super().__init__(name, resource, timeout, visa, baud)
        self._fixed_range_w = range
        self._sample_s = sample
        self._noise = noise
        self._wavelength_m: float | None = None
        self._averages: int | None = None
        self._responsivity: float | None = None

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> PM100:
        """Nothing is connected yet."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(
                f'{name}: thorlabs_pm100 needs resource, for example "USB0::0x1313::0x8078::P0001234::INSTR"'
            )
        return cls(name, **options.model_dump())

    # --- connection -------------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        """Check that a power sensor is plugged in and learn its limits."""
        self._wavelength_m = self._averages = None
        with self._link.talk("open") as line:
            low_m, high_m = (line.number(f"SENS:CORR:WAV? {end}") / 1e9 for end in ("MIN", "MAX"))
        self.restrict("wavelength_m", Limits(minimum=low_m, maximum=high_m))
        self.restrict(
            "integration_s", Limits(minimum=self._sample_s, maximum=round(_MOST_AVERAGES * self._sample_s, 9))
        )

    def identity(self) -> Identity:
        """Console and sensor: a calibration belongs to both."""
        with self._link.talk("identity") as line:
            model, serial, firmware = self._console(line)
            sensor = self._sensor(line)
        return Identity(model=f"{model} with {sensor[0]}", serial=_serial_of(serial, sensor), firmware=firmware)

    def _greet(self, line: Line) -> None:
        """Bring a console, whoever used it before, to plain watts and to the settings that were asked for."""
        line.write("*CLS")
        _, serial, _ = self._console(line)
        sensor = self._sensor(line)
        self._recognise(_serial_of(serial, sensor))
        if not int(sensor[5]) & _POWER_SENSOR:
            raise DeviceError(f"{self.name}: sensor {sensor[0]} does not measure power; plug in one that does")
        line.write("SENS:POW:UNIT W")
        line.write("SENS:POW:REF:STAT OFF")
        line.write("SENS:CORR:LOSS:INP:MAGN 0")
        if self._fixed_range_w is None:
            line.write("SENS:POW:RANG:AUTO ON")
        else:
            line.write("SENS:POW:RANG:AUTO OFF")
            line.write(f"SENS:POW:RANG {self._fixed_range_w:.6g}")
        if self._wavelength_m is not None:
            line.write(f"SENS:CORR:WAV {self._wavelength_m * 1e9:.9g}")
        if self._averages is not None:
            line.write(f"SENS:AVER:COUN {self._averages}")
        line.check(self.name, "open", "Check the sensor and, in the bench file, range")
        if self._fixed_range_w is not None:
            range_w = line.number("SENS:POW:RANG?")
            if not self._fixed_range_w * 0.999 <= range_w <= self._fixed_range_w * 20:
                raise DeviceError(
                    f"{self.name}.range: {self._fixed_range_w:.6g} W was asked for, the console is at {range_w:.6g} W; "
                    "choose a range that the sensor has"
                )
        self._wavelength_m = line.number("SENS:CORR:WAV?") / 1e9
        self._averages = round(line.number("SENS:AVER:COUN?"))
        self._is_photodiode = int(sensor[3]) == _PHOTODIODE
        self._read_responsivity(line)

    def _console(self, line: Line) -> tuple[str, str, str]:
        fields = [f.strip() for f in line.ask("*IDN?").split(",")]
        if len(fields) != 4 or fields[0].upper() != "THORLABS" or not fields[1].upper().startswith("PM"):
            raise DeviceError(
                f"{self.name}: *IDN? was answered by {','.join(fields)!r:.80}, which is no Thorlabs power meter. Check "
                "resource in the bench file"
            )
        return fields[1], fields[2], fields[3]

    def _sensor(self, line: Line) -> list[str]:
        fields = [f.strip().strip('"') for f in line.ask("SYST:SENS:IDN?").split(",")]
        if len(fields) != 6 or not (fields[3].isdigit() and fields[5].isdigit()):
            raise ValueError(f"SYST:SENS:IDN? was answered by {','.join(fields)!r:.80}")
        if int(fields[3]) == 0:
            raise DeviceError(f"{self.name}: no sensor is plugged into the console")
        return fields

    def _read_responsivity(self, line: Line) -> None:
        self._responsivity = line.number("SENS:CORR:POW:PDI:RESP?") if self._is_photodiode else None

    # --- readings ---------------------------------------------------------------------------------------------------

    def measure(self) -> Reading:
        """One reading, averaged somewhere between start_ns and end_ns (monotonic).

        They are when it was asked for and when it came, or, if the console changed its range first, integration_s and
        10 ms before it came.

        Raises DeviceTimeout if the console does not answer, DeviceError if `safe` ended it.
        """
        self._stop.clear()
        return self._measure("measure")

    def trace(self, samples: int) -> NDArray[np.float64]:
        """Readings one after another, W; those beyond the range are the range."""
        self._check_samples(samples)
        self._stop.clear()
        return np.array([self._measure("trace").power_w for _ in range(samples)])

    @operation()
    def zero(self) -> float:
        """Take the reading of the darkened sensor for zero; returns what is subtracted from now on, W or as the
        console tells it. Cover the sensor first.

        Raises DeviceError if the console refuses (too much light), DeviceTimeout if it does not end.
        """
        self._stop.clear()
        with self._link.talk("zero") as line:
            line.write("SENS:CORR:COLL:ZERO:INIT")
            deadline = time.monotonic() + _ZEROING_WITHIN_S
            while line.number("SENS:CORR:COLL:ZERO:STAT?"):
                if self._stop.wait(0.05) or time.monotonic() > deadline:
                    line.write("SENS:CORR:COLL:ZERO:ABOR")
                    if self._stop.is_set():
                        raise self._stopped("zero")
                    raise DeviceTimeout(f"{self.name}.zero: not done within {_ZEROING_WITHIN_S:g} s; it was aborted")
            line.check(self.name, "zero", "Cover the sensor and try again")
            return line.number("SENS:CORR:COLL:ZERO:MAGN?")

    def _measure(self, what: str) -> Reading:
        self._check_going_on(what)
        with self._link.talk(what) as line:
            integration_s = self._integration_s()
            utc_ns, start_ns = time.time_ns(), time.monotonic_ns()
            line.write("MEAS:POW?")
            # A long reading can be stopped; of what then still comes, nothing is wanted.
            if integration_s > _UNINTERRUPTED_S and self._stop.wait(integration_s - _UNINTERRUPTED_S):
                self._link.drop()
                raise self._stopped(what)
            value = float(line.read(min(integration_s, _UNINTERRUPTED_S)))
            end_ns = time.monotonic_ns()
            blind_ns = max(0, end_ns - start_ns - round(1e9 * (integration_s + _LATENCY_S)))
            if blind_ns > 1e9 * _LONGEST_BLIND_S:
                blind_ns = 0  # no change of range takes so long: nobody knows when it averaged
            saturated = value >= OVERFLOW / 10
            if not math.isfinite(value) or value <= -OVERFLOW / 10 or value > OVERFLOW:
                raise ValueError(f"MEAS:POW? was answered by {value:g}")
            power_w = self._largest_w(line) if saturated else value
        return Reading(
            reading_id=self._next_reading_id(),
            power_w=power_w,
            standard_power_w=self._deviation_w(power_w, integration_s),
            start_ns=start_ns + blind_ns,
            end_ns=end_ns,
            utc_start_ns=utc_ns + blind_ns,
            wavelength_m=self._wavelength_m or 0.0,
            saturated=saturated,
        )

    def _deviation_w(self, power_w: float, integration_s: float) -> float:
        """Amplifier noise and, for a photodiode, shot noise of its current; bandwidth 1/(2 T)."""
        variance = self._noise**2 / (2 * integration_s)
        if self._responsivity:
            variance += _ELEMENTARY_CHARGE_C * max(power_w, 0.0) / (self._responsivity * integration_s)
        return math.sqrt(variance)

    def _largest_w(self, line: Line) -> float:
        return line.number("SENS:POW:RANG? MAX" if self._fixed_range_w is None else "SENS:POW:RANG?")

    def _integration_s(self) -> float:
        return round((self._averages or 1) * self._sample_s, 9)

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_wavelength_m(self) -> float:
        with self._link.talk("wavelength_m") as line:
            self._wavelength_m = line.number("SENS:CORR:WAV?") / 1e9
            return self._wavelength_m

    def _write_wavelength_m(self, value: float) -> None:
        with self._link.talk("wavelength_m") as line:
            line.write(f"SENS:CORR:WAV {value * 1e9:.9g}")
            line.check(self.name, "wavelength_m", "Choose a wavelength of the sensor's range")
            self._wavelength_m = line.number("SENS:CORR:WAV?") / 1e9
            if abs(self._wavelength_m - value) > _WAVELENGTH_RESOLUTION_M:
                raise DeviceError(
                    f"{self.name}.wavelength_m: {value:.6g} m was asked for, {self._wavelength_m:.6g} m is read back. "
                    "Set it again; if that fails, take the console out of remote lock and restart it"
                )
            self._read_responsivity(line)

    def _read_integration_s(self) -> float:
        with self._link.talk("integration_s") as line:
            self._averages = round(line.number("SENS:AVER:COUN?"))
        return self._integration_s()

    def _write_integration_s(self, value: float) -> None:
        averages = max(1, round(value / self._sample_s))
        with self._link.talk("integration_s") as line:
            line.write(f"SENS:AVER:COUN {averages}")
            line.check(self.name, "integration_s", "Choose another integration time")
            self._averages = round(line.number("SENS:AVER:COUN?"))
            if self._averages != averages:
                raise DeviceError(
                    f"{self.name}.integration_s: {averages} averages ({value:.6g} s) were asked for, {self._averages} "
                    "are read back. Set it again, or choose a time that the console takes"
                )

    def _read_range_w(self) -> float:
        with self._link.talk("range_w") as line:
            return self._largest_w(line)


def _serial_of(console: str, sensor: list[str]) -> str:
    return f"{console} with {sensor[1]}"

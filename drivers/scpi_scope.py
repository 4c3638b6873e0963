"""An oscilloscope or digitiser with a photodiode on one channel, by SCPI over pyvisa.

The commands are those of Keysight's InfiniiVision series. Records come as binary blocks; responsivity and
transimpedance of the bench file turn volts into watts. The vertical scale follows the light unless it is told not to.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, Field

from drivers.contract import ConfigurationError, DeviceError, DeviceTimeout, Identity, LimitError, Reading
from drivers.quantity import Metres, Watts, parse_quantity
from drivers.scpi_detector import ScpiDetector, ScpiOptions
from drivers.site import Site
from drivers.visa import Line

_DIVISIONS = 8
_ZERO_DIVISION = 1.0
"""How far above the lower edge of the screen zero is, so that noise in the dark is not clipped."""
_TOP_DIVISION = 7.5
"""Where on the screen the largest power is, so that noise on it is not clipped."""
_SMALLEST_V_PER_DIVISION = 4e-3
"""Finer, and the usual 0.5 mV of noise would reach the edge of the screen in the dark."""
_FINE_ENOUGH = 0.3
_HEADROOM = 1.5
_RETAKES = 4
_VERNIER = 0.01
"""Scales have three digits."""
_RUNNING = 8
_SLICE_S = 2e-3
_LONGEST_RECORD_S = 500.0


@dataclass(frozen=True)
class _Record:
    """volts: of each point. clipped: whether one is at an edge of the screen. start_ns, end_ns: monotonic bracket."""

    volts: NDArray[np.float64]
    step_v: float
    clipped: bool
    count: int
    start_ns: int
    end_ns: int
    utc_ns: int


class Oscilloscope(ScpiDetector):
    """Photodiode, amplifier and oscilloscope. A reading is the mean of a record as long as the integration time."""

    untriggered = "it takes no readings by itself"

    class Options(ScpiOptions):
        """What the bench file says of it, besides its line.

        channel: that the amplifier is on. responsivity: of the diode (A/W), at responsivity_at if that is given; at
        other wavelengths it is taken in proportion to them, as for a diode of constant quantum efficiency.
        transimpedance: of the amplifier (V/A). full_scale: largest power, where the amplifier or the diode ends.
        autoscale: finer vertical scales for less light. points: of a record. averages: records averaged by the
        instrument, which then sends 16 bit. trigger: "immediate", or "external" to wait for a pulse on its input.
        """

        responsivity: Annotated[float, BeforeValidator(lambda v: parse_quantity(v, "A/W"))] = Field(gt=0)
        transimpedance: Annotated[float, BeforeValidator(lambda v: parse_quantity(v, "V/A"))] = Field(gt=0)
        full_scale: Watts = Field(gt=0)
        responsivity_at: Metres | None = Field(None, gt=0)
        channel: int = Field(1, ge=1, le=8)
        autoscale: bool = True
        points: int = Field(1000, ge=100, le=4_000_000)
        averages: int = Field(1, ge=1, le=65536)
        trigger: Literal["immediate", "external"] = "immediate"

    def __init__(
        self,
        name: str,
        resource: str,
        responsivity: float,
        transimpedance: float,
        full_scale: float,
        responsivity_at: float | None = None,
        timeout: float = 2.0,
        visa: str = "@py",
        baud: int | None = None,
        channel: int = 1,
        autoscale: bool = True,
        points: int = 1000,
        averages: int = 1,
        trigger: str = "immediate",
    ) -> None:
        super().__init__(name, resource, timeout, visa, baud)
        self._responsivity = responsivity
        self._responsivity_at_m = responsivity_at
        self._transimpedance = transimpedance
        self._full_scale_w = full_scale
        self._channel = channel
        self._autoscale = autoscale
        self._points = points
        self._averages = averages
        self._external = trigger == "external"
        self._wavelength_m = responsivity_at or 633e-9
        self._asked_s = 1e-3
        self._forget()

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> Oscilloscope:
        """Nothing is connected yet."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(f"{name}: scpi_scope needs resource, responsivity, transimpedance and full_scale")
        return cls(name, **options.model_dump())

    def _forget(self) -> None:
        """What is known of a newly opened instrument's scales: nothing."""
        self._range_s = 0.0
        self._points_now = 0
        self._scale_v = 0.0

    # --- connection -------------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        """The channel; the scales are set when they are first needed."""
        self._write_integration_s(self._asked_s)

    def identity(self) -> Identity:
        """As *IDN? tells it."""
        with self._link.talk("identity") as line:
            _, model, serial, firmware = self._console(line)
        return Identity(model=model, serial=serial, firmware=firmware)

    def _console(self, line: Line) -> list[str]:
        fields = [f.strip() for f in line.ask("*IDN?").split(",")]
        if len(fields) != 4:
            raise ValueError(f"*IDN? was answered by {','.join(fields)!r:.80}")
        return fields

    def _greet(self, line: Line) -> None:
        """Everything a record depends on and that somebody may have changed on the front panel."""
        self._forget()
        line.write("*CLS")
        _, _, serial, _ = self._console(line)
        self._recognise(serial)
        line.write(":STOP")
        line.write(f":CHAN{self._channel}:DISP ON")
        line.write(":TIM:REF CENT")
        line.write(f":TRIG:SWE {'NORM' if self._external else 'AUTO'}")
        if self._external:
            line.write(":TRIG:SOUR EXT")
        line.write(":ACQ:TYPE AVER" if self._averages > 1 else ":ACQ:TYPE NORM")
        if self._averages > 1:
            line.write(f":ACQ:COUN {self._averages}")
        line.write(f":WAV:SOUR CHAN{self._channel}")
        line.write(":WAV:FORM WORD" if self._averages > 1 else ":WAV:FORM BYTE")
        line.write(":WAV:BYT MSBF")
        line.write(":WAV:UNS ON")
        line.check(self.name, "open", "Check channel, averages and trigger in the bench file")

    # --- readings ---------------------------------------------------------------------------------------------------

    def measure(self) -> Reading:
        """Mean of a record as long as integration_s, which lies between start_ns and end_ns (monotonic).

        standard_power_w: the scatter of the points and the steps of the converter, which averaging over points makes
        smaller only where noise covers them. Raises DeviceTimeout if no trigger came, DeviceError if `safe` ended it.
        """
        self._stop.clear()
        record = self._scaled("measure", self._asked_s, self._points)
        n = len(record.volts)
        scatter_v = float(record.volts.std())
        step_v = record.step_v / math.sqrt(12)
        covered = n * record.count if scatter_v * math.sqrt(record.count) > record.step_v / 2 else 1
        deviation_v = math.sqrt(scatter_v**2 / n + step_v**2 / covered)
        per_watt = self._volts_per_watt()
        return Reading(
            reading_id=self._next_reading_id(),
            power_w=min(float(record.volts.mean()) / per_watt, self._full_scale_w)
            if record.clipped
            else float(record.volts.mean()) / per_watt,
            standard_power_w=deviation_v / per_watt,
            start_ns=record.start_ns,
            end_ns=record.end_ns,
            utc_start_ns=record.utc_ns,
            wavelength_m=self._wavelength_m,
            saturated=record.clipped,
        )

    def trace(self, samples: int) -> NDArray[np.float64]:
        """One gapless record of ``samples`` readings in a row, each over integration_s, W; what is beyond is the range.

        Raises LimitError if the instrument has no record so long or so many points, else as `measure`.
        """
        self._check_samples(samples)
        if samples * self._asked_s > _LONGEST_RECORD_S:
            raise LimitError(
                f"{self.name}.trace: {samples} samples of {self._asked_s:g} s are longer than {_LONGEST_RECORD_S:g} s; "
                "take fewer or a shorter integration_s"
            )
        self._stop.clear()
        record = self._scaled("trace", samples * self._asked_s, max(self._points, samples))
        n = len(record.volts)
        if n < samples:
            raise LimitError(f"{self.name}.trace: the instrument's records have {n} points, {samples} were asked for")
        first = np.arange(samples) * n // samples
        sums = np.add.reduceat(record.volts, first)
        power_w = sums / np.diff([*first, n]) / self._volts_per_watt()
        return np.asarray(np.minimum(power_w, self._full_scale_w) if record.clipped else power_w)

    def _scaled(self, what: str, duration_s: float, points: int) -> _Record:
        """A record that uses the screen well, taken again with another vertical scale where it did not."""
        with self._link.talk(what) as line:
            coarsest_v = self._coarsest_v()
            if not self._scale_v or not self._autoscale or self._scale_v > coarsest_v:
                self._set_scale(line, what, coarsest_v)
            self._set_range(line, what, duration_s)
            self._set_points(line, points)
            for _ in range(_RETAKES):
                record = self._record(line, what, duration_s)
                wanted_v = self._better_scale(record, coarsest_v)
                if wanted_v is None:
                    break
                self._set_scale(line, what, wanted_v)
            else:
                record = self._record(line, what, duration_s)
            return record

    def _better_scale(self, record: _Record, coarsest_v: float) -> float | None:
        """V per division that suits the light, None if the present one does or no other is allowed."""
        if not self._autoscale:
            return None
        if record.clipped:
            return None if self._scale_v >= coarsest_v else min(coarsest_v, 10 * self._scale_v)
        span = _TOP_DIVISION - _ZERO_DIVISION
        peak_v = max(float(record.volts.max()), 0.0)
        finest_v = max(_SMALLEST_V_PER_DIVISION, _HEADROOM * peak_v / span)
        return finest_v if finest_v < self._scale_v and peak_v < _FINE_ENOUGH * span * self._scale_v else None

    def _record(self, line: Line, what: str, duration_s: float) -> _Record:
        self._check_going_on(what)
        whole_s = duration_s * self._averages
        utc_ns, start_ns = time.time_ns(), time.monotonic_ns()
        line.write(":SING")
        if not self._external:
            line.write(":TRIG:FORC")
        deadline = time.monotonic() + whole_s + self._timeout_s
        pause_s = max(0.0, whole_s - _SLICE_S)
        while True:
            stopped = self._stop.wait(pause_s)
            if stopped or time.monotonic() > deadline:
                line.write(":STOP")
                if stopped:
                    raise self._stopped(what)
                raise DeviceTimeout(
                    f"{self.name}.{what}: no record within {whole_s + self._timeout_s:.3g} s; it was stopped. "
                    + (
                        "Check the trigger cable, or set trigger to immediate"
                        if self._external
                        else "Check its trigger"
                    )
                )
            if not int(line.number(":OPER:COND?")) & _RUNNING:
                break
            pause_s = _SLICE_S
        end_ns = time.monotonic_ns()
        volts, step_v, clipped, count = self._fetch(line)
        return _Record(volts, step_v, clipped, count, start_ns, end_ns, utc_ns)

    def _fetch(self, line: Line) -> tuple[NDArray[np.float64], float, bool, int]:
        """Voltages of the record, the converter's step, whether it is clipped, and how many sweeps were averaged."""
        reply = line.ask(":WAV:PRE?")
        fields = reply.split(",")
        if len(fields) != 10:
            raise ValueError(f":WAV:PRE? was answered by {reply!r:.120}")
        form, points, count = int(fields[0]), int(fields[2]), int(fields[3])
        duration_s = float(fields[4]) * points
        step_v, origin_v, reference = float(fields[7]), float(fields[8]), float(fields[9])
        wide = self._averages > 1
        if form != int(wide) or not step_v > 0:
            raise ValueError(f":WAV:PRE? was answered by {reply!r:.120}")
        if not math.isclose(duration_s, self._range_s, rel_tol=_VERNIER):
            asked_s = self._range_s
            self._forget()
            raise DeviceError(
                f"{self.name}: a record of {asked_s:g} s was asked for, it is {duration_s:g} s long. Do not "
                "operate the front panel meanwhile"
            )
        codes = line.block(":WAV:DATA?", "H" if wide else "B")
        if len(codes) != points:
            raise ValueError(f"{points} points were announced, {len(codes)} came")
        low, high = (1, 0xFFFF) if wide else (1, 0xFF)
        if codes.size == 0 or codes.min() == 0:
            raise DeviceError(f"{self.name}: the record has holes; choose fewer points or a longer integration_s")
        clipped = bool(codes.max() >= high or codes.min() <= low)
        volts = (codes.astype(np.float64) - reference) * step_v + origin_v
        return volts, step_v * (256.0 if wide else 1.0), clipped, max(count, 1)

    # --- scales -----------------------------------------------------------------------------------------------------

    def _volts_per_watt(self) -> float:
        relative = self._wavelength_m / self._responsivity_at_m if self._responsivity_at_m else 1.0
        return self._responsivity * relative * self._transimpedance

    def _coarsest_v(self) -> float:
        """V per division at which the largest power is still on the screen."""
        full_v = self._full_scale_w * self._volts_per_watt()
        return max(full_v / (_TOP_DIVISION - _ZERO_DIVISION), _SMALLEST_V_PER_DIVISION)

    def _set_scale(self, line: Line, what: str, scale_v: float) -> None:
        if scale_v == self._scale_v:
            return
        channel = f":CHAN{self._channel}"
        offset_v = (_DIVISIONS / 2 - _ZERO_DIVISION) * scale_v
        self._scale_v = 0.0
        for header, value in ((f"{channel}:SCAL", scale_v), (f"{channel}:OFFS", offset_v)):
            self._put(line, what, header, value, "V", _VERNIER)
        self._scale_v = scale_v

    def _set_range(self, line: Line, what: str, duration_s: float) -> None:
        if math.isclose(duration_s, self._range_s, rel_tol=_VERNIER):
            return
        self._range_s = self._put(line, what, ":TIM:RANG", duration_s, "s", _VERNIER)

    def _set_points(self, line: Line, points: int) -> None:
        if points != self._points_now:
            line.write(f":WAV:POIN {points}")
            line.check(self.name, "points", "Choose fewer points")
            self._points_now = points

    def _put(self, line: Line, what: str, header: str, value: float, unit: str, tolerance: float) -> float:
        """Set and read back; DeviceError if it is another value than it can be rounded to."""
        line.write(f"{header} {value:.6E}")
        line.check(
            self.name, what, f"{header} {value:.6g} {unit} was asked for; choose a value that the instrument has"
        )
        back = line.number(f"{header}?")
        if abs(back - value) > tolerance * abs(value):
            raise DeviceError(
                f"{self.name}.{what}: {header} {value:.6g} {unit} was asked for, {back:.6g} {unit} is read back. "
                "Choose a value that the instrument has, and switch its vernier on"
            )
        return back

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_wavelength_m(self) -> float:
        return self._wavelength_m

    def _write_wavelength_m(self, value: float) -> None:
        self._wavelength_m = value

    def _read_integration_s(self) -> float:
        return self._asked_s

    def _write_integration_s(self, value: float) -> None:
        """The time base takes it at once, so that it reads back as the instrument rounds it."""
        with self._link.talk("integration_s") as line:
            self._range_s = 0.0
            self._set_range(line, "integration_s", value)
            self._asked_s = float(f"{self._range_s:.9g}")

    def _read_range_w(self) -> float:
        return self._full_scale_w

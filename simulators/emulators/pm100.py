"""An emulated Thorlabs PM100D with a photodiode sensor: ranges, averages, wavelength, zero, attenuation, delta mode.

Commands after the vendor's description of the PM100D/PM400 command set; the light is a world's photodetector.
"""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from drivers.contract import DeviceError
from drivers.quantity import Seconds, Watts
from simulators.emulators.base import EmulatorOptions
from simulators.emulators.scpi import ScpiEmulator, ScpiOptions
from simulators.emulators.scpi_language import INFINITY, Call, Numeric, ScpiError, boolean, choice

PLANCK_J_S, LIGHT_M_S, CHARGE_C = 6.62607015e-34, 299792458.0, 1.602176634e-19

_RANGES = 6
_RANGE_STEP = 0.002
"""What a reading jumps by from one range to the next: half of it up in even ranges, down in odd ones."""
_SAMPLE_NS = 3_000_000
_DOWN_BELOW = 0.08
_POWER_DOUBTFUL = 8
_ZEROING_S = 0.4
_WAVELENGTHS = {"S120C": (400.0, 1100.0), "S130C": (400.0, 1100.0)}
_TOP_W = {"S120C": 50e-3, "S130C": 5e-3}
_SERIALS = {"S120C": "13041907", "S130C": "14020311"}


class Light(NamedTuple):
    """What a world's `measure` returns: number, beginning (ns), power and its deviation (W), out of range."""

    number: int
    start_ns: int
    power_w: float
    sigma_w: float
    beyond: bool


class PowerMeterOptions(ScpiOptions):
    """place: on the table. blind: time without reading after a change of range. offset: of the sensor in the dark."""

    place: Literal["tap", "slit"] = "tap"
    sensor: Literal["S120C", "S130C", "none"] = "S120C"
    blind: Seconds = Field(50e-3, ge=0, le=10)
    offset: Watts = Field(0.0, ge=0)


class PowerMeter(ScpiEmulator):
    """The console on a socket; a real one speaks the same over USB."""

    supplies = frozenset({"resource"})

    Options: ClassVar[type[EmulatorOptions]] = PowerMeterOptions
    mutations: ClassVar[frozenset[str]] = frozenset({"scale", "stale", "ignore-setpoint", "dark", "late"})

    def __init__(self, name: str, world: Any, options: EmulatorOptions | None = None) -> None:
        super().__init__(name, world, options)
        assert isinstance(self.options, PowerMeterOptions)
        self._place = self.options.place
        self._sensor = self.options.sensor
        self._blind_s = self.options.blind
        self._offset_w = self.options.offset
        detector = getattr(world.parameters, "detector", None)
        self._top_w = float(getattr(detector, f"{self._place}_range", _TOP_W.get(self._sensor, 50e-3)))
        self._efficiency = float(getattr(detector, "quantum_efficiency", 0.8))
        self._wavelength_error = float(getattr(detector, "wavelength_error", 2e6))
        self._true_wavelength_nm = float(getattr(world.parameters, "mean_wavelength_m", 600e-9)) * 1e9
        low_nm, high_nm = _WAVELENGTHS.get(self._sensor, (400.0, 1100.0))
        self._wavelength = Numeric(low_nm, high_nm, min(max(635.0, low_nm), high_nm), "M", 1e-9)
        self._count = Numeric(1, 3000, 1)
        self._power = Numeric(self._top_w * 10.0 ** (1 - _RANGES), self._top_w, self._top_w, "W")
        self._loss = Numeric(-60, 60, 0, "DB")
        self._last_w: float | None = None
        self._zero_w = 0.0
        self._define()
        self.reset()

    def identify(self) -> str:
        """As the firmware of 2.4 tells it, or another's."""
        serial = self.serial_like("P0004712")
        return f"Thorlabs,PM100D,{serial},3.1.0" if self.fault == "firmware" else f"THORLABS,PM100D,{serial},2.4.0"

    def reset(self) -> None:
        """Power-on state."""
        self._told = {"wavelength": self._wavelength.default, "count": self._count.default}
        self._true = dict(self._told)
        self._auto = True
        self._range = _RANGES - 1
        self._unit = "W"
        self._loss_db = 0.0
        self._reference_w, self._relative = 0.0, False
        self._zeroing_until: float | None = None
        self._finished_w = 0.0

    def mutate(self, mutation: str | None) -> None:
        """See `Emulator.mutate`; set-points that were ignored take effect when it acts on them again."""
        super().mutate(mutation)
        if mutation != "ignore-setpoint":
            self._true = dict(self._told)

    def start(self) -> dict[str, Any]:
        """Power on, on the table."""
        begins = self._thread is None
        if begins:
            self.world.attach(self.name, self._place)
            self.world.measure(self.name, _SAMPLE_NS)  # so that the world has compiled what the first reading needs
        connection = super().start()
        if begins:  # a console keeps the wavelength of its last user, who aligned this table
            low, high = self._wavelength.minimum, self._wavelength.maximum
            self._told["wavelength"] = round(min(max(self._true_wavelength_nm, low), high), 1)
            self._true = dict(self._told)
        return connection

    def stop(self) -> None:
        """Power off, off the table."""
        running = self._thread is not None
        super().stop()
        if running:
            self.world.detach(self.name)

    # --- light ------------------------------------------------------------------------------------------------------

    def _look(self, count: float) -> Light:
        """Average of ``count`` samples from now on; returns when they are over."""
        integration_ns = round(count) * _SAMPLE_NS
        self.await_panel()
        try:
            taken = Light(*self.world.measure(self.name, integration_ns))
        except DeviceError:  # a new session of the world has begun
            self.world.attach(self.name, self._place)
            taken = Light(*self.world.measure(self.name, integration_ns))
        self.pause((taken.start_ns + integration_ns - self.world.clock.now_ns()) * 1e-9)
        return taken

    def _shown(self, taken: Light) -> float:
        """What the console makes of the light, W: responsivity at the wavelength it was told, zero, attenuation."""
        error = self._wavelength_error * (self._true["wavelength"] - self._true_wavelength_nm) * 1e-9
        # In the dark the amplifier's noise stays: what the world added to the light is unknown here, so it is redrawn.
        power_w = _noise_w(taken) if self.mutation == "dark" else taken.power_w
        power_w = power_w * (1 + error) + self._offset_w - self._zero_w
        power_w *= 1 + (_RANGE_STEP / 2 if self._range % 2 == 0 else -_RANGE_STEP / 2)
        return power_w * 10 ** (self._loss_db / 10) * (1.1 if self.mutation == "scale" else 1.0)

    def _full_scale_w(self) -> float:
        return self._top_w * 10.0 ** (self._range + 1 - _RANGES)

    def _fits(self, taken: Light) -> int:
        """-1, 0 or 1: the range is to be changed down, not, or up."""
        if taken.beyond or taken.power_w > self._full_scale_w():
            return 1 if self._range < _RANGES - 1 else 0
        return -1 if self._range > 0 and taken.power_w < _DOWN_BELOW * self._full_scale_w() else 0

    def _measure(self) -> float | None:
        """One reading in W, None if it is beyond the range."""
        count = self._true["count"]
        if self.mutation == "stale" and self._last_w is not None:
            self.pause(count * _SAMPLE_NS * 1e-9)
            return self._last_w
        taken = self._look(count)
        if self._auto and self._fits(taken):
            while step := self._fits(taken):
                self._range += step
                self.pause(self._blind_s)
                taken = self._look(1)
                if self._fits(taken) == -step:
                    break
            taken = self._look(count)
        if self.mutation == "late":
            self.pause(1.0)
        over = self.fault == "over-range" or taken.beyond or taken.power_w > self._full_scale_w()
        self.interpreter.doubt(_POWER_DOUBTFUL, over)
        self._last_w = None if over else self._shown(taken)
        return self._last_w

    def _finish(self, value: float | None) -> None:
        self._finished_w = math.inf if value is None else value

    def _format(self, power_w: float) -> str:
        if power_w == math.inf:
            return INFINITY
        power_w -= self._reference_w if self._relative else 0.0
        if self._unit == "DBM":
            return self._number(10 * math.log10(power_w / 1e-3)) if power_w > 0 else "-" + INFINITY
        return self._number(power_w)

    def _number(self, value: float) -> str:
        return f"{value:+.9e}" if self.fault == "firmware" else f"{value:.8E}"

    # --- commands ---------------------------------------------------------------------------------------------------

    def _define(self) -> None:
        define = self.interpreter.define
        define("SYSTem:SENSor:IDN?", lambda call: self._describe_sensor())
        define("CALibration:STRing?", lambda call: '"2024-02-14"')
        self._setting("[SENSe:]CORRection:WAVelength", "wavelength", self._wavelength, 1)
        self._setting("[SENSe:]CORRection:WAVE", "wavelength", self._wavelength, 1)  # as the manual's examples have it
        self._setting("[SENSe:]AVERage[:COUNt]", "count", self._count, 0)
        define("[SENSe:]POWer[:DC]:RANGe[:UPPer]", self._write_range)
        define("[SENSe:]POWer[:DC]:RANGe[:UPPer]?", self._ask_range)
        define("[SENSe:]POWer[:DC]:RANGe:AUTO", self._write_auto)
        define("[SENSe:]POWer[:DC]:RANGe:AUTO?", lambda call: str(int(self._auto)))
        define("[SENSe:]POWer[:DC]:UNIT", self._write_unit)
        define("[SENSe:]POWer[:DC]:UNIT?", lambda call: self._unit)
        define("[SENSe:]POWer[:DC]:REFerence", self._write_reference)
        define("[SENSe:]POWer[:DC]:REFerence?", lambda call: self._number(self._reference_w))
        define("[SENSe:]POWer[:DC]:REFerence:STATe", self._write_relative)
        define("[SENSe:]POWer[:DC]:REFerence:STATe?", lambda call: str(int(self._relative)))
        define("[SENSe:]CORRection[:LOSS[:INPut[:MAGNitude]]]", self._write_loss)
        define("[SENSe:]CORRection[:LOSS[:INPut[:MAGNitude]]]?", lambda call: self._number(self._loss_db))
        define("[SENSe:]CORRection:POWer[:PDIode][:RESPonse]?", lambda call: self._number(self._responsivity()))
        define("[SENSe:]CORRection:COLLect:ZERO[:INITiate]", lambda call: self._start_zeroing())
        define("[SENSe:]CORRection:COLLect:ZERO:ABORt", lambda call: self._end_zeroing())
        define("[SENSe:]CORRection:COLLect:ZERO:STATe?", lambda call: str(int(self._zeroing())))
        define("[SENSe:]CORRection:COLLect:ZERO:MAGNitude?", lambda call: self._number(self._zero_w))
        define("CONFigure[:SCALar][:POWer]", lambda call: None)
        define("CONFigure?", lambda call: "POW")
        define("INITiate[:IMMediate]", lambda call: self._finish(self._measure_now()))
        define("ABORt", lambda call: None)
        define("FETCh?", lambda call: self._format(self._finished_w))
        define("READ?", self._ask_power)
        define("MEASure[:SCALar][:POWer]?", self._ask_power)

    def _setting(self, pattern: str, key: str, numeric: Numeric, digits: int) -> None:
        def write(call: Call) -> None:
            self._told[key] = round(numeric.parse(call.one()), digits)
            if self.mutation != "ignore-setpoint":
                self._true[key] = self._told[key]

        def ask(call: Call) -> str:
            call.at_most(1)
            value = self._told[key]
            if call.parameters:
                special = numeric.special(call.parameters[0])
                if special is None:
                    raise ScpiError(-141, call.parameters[0])
                value = special
            return str(round(value)) if digits == 0 else self._number(value)

        self.interpreter.define(pattern, write)
        self.interpreter.define(pattern + "?", ask)

    def _describe_sensor(self) -> str:
        if self._sensor == "none":
            return '"no sensor","","",0,0,0'
        fields = self._sensor, self.serial_like(_SERIALS[self._sensor]), "14-Feb-2024"
        quoted = fields if self.fault == "firmware" else tuple(f'"{f}"' for f in fields)
        return ",".join(quoted) + ",1,1,33"

    def _measure_now(self) -> float | None:
        if self._sensor == "none":
            raise ScpiError(-240, "no sensor")
        if self._zeroing():
            raise ScpiError(-221, "zero adjustment runs")
        return self._measure()

    def _ask_power(self, call: Call) -> str:
        call.at_most(0)
        self._finish(self._measure_now())
        return self._format(self._finished_w)

    def _responsivity(self) -> float:
        wavelength_m = self._told["wavelength"] * 1e-9
        return self._efficiency * CHARGE_C * wavelength_m / (PLANCK_J_S * LIGHT_M_S)

    def _write_range(self, call: Call) -> None:
        wanted_w = self._power.parse(call.one())
        self._auto = False
        found = next(k for k in range(_RANGES) if self._top_w * 10.0 ** (k + 1 - _RANGES) >= wanted_w * (1 - 1e-9))
        if found != self._range:
            self._range = found
            self.pause(self._blind_s)

    def _ask_range(self, call: Call) -> str:
        call.at_most(1)
        if not call.parameters:
            return self._number(self._full_scale_w())
        special = self._power.special(call.parameters[0])
        if special is None:
            raise ScpiError(-141, call.parameters[0])
        return self._number(special)

    def _write_auto(self, call: Call) -> None:
        self._auto = boolean(call.one())

    def _write_unit(self, call: Call) -> None:
        self._unit = choice(call.one(), ("W", "DBM"))

    def _write_reference(self, call: Call) -> None:
        self._reference_w = Numeric(0, self._top_w, 0, "W").parse(call.one())

    def _write_relative(self, call: Call) -> None:
        self._relative = boolean(call.one())

    def _write_loss(self, call: Call) -> None:
        self._loss_db = self._loss.parse(call.one())

    def _start_zeroing(self) -> None:
        self._zeroing_until = time.monotonic() + _ZEROING_S

    def _end_zeroing(self) -> None:
        self._zeroing_until = None

    def _zeroing(self) -> bool:
        """Whether it runs; what it found is taken over when it is first seen to be done."""
        if self._zeroing_until is None or time.monotonic() < self._zeroing_until:
            return self._zeroing_until is not None
        self._zeroing_until = None
        taken = self._look(20)
        if taken.beyond or taken.power_w > 1e-3 * self._top_w:
            self.interpreter.error(ScpiError(-340, "zero adjustment: too much light"))
        else:
            self._zero_w = self._offset_w + taken.power_w
        return False


def _noise_w(taken: Light) -> float:
    """A number of deviation ``sigma_w``, another for every reading."""
    draw = math.fmod(math.sin(taken.number * 12.9898 + taken.start_ns * 1e-6) * 43758.5453, 1.0)
    return taken.sigma_w * math.sqrt(12) * (abs(draw) - 0.5)

"""An emulated oscilloscope of the Keysight InfiniiVision command set, with a photodiode and its amplifier on it.

What it shows is the light of a world's photodetector as a voltage, with the scope's noise, its 8 bit and the edges of
its screen. Records take their time while it answers questions.
"""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from drivers.contract import DeviceError
from drivers.quantity import parse_quantity
from simulators.emulators.base import EmulatorOptions
from simulators.emulators.scpi import ScpiEmulator, ScpiOptions
from simulators.emulators.scpi_language import Call, Numeric, ScpiError, block, boolean, choice

CHANNELS = 4
HORIZONTAL_DIVISIONS, VERTICAL_DIVISIONS = 10, 8
FULL_SCREEN_V = 4.0
"""What the amplifier gives at the end of the detector's range, if the bench file does not say."""

_LEVELS = 256
_CLIPPED_LOW, _CLIPPED_HIGH = 1, 255
_RUNNING = 8
"""The bit of the operation condition register that is set while it acquires."""
_AUTO_TRIGGER_S = 0.05
_WINDOW_S = 2e-3
_MOST_WINDOWS = 64
_POINTS = (100, 250, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 4_000_000)


def _volts(value: object) -> float:
    return parse_quantity(value, "V")


class ScopeOptions(ScpiOptions):
    """place: of the photodiode on the table. noise: of the input, rms. responsivity, transimpedance: of the diode at
    the light's mean wavelength (A/W) and of its amplifier (V/A; by default 4 V at the end of the detector's range).
    """

    place: Literal["tap", "slit"] = "tap"
    noise: Annotated[float, BeforeValidator(_volts)] = Field(0.5e-3, ge=0)
    responsivity: Annotated[float, BeforeValidator(lambda v: parse_quantity(v, "A/W"))] = Field(0.4, gt=0)
    transimpedance: Annotated[float, BeforeValidator(lambda v: parse_quantity(v, "V/A"))] | None = None


@dataclass
class _Acquisition:
    """A record being taken: windows one after another, each a reading of the world."""

    windows: int
    window_ns: int
    next_ns: int
    sweep: int
    volts: list[float]
    sigmas: list[float]


@dataclass(frozen=True)
class _Record:
    """codes: mean over the averaged sweeps, 1 to 255; the rest is what the preamble tells of it."""

    codes: NDArray[np.float64]
    duration_s: float
    type_number: int
    count: int
    scale_v: float
    offset_v: float


class ScpiScope(ScpiEmulator):
    """Four channels, of which the first sees the light."""

    Options: ClassVar[type[EmulatorOptions]] = ScopeOptions
    supplies: ClassVar[frozenset[str]] = frozenset(
        {"resource", "responsivity", "responsivity_at", "transimpedance", "full_scale"}
    )
    mutations: ClassVar[frozenset[str]] = frozenset({"scale", "stale", "ignore-setpoint", "dark", "late"})

    def __init__(self, name: str, world: Any, options: EmulatorOptions | None = None) -> None:
        super().__init__(name, world, options)
        assert isinstance(self.options, ScopeOptions)
        self._place = self.options.place
        detector = getattr(world.parameters, "detector", None)
        self._noise_v = 0.0 if getattr(detector, "ideal", False) else self.options.noise
        self._top_w = float(getattr(detector, f"{self._place}_range", 50e-3))
        self._mean_wavelength_m = float(getattr(world.parameters, "mean_wavelength_m", 600e-9))
        self._responsivity = self.options.responsivity
        self._transimpedance = self.options.transimpedance or FULL_SCREEN_V / (self._responsivity * self._top_w)
        self._seed = [int(getattr(world.parameters, "seed", 0)), zlib.crc32(name.encode())]
        self._records = 0
        self._scale = Numeric(1e-3, 10, 1, "V")
        self._offset = Numeric(-40, 40, 0, "V")
        self._range = Numeric(20e-9, 500, 1e-3, "S")
        self._count = Numeric(2, 65536, 8)
        self._points = Numeric(100, _POINTS[-1], 1000)
        self._define()
        self.reset()

    def identify(self) -> str:
        """As the firmware of 2.50 tells it, or another's."""
        serial = self.serial_like("MY57230417")
        if self.fault == "firmware":
            return f"AGILENT TECHNOLOGIES,DSO-X 3054T,{serial},02.65.2021030741"
        return f"KEYSIGHT TECHNOLOGIES,DSO-X 3054T,{serial},07.50.2021102830"

    def reset(self) -> None:
        """Power-on state."""
        self._told = {"range": self._range.default}
        for channel in range(1, CHANNELS + 1):
            self._told[f"scale{channel}"] = self._scale.default
            self._told[f"offset{channel}"] = self._offset.default
        self._true = dict(self._told)
        self._position_s = 0.0
        self._displayed = [True] + [False] * (CHANNELS - 1)
        self._type, self._averages = "NORM", self._count.default
        self._sweep, self._edge_source, self._reference = "AUTO", "CHAN1", "CENT"
        self._source, self._format, self._wanted_points = 1, "BYTE", int(self._points.default)
        self._byte_order, self._unsigned = "LSBF", True
        self._armed_at: float | None = None
        self._free_running = False
        self._acquisition: _Acquisition | None = None
        self._record: _Record | None = None
        self._late_until = 0.0

    def mutate(self, mutation: str | None) -> None:
        """See `Emulator.mutate`; set-points that were ignored take effect when it acts on them again."""
        super().mutate(mutation)
        if mutation != "ignore-setpoint":
            self._true = dict(self._told)

    def start(self) -> dict[str, Any]:
        """Power on, with its diode on the table."""
        if self._thread is None:
            self.world.attach(self.name, self._place)
            self.world.measure(self.name, 1_000_000)  # so that the world has compiled what the first record needs
        return {
            **super().start(),
            "responsivity": f"{self._responsivity!r} A/W",
            "responsivity_at": f"{self._mean_wavelength_m!r} m",
            "transimpedance": f"{self._transimpedance!r} V/A",
            "full_scale": f"{self._top_w!r} W",
        }

    def stop(self) -> None:
        """Power off, off the table."""
        running = self._thread is not None
        super().stop()
        if running:
            self.world.detach(self.name)

    # --- acquisition ------------------------------------------------------------------------------------------------

    def due_s(self) -> float | None:
        """When the next window of a record begins, or a trigger comes by itself."""
        if self._acquisition is not None:
            return max(0.0, float(self._acquisition.next_ns - self.world.clock.now_ns()) * 1e-9)
        if self._armed_at is not None and self._sweep == "AUTO":
            return max(0.0, self._armed_at + _AUTO_TRIGGER_S - time.monotonic())
        return None

    def tick(self) -> None:
        """Take the windows that are due."""
        if self._armed_at is not None and self._sweep == "AUTO" and self.due_s() == 0.0:
            self._trigger()
        a = self._acquisition
        if a is None or self.world.clock.now_ns() < a.next_ns:
            return
        if len(a.volts) == a.windows * a.sweep:
            self._complete(a)
            return
        taken = self._look(a.window_ns)
        a.volts.append(taken[0])
        a.sigmas.append(taken[1])
        a.next_ns += a.window_ns

    def _look(self, window_ns: int) -> tuple[float, float]:
        """Voltage of the amplifier over a window that begins now, and its deviation."""
        try:
            self.await_panel()
            taken = self.world.measure(self.name, window_ns)
        except DeviceError:  # a new session of the world has begun
            self.world.attach(self.name, self._place)
            taken = self.world.measure(self.name, window_ns)
        _, _, power_w, sigma_w, beyond = taken
        volts_per_watt = self._responsivity * self._transimpedance
        if self.mutation == "dark":
            power_w, beyond = 0.0, False
        if beyond or self.fault == "over-range":
            power_w = 2 * self._top_w
        scale = 1.1 if self.mutation == "scale" else 1.0
        return float(power_w) * volts_per_watt * scale, float(sigma_w) * volts_per_watt

    def _arm(self, free_running: bool) -> None:
        self._acquisition = None
        self._armed_at = time.monotonic()
        self._free_running = free_running

    def _trigger(self) -> None:
        """The trigger came: a record begins, if one was waited for."""
        if self._armed_at is None:
            return
        self._armed_at = None
        range_s = self._true["range"]
        windows = min(max(1, round(range_s / _WINDOW_S)), _MOST_WINDOWS)
        sweeps = int(self._averages) if self._type == "AVER" else 1
        self._acquisition = _Acquisition(
            windows, max(1, round(range_s * 1e9 / windows)), self.world.clock.now_ns(), sweeps, [], []
        )

    def _complete(self, a: _Acquisition) -> None:
        self._acquisition = None
        self._late_until = time.monotonic() + (1.0 if self.mutation == "late" else 0.0)
        if self.mutation != "stale" or self._record is None:
            self._record = self._digitised(a)
        if self._free_running:
            self._arm(free_running=True)

    def _digitised(self, a: _Acquisition) -> _Record:
        """What the converter makes of the sweeps: 8 bit between the edges of the screen, then their mean."""
        points = self._allowed_points()
        self._records += 1
        random = np.random.default_rng([*self._seed, self._records])
        scale_v, offset_v = self._true["scale1"], self._true["offset1"]
        step_v = VERTICAL_DIVISIONS * scale_v / _LEVELS
        window = np.arange(points) * a.windows // points
        total = np.zeros(points)
        for sweep in range(a.sweep):
            means = np.array(a.volts[sweep * a.windows : (sweep + 1) * a.windows])
            sigmas = np.array(a.sigmas[sweep * a.windows : (sweep + 1) * a.windows])
            volts = means[window] + _spread(random, window, a.windows, sigmas)
            volts += self._noise_v * random.standard_normal(points)
            codes = np.rint((volts - offset_v) / step_v) + _LEVELS // 2
            total += np.clip(codes, _CLIPPED_LOW, _CLIPPED_HIGH)
        averaged = self._type == "AVER"
        told = self._told
        return _Record(total / a.sweep, told["range"], 2 if averaged else 0, a.sweep, told["scale1"], told["offset1"])

    def _allowed_points(self) -> int:
        return next(n for n in _POINTS if n >= self._wanted_points)

    def _running(self) -> bool:
        waits = self._armed_at is not None or self._acquisition is not None
        return waits or time.monotonic() < self._late_until

    def _stop(self) -> None:
        self._acquisition = self._armed_at = None
        self._free_running = False

    # --- waveforms --------------------------------------------------------------------------------------------------

    def _shown(self) -> _Record:
        if self._source != 1:
            raise ScpiError(-221, f"channel {self._source} shows nothing")
        if self._record is None:
            raise ScpiError(-230, "nothing was acquired")
        return self._record

    def _preamble(self) -> str:
        r = self._shown()
        word = self._format == "WORD"
        steps = _LEVELS * (256 if word else 1)
        n = len(r.codes)
        fields = (
            f"{int(word):+d}",
            f"{r.type_number:+d}",
            f"{n:+d}",
            f"{r.count:+d}",
            f"{r.duration_s / n:+.8E}",
            f"{self._position_s - r.duration_s / 2:+.8E}",
            "+0",
            f"{VERTICAL_DIVISIONS * r.scale_v / steps:+.6E}",
            f"{r.offset_v:+.6E}",
            f"{steps // 2:+d}",
        )
        return ",".join(fields)

    def _data(self) -> bytes:
        codes = self._shown().codes
        if self._format == "BYTE":
            return block(np.rint(codes).astype(np.uint8).tobytes())
        words = np.rint(codes * 256).astype(np.uint16)
        words[codes <= _CLIPPED_LOW] = 1
        words[codes >= _CLIPPED_HIGH] = 0xFFFF
        return block(words.astype(">u2" if self._byte_order == "MSBF" else "<u2").tobytes())

    # --- commands ---------------------------------------------------------------------------------------------------

    def _define(self) -> None:
        define = self.interpreter.define
        self._setting("TIMebase:RANGe", "range", self._range)
        self._setting("TIMebase:SCALe", "range", self._range, HORIZONTAL_DIVISIONS)
        self._setting("CHANnel<n>:SCALe", "scale", self._scale)
        self._setting("CHANnel<n>:RANGe", "scale", self._scale, 1 / VERTICAL_DIVISIONS)
        self._setting("CHANnel<n>:OFFSet", "offset", self._offset)
        define("CHANnel<n>:DISPlay", self._write_display)
        define("CHANnel<n>:DISPlay?", lambda call: str(int(self._displayed[self._channel(call) - 1])))
        define("TIMebase:POSition", self._write_position)
        define("TIMebase:POSition?", lambda call: f"{self._position_s:+.6E}")
        self._word("TIMebase:REFerence", "_reference", ("LEFT", "CENTer", "RIGHt"))
        self._word("ACQuire:TYPE", "_type", ("NORMal", "AVERage", "HRESolution", "PEAK"))
        define("ACQuire:COUNt", self._write_count)
        define("ACQuire:COUNt?", lambda call: f"{int(self._averages):+d}")
        self._word("TRIGger[:EDGE]:SWEep", "_sweep", ("AUTO", "NORMal"))
        self._word("TRIGger:SWEep", "_sweep", ("AUTO", "NORMal"))
        self._word("TRIGger[:EDGE]:SOURce", "_edge_source", ("EXTernal", "LINE", "CHANnel"))
        define("TRIGger:FORCe", lambda call: self._trigger())
        define("SINGle", lambda call: self._arm(free_running=False))
        define("DIGitize", lambda call: self._digitize())
        define("RUN", lambda call: self._arm(free_running=True))
        define("STOP", lambda call: self._stop())
        define("OPERegister:CONDition?", lambda call: f"{_RUNNING if self._running() else 0:+d}")
        self._word("WAVeform:FORMat", "_format", ("BYTE", "WORD"))
        self._word("WAVeform:BYTeorder", "_byte_order", ("LSBFirst", "MSBFirst"))
        define("WAVeform:UNSigned", self._write_unsigned)
        define("WAVeform:UNSigned?", lambda call: str(int(self._unsigned)))
        define("WAVeform:SOURce", self._write_source)
        define("WAVeform:SOURce?", lambda call: f"CHAN{self._source}")
        define("WAVeform:POINts", self._write_points)
        define("WAVeform:POINts:MODE", lambda call: None)
        define("WAVeform:POINts?", lambda call: f"{self._allowed_points():+d}")
        define("WAVeform:PREamble?", lambda call: self._preamble())
        define("WAVeform:DATA?", lambda call: self._data())

    def _setting(self, pattern: str, key: str, numeric: Numeric, factor: float = 1.0) -> None:
        """A setting stored under ``key`` and, where it belongs to a channel, its number; told in ``factor`` of it."""

        def key_of(call: Call) -> str:
            return f"{key}{self._channel(call)}" if "<n>" in pattern else key

        def write(call: Call) -> None:
            told = Numeric(
                numeric.minimum / factor, numeric.maximum / factor, numeric.default / factor, numeric.unit
            ).parse(call.one())
            at = key_of(call)
            self._told[at] = _three_digits(told * factor)
            if self.mutation != "ignore-setpoint":
                self._true[at] = self._told[at]

        def ask(call: Call) -> str:
            call.at_most(0)
            return f"{self._told[key_of(call)] / factor:+.6E}"

        self.interpreter.define(pattern, write)
        self.interpreter.define(pattern + "?", ask)

    def _word(self, pattern: str, attribute: str, words: tuple[str, ...]) -> None:
        self.interpreter.define(pattern, lambda call: setattr(self, attribute, choice(_plain(call.one()), words)))
        self.interpreter.define(pattern + "?", lambda call: str(getattr(self, attribute)))

    def _channel(self, call: Call) -> int:
        channel = call.suffixes[0]
        if not 1 <= channel <= CHANNELS:
            raise ScpiError(-113, f"CHANnel{channel}")
        return channel

    def _write_display(self, call: Call) -> None:
        self._displayed[self._channel(call) - 1] = boolean(call.one())

    def _write_position(self, call: Call) -> None:
        self._position_s = Numeric(-500, 500, 0, "S").parse(call.one())

    def _write_count(self, call: Call) -> None:
        self._averages = round(self._count.parse(call.one()))

    def _write_points(self, call: Call) -> None:
        self._wanted_points = round(self._points.parse(call.one()))

    def _write_unsigned(self, call: Call) -> None:
        if not boolean(call.one()):
            raise ScpiError(-221, "signed data are not emulated")

    def _write_source(self, call: Call) -> None:
        word = call.one().upper().replace("CHANNEL", "CHAN")
        if not (word.startswith("CHAN") and word[4:].isdigit() and 1 <= int(word[4:]) <= CHANNELS):
            raise ScpiError(-141, word)
        self._source = int(word[4:])

    def _digitize(self) -> None:
        self._arm(free_running=False)
        if self._sweep == "AUTO":
            self._trigger()


def _plain(word: str) -> str:
    """A source such as CHANnel2 without its number."""
    return word.rstrip("0123456789")


def _spread(
    random: np.random.Generator, window: NDArray[np.int64], windows: int, sigmas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """White noise that leaves the mean of each window as it is and would give means the deviation ``sigmas``."""
    count = np.bincount(window, minlength=windows)
    noise = random.standard_normal(len(window)) * np.sqrt(np.maximum(count, 1))[window] * sigmas[window]
    means = np.bincount(window, noise, minlength=windows) / np.maximum(count, 1)
    return np.asarray(noise - means[window])


def _three_digits(value: float) -> float:
    """As scales with vernier are rounded."""
    if value == 0:
        return 0.0
    digits = 2 - math.floor(math.log10(abs(value)))
    return round(value, digits)

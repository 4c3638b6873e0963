"""The photonic RBM's optical table: supercontinuum bands, SLM rows, Fourier lens, camera and photodetectors.

It is told gray levels, device settings and time, as a table is; nothing else passes around the light.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.clock import Clock, make_clock
from simulators.physics.counter_random import noise_key, normal_map, standard_normal
from simulators.physics.scmos import digitise
from simulators.worlds.prbm.burst import Sensor, play_burst
from simulators.worlds.prbm.panel import Panel
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.probe import Aperture, Illumination, Probe, exposure_instants

PLANCK_J_S = 6.62607015e-34
LIGHT_M_S = 299792458.0
_MOST_PROBES = 4


class TriggerInput(Protocol):
    """A detector on the SLM's trigger line."""

    def on_trigger(self) -> None:
        """The pulse has come."""
        ...

    def armed(self) -> int:
        """How many more pulses it answers."""
        ...


class PrbmWorld:
    """One optical table. Devices reach it by the attributes below, tests by reading ``parameters``."""

    Parameters = PrbmParameters
    clock_of_kind = staticmethod(make_clock)

    def __init__(self, parameters: PrbmParameters, clock: Clock) -> None:
        self.parameters = parameters
        self.clock = clock
        self.rewind()

    def rewind(self) -> None:
        """Set the table up anew: panel at rest at gray 0, light off, exposures counted from 0."""
        p = self.parameters
        self.light = Illumination.of(p)
        self.mean_wavelength_m = float(self.light.wavelengths_m.mean())
        self.panel = Panel(p.slm)
        self.source = Source()
        self._shares_for: tuple[float, ...] = ()
        self._shares = np.zeros(p.optics.bands)
        self.triggered: list[TriggerInput] = []
        self._probes: OrderedDict[Any, Probe] = OrderedDict()
        self._read_noise: dict[Any, NDArray[np.float64]] = {}

    def fire_trigger(self) -> None:
        """The pulse on the SLM's trigger output: armed detectors start."""
        for detector in list(self.triggered):
            detector.on_trigger()

    def lone_camera(self) -> Any:
        """The one armed detector, if it is a camera that takes a whole burst at once; None otherwise."""
        armed = [d for d in self.triggered if d.armed()]
        return armed[0] if len(armed) == 1 and hasattr(armed[0], "take_burst") else None

    # --- camera -----------------------------------------------------------------------------------------------------

    def expose(
        self, device: str, number: int, start_ns: int, exposure_s: float, row: int, column: int, rows: int, columns: int
    ) -> tuple[NDArray[Any], int, float]:
        """One exposure of a region of the sensor: counts (rows, columns), saturated pixels, largest count."""
        c = self.parameters.camera
        electrons = self.mean_electrons(start_ns, exposure_s, row, column, rows, columns)
        if c.ideal:
            return electrons, 0, float(electrons.max())
        electrons += c.dark_current * exposure_s
        counts = np.empty((rows, columns), np.uint16)
        saturated, peak = digitise(
            electrons,
            self._read_noise_map(device, row, column, rows, columns),
            row,
            column,
            number,
            noise_key(self.parameters.seed, device, "shot"),
            noise_key(self.parameters.seed, device, "read"),
            c.electrons_per_count,
            c.offset,
            c.full_well,
            2**c.bit_depth - 1,
            counts,
        )
        return counts, saturated, float(peak)

    def mean_electrons(
        self, start_ns: int, exposure_s: float, row: int, column: int, rows: int, columns: int
    ) -> NDArray[np.float64]:
        """Photoelectrons (rows, columns) expected in an exposure, before dark current and noise."""
        if not self._lit():
            return np.zeros((rows, columns))
        region = (row, column, rows, columns)
        probe = self._probe(("camera", *region), lambda: self._camera_aperture(*region))
        power_w = self._power(probe, start_ns, exposure_s)
        electrons: NDArray[np.float64] = power_w * self._electrons_per_watt(exposure_s)
        return electrons

    def _electrons_per_watt(self, exposure_s: float) -> float:
        """Photoelectrons of an exposure per watt in the focal plane."""
        c, o = self.parameters.camera, self.parameters.optics
        per_joule = c.quantum_efficiency * self.mean_wavelength_m / (PLANCK_J_S * LIGHT_M_S)
        return o.camera_attenuation * exposure_s * per_joule

    def _camera_aperture(self, row: int, column: int, rows: int, columns: int) -> Aperture:
        c = self.parameters.camera
        return Aperture(
            columns_m=(np.arange(column, column + columns) - c.axis_column) * c.pitch,
            rows_m=(np.arange(row, row + rows) - c.axis_row) * c.pitch,
            width_m=c.pitch,
            area_m2=c.pitch**2,
            point=c.ideal,
        )

    def _read_noise_map(self, device: str, row: int, column: int, rows: int, columns: int) -> NDArray[np.float64]:
        c = self.parameters.camera
        key = (device, row, column, rows, columns)
        if key not in self._read_noise:
            if len(self._read_noise) >= _MOST_PROBES:
                self._read_noise.clear()
            z = normal_map(noise_key(self.parameters.seed, device, "read noise map"), row, column, rows, columns)
            self._read_noise[key] = c.read_noise * np.exp(c.read_noise_spread * z)
        return self._read_noise[key]

    def burst(
        self,
        device: str,
        first_number: int,
        exposure_s: float,
        region: tuple[int, int, int, int],
        offsets: NDArray[np.int32],
        indices: NDArray[np.int32],
        settle_ns: int,
        dwell_ns: int,
    ) -> Burst | None:
        """Patterns 1 and following of the panel's loaded sequence, each exposed once, in one compiled loop.

        Pattern 0 must have been shown. None where only the plain loop will do: in real time, on the reference path, on
        an ideal camera or panel, for a wide region, or with another detector following the panel.
        """
        p, c = self.parameters, self.parameters.camera
        patterns = self.panel.patterns(offsets, indices)
        if not self.clock.virtual or p.path == "reference" or c.ideal or p.slm.stuck or patterns is None:
            return None
        row, column, rows, columns = region
        probe = self._probe(("camera", *region), lambda: self._camera_aperture(*region))
        if not probe.fast or self.panel.listeners != [probe]:
            return None
        n = len(offsets) - 1
        counts = np.empty((n, rows, columns), np.uint16)
        saturated, stable_ns = np.zeros(n, np.int64), np.zeros(n, np.int64)
        fast_s, slow_s = sorted((p.slm.rise_time, p.slm.fall_time))
        fast, slow = exposure_instants(exposure_s, fast_s or slow_s), exposure_instants(exposure_s, slow_s)
        sensor = Sensor(
            exposure_s=exposure_s,
            electrons_per_watt=self._electrons_per_watt(exposure_s),
            dark_e=c.dark_current * exposure_s,
            lit=self._lit(),
            first_row=row,
            first_column=column,
            read_noise_e=self._read_noise_map(device, *region),
            shot_key=noise_key(p.seed, device, "shot"),
            read_key=noise_key(p.seed, device, "read"),
            electrons_per_count=c.electrons_per_count,
            offset_counts=c.offset,
            full_well_e=c.full_well,
            max_count=2**c.bit_depth - 1,
            fast_s=fast_s,
            fast_instants_s=fast[0],
            fast_weights=fast[1],
            slow_instants_s=slow[0],
            slow_weights=slow[1],
        )
        begun_ns = self.clock.now_ns()
        self.panel.moving, now_ns = play_burst(
            patterns,
            self.panel.crystal(patterns.patches.size),
            probe.running_sums(self._band_shares()),
            sensor,
            self.panel.moving,
            1,
            begun_ns,
            settle_ns,
            dwell_ns,
            first_number,
            counts,
            saturated,
            stable_ns,
        )
        self.clock.sleep_until(now_ns)
        return Burst(counts[1:], saturated[1:], stable_ns[1:])

    # --- photodetectors ---------------------------------------------------------------------------------------------

    def slit_power(self, device: str, number: int, start_ns: int, duration_s: float) -> tuple[float, float, bool]:
        """Power behind the slit at the zeroth order: reading, its standard deviation (W), whether out of range."""
        d, c, o = self.parameters.detector, self.parameters.camera, self.parameters.optics
        power_w = 0.0
        if self._lit():
            probe = self._probe(("slit",), self._slit_aperture)
            power_w = o.slit_share * float(self._power(probe, start_ns, duration_s).sum())
        ideal = d.ideal or c.ideal
        return self._reading(device, number, power_w, duration_s, 0.0 if ideal else d.slit_nep, d.slit_range, ideal)

    def tap_power(self, device: str, number: int, start_ns: int, duration_s: float) -> tuple[float, float, bool]:
        """Power at the tap behind the source: reading, its standard deviation (W), whether out of range."""
        d = self.parameters.detector
        power_w = self.source_power_w() * self.parameters.optics.tap_share
        return self._reading(device, number, power_w, duration_s, d.tap_nep, d.tap_range, d.ideal)

    def _slit_aperture(self) -> Aperture:
        d, c = self.parameters.detector, self.parameters.camera
        rows = d.slit_rows
        if c.ideal or d.ideal:
            return Aperture(np.zeros(1), np.zeros(1), c.pitch, c.pitch**2, point=True)
        columns = np.arange(d.slit_columns) - (d.slit_columns - 1) / 2
        return Aperture(
            columns_m=columns * c.pitch,
            rows_m=(np.arange(rows) - (rows - 1) / 2) * c.pitch,
            width_m=c.pitch,
            area_m2=c.pitch**2,
        )

    def _reading(
        self, device: str, number: int, power_w: float, duration_s: float, nep: float, range_w: float, ideal: bool
    ) -> tuple[float, float, bool]:
        if ideal:
            return power_w, 0.0, False
        photon_j = PLANCK_J_S * LIGHT_M_S / self.mean_wavelength_m
        shot = power_w * photon_j / (self.parameters.detector.quantum_efficiency * duration_s)
        sigma = math.sqrt(shot + nep**2 / (2 * duration_s))
        noise = standard_normal(noise_key(self.parameters.seed, device, "reading"), number, 0, 0, 0)
        reading = power_w + sigma * noise
        return min(reading, range_w), sigma, reading >= range_w

    # --- light ------------------------------------------------------------------------------------------------------

    def source_power_w(self) -> float:
        """Power leaving the source within the band that reaches the table."""
        s, o = self.parameters.source, self.parameters.optics
        if not self.source.emission:
            return 0.0
        band_m = o.rows_per_wavelength * self.parameters.slm.pitch / o.dispersion
        return float(s.density * band_m * self._band_shares().sum())

    def _lit(self) -> bool:
        return self.source.emission and not self.parameters.beam.blocked

    def _power(self, probe: Probe, start_ns: int, duration_s: float) -> NDArray[np.float64]:
        start_s = start_ns * 1e-9
        self.panel.rest(start_s)
        return probe.power(start_s, duration_s, self._band_shares())

    def _band_shares(self) -> NDArray[np.float64]:
        """Power of each band relative to full power; worked out again only when a control of the source was moved."""
        controls = self.source.controls()
        if controls != self._shares_for:
            self._shares_for, self._shares = controls, self.source.shares(self.light.wavelengths_m)
        return self._shares

    def _probe(self, key: Any, aperture: Callable[[], Aperture]) -> Probe:
        if key in self._probes:
            self._probes.move_to_end(key)
            return self._probes[key]
        probe = Probe(self.parameters, self.light, self.panel, aperture())
        self._probes[key] = probe
        if len(self._probes) > _MOST_PROBES:
            self._probes.popitem(last=False)[1].close()
        return probe


class Burst(NamedTuple):
    """Frames of a burst: counts (n, rows, columns), saturated pixels (n,), when each exposure began (n,)."""

    counts: NDArray[np.uint16]
    saturated: NDArray[np.int64]
    start_ns: NDArray[np.int64]


class Source:
    """State of the light source as its controls set it."""

    def __init__(self) -> None:
        self.emission = False
        self.power_fraction = 0.0
        self.pulse_picker = 1
        self.wavelength_min_m = 400e-9
        self.wavelength_max_m = 2400e-9

    def controls(self) -> tuple[float, ...]:
        """What determines `shares`."""
        return (self.power_fraction, self.pulse_picker, self.wavelength_min_m, self.wavelength_max_m)

    def shares(self, wavelengths_m: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Power at each wavelength relative to full power."""
        within = (wavelengths_m >= self.wavelength_min_m) & (wavelengths_m <= self.wavelength_max_m)
        return np.where(within, self.power_fraction / self.pulse_picker, 0.0)

"""The photonic RBM's optical table: supercontinuum bands, SLM rows, Fourier lens, camera and photodetectors.

It is told gray levels, device settings and time, as a table is; nothing else passes around the light.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.clock import Clock, make_clock
from simulators.physics.counter_random import noise_key, normal_map, standard_normal
from simulators.physics.scmos import digitise
from simulators.worlds.prbm.panel import Panel
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.probe import Aperture, Illumination, Probe

PLANCK_J_S = 6.62607015e-34
LIGHT_M_S = 299792458.0
_MOST_PROBES = 4


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
        self._mean_wavelength_m = float(self.light.wavelengths_m.mean())
        self.panel = Panel(p.slm)
        self.source = Source()
        self._shares_for: tuple[float, ...] = ()
        self._shares = np.zeros(p.optics.bands)
        self.triggered: list[Callable[[], None]] = []
        self._probes: OrderedDict[Any, Probe] = OrderedDict()
        self._read_noise: dict[Any, NDArray[np.float64]] = {}

    def fire_trigger(self) -> None:
        """The pulse on the SLM's trigger output: armed detectors start."""
        for start in list(self.triggered):
            start()

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
        c, o = self.parameters.camera, self.parameters.optics
        if not self._lit():
            return np.zeros((rows, columns))
        region = (row, column, rows, columns)
        probe = self._probe(("camera", *region), lambda: self._camera_aperture(*region))
        power_w = self._power(probe, start_ns, exposure_s)
        per_watt = c.quantum_efficiency * self._mean_wavelength_m / (PLANCK_J_S * LIGHT_M_S)
        electrons: NDArray[np.float64] = power_w * (o.camera_attenuation * exposure_s * per_watt)
        return electrons

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
        photon_j = PLANCK_J_S * LIGHT_M_S / self._mean_wavelength_m
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

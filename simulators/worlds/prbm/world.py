"""The photonic RBM's optical table: supercontinuum bands, SLM rows, Fourier lens, camera and photodetectors.

It is told gray levels, device settings and time, as a table is; nothing else passes around the light.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import ROI
from drivers.frozen import fill
from simulators.clock import RealClock, VirtualClock
from simulators.physics.counter_random import noise_key
from simulators.slide_show import Pace
from simulators.worlds.parts.exposure import exposure_instants
from simulators.worlds.parts.gray_table import GrayTable, TiledGrayTable
from simulators.worlds.parts.panel import Panel
from simulators.worlds.parts.sensor import CameraSensor
from simulators.worlds.ports import FLAGS, CameraPort, DetectorPort
from simulators.worlds.prbm.burst import Sensor, play_burst
from simulators.worlds.prbm.light import PlainLight, light_of
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.probe import Illumination
from simulators.worlds.prbm.source import CONTROLS, Source, SourceInTime
from simulators.worlds.prbm.truth import hidden_table
from simulators.worlds.table import LIGHT_M_S, PLANCK_J_S, TableWorld


class PrbmWorld(TableWorld):
    """One optical table with a supercontinuum, whose controls lie in ``state``."""

    Parameters = PrbmParameters
    State = np.dtype([*CONTROLS, *FLAGS], align=True)
    detector_places = ("tap", "slit")

    parameters: PrbmParameters

    def __init__(
        self, parameters: PrbmParameters, clock: VirtualClock | RealClock, state: NDArray[Any] | None = None
    ) -> None:
        super().__init__(parameters, clock, np.zeros(1, self.State) if state is None else state)

    def rewind(self) -> None:
        """Set the table up anew: panel at rest at gray 0, light off, no device on it."""
        super().rewind()
        p = self.parameters
        self.source = Source(self.state)
        self.light = Illumination.of(p)
        self.mean_wavelength_m = p.mean_wavelength_m
        self.panel = Panel(p.slm, _gray_table(p))
        self._light = light_of(p, self.panel)
        self._in_time = SourceInTime(p)
        self._sensor = CameraSensor(p, hidden_table(p).sensor)
        self.source.reset()
        self._shares_for: tuple[float, ...] = ()
        self._shares = np.zeros(len(self._light.samples_m))

    def warm_up(self) -> None:
        """Have everything compiled that an exposure needs, on a table that nobody uses yet; it is set up anew.

        In real time a device's patience would otherwise end while its first exposure is being compiled.
        """
        p, c = self.parameters, self.parameters.camera
        kind = np.float64 if c.ideal else np.uint16
        narrow = ROI(row=min(c.axis_row, c.rows - 1), column=c.axis_column, rows=1, columns=1)
        wide = ROI(row=0, column=0, rows=min(c.rows, 48), columns=min(c.columns, 48))
        panel = np.zeros((p.slm.rows, p.slm.columns), np.uint8)
        for power in (0.0, 1e-3):
            self.source.emission, self.source.power_fraction = power > 0, power
            for gray in (panel + 100, panel[:2, :2], panel):  # all pixels move, some, all
                self.panel.write(gray, 0, 0, self.clock.now_ns())
                for region in (narrow, wide):
                    counts: NDArray[Any] = np.empty((region.rows, region.columns), kind)
                    at = (region.row, region.column, region.rows, region.columns)
                    self.expose("", 0, self.clock.now_ns(), 1e-3, *at, counts)
                self.slit_power("", 0, self.clock.now_ns(), 1e-3)
                self.tap_power("", 0, self.clock.now_ns(), 1e-3)
        self.rewind()

    def _frozen(self) -> dict[str, Any]:
        shares = {"shares_for": list(self._shares_for), "shares": self._shares}
        return super()._frozen() | shares | {"light": self._light.frozen(self._shares)}

    def _thaw(self, kept: Any) -> None:
        super()._thaw(kept)
        self._shares_for = tuple(kept["shares_for"])
        self._shares = np.zeros(len(self._light.samples_m))
        fill(self._shares, kept["shares"])
        self._light.thaw(kept["light"], self._shares)

    # --- light on the detectors -------------------------------------------------------------------------------------

    def mean_electrons(
        self, start_ns: int, exposure_s: float, row: int, column: int, rows: int, columns: int
    ) -> NDArray[np.float64]:
        """Photoelectrons (rows, columns) expected in an exposure, before dark current and noise."""
        if not self._lit():
            return np.zeros((rows, columns))
        lit = self._shares_now(), self._gains(start_ns, exposure_s)
        power_w = self._light.on_camera((row, column, rows, columns), start_ns * 1e-9, exposure_s, *lit)
        electrons: NDArray[np.float64] = power_w * self._electrons_per_watt(exposure_s)
        return electrons

    def _electrons_per_watt(self, exposure_s: float) -> float:
        """Photoelectrons of an exposure per watt in the focal plane."""
        c, o = self.parameters.camera, self.parameters.optics
        per_joule = c.quantum_efficiency * self.mean_wavelength_m / (PLANCK_J_S * LIGHT_M_S)
        return o.camera_attenuation * exposure_s * per_joule

    def _play_burst(self, stop: NDArray[np.uint8], pace: Pace, stable_ns: NDArray[np.int64]) -> int:
        """Patterns 1 and following of the loaded sequence, each exposed once, in one compiled loop.

        Returns the pattern that comes next: 1 where only the plain loop will do, that is on an ideal camera or panel,
        for a wide region, or with another detector armed or following the panel.
        """
        p, c = self.parameters, self.parameters.camera
        port = self._lone_camera()
        if port is None or self._slides is None or not port.armed == len(stable_ns) - 1 <= len(port.data) - port.taken:
            return 1
        if self._faults.may_meet(port.device, port.number, port.number + len(stable_ns)):
            return 1
        sent = self._sent.get("slm", 0)
        if self._faults.may_meet(self._panels.get("slm", ""), sent, sent + len(stable_ns)):
            return 1
        patterns = self.panel.patterns(*self._slides)
        if c.ideal or p.slm.stuck or patterns is None or p.path != "auto":
            return 1
        if not isinstance(self._light, PlainLight) or p.hidden.sensor or not self._in_time.steady:
            return 1
        region = (port.roi.row, port.roi.column, port.roi.rows, port.roi.columns)
        probe = self._light.camera(region)
        if not probe.fast or self.panel.listeners != [probe]:
            return 1
        before = port.taken - 1  # frame 0 of the burst is there already
        self.panel.moving, now_ns, shown = play_burst(
            patterns,
            self.panel.crystal(patterns.patches.size),
            probe.running_sums(self._shares_now()),
            self._burst_sensor(port),
            self.panel.moving,
            1,
            self.clock.now_ns(),
            pace.settle_ns,
            pace.dwell_ns,
            port.number,
            stop,
            self._stop_flag(port),
            port.data[before:],
            port.saturated[before:],
            stable_ns,
        )
        self.clock.sleep_until(now_ns)
        taken = shown - 1
        self._sent["slm"] = sent + taken
        port.start_ns[port.taken : port.taken + taken] = stable_ns[1:shown]
        port.numbers[port.taken : port.taken + taken] = np.arange(port.number, port.number + taken)
        port.number += taken
        port.taken += taken
        port.armed -= taken
        return shown

    def _lone_camera(self) -> CameraPort | None:
        """The one armed detector, if it is a camera that has taken a frame."""
        armed = [d for d in self._ports.values() if isinstance(d, DetectorPort) and self._armed(d)]
        return armed[0] if len(armed) == 1 and isinstance(armed[0], CameraPort) and armed[0].taken else None

    def _burst_sensor(self, port: CameraPort) -> Sensor:
        p, c, roi = self.parameters, self.parameters.camera, port.roi
        exposure_s = port.exposure_ns * 1e-9
        fast_s, slow_s = sorted((p.slm.rise_time, p.slm.fall_time))
        fast, slow = exposure_instants(exposure_s, fast_s or slow_s), exposure_instants(exposure_s, slow_s)
        return Sensor(
            exposure_s=exposure_s,
            electrons_per_watt=self._electrons_per_watt(exposure_s),
            dark_e=c.dark_current * exposure_s,
            beam_open=not p.beam.blocked,
            emission=self.state["emission"],
            first_row=roi.row,
            first_column=roi.column,
            read_noise_e=self._sensor.read_noise(port.device, (roi.row, roi.column, roi.rows, roi.columns)),
            shot_key=noise_key(p.seed, port.device, "shot"),
            read_key=noise_key(p.seed, port.device, "read"),
            electrons_per_count=c.electrons_per_count,
            offset_counts=c.offset,
            full_well_e=c.full_well,
            max_count=2**c.bit_depth - 1,
            noise=p.noise,
            fast_s=fast_s,
            fast_instants_s=fast[0],
            fast_weights=fast[1],
            slow_instants_s=slow[0],
            slow_weights=slow[1],
        )

    # --- photodetectors ---------------------------------------------------------------------------------------------

    def reading(
        self, place: str, device: str, number: int, start_ns: int, duration_s: float
    ) -> tuple[float, float, bool]:
        """See `TableWorld.reading`."""
        measure = self.tap_power if place == "tap" else self.slit_power
        return measure(device, number, start_ns, duration_s)

    def slit_power(self, device: str, number: int, start_ns: int, duration_s: float) -> tuple[float, float, bool]:
        """Power behind the slit at the zeroth order: reading, its standard deviation (W), whether out of range."""
        d, c, o = self.parameters.detector, self.parameters.camera, self.parameters.optics
        power_w = 0.0
        if self._lit():
            lit = self._shares_now(), self._gains(start_ns, duration_s)
            power_w = o.slit_share * float(self._light.on_slit(start_ns * 1e-9, duration_s, *lit).sum())
        ideal = d.ideal or c.ideal
        return self._reading(device, number, power_w, duration_s, 0.0 if ideal else d.slit_nep, d.slit_range, ideal)

    def tap_power(self, device: str, number: int, start_ns: int, duration_s: float) -> tuple[float, float, bool]:
        """Power at the tap behind the source: reading, its standard deviation (W), whether out of range."""
        d = self.parameters.detector
        power_w = self.source_power_w(start_ns, duration_s) * self.parameters.optics.tap_share
        return self._reading(device, number, power_w, duration_s, d.tap_nep, d.tap_range, d.ideal)

    # --- light ------------------------------------------------------------------------------------------------------

    def source_power_w(self, start_ns: int | None = None, duration_s: float = 0.0) -> float:
        """Power leaving the source within the band that reaches the table: set now, or its mean in an exposure."""
        if not self.source.emission:
            return 0.0
        watts = self._light.samples_w * self._shares_now()
        gains = None if start_ns is None else self._gains(start_ns, duration_s)
        return float(watts.sum() if gains is None else watts @ gains[self._light.slices])

    def _lit(self) -> bool:
        return self.source.emission and not self.parameters.beam.blocked

    def _shares_now(self) -> NDArray[np.float64]:
        """Power at each wavelength of the light relative to full power; new only when a control was moved."""
        controls = self.source.controls()
        if controls != self._shares_for:
            self._shares_for, self._shares = controls, self.source.shares(self._light.samples_m)
            if not self._in_time.steady and self.source.power_fraction > 0:
                self._shares *= self._in_time.emitted(self.source.power_fraction) / self.source.power_fraction
        return self._shares

    def _gains(self, start_ns: int, duration_s: float) -> NDArray[np.float64] | None:
        """Power of each band in an exposure relative to `_shares_now`; None where it is always 1."""
        return None if self._in_time.steady else self._in_time.gains(start_ns, duration_s)


def _gray_table(p: PrbmParameters) -> GrayTable:
    wrong = p.hidden.lut_error or p.hidden.lut_tile_error or p.hidden.stated.gray_table
    return TiledGrayTable(p, hidden_table(p).panel) if wrong else GrayTable(p.slm)

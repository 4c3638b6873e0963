"""An optical rail on which single devices are tried out: two lasers, a panel that light passes, and detectors.

It is the photonic RBM's table without its lens: the taps see what the lasers emit, so that what a device reads follows
set-points by a straight line. The camera is lit evenly past the panel, which stands between parallel polarisers and is
imaged so that a pixel of the sensor sees the panel's pixel of the same row and column: bright at gray 0, dark at half a
turn. Detectors, panel, trigger line and noise are the table's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from drivers.quantity import Fraction
from simulators.clock import RealClock, VirtualClock
from simulators.worlds.ports import FLAGS
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.source import CONTROLS
from simulators.worlds.prbm.world import PrbmWorld
from simulators.worlds.pumps import SPROUT, PumpHead, pump_controls
from simulators.worlds.table import LIGHT_M_S, PLANCK_J_S


class RailParameters(PrbmParameters):
    """The table's, and how much of the light reaches the camera.

    pump_share: share of the pump's power that the camera's sensor receives; the taps receive ``optics.tap_share``.
    """

    camera_share: Fraction = Field(4e-10, gt=0, le=1, description="of the supercontinuum's power, on each pixel")
    pump_share: Fraction = Field(1e-12, gt=0, le=1, description="of the pump's power, on each pixel")

    @property
    def pumps(self) -> Mapping[str, PumpHead]:
        """Pump lasers by port."""
        return {"pump": SPROUT}

    def watts_at_meter(self, kind: str, power: float) -> float:
        """Power at a tap for what a laser is set to: W of a "pump", fraction of a "supercontinuum"."""
        return self.optics.tap_share * (power if kind == "pump" else power * self.full_power_w)

    def counts_per_second(self, power_fraction: float) -> float:
        """Mean counts above the offset of a camera, for a power fraction of the supercontinuum; the panel at gray 0."""
        per_joule = self.camera.quantum_efficiency * self.mean_wavelength_m / (PLANCK_J_S * LIGHT_M_S)
        light_w = self.camera_share * self.full_power_w * power_fraction * self.optics.camera_attenuation
        return light_w * per_joule / self.camera.electrons_per_count

    @property
    def full_power_w(self) -> float:
        """Of the supercontinuum, in the band that is used."""
        return self.source.density * self.band_width_m * self.optics.bands


class RailWorld(PrbmWorld):
    """One rail; see the module."""

    Parameters = RailParameters
    State = np.dtype([*CONTROLS, *pump_controls("pump"), *FLAGS], align=True)

    parameters: RailParameters

    def __init__(
        self, parameters: RailParameters, clock: VirtualClock | RealClock, state: NDArray[Any] | None = None
    ) -> None:
        super().__init__(parameters, clock, np.zeros(1, self.State) if state is None else state)

    def rewind(self) -> None:
        """Set the rail up anew: both lasers off."""
        super().rewind()
        self.state["pump_emission"] = False
        self.state["pump_power_w"] = 0.0

    def pump_power_w(self) -> float:
        """Power the pump emits now."""
        return float(self.state["pump_power_w"][0]) if self.state["pump_emission"][0] else 0.0

    def mean_electrons(
        self, start_ns: int, exposure_s: float, row: int, column: int, rows: int, columns: int
    ) -> NDArray[np.float64]:
        """Photoelectrons (rows, columns) expected in an exposure."""
        p = self.parameters
        power_w = 0.0
        if not p.beam.blocked:
            power_w = p.camera_share * self.source_only_w(start_ns, exposure_s) + p.pump_share * self.pump_power_w()
        electrons = np.full((rows, columns), power_w * self._electrons_per_watt(exposure_s))
        if power_w:
            phase = self._panel_phase(start_ns * 1e-9, exposure_s)[row : row + rows, column : column + columns]
            if phase.any():  # few frames of a whole sensor are of a panel that shows something
                electrons[: phase.shape[0], : phase.shape[1]] *= (1 + np.cos(phase)) / 2
        return electrons

    def _panel_phase(self, start_s: float, exposure_s: float) -> NDArray[np.float64]:
        """Phase (rows, columns) of the panel, rad, as it stands in the middle of an exposure."""
        self.panel.rest(start_s)
        return self.panel.phase_image(start_s + exposure_s / 2) if self.panel.moving else self.panel.phase

    def source_only_w(self, start_ns: int | None = None, duration_s: float = 0.0) -> float:
        """Power the supercontinuum emits in its band: set now, or its mean in an exposure."""
        return super().source_power_w(start_ns, duration_s)

    def source_power_w(self, start_ns: int | None = None, duration_s: float = 0.0) -> float:
        """Power at the taps' beam splitter: of both lasers."""
        return self.source_only_w(start_ns, duration_s) + self.pump_power_w()

    def slit_power(self, device: str, number: int, start_ns: int, duration_s: float) -> tuple[float, float, bool]:
        """A photodiode behind the camera's attenuation."""
        d, o = self.parameters.detector, self.parameters.optics
        power_w = self.source_power_w(start_ns, duration_s) * o.tap_share * 1e-6
        return self._reading(device, number, power_w, duration_s, d.slit_nep, d.slit_range, d.ideal)

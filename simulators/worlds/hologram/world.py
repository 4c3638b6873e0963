"""The hologram table: a laser of one colour, an SLM, a Fourier lens, a camera, and a reference beam off the axis.

It is the front half of tables on which a pump hologram excites a sample and light is read with its phase.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.worlds.hologram.light import HologramLight
from simulators.worlds.hologram.parameters import HologramParameters
from simulators.worlds.hologram.truth import hidden_table
from simulators.worlds.parts.gray_table import GrayTable, TiledGrayTable
from simulators.worlds.parts.panel import Panel
from simulators.worlds.parts.sensor import CameraSensor
from simulators.worlds.ports import FLAGS
from simulators.worlds.pumps import pump_controls
from simulators.worlds.table import LIGHT_M_S, PLANCK_J_S, TableWorld


class HologramWorld(TableWorld):
    """One table; its pump and its reference are set by fields of ``state``."""

    Parameters = HologramParameters
    State = np.dtype([*pump_controls("pump"), *pump_controls("reference"), *FLAGS], align=True)

    parameters: HologramParameters

    def rewind(self) -> None:
        """Set the table up anew: panel at rest at gray 0, both arms dark, no device on it."""
        super().rewind()
        p = self.parameters
        truth = hidden_table(p)
        wrong = p.hidden.lut_error or p.hidden.lut_tile_error
        self.panel = Panel(p.slm, TiledGrayTable(p, truth.panel) if wrong else GrayTable(p.slm))
        self._light = HologramLight(p, self.panel)
        self._sensor = CameraSensor(p, truth.sensor)
        for port in p.pumps:
            self.state[f"{port}_emission"] = False
            self.state[f"{port}_power_w"] = 0.0

    def warm_up(self) -> None:
        """Have everything compiled that an exposure needs, on a table that nobody uses yet; it is set up anew."""
        p, c = self.parameters, self.parameters.camera
        rows, columns = min(c.rows, 16), min(c.columns, 16)
        panel = np.zeros((p.slm.rows, p.slm.columns), np.uint8)
        counts: NDArray[Any] = np.empty((rows, columns), np.float64 if c.ideal else np.uint16)
        for emission in ((True, False), (True, True)):
            for port, on in zip(("pump", "reference"), emission, strict=True):
                self.state[f"{port}_emission"], self.state[f"{port}_power_w"] = on, 1e-3
            for gray in (panel + 100, panel):
                self.panel.write(gray, 0, 0, self.clock.now_ns())
                self.expose("", 0, self.clock.now_ns(), 1e-3, 0, 0, rows, columns, counts)
        self.rewind()

    def _frozen(self) -> dict[str, Any]:
        return super()._frozen() | {"light": self._light.frozen()}

    def _thaw(self, kept: Any) -> None:
        super()._thaw(kept)
        self._light.thaw(kept["light"])

    def pump_power_w(self, port: str) -> float:
        """Power that an arm's laser emits now."""
        return float(self.state[f"{port}_power_w"][0]) if self.state[f"{port}_emission"][0] else 0.0

    def mean_pump_power_w(self, exposure_s: float) -> float:
        """Power of the pump, averaged over an exposure."""
        return self.pump_power_w("pump")

    def mean_electrons(
        self, start_ns: int, exposure_s: float, row: int, column: int, rows: int, columns: int
    ) -> NDArray[np.float64]:
        """Photoelectrons (rows, columns) expected in an exposure, before dark current and noise."""
        p = self.parameters
        emitted = self.mean_pump_power_w(exposure_s), self.pump_power_w("reference")
        if not any(emitted):
            return np.zeros((rows, columns))
        power_w = self._light.on_camera((row, column, rows, columns), start_ns * 1e-9, exposure_s, *emitted)
        per_joule = p.camera.quantum_efficiency * p.pump.wavelength / (PLANCK_J_S * LIGHT_M_S)
        return np.asarray(power_w * (p.optics.camera_attenuation * exposure_s * per_joule))

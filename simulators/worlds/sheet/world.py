"""The sheet's table: a drive laser and its reference, a panel for the pump, one for the potential, a camera.

It knows nothing of inputs, outputs or nudges: gray levels come to both panels, the sheet comes to rest in every
exposure, and the camera sees its light and that of windows beside it, with the reference's fringes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DeviceError
from simulators.worlds.operations import world_operation
from simulators.worlds.plays import PlayedWorld
from simulators.worlds.ports import FLAGS
from simulators.worlds.prbm.gray_table import GrayTable, TiledGrayTable
from simulators.worlds.prbm.panel import Panel
from simulators.worlds.prbm.panel_state import frozen_panel, thaw_panel
from simulators.worlds.prbm.parameters import SlmParameters
from simulators.worlds.prbm.sensor import CameraSensor, Region
from simulators.worlds.prbm.truth import PanelTruth
from simulators.worlds.pumps import pump_controls
from simulators.worlds.sheet.exposure import Exposure, Pictures
from simulators.worlds.sheet.light import SheetLight
from simulators.worlds.sheet.parameters import SheetParameters
from simulators.worlds.sheet.truth import OnePanel, sheet_truth

PORTS = ("pump", "reference", "reservoir")


class SheetWorld(PlayedWorld):
    """One table; its lasers are set by fields of ``state``."""

    Parameters = SheetParameters
    State = np.dtype([f for port in PORTS for f in pump_controls(port)] + FLAGS, align=True)

    parameters: SheetParameters

    def rewind(self) -> None:
        """Set the table up anew: both panels at rest at gray 0, all lasers dark, no device on it."""
        super().rewind()
        p, truth = self.parameters, sheet_truth(self.parameters)
        self.panel = Panel(p.slm, _gray_table(p, p.slm, truth.light.panel))
        self._projector = Panel(p.projector, _gray_table(p, p.projector, truth.projector))
        self._light = SheetLight(p, self.panel, self._projector)
        self._sensor = CameraSensor(p, truth.light.sensor)
        for port in p.pumps:
            self.state[f"{port}_emission"] = False
            self.state[f"{port}_power_w"] = 0.0

    def warm_up(self) -> None:
        """Have everything compiled that an exposure needs, on a table that nobody uses yet; it is set up anew."""
        p, c = self.parameters, self.parameters.camera
        rows, columns = min(c.rows, 8), min(c.columns, 8)
        counts: NDArray[Any] = np.empty((rows, columns), np.float64 if c.ideal else np.uint16)
        for port in ("pump", "reference"):
            self.state[f"{port}_emission"], self.state[f"{port}_power_w"] = True, 1e-3
        for gray in (100, 0):
            self.panel.write(np.full((p.slm.rows, p.slm.columns), gray, np.uint8), 0, 0, self.clock.now_ns())
            self._projector.write(np.full((2, 2), gray, np.uint8), 0, 0, self.clock.now_ns())
            self.expose("", 0, self.clock.now_ns(), 1e-3, 0, 0, rows, columns, counts)
        self.rewind()

    def _frozen(self) -> dict[str, Any]:
        return super()._frozen() | {"projector": frozen_panel(self._projector), "sample": self._light.sample.frozen()}

    def _thaw(self, kept: Any) -> None:
        super()._thaw(kept)
        thaw_panel(self._projector, kept["projector"])
        self._light.region_changes()
        self._light.sample.thaw(kept["sample"])

    @world_operation
    def project(self, gray: NDArray[Any], row: int, column: int) -> int:
        """Gray levels (rows, columns) for the potential, corner at (row, column); when they arrived, ns."""
        p, (rows, columns) = self.parameters.projector, gray.shape
        if row < 0 or column < 0 or row + rows > p.rows or column + columns > p.columns:
            raise DeviceError(
                f"potential: {rows}x{columns} levels at row {row}, column {column} do not fit its "
                f"{p.rows}x{p.columns} pixels"
            )
        now_ns = self.clock.now_ns()
        if self._takes("projector"):
            self._projector.write(np.asarray(gray), row, column, now_ns)
        return now_ns

    def pump_power_w(self, port: str) -> float:
        """Power that a laser, or an arm of one, emits now."""
        return float(self.state[f"{port}_power_w"][0]) if self.state[f"{port}_emission"][0] else 0.0

    def _exposure(self, number: int, start_ns: int, exposure_s: float) -> Exposure:
        powers = (self.pump_power_w(port) for port in PORTS)
        return self._light.exposure(number, start_ns * 1e-9, exposure_s, *powers)

    def _electrons(self, region: Region, exposures: list[Exposure]) -> Pictures:
        return self._light.electrons(region, exposures, self.threads)


def _gray_table(p: SheetParameters, slm: SlmParameters, truth: PanelTruth) -> GrayTable:
    wrong = p.hidden.lut_error or p.hidden.lut_tile_error
    return TiledGrayTable(OnePanel(slm), truth) if wrong else GrayTable(slm)

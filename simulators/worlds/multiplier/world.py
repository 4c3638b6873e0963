"""The multiplier's table: a laser, the strip that shows a vector, the couplings, a reference, and the camera.

It knows nothing of nodes or bands: gray levels come to both panels, and the camera sees what light makes of them. In
the modes "shot" and "injection" condensates stand in that light (`simulators.worlds.multiplier.condensates`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DeviceError
from simulators.worlds.multiplier.condensates import CondensateLight
from simulators.worlds.multiplier.light import Exposure, MultiplierLight
from simulators.worlds.multiplier.parameters import MultiplierParameters
from simulators.worlds.multiplier.truth import OnePanel, multiplier_truth
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


class MultiplierWorld(PlayedWorld):
    """One table; its laser's two arms are set by fields of ``state``."""

    Parameters = MultiplierParameters
    State = np.dtype([*pump_controls("pump"), *pump_controls("reference"), *FLAGS], align=True)

    parameters: MultiplierParameters

    def rewind(self) -> None:
        """Set the table up anew: both panels at rest at gray 0, both arms dark, no device on it."""
        super().rewind()
        p = self.parameters
        truth = multiplier_truth(p)
        self.panel = Panel(p.slm, _gray_table(p, p.slm, truth.light.panel))
        self._couplings = Panel(p.coupling, _gray_table(p, p.coupling, truth.coupling))
        kind = MultiplierLight if p.mode == "optoelectronic" else CondensateLight
        self._light = kind(p, self.panel, self._couplings)
        self._sensor = CameraSensor(p, truth.light.sensor)
        for port in p.pumps:
            self.state[f"{port}_emission"] = False
            self.state[f"{port}_power_w"] = 0.0

    def warm_up(self) -> None:
        """Have everything compiled that an exposure needs, on a table that nobody uses yet; it is set up anew."""
        p, c = self.parameters, self.parameters.camera
        rows, columns = min(c.rows, 8), min(c.columns, 2)
        counts: NDArray[Any] = np.empty((rows, columns), np.float64 if c.ideal else np.uint16)
        for port in p.pumps:
            self.state[f"{port}_emission"], self.state[f"{port}_power_w"] = True, 1e-3
        for gray in (100, 0):
            self.panel.write(np.full((p.slm.rows, p.slm.columns), gray, np.uint8), 0, 0, self.clock.now_ns())
            self._couplings.write(np.full((2, 2), gray, np.uint8), 0, 0, self.clock.now_ns())
            self.expose("", 0, self.clock.now_ns(), 1e-3, 0, 0, rows, columns, counts)
        self.rewind()

    def _frozen(self) -> dict[str, Any]:
        return super()._frozen() | {"couplings": frozen_panel(self._couplings)}

    def _thaw(self, kept: Any) -> None:
        super()._thaw(kept)
        thaw_panel(self._couplings, kept["couplings"])
        self._light.region_changes()

    @world_operation
    def couple(self, gray: NDArray[Any], row: int, column: int) -> int:
        """Gray levels (rows, columns) for the couplings, corner at (row, column); when they arrived, ns."""
        p, (rows, columns) = self.parameters.coupling, gray.shape
        if row < 0 or column < 0 or row + rows > p.rows or column + columns > p.columns:
            raise DeviceError(
                f"couplings: {rows}x{columns} levels at row {row}, column {column} do not fit its "
                f"{p.rows}x{p.columns} pixels"
            )
        now_ns = self.clock.now_ns()
        if self._takes("coupling"):
            self._couplings.write(np.asarray(gray), row, column, now_ns)
        return now_ns

    # --- light ----------------------------------------------------------------------------------------------------

    def pump_power_w(self, port: str) -> float:
        """Power that an arm's laser emits now."""
        return float(self.state[f"{port}_power_w"][0]) if self.state[f"{port}_emission"][0] else 0.0

    def _exposure(self, number: int, start_ns: int, exposure_s: float) -> Exposure:
        return self._light.exposure(
            number, start_ns * 1e-9, exposure_s, self.pump_power_w("pump"), self.pump_power_w("reference")
        )

    def _electrons(self, region: Region, exposures: list[Exposure]) -> NDArray[np.float64]:
        return self._light.electrons(region, exposures)


def _gray_table(p: MultiplierParameters, slm: SlmParameters, truth: PanelTruth) -> GrayTable:
    wrong = p.hidden.lut_error or p.hidden.lut_tile_error
    return TiledGrayTable(OnePanel(slm), truth) if wrong else GrayTable(slm)

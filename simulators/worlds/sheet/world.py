"""The sheet's table: a drive laser and its reference, a panel for the pump, one for the potential, a camera.

It knows nothing of inputs, outputs or nudges: gray levels come to both panels, the sheet comes to rest in every
exposure, and the camera sees its light and that of windows beside it, with the reference's fringes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.worlds.operations import world_operation
from simulators.worlds.parts.sensor import CameraSensor, Region
from simulators.worlds.ports import FLAGS
from simulators.worlds.pumps import pump_controls
from simulators.worlds.second_panel import TwoPanelWorld
from simulators.worlds.sheet.exposure import Exposure, Pictures
from simulators.worlds.sheet.light import SheetLight
from simulators.worlds.sheet.parameters import SheetParameters
from simulators.worlds.sheet.truth import sheet_truth

PORTS = ("pump", "reference", "reservoir")


class SheetWorld(TwoPanelWorld):
    """One table; its lasers are set by fields of ``state``."""

    Parameters = SheetParameters
    State = np.dtype([f for port in PORTS for f in pump_controls(port)] + FLAGS, align=True)

    second_port, second_name = "projector", "potential"

    parameters: SheetParameters

    def rewind(self) -> None:
        """Set the table up anew: both panels at rest at gray 0, all lasers dark, no device on it."""
        super().rewind()
        p, truth = self.parameters, sheet_truth(self.parameters)
        self._set_panels(truth.light.panel, truth.projector)
        self._light = SheetLight(p, self.panel, self.second)
        self._sensor = CameraSensor(p, truth.light.sensor)

    def _frozen(self) -> dict[str, Any]:
        return super()._frozen() | {"sample": self._light.sample.frozen()}

    def _thaw(self, kept: Any) -> None:
        super()._thaw(kept)
        self._light.sample.thaw(kept["sample"])

    @world_operation
    def project(self, gray: NDArray[Any], row: int, column: int) -> int:
        """Gray levels (rows, columns) for the potential, corner at (row, column); when they arrived, ns."""
        return self._write_second(gray, row, column)

    def _exposure(self, number: int, start_ns: int, exposure_s: float) -> Exposure:
        powers = (self.pump_power_w(port) for port in PORTS)
        return self._light.exposure(number, start_ns * 1e-9, exposure_s, *powers)

    def _electrons(self, region: Region, exposures: list[Exposure]) -> Pictures:
        return self._light.electrons(region, exposures, self.threads)

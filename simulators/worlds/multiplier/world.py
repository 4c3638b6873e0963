"""The multiplier's table: a laser, the strip that shows a vector, the couplings, a reference, and the camera.

It knows nothing of nodes or bands: gray levels come to both panels, and the camera sees what light makes of them. In
the modes "shot" and "injection" condensates stand in that light (`simulators.worlds.multiplier.condensates`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.worlds.multiplier.condensates import CondensateLight
from simulators.worlds.multiplier.light import Exposure, MultiplierLight
from simulators.worlds.multiplier.parameters import MultiplierParameters
from simulators.worlds.multiplier.truth import multiplier_truth
from simulators.worlds.operations import world_operation
from simulators.worlds.parts.sensor import CameraSensor, Region
from simulators.worlds.ports import FLAGS
from simulators.worlds.pumps import pump_controls
from simulators.worlds.second_panel import TwoPanelWorld


class MultiplierWorld(TwoPanelWorld):
    """One table; its laser's two arms are set by fields of ``state``."""

    Parameters = MultiplierParameters
    State = np.dtype([*pump_controls("pump"), *pump_controls("reference"), *FLAGS], align=True)

    second_port, second_name = "coupling", "couplings"

    parameters: MultiplierParameters

    def rewind(self) -> None:
        """Set the table up anew: both panels at rest at gray 0, both arms dark, no device on it."""
        super().rewind()
        p = self.parameters
        truth = multiplier_truth(p)
        self._set_panels(truth.light.panel, truth.coupling)
        kind = MultiplierLight if p.mode == "optoelectronic" else CondensateLight
        self._light = kind(p, self.panel, self.second)
        self._sensor = CameraSensor(p, truth.light.sensor)

    @world_operation
    def couple(self, gray: NDArray[Any], row: int, column: int) -> int:
        """Gray levels (rows, columns) for the couplings, corner at (row, column); when they arrived, ns."""
        return self._write_second(gray, row, column)

    def _exposure(self, number: int, start_ns: int, exposure_s: float) -> Exposure:
        return self._light.exposure(
            number, start_ns * 1e-9, exposure_s, self.pump_power_w("pump"), self.pump_power_w("reference")
        )

    def _electrons(self, region: Region, exposures: list[Exposure]) -> NDArray[np.float64]:
        return self._light.electrons(region, exposures)

"""Your own world: an interferometer whose one arm is the SLM, the other a mirror that is tilted a little.

A world says what light there is, from gray levels, device settings and time alone: it is what the table would be told.
This one takes the rail's sources, panel, sensor, noise and clock, and replaces what light the camera sees. What a user
must find out, here the tilt and how well fringes show, are its parameters: ``[world]`` in the bench file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulators.worlds.rail import RailParameters, RailWorld


class FringeParameters(RailParameters):
    """tilt: phase from a pixel of the camera to the next column, rad. contrast: of fringes, 1 where arms are equal."""

    tilt: float = Field(0.05, ge=-np.pi, le=np.pi)
    contrast: float = Field(0.9, ge=0, le=1)


class Fringes(RailWorld):
    """Two beams that interfere on the camera; each of its pixels sees the panel's of the same row and column."""

    Parameters = FringeParameters
    parameters: FringeParameters

    def mean_electrons(
        self, start_ns: int, exposure_s: float, row: int, column: int, rows: int, columns: int
    ) -> NDArray[np.float64]:
        """Photoelectrons (rows, columns) expected in an exposure: I_0 (1 + contrast cos(phase of SLM + tilt)) / 2."""
        p = self.parameters
        phase = np.tile(p.tilt * np.arange(column, column + columns), (rows, 1))
        panel = self._panel_phase(start_ns * 1e-9, exposure_s)[row : row + rows, column : column + columns]
        phase[: panel.shape[0], : panel.shape[1]] += panel
        brightest = p.camera_share * self.source_only_w(start_ns, exposure_s) * self._electrons_per_watt(exposure_s)
        return brightest * (1 + p.contrast * np.cos(phase)) / 2

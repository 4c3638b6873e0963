"""Tables with two panels in the light of lasers of one colour: what multiplier and sheet have in common.

The second panel has no sequences: gray levels come to it as they are written, and its light is worked out anew.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DeviceError
from simulators.worlds.parts.gray_table import GrayTable, TiledGrayTable
from simulators.worlds.parts.panel import Panel
from simulators.worlds.parts.panel_state import frozen_panel, thaw_panel
from simulators.worlds.parts.parameters import SlmParameters
from simulators.worlds.parts.truth import PanelTruth
from simulators.worlds.plays import PlayedWorld


class OnePanel(NamedTuple):
    """A panel as `simulators.worlds.parts.gray_table` asks for it."""

    slm: SlmParameters


class TwoPanelWorld(PlayedWorld):
    """A table with ``panel`` and ``second``, and lasers that are set by fields of ``state``.

    second_port: of the second panel's device, and the name of its parameters. second_name: what errors call it.
    """

    second_port: ClassVar[str]
    second_name: ClassVar[str]

    second: Panel

    def _set_panels(self, first: PanelTruth, second: PanelTruth) -> None:
        """Both at rest at gray 0, and all lasers dark."""
        p = self.parameters
        wrong = p.hidden.lut_error or p.hidden.lut_tile_error

        def made(slm: SlmParameters, truth: PanelTruth) -> Panel:
            return Panel(slm, TiledGrayTable(OnePanel(slm), truth) if wrong else GrayTable(slm))

        self.panel = made(p.slm, first)
        self.second = made(getattr(p, self.second_port), second)
        for port in p.pumps:
            self.state[f"{port}_emission"] = False
            self.state[f"{port}_power_w"] = 0.0

    def warm_up(self) -> None:
        """Have everything compiled that an exposure needs, on a table that nobody uses yet; it is set up anew."""
        p, c = self.parameters, self.parameters.camera
        rows, columns = min(c.rows, 8), min(c.columns, 2)
        counts: NDArray[Any] = np.empty((rows, columns), np.float64 if c.ideal else np.uint16)
        for port in ("pump", "reference"):
            self.state[f"{port}_emission"], self.state[f"{port}_power_w"] = True, 1e-3
        for gray in (100, 0):
            self.panel.write(np.full((p.slm.rows, p.slm.columns), gray, np.uint8), 0, 0, self.clock.now_ns())
            self.second.write(np.full((2, 2), gray, np.uint8), 0, 0, self.clock.now_ns())
            self.expose("", 0, self.clock.now_ns(), 1e-3, 0, 0, rows, columns, counts)
        self.rewind()

    def _frozen(self) -> dict[str, Any]:
        return super()._frozen() | {self.second_port: frozen_panel(self.second)}

    def _thaw(self, kept: Any) -> None:
        super()._thaw(kept)
        thaw_panel(self.second, kept[self.second_port])
        for listener in self.second.listeners:
            listener.region_changes(self.second.phase, self.second.phase, 0, 0)

    def _write_second(self, gray: NDArray[Any], row: int, column: int) -> int:
        """Gray levels (rows, columns) for the second panel, corner at (row, column); when they arrived, ns."""
        p, (rows, columns) = getattr(self.parameters, self.second_port), gray.shape
        if row < 0 or column < 0 or row + rows > p.rows or column + columns > p.columns:
            raise DeviceError(
                f"{self.second_name}: {rows}x{columns} levels at row {row}, column {column} do not fit its "
                f"{p.rows}x{p.columns} pixels"
            )
        now_ns = self.clock.now_ns()
        if self._takes(self.second_port):
            self.second.write(np.asarray(gray), row, column, now_ns)
        return now_ns

    def pump_power_w(self, port: str) -> float:
        """Power that a laser, or an arm of one, emits now."""
        return float(self.state[f"{port}_power_w"][0]) if self.state[f"{port}_emission"][0] else 0.0

"""Phases that gray levels give on the panel: as the look-up table promises, or with the error a table has."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.gray_phase import bent_phase
from simulators.worlds.parts.parameters import SlmParameters
from simulators.worlds.parts.truth import TILES, HasPanel, PanelTruth, gray_phases, tile_of


class GrayTable:
    """A full turn of 2 pi is ``levels`` (256), everywhere.

    Gray levels are integers of 0 to levels - 1, or real numbers of 0 to 256 for a continuous panel.
    """

    def __init__(self, slm: SlmParameters) -> None:
        self._per_level = 2 * math.pi / (slm.levels or 256)

    def phases(self, gray: NDArray[Any], row: int, column: int) -> NDArray[np.float64]:
        """Phase (rows, columns) of a region with its corner at (row, column), rad."""
        return np.asarray(gray, dtype=np.float64) * self._per_level

    def patch_phases(self, gray: NDArray[Any], origins: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Phase of patches (n, rows, columns) at origins (n, 2), rad."""
        return np.asarray(gray, dtype=np.float64) * self._per_level


class TiledGrayTable(GrayTable):
    """With the hidden error: the same curve everywhere, and a gain of its own in each tile."""

    def __init__(self, p: HasPanel, truth: PanelTruth) -> None:
        super().__init__(p.slm)
        self._truth = truth
        self._table = None if p.slm.levels is None else gray_phases(p, truth, np.arange(p.slm.levels))
        self._tile_rows = tile_of(np.arange(p.slm.rows), p.slm.rows, TILES[0])
        self._tile_columns = tile_of(np.arange(p.slm.columns), p.slm.columns, TILES[1])

    def phases(self, gray: NDArray[Any], row: int, column: int) -> NDArray[np.float64]:
        """Phase (rows, columns) of a region with its corner at (row, column), rad."""
        rows, columns = gray.shape
        down = self._tile_rows[row : row + rows, None]
        across = self._tile_columns[None, column : column + columns]
        return self._phases(gray, down, across)

    def patch_phases(self, gray: NDArray[Any], origins: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Phase of patches (n, rows, columns) at origins (n, 2), rad."""
        if self._table is not None:
            out = np.empty(gray.shape)
            _looked_up(self._table, self._tile_rows, self._tile_columns, gray, np.asarray(origins, np.int64), out)
            return out
        _, rows, columns = gray.shape
        down = self._tile_rows[origins[:, 0, None] + np.arange(rows)][:, :, None]
        across = self._tile_columns[origins[:, 1, None] + np.arange(columns)][:, None, :]
        return self._phases(gray, down, across)

    def _phases(self, gray: NDArray[Any], down: NDArray[np.int64], across: NDArray[np.int64]) -> NDArray[np.float64]:
        if self._table is not None:
            return np.asarray(self._table[down, across, gray])
        gain = self._truth.lut_gain + self._truth.tile_gain[down, across]
        return bent_phase(np.asarray(gray, np.float64) * self._per_level, gain, self._truth.lut_bend)


@kernel
def _looked_up(
    table: NDArray[np.float64],
    tile_rows: NDArray[np.int64],
    tile_columns: NDArray[np.int64],
    gray: NDArray[np.integer[Any]],
    origins: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Phases of patches (n, rows, columns) at origins (n, 2), of a table (tiles down, tiles across, levels)."""
    n, rows, columns = gray.shape
    for k in range(n):
        for r in range(rows):
            of_row = table[tile_rows[origins[k, 0] + r]]
            for c in range(columns):
                out[k, r, c] = of_row[tile_columns[origins[k, 1] + c], gray[k, r, c]]

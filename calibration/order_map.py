"""The map of a blazed order: how each place of the panel reaches the camera pixel that is read.

Light of band j at column x arrives with amplitude a(x, j), relative to that of the column where output spins stand, and
with a phase that a carrier takes back. Bands have gains G_j, and neighbours share wavelengths, so that what output spin
j sees of the sums c of the bands is

    y_j = G_j c_j + g_j sqrt(G_j G_j+1) c_j+1 + g_j-1 sqrt(G_j G_j-1) c_j-1 + ...        (optical-table.md, table A)

which is solved for c; all of y_j is less where dust shades the output spin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline
from scipy.sparse import csc_array, diags_array
from scipy.sparse.linalg import spsolve

from calibration.prbm_strip import BlazedStrip, blaze_of, reach_of, rest_of
from labctl.client import Calibration, ConfigurationError

KIND = "illumination"


@dataclass(frozen=True, eq=False)
class OrderMap:
    """What `calibration.illumination` finds.

    pixel: (row, column) of the camera. first_row, rows_per_band, bands: of the panel. centre_column: where output spins
    stand. period_px: of the blaze at at_wavelength_m. row_wavelengths_m: (bands x rows_per_band,). columns,
    band_places: the grid of phase_rad and amplitude (band places, columns). crosstalk_px: (down, across). gains:
    (bands,), 1 on average. coupling: (reach, bands), the k-th row holds g between bands j and j + k + 1. output:
    (bands,) what output spins send, 1 but where dust shades one.
    """

    pixel: tuple[int, int]
    first_row: int
    rows_per_band: int
    bands: int
    centre_column: float
    period_px: float
    at_wavelength_m: float
    row_wavelengths_m: NDArray[np.float64]
    columns: NDArray[np.float64]
    band_places: NDArray[np.float64]
    phase_rad: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    crosstalk_px: tuple[float, float]
    gains: NDArray[np.float64]
    coupling: NDArray[np.float64]
    output: NDArray[np.float64]

    @classmethod
    def of(cls, calibration: Calibration) -> OrderMap:
        """From a calibration of kind "illumination"."""
        v = calibration.values
        down, across = (float(s) for s in v["crosstalk_px"].value)
        return cls(
            pixel=(round(v["camera_row"].number), round(v["camera_column"].number)),
            first_row=round(v["first_row"].number),
            rows_per_band=round(v["rows_per_band"].number),
            bands=len(v["gain"].value),
            centre_column=v["centre_column"].number,
            period_px=v["period"].number,
            at_wavelength_m=v["period_wavelength"].number,
            row_wavelengths_m=v["row_wavelength"].value,
            columns=v["grid_column"].value,
            band_places=v["grid_band"].value,
            phase_rad=v["phase"].value,
            amplitude=v["amplitude"].value,
            crosstalk_px=(down, across),
            gains=v["gain"].value,
            coupling=v["coupling"].value,
            output=v["output"].value,
        )

    def widest(self, macro_pixels: int, limit: int = 8) -> int:
        """Most SLM columns (a power of two up to ``limit``, at least 2) that each of so many macro-pixels may have."""
        width = limit
        while width > 2 and not self._fits(macro_pixels * width):
            width //= 2
        return width

    def _fits(self, columns: int) -> bool:
        first = self._first_column(columns)
        return bool(first >= self.columns[0] - 1 and first + columns <= self.columns[-1] + 1)

    def _first_column(self, columns: int) -> int:
        return round(self.centre_column - columns / 2)

    def strip(
        self, macro_pixels: int, pixels_per_spin: int, bands: range, table: Calibration | None = None
    ) -> BlazedStrip:
        """Macro-pixels in some of the bands, with output spins where the map has them.

        table: the panel's phase table, which says how far its levels reach. Raises ConfigurationError if they do not
        fit.
        """
        wide = macro_pixels * pixels_per_spin
        if not self._fits(wide) or bands.stop > self.bands:
            raise ConfigurationError(
                f"{macro_pixels} macro-pixels of {pixels_per_spin} columns in {bands.stop} bands do not fit the map of "
                f"{self.columns[-1] - self.columns[0]:.0f} columns and {self.bands} bands; choose fewer spins or "
                "pixels_per_spin"
            )
        first = self._first_column(wide)
        rows = slice(bands.start * self.rows_per_band, bands.stop * self.rows_per_band)
        columns = np.arange(first, first + wide)
        blaze = blaze_of(
            self.row_wavelengths_m[rows], columns, self.centre_column, self.period_px, self.at_wavelength_m
        )
        places = np.repeat(np.arange(bands.start, bands.stop), self.rows_per_band)
        return BlazedStrip(
            first_row=self.first_row + rows.start,
            rows_per_band=self.rows_per_band,
            first_column=first,
            pixels_per_spin=pixels_per_spin,
            carrier=blaze - self._on(self.phase_rad, places, columns),
            crosstalk_px=self.crosstalk_px,
            **_reach(table, self.first_row + rows.start, len(blaze), columns),
        )

    def rest(self, rows: int, columns: int) -> NDArray[np.float64]:
        """Phases (rows, columns) of a whole panel that sends nothing to the order."""
        return rest_of(rows, columns, self.centre_column, self.period_px)

    def amplitudes(self, strip: BlazedStrip, bands: range) -> NDArray[np.float64]:
        """a (bands, macro pixels) in the middle of each."""
        middles = strip.first_column + (np.arange(strip.macro_pixels) + 0.5) * strip.pixels_per_spin - 0.5
        return self._on(self.amplitude, np.arange(bands.start, bands.stop), middles)

    def seen(self, bands: range, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """y (bands,) for sums c (bands,) of bands side by side, the others dark."""
        return np.asarray(self._matrix(bands) @ sums)

    def sums(self, bands: range, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """c (bands,) from y (bands,)."""
        return np.asarray(spsolve(csc_array(self._matrix(bands)), seen))

    def noise_gain(self, bands: range) -> NDArray[np.float64]:
        """Standard deviation (bands,) of c for independent errors 1 of y."""
        inverse = np.linalg.inv(self._matrix(bands).toarray())
        return np.asarray(np.sqrt((inverse**2).sum(axis=1)))

    def _matrix(self, bands: range) -> Any:
        chosen = slice(bands.start, bands.stop)
        gains = self.gains[chosen]
        diagonals = [gains]
        offsets = [0]
        for k, g in enumerate(self.coupling, start=1):
            if k >= len(gains):
                break
            side = g[chosen][:-k] * np.sqrt(gains[:-k] * gains[k:])
            diagonals += [side, side]
            offsets += [k, -k]
        return diags_array(self.output[chosen]) @ diags_array(diagonals, offsets=offsets)

    def _on(self, grid: NDArray[np.float64], places: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.float64]:
        spline = RectBivariateSpline(
            self.band_places, self.columns, grid, kx=min(3, len(self.band_places) - 1), ky=min(3, len(self.columns) - 1)
        )
        distinct, which = np.unique(places, return_inverse=True)
        return np.asarray(spline(distinct, columns)[which])


def _reach(table: Calibration | None, first_row: int, rows: int, columns: NDArray[Any]) -> dict[str, Any]:
    if table is None:
        return {}
    part = slice(first_row, first_row + rows), slice(int(columns[0]), int(columns[-1]) + 1)
    return {"reach": reach_of(table, *part)}

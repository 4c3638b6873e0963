"""Calibrations in the form in which devices use them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.settings import Value


class Correction(Value, frozen=True, kw_only=True):
    """A calibration in the form in which a device uses it. calibration_id: where it comes from."""

    calibration_id: str = ""


class PhaseTable(Correction, frozen=True, kw_only=True):
    """Phase that each gray level gives, in cells of the panel: row bands, since they may light other wavelengths, and
    column tiles, since panels are not even.

    row_edges: (bands + 1,) rows where bands begin, and the number of rows. column_edges: (tiles + 1,) likewise.
    phase_rad: (bands, tiles, levels) at the wavelength that lights the cell; any multiple of 2 pi. nan for a level that
    is not to be used: on a panel that reaches more than one turn, leave one turn, or neighbours that ask for nearly the
    same phase may get levels a whole turn apart, with all the fringing between them.
    """

    row_edges: NDArray[np.integer[Any]]
    column_edges: NDArray[np.integer[Any]]
    phase_rad: NDArray[np.floating[Any]]


class Dark(Correction, frozen=True, kw_only=True):
    """Counts without light of the region of a sensor that begins at row, column: offset + rate x exposure.

    offset_counts: (rows, columns). rate_counts_per_s: dark current, the same shape, or (1, 1).
    """

    offset_counts: NDArray[np.floating[Any]]
    rate_counts_per_s: NDArray[np.floating[Any]]
    row: int = 0
    column: int = 0


class Flat(Correction, frozen=True, kw_only=True):
    """Response of each pixel relative to the mean, (rows, columns), of the region that begins at row, column.

    saturation_counts: from which a pixel is no longer linear; inf if that is the camera's full scale.
    """

    response: NDArray[np.floating[Any]]
    row: int = 0
    column: int = 0
    saturation_counts: float = math.inf


class HotPixels(Correction, frozen=True, kw_only=True):
    """Pixels that no dark map corrects. pixels: (n, 2) row and column on the sensor."""

    pixels: NDArray[np.integer[Any]]


class PowerCurve(Correction, frozen=True, kw_only=True):
    """Power that a laser emits at its set-points. set_point: (n,), rising, in the unit of the laser's set-point;
    emitted_w: (n,), rising.
    """

    set_point: NDArray[np.floating[Any]]
    emitted_w: NDArray[np.floating[Any]]

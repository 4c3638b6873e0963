"""What calibrations correct, once for every backend: the SLM's gray levels, a camera's frames, a laser's set-point.

A kind declares what it takes, ``dark = calibration(Dark, doc="...")``, and the device server sets it: ``camera.dark =
Dark(...)``, or None where no calibration is in force. Clients of the bus cannot set it, and see it by its id in the
setting ``calibration_ids``. The arithmetic is in pure functions and values here; drivers hold none of it.

An SLM writes the corrected levels by itself, since phase is what was asked for. Frames stay as the camera read them:
whoever wants corrected ones says so,

    correction = bench.camera.correction()             # of the present region of interest, once
    corrected = correct(bench.camera.trigger(), correction)
    corrected.counts[~corrected.saturated & ~corrected.hot]
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from drivers.errors import CalibrationError, LimitError
from drivers.settings import Value

if TYPE_CHECKING:
    from drivers.contract import ROI, SLM, Device, Frame, FrameStack

C = TypeVar("C", bound="Correction")

PHASE_POINTS = 1 << 14
"""Phases around the circle for which the nearest level is looked up: to 0.2 mrad of the middle between two levels."""


class Correction(Value, frozen=True, kw_only=True):
    """A calibration in the form in which a device uses it. calibration_id: where it comes from."""

    calibration_id: str = ""


# --- the values ---------------------------------------------------------------------------------------------------


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


# --- how a kind declares them -------------------------------------------------------------------------------------


class calibration(Generic[C]):
    """A calibration that a kind of device takes.

    Reading gives what is in force, or None. Writing checks it (``_check_NAME`` of the device) and raises
    CalibrationError, changing nothing, if it does not fit the device. After `Device.refuse_calibration` reading raises
    CalibrationError: what is refused must neither be used nor be silently left out.
    """

    def __init__(self, value_type: type[C], *, doc: str) -> None:
        self.value_type = value_type
        self.doc = doc
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, device: None, owner: type) -> calibration[C]: ...
    @overload
    def __get__(self, device: Device, owner: type) -> C | None: ...
    def __get__(self, device: Device | None, owner: type) -> calibration[C] | C | None:
        if device is None:
            return self
        held = device.corrections_held
        if not held:
            return None  # the usual case, and asked for with every pattern
        value: Any = held.get(self.name)
        if isinstance(value, str):
            raise CalibrationError(value)
        found: C | None = value
        return found

    def __set__(self, device: Device, value: C | None) -> None:
        if value is None:
            device.corrections_held.pop(self.name, None)
        elif not isinstance(value, self.value_type):
            raise CalibrationError(
                f"{device.name}.{self.name} = {type(value).__name__}: a {self.value_type.__name__} is needed"
            )
        else:
            getattr(device, f"_check_{self.name}")(value)
            device.corrections_held[self.name] = value
        changed = getattr(device, f"_changed_{self.name}", None)
        if changed is not None:
            changed(value)


# --- SLM: from phase to the level that gives it -------------------------------------------------------------------


class LevelFinder:
    """For phases at places of a panel, the gray level whose measured phase is nearest, modulo 2 pi."""

    def __init__(self, table: PhaseTable) -> None:
        bands, tiles, levels = table.phase_rad.shape
        self._band_of_row = np.repeat(np.arange(bands), np.diff(table.row_edges))
        self._tile_of_column = np.repeat(np.arange(tiles), np.diff(table.column_edges))
        cells = np.asarray(table.phase_rad, dtype=np.float64).reshape(-1, levels)
        # Cells of equal phases, as in a panel measured as a whole and split for the wavelengths, share their table.
        # Among levels that are left out nan would differ from nan.
        marked = np.where(np.isnan(cells), np.inf, cells)
        distinct, self._table_of_cell = np.unique(marked, axis=0, return_inverse=True)
        self._table_of_cell = self._table_of_cell.reshape(bands, tiles)
        self._levels = np.stack([nearest_levels(cell) for cell in distinct])
        self._one = len(distinct) == 1

    def levels(self, phase: NDArray[np.floating[Any]], row: int, column: int) -> NDArray[Any]:
        """Levels of a pattern (rows, columns; rad) whose corner is at (row, column); it must fit the panel."""
        if self._one:
            return look_up(self._levels[0], phase)
        rows, columns = phase.shape
        bands = self._band_of_row[row : row + rows]
        tiles = self._tile_of_column[column : column + columns]
        return look_up(self._levels, phase, self._table_of_cell[bands[:, None], tiles[None, :]])

    def levels_of_patches(self, patches: NDArray[np.floating[Any]], origins: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Levels of patches (n, rows, columns; rad) with their corners at origins (n, 2)."""
        if self._one:
            return look_up(self._levels[0], patches)
        _, rows, columns = patches.shape
        bands = self._band_of_row[origins[:, 0, None] + np.arange(rows)]
        tiles = self._tile_of_column[origins[:, 1, None] + np.arange(columns)]
        return look_up(self._levels, patches, self._table_of_cell[bands[:, :, None], tiles[:, None, :]])


def look_up(
    nearest: NDArray[Any], phase: NDArray[np.floating[Any]], which: NDArray[np.intp] | None = None
) -> NDArray[Any]:
    """Levels of phases (any shape; rad) in a table of `nearest_levels`, or of several the one that ``which`` names."""
    points = np.rint(phase * (PHASE_POINTS / (2 * math.pi))).astype(np.int64) & (PHASE_POINTS - 1)
    found: NDArray[Any] = nearest[points] if which is None else nearest[which, points]
    return found


def nearest_levels(phase_rad: NDArray[np.float64]) -> NDArray[Any]:
    """For `PHASE_POINTS` phases around the circle, the level whose phase (levels,) is nearest on the circle.

    Levels whose phase is nan are left out; one or more must be left.
    """
    usable = np.flatnonzero(np.isfinite(phase_rad))
    turns, first = np.unique(np.mod(phase_rad[usable] / (2 * math.pi), 1.0), return_index=True)
    order = usable[first]  # of levels with the same phase the lowest
    around = np.concatenate([turns[-1:] - 1, turns, turns[:1] + 1])
    # From each middle between two levels on, up to the next, the upper one is nearest; at the ends the circle closes.
    edges = np.clip(np.ceil((around[:-1] + around[1:]) / 2 * PHASE_POINTS), 0, PHASE_POINTS).astype(np.int64)
    counts = np.diff(edges, prepend=0, append=PHASE_POINTS)
    found: NDArray[Any] = np.repeat(np.concatenate([order[-1:], order, order[:1]]), counts)
    return found.astype(np.uint8 if len(phase_rad) <= 256 else np.uint16)


def check_phase_table(slm: SLM, table: PhaseTable) -> None:
    """Raise CalibrationError unless the table covers the panel, has a phase for each of its levels, and is finite."""
    what = f"{slm.name}.phase_table"
    if slm.levels == 0:
        raise CalibrationError(f"{what}: the panel is continuous and has no gray levels; it needs no table")
    shape = (len(table.row_edges) - 1, len(table.column_edges) - 1, slm.levels)
    if table.phase_rad.shape != shape or min(shape) < 1:
        raise CalibrationError(
            f"{what}: phases of shape {table.phase_rad.shape}; the edges and the panel's levels make it {shape}"
        )
    for edges, size, words in (
        (table.row_edges, slm.rows, "row_edges"),
        (table.column_edges, slm.columns, "column_edges"),
    ):
        if edges[0] != 0 or edges[-1] != size or np.any(np.diff(edges) < 1):
            raise CalibrationError(f"{what}: {words} must rise from 0 to {size}, the size of the panel")
    usable = np.isfinite(table.phase_rad)
    if np.isinf(table.phase_rad).any() or usable.sum(axis=2).min() < 2:
        raise CalibrationError(f"{what}: in every cell two levels or more need a finite phase; nan marks the others")


# --- camera: from raw to corrected counts -------------------------------------------------------------------------


class FrameCorrection(Value, frozen=True, kw_only=True):
    """What corrects the frames of the region of interest that begins at row, column: maps of its shape.

    dark_counts, dark_rate_counts_per_s, response as in `Dark` and `Flat` (response 1 where no flat is in force); hot:
    pixels that nothing corrects. calibration_ids: of what was used, by kind.
    """

    row: int
    column: int
    dark_counts: NDArray[np.floating[Any]]
    dark_rate_counts_per_s: NDArray[np.floating[Any]]
    response: NDArray[np.floating[Any]]
    hot: NDArray[np.bool_]
    saturation_counts: float
    calibration_ids: dict[str, str]


class CorrectedFrame(Value, frozen=True, kw_only=True):
    """counts: (raw - dark) / response, of every pixel. saturated: raw counts at the end of the range. hot: pixels that
    nothing corrects. Neither kind of pixel is to be believed; they keep their places, for the reader to leave out.

    Shapes are those of the frame's data, (rows, columns) or (n, rows, columns); hot has (rows, columns).
    """

    counts: NDArray[np.float64]
    saturated: NDArray[np.bool_]
    hot: NDArray[np.bool_]
    calibration_ids: dict[str, str]


def frame_correction(
    camera: str,
    roi: ROI,
    full_scale_counts: float,
    dark: Dark | None,
    flat: Flat | None,
    hot_pixels: HotPixels | None,
) -> FrameCorrection:
    """The maps of a region. CalibrationError if there is no dark, or a map does not cover the region."""
    if dark is None:
        raise CalibrationError(
            f"{camera}.correction: no dark is in force, and without it no frame can be corrected; measure one with "
            "`labctl calibrate`, or use the frames as they are"
        )
    dark_counts = _cropped(camera, "dark", dark.offset_counts, dark.row, dark.column, roi)
    rate = dark.rate_counts_per_s
    if rate.shape != (1, 1):
        rate = _cropped(camera, "dark", rate, dark.row, dark.column, roi)
    response = np.ones((1, 1))
    if flat is not None:
        response = _cropped(camera, "flat", flat.response, flat.row, flat.column, roi)
        full_scale_counts = min(full_scale_counts, flat.saturation_counts)
    hot = np.zeros((roi.rows, roi.columns), np.bool_)
    if hot_pixels is not None:
        places = hot_pixels.pixels - np.array([roi.row, roi.column])
        inside = np.all((places >= 0) & (places < [roi.rows, roi.columns]), axis=1)
        hot[tuple(places[inside].T)] = True
    used = {"dark": dark, "flat": flat, "hot_pixels": hot_pixels}
    return FrameCorrection(
        row=roi.row,
        column=roi.column,
        dark_counts=dark_counts,
        dark_rate_counts_per_s=rate,
        response=response,
        hot=hot,
        saturation_counts=full_scale_counts,
        calibration_ids={kind: c.calibration_id for kind, c in used.items() if c is not None},
    )


def _cropped(camera: str, kind: str, whole: NDArray[Any], row: int, column: int, roi: ROI) -> NDArray[Any]:
    top, left = roi.row - row, roi.column - column
    rows, columns = whole.shape
    if top < 0 or left < 0 or top + roi.rows > rows or left + roi.columns > columns:
        raise CalibrationError(
            f"{camera}.correction: the {kind} in force covers rows {row} to {row + rows - 1}, columns {column} to "
            f"{column + columns - 1}; the region of interest is rows {roi.row} to {roi.row + roi.rows - 1}, columns "
            f"{roi.column} to {roi.column + roi.columns - 1}. Choose a region within, or calibrate a larger one"
        )
    return whole[top : top + roi.rows, left : left + roi.columns]


def correct(frame: Frame | FrameStack, correction: FrameCorrection) -> CorrectedFrame:
    """(raw - dark at the frame's exposure) / response.

    LimitError if the correction is of another region, or the frame is binned: maps are of single pixels.
    """
    if frame.binning != 1:
        raise LimitError(
            f"a frame of binning {frame.binning}: what is corrected is each pixel, and sums of pixels cannot be; take "
            "frames with binning = 1, and sum the corrected ones"
        )
    roi, (rows, columns) = frame.roi, correction.hot.shape
    if (roi.row, roi.column, roi.rows, roi.columns) != (correction.row, correction.column, rows, columns):
        raise LimitError(
            f"a frame of {roi} and a correction of {rows}x{columns} pixels at row {correction.row}, column "
            f"{correction.column}; ask the camera for `correction()` again after its region of interest has changed"
        )
    dark = correction.dark_counts + correction.dark_rate_counts_per_s * frame.exposure_s
    return CorrectedFrame(
        counts=(frame.data - dark) / correction.response,
        saturated=frame.data >= correction.saturation_counts,
        hot=correction.hot,
        calibration_ids=correction.calibration_ids,
    )


def filled(frame: CorrectedFrame) -> NDArray[np.float64]:
    """Corrected counts with each hot pixel replaced by the mean of its up to 8 neighbours that are not: for sums.

    Raises CalibrationError if one has no such neighbour.
    """
    counts, hot = frame.counts, frame.hot
    places = np.argwhere(hot)
    if not len(places):
        return counts
    counts = counts.copy()
    rows, columns = hot.shape
    for row, column in places:
        around = np.s_[max(row - 1, 0) : min(row + 2, rows), max(column - 1, 0) : min(column + 2, columns)]
        good = ~hot[around]
        if not good.any():
            raise CalibrationError(
                f"pixel {row}, {column} of the region and all its neighbours are hot; choose another region of interest"
            )
        counts[..., row, column] = frame.counts[(..., *around)][..., good].mean(axis=-1)
    return counts


def check_map(what: str, values: NDArray[Any], row: int, column: int, rows: int, columns: int) -> None:
    """Raise CalibrationError unless a map (rows, columns) is finite and lies on a sensor of so many pixels."""
    fits = values.ndim == 2 and row >= 0 and column >= 0
    if not fits or row + values.shape[0] > rows or column + values.shape[1] > columns:
        raise CalibrationError(
            f"{what}: a map of {values.shape} at row {row}, column {column} does not lie on the sensor of "
            f"{rows}x{columns} pixels"
        )
    if not np.isfinite(values).all():
        raise CalibrationError(f"{what}: a value is not finite; mark such pixels as hot")


def check_dark(what: str, dark: Dark, rows: int, columns: int) -> None:
    """Raise CalibrationError unless it fits a sensor of so many pixels."""
    check_map(what, dark.offset_counts, dark.row, dark.column, rows, columns)
    rate = dark.rate_counts_per_s
    if rate.shape not in ((1, 1), dark.offset_counts.shape) or not np.isfinite(rate).all():
        raise CalibrationError(
            f"{what}: a dark current of shape {rate.shape}; (1, 1) or the offset's is needed, finite"
        )


def check_flat(what: str, flat: Flat, rows: int, columns: int) -> None:
    """Raise CalibrationError unless it fits a sensor of so many pixels and every pixel responds."""
    check_map(what, flat.response, flat.row, flat.column, rows, columns)
    if flat.response.min() <= 0:
        raise CalibrationError(
            f"{what}: a pixel responds by {flat.response.min():.3g}; mark dead pixels as hot, with 1"
        )


def check_hot_pixels(what: str, hot: HotPixels, rows: int, columns: int) -> None:
    """Raise CalibrationError unless every pixel is on a sensor of so many."""
    pixels = hot.pixels
    if pixels.ndim != 2 or pixels.shape[1] != 2:
        raise CalibrationError(f"{what}: pixels of shape {pixels.shape}; (n, 2), row and column, is needed")
    if pixels.size and (pixels.min() < 0 or np.any(pixels >= [rows, columns])):
        raise CalibrationError(f"{what}: a pixel lies outside the sensor of {rows}x{columns} pixels")


# --- laser: from set-point to power and back ----------------------------------------------------------------------


def check_power_curve(what: str, curve: PowerCurve) -> None:
    """Raise CalibrationError unless both columns rise, so that the curve can be read either way."""
    for values, words in ((curve.set_point, "set-points"), (curve.emitted_w, "powers")):
        if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all() or np.any(np.diff(values) <= 0):
            raise CalibrationError(f"{what}: the {words} must be two or more finite numbers that rise")
    if len(curve.set_point) != len(curve.emitted_w):
        raise CalibrationError(f"{what}: {len(curve.set_point)} set-points and {len(curve.emitted_w)} powers")


def emitted_at(laser: str, curve: PowerCurve | None, set_point: float) -> float:
    """Power (W) at a set-point, between measured points. CalibrationError without a curve, LimitError outside it."""
    return _read_off(laser, curve, "set_point", set_point)


def set_point_for(laser: str, curve: PowerCurve | None, power_w: float) -> float:
    """Set-point that emits a power (W). CalibrationError without a curve, LimitError if it was not measured so far."""
    return _read_off(laser, curve, "emitted_w", power_w)


def _read_off(laser: str, curve: PowerCurve | None, known: str, value: float) -> float:
    if curve is None:
        raise CalibrationError(
            f"{laser}: no power curve is in force, so it is not known what the laser emits; measure one with `labctl "
            "calibrate`"
        )
    along, across = curve.set_point, curve.emitted_w
    if known == "emitted_w":
        along, across = across, along
    if not along[0] <= value <= along[-1]:
        raise LimitError(
            f"{laser}: {known} = {value:.6g} lies outside the measured {along[0]:.6g} to {along[-1]:.6g}; choose one "
            "within, or calibrate further"
        )
    return float(np.interp(value, along, across))

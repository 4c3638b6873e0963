"""A camera: from raw to corrected counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.correction.values import Dark, Flat, HotPixels
from drivers.errors import CalibrationError, LimitError
from drivers.settings import Value

if TYPE_CHECKING:
    from drivers.contract.values import ROI, Frame, FrameStack


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

"""Find the light that a panel sends to one place of the camera, or say where it went instead."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from calibration.superpixels import Shown, Spot
from calibration.wavefront_layouts import Station
from labctl.client import CalibrationError

Array = NDArray[np.float64]


def find_light(
    at: Station, search_px: int, shown: Shown, spot: Spot, window_rows: int = 1
) -> tuple[tuple[int, int], float]:
    """Camera pixel where the whole panel's light is brightest, and the exposure; the power is set.

    search_px: camera pixels either way within which it must be. window_rows: of the camera, where light is a line.
    CalibrationError that names the likely cause if it is not there.
    """
    shown.whole()
    reach = search_px + math.ceil(at.spot_px)
    row, column = (round(v) for v in at.planned)
    size = (window_rows if at.line else 2 * reach + 1), 2 * reach + 1
    spot.look(row, column, *size)
    try:
        exposure_s = spot.meter(0.5, 0.001)
        # So bright that single blocks, hundreds of times dimmer, fill the longest exposures.
        seen, wanted = at.switch.power, min(at.switch.power * exposure_s / (8 * spot.shortest_s), at.power)
        at.switch.power = wanted
        if at.switch.power < wanted / 2:  # less than a step of the laser's set-point is none
            at.switch.power = seen
        exposure_s = spot.meter(0.5, exposure_s)
    except CalibrationError as error:
        if "no light" in str(error):
            raise CalibrationError(f"{error}. {_elsewhere(at, spot, size)}") from None
        raise
    image = spot.take(2)
    top = _brightest(image, at)
    # Light that is further off belongs to a spot outside of what is looked at.
    off = (0 if at.line else spot.roi.row + top[0] - row), spot.roi.column + top[1] - column
    if _stands_out(image) < 4 or max(abs(v) for v in off) > search_px + 1:
        raise CalibrationError(
            f"no spot of light within {search_px} pixels of row {row}, column {column}. {_elsewhere(at, spot, size)}"
        )
    return (spot.roi.row + top[0], spot.roi.column + top[1]), exposure_s


def _brightest(image: Array, at: Station) -> tuple[int, int]:
    """Row and column in the image: of a line the middle row and its brightest column, smoothed over a spot."""
    width = max(1, round(at.spot_px / 2))
    even = np.ones(width) / width
    if at.line:
        return image.shape[0] // 2, int(np.convolve(image.mean(axis=0), even, mode="same").argmax())
    smooth = np.apply_along_axis(np.convolve, 1, image, even, mode="same")
    smooth = np.apply_along_axis(np.convolve, 0, smooth, even, mode="same")
    return tuple(int(v) for v in np.unravel_index(smooth.argmax(), image.shape))  # type: ignore[return-value]


def _stands_out(image: Array) -> float:
    """How many times brighter than most of the image its brightest part is."""
    least = max(float(np.median(image)), float(image.max()) * 1e-3, 1e-9)
    return float(np.sort(image.ravel())[-max(3, image.size // 500)]) / least


def _elsewhere(at: Station, spot: Spot, size: tuple[int, int]) -> str:
    """Look where the light might have gone; what that tells."""
    away = at.planned[0] - at.axis[0], at.planned[1] - at.axis[1]
    places = [("mirrored: an image is flipped, by a mirror more or less than planned", (1.0, -1.0))]
    if not at.line:
        places += [
            ("mirrored: an image is flipped, by a mirror more or less than planned", (-1.0, 1.0)),
            ("on the other side of the axis: the camera stands upside down", (-1.0, -1.0)),
        ]
    lens = "further out or in, as behind another lens: check the focal length"
    places += [(lens, (s, s)) for s in (0.6, 0.75, 1.25, 1.5)]
    axis_light = 0.0
    seen: list[tuple[float, str]] = []
    for words, (down, across) in [("", (0.0, 0.0)), *places]:
        row, column = at.axis[0] + down * away[0], at.axis[1] + across * away[1]
        try:
            spot.look(round(row), round(column), *size)
            spot.meter(0.5, 0.001)
            image = spot.take()
        except CalibrationError:
            continue
        brightness = float(image.max()) / float(spot.exposure_s)
        if not words:
            axis_light = brightness
        elif _stands_out(image) > 8:
            seen.append((brightness, words))
    if seen and max(seen)[0] > 3 * axis_light:
        return f"Light is found {max(seen)[1]}"
    if axis_light > 0:
        return (
            "Light stays at the zeroth order: the SLM does not show what it is sent (stuck, wrong display, wrong "
            "look-up table)"
        )
    return "There is none at the zeroth order either: check emission, shutters and beam blocks"

"""A lattice of spots on the camera: where they are, how bright each is, and which are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError

Array = NDArray[np.float64]

MISSING_SHARE = 0.15
"""Of the median spot's power, below which a spot is not there."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Spots in a region of the camera. planned: (n, 2) rows and columns in the region. matrix, shift: places are
    matrix @ (planned - middle of planned) + shift. places: (n, 2). residual_px: rms distance of spots from the fit."""

    planned: Array
    matrix: Array
    shift: Array
    residual_px: float

    @property
    def places(self) -> Array:
        """Rows and columns (n, 2) of the spots."""
        return np.asarray((self.planned - self.planned.mean(axis=0)) @ self.matrix.T + self.shift)

    @property
    def scale(self) -> float:
        """Of the image, against the plan."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))


def boxes(image: Array, places: Array, half_px: int) -> list[Array]:
    """Regions (2 half + 1 square) of an image around places (n, 2); CalibrationError if one leaves the image."""
    out = []
    for row, column in np.rint(places).astype(int):
        region = image[max(row - half_px, 0) : row + half_px + 1, max(column - half_px, 0) : column + half_px + 1]
        if region.shape != (2 * half_px + 1, 2 * half_px + 1):
            raise CalibrationError(
                f"a spot at row {row}, column {column} of the region lies at its border: the lattice leaves the "
                "camera, or is larger than planned; choose fewer spots or a smaller pitch"
            )
        out.append(region)
    return out


def powers(image: Array, places: Array, half_px: int) -> Array:
    """Counts (n,) of each spot above what lies around it: the sum of its box less the median of the box's rim."""
    found = []
    for region in boxes(image, places, half_px):
        rim = np.concatenate([region[0], region[-1], region[1:-1, 0], region[1:-1, -1]])
        found.append(region.sum() - np.median(rim) * region.size)
    return np.array(found)


def located(image: Array, planned: Array, half_px: int, residual_limit_px: float) -> Lattice:
    """Where a planned lattice (n, 2) is in an image: centroids within half_px, and the affine map that fits them.

    CalibrationError that names the likely cause where spots are missing or lie on no such lattice.
    """
    light = powers(image, planned, half_px)
    level = float(np.median(np.sort(light)[len(light) // 2 :]))
    there = light > MISSING_SHARE * level
    if level <= 0 or there.mean() < 0.75:
        raise CalibrationError(f"{int((~there).sum())} of {len(there)} spots are missing: {_which(planned, there)}")
    seen = []
    for region in boxes(image, planned[there], half_px):
        height = np.clip(region - np.median(region), 0, None)
        height[height < 0.3 * height.max()] = 0.0
        axis = np.arange(-half_px, half_px + 1)
        seen.append([height.sum(axis=1) @ axis, height.sum(axis=0) @ axis] / height.sum())
    centres = np.rint(planned[there]) + seen
    offsets = planned[there] - planned.mean(axis=0)
    terms = np.hstack([offsets, np.ones((len(offsets), 1))])
    solution, *_ = np.linalg.lstsq(terms, centres, rcond=None)
    residual = float(np.sqrt(((terms @ solution - centres) ** 2).sum(axis=1).mean()))
    if residual > residual_limit_px:
        raise CalibrationError(
            f"spots are {residual:.2f} pixels (rms) off a lattice: another lens than planned, a mirrored image, or "
            "spots that run into one another; check the focal length, or raise the pitch"
        )
    return Lattice(planned, solution[:2].T, solution[2], residual)


def _which(planned: Array, there: NDArray[np.bool_]) -> str:
    away = planned - planned.mean(axis=0)
    for axis, words in ((0, "rows"), (1, "columns")):
        low, high = there[away[:, axis] < 0], there[away[:, axis] > 0]
        if abs(low.mean() - high.mean()) > 0.4:
            side = "smaller" if low.mean() < high.mean() else "larger"
            return f"those towards {side} {words}, as behind an edge that covers part of the Fourier plane"
    outer = np.hypot(*away.T) > np.median(np.hypot(*away.T))
    if there[~outer].mean() - there[outer].mean() > 0.4:
        return "those far from the middle, as behind another lens or a stop; check the focal length"
    return "here and there: the SLM does not show what it is sent, or another light falls on the camera"

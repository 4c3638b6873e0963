"""The projector's image on the camera: a panel between polarisers before a lamp, which adds its light by power."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DeviceError
from drivers.frozen import fill
from simulators.worlds.condensates.parameters import CondensateParameters
from simulators.worlds.parts.sensor import Region
from simulators.worlds.parts.truth import Draws

Array = NDArray[np.float64]

_SETTLED_RAD = 2e-3


class Projector:
    """What the panel shows, and its image."""

    def __init__(self, p: CondensateParameters) -> None:
        self._p = p
        draws, h = Draws(p.seed), p.hidden
        self._shift = (
            h.projector_shift * draws.one("projector rows"),
            h.projector_shift * draws.one("projector columns"),
        )
        self._target: Array = np.zeros((p.projector.rows, p.projector.columns))
        self._before = self._target
        self._since_s = -math.inf
        self._known: tuple[Region, Array] | None = None

    def write(self, gray: NDArray[np.integer], row: int, column: int, time_s: float) -> None:
        """Gray levels (rows, columns), corner at (row, column). DeviceError if they do not fit."""
        rows, columns = gray.shape
        if row < 0 or column < 0 or row + rows > self._target.shape[0] or column + columns > self._target.shape[1]:
            raise DeviceError(
                f"projector: {rows}x{columns} levels at row {row}, column {column} do not fit its "
                f"{self._target.shape[0]}x{self._target.shape[1]} pixels"
            )
        self._before = self._phase(time_s)
        self._target = self._target.copy()
        turn = 256 if self._p.projector.levels is None else self._p.projector.levels
        self._target[row : row + rows, column : column + columns] = gray * (2 * math.pi / turn)
        self._since_s = time_s
        self._known = None

    def frozen(self) -> dict[str, Any]:
        """Its state as plain values."""
        return {"target": self._target, "before": self._before, "since_s": self._since_s}

    def thaw(self, kept: Any) -> None:
        """Go on from `frozen`. Raises ConfigurationError if it does not fit."""
        self._target, self._before = np.zeros_like(self._target), np.zeros_like(self._target)
        fill(self._target, kept["target"])
        fill(self._before, kept["before"])
        self._since_s, self._known = float(kept["since_s"]), None

    def _phase(self, time_s: float) -> Array:
        """Liquid crystals go to their targets exponentially, upwards faster."""
        p, passed = self._p.projector, time_s - self._since_s
        way = self._before - self._target
        slowest = max(p.rise_time, p.fall_time)
        if not way.any() or slowest == 0 or np.abs(way).max() * math.exp(-passed / slowest) < _SETTLED_RAD:
            return self._target
        left = [math.exp(-passed / tau) if tau > 0 else 0.0 for tau in (p.rise_time, p.fall_time)]
        return np.asarray(self._target + way * np.where(way < 0, left[0], left[1]))

    def on_camera(self, region: Region, time_s: float) -> Array:
        """Share (rows, columns) of the lamp's power on each pixel of a region at a moment."""
        if self._known is not None and self._known[0] == region:
            return self._known[1]
        phase = self._phase(time_s)
        image = self._image(phase, region)
        if phase is self._target:
            self._known = (region, image)
        return image

    def _image(self, phase: Array, region: Region) -> Array:
        p, c = self._p.projector, self._p.camera
        light = p.extinction + (1 - p.extinction) * np.sin(phase / 2) ** 2
        k = p.camera_pixels
        down, across = (np.linspace(-1, 1, n) for n in light.shape)
        corner = (down[:, None] ** 2 + across[None, :] ** 2) / 2
        light *= 1 - self._p.hidden.projector_vignetting * corner
        middle = (c.axis_row + p.row + self._shift[0], c.axis_column + p.column + self._shift[1])
        edges = []
        for axis, count in enumerate(light.shape):
            pixels = region[axis] + np.arange(region[2 + axis] + 1) - 0.5
            edges.append(np.clip((pixels - middle[axis]) / k + count / 2, 0, count))
        # Light between two edges, in projector pixels: differences of its running integral.
        total = np.zeros((light.shape[0] + 1, light.shape[1] + 1))
        total[1:, 1:] = light.cumsum(axis=0).cumsum(axis=1)
        by_row = _between(total, edges[0])
        image = np.diff(np.diff(_between(by_row.T, edges[1]).T, axis=0), axis=1)
        if p.blur:
            from scipy.ndimage import gaussian_filter  # a seventh of a second, which every process of a bench would pay

            image = gaussian_filter(image, p.blur, mode="constant")
        return np.asarray(image / light.size)


def _between(integral: Array, at: Array) -> Array:
    """Rows of a running integral, interpolated between its samples."""
    low = np.minimum(np.floor(at).astype(np.int64), len(integral) - 2)
    part = (at - low)[:, None]
    return np.asarray((1 - part) * integral[low] + part * integral[low + 1])

"""Vectors as they are shown: each as bright as the strip and its last frames allow, in plays that may be lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError
from protocols.domino.table.rig import Played, Rig

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_DIMMED = 0.8
_DIMMEST = 0.2
_LOST_IN_A_ROW = 50
"""Plays of which none came, after which nothing is waited for."""


class Shown:
    """Vectors of a loop, start by start. most: largest amplitude that the strip has."""

    def __init__(self, rig: Rig, most: float) -> None:
        self.rig, self.most = rig, most
        self._dim: Array | None = None
        self._lost_plays = 0

    def unit(self, psi: Complex) -> Array:
        """Field (starts,) that is shown by amplitude 1, such that the largest of psi (N, starts) is shown by ``most``,
        or by less where a frame of the same start has saturated."""
        if self._dim is None or len(self._dim) != psi.shape[1]:
            self._dim = np.ones(psi.shape[1])
        size = np.abs(psi).max(axis=0)
        return np.asarray(np.where(size > 0, size, 1.0) / (self.most * self._dim))

    def play(self, patterns: NDArray[np.float32]) -> Played | None:
        """Frames of the vectors, or None if one is lost; CalibrationError if that has been so for a long time."""
        result = self.rig.play(patterns)
        self._lost_plays = 0 if result is not None else self._lost_plays + 1
        if self._lost_plays > _LOST_IN_A_ROW:
            raise CalibrationError(
                f"{self._lost_plays} plays in a row lost frames: look at the camera's trigger and link"
            )
        if result is not None and self._dim is not None:
            full = result.full
            self._dim = np.where(full, np.maximum(_DIMMED * self._dim, _DIMMEST), np.minimum(1.0, 1.02 * self._dim))
        return result

"""Many patterns in one call: the patterns, when an SLM showed them, and what a detector saw of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import LimitError
from drivers.settings import Value


class Sequence(Value, frozen=True):
    """Many SLM patterns, sent as one base and the small patches in which they differ from it.

    Pattern k is ``base`` placed with its corner at ``base_origin``, with patches ``indices[offsets[k]:offsets[k+1]]``
    drawn over it; pixels outside the base keep what the SLM showed before.

    base: (rows, columns) phase, rad. patches: (n_patches, rows, columns) phase, rad, all of one shape and not
    overlapping one another where they are used together. patch_origins: (n_patches, 2) row and column on the SLM.
    """

    base: NDArray[np.floating[Any]]
    base_origin: tuple[int, int]
    patches: NDArray[np.floating[Any]]
    patch_origins: NDArray[np.int32]
    offsets: NDArray[np.int32]
    indices: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def validate(self, slm_rows: int, slm_columns: int) -> None:
        """Raise LimitError unless every pattern fits an SLM of this size and every index is in range."""
        if self.base.ndim != 2 or self.patches.ndim != 3 or self.patch_origins.shape != (len(self.patches), 2):
            raise LimitError(
                f"sequence: base {self.base.shape}, patches {self.patches.shape}, origins {self.patch_origins.shape}; "
                "needed are (rows, columns), (n, rows, columns), (n, 2)"
            )
        if not np.all(np.isfinite(self.base)) or not np.all(np.isfinite(self.patches)):
            raise LimitError("sequence: a phase is not finite")
        row, column = self.base_origin
        rows, columns = self.base.shape
        if row < 0 or column < 0 or row + rows > slm_rows or column + columns > slm_columns:
            raise LimitError(
                f"sequence: base of {rows}x{columns} at row {row}, column {column} does not fit the SLM's "
                f"{slm_rows}x{slm_columns} pixels"
            )
        _, height, width = self.patches.shape
        corner = np.array([slm_rows - height, slm_columns - width])
        outside = np.flatnonzero(np.any((self.patch_origins < 0) | (self.patch_origins > corner), axis=1))
        if outside.size:
            raise LimitError(
                f"sequence: patch {outside[0]} at {tuple(int(x) for x in self.patch_origins[outside[0]])} of "
                f"{height}x{width} pixels does not fit the SLM's {slm_rows}x{slm_columns}"
            )
        steps = np.diff(self.offsets)
        if len(self.offsets) < 2 or self.offsets[0] != 0 or np.any(steps < 0) or self.offsets[-1] != len(self.indices):
            raise LimitError("sequence: offsets must rise from 0 to the number of indices, one more than patterns")
        if self.indices.size and (self.indices.min() < 0 or self.indices.max() >= len(self.patches)):
            raise LimitError(f"sequence: a patch index is outside 0 to {len(self.patches) - 1}")


class SequenceTimes(Value, frozen=True):
    """What an SLM showed while it stepped through its memory: pattern ids, and when each was stable (bench ns)."""

    pattern_ids: NDArray[np.int64]
    stable_ns: NDArray[np.int64]


class SequenceResult(Value, frozen=True):
    """What a played sequence measured, one entry per pattern.

    signal: (n, n_windows) sums of camera counts over each window, or (n, 1) optical power in W from a photodetector.
    frames: (n, rows, columns) if they were asked for, else None. peak: largest count of each frame (power, in W).
    """

    signal: NDArray[np.float64]
    frames: NDArray[Any] | None
    pattern_ids: NDArray[np.int64]
    frame_ids: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    utc_start_ns: int
    exposure_s: float
    saturated: NDArray[np.int64]
    peak: NDArray[np.float64]
    lost: int

    def __repr__(self) -> str:
        n, windows = self.signal.shape
        frames = "no frames" if self.frames is None else f"frames of {self.frames.shape[1]} x {self.frames.shape[2]}"
        return (
            f"<{n} patterns in {windows} windows, {frames}, exposure {self.exposure_s * 1e3:.6g} ms, "
            f"{int(self.saturated.sum())} saturated, {self.lost} lost>"
        )

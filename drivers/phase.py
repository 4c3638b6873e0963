"""From phase in radians to the gray levels of an SLM: the one correction every backend applies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import LimitError

_BLOCK = 1 << 14
"""Pixels of a sequence that are worked on at a time: what is in between stays in the cache."""


def gray_levels(phase: NDArray[np.floating[Any]], levels: int) -> NDArray[Any]:
    """Nearest gray level of each phase (rad, any multiple of 2 pi), 0 to levels - 1.

    ``levels`` 0 stands for a continuous panel: real-valued gray of 0 to 256, unrounded. 256 or fewer levels come as
    uint8, more as uint16.
    """
    if levels == 0:
        wrapped_rad: NDArray[np.float64] = np.mod(np.asarray(phase, dtype=np.float64), 2 * math.pi)
        return wrapped_rad * (256 / (2 * math.pi))
    gray = np.empty(np.shape(phase), np.uint8 if levels <= 256 else np.uint16)
    flat, into = np.reshape(phase, -1), gray.reshape(-1)
    for first in range(0, len(flat), _BLOCK):
        steps = np.rint(flat[first : first + _BLOCK] * (levels / (2 * math.pi))).astype(np.int64)
        into[first : first + _BLOCK] = steps & (levels - 1) if levels & (levels - 1) == 0 else steps % levels
    return gray


def check_pattern(
    device: str, phase: NDArray[np.floating[Any]], row: int, column: int, panel_rows: int, panel_columns: int
) -> None:
    """Raise LimitError unless a pattern (rows, columns; rad) is finite and fits the panel at (row, column)."""
    if not isinstance(phase, np.ndarray) or phase.ndim != 2 or phase.dtype.kind != "f":
        found = f"{phase.dtype} {phase.shape}" if isinstance(phase, np.ndarray) else type(phase).__name__
        raise LimitError(f"{device}.write: a real array (rows, columns) of phase in rad is needed, not {found}")
    rows, columns = phase.shape
    if row < 0 or column < 0 or row + rows > panel_rows or column + columns > panel_columns:
        raise LimitError(
            f"{device}.write: a pattern of {rows}x{columns} at row {row}, column {column} does not fit the panel's "
            f"{panel_rows}x{panel_columns} pixels"
        )
    if not np.isfinite(phase).all():
        raise LimitError(f"{device}.write: the pattern holds a phase that is not finite")

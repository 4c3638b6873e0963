"""Strips of the photonic RBM's bands shown in signs: what interferes with what, and nothing else.

Parts of a strip shine at +1 (phase 0) or -1 (phase pi), and each pattern of a cycle turns some of them. With two
parts A and B and everything else on the table, light that no sign reaches, in D, the sum over the four patterns

    I(+,+) - I(+,-) - I(-,+) + I(-,-) = 8 Re(A B*)

has neither |A|^2 nor D in it. Both parts show the same two gray levels, so that an error of the look-up table scales
the sum and turns no phase in it, but for the difference of its error between the two places.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Sequence

STRIPE = 8
"""Columns of a stripe of the dark pattern: wide, since fringing fields let 1-pixel checkers leak half of the field."""

PRODUCT = np.array([1.0, -1.0, -1.0, 1.0])
"""Signs of the four patterns of `two_part_cycle` in the sum that is 8 Re(A B*)."""


DARK_TURNS = (0.0, 0.5, 1.0, 0.5)
"""Of the stripes one after the other, in turns.

Where a phase of phi is really phi (1 + e), by flicker or an error of the look-up table, stripes of 0 and pi leave
i pi e / 2 of the field on the axis. Two such pairs of these leave opposite ones, and so only (pi e / 2)^2.
"""


def dark_stripes(rows: int, columns: int) -> NDArray[np.float64]:
    """Phases (rows, columns) of stripes of `DARK_TURNS`: their light goes to orders far from the axis.

    A whole turn is shown as 255 of 256 levels, which drivers do not wrap to 0.
    """
    stripe = np.minimum(np.array(DARK_TURNS), 255 / 256)[np.arange(columns) // STRIPE % len(DARK_TURNS)]
    return np.broadcast_to(2 * math.pi * stripe, (rows, columns)).astype(np.float64)


def signed_cells(
    panel: tuple[int, int], parts: list[list[tuple[int, int]]], shape: tuple[int, int], signs: NDArray[np.integer[Any]]
) -> Sequence:
    """One pattern per row of ``signs`` (patterns, parts): +1 or -1 of every part, on a panel dark elsewhere.

    panel: its rows and columns. parts: corners (row, column) of cells of ``shape`` rows and columns.
    """
    base = dark_stripes(*panel)
    rows, columns = shape
    corners = [corner for part in parts for corner in part]
    for row, column in corners:
        base[row : row + rows, column : column + columns] = 0.0
    ends = np.cumsum([0, *(len(part) for part in parts)])
    frames = [
        np.concatenate([np.arange(ends[k], ends[k + 1]) for k in np.flatnonzero(row < 0)] or [np.empty(0, np.int64)])
        for row in signs
    ]
    return Sequence(
        base=base,
        base_origin=(0, 0),
        patches=np.broadcast_to(np.full((1, *shape), math.pi), (len(corners), *shape)),
        patch_origins=np.array(corners, np.int32),
        offsets=np.concatenate([[0], np.cumsum([len(f) for f in frames])]).astype(np.int32),
        indices=np.concatenate(frames).astype(np.int32),
    )


def two_part_cycle(
    panel: tuple[int, int],
    part_a: list[tuple[int, int]],
    part_b: list[tuple[int, int]],
    shape: tuple[int, int],
    repeats: int,
) -> Sequence:
    """Patterns (+,+), (+,-), (-,+), (-,-) of parts A and B, ``repeats`` times in turn; see `signed_cells`."""
    cycle = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
    return signed_cells(panel, [part_a, part_b], shape, np.tile(cycle, (repeats, 1)))

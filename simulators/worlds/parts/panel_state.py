"""A panel's state as plain values, and back: targets, pixels in motion, the sequence that is being shown.

Who listens to a panel keeps what it made of it by itself; listeners are not told here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.frozen import fill, owned, unlike, within
from simulators.worlds.parts.panel import Panel
from simulators.worlds.parts.panel_sequence import LoadedSequence


def frozen_panel(panel: Panel, sequence_over: bool = False) -> dict[str, Any]:
    """For `thaw_panel`. sequence_over: the sequence was played, and will be loaded anew before it is again."""
    s = None if sequence_over else panel._sequence
    sequence = s and {
        "base": s.base,
        "base_origin": [int(n) for n in s.base_origin],
        "patches": s.patches,
        "origins": s.origins,
        "active": s.active,
        "under": s.under,
    }
    moving = slice(panel.moving)
    return {
        "phase": panel.phase,
        "places": panel.places[moving],
        "motions": panel.motions[moving],
        "sequence": sequence,
    }


def thaw_panel(panel: Panel, kept: Any) -> int:
    """Bring a panel to a state; how many patches its sequence has. Raises ConfigurationError if it does not fit."""
    rows, columns = panel.phase.shape
    places, motions = owned(kept["places"], np.int32, 2), owned(kept["motions"], np.float64, 2)
    if places.shape != (len(motions), 2) or motions.shape[1] != 6 or len(motions) > panel.phase.size:
        raise unlike(f"{len(motions)} motions of {places.shape[0]} pixels of a panel")
    within(places[:, 0], 0, rows)
    within(places[:, 1], 0, columns)
    sequence = _sequence(kept["sequence"], rows, columns)
    fill(panel.phase, kept["phase"])
    panel.moving = 0
    panel._make_room(len(motions))
    panel._slots[:] = -1
    panel._slots[places[:, 0], places[:, 1]] = np.arange(len(places))
    panel.places[: len(places)], panel.motions[: len(motions)] = places, motions
    panel.moving = len(motions)
    panel._sequence = sequence
    return 0 if sequence is None else len(sequence.patches)


def _sequence(kept: Any, rows: int, columns: int) -> LoadedSequence | None:
    if kept is None:
        return None
    base, patches = owned(kept["base"], np.float64, 2), owned(kept["patches"], np.float64, 3)
    origins, active = owned(kept["origins"], np.int32, 2), owned(kept["active"], np.bool_, 1)
    row, column = (int(n) for n in kept["base_origin"])
    if min(row, column) < 0 or row + base.shape[0] > rows or column + base.shape[1] > columns:
        raise unlike(f"a base of {base.shape} at {row}, {column} of a panel of {rows}x{columns}")
    if origins.shape != (len(patches), 2) or len(active) != len(patches):
        raise unlike(f"{len(patches)} patches with {len(origins)} places")
    within(origins[:, 0], 0, rows - patches.shape[1] + 1)
    within(origins[:, 1], 0, columns - patches.shape[2] + 1)
    made = LoadedSequence(base, (row, column), patches, origins)
    made.active = active
    if kept["under"] is not None:
        made.under = np.empty_like(patches)
        fill(made.under, kept["under"])
    return made


def checked_slides(kept: Any, patches: int) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
    """Offsets and indices of a loaded sequence, which has so many patches. Raises ConfigurationError."""
    if kept is None:
        return None
    offsets, indices = (owned(part, np.int32, 1) for part in kept)
    within(indices, 0, patches)
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(indices) or np.any(np.diff(offsets) < 0):
        raise unlike("offsets of patterns do not rise from 0 to the number of indices")
    return offsets, indices

"""A sequence of patterns on a panel: a base, and patches that are drawn over it and undrawn again."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.worlds.parts.gray_table import GrayTable

MOST_AT_ONCE = 1 << 20
"""Pixels of a sequence's patches of which phases are kept; of more, they are looked up for each pattern."""


class Patterns(NamedTuple):
    """A loaded sequence: `drivers.contract.Sequence` as gray-level phases, and what the base shows under each patch."""

    offsets: NDArray[np.int32]
    indices: NDArray[np.int32]
    origins: NDArray[np.int32]
    patches: NDArray[np.float64]
    under: NDArray[np.float64]
    active: NDArray[np.bool_]
    overlap: bool


@kernel
def patch_changes(active: NDArray[np.bool_], wanted: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Patches to undraw and to draw so that exactly the wanted ones are shown; ``active`` is brought up to date."""
    n = len(active)
    keep = np.zeros(n, np.bool_)
    for k in wanted:
        keep[k] = True
    undrawn, drawn = np.empty(n, np.int64), np.empty(n, np.int64)
    gone = new = 0
    for k in range(n):
        if active[k] and not keep[k]:
            undrawn[gone] = k
            gone += 1
        elif keep[k] and not active[k]:
            drawn[new] = k
            new += 1
        active[k] = keep[k]
    return undrawn[:gone], drawn[:new]


@kernel
def gather(
    origins: NDArray[np.int32],
    under: NDArray[np.float64],
    undrawn: NDArray[np.int64],
    patches: NDArray[np.float64],
    drawn: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Origins (n, 2) and phases (n, rows, columns) of patches to undraw, then to draw."""
    first = len(undrawn)
    n = first + len(drawn)
    _, height, width = patches.shape
    at = np.empty((n, 2), np.int32)
    values = np.empty((n, height, width))
    for i in range(n):
        k = undrawn[i] if i < first else drawn[i - first]
        source = under if i < first else patches
        at[i, 0] = origins[k, 0]
        at[i, 1] = origins[k, 1]
        for r in range(height):
            for c in range(width):
                values[i, r, c] = source[k, r, c]
    return at, values


@kernel
def uncovered(origins: NDArray[np.int32], undrawn: NDArray[np.int64], drawn: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of patches that are undrawn, those in whose place none is drawn."""
    keep = np.ones(len(undrawn), np.bool_)
    for i in range(len(undrawn)):
        row, column = origins[undrawn[i], 0], origins[undrawn[i], 1]
        for k in drawn:
            if origins[k, 0] == row and origins[k, 1] == column:
                keep[i] = False
    return undrawn[keep]


@kernel
def _any_overlap(origins: NDArray[np.int32], height: int, width: int) -> bool:
    """Whether two patches share a pixel."""
    if len(origins) == 0:
        return False
    top, left = origins[:, 0].min(), origins[:, 1].min()
    taken = np.zeros((origins[:, 0].max() - top + height, origins[:, 1].max() - left + width), np.bool_)
    for k in range(len(origins)):
        for r in range(origins[k, 0] - top, origins[k, 0] - top + height):
            for c in range(origins[k, 1] - left, origins[k, 1] - left + width):
                if taken[r, c]:
                    return True
                taken[r, c] = True
    return False


class LoadedSequence:
    """A sequence, and what of it is shown.

    patches: (n, rows, columns) phases, rad; with a ``table``, its gray levels: phases of many large patches take more
    memory than anything else, and are looked up for each pattern by itself.
    """

    def __init__(
        self,
        base: NDArray[np.float64],
        base_origin: tuple[int, int],
        patches: NDArray[Any],
        origins: NDArray[np.int32],
        table: GrayTable | None = None,
    ) -> None:
        self.base = base
        self.base_origin = base_origin
        self.origins = origins
        self._given, self._table = patches, table
        self.active = np.zeros(len(patches), np.bool_)
        self.overlap = _any_overlap(origins, patches.shape[1], patches.shape[2])
        self._ground: NDArray[np.float64] | None = None
        self._under: NDArray[np.float64] | None = None

    @property
    def begun(self) -> bool:
        """Whether the base was shown."""
        return self._ground is not None or self._under is not None

    def keep_ground(self, panel: NDArray[np.float64]) -> None:
        """The base alone is shown by the ``panel``, rad; where patches are few, what is under them is all one needs."""
        if self._table is None:
            self._under = self._cut(panel, self.origins)
        else:
            self._ground = panel.copy()

    @property
    def patches(self) -> NDArray[np.float64]:
        """Phases (n, rows, columns)."""
        if self._table is not None:
            self._given, self._table = self._table.patch_phases(self._given, self.origins), None
        return self._given

    @property
    def under(self) -> NDArray[np.float64] | None:
        """What the base shows under each patch, as ``patches``; None before it was shown."""
        if self._under is None and self._ground is not None:
            self._under = self._cut(self._ground, self.origins)
        return self._under

    @under.setter
    def under(self, phases: NDArray[np.float64] | None) -> None:
        self._under = phases

    def _grounds(self, which: NDArray[np.int64]) -> NDArray[np.float64]:
        if self._under is not None:
            return self._under[which]
        assert self._ground is not None
        return self._cut(self._ground, self.origins[which])

    def _cut(self, panel: NDArray[np.float64], origins: NDArray[np.int32]) -> NDArray[np.float64]:
        height, width = self._given.shape[1:]
        out = np.empty((len(origins), height, width))
        for k, (r, c) in enumerate(origins):
            out[k] = panel[r : r + height, c : c + width]
        return out

    def changes(
        self, undrawn: NDArray[np.int64], drawn: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Origins (n, 2) and phases (n, rows, columns) of patches to undraw, then to draw; the base was shown."""
        if self._table is None:
            under = self.under
            assert under is not None
            return gather(self.origins, under, undrawn, self._given, drawn)
        at, new = self.origins[np.concatenate([undrawn, drawn])], self.origins[drawn]
        shown = self._table.patch_phases(self._given[drawn], new)
        return at, np.concatenate([self._grounds(undrawn), shown]) if len(undrawn) else shown

"""How well images are told apart, and how much better one network does so than another on the same images."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.nep.learning import Learner
from protocols.nep.loop import Loop
from simulators.physics.sheet.equation import Array, Complex

NONE = -1
"""Answer to an image that has no steady state to rely on."""
_AT_ONCE = 250


class Answers(NamedTuple):
    """cell: (n,) the brightest, or `NONE`. g_rho_over_gamma: mean over images, cells and nodes."""

    cell: NDArray[np.int64]
    g_rho_over_gamma: float

    @property
    def unsettled(self) -> int:
        """Images without an answer."""
        return int((self.cell == NONE).sum())


def answers(loop: Loop, learner: Learner, X: Complex) -> Answers:
    """Of images X (n, K)."""
    network, sheet = learner.network, loop.sheet
    cells, density, count = [], 0.0, 0
    for first in range(0, len(X), _AT_ONCE):
        found = loop.measure(learner.V, network.pumps(learner.w, X[first : first + _AT_ONCE]))
        brightest = found.outputs(network.outputs, sheet).argmax(axis=1)
        cells.append(np.where(found.good, brightest, NONE))
        seen = found.density[found.good].reshape(int(found.good.sum()), -1)[:, network.inputs]
        density, count = density + float(seen.sum()), count + seen.size
    gamma = float(np.mean(sheet.gamma))
    return Answers(np.concatenate(cells), sheet.g * density / max(count, 1) / gamma)


def confusion(cell: NDArray[np.int64], wanted: NDArray[np.int64], cells: int) -> NDArray[np.int64]:
    """Images by their cell and the one that answered (cells, cells); those without an answer are in none."""
    counts = np.zeros((cells, cells), np.int64)
    settled = cell != NONE
    np.add.at(counts, (wanted[settled], cell[settled]), 1)
    return counts


def share_right(right: NDArray[np.bool_]) -> tuple[float, float]:
    """Share of images (n,) and its binomial standard error."""
    share = float(right.mean())
    return share, math.sqrt(share * (1 - share) / len(right))


def paired_difference(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[float, float]:
    """By how much the share of ``right`` (n,) is larger than that of ``other`` on the same images, and its standard
    error: only images on which they differ count (McNemar, Psychometrika 12, 153 (1947))."""
    change: Array = right.astype(np.float64) - other.astype(np.float64)
    return float(change.mean()), float(change.std() / math.sqrt(len(change)))

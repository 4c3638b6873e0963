"""What one frame of every start tells, and what the loop needs of whatever forms it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Measured:
    """Of fields (N, starts) that were shown, in their units.

    v: (N, starts) sum_j W_ij psi_j. total: (starts,) sum_i psi_i. came: (starts,) whether there was a frame. locked:
    (starts,) whether the light was that of the fields that were written; the rest of a frame is not to be used where it
    was not. phase_var: (starts,) mean square of the phases, weighted by power, by which light at the sites differs from
    what was written, that of measurement's noise taken off, rad^2. visibility: (starts,) of the fringes, 1 at first.
    """

    v: Complex
    total: Complex
    came: Bools
    locked: Bools
    phase_var: Array
    visibility: Array


class Optics(Protocol):
    """Forms W psi and the total field."""

    def measure(self, psi: Complex) -> Measured:
        """Show fields (N, starts), a frame for each start, and read them."""


def nothing(nodes: int, count: int) -> Measured:
    """Where no frame came."""
    zero, off = np.zeros(count), np.zeros(count, np.bool_)
    v = np.zeros((nodes, count), np.complex128)
    return Measured(v, zero.astype(np.complex128), off, np.ones(count, np.bool_), zero, zero)


def looked_at(optics: Optics, psi: Complex) -> Measured:
    """`measure`, again where a frame is lost. Raises CalibrationError if frames are lost time and again."""
    for _ in range(5):
        found = optics.measure(psi)
        if found.came.all():
            return found
    raise CalibrationError("plays lose frames time and again: look at the camera's trigger and link")

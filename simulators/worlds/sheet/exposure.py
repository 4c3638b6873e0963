"""What is noted of an exposure when it begins: the light of many is worked out together afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Shown(NamedTuple):
    """Phases (rows, columns), rad, of the pump's panel, times ``scale``, in light of so large an amplitude."""

    phase: NDArray[np.float32]
    scale: float
    size: float


@dataclass(frozen=True, eq=False)
class Exposure:
    """What acts on the sheet in one exposure. weights: (instants,); shown: what the pump's panel shows in each;
    potential: (instants, rows, columns) V of the mesa."""

    number: int
    start_s: float
    duration_s: float
    reference_w: float
    weights: NDArray[np.float64]
    shown: list[Shown]
    potential: NDArray[np.complex128]


class Pictures:
    """Mean photoelectrons (rows, columns) of some exposures, each worked out when it is asked for: by whoever reads it
    out, so that it needs no memory beyond that."""

    def __init__(self, count: int, see: Callable[[int], NDArray[np.float64]]) -> None:
        self._count, self._see = count, see

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, k: int) -> NDArray[np.float64]:
        return self._see(range(self._count)[k])

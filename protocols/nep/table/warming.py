"""What a loop by light computes with is compiled before it has control: that may take longer than a lease."""

from __future__ import annotations

import numpy as np

from protocols.nep.table.alignment import NepAlignment
from protocols.nep.table.encoding import PumpMacros
from protocols.nep.table.reading import Reader

_LEVELS = 256


def warm_up(plan: NepAlignment) -> None:
    """Write and read once, in thought. Nothing to do where it was compiled before."""
    pump = PumpMacros(plan, 8, 8, _LEVELS)
    pump.patterns(np.zeros((1, *plan.places), np.complex128))
    pump.law.amplitude(np.zeros((4, 1, *plan.places)))
    reader = Reader(
        np.zeros((1, 2), np.int64), np.zeros((1, 2, 2), np.complex64), np.zeros(1, np.complex128), (1, 1)
    )  # fmt: skip
    for kind in ("u2", "f8"):
        frames = np.zeros((1, 2, 2), kind)
        reader.fields(frames)
        frames.setflags(write=False)  # as frames in shared memory are
        reader.fields(frames)

"""Standard normal numbers addressed by (seed, trajectory, step, unit): a trajectory does not depend on its batch.

The 128 bits of `simulators.physics.counter_random.philox` make four numbers, by Box and Muller in single precision, for
four units in a row. The largest is 6.8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.counter_random import absorbed_philox

GROUP = 4
"""Units whose numbers are drawn together."""

_LOW = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_TO_UNIT = np.float32(2.0**-32)
_HALF_STEP = np.float32(2.0**-33)
_EIGHTH = np.uint32(1 << 29)
_ONE, _TWO = np.uint32(1), np.uint32(2)
_TO_RADIANS = np.float32(0.5 * np.pi * 2.0**-30)


def normals(key: np.uint64, step: int, first_trajectory: int, trajectories: int, units: int) -> NDArray[np.float32]:
    """Numbers (trajectories, units) of one step."""
    out = np.empty((-(-units // GROUP) * GROUP, trajectories), np.float32)
    for group in range(len(out) // GROUP):
        fill_normals(key, group, step, first_trajectory, out[group * GROUP : (group + 1) * GROUP])
    return np.ascontiguousarray(out[:units].T)


@kernel
def fill_normals(key: np.uint64, group: int, step: int, first_trajectory: int, out: NDArray[np.float32]) -> None:
    """Numbers (4, trajectories) of units 4 group to 4 group + 3, in place; written so that many run side by side."""
    count = out.shape[1]
    bits = out.view(np.uint32)
    signed = out.view(np.int32)
    for i in range(count):
        u, v = absorbed_philox(key, group, step, first_trajectory + i, 0)
        bits[0, i], bits[1, i], bits[2, i], bits[3, i] = u & _LOW, u >> _S32, v & _LOW, v >> _S32
    for pair in range(0, GROUP, 2):
        for i in range(count):  # radius of the pair, from the logarithm of a uniform number m 2^e, m about 1
            out[pair, i] = np.float32(bits[pair, i]) * _TO_UNIT + _HALF_STEP
        for i in range(count):
            shifted = np.int32(signed[pair, i] - np.int32(0x3F3504F3))
            e = np.float32(np.int32(shifted >> np.int32(23)))
            signed[pair, i] = (shifted & np.int32(0x7FFFFF)) + np.int32(0x3F3504F3)
            x = out[pair, i] - np.float32(1.0)
            z = x * x
            y = np.float32(7.0376836292e-2) * x - np.float32(1.1514610310e-1)
            y = y * x + np.float32(1.1676998740e-1)
            y = y * x - np.float32(1.2420140846e-1)
            y = y * x + np.float32(1.4249322787e-1)
            y = y * x - np.float32(1.6668057665e-1)
            y = y * x + np.float32(2.0000714765e-1)
            y = y * x - np.float32(2.4999993993e-1)
            y = y * x + np.float32(3.3333331174e-1)
            y = y * x * z - np.float32(0.5) * z - np.float32(2.12194440e-4) * e
            square = np.float32(-2.0) * (x + y + np.float32(0.693359375) * e)
            radius = np.sqrt(square if square > np.float32(0.0) else np.float32(0.0))
            # angle: the nearest quarter turn, and what is left of it, both modulo a whole one
            angle = bits[pair + 1, i]
            turn = np.uint32(np.uint32(angle + _EIGHTH) >> np.uint32(30))
            rest = np.int32(np.uint32(angle - np.uint32(turn << np.uint32(30))))
            x = np.float32(rest) * _TO_RADIANS
            z = x * x
            s = np.float32(-1.9515295891e-4) * z + np.float32(8.3321608736e-3)
            s = x + x * z * (s * z - np.float32(1.6666654611e-1))
            c = np.float32(2.443315711809948e-5) * z - np.float32(1.388731625493765e-3)
            c = np.float32(1.0) - np.float32(0.5) * z + z * z * (c * z + np.float32(4.166664568298827e-2))
            cosine = s if turn & _ONE else c
            sine = c if turn & _ONE else s
            out[pair, i] = radius * (-cosine if (turn + _ONE) & _TWO else cosine)
            out[pair + 1, i] = radius * (-sine if turn & _TWO else sine)

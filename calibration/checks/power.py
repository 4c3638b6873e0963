"""Does the source still emit what its power curve says?"""

from __future__ import annotations

import math

import numpy as np

from calibration.checks import unchanged
from labctl.client import Calibration, Check, LimitError

SCATTER = 2e-3
"""Of a reading, relative, where no stability is in force: the slow noise of a supercontinuum (optical-table.md)."""


def set_points(curve: Calibration, most: float) -> list[float]:
    """Two of the curve's own, the highest that the bench allows and one near half of that. LimitError without one."""
    allowed = curve["set_point"][curve["set_point"] <= most * (1 + 1e-9)]
    if not len(allowed):
        raise LimitError(
            f"the bench limits the power to {most:.1%}, and the power curve begins at {curve['set_point'].min():.1%}: "
            "measure it anew, with a lower `lowest`"
        )
    highest = float(allowed.max())
    return sorted({float(allowed[np.argmin(np.abs(allowed - highest / 2))]), highest})


def compare(
    curve: Calibration,
    stability: Calibration | None,
    readings: list[tuple[float, float, float]],
    time_s: float,
    allowed: float,
) -> tuple[Check, ...]:
    """readings: set-point, emitted power and its noise (W). time_s: bench time. allowed: change, relative.

    A source that has just been switched on may lack what the calibration saw missing when it began to watch.
    """
    scatter = SCATTER if stability is None else stability.number("reading_scatter")
    checks = []
    for set_point, power_w, noise_w in readings:
        k = int(np.argmin(np.abs(curve["set_point"] - set_point)))
        then_w, error_w = float(curve["emitted_w"][k]), float(curve.uncertainty("emitted_w")[k])
        error = math.hypot(error_w / then_w, noise_w / power_w, scatter) if power_w > 0 else 0.0
        name = f"power at {set_point:.3g}, relative change"
        checks.append(unchanged(name, power_w / then_w - 1, error, allowed, below=_cold(stability, time_s)))
    return tuple(checks)


def _cold(stability: Calibration | None, time_s: float) -> float:
    if stability is None:
        return 0.0
    began_s = stability.conditions["watch_began"].number
    missing, warms_s = stability.number("warm_up_missing"), stability.number("warm_up_time_s")
    return float(np.clip(missing * math.exp(-(time_s - began_s) / warms_s), 0.0, 2 * max(missing, 0.0)))

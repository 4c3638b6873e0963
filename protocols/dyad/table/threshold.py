"""The pump's power in units of the lattice's threshold, from the light of single pulses against their power."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from labctl.client import CalibrationError

Array = NDArray[np.float64]

_POWERS = 14
_DEAREST = 4.0
"""Powers go so far beyond the threshold."""


@dataclass(frozen=True, eq=False)
class Threshold:
    """power_w: at which dyads begin to condense, in the lattice's mean. power_sd_w: its standard deviation. leak:
    electrons per W of the pump's own light at a site. scanned_w, electrons: what was measured, per site and shot."""

    power_w: float
    power_sd_w: float
    leak: float
    scanned_w: Array
    electrons: Array


def find_threshold(light: Callable[[float], float], least_w: float, most_w: float, lowest_w: float = 0.0) -> Threshold:
    """Scan the pump. light: mean electrons per site and shot at a power, W. least_w: to begin with. lowest_w: that the
    laser can be set to.

    Raises CalibrationError if nothing condenses up to most_w.
    """
    first = max(light(least_w), 1e-9) / least_w
    power = least_w
    while light(power) / power < 3 * first:
        power *= 1.5
        if power > most_w:
            raise CalibrationError(
                f"no condensates up to {most_w:.3g} W of the pump: check its spots and the sample, or raise its limit"
            )
    scanned = np.linspace(max(0.25 * power, lowest_w), min(_DEAREST / 2 * power, most_w), _POWERS)
    return fitted(scanned, np.array([light(float(p)) for p in scanned]))


def fitted(power_w: Array, electrons: Array) -> Threshold:
    """Threshold of light (k,) against power (k,).

    Above threshold a condensate's density rises as the power does, while a pulse stays (first term) and while it rises
    and falls (second): E = l P + a (P - P_t) + b (P - P_t)^2 / P, with none of a, b, l below 0.
    """
    trials = np.linspace(power_w[0], power_w[-2], 400)
    cost = np.empty(len(trials))
    leaks = np.empty(len(trials))
    for k, threshold in enumerate(trials):
        above = np.maximum(power_w - threshold, 0.0)
        terms = np.stack([power_w, above, above**2 / power_w], axis=1)
        found, rest = nnls(terms, electrons)
        cost[k], leaks[k] = rest**2, found[0]
    best = int(cost.argmin())
    noise = max(float(cost[best]) / max(len(power_w) - 4, 1), 1e-12)
    near = trials[cost < cost[best] + noise]
    step = trials[1] - trials[0]
    sd = max(float(near[-1] - near[0]) / 2, step / 2)
    return Threshold(float(trials[best]), sd, float(leaks[best]), power_w, electrons)

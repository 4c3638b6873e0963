"""A laser's power brought up step by step, stoppable at any moment."""

from __future__ import annotations

import math
from collections.abc import Callable

from drivers.contract import Device


def climb(
    device: Device,
    setting: str,
    target: float,
    rate: float,
    step_s: float,
    tell: Callable[[float], None],
    pause: Callable[[float], None],
    still: Callable[[], None],
) -> None:
    """Raise a set-point from where it is to ``target``, by at most ``rate`` in a second.

    tell: the power, before it is told. pause: waits. still: raises if it is to go no further; before every step.
    """
    start = float(getattr(device, setting))
    steps = math.ceil((target - start) / (rate * step_s) - 1e-9)
    for k in range(1, steps + 1):
        pause(step_s)
        still()
        at = target if k == steps else start + k * rate * step_s
        tell(at)
        setattr(device, setting, at)


def lowest(device: Device, setting: str) -> float:
    """Where a rise begins when the light comes on."""
    minimum = device.limits(setting).minimum
    return 0.0 if minimum is None else minimum

"""Pump lasers of a world: what each head is, and the fields of the shared state that its device writes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class PumpHead(NamedTuple):
    """A laser of one colour: wavelength, highest power and the step in which it is set.

    tripped: its interlock is open, and it accepts no emission.
    """

    wavelength_m: float
    highest_w: float
    step_w: float
    tripped: bool = False


SPROUT = PumpHead(532e-9, 18.0, 0.01)
"""A Sprout-G (data sheet)."""


def pump_controls(port: str) -> list[tuple[str, Any]]:
    """Fields of the shared state of the pump at a port: the power it emits now, and whether it does."""
    return [(f"{port}_power_w", np.float64), (f"{port}_emission", np.bool_)]

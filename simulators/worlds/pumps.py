"""Pump lasers of a world: what each head is, and the fields of the shared state that its device writes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class PumpHead(NamedTuple):
    """A laser of one colour: wavelength, highest power and the step in which it is set.

    tripped: its interlock is open, and it accepts no emission. modulation: what its modulator can do, of `MODULATIONS`.
    """

    wavelength_m: float
    highest_w: float
    step_w: float
    tripped: bool = False
    modulation: tuple[str, ...] = ("cw",)


MODULATIONS = ("cw", "pulsed", "external")
"""By the number that stands for each in the shared state."""

SPROUT = PumpHead(532e-9, 18.0, 0.01)
"""A Sprout-G (data sheet)."""


def pump_controls(port: str) -> list[tuple[str, Any]]:
    """Fields of the shared state of the pump at a port: the power it emits now, whether it does, and how modulated."""
    return [(f"{port}_power_w", np.float64), (f"{port}_emission", np.bool_), (f"{port}_modulation", np.uint8)]

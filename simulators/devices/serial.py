"""Serial numbers of simulated instruments: another seed is another table, for which calibrations do not hold."""

from __future__ import annotations

from typing import Any


def serial_number(what: str, world: Any) -> str:
    """Of the instrument ``what`` on a world: ``sim-slm-7`` on one whose seed is 7, ``sim-slm`` where nothing is
    drawn."""
    seed = getattr(world.parameters, "seed", None)
    return f"sim-{what}" if seed is None else f"sim-{what}-{seed}"

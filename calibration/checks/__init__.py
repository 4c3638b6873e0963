"""Short checks of what routines found: is it still so? Each compares a few frames with a calibration in force."""

from __future__ import annotations

from labctl.client import Check

SIGMAS = 3.0
"""Standard uncertainties of a difference that chance may make: it exceeds them once in 370 checks where nothing moved,
and seldomer with what is allowed besides."""


def unchanged(name: str, difference: float, error: float, allowed: float, unit: str = "1", below: float = 0.0) -> Check:
    """That a difference, now less then, is what chance and an allowance make it.

    error: its standard uncertainty, of both measurements. allowed: by which the value may change and still be good
    enough. below: allowed downwards besides.
    """
    bound = allowed + SIGMAS * error
    return Check(name=name, value=float(difference), unit=unit, low=-bound - below, high=bound)

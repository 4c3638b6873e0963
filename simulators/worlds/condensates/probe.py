"""The probe: a weak beam that shifts g where it lands on the sample, by the optical Stark effect.

It is red of the excitons, so that it makes no carriers and feeds no condensate, and a filter keeps it from the camera.
Who aligns it aims it at the condensate next to the place that is stated, by its steering mirror.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulators.worlds.condensates.parameters import CondensateParameters
from simulators.worlds.condensates.sites import Sites
from simulators.worlds.parts.truth import Draws

Array = NDArray[np.float64]


def disturbed(p: CondensateParameters, sites: Sites, probe_w: float) -> Sites:
    """The sites while the probe has some power."""
    if not probe_w or not len(sites.places):
        return sites
    return replace(sites, g=sites.g + probe_w * shift_per_w(p, sites.places))


def shift_per_w(p: CondensateParameters, places: Array) -> Array:
    """Change of g (sites,) per W of the probe at sites (sites, 2), camera pixels."""
    middle = _middle(p, places)
    away_m2 = ((places - middle) ** 2).sum(axis=1) * p.sample_pixel_m**2
    return np.asarray(p.probe.shift * np.exp(-2 * away_m2 / p.probe.radius**2))


def _middle(p: CondensateParameters, places: Array) -> Array:
    """Where the probe lands (2,), camera pixels."""
    mesa, probe = p.sample.mesa, p.probe
    row = mesa.row if probe.row is None else probe.row
    column = mesa.column if probe.column is None else probe.column
    middle = np.array([p.camera.axis_row + row, p.camera.axis_column + column])
    if probe.aim == "site":
        middle = places[((places - middle) ** 2).sum(axis=1).argmin()]
    draws = Draws(p.seed)
    way, far_m = draws.one("probe direction", 0, 2 * math.pi), p.hidden.probe_miss * draws.one("probe miss", 0, 1)
    return np.asarray(middle + far_m / p.sample_pixel_m * np.array([math.cos(way), math.sin(way)]))

"""The hidden sheet: what the hologram table hides, and what sample, second panel and images have besides.

Drawn as `simulators.worlds.parts.truth` draws; no operation of the world returns it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.physics.counter_random import noise_key
from simulators.worlds.hologram.truth import HiddenTable, hidden_table, with_common_path
from simulators.worlds.parts.truth import HOUR_S, Draws, PanelTruth, panel_truth
from simulators.worlds.sheet.parameters import SheetParameters


class Image(NamedTuple):
    """Of a panel on the sheet: shift (rows, columns) in nodes, and scale, 1 by plan."""

    shift: tuple[float, float]
    scale: float


@dataclass(frozen=True, eq=False)
class SheetTruth:
    """light: of pump panel, beam, camera, reference and drive. projector: of the potential's panel. disorder: (rows,
    columns) of the mesa, E0. gamma: loss. detuning_per_s: E0 per second. collection: of light, relative to the plan."""

    light: HiddenTable
    projector: PanelTruth
    pump_image: Image
    potential_image: Image
    disorder: NDArray[np.float64]
    gamma: float
    detuning_per_s: float
    collection: float


@lru_cache(maxsize=16)
def sheet_truth(p: SheetParameters) -> SheetTruth:
    """The truth of a table with these parameters."""
    h, light = p.hidden, hidden_table(p)
    if p.reference.common_path:
        light = with_common_path(light)
    draws, own = Draws(p.seed), Draws(int(noise_key(p.seed, "potential panel") >> np.uint64(1)))
    rows, columns = p.mesa
    return SheetTruth(
        light=light,
        projector=panel_truth(h, own, p.projector, p.optics.focal_length, (0, p.projector.rows)),
        pump_image=_image(p, draws, "pump image"),
        potential_image=_image(p, draws, "potential image"),
        disorder=h.disorder * draws.normal("disorder", rows * columns).reshape(rows, columns),
        gamma=p.sample.gamma * (1 + h.gamma_error * draws.one("gamma")),
        detuning_per_s=h.detuning_drift / HOUR_S * draws.drift("detuning"),
        collection=1 + h.collection_error * draws.one("collection"),
    )


def _image(p: SheetParameters, draws: Draws, name: str) -> Image:
    h = p.hidden
    return Image(
        (h.registration_shift * draws.one(f"{name} rows"), h.registration_shift * draws.one(f"{name} columns")),
        1 + h.registration_scale * draws.one(f"{name} scale"),
    )

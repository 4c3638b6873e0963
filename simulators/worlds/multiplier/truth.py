"""The hidden multiplier: what the hologram table hides, and what there is besides: a second panel, and registration.

Drawn as `simulators.worlds.parts.truth` draws; no operation of the world returns it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.physics.counter_random import noise_key
from simulators.physics.zernike import zernikes
from simulators.worlds.hologram.truth import ABERRATIONS, HiddenTable, hidden_table, with_common_path
from simulators.worlds.multiplier.parameters import MultiplierParameters
from simulators.worlds.parts.truth import Draws, PanelTruth, panel_truth


@dataclass(frozen=True, eq=False)
class MultiplierTruth:
    """light: of strip, beam, camera, reference and laser. coupling: of the second panel, wavefront: its shape (rows,
    columns), rad. registration: (shift in panel columns, scale) of the strip's image on it. spread_shift_m: of the
    spread light along its rows. gains, detunings: (sites,) of condensates, besides what the bench says, per t0."""

    light: HiddenTable
    coupling: PanelTruth
    wavefront: NDArray[np.float64]
    registration: tuple[float, float]
    spread_shift_m: float
    gains: NDArray[np.float64]
    detunings: NDArray[np.float64]


@lru_cache(maxsize=16)
def multiplier_truth(p: MultiplierParameters) -> MultiplierTruth:
    """The truth of a table with these parameters."""
    h, light = p.hidden, hidden_table(p)
    if p.reference.common_path:
        light = with_common_path(light)
    draws, own = Draws(p.seed), Draws(int(noise_key(p.seed, "coupling panel") >> np.uint64(1)))
    return MultiplierTruth(
        light=light,
        coupling=panel_truth(h, own, p.coupling, p.optics.focal_length, (0, p.coupling.rows)),
        wavefront=_wavefront(p, own),
        registration=(
            h.registration_shift * draws.one("registration"),
            1 + h.registration_scale * draws.one("registration scale"),
        ),
        spread_shift_m=h.beam_shift * draws.one("spread"),
        gains=h.site_gain * draws.normal("site gains", p.oscillators.sites),
        detunings=h.detuning * draws.normal("site detunings", p.oscillators.sites),
    )


def _wavefront(p: MultiplierParameters, draws: Draws) -> NDArray[np.float64]:
    """Random proportions of `ABERRATIONS`, together of the wanted rms over the panel."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in (p.coupling.rows, p.coupling.columns))
    if not p.hidden.aberration:
        return np.zeros((len(rows), len(columns)))
    radius = 0.5 * math.hypot(p.coupling.rows, p.coupling.columns)
    modes = zernikes(ABERRATIONS, *np.meshgrid(columns / radius, rows / radius))
    shape = np.tensordot(draws.normal("aberration", len(ABERRATIONS)), modes, 1)
    return np.asarray(shape * (p.hidden.aberration / shape.std()))

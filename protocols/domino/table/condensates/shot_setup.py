"""Seeds and couplings of mode "shot" are set up: what light makes of seeds is measured, couplings are mended by it.

With S = background + own K x of seeds x, log K is h W but for a multiple of unity: that is the laser's power and the
reference's phase from one play to another, and W, without trace, has none of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import logm

from protocols.domino.table.condensates.shot import Seeding, ShotOptics
from protocols.domino.table.condensates.sites import checked, find_sites, largest_couplings
from protocols.domino.table.law import ALPHA
from protocols.domino.table.response import Response, probe, signs
from protocols.domino.table.rig import Rig
from protocols.domino.table.setting_up import (
    CALM_S,
    LEAK_TURN,
    PROBED_FILL,
    SetUp,
    amplitude_law,
    leak_of,
    rms,
    within,
)

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

PROBED = 256
"""Vectors, about, by which an answer is measured: couplings are a tenth of it."""
ROUNDS = 4
"""In which couplings are mended."""
_MENDED = 0.9
_HEADROOM = 0.9
_REFINED = 64
"""Random vectors, for each node, by which responses are measured once more."""


def set_up_shot(rig: Rig, W: Array, rng: np.random.Generator) -> tuple[ShotOptics, SetUp]:
    """For W (N, N), not negative, within `Rig.light`; the light is as bright as the camera, or the laser, allows.

    Raises CalibrationError that names the likely cause where light is not what it must be.
    """
    exposure_s, n = float(rig.bench.camera.exposure_s), rig.nodes
    rig.look_about()
    camera = rig.expose_for(max(exposure_s, CALM_S))
    places, reader = find_sites(rig, camera, metered=True)
    rig.meter(rig.strip.patterns(np.where(signs(n, 24, rng) > 0, ALPHA, np.pi - ALPHA)), camera, PROBED_FILL)
    law, law_off = amplitude_law(rig, reader, probe(rig, reader, PROBED, rng), camera, rng)
    dark = probe(rig, reader, 2 * PROBED, rng, law)
    seen = np.diag(dark.M)
    level = np.abs(seen).min() / np.abs(seen)
    own = seen * level
    K = dark.M * level / own[:, None]

    def answer(count: int = PROBED) -> Grown:
        return grown(probe(rig, reader, count, rng, law), own, level, K)

    def shown(T: Complex) -> Complex:
        rig.couple(T)
        return answer().G

    bright, leaked = shown(np.ones((n, n), np.complex128)), []
    for theta in (-LEAK_TURN, LEAK_TURN):
        rig.show_couplings(rig.couplings.dark_pattern(theta))
        leaked.append(answer().G)
    rig.couplings.leak = leak_of(bright, *leaked)
    none = shown(np.zeros((n, n), np.complex128))
    gain = bright - none
    # What a condensate's own macro-pixel does to it goes as power and phase of the light: taken to be as the others'.
    np.fill_diagonal(gain, np.abs(gain[~np.eye(n, dtype=np.bool_)]).mean())
    wanted, T = largest_couplings(W, gain, _HEADROOM)
    errors, T = [], within(T - none / gain)
    for _ in range(ROUNDS):
        off = wanted - shown(T)
        errors.append(rms(off) / wanted.max())
        T = within(T + _MENDED * off / gain)
    rig.couple(T)
    last = answer(2 * PROBED)
    errors.append(rms(last.G - wanted) / wanted.max())
    h = float(wanted.max() / W.max())
    background = np.stack([dark.background / own, last.background])
    optics = ShotOptics(
        rig, reader, law, Seeding(own, level, K, last.G, background, h), rig.couplings.pattern(T), W, rng
    )
    camera = rig.expose_for(exposure_s)
    some = law.most * rng.random((n, _REFINED * n)) ** rng.choice([1.0, 4.0], _REFINED * n)
    rig.meter(optics.patterns(some.astype(np.complex128)), camera)
    for _ in range(2):  # how bright a play is follows from what no seed reaches
        optics.refine(some)
    added = rms(h * optics.exact(some.astype(np.complex128))) / rms(some)
    return optics, checked(optics, rng, places, np.array(errors), law_off, {"window": h, "added_by_couplings": added})


class Grown(NamedTuple):
    """G: (N, N), logarithm of what couplings make of own light, without trace. background: (N,), by own."""

    G: Complex
    background: Complex


def grown(answer: Response, own: Complex, level: Array, K: Complex) -> Grown:
    """Of what is seen of seeds, beside what is seen with couplings dark."""
    found = logm(np.linalg.inv(K) @ (answer.M * level / own[:, None]))
    common = np.trace(found) / len(found)
    G = np.asarray(found - common * np.eye(len(found)), np.complex128)
    return Grown(G, np.asarray(answer.background / own * np.exp(-common), np.complex128))

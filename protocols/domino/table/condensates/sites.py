"""What setting up has in common in both modes: condensates found one by one, couplings chosen, and a last check."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError
from protocols.domino.table.finding import Places, found_where, reader_of, turned_alone
from protocols.domino.table.measured import Measured, looked_at
from protocols.domino.table.reading import BandReader
from protocols.domino.table.rig import Rig
from protocols.domino.table.setting_up import SetUp, rms
from protocols.rig import Camera

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

TOO_FAR = 0.5
"""Residual of v above which a table is not used. What a multiplier reads as it is, is here a small part of light."""
_CHECKED = 32
_LOOKS = 6


class SiteOptics(Protocol):
    """A table of condensates. exact: v of fields psi (N, starts) without errors."""

    rig: Rig
    most: float
    visible: float

    def measure(self, psi: Complex) -> Measured: ...
    def exact(self, psi: Complex) -> Complex: ...


def find_sites(rig: Rig, camera: Camera, metered: bool) -> tuple[Places, BandReader]:
    """With couplings dark: where condensates' bands are, by what follows the strip's phase at one of them alone; and
    their fringes, when all do.

    metered: whether light is to be set by how bright they are. Raises CalibrationError where one is not seen.
    """
    dark = np.zeros((rig.nodes, rig.nodes), np.complex128)
    rig.couple(dark)
    if metered:
        rig.meter(rig.strip.patterns(np.zeros((rig.nodes, 4))), camera)
    places = found_where(rig, lambda node: turned_alone(rig, node))
    return places, reader_of(rig, camera, places, dark, metered)


def largest_couplings(W: Array, gain: Complex, share: float) -> tuple[Array, Complex]:
    """W (N, N) in the measure of ``gain``, as large as macro-pixels of amplitude ``share`` allow; and these.

    gain: (N, N) what macro-pixels do that let all light pass. Raises CalibrationError where one hardly does anything.
    """
    target = W / W.max()
    linked = target > 0
    size = np.abs(gain)
    typical = float(np.median(size[linked]))
    if size[linked].min() < 0.1 * typical:
        i, j = np.argwhere(linked & (size == size[linked].min()))[0]
        raise CalibrationError(
            f"light of condensate {j} hardly reaches condensate {i} ({size[i, j] / typical:.1%} of what is typical): "
            "is the coupling panel lit there?"
        )
    kappa = share * float((size[linked] / target[linked]).min())
    T = np.where(linked, kappa * target / np.where(linked, gain, 1.0), 0.0)
    return kappa * target, np.asarray(T, np.complex128)


def checked(
    optics: SiteOptics, rng: np.random.Generator, places: Places, errors: Array, law_off: float, values: dict[str, Any]
) -> SetUp:
    """What is left, by random vectors of their own. Raises CalibrationError where that is above `TOO_FAR`."""
    n, half = optics.rig.nodes, _CHECKED // 2
    trial = np.hstack([rng.random((n, half)), rng.random((n, half)) ** 8])
    trial = (optics.most * trial / trial.max(axis=0)).astype(np.complex128)
    optics.visible = float(np.median(looked_at(optics, trial).visibility))
    looks = [looked_at(optics, trial) for _ in range(_LOOKS)]
    wanted, whole = optics.exact(trial), trial.sum(axis=0)
    v, total = np.stack([one.v.real for one in looks]), np.mean([one.total for one in looks], axis=0)
    found = SetUp(
        residual=rms(v.mean(axis=0) - wanted) / rms(wanted),
        residual_total=rms(total - whole) / rms(whole),
        noise=rms(v - v.mean(axis=0)) / rms(wanted) * np.sqrt(_LOOKS / (_LOOKS - 1)),
        coupling_error=errors,
        places=places,
        law_off=law_off,
        values=values,
    )
    if not found.residual < TOO_FAR:
        raise CalibrationError(
            f"W psi is measured {found.residual:.1%} off (rms, of random vectors; {TOO_FAR:.0%} is the most): "
            "calibrate the panels' phases (slm-phase), expose for longer, or look at what moves on the table"
        )
    return found

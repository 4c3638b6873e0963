"""Drive and couplings of mode "injection" are set up: the weakest light that locks all, couplings by what they pull.

Couplings are measured with one condensate left alone by turns: its phase stays where it is, and tells two frames'
references apart.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError
from protocols.domino.table.condensates.injection import GUARD, LEAST_FRINGES, SWING, InjectionOptics, Locking, pulled
from protocols.domino.table.condensates.sites import checked, find_sites, largest_couplings
from protocols.domino.table.reading import BandReader
from protocols.domino.table.response import signs
from protocols.domino.table.rig import Rig
from protocols.domino.table.setting_up import CALM_S, SetUp, rms, within
from protocols.rig import power_limits

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

MOST_LAG_RAD = 0.4
"""By which detunings turn a phase from that of the injected light, at most: beyond, locks are close to being lost."""
BRIGHTEST = 0.75
"""Of full scale, by condensates and reference together."""
ROUNDS = 2
_REFERENCE = 0.5
"""Of what `Rig.expose_for` sets: condensates are bright by themselves."""
_ASIDE_PX = 100
_WRITTEN = 0.3
_FRAMES = 64
_REFINED = 48
"""Random vectors, for each node, by which responses are measured once more."""
_PARTIAL = 0.7
_TURNS = np.exp(2j * math.pi * np.arange(3) / 3)
_LADDER = math.sqrt(2)
_HEADROOM = 0.9
_MENDED = 0.9


def set_up_injection(rig: Rig, W: Array, rng: np.random.Generator) -> tuple[InjectionOptics, SetUp]:
    """For W (N, N), symmetric and not negative, within `Rig.light`; exposures are `CALM_S` or the bench's, if longer.

    Raises CalibrationError that names the likely cause where a condensate is not locked by all light that there is, or
    the camera saturates.
    """
    exposure_s, n = float(rig.bench.camera.exposure_s), rig.nodes
    rig.look_about(_ASIDE_PX)  # condensates are never dark
    camera = rig.expose_for(max(exposure_s, CALM_S))
    rig.bench.reference.power_w = _REFERENCE * float(rig.bench.reference.power_w)
    reference = float(rig.bench.camera.burst(_FRAMES).data.mean()) - camera.offset
    rig.look_about()
    _dim_enough(rig, camera.full_scale)
    places, reader = find_sites(rig, camera, metered=False)
    locks = weakest_lock(rig, reader, reference)
    gain = gains(rig, reader, locks.rest)
    wanted, T = largest_couplings(W, gain, _HEADROOM)
    T, errors = within(T), []
    for left in range(ROUNDS, -1, -1):
        N = couplings(rig, reader, locks.rest, T, rng)
        off = wanted - N
        errors.append(rms(off) / wanted.max())
        if left:
            T = within(T + _MENDED * off / gain)
    rig.couple(T)
    locking = Locking(locks.rest, wanted, float(wanted.max() / W.max()))
    optics = InjectionOptics(rig, reader, locking, rig.couplings.pattern(T), W, rng)
    optics.refine(np.arcsin(SWING * rng.random((n, _REFINED * n)) ** rng.choice([1.0, 4.0], _REFINED * n)))
    found = checked(
        optics,
        rng,
        places,
        np.array(errors),
        0.0,
        {"drive_w": locks.power_w, "lag_rad": locks.lag_rad, "added_by_couplings": rms(wanted.sum(axis=1))},
    )
    found.values["density_bias"] = density_bias(rig, reader)
    return optics, found


class Locks(NamedTuple):
    """power_w: of the drive. rest: (N,) fields with nothing written. lag_rad: largest phase by which a condensate is
    behind or ahead of the others, because of its detuning."""

    power_w: float
    rest: Complex
    lag_rad: float


class Resting(NamedTuple):
    """fields: (N,) with nothing written. coherence: (N,) of condensates with the reference, 1 where they are locked."""

    fields: Complex
    coherence: Array


def weakest_lock(rig: Rig, reader: BandReader, reference: float) -> Locks:
    """From the brightest light downwards; lags go with 1 / F, that is with one over the root of power.

    reference: counts of it on a pixel. Raises CalibrationError where a condensate is not locked by the brightest.
    """
    pump = rig.bench.pump
    top_w = power_w = float(pump.power_w)
    lowest_w = power_limits(pump)[0]
    first = found = _rest(rig, reader, reference)
    if first.coherence.min() < LEAST_FRINGES:
        site = int(first.coherence.argmin())
        raise CalibrationError(
            f"condensate {site} is not locked by {top_w:.3g} W, the brightest light: its fringes have "
            f"{first.coherence[site]:.0%} of what its light would give, since its detuning is more than F / |psi|; "
            "raise the drive's power limit, put a filter before the camera, or tune the condensate"
        )
    kept = Locks(top_w, first.fields, 0.0)
    while power_w / _LADDER > lowest_w:
        power_w /= _LADDER
        pump.power_w = power_w
        found = _rest(rig, reader, reference)
        lag = np.angle(found.fields / first.fields)
        most = float(np.abs(lag - lag.mean()).max()) / (1 - math.sqrt(power_w / top_w))
        if kept.lag_rad == 0.0:
            kept = kept._replace(lag_rad=most * math.sqrt(power_w / top_w))
        if most > MOST_LAG_RAD or found.coherence.min() < LEAST_FRINGES:
            break
        kept = Locks(power_w, found.fields, most)
    pump.power_w = kept.power_w
    return kept._replace(rest=_rest(rig, reader, reference).fields)


def density_bias(rig: Rig, reader: BandReader) -> float:
    """Mean of |psi| with the drive by that without, less 1: from bands' light, the reference dark."""
    pump, reference = rig.bench.pump, rig.bench.reference
    rig.couple(np.zeros((rig.nodes, rig.nodes), np.complex128))
    reference.emission = False
    sums = []
    for emission in (True, False):
        pump.emission = emission
        sums.append(_light(reader, rig.must_play(_quiet(rig)).frames))
    pump.emission = reference.emission = True
    return float(np.sqrt(np.maximum(sums[0], 0) / np.maximum(sums[1], 1e-9)).mean() - 1)


def gains(rig: Rig, reader: BandReader, rest: Complex) -> Complex:
    """What macro-pixels (N, N) do that let all light pass: real where it pulls. Columns are lit one by one, in three
    phases; the condensate whose light it is is alone. Of the diagonal, which does nothing, infinity."""
    n = rig.nodes
    gain = np.zeros((n, n), np.complex128)
    for j in range(n):
        eta = np.zeros((n, _FRAMES // 2))
        eta[j] = _WRITTEN * np.tile([1.0, -1.0], _FRAMES // 4)
        rig.couple(np.zeros((n, n), np.complex128))
        dark = _fields(rig, reader, eta) / rest[:, None]
        for turn in _TURNS:
            T = np.zeros((n, n), np.complex128)
            T[:, j] = _PARTIAL * turn
            rig.couple(T)
            _, phi, pull = pulled(dark, _fields(rig, reader, eta) / rest[:, None], eta, alone=j)
            along = np.sin(phi[j] - phi)
            along -= along.mean(axis=1)[:, None]
            N = (along * pull).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-12)
            gain[:, j] += N * np.conj(turn) * (2 / 3) / _PARTIAL
    np.fill_diagonal(gain, np.inf)
    return gain


def couplings(rig: Rig, reader: BandReader, rest: Complex, T: Complex, rng: np.random.Generator) -> Array:
    """N (N, N) of macro-pixels T: each condensate is alone once, and rows of all others are measured."""
    n = rig.nodes
    eta = _WRITTEN * signs(n, _FRAMES, rng)
    rig.couple(np.zeros((n, n), np.complex128))
    dark = _fields(rig, reader, eta) / rest[:, None]
    total = np.zeros((n, n))
    for k in range(n):
        rest_of = T.copy()
        rest_of[k] = 0
        rig.couple(rest_of)
        _, phi, pull = pulled(dark, _fields(rig, reader, eta) / rest[:, None], eta, alone=k)
        for i in range(n):
            if i == k:
                continue
            others = np.delete(np.arange(n), i)
            terms = np.vstack([np.ones(eta.shape[1]), np.sin(phi[others] - phi[i])])
            total[i, others] += np.linalg.lstsq(terms.T, pull[i], rcond=None)[0][1:]
    return total / (n - 1)


def _dim_enough(rig: Rig, full_scale: float) -> None:
    """Highest power of the drive at which the camera does not come near saturation."""
    pump = rig.bench.pump
    lowest_w, power_w = power_limits(pump)
    while True:
        pump.power_w = power_w
        played = rig.must_play(_quiet(rig))
        if not played.full.any() and not played.peak.max() > BRIGHTEST * full_scale:
            return
        power_w /= _LADDER
        if power_w < lowest_w:
            raise CalibrationError(
                "the camera saturates by the light of condensates alone: expose for a shorter time, or put a filter "
                "before it"
            )


def _quiet(rig: Rig) -> NDArray[np.float32]:
    return rig.strip.patterns(np.zeros((rig.nodes, 8)), 0.0, GUARD)


def _rest(rig: Rig, reader: BandReader, reference: float) -> Resting:
    frames = rig.must_play(_quiet(rig)).frames
    fields = reader.fields(frames)[0]
    found = (fields * np.exp(-1j * np.angle(fields.sum(axis=0)))).mean(axis=1)
    own = np.maximum(_light(reader, frames) - reference, 1.0)
    return Resting(found, np.abs(found) / np.sqrt(own * reference))


def _light(reader: BandReader, frames: NDArray[Any]) -> Array:
    """Mean counts (N,) of pixels in bands, without the camera's own."""
    mean, height = frames.astype(np.float64).mean(axis=0), reader.weights.shape[1]
    return np.array([mean[row : row + height].mean() for row in reader.origins[:, 0]]) - reader.offset


def _fields(rig: Rig, reader: BandReader, eta: Array) -> Complex:
    return reader.fields(rig.must_play(rig.strip.patterns(np.zeros_like(eta), eta, GUARD)).frames)[0]

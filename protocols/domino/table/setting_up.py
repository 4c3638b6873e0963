"""The multiplier is set up for couplings W: bands found, answers to columns measured, couplings mended by what is seen.

Nothing is taken from the plan but where to look. What is left in the end is measured with vectors of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError
from protocols.domino.table.bands import Bands
from protocols.domino.table.finding import Places, find_bands, reader_of
from protocols.domino.table.law import ALPHA, STEEPEST, Law, fitted
from protocols.domino.table.multiplier import Answer, Multiplier
from protocols.domino.table.reading import BandReader
from protocols.domino.table.response import Response, probe, shown, signs
from protocols.domino.table.rig import Rig
from protocols.rig import Camera

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

PROBED_FILL = 0.55
"""Of full scale, by the brightest of some vectors: others are drawn later."""
ROUNDS = 4
"""In which couplings are mended."""
CALM_S = 16.7e-3
"""Exposure that flicker of 60 Hz and more hardly reaches."""
PROBED = 128
"""Vectors, about, by which an answer is measured: noise is mostly what is left of flicker."""
_MENDED = 0.9
"""Of what is wrong, that a round takes out."""
_HEADROOM = 0.95
LEAK_TURN = math.pi / 4
_LAW_POINTS = 17
_LAW_FIRST = 0.05
_LAW_REPEATS = 12
_CHECKED = 32
_LOOKS = 4
TOO_FAR = 0.15
"""Residual of W psi above which a table is not used."""


@dataclass(frozen=True, eq=False)
class SetUp:
    """residual: rms of measured W psi less what was intended, by rms W psi, of random vectors, in the mean of some
    frames. residual_total: of the total field. noise: the same from frame to frame. coupling_error: (rounds + 1,) rms
    error of a coupling by the largest, before every round and after all. places: of bands on the camera. law_off: rms
    of what the strip's amplitudes differ from a cosine. values: of the bench's mode, for the result."""

    residual: float
    residual_total: float
    noise: float
    coupling_error: Array
    places: Places
    law_off: float
    values: dict[str, Any] = field(default_factory=dict)


def set_up(rig: Rig, W: Array, rng: np.random.Generator) -> tuple[Multiplier, SetUp]:
    """For W (N, N), not negative, within `Rig.light`.

    Exposures are long at first, so that the panels' flicker is averaged, and in the end those of the bench. Raises
    CalibrationError that names the likely cause where light is not what it must be, or the residual is above `TOO_FAR`.
    """
    bands, target = Bands(W), Bands(W).target
    exposure_s = float(rig.bench.camera.exposure_s)
    rig.look_about()
    camera = rig.expose_for(max(exposure_s, CALM_S))
    places = find_bands(rig, camera)
    reader = reader_of(rig, camera, places, np.ones(target.shape, np.complex128))
    some = rig.strip.patterns(np.where(signs(rig.nodes, 24, rng) > 0, ALPHA, math.pi - ALPHA))
    rig.meter(some, camera, PROBED_FILL)
    first = probe(rig, reader, PROBED // 2, rng)
    # In phase all columns of a band give more light, by which fringes are weighed better.
    flat = np.exp(-1j * np.angle(first.M))
    reader = reader_of(rig, camera, places, flat)
    rig.meter(some, camera, PROBED_FILL)
    bright = probe(rig, reader, PROBED // 2, rng)
    leaked = []
    for theta in (-LEAK_TURN, LEAK_TURN):
        rig.show_couplings(rig.couplings.dark_pattern(theta))
        leaked.append(probe(rig, reader, PROBED // 2, rng))
    rig.couplings.leak = leak_of(bright.M / flat, leaked[0].M, leaked[1].M)
    rig.couple(np.zeros_like(flat))
    dark = probe(rig, reader, PROBED // 2, rng).M
    gain = bright.M / flat - dark
    scale = brightest(target, gain, dark)
    scale[bands.total] *= bands.sum_share
    wanted = (scale * convenient_phase(target, gain))[:, None] * target
    T = within((wanted - dark) / gain)
    rig.couple(T)
    law, law_off = amplitude_law(rig, reader, probe(rig, reader, PROBED, rng), camera, rng)
    errors = []
    for _ in range(ROUNDS):
        off = wanted - matched(probe(rig, reader, PROBED, rng, law).M, wanted)
        errors.append(rms(off[bands.coupled] / scale[bands.coupled, None]))
        T = within(T + _MENDED * off / gain)
        rig.couple(T)
    last = probe(rig, reader, 2 * PROBED, rng, law)
    fit = (target * last.M).sum(axis=1) / np.maximum((target**2).sum(axis=1), 1e-9)
    fit = np.where(target.any(axis=1), fit, scale)
    errors.append(rms((last.M / fit[:, None] - target)[bands.coupled]))
    answer = Answer(fit, last.background)
    multiplier = Multiplier(rig, reader, bands, law, answer, rng)
    trial = np.hstack([rng.random((rig.nodes, _CHECKED // 2)), rng.random((rig.nodes, _CHECKED // 2)) ** 8])
    trial = (law.most * trial / trial.max(axis=0)).astype(np.complex128)
    rig.meter(multiplier.patterns(trial), rig.expose_for(exposure_s))
    seen = multiplier.look(trial)
    multiplier.visible = float(np.median(seen.visibility))
    looks = [multiplier.look(trial) for _ in range(_LOOKS)]
    v, total = (np.mean([getattr(one, name) for one in looks], axis=0) for name in ("v", "total"))
    size, whole = rms(W @ trial), trial.sum(axis=0)
    found = SetUp(
        residual=rms(v - W @ trial) / size,
        residual_total=rms(total - whole) / rms(whole),
        noise=rms(np.stack([one.v - v for one in looks])) / size,
        coupling_error=np.array(errors),
        places=places,
        law_off=law_off,
    )
    if not found.residual < TOO_FAR:
        raise CalibrationError(
            f"W psi is measured {found.residual:.1%} off (rms, of random vectors; {TOO_FAR:.0%} is the most): "
            "calibrate the panels' phases (slm-phase), expose for longer, or look at what moves on the table"
        )
    return multiplier, found


def brightest(target: Array, gain: Complex, dark: Complex) -> Array:
    """Scale (bands,) at which the faintest column of a band is still within reach."""
    reach = np.maximum(_HEADROOM * np.abs(gain) - np.abs(dark), 0.0)
    least = np.where(target > 0, reach / np.where(target > 0, target, 1.0), np.inf).min(axis=1)
    linked = np.isfinite(least)
    typical = float(np.median(least[linked]))
    if typical <= 0 or least[linked].min() < 0.02 * typical:
        band = int(np.where(linked, least, np.inf).argmin())
        raise CalibrationError(
            f"a column of band {band} gives hardly any light: does the beam light all columns, is a panel blocked?"
        )
    return np.asarray(np.where(linked, least, typical))


def convenient_phase(target: Array, gain: Complex) -> Complex:
    """e^{i phi} (bands,) such that macro-pixels' phases are about 0 in the mean of a band: those far from it cannot be
    shown without a wrap. A band's own phase is nobody's concern."""
    mean = (target * np.exp(-1j * np.angle(gain))).sum(axis=1)
    return np.asarray(np.exp(-1j * np.angle(np.where(np.abs(mean) > 0, mean, 1.0))), np.complex128)


def leak_of(bright: Complex, one: Complex, other: Complex) -> float:
    """Share of area between pixels of two signs, from answers (bands, nodes) with all light, and with light that only
    leaks, in phases -+ `LEAK_TURN`."""
    turned = (other - one) / (2j * math.sin(LEAK_TURN))
    share = float((turned * bright.conj()).real.sum() / (np.abs(bright) ** 2).sum())
    return float(np.clip(share / (2 / math.pi), 0.0, 0.6))


def matched(found: Complex, wanted: Complex | Array) -> Complex:
    """The same, but for a factor that all bands have in common: the reference's phase and the laser's power."""
    factor = (np.conj(found) * wanted).sum() / max(float((np.abs(found) ** 2).sum()), 1e-30)
    return np.asarray(found * factor, np.complex128)


def within(T: Complex) -> Complex:
    """Amplitudes that a panel can show."""
    return np.asarray(T / np.maximum(np.abs(T), 1.0), np.complex128)


def amplitude_law(
    rig: Rig, reader: BandReader, answer: Response, camera: Camera, rng: np.random.Generator
) -> tuple[Law, float]:
    """The strip's law, and rms of what it differs from a cosine.

    Every vector has all amplitudes, each in another column: were they alike, their light would add up, and its noise.
    """
    alpha = np.linspace(_LAW_FIRST, STEEPEST, _LAW_POINTS)
    first = rng.integers(0, _LAW_POINTS, (rig.nodes, _LAW_REPEATS, 1))
    which = ((first + np.arange(_LAW_POINTS)) % _LAW_POINTS).reshape(rig.nodes, -1)
    written = alpha[which]
    rig.meter(rig.strip.patterns(written), camera, PROBED_FILL)
    fields = shown(rig, reader, written)
    expected = answer.background[:, None] + answer.M @ np.cos(written)
    g = (expected.conj() * fields).sum(axis=0) / np.maximum((np.abs(expected) ** 2).sum(axis=0), 1e-30)
    seen = np.linalg.pinv(answer.M) @ (fields / g - answer.background[:, None])
    mean = np.zeros((rig.nodes, _LAW_POINTS), np.complex128)
    np.add.at(mean, (np.arange(rig.nodes)[:, None], which), seen / _LAW_REPEATS)
    return fitted(alpha, mean), rms(mean - np.cos(alpha)[None])


def rms(values: Complex | Array) -> float:
    """Root mean square."""
    return float(np.sqrt((np.abs(values) ** 2).mean()))

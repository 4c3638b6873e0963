"""The overlap of two neighbouring bands, told apart from what fringing fields do where their gratings meet.

Rows r with the same grating of levels 0 and theta, shifted by half a period for the other sign, send to its first order

    I = sum_rs C_rs F_r F_s*

C_rs being what rows share of each wavelength's spot. Phases of neighbouring pixels run into one another. Where (+) and
(-) meet, and a row has taken the share w of its neighbour's phase, it sends

    sin(theta (1/2 - w)) / sin(theta / 2)

of its field: less below theta = pi / (1 - w), more above. Where the gratings end, at one of half the period, rows to
both sides change, too, whatever the signs. So levels to either side of pi, with as much light, give overlaps that are
wrong by different amounts, from whose difference the blur is known (`simulators.physics.fringing`). How deep the
gratings really are is told by their light, sin(theta / 2)^2, without a phase table.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from simulators.physics.fringing import SUB_PIXELS, blurred, neighbour_weights, sub_pixel_centres
from simulators.physics.row_coupling import row_shares

Array = NDArray[np.float64]

DEPTHS_RAD = (2 * math.pi / 3, 4 * math.pi / 3)
"""Levels theta of the gratings, as asked for."""

ACTIVE_PX = 0.964
"""Width of a pixel's active part, for a fill factor of 0.93."""

MODEL_SHARE = 0.2
"""Standard uncertainty of what is taken off for the fringing fields, relative: their shape at an edge is not known."""

_RADII_ROWS = np.linspace(0.12, 3.0, 49)
_BLURS_PX = np.linspace(0.0, 0.32, 33)
_GAINS = (0.8, 1.25)


class Overlaps(NamedTuple):
    """overlap: 2 G_AB / (G_AA + G_BB) of each pair (pairs,), and its standard uncertainty. blur_px: sigma of the blur
    by fringing fields, and its uncertainty by noise. depth: of the gratings, relative to what was asked for."""

    overlap: Array
    error: Array
    blur_px: float
    blur_error_px: float
    depth: float


def fit_overlaps(light: Array, rows_per_band: int, period_px: int) -> Overlaps:
    """From the light (pairs, repeats, depths, 2) of two bands of the same and of opposite signs, for `DEPTHS_RAD`.

    period_px: of the gratings, SLM columns.
    """
    ratio = light[..., 1] / light[..., 0]
    seen = overlap_of(ratio.mean(axis=1))
    # Few repeats of one pair know their scatter badly; all pairs are measured alike.
    error = max(math.sqrt(float(overlap_of(ratio).var(axis=1, ddof=1).mean()) / ratio.shape[1]), 1e-6)
    of_depths = light[..., 0].sum(axis=(0, 1))
    gains = [_depth(of_depths[0] / of_depths[1], rows_per_band, period_px, float(blur)) for blur in _BLURS_PX]
    raised = [
        _raised(seen.mean(axis=1), rows_per_band, period_px, float(blur), gain)
        for blur, gain in zip(_BLURS_PX, gains, strict=True)
    ]
    off = [(seen - r)[:, 0] - (seen - r)[:, 1] for r in raised]
    chi2 = np.array([float(o @ o) for o in off]) / (2 * error**2)
    best = int(chi2.argmin())
    within = _BLURS_PX[chi2 <= chi2[best] + 1]
    blur_error_px = max(float(np.abs(within - _BLURS_PX[best]).max()), float(_BLURS_PX[1]))
    further = min(best + round(blur_error_px / float(_BLURS_PX[1])), len(_BLURS_PX) - 1)
    taken, by_blur = raised[best].mean(axis=1), (raised[further] - raised[best]).mean(axis=1)
    total = np.sqrt(error**2 / 2 + by_blur**2 + (MODEL_SHARE * taken) ** 2)
    return Overlaps(seen.mean(axis=1) - taken, total, float(_BLURS_PX[best]), blur_error_px, gains[best])


def overlap_of(ratio: Array) -> Array:
    """What two bands seem to overlap that give this ratio of light, opposite signs to same ones."""
    return np.asarray((1 - ratio) / (1 + ratio))


def seen_light(second: int, rows_per_band: int, period_px: int, blur_px: float, gain: float) -> Array:
    """Light (radii, depths) of a band and of one with the sign ``second``, with spots of ``_RADII_ROWS`` (1/e^2) in an
    even spectrum, for gratings ``gain`` times as deep as `DEPTHS_RAD`."""
    shared, signs = _shared(2 * rows_per_band + 2), np.repeat([1, second], rows_per_band)
    light = [
        sum(_products(row_fields(turn * signs, gain * theta, period_px, blur_px)) for turn in (1, -1))
        for theta in DEPTHS_RAD
    ]
    return np.asarray(shared @ np.array(light).T)


def row_fields(signs: NDArray[np.int64], theta: float, period_px: int, blur_px: float) -> NDArray[np.complex128]:
    """First-order fields of rows with gratings of these signs (rows,), and of one row more at either end."""
    column = np.arange(period_px)
    coarse = 1.0 * (column < period_px // 2)
    fine = math.pi * (column % (period_px // 2) < period_px // 4)
    lines = [fine, fine, *(theta * (coarse if s > 0 else 1 - coarse) for s in signs), fine, fine]
    places = sub_pixel_centres(SUB_PIXELS, ACTIVE_PX)
    weights = neighbour_weights(places, blur_px)
    phase = blurred(np.pad(np.array(lines), ((0, 0), (1, 1)), mode="wrap"), weights, weights)[1:-1, :, 1:-1]
    carrier = np.exp(-2j * math.pi / period_px * (column[:, None] + places))
    out: NDArray[np.complex128] = (np.exp(1j * phase) * carrier).mean(axis=(1, 2, 3))
    return out


def _depth(ratio: float, rows_per_band: int, period_px: int, blur_px: float) -> float:
    """Gain of the gratings' depth at which the first of `DEPTHS_RAD` gives ``ratio`` of the light of the second."""
    even = seen_light(1, rows_per_band, period_px, blur_px, 1.0)[len(_RADII_ROWS) // 4]

    def off(gain: float) -> float:
        first, second = (math.sin(gain * theta / 2) ** 2 / math.sin(theta / 2) ** 2 for theta in DEPTHS_RAD)
        return math.log(first / second * even[0] / even[1]) - math.log(ratio)

    low, high = _GAINS
    return low if off(low) >= 0 else high if off(high) <= 0 else float(brentq(off, low, high, xtol=1e-4))


def _raised(seen: Array, rows_per_band: int, period_px: int, blur_px: float, gain: float) -> Array:
    """By how much a blur raises what bands seem to overlap (pairs, depths) whose mean over the depths is ``seen``."""
    with_blur, without = (
        overlap_of(
            seen_light(-1, rows_per_band, period_px, blur, gain) / seen_light(1, rows_per_band, period_px, blur, gain)
        )
        for blur in (blur_px, 0.0)
    )
    more = with_blur - without
    return np.stack([np.interp(seen, with_blur.mean(axis=1), m) for m in more.T], axis=1)


def _products(fields: NDArray[np.complex128]) -> Array:
    """Re sum_r F_r F_(r+d)* for distances d (rows,), those beyond 0 both ways."""
    n = len(fields)
    sums = [float((fields[: n - d] * fields[d:].conj()).real.sum()) for d in range(n)]
    return np.array(sums) * np.where(np.arange(n) > 0, 2.0, 1.0)


@lru_cache(maxsize=8)
def _shared(rows: int) -> Array:
    """C (radii, rows) over the distance of rows."""
    return np.stack([row_shares(float(radius), rows) for radius in _RADII_ROWS])

"""The overlap of two neighbouring bands, told apart from what fringing fields do where their gratings meet.

Rows r with the same grating of levels 0 and theta, shifted by half a period for the other sign, send to its first order

    I = sum_rs C_rs F_r F_s*

C_rs being what rows share of each wavelength's spot. Phases of neighbouring pixels run into one another. Where (+) and
(-) meet, and a row has taken the share w of its neighbour's phase, it sends

    sin(theta (1/2 - w)) / sin(theta / 2)

of its field: less below theta = pi / (1 - w), more above. Where the gratings end, at one of half the period, rows to
both sides change, too, whatever the signs. So levels to either side of pi, with as much light, give overlaps that are
wrong by different amounts, from whose difference the blur is known (`simulators.physics.fringing`). How deep the
gratings really are, in each pair of bands, is told by their light, sin(theta / 2)^2, against that of a grating of pi,
which is the most there is: phase need neither be in proportion to level nor the same for all wavelengths.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from simulators.physics.fringing import SUB_PIXELS, blurred, neighbour_weights, sub_pixel_centres
from simulators.physics.row_coupling import row_shares

Array = NDArray[np.float64]

DEPTHS_RAD = (2 * math.pi / 3, 4 * math.pi / 3)
"""Levels theta of the gratings, as asked for."""

BRIGHTEST_RAD = math.pi
"""Level of one more, with bands of the same sign alone."""

ACTIVE_PX = 0.964
"""Width of a pixel's active part, for a fill factor of 0.93."""

MODEL_SHARE = 0.1
"""Standard uncertainty of what is taken off for the fringing fields, relative: their shape at an edge is not known."""

_RADII_ROWS = np.linspace(0.12, 3.0, 49)
_BLURS_PX = np.linspace(0.0, 0.32, 9)
_FINE_PX = np.linspace(0.0, 0.32, 321)
_ROUNDS = 20


class Overlaps(NamedTuple):
    """overlap: 2 G_AB / (G_AA + G_BB) of each pair (pairs,), and its standard uncertainty. blur_px: sigma of the blur
    by fringing fields, and its uncertainty by noise. depth: of the gratings (pairs, depths), relative to what was asked
    for."""

    overlap: Array
    error: Array
    blur_px: float
    blur_error_px: float
    depth: Array


def fit_overlaps(same: Array, opposite: Array, rows_per_band: int, period_px: int) -> Overlaps:
    """From the light of two bands of the same sign (pairs, repeats, depths and the brightest), for `DEPTHS_RAD` and
    `BRIGHTEST_RAD`, and of opposite signs (pairs, repeats, depths).

    period_px: of the gratings, SLM columns.
    """
    ratio = opposite / same[..., :-1]
    seen = overlap_of(ratio.mean(axis=1))
    # Few repeats of one pair know their scatter badly; all pairs are measured alike.
    error = max(math.sqrt(float(overlap_of(ratio).var(axis=1, ddof=1).mean()) / ratio.shape[1]), 1e-6)
    light, coarse = same.mean(axis=1), np.zeros((len(_BLURS_PX), *seen.shape))
    for b, blur_px in enumerate(_BLURS_PX):
        for k in range(len(seen)):
            levels = grating_depths(light[k], rows_per_band, period_px, float(blur_px))
            coarse[b, k] = _raised(float(seen[k].mean()), rows_per_band, period_px, float(blur_px), levels)
    raised = CubicSpline(_BLURS_PX, coarse)(_FINE_PX)  # (blurs, pairs, depths)
    off = (seen - raised) @ (1.0, -1.0)
    chi2 = (off**2).sum(axis=1) / (2 * error**2)
    best = int(chi2.argmin())
    step_px = float(_FINE_PX[1])
    # Where pairs do not agree, the blur is as uncertain as they say.
    stretch = max(1.0, float(chi2[best]) / max(len(seen) - 1, 1))
    reach = np.flatnonzero(chi2 <= chi2[best] + stretch) - best
    blur_error_px = step_px * max(int(np.abs(reach).max()), 1)
    further = best + max(int(np.abs(reach).max()), 1) * (1 if best < len(_FINE_PX) // 2 else -1)
    taken, by_blur = raised[best].mean(axis=1), (raised[further] - raised[best]).mean(axis=1)
    total = np.sqrt(error**2 / 2 + by_blur**2 + (MODEL_SHARE * taken) ** 2)
    blur_px = float(_FINE_PX[best])
    depth = np.stack([grating_depths(one, rows_per_band, period_px, blur_px)[:-1] for one in light])
    return Overlaps(seen.mean(axis=1) - taken, total, blur_px, blur_error_px, depth / np.array(DEPTHS_RAD))


def overlap_of(ratio: Array) -> Array:
    """What two bands seem to overlap that give this ratio of light, opposite signs to same ones."""
    return np.asarray((1 - ratio) / (1 + ratio))


def seen_light(
    second: int, rows_per_band: int, period_px: int, blur_px: float, depths_rad: Array, fine_rad: float
) -> Array:
    """Light (radii, depths) of a band and of one with the sign ``second``, with spots of ``_RADII_ROWS`` (1/e^2) in an
    even spectrum, for gratings of these levels among finer ones of ``fine_rad``."""
    shared, signs = _shared(2 * rows_per_band + 2), np.repeat([1, second], rows_per_band)
    light = [
        sum(_products(row_fields(turn * signs, float(theta), period_px, blur_px, fine_rad)) for turn in (1, -1))
        for theta in depths_rad
    ]
    return np.asarray(shared @ np.array(light).T)


def row_fields(
    signs: NDArray[np.int64], theta: float, period_px: int, blur_px: float, fine_rad: float
) -> NDArray[np.complex128]:
    """First-order fields of rows with gratings of these signs (rows,), and of one more at either end, where gratings
    of half the period and of a level of ``fine_rad`` begin."""
    column = np.arange(period_px)
    coarse = 1.0 * (column < period_px // 2)
    fine = fine_rad * (column % (period_px // 2) < period_px // 4)
    lines = [fine, fine, *(theta * (coarse if s > 0 else 1 - coarse) for s in signs), fine, fine]
    places = sub_pixel_centres(SUB_PIXELS, ACTIVE_PX)
    weights = neighbour_weights(places, blur_px)
    phase = blurred(np.pad(np.array(lines), ((0, 0), (1, 1)), mode="wrap"), weights, weights)[1:-1, :, 1:-1]
    carrier = np.exp(-2j * math.pi / period_px * (column[:, None] + places))
    out: NDArray[np.complex128] = (np.exp(1j * phase) * carrier).mean(axis=(1, 2, 3))
    return out


def grating_depths(light: Array, rows_per_band: int, period_px: int, blur_px: float) -> Array:
    """Levels (depths and the brightest), rad, that gratings of `DEPTHS_RAD` and `BRIGHTEST_RAD` really have, from their
    light. The gain of the brightest, to which its light is blind, is taken as the mean of the others'."""
    wanted = np.array([*DEPTHS_RAD, BRIGHTEST_RAD])
    levels = wanted.copy()
    for _ in range(2):  # what the blur takes hardly depends on the level
        blurred_light = seen_light(1, rows_per_band, period_px, blur_px, levels, levels[-1])[len(_RADII_ROWS) // 4]
        plain = light * np.sin(levels / 2) ** 2 / blurred_light
        for _ in range(_ROUNDS):
            whole = plain[-1] / math.sin(levels[-1] / 2) ** 2
            half = np.arcsin(np.sqrt(np.clip(plain[:-1] / whole, 0.0, 1.0)))
            levels[:-1] = 2 * np.where(wanted[:-1] < math.pi, half, math.pi - half)
            levels[-1] = BRIGHTEST_RAD * float((levels[:-1] / wanted[:-1]).mean())
    return levels


def _raised(seen: float, rows_per_band: int, period_px: int, blur_px: float, levels_rad: Array) -> Array:
    """By how much a blur raises what two bands seem to overlap (depths,) that is ``seen`` in the mean of the depths.

    levels_rad: of the gratings, as `grating_depths` has them.
    """
    depths_rad, fine_rad = levels_rad[:-1], float(levels_rad[-1])
    with_blur, without = (
        overlap_of(
            seen_light(-1, rows_per_band, period_px, blur, depths_rad, fine_rad)
            / seen_light(1, rows_per_band, period_px, blur, depths_rad, fine_rad)
        )
        for blur in (blur_px, 0.0)
    )
    more = with_blur - without
    return np.array([np.interp(seen, with_blur.mean(axis=1), m) for m in more.T])


def _products(fields: NDArray[np.complex128]) -> Array:
    """Re sum_r F_r F_(r+d)* for distances d (rows,), those beyond 0 both ways."""
    n = len(fields)
    sums = [float((fields[: n - d] * fields[d:].conj()).real.sum()) for d in range(n)]
    return np.array(sums) * np.where(np.arange(n) > 0, 2.0, 1.0)


@lru_cache(maxsize=8)
def _shared(rows: int) -> Array:
    """C (radii, rows) over the distance of rows."""
    return np.stack([row_shares(float(radius), rows) for radius in _RADII_ROWS])

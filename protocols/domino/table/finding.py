"""Where bands are on the camera: single ones are lit, and fringes looked for that follow the vector's phase."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from labctl.client import CalibrationError
from protocols.domino.table.reading import BandReader, band_reader
from protocols.domino.table.rig import Rig
from protocols.rig import Camera

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

SEARCH_PX = 30
"""Camera pixels either way within which the plan must be right."""
CLEAN = 0.625
"""Of a band's height, its middle part, in which a neighbour's blurred edge is no part."""
_TURNS = np.array([-0.75, -0.25, 0.25, 0.75]) * math.pi
_REPEATS = 2
_SPOT_PX = 8
"""Camera columns to either side of the middle that a spot is weighed over."""
_CLEAR = 6.0
"""By how many standard deviations of what is seen elsewhere a band must stand out."""


@dataclass(frozen=True)
class Places:
    """Camera row of the first band's middle, rows from band to band, column of zero spatial frequency there, and
    columns by which it moves from band to band: by the camera's rotation."""

    row: float
    pitch: float
    column: float
    turn: float

    def rows(self, bands: int) -> Array:
        """Middles (bands,)."""
        return np.asarray(self.row + self.pitch * np.arange(bands))


def find_bands(rig: Rig, camera: Camera) -> Places:
    """Light the first, the middle and the last band alone, and look. Errors as `found_where`."""
    patterns = turned(rig, np.zeros((rig.nodes, 1)))

    def light(band: int) -> NDArray[np.float32]:
        T = np.zeros((rig.bands, rig.nodes), np.complex128)
        T[band] = 1.0
        rig.couple(T)
        rig.meter(patterns, camera)
        return patterns

    return found_where(rig, light)


def found_where(rig: Rig, light: Callable[[int], NDArray[np.float32]]) -> Places:
    """Look for the first, the middle and the last band. light(band) sees to it that light of this band alone follows
    the phases of the patterns that it returns: those of `_TURNS`, one after the other.

    Raises CalibrationError that names the likely cause where one is not seen, or bands are not at one distance.
    """
    plan, bands = rig.plan.camera, rig.bands
    first, last = rig.first_row, rig.first_row + rig.pitch * (bands - 1)
    low = math.floor(min(first, last) - abs(rig.pitch) / 2) - SEARCH_PX
    rows = math.ceil(abs(last - first) + abs(rig.pitch)) + 2 * SEARCH_PX
    column = math.floor(plan.column) - SEARCH_PX - _SPOT_PX
    rig.look_at(low, column, rows, 2 * (SEARCH_PX + _SPOT_PX) + 1)
    roi = rig.bench.camera.roi
    lit = sorted({0, bands // 2, bands - 1})
    seen = [_middle(_product(rig, light(band)), abs(rig.pitch), band) for band in lit]
    places = np.array(seen) + np.array([roi.row, roi.column])
    at = np.array(lit, np.float64)
    pitch, row = np.polyfit(at, places[:, 0], 1)
    turn, column_px = np.polyfit(at, places[:, 1], 1)
    off = float(np.abs(places[:, 0] - (row + pitch * at)).max())
    if off > 2.0 or abs(pitch / rig.pitch - 1) > 0.1:
        raise CalibrationError(
            f"bands {lit} are at camera rows {np.round(places[:, 0], 1).tolist()}: not one distance of about "
            f"{rig.pitch:g} rows; check [alignment.domino], or what else is lit"
        )
    return Places(float(row), float(pitch), float(column_px), float(turn))


def reader_of(rig: Rig, camera: Camera, places: Places, T: Complex, metered: bool = True) -> BandReader:
    """Look at the bands alone, lit by couplings T (bands, nodes), and weigh their fringes.

    metered: whether the light is set by how bright they are.
    Raises CalibrationError where a band is missing.
    """
    plan = rig.plan.camera
    rows = places.rows(rig.bands)
    height = max(4, math.floor(CLEAN * abs(places.pitch)))
    low = math.floor(rows.min() - height / 2) - 1
    middle = places.column + places.turn * (rig.bands - 1) / 2
    column = math.floor(middle - plan.columns / 2 + 0.5)
    rig.look_at(low, column, math.ceil(np.ptp(rows) + height) + 3, plan.columns)
    roi = rig.bench.camera.roi
    rig.couple(T)
    patterns = turned(rig, np.zeros((rig.nodes, 1)))
    if metered:
        rig.meter(patterns, camera)
    product = np.asarray(sum(_product(rig, patterns) for _ in range(_REPEATS)) / _REPEATS)
    reader, size = band_reader(product, rows - roi.row, height, camera.gain, camera.offset, camera.read_e)
    dim = np.flatnonzero(size < 0.05 * np.median(size))
    if len(dim):
        raise CalibrationError(
            f"band {dim[0]} has {size[dim[0]] / np.median(size):.1%} of the others' fringes: is something in the "
            "light, or the reference narrower than the bands?"
        )
    return reader


def turned(rig: Rig, alpha: Array) -> NDArray[np.float32]:
    """One vector (nodes, 1) in four phases, none of which wraps."""
    return rig.strip.patterns(np.repeat(alpha, len(_TURNS), axis=1), np.broadcast_to(_TURNS, (len(alpha), len(_TURNS))))


def turned_alone(rig: Rig, node: int) -> NDArray[np.float32]:
    """One node in those phases, the others at rest."""
    theta = np.zeros((rig.nodes, len(_TURNS)))
    theta[node] = _TURNS
    return rig.strip.patterns(np.zeros_like(theta), theta)


def _product(rig: Rig, patterns: NDArray[np.float32]) -> Complex:
    """E R* (rows, columns) by camera pixel, in counts, of the vector that was turned step by step."""
    frames = rig.must_play(patterns).frames
    return np.asarray(np.tensordot(np.exp(-1j * _TURNS), frames.astype(np.float64), axes=1) / len(_TURNS))


def _middle(product: Complex, pitch: float, band: int) -> tuple[float, float]:
    """Row and column in the region where a band's light is: first the brightest stripe, then its centre of gravity."""
    power = np.abs(product) ** 2
    by_row = uniform_filter1d(power.sum(axis=1), max(1, round(pitch)))
    row = int(by_row.argmax())
    half = max(2, round(0.75 * pitch))
    rest = np.delete(by_row, np.arange(max(0, row - 2 * half), min(len(by_row), row + 2 * half + 1)))
    if len(rest) > 4 and by_row[row] < rest.mean() + _CLEAR * rest.std():
        raise CalibrationError(
            f"no fringes of band {band} where the plan has them: is the reference on, are both panels lit, is "
            "[alignment.domino] that of this table?"
        )
    stripe = power[max(0, row - half) : row + half + 1]
    floor = np.median(power)
    by_column = uniform_filter1d(stripe.sum(axis=0) - floor * len(stripe), 3)
    column = int(by_column.argmax())
    near = slice(max(0, column - _SPOT_PX), column + _SPOT_PX + 1)
    weight = np.maximum(by_column[near], 0.0) ** 2
    column_px = float(weight @ np.arange(power.shape[1])[near] / weight.sum())
    weight = np.maximum(power[:, near].sum(axis=1) - floor * (near.stop - near.start), 0.0)
    weight = weight[max(0, row - half) : row + half + 1]
    return float(weight @ (np.arange(len(weight)) + max(0, row - half)) / weight.sum()), column_px

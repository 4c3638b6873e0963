"""Where the wavefront is measured: blocks, blazes and lasers of a hologram table and of the photonic RBM's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.pump_light import Switch
from calibration.superpixels import Layout
from labctl.client import Bench, CalibrationError, ConfigurationError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Station:
    """A layout on its bench. planned: camera row and column of the light's place. line: light is a line along camera
    columns, sharp across. focal_m: per rad of tilt; axis: camera row and column of the zeroth order as planned."""

    layout: Layout
    switch: Switch
    planned: tuple[float, float]
    axis: tuple[float, float]
    line: bool
    wavelengths_m: Array
    focal_length_m: float
    power: float
    spot_px: float


def station(bench: Bench, p: Any) -> Station:
    """The one that the bench file's alignment is about. ConfigurationError if it is about neither."""
    alignments = bench.config.alignment
    if "hologram" in alignments:
        return _hologram(bench, p)
    if "prbm" in alignments:
        return _prbm(bench, p)
    raise ConfigurationError(
        "a wavefront is measured on benches with [alignment.hologram] or [alignment.prbm]; this one has neither"
    )


def _edges(first: int, count: int, blocks: int, what: str) -> NDArray[np.int64]:
    if count < 2 * blocks:
        raise CalibrationError(f"{what} = {blocks} blocks of {count} pixels: each needs two pixels at least")
    return np.rint(first + np.linspace(0, count, blocks + 1)).astype(np.int64)


def checker(rows: int, columns: int, size: int) -> Array:
    """Phase of squares of 0 and pi: its light goes to orders far out, off both axes."""
    y, x = np.arange(rows)[:, None] // size, np.arange(columns)[None, :] // size
    return np.asarray(math.pi * ((y + x) % 2), np.float64)


def _hologram(bench: Bench, p: Any) -> Station:
    blocks = p.row_blocks or 8, p.column_blocks or 8
    return hologram_station(bench, blocks, p.dark_px, p.power_w)


def hologram_station(
    bench: Bench, blocks: tuple[int, int], dark_px: int, power_w: float, centre: tuple[float, float] | None = None
) -> Station:
    """Of a hologram table. centre: camera pixels (down, across) from the zeroth order to where light goes; else the
    plan's spot. dark_px: squares of the pattern whose light goes elsewhere."""
    plan: Any = bench.alignment("hologram")
    slm, camera = bench.slm, bench.camera
    plan.check_on({"camera": camera})
    rows, columns, pitch = slm.rows, slm.columns, slm.pixel_pitch_m
    wavelength, focal = float(bench.pump.wavelength_m), plan.focal_length * 1e-3
    kappa = 2 * math.pi / (wavelength * focal)
    y, x = ((np.arange(n) - (n - 1) / 2) * pitch for n in (rows, columns))
    away = centre or (plan.spot.row, plan.spot.column)
    aim = away[0] * camera.pixel_pitch_m, away[1] * camera.pixel_pitch_m
    row_blocks, column_blocks = blocks
    layout = Layout(
        row_edges=_edges(0, rows, row_blocks, "row_blocks"),
        column_edges=_edges(0, columns, column_blocks, "column_blocks"),
        blaze=kappa * (aim[0] * y[:, None] + aim[1] * x[None, :]),
        dark=checker(rows, columns, dark_px),
        kappa=np.full(row_blocks, kappa),
        together=True,
        reference=(row_blocks // 2, column_blocks // 2),
        pitch_m=pitch,
    )
    axis = plan.zeroth_order.row, plan.zeroth_order.column
    return Station(
        layout=layout,
        switch=Switch(bench, "pump"),
        planned=(axis[0] + away[0], axis[1] + away[1]),
        axis=axis,
        line=False,
        wavelengths_m=np.full(row_blocks, wavelength),
        focal_length_m=focal,
        power=power_w,
        spot_px=wavelength * focal / (min(rows, columns) * pitch) / camera.pixel_pitch_m,
    )


def _prbm(bench: Bench, p: Any) -> Station:
    plan: Any = bench.alignment("prbm")
    slm, camera = bench.slm, bench.camera
    rows, columns, pitch = slm.rows, slm.columns, slm.pixel_pitch_m
    row_blocks, column_blocks = p.row_blocks or 4, p.column_blocks or 15
    edges = _edges(plan.first_row, plan.bands * plan.rows_per_band, row_blocks, "row_blocks")
    band = (np.arange(rows) - plan.first_row + 0.5) / plan.rows_per_band - 0.5
    wavelengths = (plan.wavelength_first + plan.wavelength_per_band * np.clip(band, 0, plan.bands - 1)) * 1e-9
    kappa = 2 * math.pi / (wavelengths * p.focal_length_m)
    # Every row sends its own wavelength to the same column: a period that is proportional to it.
    middle = float(wavelengths[(edges[0] + edges[-1]) // 2])
    x_m = middle * p.focal_length_m / (p.period_px * pitch)
    x = (np.arange(columns) - plan.centre_column) * pitch
    stripes = math.pi * (np.arange(columns) // max(p.period_px // 4, 1) % 2)
    layout = Layout(
        row_edges=edges,
        column_edges=_edges(0, columns, column_blocks, "column_blocks"),
        blaze=kappa[:, None] * x_m * x[None, :],
        dark=np.tile(stripes, (rows, 1)),
        kappa=_block_means(kappa, edges),
        together=False,
        reference=(row_blocks // 2, column_blocks // 2),
        pitch_m=pitch,
    )
    return Station(
        layout=layout,
        switch=Switch(bench, "source"),
        planned=(plan.zeroth_order.row, plan.zeroth_order.column + x_m / camera.pixel_pitch_m),
        axis=(plan.zeroth_order.row, plan.zeroth_order.column),
        line=True,
        wavelengths_m=_block_means(wavelengths, edges),
        focal_length_m=p.focal_length_m,
        power=p.power_fraction,
        spot_px=middle * p.focal_length_m / (columns * pitch) / camera.pixel_pitch_m,
    )


def _block_means(values: Array, edges: Sequence[int] | NDArray[np.int64]) -> Array:
    return np.array([values[a:b].mean() for a, b in itertools.pairwise(edges)])

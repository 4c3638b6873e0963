"""Superpixel interference: phase and amplitude of the light that blocks of a panel send to one place of the camera.

Two blocks, a reference and another, show the same blaze; all else shows a grating whose light goes elsewhere. While the
blocks' phases are stepped in opposite directions, t = 2 pi n / N and -t,

    I_n = |E_b e^{it} + E_r e^{-it} + E_0|^2

has the product of the two, E_b E_r*, at twice the frequency at which stray light E_0 beats with either, so that none
of it enters (Cizmar et al., Nat. Photonics 4, 388 (2010), for the method). Of N = 7 steps one frequency is left in
which there is noise only. A phase added to a blaze is the phase of its first order whatever the look-up table: it
shifts the pattern along.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.exposure import metered_exposure_s
from labctl.client import ROI, CalibrationError

Array = NDArray[np.float64]

STEPS = 7
"""Of the phase: frequencies 0 and 1 hold stray light, 2 the two blocks, 3 noise."""

_HOT = 4e-4
"""Share of pixels that may be bright without light: those are not what is looked for."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Blocks of a panel and where their light goes.

    row_edges (R + 1,), column_edges (C + 1,): panel pixels. blaze, dark: (panel rows, columns) phase of light sent to
    the place that is looked at, and elsewhere. kappa: (R,) 2 pi / (lambda f) of the rows of a block. together: whether
    rows add up coherently; else each row of blocks has a reference of its own. reference: block (row, column).
    """

    row_edges: NDArray[np.int64]
    column_edges: NDArray[np.int64]
    blaze: Array
    dark: Array
    kappa: Array
    together: bool
    reference: tuple[int, int]
    pitch_m: float

    @property
    def shape(self) -> tuple[int, int]:
        """Blocks down and across."""
        return len(self.row_edges) - 1, len(self.column_edges) - 1

    @property
    def centres_px(self) -> tuple[Array, Array]:
        """Rows (R,) and columns (C,) of the blocks' centres, in panel pixels; a pixel's centre is a whole number."""
        return tuple((e[:-1] + e[1:] - 1) / 2 for e in (self.row_edges, self.column_edges))  # type: ignore[return-value]

    def reference_of(self, block: tuple[int, int]) -> tuple[int, int]:
        """The block that another one interferes with."""
        return self.reference if self.together else (block[0], self.reference[1])

    def others(self) -> list[tuple[int, int]]:
        """All blocks but references."""
        every = [(i, j) for i in range(self.shape[0]) for j in range(self.shape[1])]
        return [b for b in every if self.reference_of(b) != b]

    def area(self, block: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of a block."""
        i, j = block
        return (
            slice(int(self.row_edges[i]), int(self.row_edges[i + 1])),
            slice(int(self.column_edges[j]), int(self.column_edges[j + 1])),
        )

    def apart_m(self, block: tuple[int, int], other: tuple[int, int]) -> tuple[float, float]:
        """From one block's centre to another's (down, across)."""
        rows, columns = self.centres_px
        return (
            float(rows[block[0]] - rows[other[0]]) * self.pitch_m,
            float(columns[block[1]] - columns[other[1]]) * self.pitch_m,
        )


class Shown:
    """Blocks of a layout on a panel; only those that change are written."""

    def __init__(self, slm: Any, layout: Layout) -> None:
        self._slm, self._layout = slm, layout
        self._blocks: dict[tuple[int, int], float] | None = None

    def whole(self, correction: Array | None = None, rows: slice = slice(None)) -> None:
        """The blaze on every block, less a phase (panel rows, columns); or on those of some rows of the panel only."""
        layout = self._layout
        first, last = int(layout.row_edges[0]), int(layout.row_edges[-1])
        pattern = layout.dark.copy()
        lit = np.zeros(len(pattern), bool)
        lit[first:last] = True
        wanted = np.zeros(len(pattern), bool)
        wanted[rows] = True
        lit &= wanted
        pattern[lit] = (layout.blaze if correction is None else layout.blaze - correction)[lit]
        self._write(pattern, 0, 0)
        self._blocks = None
        self._slm.settle()

    def blocks(self, phases: Mapping[tuple[int, int], float]) -> None:
        """The blaze plus a phase on some blocks, all others dark."""
        if self._blocks is None:
            self._write(self._layout.dark, 0, 0)
            self._blocks = {}
        for block in set(self._blocks) | set(phases):
            if self._blocks.get(block) != phases.get(block):
                rows, columns = self._layout.area(block)
                shown = self._layout.dark[rows, columns]
                if block in phases:
                    shown = self._layout.blaze[rows, columns] + phases[block]
                self._write(shown, rows.start, columns.start)
        self._blocks = dict(phases)
        self._slm.settle()

    def _write(self, phase: Array, row: int, column: int) -> None:
        # As a whole new pattern: steps of phase must be complete, and are worth the longer wait.
        self._slm.write(np.mod(phase, 2 * math.pi), row, column, True)


class Spot:
    """A region of the camera; counts above the dark of its own exposure."""

    def __init__(self, camera: Any, switch: Any) -> None:
        self._camera, self._switch = camera, switch
        self._dark: dict[tuple[Any, float], Array] = {}
        limits = camera.limits("exposure_s")
        self.shortest_s, self.longest_s = limits.minimum or 1e-6, min(limits.maximum or 1.0, 0.5)
        camera.binning = 1

    def look(self, row: int, column: int, rows: int, columns: int) -> None:
        """Take a region around a pixel, cut to the sensor."""
        top, left = max(row - rows // 2, 0), max(column - columns // 2, 0)
        end_row, end_column = min(top + rows, self._camera.rows), min(left + columns, self._camera.columns)
        if end_row - top < min(rows, 3) or end_column - left < min(columns, 3):
            raise CalibrationError(
                f"row {row}, column {column}, where the light is planned, is not on the camera: mend the alignment"
            )
        self.roi = ROI(row=top, column=left, rows=end_row - top, columns=end_column - left)
        self._camera.roi = self.roi

    def meter(self, fill: float, start_s: float = 0.01, where: str = "where it is planned") -> float:
        """Choose the exposure at which the brightest pixel is so full; it is set."""
        camera, full = self._camera, float(self._camera.full_scale_counts)
        dark = float(np.median(self._dark_of(start_s)))

        def peak(exposure_s: float) -> tuple[float, bool]:
            camera.exposure_s = exposure_s
            frame = camera.trigger()
            values = np.sort(frame.data.ravel())
            few = min(3 + round(_HOT * len(values)), len(values) // 2 + 1)
            return float(values[-few]) - dark, frame.saturated > few

        camera.exposure_s = metered_exposure_s(
            peak, full, min(max(start_s, self.shortest_s), self.longest_s), self.shortest_s, self.longest_s,
            target_fill=fill, where=where,
        )  # fmt: skip
        return float(camera.exposure_s)

    @property
    def exposure_s(self) -> float:
        """As it is set."""
        return float(self._camera.exposure_s)

    def expose(self, exposure_s: float) -> float:
        """Set the exposure; as the camera rounds it."""
        self._camera.exposure_s = exposure_s
        return float(self._camera.exposure_s)

    def take(self, frames: int = 1) -> Array:
        """Mean counts (rows, columns) above dark. CalibrationError if much of it saturates."""
        dark = self._dark_of(float(self._camera.exposure_s))
        taken = [self._camera.trigger() for _ in range(frames)]
        worst = max(f.saturated for f in taken)
        if worst > dark.size // 50:
            raise CalibrationError(
                f"{worst} pixels of the camera saturate though their exposure was metered: the light is not steady, or "
                "other light falls on the camera"
            )
        return np.asarray(np.mean([f.data for f in taken], axis=0) - dark)

    @property
    def full_counts(self) -> float:
        """Largest count of the camera."""
        return float(self._camera.full_scale_counts)

    def raw(self, exposure_s: float, saturated: bool = False) -> Array:
        """Counts (rows, columns) of one frame as they are. CalibrationError if some are saturated, unless they may."""
        if abs(self.exposure_s - exposure_s) > 1e-9:
            self._camera.exposure_s = exposure_s
        frame = self._camera.trigger()
        if frame.saturated > frame.data.size // 50 and not saturated:
            raise CalibrationError(
                f"{frame.saturated} pixels of the camera saturate: lower the lasers' power, or add a neutral-density "
                "filter"
            )
        return np.asarray(frame.data, np.float64)

    def _dark_of(self, exposure_s: float) -> Array:
        """Mean counts (rows, columns) with the light off."""
        camera, key = self._camera, (self.roi, round(exposure_s, 9))
        if key not in self._dark:
            with self._switch.off():
                camera.exposure_s = exposure_s
                self._dark[key] = np.mean([camera.trigger().data for _ in range(4)], axis=0)
        camera.exposure_s = exposure_s
        return self._dark[key]


@dataclass(frozen=True, eq=False)
class Products:
    """E_b E_r* of every block with its reference, at the middle of the window, counts per pixel: value (R, C), nan at
    references; noise: (R, C) standard deviation of its real or imaginary part; dc: (R, C) mean counts per pixel."""

    value: NDArray[np.complex128]
    noise: Array
    dc: Array


def demodulated(counts: Array, turn: NDArray[np.complex128]) -> tuple[complex, complex, float]:
    """Mean over the window of the product, of what is noise in the same units, and of the counts.

    counts: (STEPS, rows, columns). turn: (rows, columns) conjugate of the fringe two blocks so far apart make there.
    """
    angles = 2 * math.pi * np.arange(STEPS) / STEPS
    steps = np.exp(-1j * np.outer([2, 3], angles)) / STEPS
    product, rest = np.tensordot(steps, counts, 1)
    return complex((product * turn).mean()), complex((rest * turn).mean()), float(counts.mean())


def measured_products(shown: Shown, spot: Spot, layout: Layout, turns: Any, steps: Iterable[Any]) -> Products:
    """Step every block against its reference. turns(block, reference): (rows, columns) of `demodulated`. steps: of a
    recorder, one per block."""
    value = np.full(layout.shape, np.nan, complex)
    rest, dc = np.zeros(layout.shape, complex), np.zeros(layout.shape)
    angles = 2 * math.pi * np.arange(STEPS) / STEPS
    for step, block in zip(steps, layout.others(), strict=True):
        reference = layout.reference_of(block)
        frames = []
        for angle in angles:
            shown.blocks({block: float(angle), reference: float(-angle)})
            frames.append(spot.take())
        counts = np.stack(frames)
        value[block], rest[block], dc[block] = demodulated(counts, turns(block, reference))
        step.save(block=np.array(block), product=value[block], rest=rest[block], counts=counts.mean(axis=(1, 2)))
    measured = np.isfinite(value.real)
    # Noise of photons grows with the light; what is left over at the free frequency says how much of it there is.
    level = float((np.abs(rest[measured]) ** 2).sum() / np.maximum(dc[measured], 1e-9).sum())
    noise = np.sqrt(level * np.maximum(dc, 1e-9) / 2)
    return Products(value, noise, dc)

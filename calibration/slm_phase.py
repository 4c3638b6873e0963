"""The phase that each gray level gives, for each wavelength and tile of the panel, from the light of gratings alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field

from calibration.checks import phase as phase_check
from calibration.exposure import metered_exposure_s
from calibration.panels import panels
from calibration.phase_fit import PhaseFit, fit_phase, level_pairs, one_turn
from labctl.client import (
    ROI,
    Bench,
    Calibration,
    CalibrationError,
    Check,
    Finding,
    Measured,
    Parameters,
    Recorder,
    Routine,
)

WITHIN_CELL = 5e-4
"""Standard uncertainty of a cell's wavelength, relative, and so of its phase: where its light falls within its rows is
known to some rows only, and a row is 7e-5 of the wavelength."""

LEAST_ROWS = 3
"""Lit rows that a cell needs to be measured by itself; others take the phase of the nearest one."""


class SlmPhaseParameters(Parameters):
    """Cells, levels and light."""

    row_cells: int = Field(6, ge=1, le=64, description="of the panel; those without light are not measured")
    column_tiles: int = Field(4, ge=1, le=64)
    steps: int = Field(25, ge=12, le=256, description="gray levels over the range")
    references: int = Field(4, ge=2, le=8, description="levels that each is paired with")
    period: int = Field(32, ge=4, le=256, description="of the gratings, SLM columns")
    focal_length_m: float = Field(0.2, gt=0, description="of the Fourier lens, as planned")
    search_px: int = Field(40, ge=0, le=400, description="camera columns either way within which the order must lie")
    window_rows: int = Field(15, ge=1, le=501, description="camera pixels that are summed")
    window_columns: int = Field(3, ge=1, le=51)
    frames: int = Field(
        4, ge=1, le=100, description="of each pattern: flicker that came with the pace of the patterns would not show"
    )
    power_fraction: float = Field(0.01, gt=0, le=1, description="low, for long exposures: flicker then averages out")
    row_table: int = Field(36, ge=1, le=4320, description="rows of a band of the table; the wavelength falls in it")
    check_steps: int = Field(17, ge=8, le=256, description="gray levels that a check looks at, in each of its cells")
    check_cells: int = Field(8, ge=1, le=4096)
    check_allowed_rad: float = Field(0.03, gt=0, description="by which the phase of the last level may change")


class SlmPhase(Routine):
    """First order of binary gratings between pairs of gray levels, cell by cell; `calibration.phase_fit`.

    Phase is proportional to 1 / wavelength, so within a cell each band of rows gets the cell's phase at its own
    wavelength. What does not change with the cell's levels drops out: other cells, dead area, the glass.
    """

    Parameters = SlmPhaseParameters
    role = "slm"
    roles = ("slm", "camera", "source")
    alignments = ("prbm",)
    kinds = ("phase_table",)
    valid_for = timedelta(days=30)

    def run(self, bench: Bench, parameters: SlmPhaseParameters, record: Recorder) -> dict[str, Any]:
        """Intensities (cells, patterns), in the order taken."""
        return self.measure(bench, parameters, record)

    def check(
        self, bench: Bench, parameters: SlmPhaseParameters, in_force: Mapping[str, Calibration], record: Recorder
    ) -> dict[str, tuple[Check, ...]]:
        """A few gratings in a few cells: by how much has the phase of each grown?"""
        few = parameters.model_copy(update={"steps": parameters.check_steps, "references": 2})
        r = self.measure(bench, few, record, parameters.check_cells)
        found = phase_check.compare(
            in_force["phase_table"], r["cells"], r["pairs"], r["light"], parameters.check_allowed_rad
        )
        return {"phase_table": found}

    def measure(
        self, bench: Bench, p: SlmPhaseParameters, record: Recorder, most_cells: int | None = None
    ) -> dict[str, Any]:
        """`run`, of all cells or of so many at most, spread over the panel."""
        slm, camera = bench.slm, bench.camera
        plan: Any = bench.alignment("prbm")
        if slm.levels == 0:
            raise CalibrationError("slm-phase: the panel is continuous and has no gray levels; it needs no phase table")
        rows, columns = slm.rows, slm.columns
        row_edges = np.rint(np.linspace(0, rows, p.row_cells + 1)).astype(np.int64)
        column_edges = np.rint(np.linspace(0, columns, p.column_tiles + 1)).astype(np.int64)
        lit = (plan.first_row, plan.first_row + plan.bands * plan.rows_per_band)
        cells = [
            (i, j)
            for i in range(p.row_cells)
            if min(row_edges[i + 1], lit[1]) - max(row_edges[i], lit[0]) >= LEAST_ROWS
            for j in range(p.column_tiles)
        ]
        if not cells:
            raise CalibrationError("slm-phase: no cell has light by [alignment.prbm]; choose fewer row_cells")
        if most_cells is not None and most_cells < len(cells):
            cells = [cells[k] for k in np.unique(np.linspace(0, len(cells) - 1, most_cells).round().astype(int))]
        pairs = level_pairs(slm.levels, p.steps, p.references)
        dtype = np.uint8 if slm.levels <= 256 else np.uint16
        slm.write_gray(np.zeros((rows, columns), dtype))

        def show(cell: tuple[int, int], high: int, low: int) -> None:
            i, j = cell
            line = (np.arange(column_edges[j], column_edges[j + 1]) % p.period) < p.period // 2
            gray = np.where(line, high, low).astype(dtype)
            slm.write_gray(np.tile(gray, (row_edges[i + 1] - row_edges[i], 1)), int(row_edges[i]), int(column_edges[j]))
            slm.settle()

        wavelengths = [self._wavelength(plan, *np.clip(row_edges[i : i + 2], *lit)) for i, _ in cells]
        window = FirstOrder(camera, p, plan, slm.pixel_pitch_m)
        window.measure_dark()
        bench.source.power_fraction = p.power_fraction
        bench.source.emission = True
        orders = np.stack([record.rng.permutation(len(pairs)) for _ in cells])
        light, places = np.zeros(orders.shape), np.zeros(len(cells))
        for step in record.steps(len(cells), "cells"):
            k = step.index
            show(cells[k], 0, slm.levels // 2)
            places[k] = window.find(wavelengths[k])
            window.leave_room(partial(show, cells[k]), slm.levels)
            for n, pair in enumerate(orders[k]):
                show(cells[k], *(int(g) for g in pairs[pair]))
                light[k, n] = window.light()
            show(cells[k], 0, 0)
            step.save(cell=np.array(cells[k]), levels=pairs[orders[k]], counts_per_s=light[k])
        return {
            "cells": np.array(cells),
            "pairs": pairs[orders],
            "light": light,
            "places": places,
            "row_edges": row_edges,
            "column_edges": column_edges,
            "wavelengths_m": np.array(wavelengths),
            "row_wavelengths_m": np.array([self._wavelength(plan, *np.clip((r, r + 1), *lit)) for r in range(rows)]),
            "levels": int(slm.levels),
            "column": window.columns_mean,
        }

    @staticmethod
    def _wavelength(plan: Any, first: int, end: int) -> float:
        """In the middle of rows ``first`` to ``end``, m."""
        band = ((first + end) / 2 - plan.first_row) / plan.rows_per_band - 0.5
        return float(plan.wavelength_first + plan.wavelength_per_band * band) * 1e-9

    def findings(self, results: dict[str, Any], parameters: SlmPhaseParameters, record: Recorder) -> Sequence[Finding]:
        """Fit each cell, and give every band of rows the phase at its wavelength."""
        p, r, levels = parameters, results, results["levels"]
        fits = [
            fit_phase(pairs[:, 0], pairs[:, 1], light, levels)
            for pairs, light in zip(r["pairs"], r["light"], strict=True)
        ]
        phase = np.stack([f.phase_rad for f in fits])
        error = np.hypot([f.error_rad for f in fits], WITHIN_CELL * phase)
        rows = len(r["row_wavelengths_m"])
        edges = np.unique(np.concatenate([np.arange(0, rows, p.row_table), r["row_edges"]]))
        shape = (len(edges) - 1, p.column_tiles, levels)
        table, table_error = np.zeros(shape), np.zeros(shape)
        measured_rows = np.unique(r["cells"][:, 0])
        for b, (first, end) in enumerate(itertools.pairwise(edges)):
            i = int(np.searchsorted(r["row_edges"], first, side="right") - 1)
            nearest = measured_rows[np.abs(measured_rows - i).argmin()]
            for k in np.flatnonzero(r["cells"][:, 0] == nearest):
                ratio = r["wavelengths_m"][k] / r["row_wavelengths_m"][first:end].mean()
                table[b, r["cells"][k, 1]] = phase[k] * ratio
                table_error[b, r["cells"][k, 1]] = error[k]
        spread = np.array([math.sqrt(float((f.residuals**2).mean())) for f in fits])
        turn, turn_error = phase[:, -1] * levels / (levels - 1), error[:, -1]
        _draw(record, r, fits)
        return [
            Finding(
                kind="phase_table",
                values={
                    "row_edges": Measured(edges, "px"),
                    "column_edges": Measured(r["column_edges"], "px"),
                    "phase_rad": Measured(one_turn(table), "rad", table_error),
                    "cells": Measured(r["cells"]),
                    "cell_phase_rad": Measured(phase, "rad", error),
                    "cell_wavelength_m": Measured(r["wavelengths_m"], "m", WITHIN_CELL * r["wavelengths_m"]),
                    "tile_error": Measured(turn / turn.mean() - 1, "1", turn_error / turn.mean()),
                },
                conditions={"power_fraction": Measured(p.power_fraction), "period": Measured(p.period, "px")},
                checks=(
                    Check(name="residuals, rms of the brightest", value=float(np.median(spread)), high=0.02),
                    Check(name="largest uncertainty", value=float(error.max()), unit="rad", high=0.1),
                    Check(name="least rise of phase with level", value=float(np.diff(phase).min()), unit="rad", low=0),
                ),
            )
        ]


class FirstOrder:
    """The camera pixels around the first order of the gratings."""

    def __init__(self, camera: Any, p: SlmPhaseParameters, plan: Any, pitch_m: float) -> None:
        self._camera, self._p, self._plan = camera, p, plan
        self._dark = 0.0
        self._off_px: float | None = None
        self._exposure_s = 0.05
        self._searched, self._column = -math.inf, -math.inf
        self._metres_px = p.focal_length_m / (p.period * pitch_m * camera.pixel_pitch_m)
        self.columns_mean = 0.0

    def measure_dark(self) -> None:
        """Offset of the camera, with the light off."""
        self._look(self._plan.zeroth_order.column, self._p.window_columns)
        self._dark = float(self._camera.trigger().data.mean())

    def find(self, wavelength_m: float) -> float:
        """Column of the order: look over the whole search range once, then around where the last one was.

        Sets region and exposure for `light`. CalibrationError if there is no light, or it is elsewhere.
        """
        p, camera = self._p, self._camera
        planned = self._plan.zeroth_order.column + wavelength_m * self._metres_px
        reach = p.search_px if self._off_px is None else min(p.search_px, 8)
        # Orders of other cells lie a few pixels away: a region that was looked at once is looked at again.
        if self._off_px is None or abs(planned + self._off_px - self._searched) > reach / 2:
            self._searched = planned + (self._off_px or 0.0)
        self._look(self._searched, 2 * reach + p.window_columns)
        self._meter()
        profile = camera.trigger().data.mean(axis=0) - self._dark
        width = p.window_columns
        sums = np.convolve(profile, np.ones(width), mode="valid")
        # A flat profile is an order broader than the search: there is then nothing to find, nor to be missed.
        best = int(sums.argmax()) if np.ptp(sums) > 0.3 * sums.max() else len(sums) // 2
        if best in (0, len(sums) - 1) and len(sums) > 1 and np.ptp(sums) > 0.9 * sums.max():
            raise CalibrationError(
                f"the first order of a grating of {p.period} columns is not within {reach} camera columns of where a "
                f"lens of {p.focal_length_m * 1e3:.4g} mm and [alignment.prbm] zeroth_order have it: another lens, or "
                "the camera has moved; set focal_length_m, zeroth_order or search_px"
            )
        column = camera.roi.column + best
        middle = column + (width - 1) / 2
        if self._off_px is None:
            self._searched = middle
        self._off_px = middle - planned
        if abs(middle - self._column) > (width - 1) // 2:
            self._column = middle
        self._look(self._column, width)
        self._meter()
        self.columns_mean = self._column
        return float(self.columns_mean)

    def leave_room(self, show: Callable[[int, int], None], levels: int) -> None:
        """Shorten the exposure until none of some patterns fills more than half of the pixels' range."""
        camera, half = self._camera, levels // 2
        for high, low in ((half, 0), (0, half), (levels - 1, half), (levels // 4, half + levels // 4)):
            show(high, low)
            frame = camera.trigger()
            fill = 1.0 if frame.saturated else float(frame.data.max() - self._dark) / camera.full_scale_counts
            camera.exposure_s = frame.exposure_s * min(0.5 / fill if fill > 0 else 1.0, 1.0)

    def light(self) -> float:
        """Counts per second of the window, mean of some frames. CalibrationError if the camera saturates."""
        total = 0.0
        for _ in range(self._p.frames):
            frame = self._camera.trigger()
            if frame.saturated:
                raise CalibrationError(
                    f"{frame.saturated} pixels of the camera saturate at an exposure of {frame.exposure_s:.3g} s "
                    "though it was set for less light: the source is not steady, or another light came on"
                )
            total += float((frame.data - self._dark).sum() / frame.exposure_s)
        return total / self._p.frames

    def _meter(self) -> None:
        camera, full = self._camera, self._camera.full_scale_counts
        limits = camera.limits("exposure_s")

        def peak(exposure_s: float) -> tuple[float, bool]:
            camera.exposure_s = exposure_s
            frame = camera.trigger()
            return float(frame.data.max() - self._dark), frame.saturated > 0

        # The last one is near: another cell is lit about as much, and a look at many columns takes long.
        self._exposure_s = metered_exposure_s(
            peak, full, self._exposure_s, limits.minimum or 1e-6, limits.maximum or 1.0, target_fill=0.4
        )
        camera.exposure_s = self._exposure_s

    def _look(self, column: float, columns: int) -> None:
        camera, rows = self._camera, min(self._p.window_rows, self._camera.rows)
        first = round(column - (columns - 1) / 2)
        first, end = max(first, 0), min(first + columns, camera.columns)
        if end - first < 1:
            raise CalibrationError(
                f"the first order of a grating of {self._p.period} columns falls beside the camera: choose a longer "
                "period, or mend [alignment.prbm] zeroth_order"
            )
        row = min(max(self._plan.zeroth_order.row - rows // 2, 0), camera.rows - rows)
        camera.roi = ROI(row=row, column=first, rows=rows, columns=end - first)


def _draw(record: Recorder, r: dict[str, Any], fits: list[PhaseFit]) -> None:
    with panels(record.picture("phase-curve")) as ((light, curve), (rest, deviation)):
        levels = np.arange(r["levels"])
        first = r["pairs"][0][:, 1] == r["pairs"][0][:, 1].min()
        light.plot(r["pairs"][0][first, 0], r["light"][0][first], ".", label="measured")
        order = np.argsort(r["pairs"][0][first, 0])
        light.plot(r["pairs"][0][first, 0][order], fits[0].at[first][order], lw=1, label="fit")
        light.set(xlabel="gray level, against the lowest", ylabel="first order (counts/s)", title="one cell")
        light.legend()
        for fit, pairs, cell in zip(fits, r["pairs"], r["cells"], strict=True):
            curve.plot(levels, fit.phase_rad, lw=0.8)
            rest.plot(pairs[:, 0], 100 * fit.residuals, ".", ms=2)
            nominal = 2 * math.pi * levels / r["levels"]
            deviation.fill_between(
                levels,
                fit.phase_rad - nominal - 2 * fit.error_rad,
                fit.phase_rad - nominal + 2 * fit.error_rad,
                alpha=0.3,
            )
            deviation.plot(levels, fit.phase_rad - nominal, lw=0.8, label=f"{cell[0]},{cell[1]}")
        curve.set(xlabel="gray level", ylabel="phase (rad)")
        rest.set(xlabel="gray level", ylabel="residual (% of the brightest)")
        deviation.set(xlabel="gray level", ylabel="phase less nominal (rad)")

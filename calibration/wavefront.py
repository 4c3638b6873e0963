"""Aberrations between the panel and the camera, from the interference of blocks of the panel; and the Strehl ratio."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.panels import panels
from calibration.spot_search import find_light
from calibration.superpixels import Layout, Products, Shown, Spot, measured_products
from calibration.wavefront_blocks import WITHIN, at_centres, block_phases
from calibration.wavefront_fit import (
    BELIEVED_RAD,
    weighted_fit,
    zernike_terms,
)
from calibration.wavefront_layouts import Station, station
from labctl.client import Bench, CalibrationError, Check, Finding, Measured, Parameters, Recorder, Routine

Array = NDArray[np.float64]

MODES = (4, 5, 6, 7, 8, 9, 10, 11)
"""Noll's indices of the aberrations that are told, fitted with piston and tilts."""

TILES = 12
"""Of such a panel: blocks of one tile share that error."""


class WavefrontParameters(Parameters):
    """Blocks, light, and what is looked at."""

    row_blocks: int | None = Field(None, ge=2, le=64, description="down the lit panel; 8, on a PRBM table 4")
    column_blocks: int | None = Field(None, ge=3, le=64, description="across it; 8, on a PRBM table 15")
    power_w: float = Field(0.3, gt=0, le=100, description="most power of the pump; less where the spot is too bright")
    power_fraction: float = Field(0.2, gt=0, le=1, description="the same of a supercontinuum")
    search_px: int = Field(45, ge=4, le=400, description="camera pixels either way within which the light must arrive")
    window_px: int = Field(5, ge=1, le=51, description="columns (and rows) of the camera that are averaged; odd")
    window_rows: int = Field(9, ge=1, le=501, description="rows of them where light is a line; odd")
    dark_px: int = Field(4, ge=1, le=64, description="squares of the pattern of blocks that are not looked at")
    period_px: int = Field(32, ge=8, le=256, description="of the blaze of a PRBM table, SLM columns")
    focal_length_m: float = Field(0.2, gt=0, description="of a PRBM table's Fourier lens, as planned")
    frames: int = Field(8, ge=1, le=1000, description="for the Strehl ratio")
    least_strehl: float = Field(0.9, ge=0, le=1, description="after correction")


class Wavefront(Routine):
    """Phase steps of blocks against a reference block, a smooth fit, and the Strehl ratio with and without it.

    Strehl ratio: light of the whole panel at the place, over that of blocks that add up in phase, the square of the sum
    of their amplitudes. On a photonic RBM's table rows have wavelengths of their own: each row of blocks has a
    reference of its own, and is flat on average by definition.
    """

    Parameters = WavefrontParameters
    role = "slm"
    roles = ("slm", "camera")
    kinds = ("wavefront",)
    valid_for = timedelta(days=30)

    @classmethod
    def suits(cls, config: Any) -> bool:
        """Benches with a table that it knows."""
        sources = {"hologram": "pump", "prbm": "source"}
        there = [light in config.devices for name, light in sources.items() if name in config.alignment]
        return set(cls.roles) <= config.devices.keys() and any(there)

    def run(self, bench: Bench, parameters: WavefrontParameters, record: Recorder) -> dict[str, Any]:
        """Find the light, step the blocks, correct, and look at the spot again."""
        p, at = parameters, station(bench, parameters)
        layout = at.layout
        shown, spot = Shown(bench.slm, layout), Spot(bench.camera, at.switch)
        with at.switch.light(at.power / 100):
            place, bright_s = find_light(at, p.search_px, shown, spot, p.window_rows)
            uncorrected = _peak(spot, bright_s, p.frames)
            _look(at, p, spot, place)
            block_s = _meter_blocks(shown, spot, layout)
            turns = _turns(at, spot, place, float(bench.camera.pixel_pitch_m))
            others = layout.others()
            products = measured_products(shown, spot, layout, turns, record.steps(len(others), "blocks"))
            references = _reference_light(shown, spot, layout)
            phase, error = block_phases(products, layout)
            _refuse_elsewhere(at, p, place, phase, error, float(bench.camera.pixel_pitch_m))
            phase, correction = at_centres(layout, phase, error, products.value)
            spot.look(place[0], place[1], 1 if not at.line else p.window_rows, 1)
            corrected = sum(_corrected_light(shown, spot, correction, rows, bright_s, p) for rows in _coherent(layout))
        pixel = math.tau / (layout.kappa.mean() * bench.camera.pixel_pitch_m)  # lambda f per pixel, m
        ideal = _ideal(products, references, layout, phase, correction, pixel) / block_s
        return {
            "layout": layout,
            "place": place,
            "products": products,
            "phase": phase,
            "error": error,
            "correction": correction,
            "corrected": corrected,
            "uncorrected": uncorrected,
            "ideal": ideal,
            "wavelengths_m": at.wavelengths_m,
            "panel": (int(bench.slm.rows), int(bench.slm.columns)),
        }

    def findings(self, results: dict[str, Any], parameters: WavefrontParameters, record: Recorder) -> Sequence[Finding]:
        """Phases without piston and tilt, modes, and how well they correct."""
        r, layout = results, results["layout"]
        phase, error = r["phase"], np.hypot(r["error"], WITHIN)
        rows, columns = layout.centres_px
        flat, tilt, modes = (_flat_together if layout.together else _flat_by_row)(layout, phase, error, r["panel"])
        strehl, before = r["corrected"] / r["ideal"], r["uncorrected"] / r["ideal"]
        amplitude = np.abs(r["products"].value)
        values = {
            "row_px": Measured(rows, "px"),
            "column_px": Measured(columns, "px"),
            "phase_rad": Measured(flat, "rad", error),
            "wavelength_m": Measured(r["wavelengths_m"], "m"),
            "tilt": Measured(tilt, "rad/px"),
            "amplitude": Measured(np.where(np.isnan(amplitude), 0.0, amplitude / np.nanmax(amplitude))),
            "strehl": Measured(strehl, "1", 0.03),
            "strehl_before": Measured(before, "1", 0.03),
            "place": Measured(np.array(r["place"], float), "px"),
        }
        if modes is not None:
            values["noll"] = Measured(np.array(MODES))
            values["zernike_rad"] = Measured(modes[0], "rad", modes[1])
        _draw(record, r, flat, error)
        believed = float((error < BELIEVED_RAD).mean())
        return [
            Finding(
                kind="wavefront",
                values=values,
                checks=(
                    Check(name="Strehl ratio after correction", value=strehl, low=parameters.least_strehl, high=1.1),
                    Check(name="blocks with light", value=believed, low=0.5),
                ),
            )
        ]


# --- what is measured -----------------------------------------------------------------------------------------------


def _refuse_elsewhere(
    at: Station, p: WavefrontParameters, place: tuple[int, int], phase: Array, error: Array, pixel_m: float
) -> None:
    """CalibrationError if the light, by the tilt of the blocks' phases, belongs where it is not planned."""
    layout = at.layout
    rows, columns = (c * layout.pitch_m for c in layout.centres_px)
    terms = np.stack([np.ones(phase.shape), *np.meshgrid(rows, columns, indexing="ij")])
    if at.line:  # rows do not tell where they send their light
        terms = np.stack([*(np.eye(len(rows))[i][:, None] * np.ones(phase.shape) for i in range(len(rows))), terms[2]])
    tilts, _, _ = weighted_fit(terms.reshape(len(terms), -1), phase.ravel(), np.hypot(error, WITHIN).ravel())
    off = np.array([0.0 if at.line else tilts[1], tilts[-1]]) / (layout.kappa.mean() * pixel_m)
    found = np.array(place) + off - at.axis
    planned = np.array(at.planned) - at.axis
    away = float(np.hypot(*(found - planned)))
    if away > math.sqrt(2) * p.search_px:
        scale = float(found @ planned / (planned @ planned))
        straight = float(np.hypot(*(found - scale * planned))) < 0.3 * away
        cause = f"as behind another lens, {scale:.2f} times as long" if straight else "the camera has moved"
        raise CalibrationError(
            f"the spot's middle is {away:.0f} pixels from where it is planned: {cause}; check the focal length, or "
            "mend the alignment in the bench file"
        )


def _peak(spot: Spot, exposure_s: float, frames: int) -> float:
    """Counts per second of the brightest pixel."""
    return float(spot.take(frames).max()) / exposure_s


def _look(at: Station, p: WavefrontParameters, spot: Spot, place: tuple[int, int]) -> None:
    """The window that is averaged."""
    spot.look(*place, p.window_rows if at.line else p.window_px, min(p.window_px, 3) if at.line else p.window_px)


def _meter_blocks(shown: Shown, spot: Spot, layout: Layout) -> float:
    """Exposure that two neighbouring blocks in phase half fill, wherever on the panel; it is set."""
    row, column = layout.reference
    exposures_s: list[float] = []
    for i in [row] if layout.together else range(layout.shape[0]):
        shown.blocks({(i, column - 1): 0.0, (i, column): 0.0})
        exposures_s.append(spot.meter(0.4, exposures_s[-1] if exposures_s else 0.02, "of two blocks"))
    return spot.expose(min(exposures_s))


def _turns(at: Station, spot: Spot, place: tuple[int, int], pixel_m: float) -> Any:
    """Conjugate of the fringes that two blocks make in the window, 1 at ``place``."""
    roi, layout = spot.roi, at.layout
    down = (np.arange(roi.row, roi.row + roi.rows) - place[0])[:, None] * pixel_m
    across = (np.arange(roi.column, roi.column + roi.columns) - place[1])[None, :] * pixel_m

    def turn(block: tuple[int, int], reference: tuple[int, int]) -> NDArray[np.complex128]:
        y, x = layout.apart_m(block, reference)
        return np.asarray(np.exp(1j * layout.kappa[block[0]] * (across * x + down * y)))

    return turn


def _reference_light(shown: Shown, spot: Spot, layout: Layout) -> Array:
    """|E_r|^2 (R,) of each row's reference, counts per pixel, without what it makes with stray light."""
    shown.blocks({})
    stray = spot.take(2).mean()
    rows = [layout.reference[0]] if layout.together else range(layout.shape[0])
    out = np.zeros(layout.shape[0])
    for i in rows:
        block = layout.reference_of((i, layout.reference[1]))
        lights = []
        for angle in (0.0, math.pi):
            shown.blocks({block: angle})
            lights.append(spot.take(2).mean())
        out[i] = float(np.mean(lights) - stray)
    if layout.together:
        out[:] = out[layout.reference[0]]
    if out.min() <= 0:
        raise CalibrationError(
            "the reference blocks send no light to the place: check what covers the panel, or choose fewer blocks"
        )
    return out


def _coherent(layout: Layout) -> list[slice]:
    """Rows of the panel that add up coherently; neighbouring ones of several colours do so by half, and not at all
    with the blocks they are compared with."""
    edges = [layout.row_edges[0], layout.row_edges[-1]] if layout.together else layout.row_edges
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def _corrected_light(
    shown: Shown, spot: Spot, correction: Array, rows: slice, exposure_s: float, p: WavefrontParameters
) -> float:
    """Counts per pixel and second at the place, of some rows whose wave is flat."""
    shown.whole(correction, rows)
    exposure_s = spot.meter(0.5, exposure_s)
    return float(np.mean(spot.take(p.frames))) / exposure_s


def _ideal(
    products: Products, references: Array, layout: Layout, phase: Array, correction: Array, pixel: float
) -> float:
    """Counts of a pixel to which all blocks send their light in phase, in the exposure of the products.

    correction: (panel rows, columns) the wave, by which a block's own light is not quite in phase. pixel: lambda f over
    the camera's pixel, m: over which distance of two blocks a fringe is as wide as a pixel.
    """
    total = 0.0
    for rows in [range(layout.shape[0])] if layout.together else [[i] for i in range(layout.shape[0])]:
        blocks = [(i, j) for i in rows for j in range(layout.shape[1])]
        amplitudes = []
        for block in blocks:
            reference = layout.reference_of(block)
            root = math.sqrt(references[block[0]])
            own = root
            if block != reference:
                own = (products.value[block] * np.exp(-1j * phase[block])).real / root
                own /= _contrast(layout.apart_m(block, reference), pixel)
            amplitudes.append(own / _within(correction[layout.area(block)], layout.together))
        pairs = np.array([[_contrast(layout.apart_m(a, b), pixel) for b in blocks] for a in blocks])
        total += float(amplitudes @ pairs @ amplitudes)
    return total


def _within(phase: Array, together: bool) -> float:
    """How much of a block's light is in phase with itself, for its wave (rows, columns), rad."""
    waves = np.exp(1j * phase)
    means = np.abs(waves.mean()) if together else np.abs(waves.mean(axis=1)).mean()
    return float(means)


def _contrast(apart_m: tuple[float, float], pixel: float) -> float:
    """Of the fringes of two blocks on one pixel."""
    return float(np.prod(np.sinc(np.array(apart_m) / pixel)))


# --- what follows ---------------------------------------------------------------------------------------------------


def _flat_together(
    layout: Layout, phase: Array, error: Array, panel: tuple[int, int]
) -> tuple[Array, Array, tuple[Array, Array]]:
    """Phase without piston and tilts, the tilts (rad per panel row, column), Zernike coefficients and uncertainties."""
    rows, columns = layout.centres_px
    indices = (1, 2, 3, *MODES)
    terms = zernike_terms(indices, rows, columns, panel)
    shared = np.hypot(error, WITHIN * math.sqrt(max(phase.size / TILES - 1, 0.0)))
    found, covariance, _ = weighted_fit(terms.reshape(len(indices), -1), phase.ravel(), shared.ravel())
    flat = phase - np.tensordot(found[:3], terms[:3], 1)
    radius = 0.5 * math.hypot(*panel)
    tilt = np.array([2 * found[2], 2 * found[1]]) / radius  # Z2 = 2 x, Z3 = 2 y
    return flat, tilt, (found[3:], np.sqrt(np.diag(covariance))[3:])


def _flat_by_row(layout: Layout, phase: Array, error: Array, panel: tuple[int, int]) -> tuple[Array, Array, None]:
    """Phase without each row's piston, and without the tilt along rows that is common to all of them.

    The tilt is that of a shift of the place: it goes with kappa. What is left of tilts differs from row to row.
    """
    _, columns = layout.centres_px
    x = (columns - (panel[1] - 1) / 2)[None, :] * (layout.kappa / layout.kappa.mean())[:, None]
    weight = error**-2

    def centred(values: Array) -> Array:
        return np.asarray(values - (weight * values).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True))

    across = centred(np.broadcast_to(x, phase.shape))
    slope = float((weight * across * phase).sum() / (weight * across**2).sum())
    return centred(phase - slope * x), np.array([0.0, slope]), None


def _draw(record: Recorder, r: dict[str, Any], flat: Array, error: Array) -> None:
    with panels(record.picture("wavefront"), 1, 2) as (phase, correction):
        phase.figure.colorbar(phase.imshow(flat, aspect="auto"), ax=phase, label="phase (rad)")
        phase.set(
            title=f"of blocks, uncertain by {np.median(error):.3f} rad",
            xlabel="block across",
            ylabel="block down",
        )
        step = max(1, len(r["correction"]) // 128)
        rows, columns = r["correction"].shape
        shown = np.mod(r["correction"][::step, ::step], 2 * math.pi)
        image = correction.imshow(shown, aspect="auto", extent=(0, columns, rows, 0), vmin=0, vmax=2 * math.pi)
        correction.figure.colorbar(image, ax=correction, label="phase (rad)")
        before, after = r["uncorrected"] / r["ideal"], r["corrected"] / r["ideal"]
        correction.set(
            title=f"correction; Strehl ratio {before:.2f} to {after:.3f}", xlabel="SLM column", ylabel="SLM row"
        )

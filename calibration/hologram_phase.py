"""The reference of off-axis holograms: its carrier, its phase over the camera, and how well its fringes are seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import gaussian_filter

from calibration.panels import panels
from calibration.pump_light import Switch
from calibration.side_band import (
    EDGE_WIDTHS,
    brightest_carrier,
    filter_px,
    plane_fit,
    side_band,
    unwrapped_map,
)
from calibration.spot_search import find_light
from calibration.superpixels import Shown, Spot
from calibration.wavefront_layouts import hologram_station
from labctl.client import Bench, CalibrationError, Check, Finding, Measured, Parameters, Recorder, Routine

Array = NDArray[np.float64]

WITHIN = 0.004
"""Standard uncertainty of the phase, rad, besides noise: the wave of a block of the panel is flat to so much."""

CARRIER_WITHIN = 5e-5
"""The same of the carrier, fringes per pixel: the middle of a block's light is known to some micrometres."""

TURNS = (0.0, math.pi)
"""Phases of the block: what other light of the panel makes with the reference is the same with both."""

SAME_CARRIER = 0.04
"""Distance from the planned carrier, fringes per pixel, up to which fringes are the reference's."""


class HologramPhaseParameters(Parameters):
    """Light, and what is looked at."""

    window_px: int = Field(128, ge=16, le=2048, description="side of the square of the camera that is measured")
    block_px: int = Field(24, ge=4, le=512, description="side of the block of the panel whose light is the other wave")
    dark_px: int = Field(4, ge=1, le=64, description="squares of the pattern around it")
    power_w: float = Field(0.4, gt=0, le=100, description="most power of the pump")
    reference_w: float = Field(1.0, gt=0, le=100, description="most power of the reference")
    exposure_s: float = Field(0.1, gt=0, le=10, description="longest: paths move meanwhile")
    frames: int = Field(8, ge=3, le=1000, description="pairs of holograms")
    search_px: int = Field(45, ge=4, le=400, description="camera pixels either way within which a spot must arrive")
    least_visibility: float = Field(0.1, gt=0, le=1)


class HologramPhase(Routine):
    """A block in the middle of the panel makes a wave that is flat on the camera; its fringes with the reference.

    Light of the block alone, of the reference alone and of neither are taken away, so that only fringes are left; and
    half of them have the block at the opposite phase, so that of those only the block's count.
    """

    Parameters = HologramPhaseParameters
    role = "camera"
    roles = ("slm", "camera", "pump", "reference")
    alignments = ("hologram",)
    kinds = ("hologram-phase",)
    valid_for = timedelta(days=1)

    def run(self, bench: Bench, parameters: HologramPhaseParameters, record: Recorder) -> dict[str, Any]:
        """Fringes (frames, rows, columns), and the light of either wave."""
        p, slm, camera = parameters, bench.slm, bench.camera
        plan: Any = bench.alignment("hologram")
        at = hologram_station(bench, (1, 1), p.dark_px, p.power_w)
        reference = Switch(bench, "reference")
        rows, columns = (slice((n - p.block_px) // 2, (n - p.block_px) // 2 + p.block_px) for n in at.layout.dark.shape)
        carrier = plan.carrier.row, plan.carrier.column
        if math.hypot(*carrier) == 0:
            raise CalibrationError("[alignment.hologram] carrier is 0: say how the reference is inclined, roughly")
        margin = math.ceil(EDGE_WIDTHS * filter_px(carrier)) + 1
        spot = Spot(camera, at.switch)

        def show(turn: float) -> None:
            """The block's blaze plus a phase, all else dark."""
            pattern = at.layout.dark.copy()
            pattern[rows, columns] = at.layout.blaze[rows, columns] + turn
            slm.write(np.mod(pattern, 2 * math.pi))
            slm.settle()

        with at.switch.light(at.power / 100):
            place, _ = find_light(at, p.search_px, Shown(slm, at.layout), spot)
            show(0.0)
            at.switch.power = at.power
            spot.look(*place, p.window_px + 2 * margin, p.window_px + 2 * margin)
            exposure_s = min(spot.meter(0.15, 0.02, "of the block"), p.exposure_s)
            with at.switch.off():
                dark = _mean(spot, exposure_s, p.frames)
                with reference.light(p.reference_w / 100):
                    _balance(spot, reference, exposure_s, p, dark)
                    reference_w = reference.power
                    alone = _mean(spot, exposure_s, p.frames) - dark
            block_light = []
            for turn in TURNS:
                show(turn)
                block_light.append(_mean(spot, exposure_s, p.frames) - dark)
            _refuse_dim(alone, "the reference: check its shutter, its beam block, and that its light meets the camera")
            fringes = []
            with reference.light(reference_w):
                for step in record.steps(2 * p.frames, "holograms"):
                    which = step.index % len(TURNS)
                    show(TURNS[which])
                    both = spot.raw(exposure_s) - dark
                    fringes.append(both - alone - block_light[which])
                    step.save(exposure_s=exposure_s, mean=float(both.mean()))
        return {
            "fringes": np.stack(fringes),
            "reference": alone,
            "block": np.mean(block_light, axis=0),
            "corner": (spot.roi.row, spot.roi.column),
            "margin": margin,
            "axis": at.axis,
            "planned": carrier,
            "exposure_s": exposure_s,
            "reference_w": reference_w,
        }

    def findings(self, results: dict[str, Any], parameters: Any, record: Recorder) -> Sequence[Finding]:
        """Carrier, flat-field phase, visibility."""
        p, r = parameters, results
        seen, share = _carrier(r["fringes"][0], r["planned"])
        inner = np.s_[r["margin"] : -r["margin"], r["margin"] : -r["margin"]]
        waves = [side_band(f, seen)[inner] for f in r["fringes"]]
        product, spread = _together(waves)
        weight = np.abs(product)
        phase = unwrapped_map(np.angle(product))
        _, down, across = plane_fit(phase, weight)
        slopes = np.array([plane_fit(unwrapped_map(np.angle(w * np.conj(product))), weight)[1:] for w in waves])
        carrier = np.array(seen) + np.array([down, across]) / (2 * math.pi)
        carrier_error = np.hypot(slopes.std(axis=0, ddof=1) / math.sqrt(len(waves)) / (2 * math.pi), CARRIER_WITHIN)
        flat = phase - _plane(phase.shape, *plane_fit(phase, weight))
        error = np.hypot(spread, WITHIN)
        light = r["reference"][inner], r["block"][inner]
        smooth = [gaussian_filter(v, filter_px(seen)) for v in light]
        visibility = float((2 * weight.sum()) / (smooth[0] + smooth[1]).sum())
        coherence = float(weight.sum() / np.sqrt(np.clip(smooth[0] * smooth[1], 0, None)).sum())
        _draw(record, r, flat, seen)
        return [
            Finding(
                kind="hologram-phase",
                values={
                    "carrier": Measured(carrier, "1/px", carrier_error),
                    "phase_rad": Measured(flat, "rad", error),
                    "row": Measured(r["corner"][0] + r["margin"], "px"),
                    "column": Measured(r["corner"][1] + r["margin"], "px"),
                    "visibility": Measured(visibility, "1"),
                    "coherence": Measured(coherence, "1"),
                    "reference_counts": Measured(float(light[0].mean()), "1"),
                },
                conditions={
                    "reference_power": Measured(r["reference_w"], "W"),
                    "exposure": Measured(r["exposure_s"], "s"),
                },
                checks=(
                    Check(name="pixels per fringe", value=1 / math.hypot(*carrier), unit="px", low=4.0),
                    Check(name="share of the fringes in a side band that stands apart", value=share, low=0.5),
                    Check(name="visibility", value=visibility, low=p.least_visibility, high=1.05),
                    Check(name="uncertainty of the phase, rms", value=_rms(error), unit="rad", high=0.02),
                ),
                devices=("slm",),
            )
        ]


def _mean(spot: Spot, exposure_s: float, frames: int) -> Array:
    return np.asarray(np.mean([spot.raw(exposure_s) for _ in range(frames)], axis=0))


def _balance(spot: Spot, reference: Switch, exposure_s: float, p: HologramPhaseParameters, dark: Array) -> None:
    """Set the reference so that it fills a third of the camera's range, or gives what it can."""
    light = spot.raw(exposure_s, saturated=True) - dark
    fill = float(np.quantile(light, 0.99)) / spot.full_counts
    most = p.reference_w
    reference.power = most if fill <= 0 else min(reference.power * 0.3 / fill, most)


def _refuse_dim(light: Array, what: str) -> None:
    if float(np.median(light)) < 20.0:
        raise CalibrationError(f"no light ({np.median(light):.1f} counts above dark) of {what}")


def _carrier(fringes: Array, planned: tuple[float, float]) -> tuple[tuple[float, float], float]:
    """Carrier of the fringes, with the sign of the planned one, and the share of light that is in its side band.

    CalibrationError where there are none, or others than planned.
    """
    found, share = brightest_carrier(fringes)
    if found[0] * planned[0] + found[1] * planned[1] < 0:
        found = -found[0], -found[1]
    if share < 0.1:
        raise CalibrationError(
            "there are no fringes: the two arms are not coherent (lengths differ by more than the coherence length, or "
            "the laser is in many modes), or one of them does not meet the camera"
        )
    if math.hypot(found[0] - planned[0], found[1] - planned[1]) < SAME_CARRIER:
        return found, share
    for mirrored in ((-planned[0], planned[1]), (planned[0], -planned[1])):
        if min(math.hypot(s * found[0] - mirrored[0], s * found[1] - mirrored[1]) for s in (1, -1)) < SAME_CARRIER:
            raise CalibrationError(
                f"the carrier is ({found[0]:.3f}, {found[1]:.3f}) fringes per pixel, the planned one mirrored: the "
                "image is flipped, or the reference comes from the other side"
            )
    raise CalibrationError(
        f"the carrier is ({found[0]:.3f}, {found[1]:.3f}) fringes per pixel, planned are ({planned[0]:.3f}, "
        f"{planned[1]:.3f}): the reference is inclined otherwise; mend it, or [alignment.hologram] carrier"
    )


def _together(waves: list[NDArray[np.complex128]]) -> tuple[NDArray[np.complex128], Array]:
    """Mean of waves (rows, columns) that differ by a phase each, and the standard uncertainty of its phase, rad."""
    total = waves[0]
    for _ in range(3):
        turned = [w * np.exp(-1j * np.angle((w * np.conj(total)).sum())) for w in waves]
        total = np.mean(turned, axis=0)
    # Two that follow one another have the block at both phases.
    pairs = [(a + b) / 2 for a, b in zip(turned[::2], turned[1::2], strict=True)]
    off = [(w * np.conj(total)).imag / np.abs(total) ** 2 for w in pairs]
    spread = np.sqrt(np.sum(np.square(off), axis=0) / (len(off) - 1) / len(off))
    return total, np.asarray(gaussian_filter(spread, 8))


def _plane(shape: tuple[int, ...], piston: float, down: float, across: float) -> Array:
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in shape)
    return np.asarray(piston + down * rows[:, None] + across * columns[None, :])


def _rms(values: Array) -> float:
    return math.sqrt(float((values**2).mean()))


def _draw(record: Recorder, r: dict[str, Any], flat: Array, carrier: tuple[float, float]) -> None:
    with panels(record.picture("fringes"), 1, 2) as (fringes, phase):
        near = r["fringes"][0][:64, :64]
        fringes.imshow(near, aspect="auto")
        fringes.set(title=f"fringes, {1 / math.hypot(*carrier):.2f} px each")
        phase.imshow(flat, aspect="auto")
        phase.set(title=f"phase of the reference, {flat.min():.2f} to {flat.max():.2f} rad")

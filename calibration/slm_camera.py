"""Where the camera sees the SLM's Fourier plane: an affine map from lines of light that blazed columns send there.

A band of wavelengths lights a few rows only, so the light of a blaze across columns is no point: it is a line along the
dispersion, centimetres long. Its place across is sharp, at X = order x wavelength x focal length / period; read at
several heights of the camera, lines of both signs give

    X = [(column - column_0) a + (row - row_0) b] x pixel pitch,   (a, b) = (cos, sin)(rotation) / scale

and so rotation, scale, handedness and the column of X = 0 at the row that the plan has for the zeroth order. Square
pixels make the rest of the map; where along the line Y = 0 is, no line tells.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import curve_fit

from calibration.checks import lines as lines_check
from calibration.exposure import metered_exposure_s
from calibration.lighting import set_band
from calibration.panels import panels
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

Array = NDArray[np.float64]

TILE_RAD = 0.04
"""Phase by which one half of the panel may differ from the other: look-up tables differ by 1 % from tile to tile."""


MIRRORED = (
    "columns of the camera run against the SLM's Fourier plane: the image is mirrored, by a mirror more or less than "
    "planned, or the camera stands upside down"
)

_LESS = (2, 2, 4, 8, 8, 8, 8)
"""By which the exposure of a line that saturates is divided, one after the other: a little, for one whose flank was
metered; in the end a lot, for one that stands elsewhere than planned."""


class SlmCameraParameters(Parameters):
    """Blazes, heights on the camera, and what is sampled of each line."""

    periods: tuple[float, ...] = Field((64, 32, 20, 16), min_length=2, max_length=16, description="SLM columns, fitted")
    verified: tuple[float, ...] = Field((44, 24, 18), min_length=1, max_length=16, description="left out of the fit")
    heights_px: tuple[int, ...] = Field((-600, 0, 600), min_length=2, max_length=16, description="from the plan's row")
    focal_length_m: float = Field(0.2, gt=0, description="of the Fourier lens, as planned")
    bandwidth_nm: float = Field(0.5, gt=0, le=50, description="of light, around the middle of the spectrum")
    samples: int = Field(97, ge=7, le=801, description="camera columns looked at around where a line is planned")
    stride: int = Field(1, ge=1, le=64, description="every how many columns; 1 reads one region")
    window_rows: int = Field(3, ge=1, le=201, description="camera rows that are averaged")
    frames: int = Field(4, ge=1, le=1000)
    power_fraction: float = Field(0.05, gt=0, le=1)
    scale_limit: float = Field(0.05, gt=0, le=0.5, description="a scale further from 1 is another lens")
    rotation_limit_rad: float = Field(0.1, gt=0, le=0.7)
    residual_limit_px: float = Field(0.2, gt=0, description="rms, of lines that were not fitted")
    check_allowed_px: float = Field(0.2, gt=0, description="by which lines may move and the map still holds")


class SlmCamera(Routine):
    """Lines of blazes of both signs at several heights, an affine fit, and lines of other periods that verify it."""

    Parameters = SlmCameraParameters
    role = "camera"
    roles = ("slm", "camera", "source")
    alignments = ("prbm",)
    kinds = ("slm-camera",)
    valid_for = timedelta(days=30)

    def run(self, bench: Bench, parameters: SlmCameraParameters, record: Recorder) -> dict[str, Any]:
        """Profiles (lines, samples) across each line."""
        p, slm, camera = parameters, bench.slm, bench.camera
        plan: Any = bench.alignment("prbm")
        middle_nm = plan.wavelength_first + plan.wavelength_per_band * (plan.bands - 1) / 2
        source = bench.source
        edges_m = set_band(bench, (middle_nm - p.bandwidth_nm / 2) * 1e-9, (middle_nm + p.bandwidth_nm / 2) * 1e-9)
        middle_nm = sum(edges_m) / 2 * 1e9
        heights = [plan.zeroth_order.row + h for h in p.heights_px]
        if min(heights) < p.window_rows or max(heights) >= camera.rows - p.window_rows:
            raise CalibrationError(f"heights_px {p.heights_px} from row {plan.zeroth_order.row} leave the camera")
        signed = [(period, sign) for period in (*p.periods, *p.verified) for sign in (1, -1)]
        lines = list(itertools.product(signed, heights))
        look = _Profile(camera, p)
        dark = look.take(heights[0], plan.zeroth_order.column).mean()
        source.power_fraction = p.power_fraction
        source.emission = True
        shown, columns, profiles = None, [], []

        def show(period: float, sign: int) -> None:
            blaze = np.mod(sign * 2 * math.pi * np.arange(slm.columns) / period, 2 * math.pi)
            slm.write(np.tile(blaze, (slm.rows, 1)))
            slm.settle()

        def place(period: float, sign: int) -> int:
            x_m = sign * middle_nm * 1e-9 * p.focal_length_m / (period * slm.pixel_pitch_m)
            column: int = round(plan.zeroth_order.column + x_m / camera.pixel_pitch_m)
            return column

        show(p.periods[0], 1)
        look.refuse_mirrored(plan.zeroth_order.row, place(p.periods[0], 1), place(p.periods[0], -1), float(dark))
        for step in record.steps(len(lines), "lines"):
            (period, sign), height = lines[step.index]
            if shown != (period, sign):
                show(period, sign)
                shown = (period, sign)
            at = place(period, sign)
            look.meter(height, at, float(dark))
            profile = look.take(height, at) - dark
            columns.append(look.columns(at))
            profiles.append(profile)
            step.save(period=period, sign=sign, row=height, columns=columns[-1], counts=profile)
        planned = [s * middle_nm * 1e-9 * p.focal_length_m / (q * slm.pixel_pitch_m) for (q, s), _ in lines]
        return {
            "x_m": np.array(planned),
            "rows": np.array([height for _, height in lines], np.float64),
            "columns": np.array(columns),
            "profiles": np.array(profiles),
            "verify": np.array([q in p.verified for (q, _), _ in lines]),
            "pitch_m": float(camera.pixel_pitch_m),
            "width_px": middle_nm * 1e-9 * p.focal_length_m / (slm.columns * slm.pixel_pitch_m * camera.pixel_pitch_m),
            # Where within the band its light is: an uneven spectrum, and one band in what the plan says.
            "wavelength_error": math.hypot(0.1 * p.bandwidth_nm, plan.wavelength_per_band) / middle_nm,
            "origin": [plan.zeroth_order.row, plan.zeroth_order.column],
        }

    def check(
        self, bench: Bench, parameters: SlmCameraParameters, in_force: Mapping[str, Calibration], record: Recorder
    ) -> dict[str, tuple[Check, ...]]:
        """Lines of one period, of both signs, at the outermost heights."""
        p = parameters
        few = p.model_copy(
            update={"periods": p.verified[:1], "verified": (), "heights_px": (min(p.heights_px), max(p.heights_px))}
        )
        r = self.run(bench, few, record)
        place, error = np.array(
            [
                line_centre(c.astype(np.float64), f, r["width_px"])
                for c, f in zip(r["columns"], r["profiles"], strict=True)
            ]
        ).T
        return {"slm-camera": lines_check.compare(in_force["slm-camera"], r, place, error, p.check_allowed_px)}

    def findings(self, results: dict[str, Any], parameters: SlmCameraParameters, record: Recorder) -> Sequence[Finding]:
        """Places of the lines, the fit of those that are fitted, and what the others leave."""
        p, r = parameters, results
        found = [
            line_centre(c.astype(np.float64), profile, r["width_px"])
            for c, profile in zip(r["columns"], r["profiles"], strict=True)
        ]
        place, error = np.array(found).T
        missing = ~np.isfinite(place)
        x_px, height = r["x_m"] / r["pitch_m"], r["rows"] - r["origin"][0]
        if missing.mean() > 0.25:
            _refuse_missing(missing, x_px, place, p)
        fitted, verify = ~r["verify"] & ~missing, r["verify"] & ~missing
        # column = c0 + along x - across y: linear in what is not known, with the lines' own errors as weights.
        terms = np.stack([np.ones_like(x_px), x_px, height], axis=1)
        weights = 1 / error[fitted, None]
        solution, covariance = _weighted(terms[fitted] * weights, place[fitted] * weights[:, 0])
        residuals = place - terms @ solution
        left = math.sqrt(float((residuals[verify] ** 2).mean()))
        excess = max(float(((residuals[fitted] / error[fitted]) ** 2).sum()) / max(int(fitted.sum()) - 3, 1), 1.0)
        covariance *= excess
        column, along, tilt = (float(v) for v in solution)
        _draw(record, r, place, residuals, r["verify"])
        # At a fixed row a line of X is met at scale X / cos(rotation), and moves by -tan(rotation) from row to row.
        rotation = -math.atan(tilt)
        scale = along * math.cos(rotation)
        _refuse_wrong(scale, rotation, p)
        known = scale * r["wavelength_error"]
        scale_error = math.hypot(
            known, math.sqrt(covariance[1, 1]), along * math.sin(rotation) * math.sqrt(covariance[2, 2])
        )
        column_error = math.hypot(math.sqrt(covariance[0, 0]), TILE_RAD / math.pi * r["width_px"])
        cos, sin = math.cos(rotation), math.sin(rotation)
        matrix = np.array([[cos, sin], [-sin, cos]]) / scale * r["pitch_m"]
        rotation_error = math.sqrt(covariance[2, 2]) * cos**2
        spread = np.hypot(scale_error / scale, rotation_error) * r["pitch_m"] / scale
        return [
            Finding(
                kind="slm-camera",
                values={
                    "matrix": Measured(matrix, "m/px", spread),
                    "row": Measured(float(r["origin"][0]), "px"),
                    "column": Measured(column, "px", column_error),
                    "scale": Measured(scale, "1", scale_error),
                    "rotation": Measured(rotation, "rad", rotation_error),
                    "residual": Measured(left, "px", left / math.sqrt(2 * max(int(verify.sum()), 1))),
                },
                conditions={"focal_length": Measured(p.focal_length_m, "m")},
                checks=(
                    Check(name="rms distance of lines that were not fitted", value=left, unit="px",
                          high=p.residual_limit_px),
                    Check(name="lines found", value=float((~missing).mean()), low=0.75),
                ),
            )
        ]  # fmt: skip


def line_centre(columns: Array, profile: Array, width_px: float) -> tuple[float, float]:
    """Column of a line's centre and its standard uncertainty; nan where there is none. width_px: to its first null."""
    top = int(profile.argmax())
    # Only the round top is like a Gaussian, and more of one flank than of the other would pull it aside.
    near = np.abs(columns - columns[top]) <= max(0.8 * width_px, 2.5 * abs(columns[1] - columns[0]))
    x, y = columns[near], profile[near]
    floor = float(np.median(profile))
    if len(x) < 4 or y.max() <= 0 or (len(x) < len(columns) and y.max() < 3 * abs(floor)):
        return math.nan, math.nan

    def shape(at: Array, height: float, centre: float, sigma: float) -> Array:
        out: Array = height * np.exp(-0.5 * ((at - centre) / sigma) ** 2)
        return out

    try:
        best, covariance = curve_fit(shape, x, y, p0=(y.max(), columns[top], 0.42 * width_px), maxfev=2000)
    except RuntimeError:
        return math.nan, math.nan
    centre, error = float(best[1]), math.sqrt(abs(float(covariance[1, 1])))
    inside = columns[0] <= centre <= columns[-1] and 0.1 < abs(best[2]) / width_px < 2 and error < width_px
    return (centre, max(error, 1e-3)) if inside else (math.nan, math.nan)


class _Profile:
    """Columns of the camera around a place, from one region or, with a stride, from single columns."""

    def __init__(self, camera: Any, p: SlmCameraParameters) -> None:
        self._camera, self._p = camera, p
        limits = camera.limits("exposure_s")
        self._range_s = limits.minimum or 1e-6, min(limits.maximum or 1.0, 5.0)
        camera.binning = 1

    def columns(self, at: int) -> NDArray[np.int64]:
        """Of the samples around ``at``. CalibrationError if they do not lie on the camera."""
        found = at + self._p.stride * (np.arange(self._p.samples) - self._p.samples // 2)
        if found[0] < 0 or found[-1] >= self._camera.columns:
            raise CalibrationError(
                f"a line planned at column {at} does not lie on the camera: choose longer periods, fewer samples, or "
                "mend [alignment.prbm] zeroth_order"
            )
        return np.asarray(found, np.int64)

    def take(self, row: int, at: int) -> Array:
        """Mean counts (samples,) over rows and frames, all at one exposure.

        A line beside the pixels that were metered may saturate; it is taken again with less. CalibrationError if that
        does not help.
        """
        for less in _LESS:
            taken = self._unsaturated(row, at)
            if taken is not None:
                return taken
            self._camera.exposure_s = max(self._camera.exposure_s / less, self._range_s[0])
        raise CalibrationError(
            "the camera saturates on a line: lower power_fraction or the source's power, or another light falls on the "
            "camera"
        )

    def _unsaturated(self, row: int, at: int) -> Array | None:
        p, columns = self._p, self.columns(at)
        regions = [(int(columns[0]), p.samples)] if p.stride == 1 else [(int(c), 1) for c in columns]
        parts = []
        for first, width in regions:
            self._camera.roi = ROI(row=row - p.window_rows // 2, column=first, rows=p.window_rows, columns=width)
            frames = [self._camera.trigger() for _ in range(p.frames)]
            if any(f.saturated for f in frames):
                return None
            parts.append(np.mean([f.data.mean(axis=0) for f in frames], axis=0))
        return np.concatenate(parts)

    def refuse_mirrored(self, row: int, at: int, opposite: int, dark: float) -> None:
        """CalibrationError if a blaze towards ``at`` sends its light to the opposite side."""
        for centre in (at, opposite):  # at an exposure that the brighter of both allows
            self.meter(row, centre, dark)
            if centre == at:
                longest_s = self._camera.exposure_s
        self._camera.exposure_s = min(longest_s, self._camera.exposure_s)
        there, here = (float((self.take(row, c) - dark).max()) for c in (opposite, at))
        if there > 2 * abs(here):
            raise CalibrationError(f"{MIRRORED}: light sent towards column {at} arrives at column {opposite}")

    def meter(self, row: int, at: int, dark: float) -> None:
        """Choose the exposure for a line."""
        p, camera, columns = self._p, self._camera, self.columns(at)
        if p.stride == 1:
            first, width = int(columns[0]), p.samples
        else:
            first, width = at, 1
        camera.roi = ROI(row=row - p.window_rows // 2, column=first, rows=p.window_rows, columns=width)

        def peak(exposure_s: float) -> tuple[float, bool]:
            camera.exposure_s = exposure_s
            frame = camera.trigger()
            return float(frame.data.max()) - dark, frame.saturated > 0

        full = float(camera.full_scale_counts)
        camera.exposure_s = metered_exposure_s(peak, full, float(camera.exposure_s), *self._range_s, target_fill=0.5)


def _weighted(terms: Array, values: Array) -> tuple[Array, Array]:
    """Solution and covariance of a least-squares problem whose rows have been divided by their errors."""
    inverse = np.linalg.pinv(terms)
    return inverse @ values, inverse @ inverse.T


def _refuse_missing(missing: NDArray[np.bool_], x_px: Array, place: Array, p: SlmCameraParameters) -> None:
    left = ~missing
    if left.sum() >= 4 and np.ptp(x_px[left]) > 0:
        _refuse_wrong(float(np.polyfit(x_px[left], place[left], 1)[0]), 0.0, p)
    outer = np.abs(x_px) > np.median(np.abs(x_px))
    if missing[outer].mean() > missing[~outer].mean() + 0.25:
        cause = "those far out, as behind another lens: check focal_length_m, or take longer periods"
    elif abs(missing[x_px > 0].mean() - missing[x_px < 0].mean()) > 0.25:
        cause = "those on one side: part of the Fourier plane is covered, or the camera has moved sideways"
    else:
        cause = "on either side: check [alignment.prbm] zeroth_order, the SLM, and what covers the Fourier plane"
    raise CalibrationError(f"{int(missing.sum())} of {len(missing)} lines are not where they are planned; {cause}")


def _refuse_wrong(scale: float, rotation: float, p: SlmCameraParameters) -> None:
    if scale < 0:
        raise CalibrationError(f"{MIRRORED}. Nothing was kept")
    if abs(scale - 1) > p.scale_limit:
        raise CalibrationError(
            f"the camera sees the Fourier plane at scale {scale:.4f} of what a lens of {p.focal_length_m * 1e3:.4g} mm "
            "gives: another lens. Set focal_length_m, or raise scale_limit if it is meant"
        )
    if abs(rotation) > p.rotation_limit_rad:
        raise CalibrationError(
            f"the camera is rotated by {rotation:.3f} rad against the SLM; align it, or raise rotation_limit_rad"
        )


def _draw(record: Recorder, r: dict[str, Any], place: Array, residuals: Array, verify: NDArray[np.bool_]) -> None:
    with panels(record.picture("lines"), rows=1) as (overlay, profile):
        for chosen, words, colour in ((~verify, "fitted", "C0"), (verify, "verifying", "C1")):
            overlay.plot(place[chosen], r["rows"][chosen], "o", ms=3, color=colour, label=words)
            overlay.quiver(place[chosen], r["rows"][chosen], 300 * residuals[chosen], 0 * residuals[chosen],
                           angles="xy", scale_units="xy", scale=1, width=0.004, color=colour)  # fmt: skip
        overlay.set(xlabel="column (px), residuals x 300", ylabel="row (px)")
        overlay.invert_yaxis()
        overlay.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
        for centre, columns, counts in zip(place, r["columns"], r["profiles"], strict=True):
            profile.plot(columns - centre, counts / counts.max(), ".-", lw=0.4, ms=2)
        profile.set(xlabel="columns from the centre found", ylabel="light of each line (1)")

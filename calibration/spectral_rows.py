"""Which rows of the panel each wavelength lights, how neighbouring bands overlap, and the spectrum's power.

A coarse grating on some rows, with a grating of half the period on all others, sends light of those rows alone to its
first order. With one narrow band of the source, row by row, that gives the band's rows and power. Two bands of rows
with the same grating (+), and with one of the two shifted by half a period (-), interfere by their overlap alone:

    [I(+) - I(-)] / [I(+) + I(-)] = 2 G_AB / (G_AA + G_BB)

Each pattern is taken with its levels exchanged, too: in the mean, interference with all other light drops out.
Fringing fields reach from row to row where (+) and (-) meet and change that by some hundredths; gratings of two depths,
which they change to either side, tell how much (`calibration.overlap_fit`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from pydantic import Field

from calibration.checks import rows as rows_check
from calibration.lighting import set_band, whole_band
from calibration.overlap_fit import BRIGHTEST_RAD, DEPTHS_RAD, fit_overlaps
from calibration.panels import panels
from calibration.slm_phase import FirstOrder, SlmPhaseParameters
from labctl.client import Bench, Calibration, CalibrationError, Check, Finding, Measured, Recorder, Routine

ROW_ERROR = 0.04
"""Standard uncertainty of a band's centre from its rows: amplitude is even within a row, the spot is not."""

OVERLAP_ERROR = 0.003
"""The same of an overlap: rows of a pair differ in power and in the depth of their gratings."""

BLUR_ERROR_PX = 0.01
"""The same of the blur from row to row, by the shape of the blurred edge."""

POWER_ERROR = 0.015
"""The same of its power, relative: the depth of the gratings differs with look-up table, tile and dust."""


class SpectralRowsParameters(SlmPhaseParameters):
    """Bands, rows and gratings; lens and window as in slm-phase."""

    probes: int = Field(7, ge=3, le=200, description="narrow bands over the spectrum")
    probe_nm: float = Field(0.2, gt=0, le=10, description="width of each")
    reach_rows: int = Field(9, ge=2, le=100, description="rows looked at either way of where the plan has the band")
    overlaps: int = Field(5, ge=1, le=100, description="pairs of neighbouring bands, over the spectrum")
    repeats: int = Field(5, ge=2, le=1000, description="of each pair")
    check_allowed_px: float = Field(0.2, gt=0, description="by which rows may move and the calibration still holds")
    check_allowed_power: float = Field(0.02, gt=0, description="by which the power of a band may change among all")


class SpectralRows(Routine):
    """Row by row for narrow bands of the source; in and out of phase for pairs of bands of rows."""

    Parameters = SpectralRowsParameters
    role = "slm"
    roles = ("slm", "camera", "source")
    alignments = ("prbm",)
    kinds = ("spectral-rows",)
    valid_for = timedelta(days=7)

    def run(self, bench: Bench, parameters: SpectralRowsParameters, record: Recorder) -> dict[str, Any]:
        """Light of each row in each band, and of pairs of bands."""
        plan: Any = bench.alignment("prbm")
        span = plan.bands * plan.wavelength_per_band
        centres = plan.wavelength_first + span * (np.arange(parameters.probes) + 0.5) / parameters.probes
        # Not at the ends: there the spectrum is not even across a pair.
        parts = (np.arange(parameters.overlaps) + 0.5) / parameters.overlaps
        pairs = np.unique(((plan.bands - 1) * parts - 0.5).round().astype(int))
        return self.measure(bench, parameters, record, centres, pairs)

    def check(
        self, bench: Bench, parameters: SpectralRowsParameters, in_force: Mapping[str, Calibration], record: Recorder
    ) -> dict[str, tuple[Check, ...]]:
        """Rows and power of the outermost bands."""
        p, then = parameters, in_force["spectral-rows"]
        ends_m = then["wavelength_m"][[0, -1]]
        r = self.measure(bench, p, record, ends_m * 1e9, np.empty(0, np.int64))
        row, power = centres_and_power(r)
        checks = rows_check.compare(then, ends_m, row, power * ends_m**2, p.check_allowed_px, p.check_allowed_power)
        return {"spectral-rows": checks}

    def measure(
        self, bench: Bench, p: SpectralRowsParameters, record: Recorder, centres: Any, pairs: Any
    ) -> dict[str, Any]:
        """`run`, at these wavelengths (nm) and for the pairs of bands that begin with these."""
        slm, camera, source = bench.slm, bench.camera, bench.source
        plan: Any = bench.alignment("prbm")
        window = FirstOrder(camera, p, plan, slm.pixel_pitch_m)
        window.measure_dark()
        per_row = plan.wavelength_per_band / plan.rows_per_band
        coarse = 1.0 * (np.arange(slm.columns) % p.period < p.period // 2)
        fine = math.pi * (np.arange(slm.columns) % (p.period // 2) < p.period // 4)
        slm.write(np.tile(fine, (slm.rows, 1)))
        slm.settle()

        def show(rows: Sequence[int], signs: Sequence[int], depth: float = math.pi) -> None:
            """Gratings on some rows, shifted by half a period where the sign is -1; 0 takes them away."""
            lines = [fine if s == 0 else depth * (coarse if s > 0 else 1 - coarse) for s in signs]
            slm.write(np.stack(lines), row=min(rows))
            slm.settle()

        def light(rows: Sequence[int], signs: Sequence[int], depth: float = math.pi) -> float:
            taken = []
            for turn in (1, -1):
                show(rows, [turn * s for s in signs], depth)
                taken.append(window.light())
            show(rows, [0] * len(signs))
            return (taken[0] + taken[1]) / 2 - window.light()

        def rows_around(nm: float) -> list[int]:
            middle = plan.first_row + (nm - plan.wavelength_first) / per_row
            rows = np.arange(round(middle) - p.reach_rows, round(middle) + p.reach_rows)
            return [int(r) for r in rows if 0 <= r < slm.rows]

        source.power_fraction = p.power_fraction
        source.emission = True
        middle_m = float(centres[len(centres) // 2]) * 1e-9
        looked, profiles, bands_nm = [], [], []
        for step in record.steps(len(centres), "bands"):
            nm = float(centres[step.index])
            edges_m = set_band(bench, (nm - p.probe_nm / 2) * 1e-9, (nm + p.probe_nm / 2) * 1e-9)
            # A filter has steps, and a tenth of a nanometre is two rows.
            nm = sum(edges_m) / 2 * 1e9
            bands_nm.append((nm, (edges_m[1] - edges_m[0]) * 1e9))
            rows = rows_around(nm)
            show(rows, [1] * len(rows))
            window.find(nm * 1e-9)
            show(rows, [0] * len(rows))
            looked.append(np.array(rows))
            profiles.append(np.array([light([r], [1]) for r in rows]))
            step.note(f"{nm:.2f} nm")
        whole_band(bench)
        same = np.zeros((len(pairs), p.repeats, len(DEPTHS_RAD) + 1))
        opposite = np.zeros((len(pairs), p.repeats, len(DEPTHS_RAD)))
        for k, j in enumerate(pairs):
            n = plan.rows_per_band
            rows = [int(plan.first_row + j * n + i) for i in range(2 * n)]
            show(rows, [1] * (2 * n))
            window.find(middle_m)
            for repeat in range(p.repeats):
                for d, theta in enumerate(DEPTHS_RAD):
                    same[k, repeat, d] = light(rows, [1] * (2 * n), theta)
                    opposite[k, repeat, d] = light(rows, [1] * n + [-1] * n, theta)
                same[k, repeat, -1] = light(rows, [1] * (2 * n), BRIGHTEST_RAD)
        seen_nm, width_nm = np.array(bands_nm).T
        return {
            "wavelength_nm": seen_nm,
            "rows": looked,
            "profiles": profiles,
            "pairs": pairs,
            "same_light": same,
            "opposite_light": opposite,
            "rows_per_band": plan.rows_per_band,
            "probe_rows": width_nm / per_row,
            "planned_row": plan.first_row + (seen_nm - plan.wavelength_first) / per_row,
        }

    def findings(
        self, results: dict[str, Any], parameters: SpectralRowsParameters, record: Recorder
    ) -> Sequence[Finding]:
        """Centres, a line through them, powers and overlaps."""
        r = results
        centre, power = centres_and_power(r)
        nm = r["wavelength_nm"]
        middle = float(nm.mean())
        slope, at_middle = np.polyfit(nm - middle, centre, 1)
        residuals = centre - at_middle - slope * (nm - middle)
        scatter = math.hypot(math.sqrt(float((residuals**2).sum()) / max(len(nm) - 2, 1)), ROW_ERROR)
        relative = power * nm**2
        relative /= relative.mean()
        overlaps = fit_overlaps(r["same_light"], r["opposite_light"], r["rows_per_band"], parameters.period)
        _draw(record, r, centre, residuals)
        return [
            Finding(
                kind="spectral-rows",
                values={
                    "wavelength_m": Measured(nm * 1e-9, "m"),
                    "row": Measured(centre, "px", scatter),
                    "row_middle": Measured(float(at_middle), "px", scatter / math.sqrt(len(nm))),
                    "wavelength_middle_m": Measured(middle * 1e-9, "m"),
                    "rows_per_nm": Measured(
                        float(slope), "1/nm", scatter / math.sqrt(float(((nm - middle) ** 2).sum()))
                    ),
                    "power": Measured(relative, "1", POWER_ERROR * relative),
                    "pairs": Measured(r["pairs"]),
                    "overlap": Measured(overlaps.overlap, "1", np.hypot(overlaps.error, OVERLAP_ERROR)),
                    "row_blur": Measured(overlaps.blur_px, "px", math.hypot(overlaps.blur_error_px, BLUR_ERROR_PX)),
                },
                conditions={"probe": Measured(parameters.probe_nm * 1e-9, "m")},
                checks=(
                    Check(name="rms distance of rows from a line", value=float(residuals.std()), unit="px", high=0.2),
                ),
            )
        ]


def centres_and_power(r: dict[str, Any]) -> tuple[Any, Any]:
    """Row on which each band's light is centred, and that light per row, both (bands,), from what was measured.

    Raises CalibrationError if a band's light is not among the rows that were looked at.
    """
    centre, power = np.zeros(len(r["rows"])), np.zeros(len(r["rows"]))
    for k, (rows, profile) in enumerate(zip(r["rows"], r["profiles"], strict=True)):
        power[k] = profile.sum()
        centre[k] = float(((rows + 0.5) * profile).sum() / power[k])
        edge = max(abs(profile[0]), abs(profile[-1])) / profile.max()
        if power[k] <= 0 or edge > 0.2:
            raise CalibrationError(
                f"light of {r['wavelength_nm'][k]:.2f} nm is not on rows {rows[0]} to {rows[-1]}, where [alignment."
                "prbm] has it: mend first_row, or raise reach_rows; or the SLM does not show its patterns"
            )
    # Where power rises within a probe, its light lies off the probe's middle by slope x width^2 / 12.
    power /= r["probe_rows"]
    centre -= np.gradient(np.log(power), centre) * r["probe_rows"] ** 2 / 12
    return centre, power


def _draw(record: Recorder, r: dict[str, Any], centre: Any, residuals: Any) -> None:
    with panels(record.picture("rows"), rows=1) as (profile, rest):
        for rows, light, planned in zip(r["rows"], r["profiles"], r["planned_row"], strict=True):
            profile.plot(rows + 0.5 - planned, light / light.max(), ".-", lw=0.6)
        profile.set(xlabel="row less planned row", ylabel="light of a band (1)")
        rest.plot(r["wavelength_nm"], residuals, "o")
        rest.set(xlabel="wavelength (nm)", ylabel="row less line (rows)")

"""How light from every place of the panel reaches the photonic RBM's detector: gains, phases, couplings of the bands.

All in a blazed order (`calibration.prbm_strip`), from differences of coded patterns alone:

1. Cells of the strip are shown in the signs of a Hadamard code, output spins of groups of bands in those of another,
   once in phase and once a quarter turn on: 4 R* F of every cell F against its band's output spin R, amplitude and
   phase. Low orders are fitted; the phase goes into the carrier, the amplitude into the encoding.
2. Stripes one pixel wide, of several contrasts, tell how far fringing fields reach along rows; from row to row
   spectral-rows has told it.
3. Random couplings, as a model would have them: what each band's output spin sees of sums that are known gives the
   gain of each band and its coupling to the next ones.
4. Other random couplings, not used so far, are measured as a protocol would: the routine's own check.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence as Many
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from calibration.checks import order as order_check
from calibration.illumination_parameters import IlluminationParameters
from calibration.order_fit import SmoothMap, fit_bands, fit_map
from calibration.order_look import Cells, OrderLook
from calibration.order_map import KIND, OrderMap
from calibration.prbm_strip import compile_kernels
from labctl.client import Bench, Calibration, CalibrationError, Check, Finding, Measured, Recorder, Routine

GRID = 17, 33
"""Places of the map along bands and columns: it is smooth, and read between them."""

CONTRASTS = (1.0, math.cos(0.25 * math.pi), math.cos(0.375 * math.pi))
"""cos(alpha) of the stripes."""


class Illumination(Routine):
    """Maps the order that a blaze makes, at the camera pixel where it should be."""

    Parameters = IlluminationParameters
    role = "slm"
    roles = ("slm", "camera", "source", "sequencer")
    alignments = ("prbm",)
    kinds = (KIND,)
    requires = ("slm-phase", "slm-camera", "spectral-rows")
    valid_for = timedelta(days=1)

    def prepare(self, parameters: IlluminationParameters, record: Recorder) -> None:
        """Compile before control: the first time on a machine it takes longer than a lease."""
        compile_kernels()

    def run(self, bench: Bench, parameters: IlluminationParameters, record: Recorder) -> dict[str, Any]:
        """Cells, stripes, and random couplings."""
        p = parameters
        look = OrderLook(bench, p)
        rounds = []
        for cells, groups in zip(p.cells, p.groups, strict=True):
            rounds.append(self._round(look, cells, groups, record))
            look.correct(rounds[-1])
        kinds = [(along, u) for along in (False, True) for u in CONTRASTS]
        contrasts = []
        for step in record.steps(len(kinds), "kinds of stripes"):
            contrasts.append(look.stripes(*kinds[step.index]))
            look.save(step, 0, np.array([contrasts[-1]]))
        stripes_seen = np.array(contrasts)
        crosstalk, crosstalk_error = look.fit_crosstalk(kinds, stripes_seen)
        record.console.say(f"fringing fields reach {crosstalk[1]:.3f} px along rows, {crosstalk[0]:.3f} px across")
        look.crosstalk_px = crosstalk
        sums, answers = [], []
        for step in record.steps(p.trained + 1, "random couplings"):
            c, y = look.couplings(record.rng)
            sums.append(c)
            answers.append(y)
            look.save(step, 1, y)
        return {
            **look.geometry(),
            "rounds": rounds,
            "stripes": stripes_seen,
            "crosstalk_px": np.array(crosstalk),
            "crosstalk_error_px": np.array(crosstalk_error),
            "sums": np.array(sums),
            "seen": np.array(answers),
            "exposure_s": look.readout.exposure_s,
            "power_fraction": float(bench.source.power_fraction),
        }

    def check(
        self, bench: Bench, parameters: IlluminationParameters, in_force: Mapping[str, Calibration], record: Recorder
    ) -> dict[str, tuple[Check, ...]]:
        """Random couplings in some of the bands."""
        p = parameters
        told, measured = order_check.look(bench, in_force[KIND], p.check_bands, p.spread, p.slit, record.rng)
        return {KIND: order_check.compare(told, measured, p.check_allowed)}

    @staticmethod
    def _round(look: OrderLook, cells: int, groups: int, record: Recorder) -> Cells:
        """Every cell in every group of bands, by the carrier as it is."""
        look.divide(cells, groups)
        code = hadamard(1 << cells.bit_length(), dtype=np.int8)[:, 1 : cells + 1]
        taken = []
        for step in record.steps(len(code), f"codes of {cells} cells"):
            taken.append(look.cells(code[step.index]))
            look.save(step, cells, taken[-1])
        seen = look.scramble * np.einsum("kx,kj->jx", code, np.array(taken)) / len(code)
        return Cells(seen, look.group_places, look.cell_places)

    def findings(self, results: dict[str, Any], parameters: IlluminationParameters, record: Recorder) -> Many[Finding]:
        """The map, and how well sums that were not used come out."""
        p, r = parameters, results
        maps = [fit_map(*cells) for cells in r["rounds"]]
        smooth = maps[-1]
        trained = fit_bands(r["sums"][:-1], r["seen"][:-1])
        if not (trained.unit > 0 and trained.unit_error < 0.2):
            raise CalibrationError(
                "what the output spins see does not follow the couplings that were shown: check that the SLM shows "
                "what it is sent, that no other light falls on the camera, and that what this stands on still holds: "
                "labctl calibrate --check slm-phase slm-camera spectral-rows"
            )
        bands, columns = GRID
        grid_band, grid_column = np.linspace(-1, 1, bands), np.linspace(-1, 1, columns)
        phase = np.sum([m.phase(grid_band, grid_column) for m in maps], axis=0)
        amplitude = smooth.amplitude(grid_band, grid_column)
        count = len(r["row_wavelengths_m"]) // r["rows_per_band"]
        values = {
            "camera_row": Measured(r["pixel"][0], "px"),
            "camera_column": Measured(r["pixel"][1], "px"),
            "slit_rows": Measured(p.slit, "px"),
            "first_row": Measured(r["first_row"], "px"),
            "rows_per_band": Measured(r["rows_per_band"], "px"),
            "centre_column": Measured(r["centre_column"], "px"),
            "period": Measured(p.period, "px"),
            "period_wavelength": Measured(r["at_wavelength_m"], "m"),
            "row_wavelength": Measured(r["row_wavelengths_m"], "m"),
            "grid_band": Measured((grid_band + 1) * (count - 1) / 2),
            "grid_column": Measured(r["centre_column"] + grid_column * r["half_width_px"], "px"),
            "phase": Measured(phase, "rad", smooth.phase_error),
            "amplitude": Measured(amplitude, "1", smooth.amplitude_error * amplitude),
            "crosstalk_px": Measured(r["crosstalk_px"], "px", r["crosstalk_error_px"]),
            "gain": Measured(trained.gains, "1", trained.gain_error * trained.gains),
            "coupling": Measured(trained.coupling, "1", trained.coupling_error),
            "output": Measured(trained.output, "1", np.where(trained.output == 1, 0.0, 0.1)),
            "unit_counts_per_s": Measured(trained.unit, "counts/s", trained.unit * trained.unit_error),
        }
        order = _order_map(r, values)
        measured = order.sums(range(count), r["seen"][-1] / trained.unit)
        told = r["sums"][-1]
        correlation = float(np.corrcoef(measured, told)[0, 1])
        slope = float((measured * told).sum() / (told**2).sum())
        # Few bands know their slope badly.
        slope_error = float(np.std(measured - slope * told) / np.sqrt((told**2).sum()))
        _draw(record, r, smooth, trained.gains, trained.coupling, measured)
        return [
            Finding(
                kind=KIND,
                values=values,
                conditions={
                    "exposure": Measured(r["exposure_s"], "s"),
                    "power_fraction": Measured(r["power_fraction"]),
                    "pixels_per_spin": Measured(p.pixels_per_spin, "px"),
                },
                devices=("camera",),
                checks=(
                    Check(name="correlation of sums that were not fitted", value=correlation, low=0.98),
                    Check(
                        name="slope of sums that were not fitted",
                        value=slope,
                        low=0.95 - 3 * slope_error,
                        high=1.05 + 3 * slope_error,
                    ),
                    Check(name="reach of fringing fields", value=float(r["crosstalk_px"].max()), unit="px", high=0.35),
                    Check(name="rms the map leaves of the cells", value=smooth.residual, high=0.3),
                ),
            )
        ]


def _order_map(r: dict[str, Any], v: dict[str, Measured]) -> OrderMap:
    return OrderMap(
        pixel=(int(r["pixel"][0]), int(r["pixel"][1])),
        first_row=int(r["first_row"]),
        rows_per_band=int(r["rows_per_band"]),
        bands=len(v["gain"].value),
        centre_column=r["centre_column"],
        period_px=v["period"].number,
        at_wavelength_m=r["at_wavelength_m"],
        row_wavelengths_m=r["row_wavelengths_m"],
        columns=v["grid_column"].value,
        band_places=v["grid_band"].value,
        phase_rad=v["phase"].value,
        amplitude=v["amplitude"].value,
        crosstalk_px=(float(r["crosstalk_px"][0]), float(r["crosstalk_px"][1])),
        gains=v["gain"].value,
        coupling=v["coupling"].value,
        output=v["output"].value,
    )


def _draw(
    record: Recorder,
    r: dict[str, Any],
    smooth: SmoothMap,
    gains: NDArray[np.float64],
    coupling: NDArray[np.float64],
    measured: NDArray[np.float64],
) -> None:
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(10, 6.5), layout="constrained")
    (amplitude, phase), (band, check) = drawing.subplots(2, 2)
    x = np.linspace(-1, 1, 101)
    taken = r["rounds"][-1]
    for k in (0, len(taken.groups) // 2, -1):
        y = taken.groups[[k]]
        places, cells = taken.columns[k], taken.seen[k]
        fitted = smooth.amplitude(y, places)[0]
        scale = np.abs(cells).sum() / fitted.sum()
        line = amplitude.plot(x, smooth.amplitude(y, x)[0], lw=1)[0]
        amplitude.plot(places, np.abs(cells) / scale, ".", color=line.get_color(), label=f"bands at {y[0]:+.1f}")
        predicted = smooth.phase(y, places)[0]
        phase.plot(x, smooth.phase(y, x)[0], lw=1)
        phase.plot(places, predicted + np.angle(cells * np.exp(-1j * predicted)), ".", color=line.get_color())
    amplitude.set(xlabel="column, of the strip's half width", ylabel="amplitude (1)")
    amplitude.legend(frameon=False)
    phase.set(xlabel="column, of the strip's half width", ylabel="phase (rad)")
    band.plot(gains, label="gain")
    band.plot(coupling[0], label="coupling to the next band")
    band.set(xlabel="band")
    band.legend(frameon=False)
    told = r["sums"][-1]
    check.plot(told, measured, ".", ms=3)
    span = [told.min(), told.max()]
    check.plot(span, span, color="0.6", lw=1)
    check.set(xlabel="sum that was shown", ylabel="sum that was measured", title="not used in the fits")
    drawing.savefig(record.picture("illumination"), dpi=110)

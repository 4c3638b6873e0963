"""Where the camera sees the photonic RBM's zeroth order, which slit suits it, and what one macro-pixel is worth there.

The strip's left and right halves are shown in signs (`calibration.prbm_patterns`), and a profile of the camera is
read: their interference alone, 8 Re(A B*), is

    C(X) = C0 cos(k (X - X0)) [sin(k (X - X0) / 2) / (k (X - X0) / 2)]^2

for halves that are evenly lit, k being 2 pi / (lambda f) times half the width of the strip. It is even about the zeroth
order X0 for any symmetric illumination. Three such scans at three heights of the line give its row and its tilt; the
column is told at that row.

At the slit then found, the M macro-pixels in the middle take the part of the output spin and the N others that of the
inputs. The difference of contrasts for inputs at + and - is the unit of all intensities; their mean is what light that
no sign reaches (dead area, front face, leakage of the dark pattern) adds to every local field:

    unit = [dI(v) - dI(-v)] / (8 M N),   bias = [dI(v) + dI(-v)] / (8 M unit),   dI = I(h = +1) - I(h = -1)

both per band. The unit times bands times (N + 2)^2 is what Eq. 2 has for I0: an evenly lit strip with all spins at +1.
Fringing fields take 3 % of the field of a macro-pixel of two columns between dark stripes. Here signs meet + or - only,
where what one side loses the other gains; light that this leaves a quarter of a turn ahead drops out of the bias, and
out of the unit but for its interference with light that no sign reaches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence as Many
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.checks import unchanged
from calibration.exposure import TooBright, exposure_or_too_bright
from calibration.lighting import set_power
from calibration.panels import panels
from calibration.prbm_patterns import PRODUCT, dark_stripes, two_part_cycle
from calibration.prbm_profile import Profile, fit_profile, interference, place_of_line, student
from labctl.client import (
    ROI,
    Bench,
    Calibration,
    CalibrationError,
    Check,
    ConfigurationError,
    Finding,
    Measured,
    Parameters,
    Recorder,
    Routine,
    Sequence,
)

SLIT_SHARE = 0.15
"""Of the distance from the zeroth order to its first null that a slit may be wide (1 pixel of 38 um: r = 0.996)."""

WAVEFRONT_PX = 0.05
"""Standard uncertainty of the column by the wavefront, camera pixels.

Oblique astigmatism tilts the wavefront from band to band, by 0.3 pixels at the ends of the spectrum for 1 rad rms; an
uneven spectrum weighs the two ends differently, by up to 30 %.
"""

PANEL_RAD = 0.022
"""The same by the phase between the halves: a look-up table that is off by 1 % rms from tile to tile of the panel turns
the mean of levels 0 and pi by so much (root of two times pi / 2 times 1 %)."""

CAMERA_LINEARITY = 0.004
"""Standard uncertainty, relative, of a difference of signals: the camera's response bends and kinks (0.2 and 0.5 %)."""

EDGES = 0.0015
"""The same of the unit by fringing fields where signs meet: half of a macro-pixel's field, a quarter of a turn ahead,
with 20 macro-pixels of light that no sign reaches, over twice the product of inputs and outputs."""

METERED_FILL = 0.5
"""Of full scale, of the brightest pixel: flicker and slow noise need room."""

_WORST_FIT = 0.25
"""Share of the profile's power that the fit may leave."""


CHECK_SHARE = 0.05
"""Of the distance to the first null by which the zeroth order may move: a third of what a slit may be wide."""


class PrbmWindowParameters(Parameters):
    """Where to look, and how often."""

    N: int = Field(196, ge=2, le=958, description="input spins of the strip that is shown")
    pixels_per_spin: int = Field(2, ge=1, le=64, description="SLM columns of a macro-pixel")
    reach: int = Field(31, ge=4, le=500, description="camera columns to either side of the plan's that are searched")
    piece: int = Field(21, ge=5, le=2001, description="camera columns read at a time; odd")
    scan_rows: int = Field(5, ge=1, le=201, description="camera rows summed in a scan; odd")
    height: int = Field(400, ge=10, le=1000, description="camera rows from the middle scan to the outer ones")
    slit: int = Field(31, ge=1, le=501, description="camera rows of the slit, along the line; odd")
    scan_bands: int = Field(12, ge=1, le=259, description="bands lit in the scans: all of them would saturate")
    least_exposure_s: float = Field(20e-3, gt=0, le=1, description="if the source's power can be so low")
    repeats: int = Field(8, ge=2, le=1000, description="cycles of four patterns in a scan")
    blocks: int = Field(9, ge=3, le=319, description="of the strip, for the unit; the middle one is the output; odd")
    cycles: int = Field(32, ge=4, le=1000, description="of four patterns, for unit and bias")


class PrbmWindow(Routine):
    """Zeroth order, slit, unit of intensity and bias of the photonic RBM."""

    Parameters = PrbmWindowParameters
    role = "camera"
    roles = ("camera", "slm", "source", "sequencer")
    alignments = ("prbm",)
    kinds = ("prbm-window",)
    valid_for = timedelta(days=1)

    def run(self, bench: Bench, parameters: PrbmWindowParameters, record: Recorder) -> dict[str, Any]:
        """Meter, scan, and measure unit and bias at the slit found."""
        p = parameters
        for name in ("piece", "scan_rows", "slit", "blocks"):
            if getattr(p, name) % 2 == 0:
                raise ConfigurationError(f"{name} = {getattr(p, name)}: an odd number is needed")
        look = _Look(bench, p)
        middle = look.row
        coarse = look.search()
        record.console.say(f"zeroth order near column {coarse:.0f}")
        scans, fits = [], []
        rows = [r for r in (middle - p.height, middle, middle + p.height) if look.on_sensor(r, p.scan_rows)]
        look.meter(middle, coarse, p.scan_rows)
        for step in record.steps(len(rows), "scans of the zeroth order"):
            scan = look.profile(rows[step.index], coarse, p.scan_rows, p.repeats, metered=True)
            step.save(row=rows[step.index], columns=scan.columns, interference=scan.c, error=scan.error)
            scans.append(scan)
            fits.append(fit_profile(scan, look.plan_k))
        place = place_of_line(rows, scans, fits, middle, p.scan_rows)
        column, k = fits[rows.index(middle)][0][1], fits[rows.index(middle)][0][2]
        column -= place["tilt"] * (place["row"] - middle)
        width = max(1, 2 * math.floor((SLIT_SHARE * math.pi / k + 1) / 2) - 1)
        signal = look.cycles(place["row_px"], round(column), width, p)
        return {
            "rows": rows,
            "columns": [s.columns for s in scans],
            "interference": [s.c for s in scans],
            "interference_error": [s.error for s in scans],
            "fits": [f[0] for f in fits],
            "column": column,
            "column_error": math.hypot(fits[rows.index(middle)][1][1], place["tilt"] * place["row_error"]),
            "k": k,
            "slit_width": width,
            **place,
            **signal,
        }

    def check(
        self, bench: Bench, parameters: PrbmWindowParameters, in_force: Mapping[str, Calibration], record: Recorder
    ) -> dict[str, tuple[Check, ...]]:
        """The zeroth order's column at the plan's row."""
        then, look = in_force["prbm-window"], _Look(bench, parameters)
        scan = look.profile(look.row, look.search(), parameters.scan_rows, parameters.repeats)
        (_, column, k), (_, error, _) = fit_profile(scan, look.plan_k)
        expected = then.number("column") - then.number("tilt") * (look.row - then.number("row"))
        # What wavefront and look-up table do to the column they did then, too.
        allowed_px = CHECK_SHARE * math.pi / k
        moved = unchanged("zeroth order, shift", column - expected, math.sqrt(2) * error, allowed_px, "px")
        return {"prbm-window": (moved,)}

    def findings(self, results: dict[str, Any], parameters: PrbmWindowParameters, record: Recorder) -> Many[Finding]:
        """Window, unit and bias."""
        p, r = parameters, results
        contrast = r["signal"][:, :, 0] - r["signal"][:, :, 1]  # (cycles, v = + or -)
        inputs, outputs = r["inputs"], r["outputs"]
        half_difference = 0.5 * (contrast[:, 0] - contrast[:, 1])
        half_sum = 0.5 * (contrast[:, 0] + contrast[:, 1])
        n = math.sqrt(len(contrast)) / student(len(contrast) - 1)
        per_input = half_difference / (4.0 * inputs * outputs * r["bands"] * r["exposure_s"])
        unit, unit_error = float(per_input.mean()), float(per_input.std(ddof=1)) / n
        if not unit > 5 * unit_error:
            raise CalibrationError(
                f"flipping the middle of the strip changes the light by {unit:.3g} counts/s per macro-pixel, with a "
                f"standard error of {unit_error:.2g}: is light of another source on the camera, or the strip not lit?"
            )
        scale = 4.0 * unit * outputs * r["bands"] * r["exposure_s"]
        bias = float(half_sum.mean()) / scale
        # What moves unit and bias together, the source, drops out of their quotient.
        rest = half_sum - half_difference * float(half_sum.mean() / half_difference.mean())
        bias_error = math.hypot(float(rest.std(ddof=1)) / scale / n, CAMERA_LINEARITY * (abs(bias) + inputs / 2))
        unit_error = math.hypot(unit_error, CAMERA_LINEARITY * unit, EDGES * unit)
        left = [
            float(((c - interference(x, *f)) ** 2).sum() / (c**2).sum())
            for x, c, f in zip(r["columns"], r["interference"], r["fits"], strict=True)
        ]
        _draw(record, r)
        brightness = unit * r["bands"] * (p.N + 2.0) ** 2
        return [
            Finding(
                kind="prbm-window",
                values={
                    "row": Measured(r["row"], "px", r["row_error"]),
                    "column": Measured(
                        r["column"], "px", math.hypot(r["column_error"], WAVEFRONT_PX, PANEL_RAD / r["k"])
                    ),
                    "tilt": Measured(r["tilt"], "rad", r["tilt_error"]),
                    "slit_rows": Measured(p.slit, "px"),
                    "slit_columns": Measured(r["slit_width"], "px"),
                    "unit_counts_per_s": Measured(unit, "counts/s", unit_error),
                    "i0_counts_per_s": Measured(brightness, "counts/s", brightness * unit_error / unit),
                    "bias": Measured(bias, "1", bias_error),
                },
                conditions={
                    "time": Measured(r["time_s"], "s"),
                    "slit_row": Measured(r["slit_row"], "px"),
                    "slit_column": Measured(r["slit_column"], "px"),
                    "spins": Measured(p.N),
                    "pixels_per_spin": Measured(p.pixels_per_spin, "px"),
                    "exposure": Measured(r["exposure_s"], "s"),
                    "power": Measured(r["power"]),
                },
                checks=(
                    Check(name="share of the profiles that the fit leaves", value=max(left), high=_WORST_FIT),
                    Check(name="fringe period over the plan's", value=float(r["plan_k"] / r["k"]), low=0.8, high=1.25),
                ),
            )
        ]


class _Look:
    """The bench set up for the scans."""

    def __init__(self, bench: Bench, p: PrbmWindowParameters) -> None:
        self._bench, self._p = bench, p
        a: Any = bench.alignment("prbm")
        slm, camera = bench.slm, bench.camera
        lit = (p.N + 2) * p.pixels_per_spin // 2 * 2
        first = a.centre_column - lit // 2
        if first < 0 or first + lit > slm.columns:
            raise ConfigurationError(f"N = {p.N}: a strip of {lit} SLM columns does not fit around the optical axis")
        self.row, self._plan_column = int(a.zeroth_order.row), int(a.zeroth_order.column)
        self._panel, self._height = (int(slm.rows), int(slm.columns)), int(a.rows_per_band)
        self._first_row, self._all_bands = int(a.first_row), int(a.bands)
        chosen = np.unique(np.linspace(0, self._all_bands - 1, min(p.scan_bands, self._all_bands)).round().astype(int))
        half = lit // 2
        self._halves = (self._cells(chosen, [first]), self._cells(chosen, [first + half]), (self._height, half))
        # The output spin in the middle, inputs to both sides of it: blocks of macro-pixels over all bands.
        size = (p.N + 2) // p.blocks
        if size < 1:
            raise ConfigurationError(f"blocks = {p.blocks}: N = {p.N} has {p.N + 2} macro-pixels; choose fewer blocks")
        begin = first + (p.N + 2 - p.blocks * size) // 2 * p.pixels_per_spin
        corners = [(self._first_row, begin + k * size * p.pixels_per_spin) for k in range(p.blocks)]
        output = corners.pop(p.blocks // 2)
        self._spins = corners, [output], (self._all_bands * self._height, size * p.pixels_per_spin)
        self._outputs, self._inputs = size, size * (p.blocks - 1)
        wavelength_m = 1e-9 * (a.wavelength_first + a.wavelength_per_band * self._all_bands / 2)
        # A first guess only: 8 um of panel, 6.5 um of camera and 200 mm of lens (arXiv 2508.20472, supplement).
        self.plan_k = 2 * math.pi / (wavelength_m * 0.2) * (lit / 2 * 8e-6) * 6.5e-6
        camera.binning = 1
        self._full = float(camera.full_scale_counts)
        limits = camera.limits("exposure_s")
        self._range_s = limits.minimum or 1e-6, min(limits.maximum or 1.0, 1.0)
        slm.write(dark_stripes(slm.rows, slm.columns))
        slm.settle()
        slm.settle_s = max(slm.settle_s, slm.base_settle_s)  # half of the strip changes from pattern to pattern
        camera.roi = ROI(row=self.row - p.slit // 2, column=self._plan_column, rows=p.slit, columns=1)
        self._dark = float(camera.trigger().data.max())
        self._power = float(bench.source.power_fraction)
        bench.source.emission = True
        if not bench.source.emission:
            raise CalibrationError("the source was told to emit and reads back off: check its interlock and key switch")

    def on_sensor(self, row: int, rows: int) -> bool:
        """Whether a region around a row lies on the camera."""
        return row - rows // 2 >= 0 and row + rows // 2 < int(self._bench.camera.rows)

    def search(self) -> float:
        """Column of the largest interference within reach of the plan's."""
        p, best = self._p, (-math.inf, -math.inf, 0.0)
        pieces = math.ceil((2 * p.reach + 1) / p.piece)
        for k in range(pieces):
            at = self._plan_column + round((k - (pieces - 1) / 2) * p.piece)
            found = self.profile(self.row, at, p.scan_rows, 2)
            peak = int(np.argmax(found.c))
            brightness = float(found.c[peak]) / float(self._bench.source.power_fraction)
            best = max(best, (brightness, float(found.c[peak] / max(found.error.mean(), 1e-12)), found.columns[peak]))
        if best[1] < 10:
            raise CalibrationError(
                f"no zeroth order within {p.reach} columns of camera column {self._plan_column}: the halves of the "
                f"strip interfere nowhere (best {best[1]:.1f} standard errors). Check that the beam is not blocked, "
                "the SLM shows what it is sent, and [alignment.prbm] zeroth_order, or widen reach"
            )
        return float(best[2])

    def meter(self, row: int, column: float, rows: int) -> None:
        """Choose the source's power for scans around a row that is as bright as any."""
        self._meter(two_part_cycle(self._panel, *self._halves, 1), self._piece(row, column, rows))

    def profile(self, row: int, column: float, rows: int, repeats: int, metered: bool = False) -> Profile:
        """Interference of the halves in a piece of columns around one; at the power that there is, if ``metered``.

        Profiles of different power can be compared to 5 % only: what is emitted does not follow what is set.
        """
        p, region = self._p, self._piece(row, column, rows)
        first = region.column
        exposure_s = self._meter(two_part_cycle(self._panel, *self._halves, 1), region, keep_power=metered)
        many = two_part_cycle(self._panel, *self._halves, repeats)
        began_s = self._bench.time_s()
        windows = [ROI(row=0, column=c, rows=rows, columns=1) for c in range(p.piece)]
        signal = self._play(many, windows).reshape(repeats, 4, p.piece)
        c = np.einsum("rfc,f->rc", signal, PRODUCT) / exposure_s
        mean = c.mean(axis=0)
        # The source's power scales a whole profile and moves nothing in it.
        common = c @ mean / max(float(mean @ mean), 1e-300)
        rest = c - np.outer(common, mean)
        # Few repeats know their own scatter badly; neighbouring columns have the same.
        scatter = math.sqrt(float((rest**2).sum()) / ((repeats - 1) * max(p.piece - 1, 1)))
        return Profile(
            first + np.arange(float(p.piece)),
            mean,
            np.full(p.piece, scatter / math.sqrt(repeats)),
            float(common.std(ddof=1)) / math.sqrt(repeats),
            (began_s + self._bench.time_s()) / 2,
        )

    def cycles(self, row: float, column: int, width: int, p: PrbmWindowParameters) -> dict[str, Any]:
        """Signal (cycles, v = + or -, h = + or -) of the slit."""
        region = ROI(row=round(row) - p.slit // 2, column=column - width // 2, rows=p.slit, columns=width)
        self._bench.source.power_fraction = self._power
        exposure_s = self._meter(two_part_cycle(self._panel, *self._spins, 1), region)
        began_s = self._bench.time_s()
        signal = self._play(two_part_cycle(self._panel, *self._spins, p.cycles), []).sum(axis=1)
        power, self._bench.source.power_fraction = float(self._bench.source.power_fraction), self._power
        return {
            "power": power,
            "time_s": (began_s + self._bench.time_s()) / 2,
            "slit_row": region.row,
            "slit_column": region.column,
            "signal": signal.reshape(p.cycles, 2, 2),
            "exposure_s": exposure_s,
            "bands": self._all_bands,
            "inputs": self._inputs,
            "outputs": self._outputs,
            "plan_k": self.plan_k,
        }

    def _cells(self, bands: NDArray[Any], columns: list[int]) -> list[tuple[int, int]]:
        return [(self._first_row + int(band) * self._height, column) for band in bands for column in columns]

    def _piece(self, row: int, column: float, rows: int) -> ROI:
        p = self._p
        first = min(max(round(column) - p.piece // 2, 0), int(self._bench.camera.columns) - p.piece)
        return ROI(row=row - rows // 2, column=first, rows=rows, columns=p.piece)

    def _meter(self, cycle: Sequence, region: ROI, keep_power: bool = False) -> float:
        p, camera = self._p, self._bench.camera
        camera.roi = region

        def peak_at(exposure_s: float) -> tuple[float, bool]:
            camera.exposure_s = exposure_s
            result = self._bench.sequencer.play(cycle, [], "camera")
            return float(result.peak.max()) - self._dark, bool(result.saturated.any())

        def metered_s() -> float:
            while True:
                try:
                    return exposure_or_too_bright(
                        peak_at, self._full, float(camera.exposure_s), *self._range_s, target_fill=METERED_FILL
                    )
                except TooBright as error:
                    now = float(self._bench.source.power_fraction)
                    if keep_power or set_power(self._bench, now / 8) >= now:
                        raise error.told from None

        camera.exposure_s = metered_s()
        # In a short exposure flicker of the panel does not average out.
        for _ in range(4):
            if keep_power or camera.exposure_s >= 0.8 * p.least_exposure_s:
                break
            now = float(self._bench.source.power_fraction)
            if set_power(self._bench, now * max(camera.exposure_s / p.least_exposure_s, 0.02)) >= now:
                break
            camera.exposure_s = metered_s()
        return float(camera.exposure_s)

    def _play(self, sequence: Sequence, windows: list[ROI]) -> NDArray[np.float64]:
        result = self._bench.sequencer.play(sequence, windows, "camera")
        if result.saturated.any():
            raise CalibrationError("the camera saturates while it is being scanned: lower the source's power")
        return np.asarray(result.signal, np.float64)


def _draw(record: Recorder, r: dict[str, Any]) -> None:
    with panels(record.picture("window"), rows=1) as (left, right):
        for row, x, c, f in zip(r["rows"], r["columns"], r["interference"], r["fits"], strict=True):
            line = left.plot(x, c, ".", label=f"row {row}")[0]
            fine = np.linspace(x[0], x[-1], 300)
            left.plot(fine, interference(fine, *f), color=line.get_color(), linewidth=1)
        left.axvline(r["column"], color="0.6", linewidth=1)
        left.set(xlabel="camera column", ylabel="interference of the halves (counts/s)")
        left.set_title(f"zeroth order at column {r['column']:.2f}")
        left.legend(frameon=False)
        contrast = r["signal"][:, :, 0] - r["signal"][:, :, 1]
        right.plot(contrast[:, 0], "o", label="dI(v)")
        right.plot(-contrast[:, 1], "s", label="-dI(-v)")
        right.set(xlabel="cycle", ylabel="contrast (counts)")
        right.set_title("symmetric difference")
        right.legend(frameon=False)

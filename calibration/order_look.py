"""What is shown in a blazed order, and what is seen of it, to map it: cells, stripes and random couplings."""

from __future__ import annotations

import math
from collections.abc import Sequence as Many
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import least_squares

from calibration.illumination_parameters import IlluminationParameters
from calibration.lighting import must_emit
from calibration.order_fit import SmoothMap, fit_map
from calibration.order_readout import CodedFlips, OrderReadout, Slit, flipped_sequence
from calibration.prbm_strip import HEADROOM, BlazedStrip, blaze_of, reach_of, rest_of, stripes
from labctl.client import Bench, CalibrationError, Step

_GUESS = 0.17, 0.17
"""Fringing fields before they are measured; a typical panel's (SLM pixels)."""

CROSSTALK_ERROR_PX = 0.02
"""Standard uncertainty of the model of stripes: of neighbouring rows' coupling it has none."""

_MODELLED = 12
"""Bands in the model of the stripes."""

MARGIN_ROWS = 2
"""Rows at either end of the spectrum that are left alone: they are half lit, and move with the temperature."""


class Cells(NamedTuple):
    """4 R* F (groups, cells) seen, and where: groups (m,) of bands and cells (m, n), -1 to 1."""

    seen: NDArray[np.complex128]
    groups: NDArray[np.float64]
    columns: NDArray[np.float64]


class OrderLook:
    """The bench set up for the order."""

    def __init__(self, bench: Bench, p: IlluminationParameters) -> None:
        self._bench, self._p = bench, p
        plan: Any = bench.alignment("prbm")
        slm = bench.slm
        rows, camera = bench.calibration("spectral-rows"), bench.calibration("slm-camera")
        self._table = bench.calibration("phase_table")
        self._row_blur = rows.number("row_blur"), float(rows.uncertainty("row_blur"))
        middle_m, per_nm = rows.number("wavelength_middle_m"), rows.number("rows_per_nm")
        at_middle = rows.number("row_middle")
        first_nm = plan.wavelength_first
        ends = [
            at_middle + per_nm * (nm - middle_m * 1e9)
            for nm in (first_nm, first_nm + plan.bands * plan.wavelength_per_band)
        ]
        self._height = int(plan.rows_per_band)
        self._first_row = max(math.ceil(min(ends)) + MARGIN_ROWS, 0)
        last = min(math.floor(max(ends)) - MARGIN_ROWS, int(slm.rows))
        self._bands = (last - self._first_row) // self._height
        if self._bands < 1:
            raise CalibrationError(
                f"spectral-rows has light on rows {min(ends):.0f} to {max(ends):.0f}: no band lies between"
            )
        lit_rows = self._first_row + np.arange(self._bands * self._height)
        self._wavelengths_m = middle_m + (lit_rows + 0.5 - at_middle) / per_nm * 1e-9
        self._at_m = float(self._wavelengths_m.mean())
        self._centre = float(plan.centre_column)
        half = min(plan.centre_column, slm.columns - plan.centre_column) // p.pixels_per_spin
        self._macros = 2 * half
        if self._macros < 2 * max(p.cells):
            raise CalibrationError(
                f"{self._macros} macro-pixels are too few for {max(p.cells)} cells; choose fewer of them"
            )
        self._half_width = half * p.pixels_per_spin
        self.crosstalk_px = _GUESS
        self._maps: list[SmoothMap] = []
        shift_m = self._at_m * p.focal_length_m / (p.period * slm.pixel_pitch_m)
        column = camera.number("column") + shift_m / float(camera.values["matrix"].value[0, 0])
        self._pixel = round(camera.number("row")), round(column)
        slm.write(rest_of(int(slm.rows), int(slm.columns), self._centre, p.period))
        slm.settle()
        self.readout = OrderReadout(bench, Slit(*self._pixel, rows=p.slit))
        self.readout.emit(p.power_fraction)
        self._metered = False
        self._turn = 0
        self._output = self._macros // 2

    def divide(self, cells: int, groups: int) -> None:
        """Cells of the strip and groups of bands that are shown as one from now on."""
        p, half = self._p, self._macros // 2
        self._groups = np.array_split(np.arange(self._bands), min(groups, self._bands))
        chooser = np.random.default_rng(1)  # of the method: which macro-pixels stand for a cell
        self._cell_of = np.full((self._bands, self._macros), -1)
        candidates = [c[c != self._output] for c in np.array_split(np.arange(self._macros), cells)]
        for band in range(self._bands):
            for k, cell in enumerate(candidates):
                self._cell_of[band, chooser.permutation(cell)[: p.lit]] = k
        # Without it some codes would be bright and others dark, and the noise of the bright ones would drown the rest.
        self.scramble = chooser.choice([-1.0, 1.0], (len(self._groups), cells))
        self._group_of = np.repeat(np.arange(len(self._groups)), [len(g) for g in self._groups])
        # Few lit macro-pixels: the output spin's share of the light is then largest.
        self._few = np.isin(self._cell_of, np.linspace(0, cells - 1, 3).round().astype(int))
        self._few &= np.cumsum(self._few, axis=1) % p.lit == 0
        x = (np.arange(self._macros) + 0.5 - half) / half
        self.group_places = np.array([g.mean() for g in self._groups]) / max((self._bands - 1) / 2, 0.5) - 1
        self.cell_places = np.array(
            [
                [np.broadcast_to(x, self._cell_of[g].shape)[self._cell_of[g] == k].mean() for k in range(cells)]
                for g in self._groups
            ]
        )

    def save(self, step: Step, stage: int, seen: NDArray[Any]) -> None:
        """Into the run: stage is the number of cells, 0 for stripes, 1 for couplings; nan after what was seen."""
        padded = np.full(max(self._bands, *self._p.groups), np.nan, np.complex128)
        padded[: len(seen)] = seen
        step.save(stage=stage, seen=padded)

    # --- what is shown --------------------------------------------------------------------------------------------

    def _strip(
        self, bands: range, sides: NDArray[np.int64] | None = None, crosstalk_px: tuple[float, float] | None = None
    ) -> BlazedStrip:
        p = self._p
        first = round(self._centre - self._half_width)
        columns = np.arange(first, first + 2 * self._half_width)
        rows = np.arange(bands.start * self._height, bands.stop * self._height)
        blaze = blaze_of(self._wavelengths_m[rows], columns, self._centre, p.period, self._at_m)
        carrier = blaze
        places = (rows // self._height) / max((self._bands - 1) / 2, 0.5) - 1
        for found in self._maps:
            carrier = carrier - found.phase(places, (columns + 0.5 - self._centre) / self._half_width)
        return BlazedStrip(
            first_row=self._first_row + bands.start * self._height,
            rows_per_band=self._height,
            first_column=first,
            pixels_per_spin=p.pixels_per_spin,
            carrier=carrier,
            crosstalk_px=crosstalk_px or self.crosstalk_px,
            sides=np.empty((0, 0), np.int64) if sides is None else sides,
            reach=reach_of(
                self._table,
                slice(self._first_row + int(rows[0]), self._first_row + int(rows[-1]) + 1),
                slice(first, first + 2 * self._half_width),
            ),
        )

    def _outputs(self, strip: BlazedStrip) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Patches (3 x bands, rows, columns) of output spins: at -1, and at +1 and -1 a quarter turn on; corners."""
        kinds = ((-1, 0.0), (1, math.pi / 2), (-1, math.pi / 2))
        patches = [
            strip.cells(b, range(self._output, self._output + 1), s, turn)
            for s, turn in kinds
            for b in range(self._bands)
        ]
        column = strip.first_column + self._output * self._p.pixels_per_spin
        corners = [(self._first_row + b * self._height, column) for b in range(self._bands)]
        return np.array(patches), np.array(corners * len(kinds), np.int32)

    def correct(self, cells: Cells) -> None:
        """Take the phases that were seen back from now on."""
        self._maps.append(fit_map(*cells))

    # --- measurements ---------------------------------------------------------------------------------------------

    def cells(self, signs: NDArray[Any]) -> NDArray[np.complex128]:
        """4 R* F (groups,) for cells in some signs."""
        strip = self._strip(range(self._bands))
        lit = self._cell_of >= 0
        scrambled = (self.scramble * signs)[self._group_of]
        shown = np.where(lit, np.take_along_axis(scrambled, np.maximum(self._cell_of, 0), axis=1), 1.0)
        base = self._solved(strip, shown, np.full(shown.shape, HEADROOM), lit)
        flips = CodedFlips(len(self._groups), self._next_turn())
        n = self._bands
        in_phase, turned = [], []
        for frame in flips.frames:
            flipped = np.zeros(n, np.bool_)
            for g in frame:
                flipped[self._groups[g]] = True
            in_phase.append(np.flatnonzero(flipped))
            turned.append(np.concatenate([2 * n + np.flatnonzero(flipped), n + np.flatnonzero(~flipped)]))
        signal = self._play(strip, base, in_phase + turned)
        first, second = signal[: len(in_phase)], signal[len(in_phase) :]
        return flips.contrasts(first) + 1j * flips.contrasts(second)

    def stripes(self, along_rows: bool, u: float) -> float:
        """Contrast of all output spins together, with a few macro-pixels in stripes of a contrast u."""
        p = self._p
        strip = self._strip(range(self._bands), stripes(self._height, p.pixels_per_spin, along_rows))
        out = []
        for sign in (1.0, -1.0):
            base = strip.phases(*self._striped(range(self._bands), sign, u))
            frames = [np.empty(0, np.int64), np.arange(self._bands)] * p.stripe_cycles
            signal = self._play(strip, base, frames)
            out.append(float((signal[0::2] - signal[1::2]).mean()))
        return 0.5 * (out[0] - out[1])

    def _striped(
        self, bands: range, sign: float, u: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        output, lit = self._is_output[bands.start : bands.stop], self._few[bands.start : bands.stop]
        return np.where(output, 1.0, sign), np.where(output, 1.0, u), lit | output

    def fit_crosstalk(
        self, kinds: Many[tuple[bool, float]], seen: NDArray[np.float64]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """Sigma (down, across) whose model has the contrasts seen, and standard uncertainties.

        Down it is spectral-rows' blur from row to row. Stripes along rows then tell how much of a contrast is due to
        the phases themselves, which a look-up table gives to some hundredths of a radian only; and those across, which
        have the same phases, how far fringing fields reach along a row.
        """
        p, (down, down_error) = self._p, self._row_blur
        middle = self._bands // 2
        bands = range(max(middle - _MODELLED // 2, 0), min(middle + _MODELLED // 2, self._bands))
        counted = self._few[bands.start : bands.stop].astype(np.float64)
        contrasts = sorted({u for _, u in kinds})
        which = np.array([contrasts.index(u) for _, u in kinds])

        def model(across: float) -> NDArray[np.float64]:
            out = []
            for along_rows, u in kinds:
                sides = stripes(self._height, p.pixels_per_spin, along_rows)
                strip = self._strip(bands, sides, (down, across))
                both = [(strip.fields(*self._striped(bands, s, u)).real * counted).sum() for s in (1.0, -1.0)]
                out.append(0.5 * float(both[0] - both[1]))
            return np.asarray(np.array(out) / counted.sum(), np.float64)

        def left(x: NDArray[np.float64]) -> NDArray[np.float64]:
            must_emit(self._bench)  # a call now and then keeps control while this goes on
            return np.asarray(x[1:][which] * model(float(x[0])) - seen / seen.max())

        begin = [_GUESS[1], *[1.0] * len(contrasts)]
        bounds = [0.0, *[0.1] * len(contrasts)], [0.4, *[10.0] * len(contrasts)]
        found = least_squares(left, begin, bounds=bounds, diff_step=1e-2)
        freedom = max(len(seen) - len(begin), 1)
        variance = 2 * found.cost / freedom
        # So few kinds know their own scatter badly: Student's factor, and what the model leaves out.
        wide = float(stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975))
        own = wide * np.sqrt(np.linalg.pinv(found.jac.T @ found.jac)[0, 0] * variance)
        return (down, float(found.x[0])), (down_error, float(np.hypot(own, CROSSTALK_ERROR_PX)))

    def couplings(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sums (bands,) of random couplings in units of a macro-pixel, and what the output spins see of them."""
        strip = self._strip(range(self._bands))
        u = np.clip(rng.normal(0, self._p.spread, (self._bands, self._macros)), -HEADROOM, HEADROOM)
        spins = rng.choice([-1.0, 1.0], self._macros)
        weights = self._amplitudes()
        lit = np.ones(u.shape, np.bool_)
        seen = np.zeros(self._bands)
        for sign in (1.0, -1.0):
            base = self._solved(strip, sign * np.broadcast_to(spins, u.shape), u, lit, weights)
            for _ in range(self._p.repeats):
                flips = CodedFlips(self._bands, self._next_turn())
                seen += sign * flips.contrasts(self._play(strip, base, flips.frames))
        sums = (weights * u * spins * ~self._is_output).sum(axis=1)
        return sums, seen / (8 * self._p.repeats)

    @property
    def _is_output(self) -> NDArray[np.bool_]:
        return np.broadcast_to(np.arange(self._macros) == self._output, (self._bands, self._macros))

    def _amplitudes(self) -> NDArray[np.float64]:
        half = self._macros // 2
        x = (np.arange(self._macros) + 0.5 - half) / half
        places = np.arange(self._bands) / max((self._bands - 1) / 2, 0.5) - 1
        return np.asarray(self._maps[-1].amplitude(places, x))

    def _next_turn(self) -> int:
        self._turn += 1
        return self._turn

    def _solved(
        self,
        strip: BlazedStrip,
        signs: NDArray[np.float64],
        u: NDArray[np.float64],
        lit: NDArray[np.bool_],
        weights: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Phases with output spins at +1."""
        output = self._is_output
        weights = np.ones(u.shape) if weights is None else weights
        phases, _ = strip.solve(
            np.where(output, 1.0, signs),
            np.where(output, 1.0, u),
            lit | output,
            np.where(output, 0.0, weights),
            lambda: must_emit(self._bench),
        )
        return phases

    def _play(self, strip: BlazedStrip, base: NDArray[np.float64], frames: list[NDArray[Any]]) -> NDArray[np.float64]:
        patches, corners = self._outputs(strip)
        sequence = flipped_sequence(base, strip.origin, patches, corners, frames)
        if not self._metered:
            self.readout.meter(flipped_sequence(base, strip.origin, patches, corners, frames[:4]), power=True)
            self._metered = True
        return self.readout.play(sequence).signal

    def geometry(self) -> dict[str, Any]:
        """What findings need to know of it."""
        return {
            "pixel": np.array(self._pixel),
            "first_row": self._first_row,
            "rows_per_band": self._height,
            "centre_column": self._centre,
            "half_width_px": float(self._half_width),
            "at_wavelength_m": self._at_m,
            "row_wavelengths_m": self._wavelengths_m,
        }

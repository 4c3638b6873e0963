"""The photonic RBM in a blazed order that calibration has mapped: all cures of a real table at once.

Where an `illumination` calibration is in force, macro-pixels stand in the blazed order it found
(`calibration.prbm_strip`): away from unmodulated light, with carriers that take back the wavefront, couplings
pre-compensated for the illumination, c_ij = W_ij / (a_ij S_j), and fringing fields worked out and corrected. Fields are
symmetric differences 1/2 [dI(v, aux) - dI(-v, -aux)], between references that divide out what the source does, and the
coherent coupling of neighbouring bands is solved for (`calibration.order_map`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import astuple, replace

import numpy as np
from numpy.typing import NDArray

from calibration.order_map import KIND, OrderMap
from calibration.order_readout import CodedFlips, OrderReadout, Played, SingleFlips, Slit, flipped_sequence
from calibration.prbm_reference import Reference
from calibration.prbm_strip import HEADROOM, BlazedStrip
from labctl.client import Bench, Calibration, CalibrationError, ConfigurationError, DeviceError, Sequence
from protocols.prbm.light.encoding import Flips
from protocols.prbm.light.layers import Layer, Layers
from protocols.prbm.light.readout import Measurement, ReadoutParameters

OUTPUT_WIDTH = 3
"""Macro-pixels that show the output spin. With sums c of 3 rms, as couplings of 196 spins have, noise of the light is
(c^2 + R^2) / R of a macro-pixel: 1.7 times less for R = 3 than for 1."""

_REFERENCE_ROUNDS = 4
"""Of the reference patterns, for each that is asked for: they are few, and all fields stand on them."""

_REFERENCE_SPINS = 3
"""Macro-pixels lit in the reference: few, so that the output spin's share of the light is large."""


def mapped_in_force(bench: Bench) -> OrderMap | None:
    """The map in force; None where there is none.

    Raises CalibrationError, which names the command to run, if it is stale or of another device.
    """
    if bench.calibrations().find(KIND, bench.name) is None:
        return None
    return OrderMap.of(bench.calibration(KIND))


def mapped_places(n_inputs: int, macro_pixels: int) -> tuple[NDArray[np.int64], int, range]:
    """Places of input spins, auxiliary and output spin: this in the middle, the others as near to it as they can be."""
    first = (macro_pixels - OUTPUT_WIDTH) // 2
    output = range(first, first + OUTPUT_WIDTH)
    others = np.setdiff1d(np.arange(macro_pixels), output)
    nearest = others[np.argsort(np.abs(others - first - (OUTPUT_WIDTH - 1) / 2), kind="stable")]
    return np.sort(nearest[1 : n_inputs + 1]), int(nearest[0]), output


class MappedPass:
    """Output spins that are lit together: their encoding in one choice of bands."""

    def __init__(
        self,
        order: OrderMap,
        strip: BlazedStrip,
        bands: range,
        outputs: range,
        couplings: NDArray[np.float64],
    ) -> None:
        self.outputs, self.bands, self.strip = outputs, bands, strip
        self.weights = order.amplitudes(strip, bands)
        self.program(couplings)

    def program(self, couplings: NDArray[np.float64]) -> None:
        """couplings: (bands, macro pixels) W, and the field at the auxiliary spin's place; nan where nothing stands."""
        self.lit = np.isfinite(couplings)
        needed = np.where(self.lit, couplings, 0.0) / self.weights
        largest = np.abs(needed).max(axis=1)
        self.scale = np.where(largest > 0, largest, 1.0) / HEADROOM
        """(bands,) S_j: the coupling that a macro-pixel of full field stands for."""
        self._needed = needed / self.scale[:, None]

    def base(
        self, spins: NDArray[np.float64], output: range, between: Callable[[], object] = lambda: None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Phases (rows, columns) for signs of the macro-pixels (bands, macro pixels), output spins at +1, and what the
        sums miss (bands,)."""
        is_output = np.isin(np.arange(self.strip.macro_pixels), output)
        signs = np.where(is_output, 1.0, spins)
        u = np.where(is_output, 1.0, self._needed)
        weights = np.where(is_output, 0.0, self.weights)
        return self.strip.solve(np.broadcast_to(signs, u.shape), u, self.lit | is_output, weights, between)


class MappedEncoding:
    """One layer given other spins; see `protocols.prbm.light.encoding.LayerEncoding`."""

    def __init__(
        self,
        layer: Layer,
        order: OrderMap,
        macro_pixels: int,
        pixels_per_spin: int,
        flips: str,
        turn: int,
        table: Calibration | None = None,
    ) -> None:
        """turn: from which the flips are drawn."""
        self._order, self._macro_pixels, self._width, self._phases = order, macro_pixels, pixels_per_spin, table
        self.inputs, self.auxiliary, self.output = mapped_places(layer.width, macro_pixels)
        self.passes: list[MappedPass] = []
        strips: dict[range, BlazedStrip] = {}  # full passes share one
        most = Flips.most(flips, order.bands)
        for first in range(0, layer.n_outputs, most):
            outputs = range(first, min(first + most, layer.n_outputs))
            start = (order.bands - len(outputs)) // 2  # the ends of the spectrum are its weakest part
            bands = range(start, start + len(outputs))
            if bands not in strips:
                strips[bands] = order.strip(macro_pixels, pixels_per_spin, bands, table)
            self.passes.append(MappedPass(order, strips[bands], bands, outputs, self._couplings(layer, outputs)))
        sizes = [len(part.outputs) for part in self.passes]
        self.codes: list[CodedFlips | SingleFlips] = [
            SingleFlips(n) if flips == "single" else CodedFlips(n, turn + k) for k, n in enumerate(sizes)
        ]
        self._take(layer)

    @property
    def n_outputs(self) -> int:
        """Spins whose fields are measured."""
        return self.layer.n_outputs

    def program(self, layer: Layer) -> None:
        """Other couplings and fields of the same shape."""
        for part in self.passes:
            part.program(self._couplings(layer, part.outputs))
        self._take(layer)

    def set_fields(self, fields: NDArray[np.float64]) -> None:
        """Other fields (outputs,). Fringing fields and scales are worked out anew for each pattern anyway."""
        self.program(self.layer.with_fields(fields))

    def _take(self, layer: Layer) -> None:
        self.layer = layer
        self.wmax = layer.largest
        self.scale = self.wmax or 1.0

    def _couplings(self, layer: Layer, outputs: range) -> NDArray[np.float64]:
        chosen = slice(outputs.start, outputs.stop)
        couplings = np.full((len(outputs), self._macro_pixels), np.nan)
        couplings[:, self.inputs] = np.where(layer.inputs[chosen] < 0, np.nan, layer.couplings[chosen])
        couplings[:, self.auxiliary] = layer.fields[chosen]
        return couplings

    def signs(self, part: MappedPass, spins: NDArray[np.int8], sign: float) -> NDArray[np.float64]:
        """Of the macro-pixels (bands, macro pixels) of a pass for given spins (n_inputs,), as they are or turned."""
        signs = np.ones((len(part.bands), self._macro_pixels))
        signs[:, self.inputs] = sign * spins[self.layer.inputs[part.outputs.start : part.outputs.stop]]
        signs[:, self.auxiliary] = sign
        return signs


class MappedTable:
    """The optical table set up for some layers, in the order of a map."""

    def __init__(self, bench: Bench, layers: Layers, p: ReadoutParameters, order: OrderMap) -> None:
        if p.readout != "camera":
            raise ConfigurationError(
                f"readout={p.readout}: the detector stands at the zeroth order, and the calibration in force reads a "
                "blazed order; set readout=camera"
            )
        if p.output_at != "centre":
            raise ConfigurationError(f"output_at={p.output_at}: the map in force has output spins at the centre")
        if p.slit % 2 == 0 or p.slit_width % 2 == 0:
            raise ConfigurationError(f"slit={p.slit}, slit_width={p.slit_width}: odd numbers of pixels are needed")
        # The map's output spins are one macro-pixel wide; dust that shades one shades a part of these.
        order = replace(order, output=(OUTPUT_WIDTH - 1 + order.output) / OUTPUT_WIDTH)
        self._bench, self._p, self._order = bench, p, order
        known = bench.calibrations().find("phase_table", bench.name) is not None
        self._phases = bench.calibration("phase_table") if known else None
        self._macro_pixels = max(layer.width for layer in layers.values()) + 1 + OUTPUT_WIDTH
        self._width = p.pixels_per_spin or order.widest(self._macro_pixels)
        slm = bench.slm
        slm.write(order.rest(int(slm.rows), int(slm.columns)))
        slm.settle()
        self._readout = OrderReadout(bench, Slit(*order.pixel, rows=p.slit, columns=p.slit_width))
        if p.emission == "on":
            self._readout.emit(bench.source.power_fraction)
        self._turn = 0
        outputs = max(layer.n_outputs for layer in layers.values())
        self._reference_outputs = min(outputs, Flips.most(p.flips, order.bands))
        self.refresh()

    def refresh(self) -> None:
        """Measure the reference again."""
        self.reference = self._measure_reference(self._reference_outputs)

    def encode(self, layer: Layer) -> MappedEncoding:
        """Encoding of one layer."""
        encoding = MappedEncoding(
            layer, self._order, self._macro_pixels, self._width, self._p.flips, self._turn + 1, self._phases
        )
        self._turn += len(encoding.passes)
        return encoding

    def state(self, encodings: Collection[MappedEncoding]) -> NDArray[np.float64]:
        """What it has learnt by measuring, for a checkpoint: reference and exposure."""
        return np.array([*astuple(self.reference), *self._readout.state()])

    def restore(self, state: NDArray[np.float64], encodings: Collection[MappedEncoding]) -> None:
        """Go on from `state`."""
        if state.shape != (8,):
            raise ConfigurationError(f"the checkpoint knows {len(state)} numbers of the table; 8 are needed")
        self.reference = Reference(*(float(x) for x in state[:4]))
        self._readout.restore(state[4:])

    def measure(self, encoding: MappedEncoding, spins: NDArray[np.int8]) -> Measurement:
        """Local fields of the encoded layer for the spins given to it, in two calls per pass and average.

        Raises DeviceError when the light is gone, and CalibrationError when it saturates at every exposure.
        """
        fields, noise = np.empty(encoding.n_outputs), np.empty(encoding.n_outputs)
        total, electrons = 0.0, math.nan
        ids: list[int] = []
        for part, code in zip(encoding.passes, encoding.codes, strict=True):
            seen, missed, lit = np.zeros(len(part.bands)), np.zeros(len(part.bands)), 0.0
            for _ in range(self._p.averages):
                for sign in (1.0, -1.0):
                    base, left = part.base(encoding.signs(part, spins, sign), encoding.output, self._bench.renew)
                    played = self._play(part.strip, base, code.frames, encoding.output)
                    seen += sign * code.contrasts(played.signal)
                    missed += 0.5 * sign * left
                    lit += 0.5 * float(played.signal.mean()) / self.reference.unit
                    ids += played.pattern_ids
            sums = self._order.sums(part.bands, seen / (8 * self.reference.unit)) - missed
            sums /= self._p.averages
            self._check_light(lit / self._p.averages, part.bands, sums)
            chosen = slice(part.outputs.start, part.outputs.stop)
            fields[chosen] = part.scale * sums
            # Two measurements' difference, and what solving for the bands' coupling adds.
            unit_e = 8 * self.reference.unit * played.exposure_s * self._readout.electrons_per_count
            one = code.noise(played.electrons, self._readout.dark_noise_e) / unit_e
            noise[chosen] = (
                one * math.sqrt(2 / self._p.averages) * self._order.noise_gain(part.bands) * np.abs(part.scale)
            )
            total += lit / self._p.averages
            electrons = float(played.electrons.mean())
        contrasts = 4.0 * fields / encoding.scale
        return Measurement(fields, total, contrasts, noise, electrons, played.exposure_s, (ids[0], ids[-1]))

    def _check_light(self, total: float, bands: range, sums: NDArray[np.float64]) -> None:
        """Sums say how bright the mean pattern must be; without light both vanish, but for the output spins' own."""
        # The unit is of the whole output spin, whose own light is in the pattern, too.
        own = (sums**2 + OUTPUT_WIDTH**2) / OUTPUT_WIDTH
        implied = float((self._order.gains[bands.start : bands.stop] * own).sum())
        if total < 0.3 * implied:
            raise DeviceError(
                f"the light is gone: intensity {total:.3g} macro-pixels where {implied:.3g} are implied, from "
                f"{len(sums)} bands. Check emission, shutters and beam blocks"
            )

    def _measure_reference(self, outputs: int) -> Reference:
        """The unit, from a few macro-pixels of known fields in every band and all output spins flipped together."""
        order, repeats = self._order, _REFERENCE_ROUNDS * self._p.reference_repeats
        start = (order.bands - outputs) // 2
        bands = range(start, start + outputs)
        strip = order.strip(self._macro_pixels, self._width, bands, self._phases)
        _, _, output = mapped_places(0, self._macro_pixels)
        others = np.setdiff1d(np.arange(self._macro_pixels), output)
        chooser = np.random.default_rng(0)  # a fixed pattern of the method, not a random number of the experiment
        couplings = np.full((outputs, self._macro_pixels), np.nan)
        for band in range(outputs):
            couplings[band, chooser.permutation(others)[: min(_REFERENCE_SPINS, len(others))]] = 1.0
        part = MappedPass(order, strip, bands, range(outputs), couplings)
        frames = [np.empty(0, np.int64), np.arange(outputs)] * repeats
        taken, missed = [], np.zeros(outputs)
        for sign in (1.0, -1.0):
            base, left = part.base(np.full(couplings.shape, sign), output, self._bench.renew)
            sequence = self._sequence(strip, base, frames, output)
            if sign > 0 and self._p.emission == "on":
                self._readout.meter(self._sequence(strip, base, frames[:2], output), power=True)
            signal = self._readout.play(sequence).signal
            taken.append(signal[0::2] - signal[1::2])
            missed += 0.5 * sign * left
        contrast = taken[0] - taken[1]
        known = float(order.seen(bands, np.nansum(couplings, axis=1) / part.scale + missed).sum())
        unit = contrast / (8 * known)
        mean, error = float(unit.mean()), float(unit.std(ddof=1)) / math.sqrt(repeats)
        if not mean > 5 * error:
            raise CalibrationError(
                f"no light in the mapped order that follows the spins: {mean:.4g} counts/s per macro-pixel with a "
                f"standard error of {error:.2g}. Check emission, shutters and beam blocks, and run: labctl calibrate "
                f"{KIND}"
            )
        return Reference(mean, error, 0.0, self._readout.dark_noise_e / self._readout.electrons_per_count)

    def _play(
        self, strip: BlazedStrip, base: NDArray[np.float64], frames: list[NDArray[np.int64]], output: range
    ) -> Played:
        return self._readout.play(self._sequence(strip, base, frames, output))

    @staticmethod
    def _sequence(
        strip: BlazedStrip, base: NDArray[np.float64], frames: list[NDArray[np.int64]], output: range
    ) -> Sequence:
        patches = np.array([strip.cells(band, output, -1) for band in range(strip.bands)])
        column = strip.first_column + output.start * strip.pixels_per_spin
        rows = strip.first_row + strip.rows_per_band * np.arange(strip.bands)
        corners = np.column_stack([rows, np.full(strip.bands, column)])
        return flipped_sequence(base, strip.origin, patches, corners, frames)

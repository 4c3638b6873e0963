"""The optical table as its plan has it, set up to measure the local fields of some layers: Eq. (2) of arXiv 2508.20472.

A layer is measured in one call to the sequencer: a base pattern and the flips. What comes back is a signal per pattern;
differences of signals are local fields.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.exposure import metered_exposure_s
from calibration.prbm_reference import Reference, measure_reference
from labctl.client import (
    ROI,
    Bench,
    CalibrationError,
    ConfigurationError,
    DeviceError,
    Sequence,
    SequenceResult,
)
from protocols.prbm.light.alignment import PrbmAlignment
from protocols.prbm.light.encoding import Flips, LayerEncoding, Strip, dark_panel, reference_sequence
from protocols.prbm.light.layers import Layer, Layers
from protocols.prbm.light.mapped import MappedTable, mapped_in_force
from protocols.prbm.light.readout import Measurement, ReadoutParameters
from protocols.prbm.light.window import signed_reference, signed_sequence, spot_in_force

_MOST_REPLAYS = 8
_FRAME_NOISE = 7e-3
PIXELS_PER_SPIN = 2
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
_SIGNED_SPINS = 20
"""Macro-pixels shown in signs when the unit is measured at a calibrated window."""

TABLE_ROLES = ("slm", "camera", "source", "sequencer")
"""Devices that the photonic sampling needs on a bench."""


@dataclass(frozen=True)
class _Played:
    """intensities: (patterns,) in units of one macro-pixel's, averaged. pattern_ids: first and last of each play."""

    intensities: NDArray[np.float64]
    exposure_s: float
    pattern_ids: list[int]


class Table:
    """The optical table set up for some layers: strip, slit, exposure and reference."""

    def __init__(self, bench: Bench, layers: Layers, p: ReadoutParameters) -> None:
        alignment = bench.alignment("prbm")
        if not isinstance(alignment, PrbmAlignment):
            raise ConfigurationError("[alignment.prbm] is not the photonic RBM's")
        if p.slit % 2 == 0 or p.slit_width % 2 == 0:
            raise ConfigurationError(f"slit={p.slit}, slit_width={p.slit_width}: odd numbers of pixels are needed")
        alignment.check_on({"slm": bench.slm, "camera": bench.camera})
        found = spot_in_force(bench)
        self._symmetric = found is not None
        self._spot = found or alignment.zeroth_order
        spot, camera = self._spot, bench.camera
        for name, at, size, width in (
            ("slit", spot.row, camera.rows, p.slit),
            ("slit_width", spot.column, camera.columns, p.slit_width),
        ):
            if at - width // 2 < 0 or at + width // 2 >= size:
                raise ConfigurationError(
                    f"{name}={width}: around camera pixel {at} it leaves the sensor's 0 to {size - 1}"
                )
        self._bench = bench
        self._p = p
        self._alignment = alignment
        widest = max(layer.width for layer in layers.values())
        self._strip = Strip.on(alignment, bench.slm.columns, widest, p.pixels_per_spin or PIXELS_PER_SPIN)
        self._exposure_s: dict[tuple[LayerEncoding, int], float] = {}
        self._exposure_now_s = self._start_exposure_s = self._unlit_peak = 0.0
        self._unlit = np.empty(0)
        self._turn, self._step = 0.0, self._gray_step()
        self._prepare()
        # The reference is a mean over the bands it lights, and gains are relative to that mean.
        outputs = min(max(layer.n_outputs for layer in layers.values()), Flips.most(p.flips, alignment.bands))
        self._gains = alignment.band_gains(outputs)
        self._reference_of = widest, outputs
        self.refresh()

    def refresh(self) -> None:
        """Measure the reference again: the source's power drifts."""
        self.reference = self._measure_reference(*self._reference_of)

    def encode(self, layer: Layer) -> LayerEncoding:
        """Encoding of one layer."""
        return LayerEncoding(layer, self._alignment, self._strip, self._p.output_at, self._p.flips)

    def measure(self, encoding: LayerEncoding, spins: NDArray[np.int8]) -> Measurement:
        """Local fields of the encoded layer for the spins given to it, in one call per pass.

        Raises DeviceError when the light is gone or saturates at every exposure.
        """
        fields, contrasts = np.empty(encoding.n_outputs), np.empty(encoding.n_outputs)
        noise = np.full(encoding.n_outputs, np.nan)
        total, electrons = 0.0, math.nan
        ids: list[int] = []
        for k, part in enumerate(encoding.passes):
            code, chosen = part.flips, part.chosen
            played = self._play(encoding, k, spins, 1)
            opposite = None
            if self._symmetric:
                turned = self._play(encoding, k, spins, -1)
                opposite = code.contrasts(turned.intensities) / self._gains[: len(part.outputs)]
            intensities = played.intensities
            contrasts[chosen] = code.contrasts(intensities) / self._gains[: len(part.outputs)]
            if self._p.readout == "camera":
                unit_e = self.reference.unit * played.exposure_s * self._electrons_per_count
                collected_e = intensities * unit_e
                dark_e = self.reference.dark_noise * self._electrons_per_count
                shot = code.predicted_noise(collected_e, unit_e, dark_e)
                noise[chosen] = np.hypot(shot, self.rounding(encoding)[chosen]) / math.sqrt(self._p.averages)
                electrons = float(collected_e.mean())
            self._check_light(intensities[0], contrasts[chosen], float(np.nan_to_num(noise[chosen]).max()))
            if opposite is not None:
                contrasts[chosen] = 0.5 * (contrasts[chosen] - opposite)
                noise[chosen] /= math.sqrt(2)  # the mean of two measurements
            fields[chosen] = encoding.scale * contrasts[chosen] / 4.0
            noise[chosen] *= encoding.scale
            total += float(intensities[0])
            ids += played.pattern_ids
        return Measurement(fields, total, contrasts, noise, electrons, played.exposure_s, (ids[0], ids[-1]))

    def state(self, encodings: Collection[LayerEncoding]) -> NDArray[np.float64]:
        """What it has learnt by measuring, for a checkpoint: the reference, exposures of some layers, the dither."""
        exposures = [self._exposure_s.get(key, math.nan) for key in _places(encodings)]
        found = [self._exposure_now_s, self._start_exposure_s, self._turn, self._unlit_peak]
        return np.array([*found, *astuple(self.reference), *self._unlit, *exposures])

    def restore(self, state: NDArray[np.float64], encodings: Collection[LayerEncoding]) -> None:
        """Go on from `state`."""
        places, unlit = _places(encodings), len(self._unlit)
        if state.shape != (8 + unlit + len(places),):
            raise ConfigurationError(
                f"the checkpoint knows {len(state)} numbers of the table; {8 + unlit + len(places)} "
                "are needed: it is of another layer, or of other parameters"
            )
        self._exposure_now_s, self._start_exposure_s, self._turn, self._unlit_peak = (float(x) for x in state[:4])
        self.reference = Reference(*(float(x) for x in state[4:8]))
        self._unlit = np.array(state[8 : 8 + unlit])
        known = zip(places, state[8 + unlit :], strict=True)
        self._exposure_s = {key: float(s) for key, s in known if not math.isnan(s)}

    def rounding(self, encoding: LayerEncoding) -> NDArray[np.float64]:
        """Standard deviation of L / W_max (outputs,) by dithered gray levels."""
        return np.asarray(encoding.level_gain * (self._step if self._p.dither == "on" else 0.0))

    def _gray_step(self) -> float:
        """Phase between two gray levels, rad; 0 for a panel without."""
        levels = int(self._bench.slm.levels)
        return 2 * math.pi / levels if levels else 0.0

    def _next_offset(self) -> float:
        """A phase within one gray level, another for every play, in steps of the golden ratio.

        Rounding errors of the couplings then change from one to the next and average out; without, they are the
        couplings of another machine, whose images are told from the right one's.
        """
        if self._p.dither == "off":
            return 0.0
        self._turn = (self._turn + _GOLDEN) % 1.0
        return self._turn * self._step

    def _check_light(self, total: float, contrasts: NDArray[np.float64], noise: float) -> None:
        """The contrasts say how bright the unflipped pattern must be: the sum over bands of (contrast / 4 + 1)^2.

        Without light both vanish, and the sum is the number of bands. noise: of contrast / 4, whose square adds to
        every band's. The test is generous: half of the sum, less a third of a macro-pixel's intensity per band. Single
        flips share the noise of one frame: as much as five times that, or 0.7 % of its light, may be common to all.
        """
        seen = contrasts / 4.0 + 1.0
        common = max(_FRAME_NOISE * abs(total) / 4.0, 5.0 * noise)
        implied = float(((seen - np.clip(seen.mean(), -common, common)) ** 2).sum()) - len(seen) * noise**2
        if total < 0.5 * implied - len(contrasts) / 3:
            raise DeviceError(
                f"the light is gone: intensity {total:.3g} macro-pixels where the contrasts imply {implied:.3g}, from "
                f"{len(contrasts)} bands. Check emission, shutters and beam blocks"
            )

    # --- setting up -------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        bench, p, alignment = self._bench, self._p, self._alignment
        if p.readout == "camera":
            camera, spot = bench.camera, self._spot
            camera.binning = 1  # first: any region is made of whole blocks of it
            camera.roi = ROI(
                row=spot.row - p.slit // 2, column=spot.column - p.slit_width // 2, rows=p.slit, columns=p.slit_width
            )
            self._full_scale = float(camera.full_scale_counts)
            self._electrons_per_count = float(camera.electrons_per_count)
            self._exposure_now_s = float(camera.exposure_s)
            limits = camera.limits("exposure_s")
            self._shortest_s, self._longest_s = limits.minimum or 1e-6, min(limits.maximum or 1.0, 1.0)
        bench.slm.write(dark_panel(alignment, bench.slm.rows, bench.slm.columns))
        bench.slm.settle()
        if self._symmetric and p.readout == "camera":
            frames = [bench.camera.trigger().data for _ in range(p.reference_repeats)]
            self._unlit_peak = float(frames[0].max())
            self._unlit = np.array([frame.sum(dtype=np.float64) for frame in frames])
        if p.emission == "on":
            bench.source.emission = True
            if not bench.source.emission:
                raise DeviceError("the source was told to emit and reads back off: check its interlock and key switch")

    def _measure_reference(self, n_inputs: int, outputs: int) -> Reference:
        p, slm = self._p, self._bench.slm
        if self._symmetric and p.readout == "camera":
            return self._measure_signed_reference(n_inputs, outputs)
        lit = min(p.reference_spins, n_inputs + 1)
        arguments = (self._alignment, self._strip, outputs, lit, n_inputs, p.output_at)
        settle_s = slm.settle_s
        # Reference patterns differ from one another everywhere, not in a few pixels.
        slm.settle_s = max(settle_s, slm.base_settle_s)
        try:
            exposure_s = 1.0
            if p.readout == "camera":
                exposure_s = self._meter(reference_sequence(*arguments, 1))
                self._expose_for(exposure_s)
                exposure_s = self._exposure_now_s
            result = self._sequencer_play(reference_sequence(*arguments, p.reference_repeats))
        finally:
            slm.settle_s = settle_s
        if result.saturated.any():
            raise CalibrationError("the reference patterns saturate the detector: lower the source's power")
        signal = result.signal.sum(axis=1)
        return measure_reference(signal[0::3], signal[1::3], signal[2::3], outputs, lit, exposure_s)

    def _measure_signed_reference(self, n_inputs: int, outputs: int) -> Reference:
        p, slm = self._p, self._bench.slm
        lit = min(_SIGNED_SPINS, n_inputs + 1)
        panel = int(slm.rows), int(slm.columns)
        arguments = (panel, self._alignment, self._strip, outputs, lit, n_inputs, p.output_at)
        settle_s = slm.settle_s
        slm.settle_s = max(settle_s, slm.base_settle_s)
        try:
            self._expose_for(self._meter(signed_sequence(*arguments, 1)))
            result = self._sequencer_play(signed_sequence(*arguments, 2 * p.reference_repeats))
        finally:
            slm.settle_s = settle_s
        if result.saturated.any():
            raise CalibrationError("the reference patterns saturate the detector: lower the source's power")
        return signed_reference(result.signal.sum(axis=1), outputs, lit, self._exposure_now_s, self._unlit)

    def _meter(self, sequence: Sequence) -> float:
        def peak_at(exposure_s: float) -> tuple[float, bool]:
            self._expose_for(exposure_s)
            result = self._sequencer_play(sequence)
            # Light that no pattern reaches is in every frame; once the window is calibrated, darkness is known.
            dark = self._unlit_peak if self._symmetric else result.peak.min()
            return float(result.peak.max() - dark), bool(result.saturated.any())

        exposure_s = metered_exposure_s(
            peak_at, self._full_scale, self._exposure_now_s, self._shortest_s, self._longest_s
        )
        self._start_exposure_s = exposure_s
        return exposure_s

    # --- playing ----------------------------------------------------------------------------------------------------

    def _play(self, encoding: LayerEncoding, number: int, spins: NDArray[np.int8], sign: int) -> _Played:
        """Play a pass as often as is to be averaged."""
        ids, total = [], 0.0
        for _ in range(self._p.averages):
            sequence = encoding.sequence(encoding.passes[number], spins, sign, self._next_offset())
            result, exposure_s = self._play_once(sequence, (encoding, number))
            signal = (result.signal.sum(axis=1) - self.reference.dark) / (self.reference.unit * exposure_s)
            total = total + signal / self._p.averages
            ids += [int(result.pattern_ids[0]), int(result.pattern_ids[-1])]
        return _Played(np.asarray(total), exposure_s, ids)

    def _play_once(self, sequence: Sequence, layer: tuple[LayerEncoding, int]) -> tuple[SequenceResult, float]:
        """Play at the exposure that suited this layer last; play again, darker, if it saturates."""
        if self._p.readout != "camera":
            result = self._sequencer_play(sequence)
            if result.saturated.any():
                raise DeviceError("the slit detector is over its range: lower the source's power")
            return result, 1.0
        exposure_s = self._exposure_s.get(layer, self._start_exposure_s)
        for replay in range(_MOST_REPLAYS):
            self._expose_for(exposure_s)
            result = self._sequencer_play(sequence)
            if not result.saturated.any():
                break
            # Spins that all pull one way are thousands of times as bright as the reference.
            exposure_s = max(self._exposure_now_s * (0.6 if replay < _MOST_REPLAYS // 2 else 0.1), self._shortest_s)
        else:
            raise DeviceError(
                f"the camera saturates at every exposure down to {exposure_s * 1e6:.1f} us: lower the source's power"
            )
        used_s = self._exposure_now_s
        fill = float(result.peak.max()) / self._full_scale
        if not 0.76 < fill / self._p.fill < 1.18:
            exposure_s = min(max(used_s * self._p.fill / max(fill, 0.02), self._shortest_s), self._longest_s)
        self._exposure_s[layer] = exposure_s
        return result, used_s

    def _expose_for(self, exposure_s: float) -> None:
        if abs(exposure_s - self._exposure_now_s) > 1e-12:
            self._bench.camera.exposure_s = exposure_s
            self._exposure_now_s = float(self._bench.camera.exposure_s)

    def _sequencer_play(self, sequence: Sequence) -> SequenceResult:
        result: SequenceResult = self._bench.sequencer.play(sequence, [], self._p.readout)
        return result


def _places(encodings: Collection[LayerEncoding]) -> list[tuple[LayerEncoding, int]]:
    return [(encoding, k) for encoding in encodings for k in range(len(encoding.passes))]


def table_on(bench: Bench, layers: Layers, p: ReadoutParameters) -> Table | MappedTable:
    """The table set up as its calibrations allow: in a mapped order where one is in force, else as the plan has it."""
    order = mapped_in_force(bench)
    return Table(bench, layers, p) if order is None else MappedTable(bench, layers, p, order)

"""A slit of camera pixels on a blazed order, and coded flips of output spins read with it.

The light is set so that an exposure lasts one frame of the panel where the laser can be turned down that far: flicker
and the noise of single bands then average out. Between coded patterns the unflipped one comes back every few patterns;
what the source does in the meantime divides out.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from calibration.exposure import TooBright, exposure_or_too_bright
from calibration.lighting import LEAST_POWER, most_power, set_power
from labctl.client import ROI, Bench, CalibrationError, InterlockError, Sequence

FRAME_S = 1 / 60
"""Of the panel: the exposure wanted."""

REFERENCE_EVERY = 12
"""Patterns between two unflipped ones."""

_MOST_REPLAYS = 8


@dataclass(frozen=True)
class Slit:
    """Camera pixels that are summed: rows and columns around one, odd numbers of both."""

    row: int
    column: int
    rows: int = 31
    columns: int = 1

    @property
    def roi(self) -> ROI:
        """Of the camera."""
        return ROI(
            row=self.row - self.rows // 2,
            column=self.column - self.columns // 2,
            rows=self.rows,
            columns=self.columns,
        )


@dataclass(frozen=True)
class Played:
    """What one play gave.

    signal: (patterns,) sum over the slit less darkness, counts per second. electrons: (patterns,) collected.
    exposure_s: of each frame. pattern_ids: (first, last) shown.
    """

    signal: NDArray[np.float64]
    electrons: NDArray[np.float64]
    exposure_s: float
    pattern_ids: tuple[int, int]


class OrderReadout:
    """The bench set up to read one slit. The source is off when it is made, since darkness is measured first."""

    def __init__(self, bench: Bench, slit: Slit, dark_frames: int = 8) -> None:
        self._bench, camera = bench, bench.camera
        roi = slit.roi
        if (
            roi.row < 0
            or roi.column < 0
            or roi.row + roi.rows > camera.rows
            or roi.column + roi.columns > camera.columns
        ):
            raise CalibrationError(
                f"a slit of {slit.rows} x {slit.columns} pixels around row {slit.row}, column {slit.column} leaves the "
                f"camera's {camera.rows} x {camera.columns}: calibrate slm-camera again, or choose a longer blaze"
            )
        camera.binning = 1
        camera.roi = roi
        self._full = float(camera.full_scale_counts)
        self.electrons_per_count = float(camera.electrons_per_count)
        limits = camera.limits("exposure_s")
        self._shortest_s, self._longest_s = limits.minimum or 1e-6, min(limits.maximum or 1.0, FRAME_S)
        camera.exposure_s = self._longest_s
        frames = [camera.trigger().data for _ in range(dark_frames)]
        self._dark = float(np.mean([f.sum(dtype=np.float64) for f in frames]))
        self._dark_peak = float(np.max(frames))
        self.dark_noise_e = float(np.std([f.sum(dtype=np.float64) for f in frames], ddof=1)) * self.electrons_per_count
        """Of the slit without light, electrons."""
        self.exposure_s = float(camera.exposure_s)

    def state(self) -> NDArray[np.float64]:
        """For a checkpoint: exposure, and what darkness is."""
        return np.array([self.exposure_s, self._dark, self._dark_peak, self.dark_noise_e])

    def restore(self, state: NDArray[np.float64]) -> None:
        """Go on from `state`."""
        self.exposure_s, self._dark, self._dark_peak, self.dark_noise_e = (float(x) for x in state)

    def emit(self, power_fraction: float) -> None:
        """The source on. CalibrationError if it stays off or refuses."""
        set_power(self._bench, power_fraction)
        try:
            self._bench.source.emission = True
        except InterlockError as error:
            raise CalibrationError(f"the source does not emit, so there is nothing to measure with: {error}") from error
        if not self._bench.source.emission:
            raise CalibrationError("the source was told to emit and reads back off: check its interlock and key switch")

    def meter(self, sequence: Sequence, power: bool) -> None:
        """Choose the exposure, and with ``power`` the source's power, that suit the brightest of some patterns."""
        for _ in range(8):
            now = float(self._bench.source.power_fraction)
            try:
                wanted_s = exposure_or_too_bright(
                    lambda s: self._peak(sequence, s),
                    self._full,
                    self.exposure_s,
                    self._shortest_s,
                    self._longest_s,
                    where="in the blazed order",
                )
            except TooBright as error:
                if not power or set_power(self._bench, now / 8) >= now:
                    raise error.told from None
                continue
            self._expose_for(wanted_s)
            if not power:
                return
            peak, _ = self._peak(sequence, self.exposure_s)
            # At the power wanted, a frame of the panel fills the well as this exposure does.
            better = now * self.exposure_s / FRAME_S * (0.75 * self._full / max(peak, 1.0))
            better = min(max(better, LEAST_POWER), most_power(self._bench))
            if 0.8 < better / now < 1.25:
                return
            set_power(self._bench, better)
            if better < now:
                self._expose_for(min(self.exposure_s * now / better, self._longest_s))

    def play(self, sequence: Sequence) -> Played:
        """Signals of patterns; played again, darker, where one saturates. CalibrationError if that does not
        help."""
        for _ in range(_MOST_REPLAYS):
            result = self._bench.sequencer.play(sequence, [], "camera")
            if not result.saturated.any():
                break
            if self.exposure_s <= self._shortest_s:
                raise TooBright(self._shortest_s).told
            self._expose_for(max(0.6 * self.exposure_s, self._shortest_s))
        else:
            raise CalibrationError("the camera saturates at every exposure: lower the source's power")
        counts = result.signal.sum(axis=1) - self._dark
        used_s, fill = self.exposure_s, float(result.peak.max()) / self._full
        if fill < 0.5 or fill > 0.9:
            self._expose_for(min(max(used_s * 0.75 / max(fill, 0.02), self._shortest_s), self._longest_s))
        return Played(
            signal=counts / used_s,
            electrons=counts * self.electrons_per_count,
            exposure_s=used_s,
            pattern_ids=(int(result.pattern_ids[0]), int(result.pattern_ids[-1])),
        )

    def _peak(self, sequence: Sequence, exposure_s: float) -> tuple[float, bool]:
        self._expose_for(exposure_s)
        result = self._bench.sequencer.play(sequence, [], "camera")
        return float(result.peak.max()) - self._dark_peak, bool(result.saturated.any())

    def _expose_for(self, exposure_s: float) -> None:
        if abs(exposure_s - self.exposure_s) > 1e-12:
            self._bench.camera.exposure_s = exposure_s
            self.exposure_s = float(self._bench.camera.exposure_s)


class CodedFlips:
    """Output spins flipped by the columns of a Hadamard matrix but the first, and references in between.

    Patterns come in a random order, and outputs have random columns, both drawn from ``turn``. What varies in time with
    a tone of its own, as flicker seen once per exposure does, would else be taken for one of the outputs; and products
    of neighbours, h_j h_j+1, which the bands' coupling makes, would pile up in a few columns: in the natural order half
    of them are the first one's.

    code: (patterns, outputs) +1 or -1. frames: spins flipped in each pattern that is shown, references included.
    """

    def __init__(self, outputs: int, turn: int = 0) -> None:
        order = 1 << outputs.bit_length()
        chooser = np.random.default_rng(turn)
        columns = 1 + chooser.permutation(order - 1)[:outputs]
        self.code = hadamard(order, dtype=np.int8)[chooser.permutation(order)][:, columns].astype(np.float64)
        self.frames: list[NDArray[np.int64]] = []
        references = []
        for k, row in enumerate(self.code):
            if k % REFERENCE_EVERY == 0:
                references.append(len(self.frames))
                self.frames.append(np.empty(0, np.int64))
            self.frames.append(np.flatnonzero(row < 0))
        references.append(len(self.frames))
        self.frames.append(np.empty(0, np.int64))
        self._references = np.array(references)
        self._coded = np.setdiff1d(np.arange(len(self.frames)), self._references)

    def steady(self, signal: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signals (patterns,) of the code, from those of all frames, with what the source did divided out."""
        reference = signal[self._references]
        course = np.interp(np.arange(len(signal)), self._references, _smoothed(reference))
        return np.asarray(signal[self._coded] * (course.mean() / course[self._coded]))

    def contrasts(self, signal: NDArray[np.float64]) -> NDArray[np.float64]:
        """I(+) - I(-) of each output, from the signals of all frames."""
        return np.asarray(self.code.T @ self.steady(signal) * (2.0 / len(self.code)))

    def noise(self, electrons: NDArray[np.float64], dark_e: float) -> float:
        """Standard deviation of each contrast by shot noise and darkness, electrons."""
        variance = np.maximum(electrons[self._coded], 0.0) + dark_e**2
        return float(2.0 / len(self.code) * np.sqrt(variance.sum()))


class SingleFlips:
    """Each output spin flipped alone, after a pattern with none flipped; the interface of `CodedFlips`."""

    def __init__(self, outputs: int) -> None:
        self.frames: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        for k in range(outputs):
            self.frames.append(np.array([k]))
            if k % REFERENCE_EVERY == REFERENCE_EVERY - 1 or k == outputs - 1:
                self.frames.append(np.empty(0, np.int64))
        empty = np.array([len(f) == 0 for f in self.frames])
        self._references, self._single = np.flatnonzero(empty), np.flatnonzero(~empty)

    def contrasts(self, signal: NDArray[np.float64]) -> NDArray[np.float64]:
        """I(+) - I(-) of each output, from the signals of all frames."""
        course = np.interp(self._single, self._references, signal[self._references])
        return np.asarray((1 - signal[self._single] / course) * signal[self._references].mean())

    def noise(self, electrons: NDArray[np.float64], dark_e: float) -> float:
        """Standard deviation of each contrast by shot noise and darkness, electrons."""
        variance = np.maximum(electrons, 0.0) + dark_e**2
        return float(np.sqrt(variance[self._references].mean() + variance[self._single].mean()))


def _smoothed(reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """A reference's own noise would be in all patterns around it: neighbours are averaged, the slow course stays."""
    if len(reference) < 3:
        return np.full_like(reference, reference.mean())
    padded = np.pad(reference, 1, mode="edge")
    return np.asarray(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:])


def flipped_sequence(
    base: NDArray[np.float64],
    origin: tuple[int, int],
    patches: NDArray[np.float64],
    patch_origins: NDArray[np.integer[Any]],
    frames: Many[NDArray[np.integer[Any]]],
) -> Sequence:
    """Patterns: the base (rows, columns; rad) with some of its patches (n, rows, columns) in each frame."""
    return Sequence(
        base=base,
        base_origin=origin,
        patches=patches,
        patch_origins=np.asarray(patch_origins, np.int32),
        offsets=np.concatenate([[0], np.cumsum([len(f) for f in frames])]).astype(np.int32),
        indices=np.concatenate([*frames, np.empty(0, np.int64)]).astype(np.int32),
    )

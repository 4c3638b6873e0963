"""The sequencer: plays patterns on an SLM and reads a detector once per pattern.

It lives in the camera's server. The SLM may stand beside it or be reached over the bus; it may step through the
patterns by itself (hardware timing) or be told each one (software timing). What is measured is the same.
"""

from __future__ import annotations

import threading
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from drivers.binning import binned_shape
from drivers.contract import (
    ROI,
    SLM,
    Camera,
    ConfigurationError,
    DeviceError,
    FrameStack,
    Identity,
    LimitError,
    Photodetector,
    Reading,
    Sequence,
    Sequencer,
    SequenceResult,
)
from drivers.correction import correct, filled
from drivers.errors import FrameError
from drivers.site import Site


class SoftwareSequencer(Sequencer):
    """Composite of one SLM, one camera and, if the bench has one, a photodetector at the same spot."""

    class Options(BaseModel):
        """Role names of the devices it plays on, and what it thinks of two frames that are the same in every pixel.

        identical: "refuse" where a camera's noise makes that as good as impossible: then the camera is frozen.
        """

        model_config = ConfigDict(extra="forbid")
        slm: str
        camera: str
        photodetector: str | None = None
        identical: Literal["allow", "refuse"] = "allow"

    def __init__(
        self,
        name: str,
        slm: SLM,
        camera: Camera,
        photodetector: Photodetector | None = None,
        identical: Literal["allow", "refuse"] = "allow",
    ) -> None:
        super().__init__(name)
        self._identical = identical
        self._slm = slm
        self._camera = camera
        self._photodetector = photodetector
        self._timing = "auto"
        self._stop = threading.Event()

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> SoftwareSequencer:
        """Find the devices it plays on; they may live in another server."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(f"{name}: a sequencer needs `slm` and `camera`, the names of two devices")
        detector = options.photodetector
        wanted = {"slm": options.slm, "camera": options.camera}
        for kind, role in (wanted | ({"photodetector": detector} if detector else {})).items():
            found = site.device(role).kind
            if found != kind:
                raise ConfigurationError(f"{name}: {kind} = {role!r} names a {found}; a {kind} is needed")
        return cls(
            name,
            site.device(options.slm),
            site.device(options.camera),
            site.device(detector) if detector else None,
            options.identical,
        )

    def open(self) -> None:
        """Timing as the instruments allow."""
        self._timing = "auto"

    def identity(self) -> Identity:
        """A composite has no serial number of its own."""
        return Identity(model="labctl sequencer", serial="", firmware="1")

    def safe(self) -> None:
        """Stop a sequence that is being played at its next pattern."""
        self._stop.set()
        if isinstance(self._slm, SLM):
            self._slm.safe()  # it may be stepping by itself; one behind the bus is made safe by its own server

    def frozen(self) -> dict[str, Any]:
        """See the contract."""
        return {"timing": self._timing}

    def thaw(self, kept: Any) -> None:
        """See the contract."""
        self.timing = str(kept["timing"])

    def _read_timing(self) -> str:
        return self._timing

    def _write_timing(self, value: str) -> None:
        self._timing = value

    def play(
        self,
        sequence: Sequence,
        windows: list[ROI],
        readout: str = "camera",
        frames: bool = False,
        corrected: bool = False,
    ) -> SequenceResult:
        """Show each pattern, let it settle, expose, and reduce; see `drivers.contract.Sequencer.play`."""
        self._stop.clear()
        sequence.validate(self._slm.rows, self._slm.columns)
        try:
            return self._play(sequence, windows, readout, frames, corrected)
        except BaseException:
            # An armed detector would refuse its settings and answer somebody else's triggers.
            self._camera.safe()
            if self._photodetector is not None:
                self._photodetector.safe()
            raise

    def _play(
        self, sequence: Sequence, windows: list[ROI], readout: str, frames: bool, corrected: bool
    ) -> SequenceResult:
        self._check_patches_on_base(sequence)
        if readout == "camera":
            return self._play_on_camera(sequence, windows, frames, corrected)
        if self._photodetector is None or readout not in ("photodetector", self._photodetector.name):
            known = ["camera"] + (["photodetector"] if self._photodetector else [])
            raise LimitError(f"{self.name}.play: readout {readout!r} is none of {', '.join(known)}")
        if corrected:
            raise LimitError(f"{self.name}.play: corrected = True is for frames of the camera, not for {readout!r}")
        return self._play_on_photodetector(sequence, self._photodetector)

    # --- camera -----------------------------------------------------------------------------------------------------

    def _play_on_camera(
        self, sequence: Sequence, windows: list[ROI], keep_frames: bool, corrected: bool
    ) -> SequenceResult:
        camera = self._camera
        correction = camera.correction() if corrected else None  # what is missing is told before anything is shown
        roi = camera.roi
        rows, columns = binned_shape(roi, camera.binning)
        for window in windows:
            if (
                window.row < 0
                or window.column < 0
                or window.rows < 1
                or window.columns < 1
                or window.row + window.rows > rows
                or window.column + window.columns > columns
            ):
                raise LimitError(f"{self.name}.play: window {window} does not fit the frames of {rows}x{columns}")
        dwell_s = camera.exposure_s + camera.readout_s
        if self._hardware_timed(sequence, camera.external_trigger):
            camera.arm(len(sequence))
            ids, stable_ns = self._run(dwell_s)
            stack = camera.collect()
        else:
            ids, stable_ns, stack = self._step_camera(sequence)
        self._check_not_stopped(len(sequence), len(sequence))
        self._check_fresh(stack.start_ns, stable_ns)
        self._check_not_frozen(stack.data)
        data = stack.data if correction is None else filled(correct(stack, correction))
        whole = [ROI(row=0, column=0, rows=rows, columns=columns)]
        sums = [
            data[:, w.row : w.row + w.rows, w.column : w.column + w.columns].sum(axis=(1, 2), dtype=np.float64)
            for w in windows or whole
        ]
        return SequenceResult(
            signal=np.stack(sums, axis=1),
            frames=data if keep_frames else None,
            pattern_ids=ids,
            frame_ids=stack.frame_ids,
            start_ns=stack.start_ns,
            end_ns=stack.end_ns,
            utc_start_ns=stack.utc_start_ns,
            exposure_s=stack.exposure_s,
            saturated=stack.saturated,
            peak=data.max(axis=(1, 2)).astype(np.float64),
            lost=int(stack.lost_before.sum()),
        )

    def _step_camera(self, sequence: Sequence) -> tuple[NDArray[np.int64], NDArray[np.int64], FrameStack]:
        self._camera.arm(1)
        ids, stable, taken = [], [], []
        for k in range(len(sequence)):
            self._check_not_stopped(k, len(sequence))
            ids.append(self._show(sequence, k))
            stable.append(self._slm.settle())
            taken.append(self._camera.trigger(ids[-1]))
        stack = FrameStack.of(taken, np.stack([f.data for f in taken]))
        return np.array(ids, np.int64), np.array(stable, np.int64), stack

    # --- photodetector ----------------------------------------------------------------------------------------------

    def _play_on_photodetector(self, sequence: Sequence, detector: Photodetector) -> SequenceResult:
        if self._hardware_timed(sequence, detector.external_trigger):
            detector.arm(len(sequence))
            ids, stable_ns = self._run(detector.integration_s)
            readings = detector.collect()
        else:
            shown, stable, readings = [], [], []
            for k in range(len(sequence)):
                self._check_not_stopped(k, len(sequence))
                shown.append(self._show(sequence, k))
                stable.append(self._slm.settle())
                readings.append(detector.measure())
            ids, stable_ns = np.array(shown, np.int64), np.array(stable, np.int64)
        self._check_not_stopped(len(sequence), len(sequence))
        start_ns = np.array([r.start_ns for r in readings], np.int64)
        self._check_fresh(start_ns, stable_ns)
        power = np.array([r.power_w for r in readings])
        return SequenceResult(
            signal=power[:, None],
            frames=None,
            pattern_ids=ids,
            frame_ids=np.array([r.reading_id for r in readings], np.int64),
            start_ns=start_ns,
            end_ns=np.array([r.end_ns for r in readings], np.int64),
            utc_start_ns=readings[0].utc_start_ns,
            exposure_s=_mean_duration_s(readings),
            saturated=np.array([r.saturated for r in readings], np.int64),
            peak=power,
            lost=0,
        )

    # --- shared -----------------------------------------------------------------------------------------------------

    def _hardware_timed(self, sequence: Sequence, external_trigger: bool) -> bool:
        able = external_trigger and self._slm.sequence_memory >= len(sequence)
        if self._timing == "hardware" and not able:
            raise LimitError(
                f"{self.name}.timing = hardware: {len(sequence)} patterns, SLM memory {self._slm.sequence_memory}, "
                f"detector with trigger input: {external_trigger}; use timing = auto or software"
            )
        if able and self._timing != "software":
            self._slm.load(sequence)
            return True
        return False

    def _run(self, dwell_s: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        times = self._slm.run(dwell_s)
        return times.pattern_ids, times.stable_ns

    def _show(self, sequence: Sequence, k: int) -> int:
        """Compose pattern k on the host and write it."""
        base = np.array(sequence.base, copy=True)
        top, left = sequence.base_origin
        _, height, width = sequence.patches.shape
        for index in sequence.indices[sequence.offsets[k] : sequence.offsets[k + 1]]:
            row, column = (int(x) for x in sequence.patch_origins[index])
            base[row - top : row - top + height, column - left : column - left + width] = sequence.patches[index]
        return self._slm.write(base, top, left, whole=k == 0)

    def _check_patches_on_base(self, sequence: Sequence) -> None:
        # Software timing composes patterns on the base, so both timings refuse what it could not show.
        first = np.array(sequence.base_origin)
        last = first + sequence.base.shape - sequence.patches.shape[1:]
        outside = np.flatnonzero(np.any((sequence.patch_origins < first) | (sequence.patch_origins > last), axis=1))
        if outside.size:
            raise LimitError(f"{self.name}.play: patch {outside[0]} lies outside the base; enlarge the base")

    def _check_fresh(self, start_ns: NDArray[np.int64], stable_ns: NDArray[np.int64]) -> None:
        early = np.flatnonzero(start_ns < stable_ns)
        if early.size:
            k = int(early[0])
            raise FrameError(
                f"{self.name}.play: exposure {k} began {(stable_ns[k] - start_ns[k]) / 1e6:.3f} ms before its pattern "
                "was stable; the frames were dropped. Check the trigger wiring or raise the SLM's settle time"
            )

    def _check_not_frozen(self, frames: NDArray[Any]) -> None:
        if self._identical == "allow" or len(frames) < 2:
            return
        pixels = frames.reshape(len(frames), -1)
        uneven = pixels.max(axis=1) > pixels.min(axis=1)  # saturated ones, or dark ones of few bits, may well be alike
        same = np.flatnonzero((pixels[1:] == pixels[:-1]).all(axis=1) & uneven[1:])
        if same.size:
            raise FrameError(
                f"{self.name}.play: frames {same[0]} and {same[0] + 1} of {len(frames)} are the same in every one of "
                f"{pixels.shape[1]} pixels: the camera is frozen; all were dropped. Play again; if it stays, open the "
                'camera anew. For a camera without noise set identical = "allow"'
            )

    def _check_not_stopped(self, k: int, n: int) -> None:
        if self._stop.is_set():
            raise DeviceError(f"{self.name}.play: stopped by safe() after {k} of {n} patterns")


def _mean_duration_s(readings: list[Any]) -> float:
    durations = [r.end_ns - r.start_ns for r in readings if isinstance(r, Reading)]
    return float(np.mean(durations)) / 1e9

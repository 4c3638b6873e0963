"""A world's camera as the sensor of an emulated one: exposures by command and by the trigger line, faults in counts."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.contract import ROI, DeviceError, DeviceTimeout, LabError
from simulators.emulators.base import Emulator

log = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_BURST_BYTES = 1 << 30
_IDLE_S = 0.3
"""Frames of a burst that falls short are given out when no pulse has come for so long."""


class _Burst:
    """What the sensor is armed for on the trigger line, and the frames that came."""

    def __init__(self, exposure_ns: int = 0, roi: ROI | None = None) -> None:
        self.exposure_ns = exposure_ns
        self.roi = roi or ROI(row=0, column=0, rows=0, columns=0)
        self.armed = 0
        self.left = 0
        self.since = 0.0
        self.frames: list[tuple[NDArray[Any], int]] = []


class Sensor:
    """Asked from one thread: a remote world keeps a connection for each thread that ever asked it.

    baseline: counts in the dark. most: the largest count. Times are of the machine's monotonic clock.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._world = emulator.world
        camera = self._world.parameters.camera
        self.ideal = bool(camera.ideal)
        self.baseline = 0 if self.ideal else round(camera.offset)
        self.bits = int(camera.bit_depth)
        self.most = 2**self.bits - 1
        self._dtype: type[np.generic] = np.float64 if self.ideal else np.uint16
        self._burst = _Burst()
        self._last: NDArray[np.uint16] | None = None
        self._zero_ns = self._clock_zero()
        self.attach()

    def _clock_zero(self) -> int:
        """Monotonic time of bench time zero, late rather than early: a frame never seems to begin too soon."""
        found = []
        for _ in range(20):
            now_ns = self._world.clock.now_ns()
            found.append(time.monotonic_ns() - now_ns)
        return int(min(found))

    def attach(self) -> None:
        """Stand on the table; exposures are counted from here, as those of any device that is opened."""
        self._flag = self._world.attach(self._emulator.name, "camera")
        self._burst = _Burst()

    def enter(self) -> bool:
        """The same, for a user that opens the camera; False if the world does not answer."""

        def enter() -> bool:
            self.attach()
            return True

        return self._ask(enter) or False

    def detach(self) -> None:
        """Leave the table."""
        with contextlib.suppress(LabError):
            self._world.detach(self._emulator.name)

    def expose(self, exposure_ns: int, roi: ROI) -> tuple[NDArray[np.uint16], int] | None:
        """Counts (rows, columns) and beginning of one exposure; None if the world does not answer."""
        out: NDArray[Any] = np.empty((roi.rows, roi.columns), self._dtype)

        def expose() -> int:
            self._emulator.await_panel()
            return int(self._world.trigger(self._emulator.name, exposure_ns, roi, out)[1])

        start_ns = self._ask(expose)
        return None if start_ns is None else (self._wrong(self._counts(out)), start_ns + self._zero_ns)

    def arm(self, frames: int, exposure_ns: int, roi: ROI) -> bool:
        """Answer so many pulses of the trigger line; False if the world does not answer."""
        self._burst = _Burst(exposure_ns, roi)
        return self._ask(lambda: self._arm(frames)) is not None

    def disarm(self) -> None:
        """Answer no more pulses, and drop what was not fetched."""
        burst, self._burst = self._burst, _Burst()
        if burst.exposure_ns:
            self._ask(lambda: self._world.arm_camera(self._emulator.name, 0, burst.exposure_ns, burst.roi))

    def _arm(self, frames: int) -> bool:
        burst = self._burst
        each = burst.roi.rows * burst.roi.columns * np.dtype(self._dtype).itemsize
        burst.armed = min(frames, max(_MOST_BURST_BYTES // each, 1))
        if "stop" in (self._world.state.dtype.names or ()):
            self._world.state["stop"][0, self._flag] = 0
        self._world.arm_camera(self._emulator.name, burst.armed, burst.exposure_ns, burst.roi)
        burst.left, burst.since = burst.armed, time.monotonic()
        return True

    def came(self, wanted: int) -> int:
        """Frames to fetch. The world gives them all at once: when all ``wanted`` came, or when pulses stay away."""
        return self._ask(lambda: self._poll(wanted)) or 0

    def _poll(self, wanted: int) -> int:
        burst = self._burst
        if burst.frames or not burst.exposure_ns:
            return len(burst.frames)
        if not burst.armed:
            self._arm(wanted)
            return 0
        left = self._world.armed(self._emulator.name)
        now = time.monotonic()
        if left != burst.left:
            burst.left, burst.since = left, now
        if left == burst.armed or (left and now - burst.since < _IDLE_S):
            return 0
        out: NDArray[Any] = np.empty((burst.armed - left, burst.roi.rows, burst.roi.columns), self._dtype)
        numbers, start_ns, _ = self._world.collect_frames(self._emulator.name, out)
        burst.armed = 0
        if wanted > len(numbers):
            self._arm(wanted - len(numbers))
        burst.frames = [(out[k], int(start_ns[k])) for k in range(len(numbers))]
        return len(burst.frames)

    def fetch(self) -> tuple[NDArray[np.uint16], int]:
        """Counts and beginning of the next frame of the burst."""
        data, start_ns = self._burst.frames.pop(0)
        return self._wrong(self._counts(data)), start_ns + self._zero_ns

    def _ask(self, act: Callable[[], T]) -> T | None:
        for again in (True, False):
            try:
                return act()
            except DeviceTimeout:
                return None  # a frame that is lost on the table never comes out of the instrument
            except DeviceError as error:  # a new session may have begun on the table
                if not again:
                    log.warning("%s: the world does not answer: %s", self._emulator.name, error)
                    break
                with contextlib.suppress(LabError):
                    self._flag = self._world.attach(self._emulator.name, "camera")
            except Exception:
                log.exception("%s: the world failed", self._emulator.name)
                break
        return None

    def _counts(self, data: NDArray[Any]) -> NDArray[np.uint16]:
        if data.dtype == np.uint16:
            return data
        counts: NDArray[np.uint16] = np.clip(np.rint(data), 0, self.most).astype(np.uint16)
        return counts

    def _wrong(self, counts: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """As the fault or mutation in force makes it."""
        if self._emulator.fault == "over-range":
            return np.full_like(counts, self.most)
        mutation = self._emulator.mutation
        if mutation == "stale" and self._last is not None and self._last.shape == counts.shape:
            return self._last
        self._last = counts
        if mutation == "scale":
            counts = np.minimum(np.rint(counts * 1.1), self.most).astype(np.uint16)
        elif mutation == "dark":
            counts = (max(self.baseline, 2) - 2 + counts % 5).astype(np.uint16)  # some noise, no light
        return counts

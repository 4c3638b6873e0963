"""Instruments without physics for measuring the bus: all they cost is what the bus costs.

The camera's frames arrive as from a frame grabber that writes by itself (DMA) into whatever memory it is given; so that
no stale frame passes for a new one, each carries its number in its first and last pixel. Everything else (leases,
roles, limits, expiry, one process per server) is as for any driver.
"""

from __future__ import annotations

import itertools
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from drivers.contract import (
    ROI,
    SLM,
    UNKNOWN_PATTERN,
    Camera,
    Device,
    DeviceError,
    Frame,
    FrameStack,
    Identity,
    LimitError,
    PumpLaser,
    Sequence,
    SequenceTimes,
)
from drivers.site import Site

ROWS, COLUMNS = 2160, 2560
SLM_ROWS, SLM_COLUMNS = 1080, 1920
_MARK = struct.Struct("<qq")


class MarkedLaser(PumpLaser):
    """A pump laser that writes down, where another process can see it, whether it emits and since when."""

    class Options(BaseModel):
        """File of 16 bytes: 1 or 0, and the monotonic time (ns) since when."""

        model_config = ConfigDict(extra="forbid")
        mark: str | None = None

    def __init__(self, name: str, mark: str | None) -> None:
        super().__init__(name)
        self._power_w = 1.0
        self._mark = Mark(Path(mark)) if mark else None
        self._on = False

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> Device:
        """With the mark the bench file names."""
        return cls(name, getattr(options, "mark", None))

    def identity(self) -> Identity:
        """Named as what it is."""
        return Identity(model="benchmark laser", serial=self.name, firmware="")

    def safe(self) -> None:
        """Emission off."""
        self._emit(False)

    def _emit(self, on: bool) -> None:
        if self._mark is not None and (on or self._on or not self._mark.written):
            self._mark.write(on)
        self._on = on

    def _read_emission(self) -> bool:
        return self._on

    def _write_emission(self, value: bool) -> None:
        self._emit(value)

    def _read_power_w(self) -> float:
        return self._power_w

    def _write_power_w(self, value: float) -> None:
        self._power_w = value

    def _read_wavelength_m(self) -> float:
        return 532e-9


class Mark:
    """Whether a laser emits and since when, in a file that two processes map."""

    def __init__(self, path: Path) -> None:
        self.written = False
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, _MARK.size)
            self._memory = mmap.mmap(handle, _MARK.size)
        finally:
            os.close(handle)

    def write(self, on: bool) -> None:
        """Now."""
        self.written = True
        self._memory[:] = _MARK.pack(int(on), time.monotonic_ns())

    def read(self) -> tuple[bool, int]:
        """Whether it emits, and the monotonic time (ns) since when."""
        on, since_ns = _MARK.unpack(self._memory[:])
        return bool(on), since_ns


class GrabberCamera(Camera):
    """A camera whose frames appear in memory without the processor's help.

    in_place: whether the grabber is given the bus's memory; else its own buffers, which the bus must copy.
    """

    class Options(BaseModel):
        """Where frames arrive."""

        model_config = ConfigDict(extra="forbid")
        in_place: bool = True

    def __init__(self, name: str, in_place: bool = True) -> None:
        super().__init__(name)
        self._in_place = in_place
        self._numbers = itertools.count(1)
        self._roi = ROI(row=0, column=0, rows=ROWS, columns=COLUMNS)
        # More than fit into any cache, as the buffers of a grabber are.
        self._buffers = itertools.cycle([np.zeros((ROWS, COLUMNS), np.uint16) for _ in range(0 if in_place else 24)])

    def identity(self) -> Identity:
        """Named as what it is."""
        return Identity(model="benchmark camera", serial=self.name, firmware="")

    def safe(self) -> None:
        """Nothing to stop."""

    def arm(self, frames: int = 1) -> None:
        """Always armed."""

    def trigger(self, pattern_id: int = UNKNOWN_PATTERN) -> Frame:
        """The frame has arrived."""
        number = next(self._numbers)
        roi = self._roi
        own = not self._in_place and (roi.rows, roi.columns) == (ROWS, COLUMNS)
        data = next(self._buffers) if own else self.allocate((roi.rows, roi.columns), np.uint16)
        data[0, 0] = data[-1, -1] = number & 0xFFFF
        now = time.monotonic_ns()
        return Frame(
            data=data,
            frame_id=number,
            start_ns=now,
            end_ns=now,
            utc_start_ns=time.time_ns(),
            exposure_s=1e-3,
            roi=roi,
            electrons_per_count=0.45,
            bit_depth=16,
            saturated=0,
            lost_before=0,
            pattern_id=pattern_id,
        )

    def collect(self) -> FrameStack:
        """No bursts."""
        raise DeviceError(f"{self.name}: a benchmark camera takes no bursts")

    def _read_rows(self) -> int:
        return ROWS

    def _read_columns(self) -> int:
        return COLUMNS

    def _read_pixel_pitch_m(self) -> float:
        return 6.5e-6

    def _read_exposure_s(self) -> float:
        return 1e-3

    def _write_exposure_s(self, value: float) -> None:
        pass

    def _read_roi(self) -> ROI:
        return self._roi

    def _write_roi(self, value: ROI) -> None:
        self._roi = value

    def _read_readout_s(self) -> float:
        return 0.0

    def _read_bit_depth(self) -> int:
        return 16

    def _read_electrons_per_count(self) -> float:
        return 0.45

    def _read_full_scale_counts(self) -> float:
        return 65535.0

    def _read_external_trigger(self) -> bool:
        return False


class BlindSLM(SLM):
    """A panel that takes patterns over without looking at more than their corners."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._pattern_id = 0
        self._corners = (0, 0)

    def identity(self) -> Identity:
        """Named as what it is."""
        return Identity(model="benchmark SLM", serial=self.name, firmware="")

    def safe(self) -> None:
        """Harmless."""

    def write(self, phase: NDArray[np.floating[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Phases are for panels that look."""
        raise DeviceError(f"{self.name}: a benchmark panel takes gray levels")

    def write_gray(self, gray: NDArray[np.integer[Any]], row: int = 0, column: int = 0, whole: bool = True) -> int:
        """Take a pattern over."""
        if gray.shape != (SLM_ROWS, SLM_COLUMNS):
            raise LimitError(f"{self.name}.write_gray: {gray.shape}; {(SLM_ROWS, SLM_COLUMNS)} is needed")
        self._corners = (int(gray[0, 0]), int(gray[-1, -1]))
        self._pattern_id += 1
        return self._pattern_id

    def settle(self) -> int:
        """At once."""
        return time.monotonic_ns()

    def load(self, sequence: Sequence) -> int:
        """No memory."""
        raise DeviceError(f"{self.name}: a benchmark panel has no memory")

    def run(self, dwell_s: float) -> SequenceTimes:
        """No memory."""
        raise DeviceError(f"{self.name}: a benchmark panel has no memory")

    def read_back(self) -> NDArray[Any]:
        """The corners of the last pattern."""
        return np.array([self._corners])

    def _read_rows(self) -> int:
        return SLM_ROWS

    def _read_columns(self) -> int:
        return SLM_COLUMNS

    def _read_pixel_pitch_m(self) -> float:
        return 8e-6

    def _read_levels(self) -> int:
        return 256

    def _read_settle_s(self) -> float:
        return 0.0

    def _write_settle_s(self, value: float) -> None:
        pass

    def _read_base_settle_s(self) -> float:
        return 0.0

    def _write_base_settle_s(self, value: float) -> None:
        pass

    def _read_sequence_memory(self) -> int:
        return 0

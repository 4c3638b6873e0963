"""A simulated sCMOS camera: the limits and timing of an Andor Zyla 5.5, the light and noise of its world."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from drivers.contract import (
    ROI,
    UNKNOWN_PATTERN,
    Camera,
    DeviceError,
    DeviceTimeout,
    Frame,
    FrameStack,
    Identity,
    LimitError,
    Limits,
)
from drivers.site import Site

_LEAST_EXPOSURE_ROWS = 3
"""Shortest triggered exposure of a Zyla, in row times."""


class SimulatedCamera(Camera):
    """A Zyla 5.5 on a world; exposures are whole row times, read-out takes the rows of the region."""

    backend = "simulated"

    def __init__(self, name: str, world: Any) -> None:
        super().__init__(name)
        self._world = world
        self._reset()

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> SimulatedCamera:
        """On the bench's world."""
        return cls(name, site.world())

    def _reset(self) -> None:
        c = self._world.parameters.camera
        self._row_ns: int = round(c.row_time * 1e9)
        longest = int(c.max_exposure * 1e9) // self._row_ns
        self.restrict(
            "exposure_s",
            Limits(minimum=_LEAST_EXPOSURE_ROWS * self._row_ns / 1e9, maximum=longest * self._row_ns / 1e9),
        )
        self._exposure_ns: int = round(16.7e-3 * 1e9 / self._row_ns) * self._row_ns
        self._roi = ROI(row=0, column=0, rows=c.rows, columns=c.columns)
        self._number = 0
        self._armed = self._wanted = 0
        self._burst: list[tuple[NDArray[Any], int, int, int, int]] = []

    def open(self) -> None:
        """Power-on state: full frame, 16.7 ms, exposures counted from 0."""
        self._reset()
        self._world.triggered.append(self)

    def close(self) -> None:
        """Leave the trigger line."""
        super().close()
        if self in self._world.triggered:
            self._world.triggered.remove(self)

    def identity(self) -> Identity:
        """The instrument that is imitated, named as a simulation."""
        return Identity(model="simulated Zyla 5.5", serial="sim-camera", firmware="labctl")

    def safe(self) -> None:
        """Acquisition stopped."""
        self._armed = 0

    def arm(self, frames: int = 1) -> None:
        """Make ready for a burst; see the contract."""
        if frames < 1:
            raise LimitError(f"{self.name}.arm: {frames} frames; at least 1 is needed")
        self._burst = []
        self._armed = self._wanted = frames

    def trigger(self, pattern_id: int = UNKNOWN_PATTERN) -> Frame:
        """Expose once by software trigger; see the contract."""
        self._armed = max(self._armed - 1, 0)
        data, number, start_ns, end_ns, saturated = self._expose()
        self._world.clock.sleep_until(end_ns + self._readout_ns())
        return Frame(
            data=data,
            frame_id=number,
            start_ns=start_ns,
            end_ns=end_ns,
            utc_start_ns=self._world.clock.utc_zero_ns + start_ns,
            exposure_s=self.exposure_s,
            roi=self._roi,
            electrons_per_count=self.electrons_per_count,
            bit_depth=self.bit_depth,
            saturated=saturated,
            lost_before=0,
            pattern_id=pattern_id,
        )

    def collect(self) -> FrameStack:
        """All frames of the burst armed last; see the contract."""
        burst, missing = self._burst, self._wanted - len(self._burst)
        self._burst, self._armed, self._wanted = [], 0, 0
        if missing or not burst:
            raise DeviceTimeout(
                f"{self.name}.collect: {len(burst)} frames came, {missing or 1} more were armed for; the burst was "
                "dropped. Check the trigger line and arm again"
            )
        return FrameStack(
            data=np.stack([b[0] for b in burst]),
            frame_ids=np.array([b[1] for b in burst], np.int64),
            start_ns=np.array([b[2] for b in burst], np.int64),
            end_ns=np.array([b[3] for b in burst], np.int64),
            utc_start_ns=self._world.clock.utc_zero_ns + burst[0][2],
            exposure_s=self.exposure_s,
            roi=self._roi,
            electrons_per_count=self.electrons_per_count,
            bit_depth=self.bit_depth,
            saturated=np.array([b[4] for b in burst], np.int64),
            lost_before=np.zeros(len(burst), np.int64),
        )

    def armed(self) -> int:
        """Pulses of the trigger line it still answers."""
        return self._armed

    def on_trigger(self) -> None:
        """A pulse on the trigger line."""
        if self._armed:
            self._armed -= 1  # first, so that a safe() during the exposure is not undone
            self._burst.append(self._expose())

    def take_burst(
        self, offsets: NDArray[np.int32], indices: NDArray[np.int32], settle_ns: int, dwell_ns: int
    ) -> NDArray[np.int64] | None:
        """Patterns 1 and following of the SLM's sequence in one compiled loop; when each was stable.

        None if the world can only be asked frame by frame, or fewer frames are armed than there are patterns.
        """
        remaining = len(offsets) - 2
        if self._armed != remaining or not remaining:
            return None
        roi, exposure_ns = self._roi, self._exposure_ns
        burst = self._world.burst(
            self.name,
            self._number,
            exposure_ns * 1e-9,
            (roi.row, roi.column, roi.rows, roi.columns),
            offsets,
            indices,
            settle_ns,
            dwell_ns,
        )
        if burst is None:
            return None
        for k in range(remaining):
            start_ns = int(burst.start_ns[k])
            self._burst.append(
                (burst.counts[k], self._number + k, start_ns, start_ns + exposure_ns, int(burst.saturated[k]))
            )
        self._number += remaining
        self._armed = 0
        return np.asarray(burst.start_ns)

    def _expose(self) -> tuple[NDArray[Any], int, int, int, int]:
        start_ns = self._world.clock.now_ns()
        number = self._number
        self._number += 1
        roi = self._roi
        data, saturated, _ = self._world.expose(
            self.name, number, start_ns, self._exposure_ns * 1e-9, roi.row, roi.column, roi.rows, roi.columns
        )
        return data, number, start_ns, start_ns + self._exposure_ns, saturated

    def _readout_ns(self) -> int:
        # Two halves of the sensor are read at once, outwards from the middle (Zyla manual).
        return (math.ceil(self._roi.rows / 2) + 2) * self._row_ns

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_rows(self) -> int:
        return int(self._world.parameters.camera.rows)

    def _read_columns(self) -> int:
        return int(self._world.parameters.camera.columns)

    def _read_pixel_pitch_m(self) -> float:
        return float(self._world.parameters.camera.pitch)

    def _read_exposure_s(self) -> float:
        return self._exposure_ns / 1e9  # rounds as the literal does: 27.72e-6 is within the limits

    def _write_exposure_s(self, value: float) -> None:
        self._exposure_ns = max(round(value * 1e9 / self._row_ns), _LEAST_EXPOSURE_ROWS) * self._row_ns

    def _read_roi(self) -> ROI:
        return self._roi

    def _write_roi(self, value: ROI) -> None:
        rows, columns = self.rows, self.columns
        inside = value.row >= 0 and value.column >= 0 and value.rows >= 1 and value.columns >= 1
        if not inside or value.row + value.rows > rows or value.column + value.columns > columns:
            raise LimitError(
                f"{self.name}.roi = rows {value.row}+{value.rows}, columns {value.column}+{value.columns}: the sensor "
                f"has {rows}x{columns} pixels; nothing was changed"
            )
        if self._armed:
            raise DeviceError(f"{self.name}.roi: the camera is armed; collect the burst first")
        self._roi = value

    def _read_readout_s(self) -> float:
        return self._readout_ns() * 1e-9

    def _read_bit_depth(self) -> int:
        return int(self._world.parameters.camera.bit_depth)

    def _read_electrons_per_count(self) -> float:
        c = self._world.parameters.camera
        return 1.0 if c.ideal else float(c.electrons_per_count)

    def _read_full_scale_counts(self) -> float:
        c = self._world.parameters.camera
        if c.ideal:
            return math.inf
        return float(min(2**c.bit_depth - 1, c.offset + c.full_well / c.electrons_per_count))

    def _read_external_trigger(self) -> bool:
        return True

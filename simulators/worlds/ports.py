"""What a world keeps for each device on its table: exposure counter, what it is armed for, frames not yet collected.

A port is found by the device's name. Its ``flag`` is the number of a stop flag in the world's shared state, by which
the device can be stopped at any moment without asking the world.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from drivers.contract import ROI, LimitError

STOP_FLAGS = 16
"""Most devices on one table."""

FLAGS = [("stop", np.uint8, (STOP_FLAGS,)), ("panel_seen_ns", np.int64)]
"""Fields of the shared state besides the light's controls: the devices' stop flags; and the bench time up to which an
emulated screen was looked at, so that the panel is up to date with it (0: none is)."""

NO_REGION = ROI(row=0, column=0, rows=0, columns=0)


class Exposed(NamedTuple):
    """One triggered reading of a photodetector: number, beginning (ns), power and its deviation (W), out of range."""

    number: int
    start_ns: int
    power_w: float
    sigma_w: float
    beyond: bool


class LastFrame(NamedTuple):
    """A frame (rows, columns), its number, beginning (ns) and saturated pixels."""

    data: NDArray[Any]
    number: int
    start_ns: int
    saturated: int


@dataclass
class Port:
    """A device on the table."""

    device: str
    flag: int


@dataclass
class DetectorPort(Port):
    """A detector on the trigger line. number: of its next exposure. armed: pulses it still answers."""

    number: int = 0
    armed: int = 0

    def next_number(self) -> int:
        """Number of an exposure that begins."""
        self.number += 1
        return self.number - 1


@dataclass
class PhotodetectorPort(DetectorPort):
    """A photodetector behind the source ("tap") or at the zeroth order ("slit")."""

    place: str = "tap"
    integration_ns: int = 0
    readings: list[Exposed] = field(default_factory=list)
    last: Exposed | None = None
    """Where faults may repeat it."""

    def arm(self, readings: int, integration_ns: int) -> None:
        """Make ready, and drop what was not collected."""
        self.readings = []
        self.integration_ns = integration_ns
        self.armed = readings

    def collect(self) -> list[Exposed]:
        """What came since; the detector is free again."""
        readings, self.readings, self.armed = self.readings, [], 0
        return readings


@dataclass
class CameraPort(DetectorPort):
    """A camera with its frame memory: data (frames, rows, columns), of which the first ``taken`` are filled."""

    exposure_ns: int = 0
    roi: ROI = NO_REGION
    taken: int = 0
    data: NDArray[Any] = field(default_factory=lambda: np.empty((0, 0, 0)))
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    start_ns: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    saturated: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    last: LastFrame | None = None
    """Where faults may repeat it."""
    late: LastFrame | None = None
    """It came when nobody waited any more, and is what the next one who asks gets."""

    def arm(self, frames: int, exposure_ns: int, roi: ROI, dtype: DTypeLike) -> None:
        """Make room for ``frames``, and drop what was not collected."""
        self.armed = 0
        self.late = None
        try:
            self._make_room(frames, roi, dtype)
        except (MemoryError, ValueError) as error:
            raise LimitError(
                f"{self.device}.arm: {frames} frames of {roi.rows}x{roi.columns} pixels do not fit the memory ({error})"
            ) from None
        self.exposure_ns, self.roi = exposure_ns, roi
        self.armed = frames

    def _make_room(self, frames: int, roi: ROI, dtype: DTypeLike) -> None:
        self.taken = 0
        self.data = np.empty((frames, roi.rows, roi.columns), dtype)
        self.numbers, self.start_ns, self.saturated = (np.zeros(frames, np.int64) for _ in range(3))

    def collect(self) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Frames that came since, their numbers, beginnings and saturated pixels; the camera is free again."""
        n = self.taken
        found = self.data[:n], self.numbers[:n], self.start_ns[:n], self.saturated[:n]
        self.armed = 0
        self._make_room(0, self.roi, self.data.dtype)
        return found

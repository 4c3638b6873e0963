"""What instruments tell: who they are, frames with everything needed to trust them, readings of power."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.settings import Value

UNKNOWN_PATTERN = -1
"""Pattern id of an exposure that was triggered without saying which pattern it answers."""


class Identity(Value, frozen=True):
    """Who the instrument is, for the run file."""

    model: str
    serial: str
    firmware: str


class ROI(Value, frozen=True):
    """Region of a sensor or of a frame: first row and column, and how many of each."""

    row: int
    column: int
    rows: int
    columns: int


class Frame(Value, frozen=True):
    """One exposure and everything needed to trust it.

    data: (roi.rows / binning, roi.columns / binning) camera counts; with ``binning`` n each is the sum of n x n pixels
    of the sensor. start_ns, end_ns: monotonic bench time of the exposure; utc_start_ns: its UTC. saturated: pixels of
    the data in which one of the sensor came to the end of the converter or of the well. lost_before: frames lost since
    the last one. pattern_id: what the SLM showed, `UNKNOWN_PATTERN` if the trigger did not say.
    """

    data: NDArray[Any]
    frame_id: int
    start_ns: int
    end_ns: int
    utc_start_ns: int
    exposure_s: float
    roi: ROI
    electrons_per_count: float
    bit_depth: int
    saturated: int
    lost_before: int
    pattern_id: int
    binning: int = 1

    def __repr__(self) -> str:
        return f"<{self._caption()}>"

    def _repr_html_(self) -> str:
        from drivers.picture import figure_html  # for notebooks; nobody else draws

        return figure_html(self.data, self._caption(), self.saturated)

    def _caption(self) -> str:
        pattern = "unknown" if self.pattern_id == UNKNOWN_PATTERN else str(self.pattern_id)
        about = [
            f"frame {self.frame_id}: {' x '.join(map(str, self.data.shape))}",
            f"exposure {self.exposure_s * 1e3:.6g} ms",
            f"pattern {pattern}",
            f"counts {self.data.min():.6g} to {self.data.max():.6g}" if self.data.size else "empty",
            f"{self.saturated} saturated",
        ]
        about += [f"{self.lost_before} lost before"] if self.lost_before else []
        return ", ".join(about)


class FrameStack(Value, frozen=True):
    """Frames of one armed burst: data (n, rows, columns), the rest one entry per frame, or for all, as in `Frame`."""

    data: NDArray[Any]
    frame_ids: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    utc_start_ns: int
    exposure_s: float
    roi: ROI
    electrons_per_count: float
    bit_depth: int
    saturated: NDArray[np.int64]
    lost_before: NDArray[np.int64]
    binning: int = 1

    @classmethod
    def of(cls, taken: Sequence[Frame], data: NDArray[Any]) -> FrameStack:
        """Frames of one setting that were taken one by one. data: (n, rows, columns), theirs."""
        first = taken[0]
        return cls(
            data=data,
            frame_ids=np.array([f.frame_id for f in taken], np.int64),
            start_ns=np.array([f.start_ns for f in taken], np.int64),
            end_ns=np.array([f.end_ns for f in taken], np.int64),
            utc_start_ns=first.utc_start_ns,
            exposure_s=first.exposure_s,
            roi=first.roi,
            electrons_per_count=first.electrons_per_count,
            bit_depth=first.bit_depth,
            saturated=np.array([f.saturated for f in taken], np.int64),
            lost_before=np.array([f.lost_before for f in taken], np.int64),
            binning=first.binning,
        )

    def __repr__(self) -> str:
        n, *size = self.data.shape
        return (
            f"<{n} frames: {' x '.join(map(str, size))}, exposure {self.exposure_s * 1e3:.6g} ms, "
            f"{int(self.saturated.sum())} saturated, {int(self.lost_before.sum())} lost>"
        )


class Reading(Value, frozen=True):
    """Optical power averaged from start_ns to end_ns (monotonic bench time), corrected for ``wavelength_m``.

    standard_power_w is the standard deviation the instrument's noise gives such a reading.
    """

    reading_id: int
    power_w: float
    standard_power_w: float
    start_ns: int
    end_ns: int
    utc_start_ns: int
    wavelength_m: float
    saturated: bool

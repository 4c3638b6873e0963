"""The power tap: a photodetector before the SLM that watches the source while a run goes on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench

ROLE = "power_tap"


class PowerTap:
    """Readings of the bench's ``power_tap``, in W; nan on a bench that has none.

    earlier: readings of earlier parts of a resumed run, nan where there were none.
    """

    def __init__(self, bench: Bench, earlier: NDArray[np.float64] | None = None) -> None:
        self._tap = bench.devices.get(ROLE)
        self._readings_w = [float(w) for w in earlier if not math.isnan(w)] if earlier is not None else []

    def read_w(self) -> float:
        """Power now."""
        if self._tap is None:
            return math.nan
        self._readings_w.append(float(self._tap.measure().power_w))
        return self._readings_w[-1]

    def results(self) -> dict[str, Any]:
        """Mean of the readings, and their range as a fraction of it; None where there are none, or no light."""
        if not self._readings_w:
            return {"source_power_w": None, "source_power_range": None}
        mean_w = math.fsum(self._readings_w) / len(self._readings_w)
        range_w = max(self._readings_w) - min(self._readings_w)
        return {"source_power_w": mean_w, "source_power_range": range_w / mean_w if mean_w > 0 else None}

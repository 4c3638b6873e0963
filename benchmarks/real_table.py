"""Light of a table with all that is hidden in it: fast roads against the plain one, on the delivered size.

The plain road sums a whole panel for every point of every pixel and would take minutes for a slit and months for a
camera; it is timed for one pixel and scaled to the others. ratio: its time over that of the fast road.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.clock import VirtualClock
from simulators.worlds.prbm import PrbmParameters, PrbmWorld
from simulators.worlds.prbm.hidden import HiddenParameters

_SLIT = (1065, 1280, 31, 1)
_PERIOD, _SPIN, _BANDS = 32, 8, 196
_EXPOSURE_S = 16.7e-3
_SETTLED_S, _LOCAL_S = 0.3, 75e-3
_REPEATS = 15
_FRAMES = 3


class _Table:
    def __init__(self, path: str) -> None:
        hidden = HiddenParameters.model_validate("typical")
        self._world = PrbmWorld(PrbmParameters.model_validate({"path": path, "hidden": hidden}), VirtualClock())
        self._world.source.emission, self._world.source.power_fraction = True, 0.01
        self._rng = np.random.default_rng(0)
        self._now_s = 0.0
        blaze = np.arange(1920) % _PERIOD * (256 // _PERIOD)
        self._write(np.broadcast_to(blaze, (1080, 1920)).astype(np.uint8), 0, 0)

    def _write(self, gray: NDArray[np.uint8], row: int, column: int) -> None:
        self._world.panel.write(gray, row, column, round(self._now_s * 1e9))

    def light_us(self, region: tuple[int, int, int, int], wait_s: float) -> float:
        """How long the light of one exposure of a region takes to work out."""
        self._now_s += wait_s
        begun = time.perf_counter()
        self._world.mean_electrons(round(self._now_s * 1e9), _EXPOSURE_S, *region)
        took_us = (time.perf_counter() - begun) * 1e6
        self._now_s += _EXPOSURE_S
        return took_us

    def rewrite(self) -> None:
        """All pixels anew."""
        self._write(self._rng.integers(0, 256, (1080, 1920)).astype(np.uint8), 0, 0)

    def flip(self) -> None:
        """Half of the bands' output spins, as a Hadamard code does."""
        for band in np.flatnonzero(self._rng.random(_BANDS) < 0.5):
            spin = self._rng.integers(0, 256, (2, _SPIN)).astype(np.uint8)
            self._write(spin, 281 + 2 * int(band), 960)


def rows() -> list[dict[str, Any]]:
    """A slit after a whole new pattern, a slit within a sequence of codes, and a whole frame of the camera."""
    plain, fast = _Table("reference"), _Table("auto")
    per_pixel_us = min(plain.light_us((1080, 1280, 1, 1), 1.0) for _ in range(2))

    def timed(region: tuple[int, int, int, int], act: Callable[[], None], wait_s: float, n: int) -> list[float]:
        taken = []
        for k in range(n + 1):
            act()
            took_us = fast.light_us(region, wait_s)
            taken += [took_us] if k else []
        return taken

    whole = (0, 0, 2160, 2560)
    cases = {
        "real-table-slit-new-pattern": (_SLIT, fast.rewrite, _SETTLED_S, _REPEATS),
        "real-table-slit-coded-flips": (_SLIT, fast.flip, _LOCAL_S, _REPEATS),
        "real-table-whole-frame": (whole, fast.rewrite, _SETTLED_S, _FRAMES),
    }
    found = []
    for name, (region, act, wait_s, n) in cases.items():
        times_us = np.array(timed(region, act, wait_s, n))
        median_us = float(np.median(times_us))
        found.append(
            {
                "name": name,
                "median_us": median_us,
                "p99_us": float(np.percentile(times_us, 99)),
                "ratio": per_pixel_us * region[2] * region[3] / median_us,
            }
        )
    return found

"""slmsuite's weighted Gerchberg-Saxton for a lattice of spots, told by us what the camera saw of them."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError

Array = NDArray[np.float64]

_METHOD = "WGS-Kim"
"""Far-field phases are kept once the weights begin to settle: Kim et al., Opt. Lett. 44, 3178 (2019)."""


class SpotPattern:
    """A phase pattern for a panel (rows, columns) whose light goes to spots at units (n, 2) of (rows, columns).

    A unit is lambda f over ``size`` SLM pixels, the size of the padded square that is transformed. Raises
    ConfigurationError without slmsuite, or for spots beyond what the panel's pixels reach.
    """

    def __init__(self, panel: tuple[int, int], size: int, units: Array, rng: np.random.Generator) -> None:
        reach = float(np.abs(units).max())
        if reach >= size // 2:
            raise ConfigurationError(
                f"a spot is {reach:.0f} units from the zeroth order, and the panel's pixels send light no further than "
                f"{size // 2}: choose fewer spots, a smaller pitch or a nearer centre"
            )
        if len(np.unique(units, axis=0)) < len(units):
            raise ConfigurationError("two spots are at the same place; choose a larger pitch")
        places = np.rint(units[:, ::-1].T) + size // 2  # slmsuite's (x, y), counted from the corner
        self._hologram = _spot_hologram()(
            (size, size), places, basis="knm", slm_shape=panel, phase=rng.uniform(-math.pi, math.pi, panel)
        )
        self._at = tuple(places[::-1].astype(int))

    @property
    def phase(self) -> Array:
        """The pattern (panel rows, columns), rad."""
        return np.array(self._hologram.get_phase(), np.float64)

    @property
    def weights(self) -> Array:
        """Amplitudes (n,) that the algorithm aims at, relative to their mean."""
        found = np.array(self._hologram.get_weights(), np.float64)[self._at]
        return np.asarray(found / found.mean())

    def prepare(self, iterations: int) -> None:
        """Iterate towards spots that are even by calculation."""
        self._optimize(iterations, "computational_spot", None)

    def feed_back(self, iterations: int, measured: Callable[[Array], Array | None]) -> None:
        """Iterate with powers (n,) that ``measured`` returns for a pattern (rows, columns); it ends at None."""

        def look(hologram: Any) -> bool:
            power = measured(self.phase)
            if power is None:
                return True
            # A spot that is hardly there asks for more, but not for everything.
            hologram.external_spot_amp = np.sqrt(np.clip(power, 1e-3 * power.mean(), None))
            return False

        self._optimize(iterations, "external_spot", look)

    def _optimize(self, iterations: int, feedback: str, callback: Callable[[Any], bool] | None) -> None:
        self._hologram.optimize(
            _METHOD, maxiter=iterations, feedback=feedback, callback=callback, verbose=False, stat_groups=[]
        )


def _spot_hologram() -> Any:
    logging.getLogger("slmsuite.SpotHologram").setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it regrets that there is no graphics card
            # Heavy, and not needed by other routines.
            from slmsuite.holography.algorithms import SpotHologram  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise ConfigurationError(
            f"holograms of spots are computed by slmsuite, which cannot be imported ({error}): pip install "
            "'labctl[hardware]'"
        ) from None
    return SpotHologram

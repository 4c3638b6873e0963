"""Steps of training along measured descents: Adam (Kingma and Ba, ICLR 2015), and plain ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FIRST, _SECOND, _FLOOR = 0.9, 0.999, 1e-8


class Adam:
    """Adam on arrays that are changed in place. ``state`` has all that a run needs to go on."""

    def __init__(self, values: Sequence[Array], rates: Sequence[float]) -> None:
        self._values, self._rates = tuple(values), tuple(rates)
        self._mean = [np.zeros_like(v) for v in values]
        self._square = [np.zeros_like(v) for v in values]
        self._count = 0

    def step(self, descents: Sequence[Array], factor: float = 1.0) -> None:
        """Along ``descents``, with rates times ``factor``."""
        self._count += 1
        for value, rate, d, mean, square in zip(
            self._values, self._rates, descents, self._mean, self._square, strict=True
        ):
            mean += (1 - _FIRST) * (d - mean)
            square += (1 - _SECOND) * (d * d - square)
            unbiased = mean / (1 - _FIRST**self._count)
            spread = np.sqrt(square / (1 - _SECOND**self._count))
            value += factor * rate * unbiased / (spread + _FLOOR)

    @property
    def state(self) -> dict[str, Array]:
        """Moments and count, by name."""
        kept = {f"mean_{k}": m.copy() for k, m in enumerate(self._mean)}
        kept |= {f"square_{k}": s.copy() for k, s in enumerate(self._square)}
        return kept | {"count": np.array(float(self._count))}

    def restore(self, state: dict[str, Array]) -> None:
        """As it was."""
        for k, (mean, square) in enumerate(zip(self._mean, self._square, strict=True)):
            mean[:], square[:] = state[f"mean_{k}"], state[f"square_{k}"]
        self._count = int(state["count"])


class Plain:
    """Steps of rate times descent, the paper's; no state."""

    def __init__(self, values: Sequence[Array], rates: Sequence[float]) -> None:
        self._values, self._rates = tuple(values), tuple(rates)
        self.state: dict[str, Array] = {}

    def step(self, descents: Sequence[Array], factor: float = 1.0) -> None:
        """Along ``descents``, with rates times ``factor``."""
        for value, rate, d in zip(self._values, self._rates, descents, strict=True):
            value += factor * rate * d

    def restore(self, state: dict[str, Array]) -> None:
        """Nothing to restore."""

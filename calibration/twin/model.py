"""What the fit asks of a world's model; each world registers its own under ``labctl.twins``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Unknown(Protocol):
    """A number of the world that is to be found; see `simulators.worlds.prbm.twin.Unknown` for one."""

    @property
    def key(self) -> str:
        """By which it is known."""
        ...

    @property
    def start(self) -> float:
        """What the bench file says, or the likeliest."""
        ...

    @property
    def low(self) -> float:
        """Bound."""
        ...

    @property
    def high(self) -> float:
        """Bound."""
        ...

    @property
    def unit(self) -> str:
        """As bench files write it."""
        ...

    @property
    def spread(self) -> float:
        """Standard deviation about ``start`` without any data; 0 if only the bounds are known."""
        ...


class Observable(Protocol):
    """A value of a calibration with its standard uncertainty, both (n,), and what the unknowns make it."""

    @property
    def kind(self) -> str:
        """Of the calibration."""
        ...

    @property
    def name(self) -> str:
        """Of the value."""
        ...

    @property
    def value(self) -> Numbers:
        """As it was found."""
        ...

    @property
    def error(self) -> Numbers:
        """Its standard uncertainty."""
        ...

    @property
    def predict(self) -> Callable[[Mapping[str, float]], Any]:
        """The value, (n,) or a number, that unknowns by key lead to."""
        ...


class TwinModel(Protocol):
    """A world with some parameters unknown."""

    def unknowns(self) -> Sequence[Unknown]:
        """All of them."""
        ...

    def observables(
        self, kind: str, values: Mapping[str, Any], errors: Mapping[str, Numbers], conditions: Mapping[str, float]
    ) -> Sequence[Observable]:
        """What a calibration tells of them, from its values, their uncertainties and its conditions, by name."""
        ...

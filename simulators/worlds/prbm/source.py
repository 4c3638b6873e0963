"""The light source of the table, set by controls that lie in memory shared with the devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

CONTROLS = [
    ("power_fraction", np.float64),
    ("wavelength_min_m", np.float64),
    ("wavelength_max_m", np.float64),
    ("pulse_picker", np.int64),
    ("emission", np.bool_),
]
"""Fields of the shared state that a source is set by."""


class _Control(Generic[T]):
    """A field of the shared state, as a plain number."""

    def __init__(self, plain: Callable[[Any], T]) -> None:
        self._plain = plain

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, source: None, owner: type) -> _Control[T]: ...
    @overload
    def __get__(self, source: Source, owner: type) -> T: ...
    def __get__(self, source: Source | None, owner: type) -> _Control[T] | T:
        return self if source is None else self._plain(source.state[self._name][0])

    def __set__(self, source: Source, value: T) -> None:
        source.state[self._name][0] = value


class Source:
    """A supercontinuum with band selector and pulse picker. state: (1,) with the fields `CONTROLS`."""

    emission = _Control(bool)
    power_fraction = _Control(float)
    pulse_picker = _Control(int)
    wavelength_min_m = _Control(float)
    wavelength_max_m = _Control(float)

    def __init__(self, state: NDArray[Any]) -> None:
        self.state = state

    def reset(self) -> None:
        """Off, at no power, as after power-on."""
        self.emission = False
        self.power_fraction = 0.0
        self.pulse_picker = 1
        self.wavelength_min_m = 400e-9
        self.wavelength_max_m = 2400e-9

    def controls(self) -> tuple[float, ...]:
        """What determines `shares`."""
        return (self.power_fraction, self.pulse_picker, self.wavelength_min_m, self.wavelength_max_m)

    def shares(self, wavelengths_m: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Power at each wavelength relative to full power."""
        within = (wavelengths_m >= self.wavelength_min_m) & (wavelengths_m <= self.wavelength_max_m)
        return np.where(within, self.power_fraction / self.pulse_picker, 0.0)

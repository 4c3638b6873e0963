"""The light source of the table, set by controls that lie in memory shared with the devices, and its moods."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from simulators.physics.counter_random import noise_key
from simulators.physics.source_light import mean_of_tones, pulse_noise, warm
from simulators.worlds.parts.truth import HOUR_S
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.truth import hidden_table

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


def emitted(set_point: float, curve: tuple[float, float]) -> float:
    """Fraction of full power that is emitted for the fraction that is set; curve: bend and skew."""
    bend, skew = curve
    rest = 1 - set_point
    return set_point * (1 + bend * rest + skew * rest * (1 - 2 * set_point))


class SourceInTime:
    """How much the source really emits: its curve over the set-point, warm-up, drift, slow noise and pulse noise.

    Its head was switched on at bench time 0, whether or not it emits.
    """

    _NOISE_EXPOSURE_S = 16.7e-3
    """For which the pulse noise is given."""

    def __init__(self, p: PrbmParameters) -> None:
        self._bands = p.optics.bands
        self._noise = p.noise
        self._truth = hidden_table(p).source
        self._key = noise_key(p.seed, "source", "pulses")
        self.steady = not p.hidden.source
        """Whether it emits exactly what it is set to, always."""

    def emitted(self, set_point: float) -> float:
        """Fraction of full power for the fraction that is set."""
        return emitted(set_point, self._truth.curve)

    def common(self, start_s: float, duration_s: float) -> float:
        """Power of all bands in an exposure, relative to `emitted`."""
        t = self._truth
        middle_s = start_s + duration_s / 2
        drift = math.exp(t.drift_per_hour * middle_s / HOUR_S)
        factor = warm(middle_s, t.warm_up, t.warm_up_s) * drift
        if self._noise:
            factor *= 1 + mean_of_tones(start_s, duration_s, t.slow_hz, t.slow_phases, t.slow_amplitude)
        return factor

    def gains(self, start_ns: int, duration_s: float) -> NDArray[np.float64]:
        """Power (bands,) of each slice of the spectrum in an exposure, relative to `emitted`."""
        sigma = self._truth.pulse_noise * math.sqrt(self._NOISE_EXPOSURE_S / duration_s) if self._noise else 0.0
        return self.common(start_ns * 1e-9, duration_s) * pulse_noise(self._key, start_ns, sigma, self._bands)

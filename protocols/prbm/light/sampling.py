"""Two-step intensity Gibbs sampling: layers of spins drawn from what light, or arithmetic, says of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.prbm.light.layers import Layers
from protocols.prbm.light.mapped import MappedTable
from protocols.prbm.light.readout import Measurement, SamplingParameters
from protocols.prbm.light.table import Table, table_on
from simulators.physics.rbm import sample_spins

_RENEW_EVERY_S = 0.2


class Agreement:
    """Running comparison of measured with exact local fields: correlation, slope and rms error.

    Moments are kept about running means and in units of the first layer's largest field (Chan, Golub, LeVeque), so
    neither large offsets nor tiny couplings spoil them.
    """

    def __init__(self) -> None:
        self._n = 0
        self._unit = 0.0
        self._mean = np.zeros(2)
        self._moments = np.zeros((2, 2))
        self._squared_error = 0.0

    def add(self, exact: NDArray[np.float64], measured: NDArray[np.float64]) -> None:
        """Take in one layer's fields."""
        if self._unit == 0.0:
            self._unit = float(max(np.abs(exact).max(), np.abs(measured).max())) or 1.0
        pair = np.stack([exact, measured]) / self._unit
        mean = pair.mean(axis=1)
        apart = pair - mean[:, None]
        shift = mean - self._mean
        n = exact.size
        both = self._n + n
        self._moments += apart @ apart.T + np.outer(shift, shift) * (self._n * n / both)
        self._mean += shift * (n / both)
        self._n = both
        self._squared_error += float(((pair[1] - pair[0]) ** 2).sum())

    @property
    def state(self) -> NDArray[np.float64]:
        """All that it knows, (9,), for a checkpoint."""
        return np.array([self._n, self._unit, *self._mean, *self._moments.flat, self._squared_error])

    @state.setter
    def state(self, numbers: NDArray[np.float64]) -> None:
        self._n, self._unit, self._squared_error = int(numbers[0]), float(numbers[1]), float(numbers[8])
        self._mean, self._moments = numbers[2:4].copy(), numbers[4:8].reshape(2, 2).copy()

    @property
    def r(self) -> float:
        """Pearson correlation; nan where either side is constant."""
        spread = float(np.sqrt(self._moments[0, 0] * self._moments[1, 1]))
        return float(np.clip(self._moments[0, 1] / spread, -1.0, 1.0)) if spread > 0 else math.nan

    @property
    def slope(self) -> float:
        """Least-squares line of measured on exact; nan where the exact fields are constant."""
        return float(self._moments[0, 1] / self._moments[0, 0]) if self._moments[0, 0] > 0 else math.nan

    @property
    def rms(self) -> float:
        """Root mean squared error, in units of L."""
        return self._unit * float(np.sqrt(self._squared_error / self._n)) if self._n else math.nan


Temperature = float | Mapping[str, NDArray[np.float64]]
"""One for all spins, or for each layer (outputs,) of them."""


class ExactSampler:
    """Samples one layer of spins given others by arithmetic: `PhotonicSampler` without light.

    renew: called several times a second while it works. Arithmetic makes no calls to a bench, and without any its
    control would lapse.
    """

    def __init__(self, layers: Layers, temperature: Temperature, renew: Callable[[], object] | None = None) -> None:
        self._layers = dict(layers)
        self.temperature = temperature
        self._renew, self._renewed_s = renew, time.monotonic()
        self.agreement = Agreement()
        self.last: Measurement | None = None

    def fields(self, layer: str, given: NDArray[np.int8]) -> NDArray[np.float64]:
        """Local fields (outputs,) of a layer for the spins given to it."""
        if self._renew is not None and time.monotonic() - self._renewed_s > _RENEW_EVERY_S:
            self._renew()
            self._renewed_s = time.monotonic()
        exact = self._layers[layer].local_fields(given)
        self.agreement.add(exact, exact)
        return exact

    def sample(self, layer: str, given: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int8]:
        """Spins (outputs,) of a layer for the spins given to it."""
        temperature = self.temperature if isinstance(self.temperature, (int, float)) else self.temperature[layer]
        fields = self.fields(layer, given)
        return sample_spins(fields, temperature, rng, self._noise())

    def _noise(self) -> NDArray[np.float64] | None:
        """Standard deviation (outputs,) of the fields just found, as far as it is to be corrected for."""
        return None

    def state(self) -> dict[str, NDArray[np.float64]]:
        """For a checkpoint: how fields agreed, and what the table has learnt."""
        return {"agreement": self.agreement.state}

    def restore(self, record: Recorder) -> None:
        """Go on as `state` was at a run's checkpoint."""
        assert record.resumed is not None
        self.agreement.state = record.resumed["agreement"]

    def refresh(self) -> None:
        """Measure the table's reference again, since its source drifts."""

    def set_fields(self, layer: str, fields: NDArray[np.float64]) -> None:
        """Other fields (outputs,) for a layer."""
        self._layers[layer] = self._layers[layer].with_fields(fields)

    def reprogram(self, layers: Layers) -> None:
        """Other couplings and fields for layers of the same shapes."""
        for name, layer in layers.items():
            here = self._layers[name]
            if layer.couplings.shape != here.couplings.shape or layer.n_inputs != here.n_inputs:
                raise ConfigurationError(
                    f"layer {name}: couplings {layer.couplings.shape} of {layer.n_inputs} spins; allowed here: "
                    f"{here.couplings.shape} of {here.n_inputs}"
                )
            self._layers[name] = layer


class PhotonicSampler(ExactSampler):
    """Samples one layer of spins given others by light.

    corrected: spins are drawn so that the noise, as predicted for each measurement, does not warm the machine
    (`simulators.physics.rbm.unbiased_probability_up`); only the camera's is known.
    """

    def __init__(
        self, table: Table | MappedTable, layers: Layers, temperature: Temperature, *, corrected: bool = True
    ) -> None:
        super().__init__(layers, temperature)
        self._corrected = corrected
        self._table: Any = table  # each measures what it has encoded
        self._encodings: dict[str, Any] = {name: table.encode(layer) for name, layer in layers.items()}

    def fields(self, layer: str, given: NDArray[np.int8]) -> NDArray[np.float64]:
        """Local fields (outputs,) of a layer for the spins given to it, as measured."""
        measurement = self._table.measure(self._encodings[layer], given)
        self.last = measurement
        # For the report only: spins are drawn from what was measured.
        self.agreement.add(self._layers[layer].local_fields(given), measurement.fields)
        return np.asarray(measurement.fields)

    def _noise(self) -> NDArray[np.float64] | None:
        noise = self.last.predicted_noise if self._corrected and self.last is not None else None
        return None if noise is None or np.isnan(noise).any() else noise

    def state(self) -> dict[str, NDArray[np.float64]]:
        """See `ExactSampler`."""
        return {**super().state(), "table": self._table.state(self._encodings.values())}

    def restore(self, record: Recorder) -> None:
        """See `ExactSampler`. A table that does not go on where it was is as it was just set up."""
        super().restore(record)
        kept = (record.resumed or {}).get("table")
        if kept is not None:
            record.when_thawed(lambda: self._table.restore(kept, self._encodings.values()))

    def refresh(self) -> None:
        """Measure the table's reference again, since its source drifts."""
        self._table.refresh()

    def set_fields(self, layer: str, fields: NDArray[np.float64]) -> None:
        """Other fields (outputs,) for a layer: only the auxiliary spins' macro-pixels are rewritten."""
        self._encodings[layer].set_fields(fields)
        super().set_fields(layer, fields)

    def reprogram(self, layers: Layers) -> None:
        """Other couplings and fields for layers of the same shapes."""
        super().reprogram(layers)
        for name, layer in layers.items():
            self._encodings[name].program(layer)


def sampler_on(bench: Bench | None, layers: Layers, temperature: Temperature, p: SamplingParameters) -> ExactSampler:
    """By light on the bench, or by arithmetic in its place: always without a bench."""
    if bench is None or p.sampler == "exact":
        return ExactSampler(layers, temperature, None if bench is None else bench.renew)
    readout = p.on_ideal_table(max(layer.width for layer in layers.values())) if p.noise == "off" else p
    return PhotonicSampler(table_on(bench, layers, readout), layers, temperature)


def check_temperature(temperature: float) -> None:
    """Raise ConfigurationError unless a temperature is positive and finite."""
    if not (np.isfinite(temperature) and temperature > 0):
        raise ConfigurationError(f"temperature T = {temperature}: a positive number is needed")

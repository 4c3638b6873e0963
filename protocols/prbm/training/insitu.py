"""Half steps of training by light: what the chains see of the machine is what the optical table makes of it.

Where the table is not what its calibrations say, correlations of the chains are those of the machine that the table
really is, and learning takes the difference to the data's away: training in situ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.light.sampling import Agreement, PhotonicSampler
from protocols.prbm.light.table import table_on
from protocols.prbm.model import RBM
from simulators.physics.rbm import probability_up, unbiased_probability_up

Array = NDArray[np.floating[Any]]


class Light:
    """Mean spins from local fields measured on a table, several chains in the same patterns.

    together: chains that one measurement finds the fields of; more outputs than bands take more passes. Shot noise, as
    predicted for each measurement, is corrected for (`simulators.physics.rbm.unbiased_probability_up`).
    """

    def __init__(self, bench: Bench, rbm: RBM, p: ReadoutParameters, temperature: float, together: int) -> None:
        layers = rbm_layers(rbm, together)
        self._together, self._temperature = together, temperature
        self._sampler = PhotonicSampler(table_on(bench, layers, p), layers, temperature)

    @property
    def agreement(self) -> Agreement:
        """Of measured with exact fields, since the table was set up."""
        return self._sampler.agreement

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return self._sampler.state()

    def restore(self, record: Recorder) -> None:
        """Go on as `state` was at a run's checkpoint."""
        self._sampler.restore(record)

    def program(self, rbm: RBM) -> None:
        """Another machine."""
        self._sampler.reprogram(rbm_layers(rbm, self._together))

    def refresh(self) -> None:
        """Measure the table's reference again, since its source drifts."""
        self._sampler.refresh()

    def hidden(self, v: Array) -> Array:
        """Means (n, N_h) for visible spins (n, N_v)."""
        return self._means("hidden", v)

    def visible(self, h: Array) -> Array:
        """Means (n, N_v) for hidden spins (n, N_h)."""
        return self._means("visible", h)

    def _means(self, layer: str, given: Array) -> Array:
        if len(given) % self._together:
            raise ConfigurationError(
                f"{len(given)} chains or images at once: {self._together} are measured together; allowed: a multiple"
            )
        groups = given.astype(np.int8).reshape(-1, self._together * given.shape[1])
        return np.concatenate([self._measured(layer, group) for group in groups])

    def _measured(self, layer: str, spins: NDArray[np.int8]) -> Array:
        fields = self._sampler.fields(layer, spins)
        noise = None if self._sampler.last is None else self._sampler.last.predicted_noise
        if noise is None or np.isnan(noise).any():  # the photodetector's is not known
            up = probability_up(fields, self._temperature)
        else:
            up = unbiased_probability_up(fields, self._temperature, noise)
        return 2.0 * up.reshape(self._together, -1) - 1.0

"""The min-entropy of a sequence of bits: the least of the ten estimates of NIST SP 800-90B, Section 6.3.

The standard takes a million bits. Of an ideal source the least estimate, that by compression, is then 0.851 with a
standard deviation of 0.024: each is a lower bound, and the least of ten is lower still.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError
from protocols.dyad.noise.entropy import counts, predictors, tuples

LEAST_BITS = 10_000
"""Fewer say little, and leave the compression estimate hardly a word."""


@dataclass(frozen=True)
class MinEntropy:
    """Estimates in bits a bit, by name; None where the sequence holds nothing that an estimate could count."""

    estimates: dict[str, float | None]

    @property
    def value(self) -> float:
        """The least of them: what may be counted on."""
        return min(value for value in self.estimates.values() if value is not None)

    @property
    def decided_by(self) -> str:
        """The name of the least."""
        return min((value, name) for name, value in self.estimates.items() if value is not None)[1]


def min_entropy(bits: npt.NDArray[np.generic]) -> MinEntropy:
    """All ten estimates for bits (n,) of 0 and 1, or of truth values, in the order they were made.

    Raises ConfigurationError for fewer than 10,000 bits or other values.
    """
    checked = as_bits(bits, LEAST_BITS)
    frequent, repeated = tuples.tuple_entropies(checked)
    return MinEntropy(
        {
            "most-common-value": counts.most_common_value(checked),
            "collision": counts.collision(checked),
            "markov": counts.markov(checked),
            "compression": counts.compression(checked),
            "t-tuple": frequent,
            "longest-repeated": repeated,
            "windows": predictors.most_common_in_window(checked),
            "lag": predictors.lag(checked),
            "markov-models": predictors.markov_models(checked),
            "lz78y": predictors.lz78y(checked),
        }
    )


def as_bits(bits: npt.NDArray[np.generic], least: int) -> npt.NDArray[np.uint8]:
    """``bits`` as uint8 of 0 and 1. Raises ConfigurationError for other values, another shape, or fewer than least."""
    array = np.asarray(bits)
    if array.ndim != 1 or len(array) < least:
        raise ConfigurationError(f"bits: shape {array.shape}; allowed: (n,), n from {least:,}; measure more frames")
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if not np.issubdtype(array.dtype, np.integer) or array.min() < 0 or array.max() > 1:
        raise ConfigurationError(f"bits: {array.dtype} from {array.min()} to {array.max()}; allowed: 0 and 1")
    return array.astype(np.uint8)

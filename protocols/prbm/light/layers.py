"""What one measurement finds the local fields of: output spins, each with the few or many spins that it sees.

A layer of an RBM sees the whole other layer. A spin of a sparse Ising model sees its neighbours, and only these stand
in its band of the SLM (arXiv 2508.20472, "sparse encoding"). Independent copies of a machine, chains, are one layer
whose outputs see spins of their own copy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.prbm.model import RBM

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layer:
    """L_o = sum_k couplings[o, k] s[inputs[o, k]] + fields[o] over spins s = +-1 that are given.

    couplings: (outputs, width). inputs: (outputs, width), which of the n_inputs given spins; -1, with coupling 0, where
    an output sees fewer. fields: (outputs,). largest_field: of those that may be set later; larger ones are refused.

    Raises ConfigurationError if these do not fit one another.
    """

    couplings: FloatArray
    inputs: NDArray[np.int64]
    fields: FloatArray
    n_inputs: int
    largest_field: float = 0.0

    def __post_init__(self) -> None:
        shape = self.couplings.shape
        if len(shape) != 2 or self.inputs.shape != shape or self.fields.shape != shape[:1] or shape[0] == 0:
            raise ConfigurationError(
                f"layer: couplings {shape}, inputs {self.inputs.shape}, fields {self.fields.shape}; allowed: "
                "(outputs, width) twice and (outputs,), at least one output"
            )
        if self.inputs.size and not (self.inputs.min() >= -1 and self.inputs.max() < self.n_inputs):
            raise ConfigurationError(
                f"layer: inputs from {self.inputs.min()} to {self.inputs.max()}; allowed: 0 to {self.n_inputs - 1}, "
                "or -1 where there is none"
            )
        if self.couplings[self.inputs < 0].any():
            raise ConfigurationError("layer: a coupling to no spin (input -1) is not zero")
        for name, values in (("couplings", self.couplings), ("fields", self.fields)):
            if not np.isfinite(values).all():
                raise ConfigurationError(f"layer: {name} contain {values[~np.isfinite(values)][0]}; allowed: numbers")

    @classmethod
    def dense(cls, weights: FloatArray, fields: FloatArray, largest_field: float = 0.0) -> Layer:
        """Every output sees every input: weights (inputs, outputs), fields (outputs,)."""
        n_inputs, outputs = weights.shape
        every = np.broadcast_to(np.arange(n_inputs), (outputs, n_inputs))
        return cls(np.ascontiguousarray(weights.T, np.float64), every, np.array(fields, np.float64), n_inputs,
                   largest_field)  # fmt: skip

    @classmethod
    def sparse(cls, couplings: Any, fields: FloatArray, outputs: NDArray[np.int64] | None = None) -> Layer:
        """Some spins of a machine given all of them: couplings is a symmetric (N, N) sparse array, fields (N,).

        outputs: which spins, by default all; an output must not see another one if they are to be drawn together.
        """
        rows = couplings.tocsr()
        chosen = np.arange(rows.shape[0]) if outputs is None else outputs
        rows = rows[chosen]
        counts = np.diff(rows.indptr)
        width = int(counts.max(initial=0))
        place = np.arange(width)[None, :] < counts[:, None]
        inputs = np.full(place.shape, -1, np.int64)
        values = np.zeros(place.shape)
        inputs[place], values[place] = rows.indices, rows.data
        return cls(values, inputs, np.array(fields, np.float64)[chosen], couplings.shape[0])

    @property
    def n_outputs(self) -> int:
        """Spins that are drawn."""
        return len(self.fields)

    @property
    def width(self) -> int:
        """Most spins that one output sees."""
        return int(self.couplings.shape[1])

    @property
    def largest(self) -> float:
        """The largest coupling or field that may have to be shown."""
        return float(
            max(np.abs(self.couplings).max(initial=0.0), np.abs(self.fields).max(initial=0.0), self.largest_field)
        )

    def repeated(self, chains: int) -> Layer:
        """Independent copies: given spins and outputs of copy k come after those of copy k - 1."""
        if chains == 1:
            return self
        shift = self.n_inputs * np.arange(chains)[:, None, None]
        inputs = np.where(self.inputs < 0, -1, self.inputs + shift).reshape(-1, self.width)
        return replace(
            self,
            couplings=np.tile(self.couplings, (chains, 1)),
            inputs=inputs,
            fields=np.tile(self.fields, chains),
            n_inputs=self.n_inputs * chains,
        )

    def with_fields(self, fields: FloatArray) -> Layer:
        """The same couplings with other fields (outputs,)."""
        return replace(self, fields=np.array(fields, np.float64))

    def local_fields(self, spins: NDArray[np.int8]) -> FloatArray:
        """L (outputs,) by arithmetic, for given spins (n_inputs,)."""
        if spins.shape != (self.n_inputs,):
            raise ConfigurationError(f"given spins: shape {spins.shape}; allowed: ({self.n_inputs},)")
        return np.asarray(np.einsum("ok,ok->o", self.couplings, spins[self.inputs]) + self.fields)


Layers = Mapping[str, Layer]
"""Layers by name, each drawn from what is given to it."""


def rbm_layers(rbm: RBM, chains: int = 1, largest_field: float = 0.0) -> dict[str, Layer]:
    """The "hidden" layer of an RBM given the visible one, and "visible" given hidden; of ``chains`` copies."""
    return {
        "hidden": Layer.dense(rbm.weights, rbm.hidden_bias, largest_field).repeated(chains),
        "visible": Layer.dense(rbm.weights.T, rbm.visible_bias, largest_field).repeated(chains),
    }

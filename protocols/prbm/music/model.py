"""The RNN-RBM as a value: an RBM whose fields follow from what was played before (arXiv 1206.6392, section 4).

At time step t a recurrent network with units u gives the RBM its fields (Eqs. 10 and 11, spins ±1 for 0 and 1):

    a(t) = a + u(t-1) A,    b(t) = b + u(t-1) B,    u(t) = tanh(c + v(t) C + u(t-1) D),    u(0) = 0

The couplings W are the same at all times: on the SLM only the auxiliary spins change from step to step.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.prbm.model import RBM

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RnnRbm:
    """weights W (N_v, N_h), visible_bias a (N_v,), hidden_bias b (N_h,), to_visible A (units, N_v), to_hidden B
    (units, N_h), unit_bias c (units,), from_visible C (N_v, units), recurrent D (units, units): float64, finite.

    Temperature 1. Raises ConfigurationError for other shapes or values.
    """

    weights: FloatArray
    visible_bias: FloatArray
    hidden_bias: FloatArray
    to_visible: FloatArray
    to_hidden: FloatArray
    unit_bias: FloatArray
    from_visible: FloatArray
    recurrent: FloatArray

    def __post_init__(self) -> None:
        shapes = {f.name: getattr(self, f.name).shape for f in fields(self)}
        if self.weights.ndim != 2 or self.unit_bias.ndim != 1:
            raise ConfigurationError(
                f"RNN-RBM: weights of shape {self.weights.shape}, unit_bias of shape {self.unit_bias.shape}; allowed: "
                "(N_v, N_h) and (units,)"
            )
        n_visible, n_hidden = self.weights.shape
        expected = shapes_of(n_visible, n_hidden, len(self.unit_bias))
        for name, shape in zip(shapes, expected, strict=True):
            if shapes[name] != shape:
                raise ConfigurationError(f"RNN-RBM: {name} has shape {shapes[name]}; allowed with the others: {shape}")
            if not np.isfinite(getattr(self, name)).all():
                raise ConfigurationError(f"RNN-RBM: {name} contains what is no number; allowed: finite numbers")

    @property
    def n_visible(self) -> int:
        """Keys."""
        return len(self.visible_bias)

    @property
    def n_units(self) -> int:
        """Units of the recurrent network."""
        return len(self.unit_bias)

    @property
    def rbm(self) -> RBM:
        """The RBM without a past."""
        return RBM(self.weights, self.visible_bias, self.hidden_bias)

    def fields(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Fields of the visible and the hidden spins after what left the units at ``u``: (..., N_v), (..., N_h)."""
        return self.visible_bias + u @ self.to_visible, self.hidden_bias + u @ self.to_hidden

    def advance(self, u: FloatArray, v: NDArray[np.int8]) -> FloatArray:
        """Units after ``v`` (..., N_v) was played: (..., units)."""
        return np.asarray(np.tanh(self.unit_bias + v @ self.from_visible + u @ self.recurrent))

    def listen(self, roll: NDArray[np.int8]) -> FloatArray:
        """Units before every step of a roll (steps, N_v): (steps, units), the first row zero."""
        u = np.zeros((len(roll), self.n_units))
        for t in range(1, len(roll)):
            u[t] = self.advance(u[t - 1], roll[t - 1])
        return u

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file. Raises ConfigurationError on failure."""
        try:
            with path.open("wb") as file:
                np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be written ({error})") from error

    @classmethod
    def load(cls, path: Path) -> RnnRbm:
        """Read what `save` wrote. Raises ConfigurationError naming the file and what is wrong with it."""
        names = [f.name for f in fields(cls)]
        try:
            with np.load(path, allow_pickle=False) as archive:
                return cls(**{name: np.asarray(archive[name], np.float64) for name in names})
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
            raise ConfigurationError(
                f"{path}: cannot be read as an RNN-RBM ({error}); allowed: .npz with {', '.join(names)}"
            ) from error


def shapes_of(n_visible: int, n_hidden: int, units: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of the arrays of an RNN-RBM, in the order of its fields."""
    return (
        (n_visible, n_hidden), (n_visible,), (n_hidden,), (units, n_visible), (units, n_hidden), (units,),
        (n_visible, units), (units, units),
    )  # fmt: skip

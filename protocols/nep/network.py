"""A network on a sheet: where inputs are pumped, how, and where its outputs are seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, field_validator

from labctl.client import ConfigurationError, Parameters
from protocols.nep.numbers import Numbers, array
from simulators.physics.sheet.equation import Complex, Sheet, SheetError, checked

Array = NDArray[np.float64]

XOR_INPUTS = ((0, 0), (0, 1), (1, 0), (1, 1))
XOR_TARGETS = (0, 1, 1, 0)
_MOST_NODES = 4000


class SheetParameters(Parameters):
    """The sheet of Eq. (13), and the places of inputs and outputs on it."""

    nodes: tuple[int, ...] = Field((9,), description="nodes of a chain, or rows,columns of a sheet")
    inputs: tuple[int, ...] = Field((2, 6), description="nodes that are pumped, from 0; row by row on a sheet")
    output: tuple[int, ...] = Field((4,), description="nodes whose |psi|^2 is the result")
    width: float = Field(0.0, ge=0, le=1000, description="W of the pumps' Gaussian spots in nodes; 0: one node each")
    g: float = Field(0.1, ge=-100, le=100, allow_inf_nan=False, description="strength of the nonlinearity")
    gamma: Numbers = Field((0.1,), description="loss, one for all nodes or one each")
    nonlinearity: Literal["saturation", "density"] = Field(
        "saturation", description="g/(1 + |psi|^2) or g |psi|^2 (the polaritons' own)"
    )
    blocked: tuple[int, ...] = Field((), description="nodes behind walls, where psi = 0")
    disorder: float = Field(
        0.0, ge=0, le=100, description="frozen random potential, uniform within ± so much at each node, not known to us"
    )
    disorder_seed: int | None = Field(None, ge=0, description="of the disorder; null: the run's seed")

    @field_validator("nodes")
    @classmethod
    def _a_sheet(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(value) not in (1, 2) or min(value) < 1 or int(np.prod(value)) > _MOST_NODES:
            raise ValueError(f"nodes is a number or rows,columns, at most {_MOST_NODES} in all")
        return value

    @field_validator("gamma")
    @classmethod
    def _losses(cls, value: tuple[float | complex, ...]) -> tuple[float | complex, ...]:
        if not value or any(isinstance(x, complex) or not x > 0 for x in value):
            raise ValueError("gamma is one or more real numbers above 0: without loss there is no steady state")
        return value

    def network(self) -> Network:
        """Raises ConfigurationError for places that are not on the sheet."""
        count = int(np.prod(self.nodes))
        for name, places in (("inputs", self.inputs), ("output", self.output), ("blocked", self.blocked)):
            outside = [k for k in places if not 0 <= k < count]
            if outside or len(set(places)) != len(places):
                raise ConfigurationError(f"{name}={_listed(places)}: give different nodes from 0 to {count - 1}")
        if not self.inputs or not self.output:
            raise ConfigurationError("inputs and output: give at least one node each")
        shut = sorted(set(self.blocked) & {*self.inputs, *self.output})
        if shut:
            raise ConfigurationError(f"blocked={_listed(self.blocked)}: node {shut[0]} is an input or output")
        gamma = [float(x.real) for x in self.gamma]
        if len(gamma) not in (1, count):
            raise ConfigurationError(f"gamma: {len(gamma)} numbers; give 1, or {count}, one for each node")
        walls = None
        if self.blocked:
            walls = np.zeros(count, np.bool_)
            walls[list(self.blocked)] = True
            walls = walls.reshape(self.nodes)
        loss = gamma[0] if len(gamma) == 1 else np.array(gamma).reshape(self.nodes)
        sheet = Sheet(self.nodes, self.g, loss, self.nonlinearity, walls)
        try:
            checked(sheet)
        except SheetError as error:
            raise ConfigurationError(str(error)) from None
        return Network(sheet, np.array(self.inputs), np.array(self.output), self.width)

    def hidden_potential(self, seed: int) -> Array:
        """What adds to the potential that is set: frozen disorder of the sheet (*shape). seed: the run's."""
        rng = np.random.default_rng([seed if self.disorder_seed is None else self.disorder_seed, 7])
        return np.asarray(self.disorder * rng.uniform(-1, 1, self.nodes))


class TaskParameters(SheetParameters):
    """A network with its potential, weights and samples; the XOR network of Fig. 3 unless told otherwise."""

    w: Numbers = Field((1.0, -1.0), description="weights of the inputs, one each, real or complex; numbers or a file")
    V: Numbers = Field((0.0,), description="potential, one for all nodes or one each, real or complex (Im V > 0: gain)")
    X: Numbers | None = Field(None, description="inputs, those of one sample after the other; null: 0,0, 0,1, 1,0, 1,1")
    P: Numbers | None = Field(
        None, description="pump of the nodes, real or complex, of all samples or one after the other; replaces w X, "
        "to which it is added where X is given, too, or where weights are to learn"
    )  # fmt: skip
    targets: Numbers | None = Field(None, description="of |psi|^2 at the outputs, of one sample after the other")
    cost: Literal["mse", "cce"] = Field("mse", description="half the squares, or cross entropy of the softmax")
    gain: float = Field(1.0, gt=0, le=1e4, description="s of softmax(s |psi|^2)")

    def with_inputs(self) -> Self:
        """For what learns weights: P is beside the inputs, which are XOR's if none are given."""
        if self.P is None or self.X is not None or len(self.inputs) != 2:
            return self
        return self.model_copy(update={"X": tuple(float(x) for row in XOR_INPUTS for x in row)})

    def task(self) -> Task:
        """Raises ConfigurationError where lists do not have the lengths that they need."""
        network = self.network()
        count, inputs = int(np.prod(self.nodes)), len(self.inputs)
        w = _sized("w", self.w, (inputs,), "one for each input")
        V = _sized("V", self.V, (1, count), "one for all nodes or one for each")
        V = np.broadcast_to(V, count).reshape(self.nodes)
        X, P = None, None
        if self.P is not None:
            P = _rows("P", self.P, count).reshape(-1, *self.nodes)
        if self.X is not None:
            X = _rows("X", self.X, inputs)
        elif P is None:
            if inputs != 2:
                raise ConfigurationError(f"X: samples of {inputs} inputs are needed; XOR's are of two")
            X = np.array(XOR_INPUTS, np.complex128)
        if X is None:
            X = np.zeros((0 if P is None else len(P), inputs), np.complex128)
        if P is not None and len(P) not in (1, len(X)):
            raise ConfigurationError(f"P has {len(P)} samples and X {len(X)}; give P once, or for every sample")
        outputs, samples = len(self.output), len(X)
        if self.targets is not None:
            targets = _real("targets", _sized("targets", self.targets, (samples * outputs,), "outputs of each sample"))
        elif outputs == 1 and samples == len(XOR_TARGETS) and inputs == 2:
            targets = np.array(XOR_TARGETS, np.float64)
        else:
            targets = None
        if targets is not None:
            targets = targets.reshape(samples, outputs)
        return Task(network, w, V, X, P, targets)


@dataclass(frozen=True, eq=False)
class Network:
    """inputs (K,), outputs (n,): flat indices of nodes. width: W of a pump's Gaussian spot, 0 is a single node."""

    sheet: Sheet
    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    width: float = 0.0

    @property
    def spots(self) -> Array:
        """G(r - r_k; W) (K, *shape), 1 at its own node; nothing behind walls."""
        shape = self.sheet.shape
        places = np.stack(np.unravel_index(np.arange(int(np.prod(shape))), shape), axis=1)
        squares = ((places[None] - places[self.inputs][:, None]) ** 2).sum(axis=2)
        spots = np.exp(-squares / (2 * self.width**2)) if self.width > 0 else (squares == 0).astype(np.float64)
        if self.sheet.blocked is not None:
            spots[:, self.sheet.blocked.ravel()] = 0
        return np.asarray(spots.reshape(-1, *shape))

    def pumps(self, w: ArrayLike, X: ArrayLike) -> Complex:
        """sum_k w_k X_k G_k (..., *shape) of weights and inputs (..., K)."""
        product = np.asarray(w) * np.asarray(X, np.complex128)
        spots = self.spots
        return (product @ spots.reshape(len(spots), -1).astype(np.complex128)).reshape(
            *product.shape[:-1], *self.sheet.shape
        )


@dataclass(frozen=True, eq=False)
class Task:
    """w (K,), V (*shape), X (samples, K), extra pump P (1 or samples, *shape) or None, targets (samples, n) or None."""

    network: Network
    w: Complex
    V: Complex
    X: Complex
    P: Complex | None
    targets: Array | None

    def pumps(self, w: Complex | None = None) -> Complex:
        """(samples, *shape)."""
        pumps = self.network.pumps(self.w if w is None else w, self.X)
        return pumps if self.P is None else pumps + self.P

    def wanted(self) -> Array:
        """The targets. Raises ConfigurationError where none were given."""
        if self.targets is None:
            raise ConfigurationError("targets: give |psi|^2 of the outputs of each sample; only XOR's are known")
        return self.targets


def values_of(x: Complex) -> list[Any]:
    """Numbers as results have them: real ones, or [re, im] where any is complex."""
    pairs = np.stack([x.real, x.imag], axis=-1)
    return list(pairs.tolist() if x.imag.any() else x.real.tolist())


def _sized(name: str, values: tuple[float | complex, ...], sizes: tuple[int, ...], what: str) -> Complex:
    if len(values) not in sizes:
        raise ConfigurationError(f"{name}: {len(values)} numbers; give {' or '.join(map(str, sizes))}, {what}")
    return array(values)


def _rows(name: str, values: tuple[float | complex, ...], columns: int) -> Complex:
    if not values or len(values) % columns:
        raise ConfigurationError(f"{name}: {len(values)} numbers; give {columns} for each sample")
    return array(values).reshape(-1, columns)


def _real(name: str, values: Complex) -> Array:
    if values.imag.any():
        raise ConfigurationError(f"{name}: complex numbers; these are real")
    return np.asarray(values.real)


def _listed(places: tuple[int, ...]) -> str:
    return ",".join(map(str, places))

"""The images of some digits, and the network that tells them apart: a cell each, fed the same image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.images.sets import DATA_VARIABLE, LabelledImages, load_digits
from protocols.nep.digits.parameters import DigitsParameters
from protocols.nep.images.inputs import encode
from protocols.nep.learning import Learner, Recipe
from protocols.nep.network import Network
from protocols.nep.table.alignment import NepAlignment
from simulators.physics.sheet.equation import Array, Complex

_TEST = 1000
"""Test images, where there are so many: a standard error of one point."""


@dataclass(frozen=True)
class Images:
    """What is trained on, what is judged by, and where both are from."""

    train: LabelledImages
    test: LabelledImages
    origin: str


def read_images(p: DigitsParameters) -> Images:
    """The first images of each digit. Raises ConfigurationError where there are too few, or shares are not equal."""
    found = load_digits(p.data)
    test = p.test
    if test is None:
        test = min(_TEST // len(p.digits), _fewest(found.test, p)) * len(p.digits)
    return Images(
        _shares("images", found.train, p.images, p, found.origin),
        _shares("test", found.test, test, p, found.origin),
        found.origin,
    )


def _fewest(images: LabelledImages, p: DigitsParameters) -> int:
    return min(int((images.labels == digit).sum()) for digit in p.digits)


def _shares(name: str, images: LabelledImages, total: int, p: DigitsParameters, origin: str) -> LabelledImages:
    count = len(p.digits)
    if total < count or total % count:
        raise ConfigurationError(f"{name}={total}: allowed: a multiple of {count}, as many of each of {count} digits")
    fewest = _fewest(images, p)
    if total > fewest * count:
        raise ConfigurationError(
            f"{name}={total}: {origin} has {fewest} of some digit; choose {name}={fewest * count} or less, or a folder "
            f"of more images (data=FOLDER, or the variable {DATA_VARIABLE})"
        )
    return images.select([str(digit) for digit in p.digits], total // count)


@dataclass(frozen=True, eq=False)
class Cells:
    """Digits on the sheet of a bench: each cell's answer is |psi|² at its centre. Raises ConfigurationError where the
    sheet has not a square cell for each of the digits."""

    plan: NepAlignment
    digits: tuple[int, ...]

    def __post_init__(self) -> None:
        rows, columns, cells = self.plan.rows, self.plan.columns, self.plan.cells
        if cells != len(self.digits):
            raise ConfigurationError(
                f"digits={','.join(map(str, self.digits))}: {len(self.digits)} digits, and the bench's sheet has "
                f"{cells} cells; choose as many, or a bench of other cells ([alignment.nep] cells, [world] sample)"
            )
        if rows != columns:
            raise ConfigurationError(
                f"cells of {rows} x {columns} nodes: an image needs square ones; choose a bench such as nep-cells"
            )

    @property
    def side(self) -> int:
        """Nodes of a cell, down and across."""
        return self.plan.rows

    @property
    def nodes(self) -> NDArray[np.int64]:
        """Flat indices of nodes (cells, side²), row by row of each cell."""
        rows, columns = self.plan.mesa
        grid = np.arange(rows * columns).reshape(rows, columns)
        first = (self.side + 1) * np.arange(self.plan.cells)
        return np.stack([grid[:, c : c + self.side].ravel() for c in first])

    def network(self) -> Network:
        """Inputs at all nodes, cell after cell; outputs in the middle of each cell."""
        middle = self.side // 2 * (self.side + 1)
        return Network(self.plan.sheet(self.plan.gamma), self.nodes.ravel(), self.nodes[:, middle])

    def inputs(self, images: LabelledImages, p: DigitsParameters) -> Complex:
        """X (n, cells * side²)."""
        x = encode(images.images, self.side, p.encoding).astype(np.float64)
        return np.tile(x, (1, self.plan.cells)).astype(np.complex128)

    def targets(self, labels: NDArray[np.int64]) -> Array:
        """1 for the cell of the digit, 0 for others (n, cells)."""
        return np.asarray(labels[:, None] == np.array(self.digits), np.float64)

    def learner(self, p: DigitsParameters, rng: np.random.Generator) -> BoundedLearner:
        """At its start. rng: of the weights."""
        network = self.network()
        recipe = Recipe(
            optimiser="adam", rate_V=p.rate_V, rate_w=p.rate_w, decay=p.decay, update="batch", batch=p.batch,
            V_min=p.V_floor,
        )  # fmt: skip
        V = np.full(network.sheet.shape, p.V_start, np.complex128)
        w = np.clip(p.w_std * rng.standard_normal(self.nodes.size), -p.w_most, p.w_most)
        walls = self.plan.walls.reshape(network.sheet.shape)
        V[walls] = 0
        return BoundedLearner(network, recipe, V, w.astype(np.complex128), w_most=p.w_most)

    def in_cells(self, values: Array) -> Array:
        """Of nodes (*shape) of the sheet, as images (cells, side, side)."""
        return np.asarray(values.ravel()[self.nodes].reshape(-1, self.side, self.side))


@dataclass(eq=False)
class BoundedLearner(Learner):
    """Whose weights stay within what a table can pump."""

    w_most: float = field(default=math.inf, kw_only=True)

    def step(self, dV: Complex, dw: Complex) -> None:
        """See `Learner`."""
        super().step(dV, dw)
        self.w = np.clip(self.w.real, -self.w_most, self.w_most).astype(np.complex128)

"""What the board really is: drawn from a seed, found by nobody but through what it computes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.worlds.thermodynamic.parameters import ThermodynamicParameters

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BoardTruth:
    """By unit: temperature (k_B T = 1 is the plan), mobility, factors of J2 and J4. coupling_gain: (units, units),
    symmetric, factor of each coupling."""

    temperature: Array
    mobility: Array
    quadratic: Array
    quartic: Array
    coupling_gain: NDArray[np.float32]


@lru_cache(maxsize=2)
def board_truth(p: ThermodynamicParameters) -> BoardTruth:
    """Of the board of these parameters; a factor is never below a tenth."""
    rng = np.random.default_rng([p.seed, 0xB0A2D])
    n, hidden = p.units, p.hidden

    def around_one(spread: float) -> Array:
        return np.maximum(1 + spread * rng.standard_normal(n), 0.1)

    temperature, mobility = around_one(hidden.temperature_spread), around_one(hidden.mobility_spread)
    quadratic, quartic = around_one(hidden.element_spread), around_one(hidden.element_spread)
    gain = np.ones((n, n), np.float32)
    if hidden.coupling_spread:
        upper = np.triu(hidden.coupling_spread * rng.standard_normal((n, n), np.float32), 1)
        gain += upper + upper.T
    gain *= 1 + hidden.drift_per_hour * p.elapsed / 3600
    return BoardTruth(temperature, mobility, quadratic, quartic, gain)


def crossed(lines: Array, share: float) -> Array:
    """What reaches each line (first axis) of those that are driven: a share of either neighbour's besides its own."""
    if not share:
        return lines
    reached = lines.copy()
    reached[1:] += share * lines[:-1]
    reached[:-1] += share * lines[1:]
    return reached


def couplings_on_board(p: ThermodynamicParameters, programmed: Array) -> NDArray[np.float32]:
    """Couplings (units, units) that units feel, of those in the registers: symmetric, 0 on the diagonal."""
    share = p.hidden.crosstalk
    felt = crossed(crossed(programmed, share).T, share) * board_truth(p).coupling_gain
    felt = (felt + felt.T) / 2
    np.fill_diagonal(felt, 0.0)
    return np.ascontiguousarray(felt, np.float32)

"""Making a lattice of dyads fair, as far as sensing needs it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError
from protocols.dyad.calibrate.balance import Balance, Search
from protocols.dyad.calibrate.bayes import BayesOptions, BayesSearch
from protocols.dyad.calibrate.posterior import Prior
from protocols.dyad.table.lattice import DyadLattice

Array = NDArray[np.float64]

_PATIENCE = 0.03
"""Share of dyads that may stay as uncertain as they are: dyads on a defect take long."""
_FAIR_SHARE = 0.5


def search(lattice: DyadLattice, counting: Search) -> Balance:
    """Count at the ratios that a search asks for, until it is done; the light is on. The lattice has the last ones."""
    while not counting.done:
        x, frames = counting.ask()
        lattice.set_ratios(np.exp(x))
        shots = lattice.shots(frames)
        counting.tell(x, shots.ones, np.full(lattice.n, float(len(shots.states))), shots.misread)
    return counting.balance()


def bayes(lattice: DyadLattice, precision: float, most: int, rng: np.random.Generator) -> BayesSearch:
    """A search that needs no more than sensing does."""
    return BayesSearch(lattice.n, BayesOptions(precision=precision, most=most, patience=_PATIENCE), Prior(), rng)


def make_fair(lattice: DyadLattice, precision: float, most: int, rng: np.random.Generator) -> Array:
    """ln r_gamma (n,) at which dyads are fair: by the calibration in force, else by a search. They are set afterwards.

    The light is on. Raises CalibrationError where less than half of the dyads can be made fair.
    """
    if lattice.balanced is not None:
        x = np.log(lattice.balanced)
    else:
        balance = search(lattice, bayes(lattice, precision, most, rng))
        if float((balance.p1_sd < 3 * precision).mean()) < _FAIR_SHARE:
            raise CalibrationError(
                f"only {int((balance.p1_sd < 3 * precision).sum())} of {lattice.n} dyads have a pump ratio at which "
                f"they are fair: raise most (now {most}), or look at the pictures of dyad.calibrate for what is wrong"
            )
        x = balance.x
    lattice.set_ratios(np.exp(x))
    return x

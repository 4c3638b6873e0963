"""Making a lattice of dyads fair, as far as sensing needs it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import CalibrationError, Recorder
from protocols.dyad.calibrate.balance import Balance, Search
from protocols.dyad.calibrate.bayes import BayesOptions, BayesSearch
from protocols.dyad.calibrate.posterior import Prior
from protocols.dyad.table.lattice import STATE, DyadLattice

Array = NDArray[np.float64]

_PATIENCE = 0.03
"""Share of dyads that may stay as uncertain as they are: dyads on a defect take long."""
_FAIR_SHARE = 0.5
SET = 0.003
"""Of ln r_gamma: standard deviation of what a hologram sets besides, another one after changes of some percent."""
_FIRST = 100
"""Condensations of a batch: they take as long as the panel does until it rests."""


def known_before(record: Recorder) -> dict[str, NDArray[Any]] | None:
    """What a resumed run knew of its lattice; None in one that begins."""
    return None if record.resumed is None else {name: record.resumed[name] for name in STATE}


def search(lattice: DyadLattice, counting: Search) -> Balance:
    """Count at the ratios that a search asks for, until it is done; the light is on. The lattice has the last ones."""
    while not counting.done:
        x, frames = counting.ask()
        lattice.set_ratios(np.exp(x))
        shots = lattice.shots(frames)
        counting.tell(x, shots.ones, np.full(lattice.n, float(len(shots.states))), shots.misread)
    return counting.balance()


def bayes(lattice: DyadLattice, precision: float, near: float, most: int, rng: np.random.Generator) -> BayesSearch:
    """A search that needs no more than sensing does. near: how far from 1/2 p_1 may stay."""
    options = BayesOptions(precision=precision, near=near, most=most, first=_FIRST, patience=_PATIENCE)
    return BayesSearch(lattice.n, options, Prior(), rng)


def make_fair(lattice: DyadLattice, precision: float, most: int, rng: np.random.Generator) -> Array:
    """ln r_gamma (n,) at which dyads are fair: by the calibration in force, else by a search. They are set afterwards.

    The light is on. Raises CalibrationError where less than half of the dyads can be made fair.
    """
    if lattice.balanced is not None:
        x = np.log(lattice.balanced)
    else:
        balance = search(lattice, bayes(lattice, precision, precision, most, rng))
        if float((balance.p1_sd < 3 * precision).mean()) < _FAIR_SHARE:
            raise CalibrationError(
                f"only {int((balance.p1_sd < 3 * precision).sum())} of {lattice.n} dyads have a pump ratio at which "
                f"they are fair: raise most (now {most}), or look at the pictures of dyad.calibrate for what is wrong"
            )
        return balance.x  # as they were counted last: nothing is written anew
    lattice.set_ratios(np.exp(x))
    return x

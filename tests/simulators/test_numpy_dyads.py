"""The dyads by numpy that the compiled kernel is timed beside are dyads of Eq. (1)."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.numpy_dyads import NumpyDyads
from simulators.physics.condensates.equation import evolve, seeds


def test_dyads_by_numpy_are_those_of_the_equation() -> None:
    psi = seeds(12, 2, 0.1, np.random.default_rng(1))
    ours = NumpyDyads(2.8, 0.5, 5 / 3, 0.55, batch=4).evolve(psi, 6.0, 60)
    np.testing.assert_allclose(ours, evolve(psi, 2.8, 0.5, 5 / 3, 0.55, 6.0, 0.1), atol=1e-12)

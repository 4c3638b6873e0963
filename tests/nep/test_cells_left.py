"""What is left of the equation at a state of a cell is what `equation.rate` says, to single precision."""

from __future__ import annotations

import numpy as np

from simulators.physics.sheet.cells_left import cell_left
from simulators.physics.sheet.equation import Sheet, rate


def test_what_is_left_is_the_rate_turned_by_a_quarter() -> None:
    rng = np.random.default_rng(1)
    shape, samples = (4, 6), 5
    gamma = rng.uniform(0.05, 0.1, shape)
    sheet = Sheet(shape, 0.3, gamma, "density")
    psi, V, P = (rng.normal(size=(samples, *shape)) + 1j * rng.normal(size=(samples, *shape)) for _ in range(3))
    active = np.array([0, 3, 4])
    out = np.zeros((samples, psi[0].size), np.complex64)
    cell_left(active, psi, V, P, gamma, sheet.g, out)
    wanted = 1j * rate(psi[active], V[active], P[active], sheet).reshape(len(active), -1)
    np.testing.assert_allclose(out[:3], wanted, atol=1e-6 * np.abs(wanted).max())
    assert not out[3:].any()

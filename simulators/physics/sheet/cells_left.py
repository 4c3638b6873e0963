"""What is left of Eq. (13) at approximate steady states of a cell, in double precision, for products in single."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import reordering_kernel

Complex = NDArray[np.complex128]


@reordering_kernel
def cell_left(
    active: NDArray[np.int64], psi: Complex, V: Complex, P: Complex, gamma: NDArray[np.float64], g: float,
    out: NDArray[np.complex64],
) -> None:  # fmt: skip
    """(H + V + g|psi|^2 - i gamma) psi + i P, with H = -Laplacian / 2, of the active samples, into out (active, nodes).

    psi, V, P: (samples, rows, columns) of a cell of density nonlinearity with walls around it. gamma: (rows, columns).
    """
    _, rows, columns = psi.shape
    for k in range(len(active)):
        s = active[k]
        left = out[k]
        for r in range(rows):
            for c in range(columns):
                x: Any = psi[s, r, c]
                beside = 0j
                if r > 0:
                    beside += psi[s, r - 1, c]
                if r + 1 < rows:
                    beside += psi[s, r + 1, c]
                if c > 0:
                    beside += psi[s, r, c - 1]
                if c + 1 < columns:
                    beside += psi[s, r, c + 1]
                v = V[s, r, c]
                energy = v.real + 2.0 + g * (x.real * x.real + x.imag * x.imag)
                loss = gamma[r, c] - v.imag
                p = P[s, r, c]
                re = energy * x.real + loss * x.imag - 0.5 * beside.real - p.imag
                im = energy * x.imag - loss * x.real - 0.5 * beside.imag + p.real
                left[r * columns + c] = complex(re, im)

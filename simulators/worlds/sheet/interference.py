"""Fields of nodes on the camera's pixels, with the reference's fringes."""

from __future__ import annotations

import numpy as np

from simulators.physics.compiled import kernel


@kernel
def interfere(  # type: ignore[no-untyped-def]
    field, noise, corner, down, across, reference, other, path, weight, out
):
    """Add to ``out`` (rows, columns) weight (|E|^2 + |R|^2 + 2 Re(E R* path*)) and what of density is not coherent.

    field, noise: (places,) amplitude, and density besides its square. down, across: (places, size) of `light.View`.
    """
    rows, columns = out.shape
    size = down.shape[1]
    E = np.zeros((rows, columns), np.complex64)
    for s in range(len(field)):
        if field[s] == 0.0 and noise[s] == 0.0:
            continue
        for i in range(size):
            r = corner[s, 0] + i
            if r < 0 or r >= rows:
                continue
            line = field[s] * down[s, i]
            for j in range(size):
                c = corner[s, 1] + j
                if 0 <= c < columns:
                    E[r, c] += line * across[s, j]
        if noise[s] > 1e-6 * (field[s].real ** 2 + field[s].imag ** 2):
            for i in range(size):
                r = corner[s, 0] + i
                if 0 <= r < rows:
                    for j in range(size):
                        c = corner[s, 1] + j
                        if 0 <= c < columns:
                            out[r, c] += weight * noise[s] * (down[s, i] * across[s, j]) ** 2
    turned = np.complex64(path.conjugate() * 2.0 * other)
    square = other * other
    for r in range(rows):
        for c in range(columns):
            e, w = E[r, c], reference[r, c]
            total = e.real * e.real + e.imag * e.imag + square * (w.real * w.real + w.imag * w.imag)
            total += (e * w.conjugate() * turned).real
            out[r, c] += weight * total

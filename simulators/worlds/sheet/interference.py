"""Fields of nodes on the camera's pixels, with the reference's fringes."""

from __future__ import annotations

import numpy as np

from simulators.physics.compiled import reordering_kernel

STRIP = 8
"""Pixels of a place's image are added in strips as long as that: loops of a fixed length take one instruction."""


@reordering_kernel
def interfere(  # type: ignore[no-untyped-def]
    field, noise, corner, down, across, reference, other, path, weight, out
):
    """Add to ``out`` (rows, columns) weight (|E|^2 + |R|^2 + 2 Re(E R* path*)) and what of density is not coherent.

    field, noise: (places,) amplitude, and density besides its square. down: (places, size), across: (places, strips x
    STRIP) of `light.View`. reference: (2, rows, columns), real parts first.
    """
    rows, columns = out.shape
    size, wide = down.shape[1], across.shape[1]
    # With a border as wide as an image, so that none has to be cut.
    E = np.zeros((2, rows, columns + 2 * wide), np.float32)
    for s in range(len(field)):
        first = corner[s, 1] + wide
        if (field[s] == 0.0 and noise[s] == 0.0) or first < 0 or first > columns + wide:
            continue
        re, im = np.float32(field[s].real), np.float32(field[s].imag)
        for i in range(max(0, -corner[s, 0]), min(size, rows - corner[s, 0])):
            r = corner[s, 0] + i
            a, b = re * down[s, i], im * down[s, i]
            into_re, into_im = E[0, r, first:], E[1, r, first:]
            shape = across[s]
            for k in range(wide):
                into_re[k] += a * shape[k]
            for k in range(wide):
                into_im[k] += b * shape[k]
        if noise[s] > 1e-6 * (field[s].real ** 2 + field[s].imag ** 2):
            for i in range(max(0, -corner[s, 0]), min(size, rows - corner[s, 0])):
                r = corner[s, 0] + i
                for j in range(max(0, -corner[s, 1]), min(wide, columns - corner[s, 1])):
                    out[r, corner[s, 1] + j] += weight * noise[s] * (down[s, i] * across[s, j]) ** 2
    turn = path.conjugate() * 2.0 * other
    x, y, square = np.float32(turn.real), np.float32(turn.imag), np.float32(other * other)
    for r in range(rows):
        e_re, e_im, w_re, w_im = E[0, r, wide:], E[1, r, wide:], reference[0, r], reference[1, r]
        into = out[r]
        for c in range(columns):
            a, b, u, v = e_re[c], e_im[c], w_re[c], w_im[c]
            total = a * a + b * b + square * (u * u + v * v)
            total += (a * u + b * v) * x - (b * u - a * v) * y
            into[c] += weight * np.float64(total)

"""Simulated annealing of an Ising machine in exact arithmetic: the yardstick of what annealing by light finds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel

FloatArray = NDArray[np.float64]


def annealed(
    couplings: Any, fields: FloatArray, temperatures: FloatArray, restarts: int, seed: int
) -> tuple[float, NDArray[np.int8]]:
    """Lowest energy found, H = -1/2 s J s - h s, and its spins (N,).

    couplings: J, symmetric sparse array (N, N). temperatures: (sweeps,). Metropolis, one spin after the other, from
    random starts, each followed by a descent.
    """
    rows = couplings.tocsr()
    spins, energy = _annealed(
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int64),
        rows.data.astype(np.float64),
        np.asarray(fields, np.float64),
        np.asarray(temperatures, np.float64),
        restarts,
        np.random.default_rng(seed),
    )
    return float(energy), spins


@kernel
def _annealed(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int64],
    data: FloatArray,
    fields: FloatArray,
    temperatures: FloatArray,
    restarts: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int8], float]:
    n = len(fields)
    best_energy = np.inf
    best = np.ones(n, np.int8)
    s = np.ones(n, np.int8)
    local = np.empty(n)
    for _ in range(restarts):
        for i in range(n):
            s[i] = 1 if rng.random() < 0.5 else -1
        energy = 0.0
        for i in range(n):
            local[i] = fields[i]
            for k in range(indptr[i], indptr[i + 1]):
                local[i] += data[k] * s[indices[k]]
            energy -= 0.5 * s[i] * (local[i] + fields[i])
        sweep = 0
        while True:
            moved = False
            for i in range(n):
                change = 2.0 * s[i] * local[i]
                if sweep < len(temperatures):
                    accept = change <= 0 or rng.random() < np.exp(-change / temperatures[sweep])
                else:
                    accept = change < -1e-12
                if accept:
                    moved = True
                    s[i] = -s[i]
                    energy += change
                    for k in range(indptr[i], indptr[i + 1]):
                        local[indices[k]] += 2.0 * data[k] * s[i]
            sweep += 1
            if sweep > len(temperatures) and not moved:
                break
        if energy < best_energy:
            best_energy = energy
            best[:] = s
    return best, best_energy

"""Two coupled spins sampled by light: how often they agree, against the Boltzmann law.

python examples/ising_pair.py [BENCH]
"""

from __future__ import annotations

import math
import sys

import numpy as np

from labctl.client import open_bench
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.light.sampling import PhotonicSampler
from protocols.prbm.light.table import table_on
from protocols.prbm.model import RBM


def main(bench_file: str = "prbm-sim", samples: int = 400) -> None:
    """H = -J v h at temperature T: the spins agree with probability 1 / (1 + exp(-2 J / T))."""
    coupling, temperature = 0.5, 1.0
    layers = rbm_layers(RBM(np.array([[coupling]]), np.zeros(1), np.zeros(1)))
    rng = np.random.default_rng(0)
    with open_bench(bench_file) as bench, bench.control("ising pair"):
        sampler = PhotonicSampler(table_on(bench, layers, ReadoutParameters()), layers, temperature)
        v = np.array([1], np.int8)
        agreed = 0
        for _ in range(samples):
            h = sampler.sample("hidden", v, rng)
            v = sampler.sample("visible", h, rng)
            agreed += int(v[0] == h[0])
        bench_time_s = bench.time_s()
    expected = 1 / (1 + math.exp(-2 * coupling / temperature))
    error = math.sqrt(expected * (1 - expected) / samples)
    print(f"agreed {agreed / samples:.3f}, expected {expected:.3f} +- {error:.3f}, {bench_time_s:.0f} s on the table")


if __name__ == "__main__":
    main(*sys.argv[1:])

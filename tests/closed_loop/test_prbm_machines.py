"""Sparse machines, fields rewritten between sweeps and machines reprogrammed, through every real driver at small size.

What light on emulated instruments draws is what it draws on the simulated bench, bit for bit without random numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labctl.client import open_bench
from labctl.experiments.execute import Outcome, execute
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.light.sampling import PhotonicSampler
from protocols.prbm.light.table import table_on
from protocols.prbm.model import RBM

SIMULATED, EMULATED = "benches/prbm-sim.toml", "benches/prbm-emulated.toml"
STILL = {"world.noise": False, "world.slm.rise_time": "0 s", "world.slm.fall_time": "0 s"}
SHORT_SETTLING = {"devices.slm.settle": "50 ms", "devices.slm.base_settle": "70 ms", "bench.lease": "60 s"}


def overrides(bench: str) -> dict[str, Any]:
    return STILL | (SHORT_SETTLING if bench == EMULATED else {})


def lattice(bench: str, out: Path) -> Outcome:
    # Wide spins are bright: exposures of milliseconds, where real instruments would wait for half a second each.
    given = {"L": 4, "T": 2.5, "samples": 2, "chains": 1, "reference_repeats": 3, "pixels_per_spin": 8}
    return execute("labctl.figures", "prbm.ising", bench, {**given, **overrides(bench)}, 2, out)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_lattice_is_the_same_on_both_benches(tmp_path: Path) -> None:
    simulated, emulated = lattice(SIMULATED, tmp_path), lattice(EMULATED, tmp_path)
    for quantity in ("E", "m", "U4"):
        assert emulated.values[quantity] == simulated.values[quantity]
    assert emulated.values["rms"] == pytest.approx(simulated.values["rms"], rel=1e-9)
    assert emulated.values["r"] > 0.999


def fields_through_changes(bench_file: str) -> list[NDArray[np.float64]]:
    """Of two chains, as they are, with other fields, and with other couplings."""
    rng = np.random.default_rng(3)
    first, second = (RBM(rng.normal(0, 0.3, (6, 4)), np.zeros(6), np.zeros(4)) for _ in range(2))
    layers = {"hidden": rbm_layers(first, 2, largest_field=1.0)["hidden"]}
    spins = rng.choice(np.array([-1, 1], np.int8), 12)
    with open_bench(bench_file, overrides(bench_file)) as bench, bench.control("closed loop"):
        readout = ReadoutParameters(reference_repeats=3)
        sampler = PhotonicSampler(table_on(bench, layers, readout), layers, 1.0)
        found = [sampler.fields("hidden", spins)]
        sampler.set_fields("hidden", np.linspace(-1, 1, 8))
        found.append(sampler.fields("hidden", spins))
        sampler.reprogram({"hidden": rbm_layers(second, 2, largest_field=1.0)["hidden"]})
        found.append(sampler.fields("hidden", spins))
        assert sampler.agreement.r > 0.999
    return found


@pytest.mark.hil
@pytest.mark.timeout(600)
def test_fields_and_couplings_are_rewritten_alike_on_both_benches() -> None:
    for emulated, simulated in zip(fields_through_changes(EMULATED), fields_through_changes(SIMULATED), strict=True):
        np.testing.assert_allclose(emulated, simulated, rtol=1e-9, atol=1e-12)

"""The photonic RBM's loop closed through every real driver: window, screen, world, SDK library, driver, bus, protocol.

The bench is `benches/prbm-emulated.toml`; beside it runs the simulated one. The reduced size is 8 hidden spins and one
iteration; the full size is run by `make hil`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from labctl.client import open_bench, open_run
from labctl.experiments.execute import Outcome, execute
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.light.table import Table
from protocols.prbm.model import RBM
from simulators.physics.rbm import local_fields

SIMULATED, EMULATED = "benches/prbm-sim.toml", "benches/prbm-emulated.toml"
FALSE_ALARM = 1e-6

# A liquid crystal that answers at once: what a frame sees does then not depend on when, to a fraction of a refresh.
AT_ONCE = {"world.slm.rise_time": "0 s", "world.slm.fall_time": "0 s"}
# A screen needs a refresh, the panel's controller half of one; without relaxation nothing else is waited for.
SHORT_SETTLING = {"devices.slm.settle": "50 ms", "devices.slm.base_settle": "70 ms", "bench.lease": "60 s"}


def small_rbm(n_visible: int, n_hidden: int = 8) -> RBM:
    rng = np.random.default_rng(20261126)
    return RBM(rng.normal(0, 0.3, (n_visible, n_hidden)), rng.normal(0, 0.2, n_visible), rng.normal(0, 0.2, n_hidden))


def generated(bench: str, out: Path, seed: int, **given: Any) -> Outcome:
    assignments = {key.replace("__", "."): value for key, value in given.items()} | AT_ONCE
    assignments |= SHORT_SETTLING if bench == EMULATED else {}
    return execute("labctl.protocols", "prbm.generate", bench, assignments, seed, out)


def history(outcome: Outcome) -> NDArray[np.int8]:
    with open_run(outcome.run_file) as run:
        return np.asarray(run["data/history"])


def assert_same_run(simulated: Outcome, emulated: Outcome) -> None:
    np.testing.assert_array_equal(history(emulated), history(simulated))
    for measured in ("r", "slope", "rms"):
        assert emulated.values[measured] == pytest.approx(simulated.values[measured], rel=1e-9)
    assert emulated.values["r"] > 0.999


@pytest.mark.timeout(600)
def test_without_noise_the_spins_equal_those_of_the_simulated_bench_bit_for_bit(tmp_path: Path) -> None:
    small_rbm(196).save(tmp_path / "small.npz")
    # A pattern takes a tenth of a second; single flips are a quarter fewer of them.
    short = {"images": 1, "iterations": 1, "reference_repeats": 3, "flips": "single"}
    given = {"model": tmp_path / "small.npz", "world__noise": False, **short}
    simulated = generated(SIMULATED, tmp_path, 3, **given)
    emulated = generated(EMULATED, tmp_path, 3, **given)
    assert_same_run(simulated, emulated)
    assert emulated.values["source_power_w"] == pytest.approx(simulated.values["source_power_w"], rel=0.01)


# Wide spins are bright: exposures of milliseconds in place of tenths of a second, which real instruments wait for.
BRIGHT = ReadoutParameters(reference_repeats=4, pixels_per_spin=6)


def residuals(bench_file: str, overrides: Mapping[str, Any], sweeps: int) -> NDArray[np.float64]:
    """Errors of measured local fields in units of their predicted noise, less what is common to a sweep.

    The reference's own error is common to all fields of a sweep: a straight line through them is taken away.
    """
    model = small_rbm(63).transposed  # 63 outputs, 64 patterns a sweep
    rng = np.random.default_rng(5)
    found = []
    with open_bench(bench_file, overrides) as bench, bench.control("closed loop"):
        layers = rbm_layers(model)
        table = Table(bench, layers, BRIGHT)
        encoding = table.encode(layers["hidden"])
        for _ in range(sweeps):
            spins = rng.choice(np.array([-1, 1], np.int8), model.n_visible)
            measured = table.measure(encoding, spins)
            exact = local_fields(model.weights, spins, model.hidden_bias)
            line = np.polynomial.Polynomial.fit(exact, measured.fields, 1)
            found.append((measured.fields - line(exact)) / measured.predicted_noise)
    return np.concatenate(found)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_with_noise_measured_fields_have_the_statistics_of_the_simulated_bench(tmp_path: Path) -> None:
    simulated = residuals(SIMULATED, {"world.seed": 11}, 40)
    emulated = residuals(EMULATED, {"world.seed": 12}, 2)
    # 126 against 2,520 fields: a factor of 1.7 in the noise is noticed. False alarm 1e-6 for each of two tests.
    assert stats.ks_2samp(simulated, emulated).pvalue > FALSE_ALARM
    assert stats.levene(simulated, emulated).pvalue > FALSE_ALARM
    assert np.abs(emulated).max() < 8


@pytest.mark.hil
@pytest.mark.timeout(3600)
def test_at_full_size_the_spins_equal_those_of_the_simulated_bench_bit_for_bit(tmp_path: Path) -> None:
    given = {"images": 1, "iterations": 3, "world__noise": False}
    simulated = generated(SIMULATED, tmp_path, 1, **given)
    emulated = generated(EMULATED, tmp_path, 1, **given)
    assert_same_run(simulated, emulated)


@pytest.mark.hil
@pytest.mark.timeout(1200)
def test_at_full_size_the_table_as_it_is_measures_fields_as_well_as_promised(tmp_path: Path) -> None:
    outcome = execute("labctl.protocols", "prbm.generate", EMULATED, {"images": 1, "iterations": 2}, 2, tmp_path)
    assert outcome.values["r"] > 0.99
    assert outcome.values["slope"] == pytest.approx(1, abs=0.05)

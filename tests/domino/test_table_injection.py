"""Mode "injection": phases that couplings pull, by arithmetic, and four condensates that injected light locks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from condensates_small import FOUR, WEIGHTS, OnBench, fields, set_up_on
from numpy.typing import NDArray

from labctl.client import CalibrationError, open_bench
from labctl.experiments.execute import execute
from protocols.domino.table.condensates.injection import pulled
from protocols.domino.table.loop import run_through
from protocols.domino.table.modes import rig_for, set_up_light
from simulators.physics.domino.injection import Course, mean_of_run
from simulators.physics.domino.locked_flow import Stage

BENCH = "benches/domino-injection.toml"


@pytest.fixture(scope="module")
def lit() -> Iterator[OnBench]:
    with set_up_on(BENCH) as found:
        yield found


def condensates(eta: NDArray[np.float64], J: NDArray[np.float64], drive: float) -> NDArray[np.complex128]:
    """psi (N, frames) at rest, all alike."""
    n = len(eta)
    even, start = np.ones(n), np.full(n, 0.01 + 0j)
    course = Course(0.05, 60.0, 10.0)
    return np.stack(
        [
            mean_of_run(even, 0 * even, J.astype(np.complex128), drive * np.exp(1j * e), start, course).amplitude
            for e in eta.T
        ],
        axis=1,
    )


def test_condensates_that_no_light_locks_are_named() -> None:
    far = {**FOUR, "world.hidden.detuning": 1, "devices.pump.limits.power.max": "5 mW"}
    with open_bench(BENCH, far) as bench, bench.control("test"):
        rig = rig_for(bench, WEIGHTS)
        with rig.light(), pytest.raises(CalibrationError, match=r"condensate \d is not locked by .* the brightest"):
            set_up_light(rig, WEIGHTS, np.random.default_rng(0))


def test_a_solve_by_injection_tells_its_mode_and_what_the_drive_does(tmp_path: Path) -> None:
    given = {**FOUR, "loop": "table", "nodes": 4, "starts": 2, "duration": 0.5}
    v = execute("labctl.figures", "domino.solve", BENCH, given, seed=3, out=tmp_path).values
    assert (v["mode"], v["loop"], v["unlocked"], v["lost_frames"]) == ("injection", "table", 0, 0)
    assert v["bench_s"] > 2 * 300 * 2 * 0.126
    assert "than without the drive" in v["why"]


@pytest.mark.parametrize("alone", [None, 3])
def test_pulls_of_phases_are_what_couplings_pass_on(alone: int | None) -> None:
    """Though both frames have a phase of their own: known by a condensate alone, or by symmetric couplings."""
    rng = np.random.default_rng(1)
    eta, J = rng.uniform(-0.4, 0.4, (4, 12)), 0.05 * WEIGHTS
    if alone is not None:
        J[alone] = 0
    dark, lit = (condensates(eta, one, 0.8) * np.exp(2j * np.pi * rng.random(12)) for one in (np.zeros((4, 4)), J))
    before, phi, pull = pulled(dark, lit, eta, alone)
    np.testing.assert_allclose(before - eta, 0, atol=1e-6)
    size = np.abs(lit)
    passed_on = np.einsum("ij,jif->if", J, size[:, None] * np.sin(phi[:, None] - phi[None])) / 0.8
    np.testing.assert_allclose(pull, passed_on, atol=0.003)
    assert np.abs(pull).max() > 0.02


def test_w_psi_is_what_couplings_pull_phases_by(lit: OnBench) -> None:
    psi = fields(40, 3)
    lit.table.measure(psi)
    seen = lit.table.measure(psi)
    assert seen.came.all()
    assert seen.locked.all()
    wanted = WEIGHTS @ psi
    assert np.sqrt((np.abs(seen.v - wanted) ** 2).mean() / (np.abs(wanted) ** 2).mean()) < 0.35
    assert lit.found.residual < 0.25
    np.testing.assert_allclose(seen.total, psi.sum(axis=0), rtol=0.15)


def test_a_drive_that_locks_adds_to_the_density_and_says_so(lit: OnBench) -> None:
    """|psi|^2 is then more than the gain: |psi| by a tenth to a half, at F / |psi| of some times the detuning."""
    assert 0.1 < lit.found.values["density_bias"] < 0.6
    assert 0 < lit.found.values["lag_rad"] <= 0.4
    assert lit.bench.pump.power_w == pytest.approx(lit.found.values["drive_w"], rel=0.02)


def test_too_weak_a_drive_loses_the_lock_and_every_start_is_told_so(lit: OnBench) -> None:
    power_w = lit.bench.pump.power_w
    lit.bench.pump.power_w = 2e-4
    try:
        ended = run_through(fields(6, 5).real, (Stage(22, 0.02, 5, (0.5, 0.5), 5),), 1, lit.table)
    finally:
        lit.bench.pump.power_w = power_w
    assert ended.unlocked.all()
    assert not ended.support(1.0).any()

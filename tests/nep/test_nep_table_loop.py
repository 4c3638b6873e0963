"""Exclusive or on the sheet's table, through devices and bus: set up, measured by turns, learnt; and how it fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from labctl.client import Bench, ConfigurationError, open_bench
from protocols.nep.learning import Learner, Recipe
from protocols.nep.loop import IdealLoop, NudgePlan, measured_descent
from protocols.nep.network import Task, TaskParameters
from protocols.nep.table.loop import TableLoop, check_sheet
from protocols.nep.table.rig import Rig, plan_of
from protocols.nep.table.setting_up import SetUp, set_up
from simulators.physics.sheet.equation import Sheet
from simulators.physics.sheet.gradients import cosine

W = np.array([1.1, -0.9], np.complex128)


class Ready(NamedTuple):
    bench: Bench
    loop: TableLoop
    found: SetUp
    task: Task


@pytest.fixture(scope="module")
def ready() -> Iterator[Ready]:
    with open_bench("nep-sim", {"bench.lease": "60 s"}) as bench, bench.control("test"):
        rig = Rig(bench)
        with rig.light():
            table, found = set_up(rig, np.random.default_rng(0))
            task = TaskParameters().task()
            yield Ready(bench, TableLoop(table, task.network.sheet, 16), found, task)


def test_the_table_tells_the_loss_and_its_own_error(ready: Ready) -> None:
    response = ready.found.response
    assert -response.D.imag.mean() == pytest.approx(0.1, rel=0.03)
    assert ready.found.residual < 0.06
    assert ready.found.windows.law.leak > 0.05
    assert np.abs(ready.found.lift.blur) < 0.2
    assert np.abs(ready.found.lift.gain) < 0.03


def test_fields_are_those_of_the_equation(ready: Ready) -> None:
    task = ready.task
    pumps = task.network.pumps(W, task.X)
    seen, plain = (loop.measure(task.V, pumps) for loop in (ready.loop, IdealLoop(task.network.sheet)))
    assert np.abs(seen.psi - plain.psi).max() < 0.02 * np.abs(plain.psi).max()
    outputs, expected = (f.outputs(task.network.outputs, task.network.sheet)[:, 0] for f in (seen, plain))
    np.testing.assert_allclose(outputs, expected, atol=0.04)
    assert seen.good.all()


def test_the_measured_update_points_where_the_equation_has_it(ready: Ready) -> None:
    task, plan = ready.task, NudgePlan(ready.task.network.outputs, 0.1, "injected", 2)
    pumps = task.network.pumps(W, task.X)
    directions = []
    for loop in (ready.loop, IdealLoop(task.network.sheet)):
        descent, good = measured_descent(*loop.phases(task.V, pumps, task.wanted(), plan), plan)
        assert good.all()
        weights = descent.weights(task.X, task.network.spots).mean(axis=0).real
        directions.append((descent.V.real.mean(axis=0), weights))
    (V, w), (V0, w0) = directions
    assert cosine(V, V0) > 0.9
    assert cosine(w, w0) > 0.9
    assert ready.loop.contrast.snr > 3


def test_exclusive_or_is_learnt_by_light(ready: Ready) -> None:
    task, plan = ready.task, NudgePlan(ready.task.network.outputs, 0.1, "injected", 2)
    learner = Learner(task.network, Recipe(), task.V, W)
    rng, loop = np.random.default_rng(0), TableLoop(ready.loop.table, task.network.sheet, 32)
    costs = [learner.run_epoch(loop, task.X, task.wanted(), plan, rng).cost for _ in range(15)]
    outputs = loop.measure(learner.V, task.network.pumps(learner.w, task.X)).outputs(
        task.network.outputs, task.network.sheet
    )[:, 0]
    assert costs[-1] < 0.4 * costs[0]
    np.testing.assert_allclose(outputs, [0, 0.924, 1.060, 0.008], atol=0.05)
    assert ready.bench.time_s() > 600


def test_a_nudge_that_drowns_in_noise_is_told_with_one_that_does_not(ready: Ready) -> None:
    task = ready.task
    loop = TableLoop(ready.loop.table, task.network.sheet)
    with pytest.raises(ConfigurationError, match=r"beta = 1e-05 is too small for the noise.*labctl resume"):
        loop.phases(
            task.V, task.network.pumps(W, task.X), task.wanted(), NudgePlan(task.network.outputs, 1e-5, "injected", 2)
        )


def test_a_nudge_that_follows_psi_is_refused(ready: Ready) -> None:
    task = ready.task
    with pytest.raises(ConfigurationError, match="can only inject"):
        ready.loop.phases(
            task.V, task.network.pumps(W, task.X), task.wanted(), NudgePlan(task.network.outputs, 0.1, sides=2)
        )


def test_pumps_beyond_the_tables_are_refused_with_what_it_writes(ready: Ready) -> None:
    task = ready.task
    with pytest.raises(ConfigurationError, match=r"stronger than the table writes.*pump_most"):
        ready.loop.measure(task.V, task.network.pumps(20 * W, task.X))


def test_potentials_below_the_offset_are_shown_as_near_as_light_can(ready: Ready) -> None:
    shown = ready.loop.shown(np.full(9, -2.0 + 0j)).real
    assert np.all((shown > -0.5) & (shown < -0.15))
    np.testing.assert_allclose(ready.loop.shown(np.full(9, 0.1 + 0j)).real, 0.1, atol=1e-6)


def test_another_sheet_than_the_benchs_is_refused(ready: Ready) -> None:
    for sheet, why in ((Sheet((7,)), "has \\(9,\\)"), (Sheet((9,), 0.2), "has g = 0.1")):
        with pytest.raises(ConfigurationError, match=why):
            check_sheet(sheet, ready.loop.table.rig)


def test_a_bench_without_a_sheet_is_refused() -> None:
    with open_bench("dyad-sim") as bench, pytest.raises(ConfigurationError, match=r"has no potential, .*nep-sim"):
        plan_of(bench)

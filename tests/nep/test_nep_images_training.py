"""Gradients of ten cells, and training that is kept and resumed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.nep.images.inputs import Encoded
from protocols.nep.images.network import CellNetwork, Learnt, softmax
from protocols.nep.images.recipe import recipe_for
from protocols.nep.images.trainer import CellTrainer
from simulators.physics.sheet.cells import CellSolver
from simulators.physics.sheet.equation import Sheet

SIDE, NODES, OUTPUT, GAIN = 3, 9, 4, 3.0
SHEET = Sheet((SIDE, SIDE), 0.04, 0.07, "density")
RECIPE = replace(recipe_for("nep", SIDE, "Vw"), batch=20, epochs=4)


def images(count: int = 40) -> Encoded:
    rng = np.random.default_rng(4)
    labels = np.arange(count) % 10
    x = rng.random((10, NODES))[labels] + 0.1 * rng.normal(size=(count, NODES))
    return Encoded(x.astype(np.float32), labels)


def network(V0: float, threads: int = 1, tolerance: float = 1e-12) -> CellNetwork:
    rng = np.random.default_rng(2)
    solver = CellSolver(SHEET, OUTPUT, tolerance, np.float64)
    net = CellNetwork(solver, V0 + 0.05 * rng.normal(size=(10, NODES)), 0.3 * rng.normal(size=(10, NODES)), threads)
    net.refresh()
    return net


def learnt(net: CellNetwork, rule: str, data: Encoded) -> Learnt:
    return net.learn(data.x.astype(np.float64), data.labels, rule, GAIN)  # type: ignore[arg-type]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_exact_rule_descends_the_cross_entropy() -> None:
    data, net = images(), network(-1.0)
    found = learnt(net, "exact", data)

    def cost() -> float:
        net.refresh()
        density = net.answers(data.x.astype(np.float64)).density
        return float(-np.log(softmax(GAIN * density)[np.arange(len(data)), data.labels]).mean())

    assert found.cost == pytest.approx(cost(), rel=1e-9)
    h = 1e-5
    for values, descent in ((net.V, found.V), (net.w, found.w)):
        for where in ((0, 0), (3, OUTPUT), (9, 7)):
            values[where] += h
            above = cost()
            values[where] -= 2 * h
            below = cost()
            values[where] += h
            assert descent[where] == pytest.approx(-(above - below) / (2 * h), rel=1e-5, abs=1e-9)


def test_below_the_band_the_papers_rule_points_where_the_cost_falls() -> None:
    net, data = network(0.3), images()
    exact, found = learnt(net, "exact", data), learnt(net, "nep", data)
    assert cosine(found.V, exact.V) > 0.97
    assert cosine(found.w, exact.w) > 0.97


def test_in_the_band_the_phase_conjugate_nudge_keeps_its_sign_and_the_papers_does_not() -> None:
    net, data = network(-2.0), images()  # amid its modes
    exact = learnt(net, "exact", data)
    assert cosine(learnt(net, "conjugate", data).w, exact.w) > 0.95
    assert cosine(learnt(net, "nep", data).w, exact.w) < 0


def test_an_image_that_does_not_settle_is_counted_and_left_out() -> None:
    data, net = images(), network(0.3)
    spoilt = data.x.copy()
    spoilt[5] = np.nan
    found = learnt(net, "exact", Encoded(spoilt, data.labels))
    others = np.arange(len(data)) != 5
    same = learnt(net, "exact", Encoded(data.x[others], data.labels[others]))
    assert (found.unsettled, same.unsettled) == (1, 0)
    np.testing.assert_allclose(found.V, same.V, rtol=1e-9)
    np.testing.assert_allclose(found.w, same.w, rtol=1e-9)


def trainer(threads: int = 1, **changes: Any) -> CellTrainer:
    solver = CellSolver(SHEET, OUTPUT)
    return CellTrainer(images(), (solver, solver), replace(RECIPE, **changes), "nep", "Vw", 7, threads)


def everything(of: CellTrainer) -> np.ndarray:
    state = of.state()
    return np.concatenate([state[name].ravel() for name in ("V", "w", "mean_V", "mean_w", "shift")])


def test_threads_change_nothing() -> None:
    alone, both = trainer(1), trainer(2)
    for each in (alone, both):
        each.run_epoch()
    both.close()
    np.testing.assert_array_equal(everything(alone), everything(both))


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_training_goes_on_from_its_state_bit_for_bit(optimiser: str) -> None:
    whole, first, second = (trainer(optimiser=optimiser) for _ in range(3))
    for _ in range(3):
        whole.run_epoch()
    first.run_epoch()
    second.restore(first.state())
    for _ in range(2):
        second.run_epoch()
    assert second.epoch == 3
    np.testing.assert_array_equal(everything(whole), everything(second))


def test_judging_in_between_changes_nothing() -> None:
    plain, judged = trainer(), trainer()
    plain.run_epoch()
    judged.run_epoch()
    judged.judge(images().x)
    plain.run_epoch()
    judged.run_epoch()
    np.testing.assert_array_equal(everything(plain), everything(judged))


@pytest.mark.parametrize("name", ["V", "mean_w", "optimiser_square_1"])
def test_a_state_with_numbers_that_are_none_is_refused_and_not_used(name: str) -> None:
    of = trainer()
    of.run_epoch()
    before, state = everything(of), of.state()
    state[name] = state[name].copy()
    state[name][0, 3] = np.nan
    with pytest.raises(ConfigurationError, match=f"checkpoint: {name} has 1 values that are no numbers"):
        of.restore(state)
    np.testing.assert_array_equal(everything(of), before)


def test_a_state_of_another_network_is_refused() -> None:
    of = trainer()
    state = of.state()
    state["V"] = np.zeros((10, 25))
    with pytest.raises(ConfigurationError, match=r"V of shape \(10, 25\); this network has \(10, 9\)"):
        of.restore(state)


def test_the_floor_holds() -> None:
    of = trainer(V_floor=0.09, rate_V=0.5)
    of.run_epoch()
    assert of.network.V.min() == 0.09


def test_with_the_potential_alone_weights_stay() -> None:
    solver = CellSolver(SHEET, OUTPUT)
    of = CellTrainer(images(), (solver, solver), replace(RECIPE, shrink=0.5), "nep", "V", 7)
    before = of.network.w.copy()
    of.run_epoch()
    np.testing.assert_array_equal(of.network.w, before)
    assert np.ptp(of.network.V) > 0


def test_training_that_runs_away_is_an_error_that_says_what_to_do() -> None:
    of = trainer(optimiser="sgd", rate_w=1e12, w_std=1e12)
    with pytest.raises(ConfigurationError, match="choose smaller rates"):
        of.run_epoch()


def test_images_that_do_not_fit_the_cell_are_refused() -> None:
    solver = CellSolver(Sheet((5, 5), 0.04, 0.07, "density"), 12)
    with pytest.raises(ConfigurationError, match="images of 9 pixels on cells of 25 nodes"):
        CellTrainer(images(), (solver, solver), RECIPE, "nep", "Vw", 0)


def test_a_batch_larger_than_the_set_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="batch=100: only 40 images"):
        trainer(batch=100)

"""Training Langevin computers: the fit, what it is told of noising, and runs from images to outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from labctl.client import ConfigurationError, open_run
from labctl.experiments import recorder
from labctl.experiments.execute import Outcome, execute, resume
from protocols.langevin.computer import IdealComputer, Stage
from protocols.langevin.model import Trained
from protocols.langevin.training.fit import Fit
from protocols.langevin.training.parameters import TrainParameters
from protocols.langevin.training.sums import Sums, averaged, sampled
from protocols.langevin.training.training import Training, train_now
from simulators.physics.langevin.action import action_gradient, step_action
from simulators.physics.langevin.irreversibility import reversal
from simulators.physics.langevin.potential import Units

SIDE = 6
SMALL = {"size": SIDE, "hidden": 24, "duration": 1.0, "dt": 2e-3}


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Two images of which neither is the other's negative."""
    images = np.zeros((2, SIDE, SIDE))
    images[0, 2:4] = 1
    images[1, :, 2:4] = 1
    path = tmp_path / "bars.npy"
    np.save(path, images)
    return path


def run(out: Path, what: str, **given: object) -> Outcome:
    return execute("labctl.protocols", f"langevin.{what}", None, given, seed=4, out=out)  # type: ignore[arg-type]


def steps_of(n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(count, n)) * 0.4
    return x, x + 0.05 * rng.normal(size=(count, n))


def sums_of(x: np.ndarray, after: np.ndarray, dt: float) -> Sums:
    """By Eqs (7) and (12), word by word, for J2 = J4 = 10."""
    g = (x - after) / dt + 20 * after + 40 * after**3
    return Sums(
        (g.T @ after * dt).astype(np.float32), (after.T @ after * dt).astype(np.float32), g.sum(axis=0) * dt,
        after.sum(axis=0) * dt, len(x) * dt,
    )  # fmt: skip


def test_the_fits_gradient_is_that_of_the_reversed_action() -> None:
    n, dt = 6, 1e-2
    x, after = steps_of(n, 30)
    weight = np.array([1.0, 1, 1, 4, 4, 4])
    fit = Fit(sums_of(x, after, dt), ~np.eye(n, dtype=bool), np.ones(n, bool), weight=weight)
    units = Units.of(n, temperature=1 / weight)  # a part of the action is divided by the unit's temperature
    rng = np.random.default_rng(1)
    J = np.triu(rng.normal(size=(n, n)), 1).astype(np.float32)
    fit.J, fit.b = J + J.T, rng.normal(size=n).astype(np.float32)
    fit.take(fit.sums)
    J, b = fit.J.astype(float), fit.b.astype(float)
    dJ, db = action_gradient(x, after, units, J, b, dt)
    down_J, down_b = fit.downhill
    np.testing.assert_allclose(down_J, -dJ, atol=1e-4 * np.abs(dJ).max())
    np.testing.assert_allclose(down_b, -db, atol=1e-4 * np.abs(db).max())
    none = np.zeros((n, n)), np.zeros(n)
    gained = [step_action(x, after, units, *program, dt).sum() for program in ((J, b), none)]
    assert fit.action == pytest.approx(gained[0] - gained[1], rel=1e-4)


def test_conjugate_gradients_end_where_the_ascent_does_and_leave_out_what_is_not_connected() -> None:
    n, dt = 6, 1e-2
    sums = sums_of(*steps_of(n, 400), dt)
    mask = np.ones((n, n), bool)
    mask[:2, :2] = False
    np.fill_diagonal(mask, False)
    free = np.arange(n) >= 3
    quick, slow = Fit(sums, mask, free), Fit(sums, mask, free)
    slow.rate = slow.steepest_rate()
    for _ in range(40):
        quick.step()
    for _ in range(4000):
        slow.step()
    assert quick.gap < 1e-4
    np.testing.assert_allclose(slow.J, quick.J, atol=0.01 * np.abs(quick.J).max())
    np.testing.assert_allclose(slow.b, quick.b, atol=0.01 * np.abs(quick.b).max())
    assert quick.action < -1e-3
    assert not quick.J[~mask].any()
    assert not quick.b[:3].any()


def test_averages_over_noising_are_those_of_many_trajectories() -> None:
    drive = 30 * np.random.default_rng(2).normal(size=(2, 8))
    known = averaged(drive, 10.0, 10.0, 1.0)
    seen = sampled(drive, Units.of(8), 1.0, 1e-3, 400, seed=1, number=0)
    off = ~np.eye(8, dtype=bool)
    # Euler's bias is below 1 %; of 800 trajectories the noise of a product is about as large (fixed seed).
    for name in ("gx", "xx"):
        a, b = getattr(known, name)[off], getattr(seen, name)[off]
        np.testing.assert_allclose(b, a, atol=0.03 * np.abs(a).max())
    np.testing.assert_allclose(seen.x, known.x, atol=0.02 * np.abs(known.x).max())
    np.testing.assert_allclose(seen.g, known.g, atol=0.03 * np.abs(known.g).max())
    np.testing.assert_allclose(np.diagonal(seen.xx), np.diagonal(known.xx), rtol=0.05)


def test_denoising_shows_the_images_it_was_trained_on(tmp_path: Path, bars: Path) -> None:
    model = run(tmp_path, "train", data=str(bars), amplitude=60, **SMALL).values
    assert model["gap"] < 1e-4
    assert Path(model["model"]).exists()
    made = run(tmp_path, "generate", model=model["model"], trajectories=100, readings=3, dt=2e-3).values
    # Guessing one of two orthogonal images, or its negative, gives a mean |correlation| of 0.2.
    assert made["correlation"] > 0.85
    assert made["smallest_share"] > 0.2  # of two in 100: false alarm 1e-9 were they even
    assert 0.2 < made["inverted"] < 0.8
    assert made["heat"] > 5 * made["heat_err"]
    assert len(list(tmp_path.glob("*.png"))) == 2


@pytest.mark.parametrize(
    "way",
    [
        {"method": "ascent", "noising": "sampled", "trajectories": 2, "iterations": 30},
        {"noising": "sampled", "trajectories": 2, "batches": 4},
        {"method": "ascent", "iterations": 60},
    ],
    ids=["the paper's ascent on trajectories", "least squares on trajectories", "ascent on averages"],
)
def test_every_way_of_training_finds_couplings_that_make_the_images(bars: Path, way: dict[str, Any]) -> None:
    p = TrainParameters(data=str(bars), amplitude=60, **{**SMALL, **way})
    trained = train_now(p, 0)
    reference = train_now(TrainParameters(data=str(bars), amplitude=60, **SMALL), 0)
    v = trained.visible
    alike = np.corrcoef(trained.J[v:, :v].ravel(), reference.J[v:, :v].ravel())[0, 1]
    assert alike > 0.85
    assert not trained.J[:v, :v].any()


def test_couplings_of_few_levels_make_up_for_each_others_rounding(bars: Path) -> None:
    training = Training(TrainParameters(data=str(bars), coupling_bits=3, **SMALL), 0)
    training.noise()
    while training.improve().gap > training.p.settled:
        pass
    fit = training.fit
    assert fit is not None
    largest = np.abs(fit.J).max()
    at_once = fit.action_of((np.rint(fit.J / (largest / 3)) * (largest / 3)).astype(np.float32))
    training.finish()
    J = training.trained.J
    levels = J / (np.abs(J).max() / 3)
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-5)
    assert len(np.unique(J)) <= 7
    assert not J[~training.mask].any()
    np.testing.assert_array_equal(J, J.T)
    assert training.fit is not None
    lost, lost_at_once = training.fit.action - fit.action, at_once - fit.action
    assert 0 < lost < lost_at_once / 2  # a tenth with 1296 units, which have more to make up with


def test_couplings_keep_to_a_graph_that_is_given(tmp_path: Path, bars: Path) -> None:
    n = SIDE**2 + 24
    graph = np.triu(np.random.default_rng(0).random((n, n)) < 0.2, 1)
    np.save(tmp_path / "graph.npy", graph | graph.T)
    trained = train_now(TrainParameters(data=str(bars), graph=tmp_path / "graph.npy", **SMALL), 0)
    assert trained.J[graph].any()
    assert not trained.J[~(graph | graph.T)].any()


@pytest.mark.parametrize("units", [{"J2": 20.0, "J4": 0.0, "amplitude": 10}, {"J2": -5.0, "amplitude": 30}],
                         ids=["linear", "bistable"])  # fmt: skip
def test_linear_and_bistable_units_are_trained_too(bars: Path, units: dict[str, Any]) -> None:
    training = Training(TrainParameters(data=str(bars), **{**SMALL, **units}), 0)
    training.noise()
    for _ in range(30):
        fit = training.improve()
    assert fit.action < -10
    assert fit.gap < 1e-2


def test_a_training_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_CHECKPOINT_DUE_AFTER_S", 0.0)
    way = {"data": str(bars), "noising": "sampled", "batches": 3, "trajectories": 1, "iterations": 6, **SMALL}
    whole = run(tmp_path / "whole", "train", **way).values
    improve = Training.improve

    def stop(self: Training) -> Fit:
        if self.fit is not None and len(list((tmp_path / "cut").glob("*.checkpoint"))) and self.calls == 3:
            raise KeyboardInterrupt
        self.calls += 1
        return improve(self)

    with monkeypatch.context() as here:
        here.setattr(Training, "calls", 0, raising=False)
        here.setattr(Training, "improve", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", "train", **way)
    (path,) = (tmp_path / "cut").glob("*.h5")
    rest = resume(path).values
    ends = Trained.load(Path(whole["model"])), Trained.load(Path(rest["model"]))
    np.testing.assert_array_equal(ends[1].J, ends[0].J)
    with open_run(path) as file:
        assert len(file["steps/gap"]) == 3 + 6


def test_the_weight_of_reversal_is_the_sum_of_its_terms_and_not_negative_on_average() -> None:
    n = 5
    rng = np.random.default_rng(0)
    drive = 20 * rng.normal(size=(1, n))
    J = np.triu(rng.normal(size=(n, n)) * 0.5, 1)
    found = reversal(drive, Units.of(n), J + J.T, rng.normal(size=n), 1.0, 1e-3, 60, seed=2)
    assert found.identity_error < 1e-9
    total = found.ln_ratio + found.ends
    assert total.mean() > 0  # 60 trajectories: 20 standard errors and more above
    assert total.mean() > 20 * total.std() / 60**0.5


def test_a_computer_goes_through_its_stages_and_reads_in_between() -> None:
    computer = IdealComputer(Units.of(3), 1e-3, seed=1)
    pull = np.full(3, -40.0)
    x = computer.run([Stage(0.3, None, pull, (0.0, 0.3)), Stage(0.5, None, pull, (0.5,), -pull)], 200)
    assert x.shape == (200, 3, 3)
    assert not x[:, 0].any()
    assert x[:, 1].mean() > 0.7
    assert x[:, 2].mean() < -0.5


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((2, 4, 5)), "square images"),
        (np.full((1, 4, 4), np.nan), "not finite"),
        (np.ones((1, 4, 4)), "one shade"),
        (np.array([["a", "b"], ["c", "d"]]), "numbers"),
    ],
    ids=["oblong", "not finite", "blank", "text"],
)
def test_images_that_are_none_are_refused(tmp_path: Path, images: np.ndarray, said: str) -> None:
    path = tmp_path / "images.npy"
    np.save(path, images)
    with pytest.raises(ConfigurationError, match=said):
        Training(TrainParameters(data=str(path)), 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"J4": -1.0}, "J4=-1"),
        ({"J2": -1.0, "J4": 0.0}, "nothing holds a unit"),
        ({"hidden": 0}, "no units are coupled"),
        ({"method": "ascent", "rate": 1e5}, "smaller one"),
        ({"coupling_bits": 1}, "2 bits or more"),
        ({"coupling_bits": 4, "method": "ascent", "noising": "sampled"}, "method=least-squares"),
    ],
)
def test_computers_that_cannot_be_trained_are_refused(bars: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises((ConfigurationError, ValidationError), match=said):
        train_now(TrainParameters(data=str(bars), **{**SMALL, **given}), 0)


def test_a_file_that_is_no_trained_computer_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", J=np.zeros((2, 2)))
    with pytest.raises(ConfigurationError, match="lacks"):
        Trained.load(tmp_path / "other.npz")

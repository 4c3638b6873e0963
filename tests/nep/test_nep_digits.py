"""`nep.digits`: made-up digits learnt in situ on a small sheet of two cells; stopped, resumed, and refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digit_files import write_digits

from labctl.bench.load import load_bench, packaged_benches
from labctl.client import ConfigurationError, Step
from labctl.experiments import checkpoint, recorder
from labctl.experiments.execute import Outcome, execute, resume
from protocols.nep.digits.judging import NONE, confusion, paired_difference, share_right
from protocols.nep.digits.parameters import DigitsParameters
from protocols.nep.digits.task import Cells
from protocols.nep.table.alignment import NepAlignment

TWO_CELLS = {
    "world.sample.cells": 2,
    "alignment.nep.cells": 2,
    "world.slm.columns": 104,
    "world.projector.columns": 60,
    "world.hidden.preset": "none",  # the soak test has a typical table
}
LONG_LEASE = {"bench.lease": "60 s"}  # on a busy machine a step of light takes long
SMALL = {"digits": [0, 1], "images": 40, "test": 20, "epochs": 3, "batch": 5, **TWO_CELLS, **LONG_LEASE}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("images") / "mnist")


@pytest.fixture
def figure(digits: Path, tmp_path: Path) -> Callable[..., Outcome]:
    def run(out: str = "runs", **given: object) -> Outcome:
        return execute(
            "labctl.figures", "nep.digits", assignments={"data": str(digits), **SMALL, **given}, out=tmp_path / out
        )

    return run


@pytest.fixture(scope="module")
def by_equation(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Values of arithmetic that nobody stopped."""
    given = {"data": str(digits), **SMALL, "loop": "ideal"}
    return execute("labctl.figures", "nep.digits", assignments=given, out=tmp_path_factory.mktemp("whole")).values


def plan() -> NepAlignment:
    found = load_bench(packaged_benches()["nep-cells"]).alignment["nep"]
    assert isinstance(found, NepAlignment)
    return found


def test_digits_are_learnt_by_light_as_by_the_equation(figure: Callable[..., Outcome], tmp_path: Path) -> None:
    """Two patterns that are easily told apart; chance would be right 18 times in 20 with 2e-4."""
    v = figure().values
    assert v["accuracy_ideal"] >= 0.9
    assert v["accuracy"] >= 0.9
    assert v["difference"] == pytest.approx(v["accuracy"] - v["accuracy_ideal"])
    assert v["costs"][-1] < 0.5 * v["costs"][0]
    assert v["frames"] >= 3 * 40 * 3 + 20
    assert v["bench_s"] > 300
    assert (v["unconverged"], v["unconverged_test"]) == (0, 0)
    with np.load(v["network"]) as kept:
        assert kept["V"].shape == kept["V_ideal"].shape == kept["V_shown"].shape == (5, 11)
        assert np.abs(kept["w"]).max() <= DigitsParameters().w_most
    assert len(list((tmp_path / "runs").glob("*digits.png"))) == 1


class _Stopped(KeyboardInterrupt):
    pass


def stopped_after(
    steps: int, figure: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **given: object
) -> Path:
    """A run of `figure` that is stopped after so many epochs."""
    save, left = Step.save, [steps]

    def stop(self: Step, **values: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise _Stopped
        save(self, **values)

    with monkeypatch.context() as here:
        here.setattr(Step, "save", stop)
        with pytest.raises(_Stopped):
            figure("stopped", **given)
    (path,) = (tmp_path / "stopped").glob("*.h5")
    return path


def test_arithmetic_that_was_stopped_goes_on_bit_for_bit(
    figure: Callable[..., Outcome], by_equation: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    again = resume(stopped_after(1, figure, monkeypatch, tmp_path, loop="ideal")).values
    for name in ("costs_ideal", "train_accuracies_ideal", "confusion_ideal", "accuracy_ideal"):
        assert again[name] == by_equation[name]


# That a stopped figure goes on is tested above, by arithmetic; light takes several times as long.
@pytest.mark.soak
def test_light_goes_on_after_the_last_epoch_beside_what_arithmetic_had_learnt(
    figure: Callable[..., Outcome], by_equation: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One epoch of six is left; frames are counted with those before, as the table goes on."""
    monkeypatch.setattr(recorder, "_TABLE_CREDIT_S", 1e9)  # kept after every epoch, whatever it costs
    run = stopped_after(5, figure, monkeypatch, tmp_path)
    save, saved = Step.save, []

    def count(self: Step, **values: Any) -> None:
        saved.append(values)
        save(self, **values)

    monkeypatch.setattr(Step, "save", count)
    v = resume(run).values
    assert len(saved) == 1
    assert v["frames"] >= 3 * 40 * 3 + 20
    assert v["costs_ideal"] == by_equation["costs_ideal"]
    assert v["confusion_ideal"] == by_equation["confusion_ideal"]
    assert len(v["costs"]) == 3
    assert v["accuracy"] >= 0.9


def test_a_checkpoint_with_numbers_that_are_none_is_refused_and_left(
    figure: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = stopped_after(2, figure, monkeypatch, tmp_path, loop="ideal")
    path = run.with_suffix(".checkpoint")
    kept = checkpoint.read(path)
    assert kept is not None
    spoilt = np.where(np.arange(50) == 7, np.nan, kept.state["w"])
    checkpoint.write(path, replace(kept, state={**kept.state, "w": spoilt}), durable=False)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"checkpoint's w holds 1 numbers that are none"):
        resume(run)
    assert path.read_bytes() == before
    checkpoint.write(path, kept, durable=False)
    assert resume(run).values["accuracy_ideal"] >= 0.9


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"digits": [0, 1, 2], "images": 42, "test": 21}, "digits=0,1,2: 3 digits, and the bench's sheet has 2 cells"),
        ({"digits": [1, 1]}, "two or more different digits"),
        ({"digits": [1, 10]}, "from 0 to 9"),
        ({"images": 41}, "images=41: allowed: a multiple of 2"),
        ({"images": 80}, "images=80: .* has 20 of some digit; choose images=40 or less"),
        ({"test": 22}, "choose test=20 or less"),
        ({"batch": 50}, "batch=50: only 40 images"),
        ({"beta": 0}, "greater than or equal to 0.000001"),
        ({"data": "nowhere"}, "no such folder"),
        ({"loop": "other"}, "'table' or 'ideal'"),
        (
            {"images": 10, "V_start": -0.5, "V_floor": -1, "w_std": 6, "w_most": 20},
            "no steady state to rely on.*bistable",
        ),
        ({"alignment.nep.columns": 4, "alignment.nep.rows": 5, "loop": "ideal"}, "needs square ones"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], says: str, figure: Callable[..., Outcome]) -> None:
    with pytest.raises(ConfigurationError, match=says):
        figure(**given)


def test_a_bench_of_another_sheet_is_refused(digits: Path, tmp_path: Path) -> None:
    for bench, says in (("nep-sim", "has 1 cells"), ("dyad-sim", r"has no \[alignment.nep\]")):
        with pytest.raises(ConfigurationError, match=says):
            execute(
                "labctl.figures", "nep.digits", bench, {"data": str(digits), "images": 100, "test": 50}, out=tmp_path
            )


def test_every_cell_is_fed_the_same_image_and_answers_in_its_middle() -> None:
    cells = Cells(plan(), (0, 1, 2, 3, 4))
    network, walls = cells.network(), plan().walls
    assert not walls.ravel()[cells.nodes].any()
    assert np.unique(cells.nodes).size == (~walls).sum() == 125
    assert network.outputs.tolist() == [2 * 29 + 2 + 6 * k for k in range(5)]
    image = np.arange(25.0)
    pumps = network.pumps(np.ones(125), np.tile(image, 5)).real
    for cell in cells.in_cells(pumps):
        np.testing.assert_array_equal(cell, image.reshape(5, 5))


def test_images_without_an_answer_are_wrong_and_in_no_column() -> None:
    cell, wanted = np.array([0, 1, NONE, 1]), np.array([0, 0, 1, 1])
    assert confusion(cell, wanted, 2).tolist() == [[1, 1], [0, 1]]
    assert share_right(cell == wanted) == (0.5, 0.25)


def test_a_difference_counts_images_on_which_two_differ() -> None:
    """Two networks that are right 90 % of the time and differ on one image in ten, of 400: rms of 2,000 draws is known
    to 1.6 %; five times that: false alarm 1e-6."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(2000):
        kind = rng.choice(4, 400, p=[0.85, 0.05, 0.05, 0.05])
        found.append(paired_difference((kind == 0) | (kind == 1), (kind == 0) | (kind == 2)))
    differences, errors = np.array(found).T
    assert np.std(differences) == pytest.approx(errors.mean(), rel=0.08)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_real_digits_are_learnt_by_light_as_well_as_promised(tmp_path: Path) -> None:
    done = execute("labctl.figures", "nep.digits", assignments={}, out=tmp_path)
    assert done.targets is not None
    assert done.ok

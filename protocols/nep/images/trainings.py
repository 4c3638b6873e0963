"""Several trainings on digits, one after the other, an epoch in a step: kept, resumed and judged alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl.client import Bench, Recorder
from protocols.nep.figure import NepFigure
from protocols.nep.images.inputs import DIGITS, Digits, load
from protocols.nep.images.network import Train, accuracy_of
from protocols.nep.images.parameters import TrainingParameters
from protocols.nep.images.recipe import Recipe
from protocols.nep.images.trainer import CellTrainer
from simulators.physics.sheet.cells import CellSolver, Rule
from simulators.physics.sheet.equation import Sheet

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Training:
    """One of them. patient: it goes on even if nothing settles any more."""

    name: str
    rule: Rule
    side: int
    train: Train
    recipe: Recipe
    seed: int
    g: float
    gamma: float
    patient: bool = False

    @property
    def solver_sheet(self) -> Sheet:
        """The cell."""
        return Sheet((self.side, self.side), self.g, self.gamma, "density")

    @property
    def output(self) -> int:
        """The centre."""
        return self.side // 2 * self.side + self.side // 2


class Trainings(NepFigure):
    """Base of figures that train: `trainings` says what, `run` does it and saves a step for every epoch.

    Series: training, epoch, cost, train_accuracy, accuracy (of the test images watched; after the last epoch, of all),
    unsettled (training images left out), test_unsettled, g_rho_over_gamma (mean over test images, cells and nodes),
    seconds and cpu_s of training alone, confusion (10, 10), digits by answers, zeros but after the last epoch. Arrays:
    ``V_NAME_SEED`` and ``w_NAME_SEED`` (cells, nodes).
    """

    @abstractmethod
    def trainings(self, parameters: Any, seed: int) -> list[Training]:
        """What is trained, in this order."""

    def prepare(self, parameters: TrainingParameters, record: Recorder) -> None:
        """Read the images that are needed, so that whatever is wrong with them is told before anything is trained."""
        self._sets: dict[tuple[int, str], Digits] = {}
        self.all = self.trainings(parameters, record.seed)
        for training in self.all:
            self.digits(training, parameters)

    def digits(self, training: Training, p: TrainingParameters) -> Digits:
        """Images for a training; read once."""
        key = training.side, training.recipe.encoding
        if key not in self._sets:
            self._sets[key] = load(p.data, p.samples, training.side, training.recipe.encoding)
        return self._sets[key]

    def run(self, bench: Bench, parameters: TrainingParameters, record: Recorder) -> dict[str, Any]:
        """Train, one after the other."""
        p = parameters
        plan = [(j, e) for j, training in enumerate(self.all) for e in range(training.recipe.epochs)]
        at, trainer = -1, None
        with threadpool_limits(1, user_api="blas"):
            for step in record.steps(len(plan), "epochs"):
                j, epoch = plan[step.index]
                training = self.all[j]
                if trainer is None or j != at:
                    if trainer is not None:
                        trainer.close()
                    trainer, at = self.trainer(training, p), j
                    if epoch > 0:
                        assert record.resumed is not None
                        trainer.restore({name: v for name, v in record.resumed.items() if name != "training"})
                self._epoch(trainer, training, j, p, record, step)
                record.checkpoint(**trainer.state(), training=j)
            if trainer is not None:
                trainer.close()
        return {}

    def trainer(self, training: Training, p: TrainingParameters) -> CellTrainer:
        """At its beginning."""
        sheet, output = training.solver_sheet, training.output
        solvers = CellSolver(sheet, output, p.tolerance), CellSolver(sheet, output, p.judged_tolerance)
        return CellTrainer(
            self.digits(training, p).train, solvers, training.recipe, training.rule, training.train, training.seed,
            p.workers, training.patient,
        )  # fmt: skip

    def _epoch(
        self, trainer: CellTrainer, training: Training, j: int, p: TrainingParameters, record: Recorder, step: Any
    ) -> None:
        report = trainer.run_epoch()
        test = self.digits(training, p).test
        last = report.epoch == training.recipe.epochs
        # evenly over the whole set, whose halves were written by different people
        shown = np.linspace(0, len(test) - 1, len(test) if last else min(p.watched, len(test))).round().astype(int)
        labels = test.labels[shown]
        answers = trainer.judge(test.x[shown])
        accuracy = accuracy_of(answers, labels)
        confusion = np.zeros((DIGITS, DIGITS), np.int64)
        if last:
            np.add.at(confusion, (labels, answers.density.argmax(axis=1)), 1)
            record.save(f"V_{training.name}_{training.seed}", trainer.mean_V)
            record.save(f"w_{training.name}_{training.seed}", trainer.mean_w)
        step.note(f"{training.name}, seed {training.seed}, epoch {report.epoch}: {accuracy:.1%}")
        step.save(
            training=j,
            epoch=report.epoch,
            cost=report.cost,
            train_accuracy=report.accuracy,
            accuracy=accuracy,
            unsettled=report.unsettled,
            test_unsettled=int((~answers.settled).sum()),
            g_rho_over_gamma=training.g * answers.mean_density / training.gamma,
            seconds=report.seconds,
            cpu_s=report.cpu_s,
            confusion=confusion,
        )


@dataclass(frozen=True, eq=False)
class Curves:
    """Series of trainings of one name, (seeds, epochs, …)."""

    series: dict[str, NDArray[Any]]

    def last(self, name: str) -> Array:
        """After the last epoch, (seeds,)."""
        return np.asarray(self.series[name][:, -1], np.float64)


def curves(record: Recorder, trainings: Sequence[Training], name: str) -> Curves:
    """What trainings of that name saved; all of them have as many epochs."""
    which = np.asarray(record.series("training"))
    chosen = [j for j, training in enumerate(trainings) if training.name == name]
    found = {}
    for key in _SERIES:
        values = np.asarray(record.series(key))
        found[key] = np.stack([values[which == j] for j in chosen])
    return Curves(found)


_SERIES = (
    "epoch", "cost", "train_accuracy", "accuracy", "unsettled", "test_unsettled", "g_rho_over_gamma", "seconds",
    "cpu_s", "confusion",
)  # fmt: skip

"""`nep.digits`: cells of a sheet learn digits in situ, through devices and bus, beside the equation alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.nep.digits.judging import Answers, answers, confusion, paired_difference, share_right
from protocols.nep.digits.parameters import DigitsParameters
from protocols.nep.digits.picture import draw_digits
from protocols.nep.digits.task import BoundedLearner, Cells, read_images
from protocols.nep.figure import NepFigure, with_picture
from protocols.nep.loop import IdealLoop, Loop, NudgePlan
from protocols.nep.network import Network
from protocols.nep.table.alignment import NepAlignment
from protocols.nep.table.loop import TableLoop, check_sheet, told
from protocols.nep.table.rig import Rig, plan_of
from protocols.nep.table.setting_up import set_up
from protocols.nep.table.warming import warm_up

KINDS = "ideal", "table"
_WITHIN = 0.02
"""By how much the table may fall behind the equation."""
_UNSETTLED = 0.1
"""Share of images without a steady state to rely on, above which training does not begin."""
_SUFFIX = {"ideal": "_ideal", "table": ""}


class DigitsOnTable(NepFigure):
    """The same network learns the same images twice, from the same start and in the same order: by the equation, and in
    situ by light. Each digit's answer is the density in the middle of its cell.

    Values: `accuracy` on test images of what was trained in situ and is measured by light (a fraction; an image without
    a steady state to rely on is not recognised) with its binomial `accuracy_err`; `train_accuracies`, `costs` of the
    free phases of each epoch; `unconverged`, share of training images that were left out, and `unconverged_test`;
    `g_rho_over_gamma`, mean over test images and nodes; `confusion`, digits by answers. The same of what the equation
    trains and answers, each with `_ideal`; with loop=ideal only those. `difference` of the accuracies with its paired
    `difference_err`. Of the table `bench_s` with set-up and `frames` of phases, tests and set-up's check (both of the
    whole run where it was resumed with its table, else since then), `repeats`, `residual` and `frame_noise` of set-up,
    `nudge_gain` as it was learnt ([re, im]), `detuning_followed` (E0). `network`, a file of V, w (nodes of the sheet,
    and inputs) and what the table could show of V; `seconds`.

    Raises ConfigurationError where the bench's sheet has not a square cell for each digit, and for too few images.
    """

    bench = "nep-cells"
    alignments = ("nep",)
    Parameters = DigitsParameters
    keeps_table = True

    def targets(self, parameters: DigitsParameters) -> dict[str, dict[str, float]] | None:
        """Promised for the recipe that is the default."""
        if parameters != DigitsParameters(data=parameters.data):
            return None
        return {"difference": {"min": -_WITHIN}}

    def prepare(self, parameters: DigitsParameters, record: Recorder) -> None:
        """Read the images."""
        self.images = read_images(parameters)
        train, test = len(self.images.train), len(self.images.test)
        if parameters.batch > train:
            raise ConfigurationError(f"batch={parameters.batch}: only {train} images; choose batch={train} or less")
        record.console.done(f"{train} images to learn from, {test} to be judged by, of {self.images.origin}")

    def run(self, bench: Bench, parameters: DigitsParameters, record: Recorder) -> dict[str, Any]:
        """Learn by the equation, then by light: an epoch in each step, from which the run resumes."""
        p, begun_s = parameters, time.perf_counter()
        plan = plan_of(bench) if p.loop == "table" else bench.alignment("nep")
        assert isinstance(plan, NepAlignment)
        self.cells = Cells(plan, p.digits)
        self.learners: dict[str, BoundedLearner] = {}
        right: dict[str, NDArray[np.bool_]] = {}
        values: dict[str, Any] = {}
        for kind in KINDS if p.loop == "table" else KINDS[:1]:
            learner = self.cells.learner(p, np.random.default_rng([record.seed, 1]))
            with self._opened(kind, learner.network, bench, p, record) as loop:
                self._learn(kind, loop, learner, p, record)
                found = answers(loop, learner, self.cells.inputs(self.images.test, p))
                right[kind], judged = self._judged(kind, found)
                values |= {**judged, **loop.report()}
                if isinstance(loop, TableLoop):
                    self.shown = loop.shown(learner.V).real
            self.learners[kind] = learner
        if "table" in right:
            values["difference"], values["difference_err"] = paired_difference(right["table"], right["ideal"])
        return {**values, "seconds": time.perf_counter() - begun_s}

    @contextmanager
    def _opened(
        self, kind: str, network: Network, bench: Bench, p: DigitsParameters, record: Recorder
    ) -> Iterator[Loop]:
        """Arithmetic, or the table under control and set up."""
        if kind == "ideal":
            yield IdealLoop(network.sheet)
            return
        warm_up(plan_of(bench))
        with bench.control(record.name, run=record.path.stem):
            rig = Rig(bench)
            check_sheet(network.sheet, rig)
            begun_s = bench.time_s()
            with rig.light():
                table, found = set_up(rig, np.random.default_rng([record.seed, 3]))
                record.console.done(told(found, bench.time_s() - begun_s))
                loop = TableLoop(table, network.sheet, p.frames)
                loop.begun_s = begun_s
                loop.told = {"residual": found.residual, "frame_noise": found.noise}
                yield loop

    def _learn(self, kind: str, loop: Loop, learner: BoundedLearner, p: DigitsParameters, record: Recorder) -> None:
        """From the start, or from a checkpoint. What the equation has learnt is kept for when the table is resumed."""
        resumed = record.resumed
        if resumed is not None:
            if resumed["kind"] == kind:
                learner.restore(resumed)
                record.when_thawed(lambda: loop.restore(resumed))
            elif kind == "ideal":
                kept = {name: record.saved(f"{name}_ideal") for name in ("V", "w")}
                learner.restore({**kept, "epoch": p.epochs, "updates": 0})
        train = self.images.train
        X, targets = self.cells.inputs(train, p), self.cells.targets(train.labels)
        plan = NudgePlan(learner.network.outputs, p.beta, "injected", 2, p.rule, "cce", p.gain)
        loop.check(learner.V, learner.network.pumps(learner.w, X), _UNSETTLED)
        for step in record.steps(p.epochs, f"learning, {kind}"):
            order = np.random.default_rng([record.seed, 2, step.index])
            epoch = learner.run_epoch(loop, X, targets, plan, order)
            step.save(kind=KINDS.index(kind), cost=epoch.cost, accuracy=epoch.accuracy, left_out=epoch.left_out)
            step.note(f"cost {epoch.cost:.4g}, right {epoch.accuracy:.1%}")
            record.checkpoint(**learner.state(), **loop.state(), kind=kind)
        record.save(f"V{_SUFFIX[kind]}", learner.V)
        record.save(f"w{_SUFFIX[kind]}", learner.w)

    def _judged(self, kind: str, found: Answers) -> tuple[NDArray[np.bool_], dict[str, Any]]:
        """Which test images were right, and values of them."""
        wanted = self.cells.targets(self.images.test.labels).argmax(axis=1)
        right = found.cell == wanted
        accuracy, error = share_right(right)
        s = _SUFFIX[kind]
        return right, {
            f"accuracy{s}": accuracy,
            f"accuracy{s}_err": error,
            f"unconverged_test{s}": found.unsettled / len(right),
            f"g_rho_over_gamma{s}": found.g_rho_over_gamma,
            f"confusion{s}": confusion(found.cell, wanted, len(self.cells.digits)).tolist(),
        }

    def conclude(self, results: dict[str, Any], parameters: DigitsParameters, record: Recorder) -> dict[str, Any]:
        """Keep the networks, tell and draw."""
        of, values = np.asarray(record.series("kind")), dict(results)
        for kind in self.learners:
            s = _SUFFIX[kind]
            cost, accuracy, left_out = (
                np.asarray(record.series(name))[of == KINDS.index(kind)] for name in ("cost", "accuracy", "left_out")
            )
            values |= {
                f"costs{s}": cost.tolist(),
                f"train_accuracies{s}": accuracy.tolist(),
                f"unconverged{s}": float(left_out.sum() / (len(cost) * len(self.images.train))),
            }
        values["network"] = str(self._kept(record, parameters))
        values |= {
            "epochs": parameters.epochs,
            "images": len(self.images.train),
            "test_images": len(self.images.test),
            "data": self.images.origin,
        }
        record.console.done(_said(values))
        last = "table" if "table" in self.learners else "ideal"
        V = self.shown if last == "table" else self.learners[last].V.real
        w = self.learners[last].w.real.reshape(-1, self.cells.side, self.cells.side)
        with_picture(
            record, "digits", lambda at: draw_digits(at, self.cells.digits, w, self.cells.in_cells(V), values, last)
        )
        return values

    def _kept(self, record: Recorder, p: DigitsParameters) -> Path:
        """A file of the networks."""
        path = record.path.with_name(f"{record.path.stem}-network.npz")
        kept: dict[str, Any] = {"digits": np.array(self.cells.digits), "gain": p.gain}
        for kind, learner in self.learners.items():
            kept |= {f"V{_SUFFIX[kind]}": learner.V, f"w{_SUFFIX[kind]}": learner.w}
        if "table" in self.learners:
            kept["V_shown"] = self.shown
        np.savez(path, **kept)
        return path


def _said(values: dict[str, Any]) -> str:
    ideal = f"by the equation {values['accuracy_ideal']:.1%} ± {values['accuracy_ideal_err']:.1%}"
    if "accuracy" not in values:
        return f"{ideal} of {values['test_images']} test images"
    return (
        f"in situ {values['accuracy']:.1%} ± {values['accuracy_err']:.1%} of {values['test_images']} test images, "
        f"{ideal}, difference {100 * values['difference']:+.1f} ± {100 * values['difference_err']:.1f} points; "
        f"{values['frames']} frames, {values['bench_s']:.0f} s of bench time"
    )

"""`nep.train`: a network on the sheet learns its samples by free and nudged phases."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, Recorder
from protocols.nep.figure import NepFigure, per_sample, with_picture
from protocols.nep.learning import Learner, judged
from protocols.nep.loop import Loop
from protocols.nep.network import values_of
from protocols.nep.opening import opened_loop
from protocols.nep.signal import settled
from protocols.nep.train_parameters import Samples, TrainParameters, save_model
from protocols.nep.training_picture import draw_training
from simulators.physics.sheet.equation import Array, Complex

_REDRAW_S = 5.0
_FEW = 64
_UNSETTLED = 0.1
"""Share of samples without a steady state to rely on, above which training does not begin."""


class Train(NepFigure):
    """A potential and weights learn samples in situ: free phase, nudged phase, update, by light or by arithmetic.

    Values: `cost`, mean over samples, and `accuracy` at the end, `cost_test`, `accuracy_test` where a test was given;
    `costs`, `accuracies` of the free phases of each epoch; `w`, `V` ([re, im] where complex), `outputs` of up to 64
    samples; `beta`, `averages` and `snr` of the contrast at the start (null without noise), `nudge`, `sides`;
    `updates`, `left_out`, samples without a steady state to rely on, `unsettled`, those at the end, if any; `model`,
    which `nep.infer` reads; `seconds`.
    """

    Parameters = TrainParameters
    keeps_table = True

    def prepare(self, parameters: TrainParameters, record: Recorder) -> None:
        """Read the samples."""
        p = parameters
        self.samples = None if p.data is None else Samples(p.data, len(p.inputs), len(p.output))
        self.task = p.learnt_task(self.samples, np.random.default_rng([record.seed, 1]))
        outputs = self.task.wanted().shape[1]
        self.recipe = p.recipe()
        record.console.done(f"{len(self.task.X)} samples, {len(self.task.w)} inputs, outputs: {outputs}")
        if p.rule == "nep" and p.trained_V in ("imaginary", "complex"):
            record.console.say(
                "rule=nep neglects what the gradient of Im V consists of, and often has its sign wrong; "
                "rule=conjugate has it right"
            )

    def run(self, bench: Bench, parameters: TrainParameters, record: Recorder) -> dict[str, Any]:
        """Learn, an epoch in each step, from which the run resumes."""
        p, task, begun_s = parameters, self.task, time.perf_counter()
        network, targets = task.network, task.wanted()
        plan = p.plan(network, p.rule, p.cost, p.gain)
        learner = Learner(network, self.recipe, task.V, task.w)
        with opened_loop(p, network, bench, record) as loop:
            if record.resumed is not None:
                kept = record.resumed
                learner.restore(kept)
                record.when_thawed(lambda: loop.restore(kept))
            loop.check(learner.V, task.pumps(learner.w), _UNSETTLED)
            start = network, learner.V, learner.w, task.X, targets
            plan, choice = settled(loop, *start, plan, p, record.resumed, task.P)
            if p.noisy and record.resumed is None:
                record.console.done(
                    f"beta = {choice.beta:g}, {choice.averages} averages: signal to noise {choice.snr:.2g}"
                )
            drawn_s = time.perf_counter()
            for step in record.steps(p.epochs, "learning"):
                epoch = learner.run_epoch(loop, task.X, targets, plan, record.rng, task.P)
                step.save(cost=epoch.cost, accuracy=epoch.accuracy, left_out=epoch.left_out)
                step.note(f"cost {epoch.cost:.4g}, right {epoch.accuracy:.1%}")
                if record.checkpoint_due or p.loop == "table" or learner.epoch == p.epochs:
                    record.checkpoint(**learner.state(), **choice._asdict(), **loop.state())
                if record.wants_pictures and time.perf_counter() - drawn_s > _REDRAW_S:
                    draw_training(record.picture("training"), task, learner.V, learner.w, self._curves(record))
                    drawn_s = time.perf_counter()
            outputs, good = self._outputs(loop, learner, task.X, task.P)
            report, test = loop.report(), None
            if self.samples is not None and self.samples.test is not None:
                test = *self._outputs(loop, learner, self.samples.test[0], None), self.samples.test[1]
        self.learner = learner
        values: dict[str, Any] = {**judged(outputs, good, targets, p.cost, p.gain)}
        if test is not None:
            values |= judged(*test, p.cost, p.gain, "_test")
        return {
            **values,
            "outputs": per_sample(outputs[:_FEW]),
            "beta": choice.beta,
            "averages": choice.averages,
            "snr": choice.snr if np.isfinite(choice.snr) else None,
            "nudge": "injected" if plan.injects else plan.kind,
            "sides": plan.sides,
            "seconds": time.perf_counter() - begun_s,
            **report,
        }

    def _outputs(self, loop: Loop, learner: Learner, X: Complex, P: Complex | None) -> tuple[Array, NDArray[np.bool_]]:
        pumps = learner.network.pumps(learner.w, X)
        fields = loop.measure(learner.V, pumps if P is None else pumps + P)
        return fields.outputs(learner.network.outputs, loop.sheet), fields.good

    def _curves(self, record: Recorder) -> dict[str, Array]:
        found = {name: record.series(name) for name in ("cost", "accuracy", "left_out")}
        return {name: np.empty(0) if series is None else series for name, series in found.items()}

    def conclude(self, results: dict[str, Any], parameters: TrainParameters, record: Recorder) -> dict[str, Any]:
        """Keep the network, tell and draw."""
        learner, curves = self.learner, self._curves(record)
        path = record.path.with_name(f"{record.path.stem}-model.npz")
        save_model(path, parameters, learner.w, learner.V)
        record.save("w", learner.w)
        record.save("V", learner.V)
        tested = f", test {results['accuracy_test']:.1%}" if "accuracy_test" in results else ""
        record.console.done(
            f"after {learner.epoch} epochs: cost {results['cost']:.4g} a sample, right "
            f"{results['accuracy']:.1%}{tested}"
        )
        with_picture(
            record, "training", lambda picture: draw_training(picture, self.task, learner.V, learner.w, curves)
        )
        return {
            **results,
            "costs": curves["cost"].tolist(),
            "accuracies": curves["accuracy"].tolist(),
            "left_out": int(curves["left_out"].sum()),
            "w": values_of(learner.w),
            "V": values_of(learner.V),
            "epochs": learner.epoch,
            "updates": learner.updates,
            "model": str(path),
        }

"""`nep.infer`: what a trained network says to samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from labctl.client import Bench, ConfigurationError, Protocol, Recorder
from protocols.nep.figure import per_sample
from protocols.nep.learning import judged
from protocols.nep.network import TaskParameters
from protocols.nep.numbers import Numbers
from protocols.nep.opening import opened_loop
from protocols.nep.phases import LoopParameters
from protocols.nep.train_parameters import DataParameters, Samples, read_model
from simulators.physics.sheet.nudge import softmax


class InferParameters(TaskParameters, LoopParameters, DataParameters):
    """A model, and samples; the sheet, w and V are the model's."""

    model: Path = Field(description="the file that nep.train wrote")
    w: Numbers | None = Field(None, description="the model's")  # type: ignore[assignment]
    V: Numbers | None = Field(None, description="the model's")  # type: ignore[assignment]


class Infer(Protocol):
    """Outputs of a trained network, one free phase for each sample.

    Values: `outputs`, |psi|^2, a number for each sample (a list of numbers where there are several outputs); `classes`,
    the brightest output of each sample, and `shares` by softmax, where there are several; `cost` mean over samples and
    `accuracy`, where targets are known; `good`, whether a sample has a steady state to rely on: others are not right.
    """

    Parameters = InferParameters
    bench = "nep-sim"
    takes_control = True

    def prepare(self, parameters: InferParameters, record: Recorder) -> None:
        """Read the model and the samples."""
        p = parameters
        about, w, V = read_model(p.model)
        if p.w is not None or p.V is not None:
            raise ConfigurationError("w and V are the model's; leave them out")
        given = p.model_dump(exclude_unset=True)
        about |= {"w": tuple(w.tolist()), "V": tuple(V.ravel().tolist())}
        changed = [name for name in given if name in about and name not in ("w", "V")]
        if changed:
            raise ConfigurationError(f"{changed[0]} is the model's; leave it out")
        try:
            p = InferParameters.model_validate({**given, **about})
        except ValueError as error:
            raise ConfigurationError(f"{parameters.model} does not describe a network: {error}") from None
        if p.data is not None:
            samples = Samples(p.data, len(p.inputs), len(p.output))
            X, targets = samples.test or (samples.X, samples.targets)
            p = p.model_copy(update={"X": tuple(X.ravel().tolist()), "targets": tuple(targets.ravel().tolist())})
        self.settings, self.task = p, p.task()

    def run(self, bench: Bench, parameters: InferParameters, record: Recorder) -> dict[str, Any]:
        """One free phase."""
        p, task = self.settings, self.task
        with opened_loop(p, task.network, bench, record) as loop:
            fields = loop.measure(task.V, task.pumps())
            report = loop.report()
        outputs = fields.outputs(task.network.outputs, task.network.sheet)
        values: dict[str, Any] = {"outputs": per_sample(outputs), "good": fields.good.tolist()}
        if outputs.shape[1] > 1:
            values |= {"classes": outputs.argmax(axis=1).tolist(), "shares": softmax(p.gain * outputs).tolist()}
        if task.targets is not None:
            values |= judged(outputs, fields.good, task.targets, p.cost, p.gain)
        return values | report

    def conclude(self, results: dict[str, Any], parameters: InferParameters, record: Recorder) -> dict[str, Any]:
        """Tell."""
        right = f", right {results['accuracy']:.1%}" if "accuracy" in results else ""
        record.console.done(f"{len(results['outputs'])} samples{right}")
        return results

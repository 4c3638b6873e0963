"""`prbm.train`: training a restricted Boltzmann machine, its negative phase by arithmetic or by light (in situ)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl.client import Bench, ConfigurationError, Figure, Recorder
from protocols.prbm.light.table import TABLE_ROLES
from protocols.prbm.model import RBM
from protocols.prbm.training.contrastive import TrainingSettings
from protocols.prbm.training.data import TrainingData, training_data
from protocols.prbm.training.insitu import Light
from protocols.prbm.training.learning import Judge, Standing, evaluation_epochs, while_renewing
from protocols.prbm.training.parameters import TrainParameters
from protocols.prbm.training.picture import draw_training
from protocols.prbm.training.trainer import Arithmetic, FastTrainer, PlainTrainer, Trainer
from simulators.physics.rbm import gibbs_chain_visible

WITHIN = 0.02
"""How near training in situ comes to training by arithmetic: of its log-likelihood."""

_PICTURED = 12
_PICTURE_ITERATIONS = 200


class Train(Figure):
    """A machine trained on images; where its chains go by light, beside the same training by arithmetic.

    Values: log_likelihood (nats per training image, of the machine as it is by arithmetic), log_likelihood_err (of its
    partition function), log_likelihood_held_out with the standard error of its mean, reconstruction_error; epochs,
    updates, seconds (of training alone); by light also log_likelihood_exact_training (mean of ``comparisons`` seeds),
    log_likelihood_exact_training_sd (their scatter), relative_difference, share_of_gain (of what those gained on the
    machine without couplings that has the data's means), and r, slope, rms of the measured fields.
    """

    Parameters = TrainParameters
    keeps_table = True
    roles = TABLE_ROLES
    alignments = ("prbm",)
    takes_control = True  # for as long as there is light on the table, which arithmetic needs none of

    def bench_overrides(self, parameters: TrainParameters) -> Mapping[str, object]:
        """noise=off asks for the ideal table."""
        return parameters.overrides

    def targets(self, parameters: TrainParameters) -> dict[str, dict[str, float]] | None:
        """Promised for training in situ as it is by default."""
        if parameters.sampler != "photonic" or parameters != type(parameters)(sampler="photonic", data=parameters.data):
            return None
        return {"relative_difference": {"max": WITHIN}, "share_of_gain": {"min": 0.8}}

    def prepare(self, parameters: TrainParameters, record: Recorder) -> None:
        """Read the data; train by arithmetic what training in situ will be compared with."""
        p = parameters
        self.settings = p.settings(record.seed)
        self.data = training_data(p.data, p.classes, p.per_class, p.pixels)
        self.judge = Judge(self.data, p.temperature, record.seed, p.annealing_steps, p.annealing_runs)
        self.judged_after = evaluation_epochs(self.settings.epochs, p.evaluations)
        self.exact_curves = np.empty((0, len(self.judged_after)))
        if p.sampler == "photonic":
            check_together(p, self.settings)
            with threadpool_limits(limits=1, user_api="blas"):
                self.exact_curves = self._exact_curves(p, record)
            record.save("exact_training", self.exact_curves)
            finals = self.exact_curves[:, -1]
            record.console.done(f"by arithmetic: {finals.mean():.3f} nats per image, of {len(finals)} seeds")

    def _exact_curves(self, p: TrainParameters, record: Recorder) -> NDArray[np.float64]:
        """Log-likelihoods (seeds, evaluations) of training by arithmetic."""
        kept = record.saved("exact_training") if record.resumed is not None else None
        if kept is not None:
            return kept
        curves = []
        with record.console.progress("training by arithmetic", p.comparisons) as advance:
            for seed in range(record.seed, record.seed + p.comparisons):
                trainer = FastTrainer(self.data.spins, p.settings(seed))
                curve = []
                while trainer.epoch < self.settings.epochs:
                    trainer.run_epoch()
                    if trainer.epoch in self.judged_after:
                        last = trainer.epoch == self.settings.epochs
                        curve.append(self.judge.standing(trainer.rbm, careful=last).log_likelihood)
                curves.append(curve)
                advance()
        return np.array(curves)

    def run(self, bench: Bench, parameters: TrainParameters, record: Recorder) -> dict[str, Any]:
        """Train; every epoch is a step, and one from which the run resumes."""
        p, settings, spins = parameters, self.settings, self.data.spins
        by_light = p.sampler == "photonic"
        with bench.control(record.name, run=record.path.stem) if by_light else nullcontext():
            begun_s = bench.time_s()
            trainer: Trainer
            light = None
            if by_light:
                trainer, light = self._in_situ(bench, p, settings)
            else:
                trainer = FastTrainer(spins, settings)
            if record.resumed is not None:
                trainer.restore(record.resumed)
                if light is not None:
                    light.restore(record)
            with threadpool_limits(limits=1, user_api="blas"):
                self._epochs(trainer, light, bench, record)
            self.trainer = trainer
            results: dict[str, Any] = {}
            if light is not None:
                agreement = light.agreement
                results = {"r": agreement.r, "slope": agreement.slope, "rms": agreement.rms}
                results["table_time_s"] = bench.time_s() - begun_s
        return results

    def _in_situ(self, bench: Bench, p: TrainParameters, settings: TrainingSettings) -> tuple[PlainTrainer, Light]:
        together = p.together or settings.n_chains
        arithmetic = Arithmetic(p.temperature)
        # The machine that is there before anything is learnt: what the table is set up for.
        first = FastTrainer(self.data.spins, settings).rbm
        readout = p.on_ideal_table(max(first.n_visible, first.n_hidden)) if p.noise == "off" else p
        light = Light(bench, first, readout, p.temperature, together)
        positive = light if p.positive == "photonic" else arithmetic
        return PlainTrainer(self.data.spins, settings, light, positive), light

    def _epochs(self, trainer: Trainer, light: Light | None, bench: Bench, record: Recorder) -> None:
        epochs = trainer.settings.epochs
        label = "training by light" if light is not None else "training"
        seconds = float(record.resumed["seconds"]) if record.resumed is not None else 0.0
        for step in record.steps(epochs, label):
            if light is not None and trainer.epoch > 0:
                light.refresh()
            begun = time.perf_counter()
            report = trainer.run_epoch()
            seconds += time.perf_counter() - begun
            standing = _NOT_JUDGED
            if report.epoch in self.judged_after:
                standing = self._judged(trainer.rbm, report.epoch == epochs, bench, light is not None)
                step.note(f"{standing.log_likelihood:.2f} nats per image")
            step.save(
                epoch=report.epoch,
                log_likelihood=standing.log_likelihood,
                log_likelihood_err=standing.error,
                log_likelihood_held_out=standing.held_out,
                log_likelihood_held_out_err=standing.held_out_error,
                reconstruction_error=standing.reconstruction,
                effective_runs=standing.effective_runs,
                moment_gap=report.moment_gap,
                r=light.agreement.r if light is not None else math.nan,
                seconds=seconds,
            )
            if light is not None or record.checkpoint_due or report.epoch == epochs:
                kept = {"agreement": np.empty(0)} if light is None else light.state()
                record.checkpoint(**trainer.state(), seconds=seconds, **kept)

    def _judged(self, rbm: RBM, last: bool, bench: Bench, by_light: bool) -> Standing:
        if not by_light:
            return self.judge.standing(rbm, careful=last)
        return while_renewing(bench.renew, lambda: self.judge.standing(rbm, careful=last))

    def conclude(self, results: dict[str, Any], parameters: TrainParameters, record: Recorder) -> dict[str, Any]:
        """Compare, keep the machine, draw."""
        p, rbm, data = parameters, self.trainer.rbm, self.data
        curve = {name: record.series(name) for name in _SERIES}
        found = {name: float(series[-1]) for name, series in curve.items() if series is not None and name != "epoch"}
        path = record.path.with_name(f"{record.path.stem}-model.npz")
        rbm.save(path)
        for name, value in (("W", rbm.weights), ("a", rbm.visible_bias), ("b", rbm.hidden_bias)):
            record.save(name, value)
        updates = len(data.spins) // self.settings.batch_size * self.settings.epochs
        values = {
            **found,
            "log_likelihood_independent": independent_log_likelihood(data),
            "likelihood": "annealed" if found["effective_runs"] == found["effective_runs"] else "exact",
            "epochs": self.settings.epochs,
            "updates": updates,
            "images": len(data.spins),
            "data": data.origin,
            **results,
            "model": str(path),
            "model_id": rbm.content_id,
        }
        if len(self.exact_curves):
            values |= compared(found["log_likelihood"], self.exact_curves[:, -1], values["log_likelihood_independent"])
        picture = record.picture("training")
        draw_training(
            picture, rbm, data, self._samples(rbm, p, record.seed), curve, self.judged_after, self.exact_curves,
            f"{record.name}: {self.settings.method}, {rbm.n_visible} x {rbm.n_hidden} spins, chains by "
            f"{'light' if results else 'arithmetic'}",
        )  # fmt: skip
        record.console.done(
            f"{found['log_likelihood']:.3f} ± {found['log_likelihood_err']:.3f} nats per image after "
            f"{self.settings.epochs} epochs, {found['seconds']:.0f} s"
        )
        if "relative_difference" in values:
            record.console.done(
                f"by arithmetic {values['log_likelihood_exact_training']:.3f}, scatter of seeds "
                f"{values['log_likelihood_exact_training_sd']:.3f}: {values['relative_difference']:.2%} apart"
            )
        record.console.say(f"picture: {picture}")
        return {**values, "picture": str(picture)}

    def _samples(self, rbm: RBM, p: TrainParameters, seed: int) -> NDArray[np.int8]:
        """Images of the machine, by arithmetic from random starts."""
        rng = np.random.default_rng([seed, 3])
        starts = rng.choice(np.array([-1, 1], np.int8), (_PICTURED, rbm.n_visible))
        machine = rbm.weights, rbm.visible_bias, rbm.hidden_bias
        return np.asarray(gibbs_chain_visible(*machine, starts, _PICTURE_ITERATIONS, p.temperature, rng)[-1])


_SERIES = (
    "epoch", "log_likelihood", "log_likelihood_err", "log_likelihood_held_out", "log_likelihood_held_out_err",
    "reconstruction_error", "effective_runs", "moment_gap", "seconds",
)  # fmt: skip
_NOT_JUDGED = Standing(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)


def check_together(p: TrainParameters, settings: TrainingSettings) -> None:
    """Raise ConfigurationError unless chains, and images that go by light, too, make whole groups."""
    together = p.together or settings.n_chains
    groups = [("chains", settings.n_chains)]
    if p.positive == "photonic":
        groups.append(("batch", settings.batch_size))
    for name, count in groups:
        if count % together:
            raise ConfigurationError(f"{name}: {count}; allowed: a multiple of together={together}, measured at once")


def independent_log_likelihood(data: TrainingData) -> float:
    """Of the best machine without couplings: nats per training image if each spin had its mean, and no more."""
    up = 0.5 * (1.0 + data.spins.mean(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.nansum(up * np.log(up) + (1 - up) * np.log(1 - up)))


def compared(in_situ: float, exact: NDArray[np.float64], independent: float) -> dict[str, float]:
    """Log-likelihoods of training in situ and by arithmetic (seeds,), as results."""
    mean = float(exact.mean())
    return {
        "log_likelihood_exact_training": mean,
        "log_likelihood_exact_training_sd": float(exact.std(ddof=1)) if len(exact) > 1 else math.nan,
        "relative_difference": abs(in_situ - mean) / abs(mean),
        "share_of_gain": (in_situ - independent) / (mean - independent),
    }

"""`prbm.music`: tunes by photonic Gibbs sampling of an RNN-RBM, whose fields follow what was played (arXiv 2508.20472,
Sec. IV; the model is that of arXiv 1206.6392)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, ConfigurationError, Protocol, Recorder
from protocols.prbm.light.readout import SamplingParameters
from protocols.prbm.light.sampling import sampler_on
from protocols.prbm.light.table import TABLE_ROLES
from protocols.prbm.light.tap import PowerTap
from protocols.prbm.music.compose import Player, compose, compose_exactly
from protocols.prbm.music.conditioned import ConditionedLayers
from protocols.prbm.music.judging import Distances, judge, unigram
from protocols.prbm.music.likelihood import HeldOutSteps, StepLikelihood, gain, step_likelihood
from protocols.prbm.music.midi import read_midi, write_midi
from protocols.prbm.music.model import RnnRbm
from protocols.prbm.music.pictures import draw_histograms, draw_rolls
from protocols.prbm.music.training import MusicTraining, train
from protocols.prbm.music.tunes import HELD_OUT, KEYS, Tunes, load_tunes

_USUAL = MusicTraining()
_EVALUATED = (0, 1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 90, 135, 200)
"""Epochs after which the likelihood is estimated, and after the last one."""

_OF_STEPS = tuple(f.name for f in fields(StepLikelihood))


class MusicParameters(SamplingParameters):
    """What is trained, what is played and how it is measured."""

    model: Path | None = Field(None, description="trained model (.npz); without one it is trained")
    data: Path | None = Field(None, description="folder of ABC files; without one LABCTL_DATA's Nottingham tunes")
    songs: int = Field(1000, ge=1, le=100000, description="tunes to train on, at most; 34 others are held out")
    epochs: int = Field(_USUAL.epochs, ge=1, le=100000, description="the paper's are 200")
    batches: int = Field(_USUAL.batches, ge=1, description="updates in each epoch; the paper's are 10")
    gibbs_steps: int = Field(_USUAL.gibbs_steps, ge=1, le=1000, description="of the negative chains: CD-15")
    learning_rate: float = Field(_USUAL.learning_rate, gt=0, description="of Adam")
    misheard: float = Field(
        _USUAL.misheard, ge=0, le=1, description="share of wrong keys the network hears in training"
    )
    units: int = Field(_USUAL.units, ge=1, le=2000, description="of the recurrent network")
    pieces: int = Field(2, ge=1, le=1000, description="played side by side, in the same patterns as far as bands go")
    steps: int = Field(150, ge=2, le=100000, description="quavers of each piece")
    iterations: int = Field(20, ge=1, le=100000, description="of Gibbs sampling for each quaver")
    judged: int = Field(50, ge=2, le=10000, description="pieces by arithmetic, and of the baseline, to compare with")
    likelihood_steps: int = Field(10, ge=1, le=1000, description="of each held-out tune, at which ln P is estimated")


@dataclass(frozen=True)
class _Learned:
    """The model, and the held-out likelihood after some epochs."""

    model: RnnRbm
    epochs: list[int]
    likelihoods: list[StepLikelihood]


class Music(Protocol):
    """Pieces of music from a model of 88 keys and 96 hidden spins; a MIDI file for each, a piano roll, histograms.

    Values: log_likelihood (mean ln P per time step of held-out tunes, nats, a list over log_likelihood_epochs) with
    _err, its gain from before to after training with _err; js_KIND_light (or _arithmetic), js_KIND_exact and
    js_KIND_unigram with _err, Jensen-Shannon distances from the held-out tunes of the pieces, of pieces by arithmetic
    and of a baseline that draws every key by its frequency in the training tunes, for the histograms of
    `protocols.prbm.music.judging`; better_KIND, the baseline's distance less the pieces', with _err; r, slope and rms
    error of the local fields; field_spins, macro-pixels that share a field, and limited_fields, how many fields were
    larger than these show. The model is beside the run file, for ``--set model=``.
    """

    Parameters = MusicParameters
    roles = TABLE_ROLES
    alignments = ("prbm",)

    def bench_overrides(self, parameters: MusicParameters) -> Mapping[str, object]:
        """noise=off asks for the ideal table."""
        return parameters.overrides

    def prepare(self, parameters: MusicParameters, record: Recorder) -> None:
        """Read the tunes; train or load the model, or take that of the run which is resumed."""
        p = parameters
        with record.console.progress("reading tunes", p.songs + HELD_OUT) as advance:
            self.tunes = load_tunes(p.songs, p.data, progress=advance)
        record.console.done(f"{len(self.tunes.train):,} tunes, {HELD_OUT} held out, from {self.tunes.origin}")
        self.learned = _resumed(record) or _learned(p, self.tunes, record)
        _keep(record, self.learned)
        self.model_file = p.model or record.path.with_name(f"{record.path.stem}-model.npz")
        if p.model is None:
            self.learned.model.save(self.model_file)
        self.layers = ConditionedLayers.heard_in(self.learned.model, p.pieces, self.tunes.train)
        # Everything by arithmetic has random numbers of its own: the comparison is not part of the run.
        rng = np.random.default_rng([record.seed, 1])
        exact = compose_exactly(self.learned.model, p.judged, p.steps, p.iterations, rng)
        self.judged = {
            "exact": judge(list(exact), self.tunes.held_out, rng),
            "unigram": judge(unigram(self.tunes.train, p.judged, p.steps, rng), self.tunes.held_out, rng),
        }
        record.console.done(f"{p.judged} pieces played by arithmetic, for comparison")

    def run(self, bench: Bench, parameters: MusicParameters, record: Recorder) -> dict[str, Any]:
        """Play."""
        p, layers = parameters, self.layers
        player = Player(self.learned.model, layers, sampler_on(bench, layers.silent(), 1.0, p))
        earlier = record.series("source_power_w") if record.resumed is not None else None
        tap = PowerTap(bench, earlier)
        self.pieces = compose(player, p.steps, p.iterations, record, tap)
        agreement = player.sampler.agreement
        return {
            "pieces": p.pieces,
            "steps": p.steps,
            "iterations": p.iterations,
            "r": agreement.r,
            "slope": agreement.slope,
            "rms": agreement.rms,
            "field_spins": layers.field_spins,
            **tap.results(),
        }

    def conclude(self, results: dict[str, Any], parameters: MusicParameters, record: Recorder) -> dict[str, Any]:
        """Write MIDI, judge, draw."""
        p, tunes = parameters, self.tunes
        by = "light" if p.sampler == "photonic" else "arithmetic"
        record.save("pieces", self.pieces)
        limited = record.series("limited_fields")
        files = []
        for k, piece in enumerate(self.pieces):
            file = record.path.with_name(f"{record.path.stem}-{k + 1}.mid")
            write_midi(file, piece)
            if not np.array_equal(read_midi(file), piece):
                raise ConfigurationError(f"{file} does not read back as the piece that was written")
            files.append(str(file))
        rng = np.random.default_rng([record.seed, 2])
        played = judge(list(self.pieces), tunes.held_out, rng)
        values = _likelihood_values(self.learned)
        for name, distances in ((by, played), *self.judged.items()):
            for kind, value in distances.value.items():
                values[f"js_{kind}_{name}"] = value
                values[f"js_{kind}_{name}_err"] = distances.error[kind]
        for kind in played.value:
            values[f"better_{kind}"] = self.judged["unigram"].value[kind] - played.value[kind]
            values[f"better_{kind}_err"] = math.hypot(self.judged["unigram"].error[kind], played.error[kind])
        rolls, histograms = record.picture("roll"), record.picture("histograms")
        draw_rolls(rolls, list(self.pieces), [f"piece {k + 1}, by {by}" for k in range(p.pieces)])
        names = {
            f"{p.pieces} by {by}": played,
            f"{p.judged} by plain arithmetic": self.judged["exact"],
            f"{p.judged} of single notes": self.judged["unigram"],
        }
        draw_histograms(histograms, names, judge(tunes.held_out, tunes.held_out, rng), values)
        record.console.done(_summary(played, self.judged["unigram"], values, results["r"]))
        for written in (str(rolls), str(histograms), *files):
            record.console.say(f"written: {written}")
        values["limited_fields"] = 0 if limited is None else int(limited.sum())
        return {**values, **results, "data": tunes.origin, "model": str(self.model_file), "midi": files, "by": by}


def _learned(p: MusicParameters, tunes: Tunes, record: Recorder) -> _Learned:
    """The model that is named, or one trained now, with its likelihood."""
    held_out = HeldOutSteps.of(tunes.held_out, p.likelihood_steps)

    def likelihood(model: RnnRbm) -> StepLikelihood:
        # The same random numbers for every model: what is compared should differ in the model alone.
        return step_likelihood(model, held_out, np.random.default_rng([record.seed, 3]))

    if p.model is not None:
        model = RnnRbm.load(p.model)
        if model.n_visible != KEYS:
            raise ConfigurationError(f"model {p.model}: {model.n_visible} visible spins; a piano has {KEYS} keys")
        return _Learned(model, [0], [likelihood(model)])
    settings = MusicTraining(
        epochs=p.epochs,
        batches=min(p.batches, len(tunes.train)),
        units=p.units,
        gibbs_steps=p.gibbs_steps,
        learning_rate=p.learning_rate,
        misheard=p.misheard,
        seed=record.seed,
    )
    epochs, likelihoods = [], []
    with record.console.progress("training", p.epochs) as advance:
        for epoch, model in enumerate(train(tunes.train, settings)):
            if epoch in _EVALUATED or epoch == p.epochs:
                epochs.append(epoch)
                likelihoods.append(likelihood(model))
                record.console.note(f"held-out ln P = {likelihoods[-1].value:.2f} per quaver")
            if epoch:
                advance()
    record.console.done(f"RNN-RBM trained, {p.epochs} epochs: held-out ln P {likelihoods[-1].value:.2f} per quaver")
    return _Learned(model, epochs, likelihoods)


def _keep(record: Recorder, learned: _Learned) -> None:
    """The model into the run file, and its likelihood: a resumed run needs both."""
    for f in fields(RnnRbm):
        record.save(f"model_{f.name}", getattr(learned.model, f.name))
    record.save("likelihood_epochs", np.array(learned.epochs))
    for name in _OF_STEPS:
        record.save(f"likelihood_{name}", np.array([getattr(found, name) for found in learned.likelihoods]))


def _resumed(record: Recorder) -> _Learned | None:
    if record.resumed is None:
        return None
    model = RnnRbm(**{f.name: _saved(record, f"model_{f.name}") for f in fields(RnnRbm)})
    epochs = [int(epoch) for epoch in _saved(record, "likelihood_epochs")]
    kept = zip(*(_saved(record, f"likelihood_{name}") for name in _OF_STEPS), strict=True)
    return _Learned(model, epochs, [StepLikelihood(*of_steps) for of_steps in kept])


def _saved(record: Recorder, name: str) -> NDArray[Any]:
    found = record.saved(name)
    if found is None:
        raise ConfigurationError(f"{record.path} has no {name}: it cannot be resumed; begin it anew with --anew")
    return found


def _likelihood_values(learned: _Learned) -> dict[str, Any]:
    values: dict[str, Any] = {
        "log_likelihood": [found.value for found in learned.likelihoods],
        "log_likelihood_err": [found.error for found in learned.likelihoods],
        "log_likelihood_epochs": learned.epochs,
    }
    if len(learned.likelihoods) > 1:
        more, error = gain(learned.likelihoods[0], learned.likelihoods[-1])
        values |= {"log_likelihood_gain": more, "log_likelihood_gain_err": error}
    return values


def _summary(played: Distances, baseline: Distances, values: Mapping[str, Any], r: float) -> str:
    kinds = ", ".join(
        f"{kind} {played.value[kind]:.2f} (unigram {baseline.value[kind]:.2f})"
        for kind in ("degrees", "melody", "harmony")
    )
    return f"distances from held-out tunes: {kinds}; r = {r:.4f}"

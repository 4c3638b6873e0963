"""Playing an RNN-RBM by light: one chord after the other, each drawn in the fields that what was played left behind."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.client import Recorder
from protocols.prbm.light.sampling import ExactSampler, PhotonicSampler
from protocols.prbm.light.tap import PowerTap
from protocols.prbm.music.conditioned import ConditionedLayers
from protocols.prbm.music.model import FloatArray, RnnRbm


class Player:
    """A model that plays several pieces side by side, its spins drawn by a sampler of its layers."""

    def __init__(self, model: RnnRbm, layers: ConditionedLayers, sampler: ExactSampler) -> None:
        self.model = model
        self.pieces = layers.pieces
        self.units: FloatArray = np.zeros((self.pieces, model.n_units))
        """What was played so far, as the recurrent network keeps it."""
        self.sampler = sampler
        self.layers = layers

    def play(self, iterations: int, rng: np.random.Generator) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """The next chord of every piece, by Gibbs sampling from random spins: visible (pieces, N_v), hidden (pieces,
        N_h). Of what is encoded, the fields' macro-pixels alone change from one chord to the next.
        """
        self.sampler.reprogram(self.layers.layers(*self.model.fields(self.units)))
        visible = rng.choice(np.array([-1, 1], np.int8), (self.pieces, self.model.n_visible))
        for _ in range(iterations):
            hidden = self._drawn("hidden", visible, rng)
            visible = self._drawn("visible", hidden, rng)
        self.units = self.model.advance(self.units, visible)
        return visible, hidden

    def _drawn(self, name: str, others: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int8]:
        return self.sampler.sample(name, self.layers.given(name, others), rng).reshape(self.pieces, -1)


def compose(player: Player, steps: int, iterations: int, record: Recorder, tap: PowerTap) -> NDArray[np.int8]:
    """Pieces (pieces, steps, N_v), each chord by ``iterations`` of Gibbs sampling from random spins.

    Every time step is a step of the run file: both layers, pattern ids and exposures of the last iteration, and the
    power at the tap. A resumed run goes on with the time step after its checkpoint.
    """
    photonic = isinstance(player.sampler, PhotonicSampler)
    played = np.zeros((player.pieces, steps, player.model.n_visible), np.int8)
    done = record.series("visible")
    if record.resumed is not None and done is not None:
        player.sampler.restore(record)
        for t, chord in enumerate(done):
            played[:, t] = chord
            player.units = player.model.advance(player.units, chord)
    label = f"playing {player.pieces} pieces by {'light' if photonic else 'arithmetic'}"
    for step in record.steps(steps, label):
        if step.index:
            player.sampler.refresh()
        limited = player.layers.limited
        visible, hidden = player.play(iterations, record.rng)
        played[:, step.index] = visible
        last = player.sampler.last
        step.save(
            visible=visible,
            hidden=hidden,
            limited_fields=player.layers.limited - limited,
            pattern_ids=np.array(last.pattern_ids if last else (-1, -1), np.int64),
            exposure_s=last.exposure_s if last else 0.0,
            source_power_w=tap.read_w() if photonic else math.nan,
        )
        if record.checkpoint_due:
            record.checkpoint(**player.sampler.state())
        step.note(f"quaver {step.index + 1}, r = {player.sampler.agreement.r:.3f}")
    return played


def compose_exactly(
    model: RnnRbm, pieces: int, steps: int, iterations: int, rng: np.random.Generator
) -> NDArray[np.int8]:
    """The same by arithmetic, for many pieces at once: (pieces, steps, N_v)."""
    from protocols.prbm.music.training import chains

    couplings = model.weights.astype(np.float32)
    units = np.zeros((pieces, model.n_units))
    played = np.empty((pieces, steps, model.n_visible), np.int8)
    for t in range(steps):
        a, b = (fields.astype(np.float32) for fields in model.fields(units))
        start = 2.0 * rng.integers(0, 2, a.shape).astype(np.float32) - 1.0
        visible = chains(couplings, a, b, start, iterations, rng)
        played[:, t] = visible
        units = model.advance(units, played[:, t])
    return played

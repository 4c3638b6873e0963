"""Training an RNN-RBM: contrastive divergence at every time step, its gradient taken back through time, Adam.

The recipe is that of arXiv 2508.20472 (CD-15, Adam 0.001), the gradient that of arXiv 1206.6392, section 4: with the
chains' ends v* held fixed, CD descends the mean over time steps of F(v) - F(v*), F the free energy, which is a plain
function of the parameters. It is written out in numpy: the recurrent network is five lines forward and eight back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl.client import ConfigurationError
from protocols.prbm.music.model import RnnRbm, shapes_of

Float32 = NDArray[np.float32]

NAMES = tuple(f.name for f in fields(RnnRbm))
"""Parameters, in the order of the model's arrays."""

RAREST = 1e-4
"""Least probability of a key that visible fields begin with: a key that is never heard would begin at infinity."""

_FRAMES_AT_A_TIME = 512
"""Chains run side by side; as many as stay in the processor's cache."""


@dataclass(frozen=True)
class MusicTraining:
    """How to train. Chains, rate and hidden spins are the paper's; in place of its 200 epochs of 10 batches there are
    more and smaller updates in fewer epochs, since it is the chains of an epoch that take the time.
    """

    epochs: int = 24
    batches: int = 200
    """Updates per epoch, each on its share of the tunes."""
    n_hidden: int = 96
    units: int = 150
    gibbs_steps: int = 15
    misheard: float = 0.05
    """Share of the spins the recurrent network listens to that are drawn anew, by the keys' frequencies. When it plays
    it hears its own wrong notes, and a network that never heard any takes each for a change of key.
    """
    learning_rate: float = 0.001
    """Falls linearly to zero over the epochs: at a constant rate the couplings stay noisy."""
    initial_std: float = 0.01
    largest_gradient: float = 10.0
    """Longer gradients are shortened to this: the network's past may make them explode."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batches", "n_hidden", "units", "gibbs_steps"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"training {name}: {getattr(self, name)}; allowed: 1 or more")
        if not 0.0 <= self.misheard <= 1.0:
            raise ConfigurationError(f"training misheard: {self.misheard}; allowed: 0 to 1")
        for name in ("learning_rate", "initial_std", "largest_gradient"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ConfigurationError(f"training {name}: {getattr(self, name)}; allowed: a positive number")


def train(rolls: Sequence[NDArray[np.int8]], settings: MusicTraining) -> Iterator[RnnRbm]:
    """The model before training, then after every epoch.

    rolls: each (steps, N_v) of ±1. The same rolls, settings and computer give the same models. Linear algebra uses one
    thread. Raises ConfigurationError for fewer rolls than batches.
    """
    if len(rolls) < settings.batches:
        raise ConfigurationError(f"{len(rolls)} tunes in {settings.batches} batches: one tune per batch is the least")
    rng = np.random.Generator(np.random.SFC64(settings.seed))
    played = np.concatenate(rolls).mean(axis=0)
    parameters = start(played, settings, rng)
    adam = Adam(parameters)
    yield model_of(parameters)
    for epoch in range(settings.epochs):
        with threadpool_limits(limits=1, user_api="blas"):
            for k, share in enumerate(np.array_split(rng.permutation(len(rolls)), settings.batches)):
                done = (epoch + k / settings.batches) / settings.epochs
                v, heard = padded([rolls[tune] for tune in share])
                listened = misheard(v, played, settings.misheard, rng)
                gradient = cd_gradient(parameters, v, heard, listened, settings.gibbs_steps, rng)
                norm = math.sqrt(sum(float((g * g).sum()) for g in gradient.values()))
                shorter = min(1.0, settings.largest_gradient / max(norm, 1e-12))
                adam.descend(gradient, settings.learning_rate * (1.0 - done), shorter)
        yield model_of(parameters)


def start(played: NDArray[np.float64], settings: MusicTraining, rng: np.random.Generator) -> dict[str, Float32]:
    """Small random couplings, orthogonal ones in the network; visible fields at the log-odds of mean spins ``played``
    (N_v,), others zero.
    """
    shapes = shapes_of(len(played), settings.n_hidden, settings.units)
    parameters = {
        name: np.asarray(settings.initial_std * rng.standard_normal(shape, np.float32))
        if len(shape) == 2
        else np.zeros(shape, np.float32)
        for name, shape in zip(NAMES, shapes, strict=True)
    }
    parameters["visible_bias"] = np.arctanh(np.clip(played, 2 * RAREST - 1, 1 - 2 * RAREST)).astype(np.float32)
    # Orthogonal couplings neither lose nor amplify what is remembered (Saxe, McClelland, Ganguli 2014).
    parameters["recurrent"] = np.linalg.qr(rng.standard_normal((settings.units,) * 2))[0].astype(np.float32)
    return parameters


def padded(rolls: Sequence[NDArray[np.int8]]) -> tuple[Float32, NDArray[np.bool_]]:
    """Rolls side by side: spins (longest, rolls, N_v), zero after each one's end, and where there are any
    (longest, rolls)."""
    longest = max(len(roll) for roll in rolls)
    v: Float32 = np.zeros((longest, len(rolls), rolls[0].shape[1]), np.float32)
    heard = np.zeros((longest, len(rolls)), bool)
    for k, roll in enumerate(rolls):
        v[: len(roll), k] = roll
        heard[: len(roll), k] = True
    return v, heard


def forward(p: dict[str, Float32], v: Float32) -> Float32:
    """Units before every step, (steps, rolls, units): the first are zero."""
    u: Float32 = np.zeros((*v.shape[:2], len(p["unit_bias"])), v.dtype)
    driven = v @ p["from_visible"] + p["unit_bias"]
    for t in range(1, len(v)):
        u[t] = np.tanh(driven[t - 1] + u[t - 1] @ p["recurrent"])
    return u


def misheard(v: Float32, played: NDArray[np.float64], share: float, rng: np.random.Generator) -> Float32:
    """A copy of ``v`` (..., N_v) in which a share of the spins is drawn anew, with means ``played`` (N_v,)."""
    listened = v.copy()
    anew = rng.random(v.shape, np.float32) < share
    listened[anew] = np.where(rng.random(v.shape, np.float32) < (1 + played) / 2, 1, -1)[anew]
    return listened


def cd_gradient(
    p: dict[str, Float32],
    v: Float32,
    heard: NDArray[np.bool_],
    listened: Float32,
    gibbs_steps: int,
    rng: np.random.Generator,
) -> dict[str, Float32]:
    """Gradient of the mean of F(v) - F(v*) over the steps that are heard, v* drawn by CD from v."""
    u = forward(p, listened)
    a = u[heard] @ p["to_visible"] + p["visible_bias"]
    b = u[heard] @ p["to_hidden"] + p["hidden_bias"]
    negative = chains(p["weights"], a, b, v[heard], gibbs_steps, rng)
    return gradient_given(p, v[heard], negative, heard, listened, u)


def gradient_given(
    p: dict[str, Float32],
    positive: Float32,
    negative: Float32,
    heard: NDArray[np.bool_],
    listened: Float32,
    u: Float32,
) -> dict[str, Float32]:
    """The same for v and v* (heard steps, N_v), of a network whose units were ``u`` as it ``listened``.

    F(v) = -a·v - Σ_j ln 2cosh(b_j + Σ_i W_ij v_i), so dF/da = -v and dF/db = -tanh(...).
    """
    past, n = u[heard], np.float32(len(positive))
    b = past @ p["to_hidden"] + p["hidden_bias"]
    h_positive, h_negative = np.tanh(positive @ p["weights"] + b), np.tanh(negative @ p["weights"] + b)
    to_a, to_b = (negative - positive) / n, (h_negative - h_positive) / n
    g = {
        "weights": (negative.T @ h_negative - positive.T @ h_positive) / n,
        "visible_bias": to_a.sum(axis=0),
        "hidden_bias": to_b.sum(axis=0),
        "to_visible": past.T @ to_a,
        "to_hidden": past.T @ to_b,
    }
    to_u = np.zeros_like(u)
    to_u[heard] = to_a @ p["to_visible"].T + to_b @ p["to_hidden"].T
    to_drive = np.zeros_like(u)  # of tanh's argument, by the step whose spins are in it
    for t in range(len(u) - 1, 0, -1):
        to_drive[t - 1] = to_u[t] * (1 - u[t] ** 2)
        to_u[t - 1] += to_drive[t - 1] @ p["recurrent"].T
    flat = to_drive.reshape(-1, to_drive.shape[2])
    g["unit_bias"] = flat.sum(axis=0)
    g["from_visible"] = listened.reshape(len(flat), -1).T @ flat
    g["recurrent"] = u.reshape(flat.shape).T @ flat
    return g


def chains(W: Float32, a: Float32, b: Float32, v: Float32, gibbs_steps: int, rng: np.random.Generator) -> Float32:
    """Visible spins (n, N_v) after ``gibbs_steps`` iterations from ``v``, each row with its fields a (n, N_v), b."""
    end = np.empty_like(v)
    for first in range(0, len(v), _FRAMES_AT_A_TIME):
        rows = slice(first, first + _FRAMES_AT_A_TIME)
        visible, own, others = v[rows].copy(), a[rows], b[rows]
        hidden, u_hidden, u_visible = np.empty_like(others), np.empty_like(others), np.empty_like(own)
        for _ in range(gibbs_steps):
            np.matmul(visible, W, out=hidden)
            hidden += others
            _draw(hidden, u_hidden, rng)
            np.matmul(hidden, W.T, out=visible)
            visible += own
            _draw(visible, u_visible, rng)
        end[rows] = visible
    return end


def _draw(fields: Float32, uniform: Float32, rng: np.random.Generator) -> None:
    """Spins in the place of their fields: +1 where 2u - 1 does not exceed the mean tanh L.

    Whole arrays at a time, since numpy's tanh takes a fortieth of the time of one number's exponential.
    """
    rng.random(out=uniform, dtype=np.float32)
    uniform *= 2.0
    uniform -= 1.0
    np.tanh(fields, out=fields)
    fields -= uniform
    np.copysign(np.float32(1.0), fields, out=fields)


class Adam:
    """Steps of a size that follows each parameter's gradients (Kingma, Ba 2015, algorithm 1)."""

    def __init__(self, parameters: dict[str, Float32]) -> None:
        self._parameters, self._steps = parameters, 0
        self._mean = {name: np.zeros_like(p) for name, p in parameters.items()}
        self._square = {name: np.zeros_like(p) for name, p in parameters.items()}

    def descend(self, gradient: dict[str, Float32], rate: float, scale: float = 1.0) -> None:
        """One step against ``scale`` times the gradient, in place."""
        self._steps += 1
        for name, g in gradient.items():
            mean, square = self._mean[name], self._square[name]
            mean += 0.1 * (scale * g - mean)
            square += 0.001 * ((scale * g) ** 2 - square)
            unbiased = square / (1 - 0.999**self._steps)
            self._parameters[name] -= rate / (1 - 0.9**self._steps) * mean / (np.sqrt(unbiased) + 1e-8)


def model_of(parameters: dict[str, Float32]) -> RnnRbm:
    """The parameters as a model of its own."""
    return RnnRbm(**{name: p.astype(np.float64) for name, p in parameters.items()})

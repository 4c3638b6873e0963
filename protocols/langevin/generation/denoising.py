"""Denoising: units at rest are let go with trained couplings; what they show, and the heat of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Recorder
from protocols.langevin.computer import BoardComputer, Computer, Stage
from protocols.langevin.model import Trained
from simulators.physics.langevin.potential import energy

Array = NDArray[np.float64]
Readings = NDArray[np.float32]

REST = 0.5
"""Time (1/mu) without couplings before: single units of J2 = J4 = 10 forget within 0.05."""
TOGETHER = 128
"""Trajectories of a step of the run."""


def stages_of(trained: Trained, times: Sequence[float], held: bool = False) -> list[Stage]:
    """Rest, then the trained computer, read at ``times`` of its trajectory; 0 is the end of the rest. held: a reading
    before, while units are still held at 0."""
    none = np.zeros(len(trained.b))
    return [
        Stage(REST, None, none, (0.0,) if held else ()),
        Stage(trained.duration, trained.J, trained.b, tuple(times)),
    ]


def heat_of(trained: Trained, x: Readings) -> Array:
    """Q = V(x(0)) - V(x(t_f)) (trajectories,) of states x (trajectories, times, N), k_BT: no work is done meanwhile."""
    units, J = trained.units, trained.J.astype(np.float64)
    first, last = (energy(x[:, k].astype(np.float64), units, J, trained.b) for k in (0, -1))
    return np.asarray(first - last)


def heat_of_noise(trained: Trained, x: Readings, noise: Array) -> Array:
    """By how much `heat_of` readings x is too large on average (trajectories,), k_BT, where these have noise of
    variance ``noise`` (N,) independent of x: <(x + n)^4> = x^4 + 6 x² <n²> + <n^4>, and all else is the same at both
    ends."""
    first, last = (x[:, k].astype(np.float64) ** 2 for k in (0, -1))
    return np.asarray(6 * trained.J4 * (first - last) @ noise)


def correlations(shown: NDArray[Any], images: Array) -> Array:
    """Of what units show (n, pixels) with images (m, pixels) of mean 0 and variance 1: (n, m)."""
    x = np.asarray(shown, np.float64)
    x = x - x.mean(axis=1, keepdims=True)
    spread = np.maximum(x.std(axis=1, keepdims=True), 1e-300)
    return np.asarray(x / spread @ images.T / images.shape[1])


@dataclass(frozen=True, eq=False)
class Judged:
    """By trajectory: the image it is most like, how like (|correlation|), and whether it is its negative."""

    nearest: NDArray[np.int64]
    likeness: Array
    inverted: NDArray[np.bool_]


def judged(shown: NDArray[Any], images: Array) -> Judged:
    """See `Judged`; the energy of units without biases does not tell an image from its negative."""
    found = correlations(shown, images)
    nearest = np.abs(found).argmax(axis=1)
    best = found[np.arange(len(found)), nearest]
    return Judged(nearest, np.abs(best), best < 0)


def described(j: Judged, heat: Array, images: int) -> dict[str, Any]:
    """Values of many trajectories."""
    n = len(heat)
    shares = np.bincount(j.nearest, minlength=images) / n
    return {
        "correlation": float(j.likeness.mean()),
        "correlation_sd": float(j.likeness.std(ddof=1)),
        "correlation_err": float(j.likeness.std(ddof=1)) / n**0.5,
        "like": float((j.likeness >= 0.8).mean()),
        "shares": shares.tolist(),
        "smallest_share": float(shares.min()),
        "inverted": float(j.inverted.mean()),
        "heat": float(heat.mean()),
        "heat_err": float(heat.std(ddof=1)) / n**0.5,
        "heat_sd": float(heat.std(ddof=1)),
        "heat_sd_err": _sd_err(heat),
        "trajectories": n,
    }


def _sd_err(values: Array) -> float:
    """Standard error of the standard deviation, from the fourth moment."""
    centred = values - values.mean()
    variance = float((centred**2).mean())
    if variance == 0:
        return 0.0
    return float(np.sqrt(max(float((centred**4).mean()) - variance**2, 0.0) / len(values)) / (2 * variance**0.5))


def denoise(computer: Computer, trained: Trained, count: int, times: Sequence[float], record: Recorder) -> None:
    """Run ``count`` trajectories, some in each step; series ``x`` (steps, TOGETHER, times, visible units) and
    ``heat`` (steps, TOGETHER). The run resumes with the step after the last one; the last may have more than are
    asked for.

    On a board heat is that of the program as it was rounded, less what noise of readings makes of it: they are read
    once while units are held. Series then have also ``read_noise``, rms, ``heat_of_noise`` (k_BT) and ``beyond``.
    """
    board = computer if isinstance(computer, BoardComputer) else None
    stages = stages_of(trained, times, held=board is not None)
    together = min(TOGETHER, count)
    for step in record.steps(-(-count // together), "denoising"):
        x = computer.run(stages, together)
        if board is None:
            step.save(x=x[:, :, : trained.visible], heat=heat_of(trained, x))
        else:
            noise, x = x[:, 0].var(axis=0, dtype=np.float64, ddof=1), x[:, 1:]
            program = trained.programmed(board.programmed[-1].couplings, board.programmed[-1].biases)
            of_noise = heat_of_noise(trained, x, noise)
            step.save(
                x=x[:, :, : trained.visible], heat=heat_of(program, x) - of_noise, read_noise=noise.mean() ** 0.5,
                heat_of_noise=of_noise.mean(), beyond=board.beyond,
            )  # fmt: skip
        record.checkpoint()


def on_board(record: Recorder) -> dict[str, float]:
    """What `denoise` found of a board: `read_noise`, rms of x; `heat_of_noise`, which is left out of heat, k_BT;
    `beyond`, the share of readings at the converter's end."""
    found = {name: record.series(name) for name in ("read_noise", "heat_of_noise", "beyond")}
    return {name: float(np.mean(series)) for name, series in found.items() if series is not None}


def seen(record: Recorder, count: int) -> tuple[Readings, Array]:
    """What `denoise` kept: (count, times, visible units), and heat (count,)."""
    x, heat = np.asarray(record.series("x")), np.asarray(record.series("heat"))
    return x.reshape(-1, *x.shape[2:])[:count], heat.reshape(-1)[:count]


TRAJECTORIES = Field(256, ge=2, le=10**6, description="of denoising")

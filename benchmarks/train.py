"""One update of the paper's CD-1 (196 x 196 spins, 20 images), beside the plain recipe and scikit-learn's BernoulliRBM.

All are timed by turns in the same process, on one core: epochs of 1,000 images, of which one update is a fiftieth.
scikit-learn's is persistent CD-1 without momentum or decay, on spins 0 and 1, in the single precision it keeps; its
own per-epoch report is off.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neural_network import BernoulliRBM

from protocols.prbm.training.contrastive import PAPER_SETTINGS
from protocols.prbm.training.trainer import Arithmetic, FastTrainer, PlainTrainer

_IMAGES = 1000
_WARM_UP = 3
_ROUNDS = 40
_EPOCHS_OF_THE_PAPER = 2000


def rows() -> list[dict[str, Any]]:
    """ratio = time of the plain recipe, or of scikit-learn, / time of the fast trainer; of the last row, to 120 s."""
    spins = np.where(np.random.default_rng(0).random((_IMAGES, 196)) < 0.3, 1, -1).astype(np.int8)
    arithmetic = Arithmetic(1.0)
    fast = FastTrainer(spins, PAPER_SETTINGS)
    plain = PlainTrainer(spins, PAPER_SETTINGS, arithmetic, arithmetic)
    peer = BernoulliRBM(n_components=196, learning_rate=0.003, batch_size=PAPER_SETTINGS.batch_size, n_iter=1)
    bits = (spins > 0).astype(np.float32)
    ways: dict[str, Callable[[], object]] = {
        "cd1-196-fast": fast.run_epoch,
        "cd1-196-plain": plain.run_epoch,
        "cd1-196-sklearn": lambda: peer.fit(bits),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(_WARM_UP + _ROUNDS):
        for name, run in ways.items():
            begun = time.perf_counter()
            run()
            if turn >= _WARM_UP:
                times[name].append((time.perf_counter() - begun) * 1e6)
    updates = _IMAGES // PAPER_SETTINGS.batch_size
    epoch_us = np.array(times["cd1-196-fast"])
    found = [_row(name, np.array(t) / updates, float(np.median(t) / np.median(epoch_us))) for name, t in times.items()]
    whole_us = epoch_us * _EPOCHS_OF_THE_PAPER
    return [*found, _row("paper-training-2000-epochs", whole_us, float(120e6 / np.median(whole_us)))]


def _row(name: str, times_us: np.ndarray[Any, Any], ratio: float) -> dict[str, Any]:
    return {
        "name": name,
        "median_us": float(np.median(times_us)),
        "p99_us": float(np.percentile(times_us, 99)),
        "ratio": ratio,
    }

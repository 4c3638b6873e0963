"""How well images were restored: accuracy over damaged pixels, against exact sampling and simple baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from protocols.prbm.images.damage import Damage, Spins, majority_image


def final_estimate(history: Spins, average: int) -> Spins:
    """What the last ``average`` iterations show most often in each pixel, (images, pixels); ties go to the last one.

    history: (images, iterations + 1, pixels), of which index 0 is the start and has no vote.
    """
    votes = history[:, 1:][:, -average:].sum(axis=1, dtype=np.int64)
    return np.where(votes == 0, history[:, -1], np.sign(votes)).astype(np.int8)


def mean_and_error(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean of values (images,) and its standard error; the error is nan for a single image."""
    n = len(values)
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")


def restoration_values(
    truth: Spins, damage: Damage, history: Spins, exact: Spins, nearest: Spins, training: Spins, average: int
) -> dict[str, Any]:
    """Mean accuracies over the images with their standard errors, and paired differences.

    truth, nearest: (images, pixels). history, exact: (images, iterations + 1, pixels). training: (n, pixels).
    """
    restored, by_arithmetic = final_estimate(history, average), final_estimate(exact, average)
    per_image = {
        "accuracy": damage.accuracy(restored, truth),
        "accuracy_last": damage.accuracy(history[:, -1], truth),
        "accuracy_exact": damage.accuracy(by_arithmetic, truth),
        "accuracy_exact_last": damage.accuracy(exact[:, -1], truth),
        "accuracy_nearest": damage.accuracy(nearest, truth),
        "accuracy_majority": damage.accuracy(majority_image(training, len(truth)), truth),
        "accuracy_damaged": damage.accuracy(damage.shown, truth),
        "accuracy_all": (restored == truth).mean(axis=1),
        "accuracy_all_exact": (by_arithmetic == truth).mean(axis=1),
        "accuracy_all_nearest": (nearest == truth).mean(axis=1),
        "accuracy_all_damaged": (damage.shown == truth).mean(axis=1),
    }
    per_image["difference_exact"] = per_image["accuracy"] - per_image["accuracy_exact"]
    per_image["difference_nearest"] = per_image["accuracy"] - per_image["accuracy_nearest"]
    values: dict[str, Any] = {}
    for name, each in per_image.items():
        values[name], values[f"{name}_err"] = mean_and_error(each)
    return values

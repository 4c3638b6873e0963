"""`nep.nonlinearity`: accuracy on digits against the nonlinearity in units of the loss (Fig. 5)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl.client import Recorder
from protocols.nep.figure import with_picture
from protocols.nep.images.baselines import LINEAR, linear
from protocols.nep.images.parameters import TrainingParameters
from protocols.nep.images.picture import draw_nonlinearity
from protocols.nep.images.trainer import standard_error
from protocols.nep.images.trainings import Training, Trainings, curves
from simulators.physics.sheet.cells import Rule

Array = NDArray[np.float64]

_ORDER = 3
_RESAMPLED = 2000


class NonlinearityParameters(TrainingParameters):
    """A reduced task: fewer images and epochs than the paper's 10,000 and 50, so that a sweep takes minutes."""

    samples: int = Field(2000, ge=10, description="training images in total over the ten digits")
    epochs: int | None = Field(12, ge=1, le=10000)
    strengths: tuple[float, ...] = Field((0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32), description="of g, swept")
    rule: Rule = Field("nep", description="the paper's nudge, the phase-conjugate one, or the exact gradient")
    cells: int = Field(15, ge=3, le=28, description="nodes a side of each of the ten cells")
    watched: int = Field(200, ge=1, description="test images judged after every epoch; after the last, all are")

    @field_validator("strengths")
    @classmethod
    def _several(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(value)) < 2 or len(set(value)) != len(value) or not all(0 <= g <= 10 for g in value):
            raise ValueError("two or more different numbers of 0 to 10, for example 0,0.02,0.04,0.08")
        return tuple(sorted(value))


class Optimum(NamedTuple):
    """Where the polynomial is highest, between 16 % and 84 % of resampled seeds; the polynomial's coefficients.

    inside: share of resamples in which it is highest within the range rather than at an end of it.
    """

    at: float
    low: float
    high: float
    inside: float
    coefficients: Array


class Nonlinearity(Trainings):
    """The strength g is swept, and what it is worth in the trained network, g<rho>/gamma, is measured.

    Values, by `strengths`: `g_rho_over_gamma`, `accuracy` and `accuracy_err` (mean of seeds on all test images, and
    its error by their scatter), `unconverged`. `optimum`: g<rho>/gamma at which a polynomial of third order in it,
    fitted to all seeds less what each is better or worse than the others, is highest in the range; `optimum_low` and
    `optimum_high` that of 68 % of fits to resampled seeds, `optimum_inside` the share of those that have it within the
    range, `accuracy_optimum`; null with fewer than four strengths. `best_measured`: g<rho>/gamma of the strength with
    the highest mean. `linear`: of a linear network.
    """

    Parameters = NonlinearityParameters

    def trainings(self, parameters: NonlinearityParameters, seed: int) -> list[Training]:
        """By strength, then by seed; the same seeds for all."""
        p = parameters
        recipe = p.told(p.rule, p.cells, "Vw")
        return [
            Training(f"g{k}", p.rule, p.cells, "Vw", recipe, seed + n, g, p.gamma, patient=True)
            for k, g in enumerate(p.strengths)
            for n in range(p.seeds)
        ]

    def conclude(self, results: dict[str, Any], parameters: NonlinearityParameters, record: Recorder) -> dict[str, Any]:
        """Average over seeds, locate the optimum, draw."""
        p, found = parameters, self.digits(self.all[0], parameters)
        seen = [curves(record, self.all, f"g{k}") for k in range(len(p.strengths))]
        ratio = np.array([s.last("g_rho_over_gamma") for s in seen])  # (strengths, seeds)
        accuracy = np.array([s.last("accuracy") for s in seen])
        with threadpool_limits(1, user_api="blas"):
            compared = linear(found.train, found.test, record.seed, LINEAR[self.all[0].recipe.encoding])
        mean_ratio, mean = ratio.mean(axis=1), accuracy.mean(axis=1)
        values: dict[str, Any] = {
            "strengths": list(p.strengths),
            "g_rho_over_gamma": mean_ratio.tolist(),
            "accuracy": mean.tolist(),
            "accuracy_err": [standard_error(row, len(found.test)) for row in accuracy],
            "accuracies": accuracy.tolist(),
            "unconverged": [float(s.series["unsettled"].mean()) / len(found.train) for s in seen],
            "best_measured": float(mean_ratio[mean.argmax()]),
            "linear": compared,
            "images": len(found.train),
            "test_images": len(found.test),
            "data": found.origin,
        }
        curve = None
        if len(p.strengths) > _ORDER:
            best = optimum(ratio, accuracy, np.random.default_rng([record.seed, 5]))
            x = np.linspace(mean_ratio.min(), mean_ratio.max(), 200)
            curve = x, np.asarray(np.polyval(best.coefficients, x), np.float64)
            values |= {
                "optimum": best.at,
                "optimum_low": best.low,
                "optimum_high": best.high,
                "optimum_inside": best.inside,
                "accuracy_optimum": float(np.polyval(best.coefficients, best.at)),
            }
            record.console.done(
                f"best at g<rho>/gamma = {best.at:.2f} ({best.low:.2f} to {best.high:.2f}): "
                f"{values['accuracy_optimum']:.2%}, without nonlinearity {mean[0]:.2%}"
            )
        else:
            values |= dict.fromkeys(("optimum", "optimum_low", "optimum_high", "optimum_inside", "accuracy_optimum"))
        title = f"ten {p.cells}x{p.cells} cells, rule {p.rule}, {len(found.train)} images, {p.seeds} seeds each"
        with_picture(record, "nonlinearity", lambda path: draw_nonlinearity(path, curve, values, title))
        return values


def optimum(ratio: Array, accuracy: Array, rng: np.random.Generator) -> Optimum:
    """Of accuracies at ratios, both (strengths, seeds): by a polynomial of third order; seeds are resampled.

    Seeds differ from each other in the same way at all strengths; that is taken away first.
    """
    seeds = ratio.shape[1]
    accuracy = accuracy - accuracy.mean(axis=0) + accuracy.mean()
    fit = np.polyfit(ratio.ravel(), accuracy.ravel(), _ORDER)
    low, high = float(ratio.mean(axis=1).min()), float(ratio.mean(axis=1).max())
    x = np.linspace(low, high, 1001)
    at = float(x[np.polyval(fit, x).argmax()])
    places = []
    for _ in range(_RESAMPLED):
        pick = rng.integers(seeds, size=ratio.shape)
        again = np.polyfit(
            np.take_along_axis(ratio, pick, 1).ravel(), np.take_along_axis(accuracy, pick, 1).ravel(), _ORDER
        )
        places.append(x[np.polyval(again, x).argmax()])
    spread = np.array(places)
    inside = float(((spread > low) & (spread < high)).mean())
    return Optimum(at, float(np.quantile(spread, 0.16)), float(np.quantile(spread, 0.84)), inside, fit)

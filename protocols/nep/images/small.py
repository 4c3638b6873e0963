"""`nep.mnist-small`: digits on ten 5x5 cells, with what is trained by turns (near-equilibrium propagation, Fig. 7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl.client import Recorder
from protocols.nep.figure import with_picture
from protocols.nep.images.baselines import LINEAR, linear
from protocols.nep.images.mnist import summary
from protocols.nep.images.network import Train
from protocols.nep.images.parameters import TrainingParameters
from protocols.nep.images.picture import draw_small
from protocols.nep.images.recipe import recipe_for
from protocols.nep.images.trainings import Training, Trainings, curves
from simulators.physics.sheet.cells import Rule

_TRAINED: tuple[Train, ...] = ("Vw", "V")


class SmallParameters(TrainingParameters):
    """Of several kinds of training on the same cells."""

    rule: Rule = Field("nep", description="the paper's nudge, the phase-conjugate one, or the exact gradient")
    cells: int = Field(5, ge=3, le=28, description="nodes a side of each of the ten cells")
    train: Train | None = Field(None, description="potential and weights, or the potential alone; null: both by turns")
    literal: bool = Field(
        True,
        description="whether the paper's own words, plain steps of 0.1, are followed, too; they heed epochs and batch",
    )


class MnistSmall(Trainings):
    """The same digits on cells of 25 nodes.

    Values by what is trained, `Vw` and `V`: `accuracy_Vw`, `accuracy_Vw_err`, `accuracies_Vw`, `unconverged_Vw`,
    `g_rho_over_gamma_Vw`, and so on; of the paper's own words, `accuracy_literal_Vw` and so on. `accuracy`,
    `accuracy_err`, `unconverged` and `g_rho_over_gamma` are those of the first kind. `linear`: of a linear network on
    the same images, encoded as for that. All as `nep.mnist` has them.
    """

    Parameters = SmallParameters

    def targets(self, parameters: SmallParameters) -> dict[str, dict[str, float]] | None:
        """Promised for the paper's cells with what was found to work."""
        if parameters != SmallParameters(data=parameters.data, seeds=parameters.seeds, threads=parameters.threads):
            return None
        return {"accuracy_Vw": {"min": 0.80}, "accuracy_V": {"min": 0.49}}

    def trainings(self, parameters: SmallParameters, seed: int) -> list[Training]:
        """By what is trained, then by seed."""
        p = parameters
        found = []
        for train in _TRAINED if p.train is None else (p.train,):
            kinds = [(str(train), p.told(p.rule, p.cells, train))]
            if p.literal and p.recipe != "paper":
                paper = recipe_for(p.rule, p.cells, train, "paper")
                paper = replace(paper, epochs=p.epochs or paper.epochs, batch=p.batch or paper.batch)
                kinds.append((f"literal_{train}", paper))
            for name, recipe in kinds:
                patient = name.startswith("literal")
                found += [
                    Training(name, p.rule, p.cells, train, recipe, seed + k, p.g, p.gamma, patient)
                    for k in range(p.seeds)
                ]
        return found

    def conclude(self, results: dict[str, Any], parameters: SmallParameters, record: Recorder) -> dict[str, Any]:
        """Average over seeds, tell and draw."""
        p, found = parameters, self.digits(self.all[0], parameters)
        names = list(dict.fromkeys(training.name for training in self.all))
        named = {name: curves(record, self.all, name) for name in names}
        values: dict[str, Any] = {}
        for name, seen in named.items():
            told = summary(seen, len(found.test), len(found.train))
            values |= {key.replace("accuracy", f"accuracy_{name}"): v for key, v in told.items() if "accuracy" in key}
            values |= {f"{key}_{name}": v for key, v in told.items() if "accuracy" not in key}
            record.console.done(f"{name}: {told['accuracy']:.2%} ± {told['accuracy_err']:.2%} of test images")
        first = summary(named[names[0]], len(found.test), len(found.train))
        kept = ("accuracy", "accuracy_err", "unconverged", "g_rho_over_gamma", "epochs")
        values |= {key: first[key] for key in kept}
        with threadpool_limits(1, user_api="blas"):
            values["linear"] = linear(found.train, found.test, record.seed, LINEAR[self.all[0].recipe.encoding])
        values |= {"images": len(found.train), "test_images": len(found.test), "data": found.origin}
        title = f"{record.name}: ten {p.cells}x{p.cells} cells, rule {p.rule}, {p.seeds} seeds"
        with_picture(record, "small", lambda path: draw_small(path, named, values, title))
        return values

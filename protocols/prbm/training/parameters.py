"""What `prbm.train` may be told: the images, the recipe and departures from it, and by what the chains go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from protocols.prbm.light.readout import SamplingParameters
from protocols.prbm.training.contrastive import IN_SITU_SETTINGS, PAPER_SETTINGS, SHORT_RUN_SETTINGS, TrainingSettings

RECIPES = {
    "paper": PAPER_SETTINGS,
    "cd-1": TrainingSettings(),
    "short-run": SHORT_RUN_SETTINGS,
    "in-situ": IN_SITU_SETTINGS,
}


class TrainParameters(SamplingParameters):
    """What is trained on what, by which recipe, and by what the chains go."""

    data: str | None = Field(
        None, description="folder of images, null: LABCTL_DATA; a file of spins (.npy, .npz); or bars-and-stripes"
    )
    classes: tuple[int | str, ...] = Field((4, 7, 9), description="of the images: digits 0 to 9, boot, pants, t-shirt")
    per_class: int | None = Field(None, ge=1, description="training images of each class; null: 1000 in all")
    size: int | None = Field(
        None, ge=2, le=28, description="pixels along one side of an image; null: 14, or 7 where chains go by light"
    )
    sampler: Literal["photonic", "exact"] = Field("exact", description="chains by light, or by arithmetic")
    positive: Literal["photonic", "exact"] = Field(
        "exact", description="hidden means of the images by light, too, or by arithmetic; for sampler=photonic"
    )
    recipe: Literal["paper", "cd-1", "short-run", "in-situ"] | None = Field(
        None, description="null: the paper's, or in-situ where chains go by light; what follows departs from it"
    )
    epochs: int | None = Field(None, ge=1, le=1000000)
    hidden: int | None = Field(None, ge=1, le=100000, description="hidden spins")
    k: int | None = Field(None, ge=1, le=100000, description="iterations of the chains in each update, as in CD-k")
    persistent: Literal["on", "off"] | None = Field(None, description="whether chains go on from update to update")
    batch: int | None = Field(None, ge=1, description="images in each update")
    chains: int | None = Field(None, ge=1, description="negative chains; from the data, as many as images in a batch")
    learning_rate: float | None = Field(None, gt=0)
    final_learning_rate: float | None = Field(
        None, ge=0, description="to which the rate falls; null: as the recipe has"
    )
    momentum: float | None = Field(None, ge=0, lt=1)
    weight_decay: float | None = Field(None, ge=0)
    fields: Literal["on", "off"] | None = Field(None, description="whether fields are learnt, too")
    temperature: float = Field(1.0, gt=0)
    together: int | None = Field(
        None, ge=1, description="chains measured in the same patterns; null: all. Fewer are quicker to simulate"
    )
    comparisons: int = Field(
        3, ge=1, le=100, description="trainings by arithmetic beside one in situ, with seeds from the run's on"
    )
    evaluations: int = Field(12, ge=2, le=10000, description="epochs after which the likelihood is worked out")
    annealing_steps: int = Field(
        1000, ge=1, description="of annealed importance sampling; up to 20 times as many at the end"
    )
    annealing_runs: int = Field(100, ge=10, description="of it; only where neither layer has 22 spins or fewer")

    @property
    def pixels(self) -> int:
        """Along one side of an image."""
        return self.size or (7 if self.sampler == "photonic" else 14)

    @property
    def recipe_name(self) -> str:
        """The recipe that was asked for, or the default of the sampler."""
        return self.recipe or ("in-situ" if self.sampler == "photonic" else "paper")

    def settings(self, seed: int) -> TrainingSettings:
        """The recipe, with what was asked for instead. Raises `ConfigurationError` for what does not fit together."""
        recipe = RECIPES[self.recipe_name]
        named = {
            "epochs": self.epochs, "n_hidden": self.hidden, "gibbs_steps": self.k, "batch_size": self.batch,
            "chains": self.chains, "learning_rate": self.learning_rate, "momentum": self.momentum,
            "final_learning_rate": self.final_learning_rate, "weight_decay": self.weight_decay,
        }  # fmt: skip
        changes: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        if self.final_learning_rate is None and self.learning_rate is not None:
            # A recipe's rate is constant or falls to zero, at any other rate, too.
            changes["final_learning_rate"] = self.learning_rate * recipe.final_learning_rate / recipe.learning_rate
        if self.persistent is not None and (self.persistent == "on") != (recipe.negative_start == "persistent"):
            changes["negative_start"] = "persistent" if self.persistent == "on" else "data"
            if self.persistent == "off" and self.chains is None:
                changes["chains"] = None
        if self.fields is not None:
            changes["fields"] = self.fields == "on"
        settings: TrainingSettings = replace(recipe, temperature=self.temperature, seed=seed, **changes)
        return settings

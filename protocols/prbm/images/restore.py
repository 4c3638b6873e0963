"""`prbm.restore`: damaged test images restored by photonic Gibbs sampling (arXiv 2508.20472, restoration).

Behind a mask the pixels that are seen are right, so they are put back after every iteration (clamp=known). Where pixels
were flipped nobody knows which, and the chain starts at the noisy image and runs free, as in the paper (clamp=none);
clamp=noise draws from the posterior of independent flips instead, whose evidence is a field on every visible spin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from labctl.client import Bench, Figure, Recorder
from protocols.images.sets import load_images
from protocols.prbm.images.chains import ImageChains
from protocols.prbm.images.damage import Damage, Region, Spins, flipped, masked, nearest_image
from protocols.prbm.images.machine import ImageParameters, ready_machine, sampler_for, training_images
from protocols.prbm.images.pictures import draw_restoration
from protocols.prbm.images.restoration_score import final_estimate, restoration_values
from protocols.prbm.light.sampling import ExactSampler, check_temperature
from protocols.prbm.light.table import TABLE_ROLES
from protocols.prbm.model import RBM
from protocols.prbm.training.contrastive import TrainingSettings

DAMAGED_SHARE = {"mask": 0.25, "noise": 0.2}
_DAMAGE_STREAM = 2


class RestoreParameters(ImageParameters):
    """What is damaged how, and how it is restored."""

    classes: tuple[int | str, ...] = Field(
        ("boot",), description="digits 0 to 9, boot, pants, t-shirt to train on and restore, comma-separated"
    )
    images: int = Field(100, ge=1, le=100000, description="unseen test images to restore")
    epochs: int = Field(25, ge=1, le=100000, description="of CD-1 with fields")
    hidden: int = Field(196, ge=1, le=958, description="hidden spins")
    damage: Literal["mask", "noise"] = Field("mask", description="a part covered, or single pixels flipped")
    damaged: float | None = Field(
        None, gt=0, lt=1, description="share of the pixels; null: 0.25 behind a mask, 0.2 flipped by noise"
    )
    region: Region = Field("square", description="what a mask covers: a square anywhere in the image, or one side")
    mask_value: Literal[-1, 1] = Field(-1, description="value that a mask shows")
    clamp: Literal["known", "none", "noise"] | None = Field(
        None, description="what holds a chain to the image: pixels that are seen, only its start, or a field; see above"
    )
    average: int = Field(10, ge=1, description="last iterations that vote on each pixel; 1: the last sample")

    @model_validator(mode="after")
    def _known_pixels(self) -> RestoreParameters:
        if self.clamp == "known" and self.damage == "noise":
            raise ValueError("clamp=known: which pixels the noise flipped is not known; allowed: none, noise")
        if self.clamp == "noise" and self.damage == "mask":
            raise ValueError("clamp=noise: a mask flips no pixels; allowed: known, none")
        return self

    @property
    def share(self) -> float:
        """Share of the pixels that are damaged."""
        return self.damaged if self.damaged is not None else DAMAGED_SHARE[self.damage]

    @property
    def held_by(self) -> str:
        """known, none or noise."""
        return self.clamp or ("known" if self.damage == "mask" else "none")

    @property
    def evidence(self) -> float:
        """Field for each pixel's value as seen, where clamp=noise: (T/2) ln((1 - p)/p), so that P = 1 - p alone."""
        return 0.5 * self.temperature * math.log(1 / self.share - 1) if self.held_by == "noise" else 0.0


def damage_images(images: Spins, p: RestoreParameters, seed: int) -> Damage:
    """The damage of a run with this seed, which random numbers of its own decide."""
    rng = np.random.default_rng([seed, _DAMAGE_STREAM])
    if p.damage == "mask":
        return masked(images, p.region, p.share, p.mask_value, rng)
    return flipped(images, p.share, rng)


class RestorationChains(ImageChains):
    """Images on their way from damaged to restored."""

    def __init__(
        self,
        sampler: ExactSampler,
        rbm: RBM,
        damage: Damage,
        p: RestoreParameters,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(sampler, rbm.n_visible, p, rng)
        self._rbm, self._damage, self._held_by, self._evidence = rbm, damage, p.held_by, p.evidence

    def begin(self, images: slice) -> Spins:
        """The damaged images."""
        return self._damage.shown[images]

    def prepare(self, images: slice) -> None:
        """The images' evidence into the fields, where it is held so."""
        if self._held_by == "noise":
            shown = self._damage.shown[images]
            self.sampler.set_fields("visible", (self._rbm.visible_bias + self._evidence * shown).ravel())

    def hold(self, images: slice, drawn: Spins) -> Spins:
        """Pixels that are known put back."""
        if self._held_by == "known":
            return np.where(self._damage.damaged[images], drawn, self._damage.shown[images])
        return drawn


class Restore(Figure):
    """Unseen test images, masked or noisy, restored by light, beside exact sampling and simple baselines.

    Values: accuracy (mean over images of the fraction of damaged pixels that are right) with accuracy_err, for the vote
    of the last iterations; the same of the last sample, of exact arithmetic with the same random numbers, of the
    nearest training image (over the pixels that are seen, or over all under noise) and of the majority of training
    images, each with `_err`; difference_exact and difference_nearest, paired, with `_err`; accuracy_all, over all
    pixels; r, slope and rms of the run's local fields.
    """

    Parameters = RestoreParameters
    keeps_table = True
    roles = TABLE_ROLES
    alignments = ("prbm",)

    def bench_overrides(self, parameters: RestoreParameters) -> Mapping[str, object]:
        """noise=off asks for the ideal table."""
        return parameters.overrides

    def targets(self, parameters: RestoreParameters) -> dict[str, dict[str, float]] | None:
        """Within 2 points of exact sampling, for the usual settings and at least 50 images."""
        p = parameters
        usual = RestoreParameters(data=p.data, classes=p.classes, damage=p.damage, images=p.images)
        if p != usual or p.images < 50:
            return None
        return {"difference_exact": {"min": -0.02, "max": 0.02}, "r": {"min": 0.98}}

    def prepare(self, parameters: RestoreParameters, record: Recorder) -> None:
        """Train, damage the test images, restore them by arithmetic and by the baselines."""
        p = parameters
        check_temperature(p.temperature)
        found = load_images(p.classes, p.data)
        self.origin = found.origin
        self.training = training_images(found, p).spins(p.size)
        self.truth = found.test.select(p.classes).first(p.images).spins(p.size)
        settings = TrainingSettings(n_hidden=p.hidden, epochs=p.epochs, initial_std=0.01, seed=record.seed)
        self.rbm, trained = ready_machine(p, settings, lambda: self.training, record)
        if trained:
            record.console.done(f"RBM trained on {len(self.training):,} images ({p.class_names}) from {found.origin}")
        self.damage = damage_images(self.truth, p, record.seed)
        trusted = ~self.damage.damaged if p.damage == "mask" else np.ones_like(self.damage.damaged)
        self.nearest = nearest_image(self.training, self.damage.shown, trusted)
        record.save("truth", self.truth)
        record.save("damaged", self.damage.damaged)
        # The run's random numbers begin at its seed, too: what differs is the light's doing, not chance.
        twin = sampler_for(None, self.rbm, p)
        self.exact = self._chains(twin, p, np.random.default_rng(record.seed)).run_through()

    def _chains(self, sampler: ExactSampler, p: RestoreParameters, rng: np.random.Generator) -> RestorationChains:
        return RestorationChains(sampler, self.rbm, self.damage, p, rng)

    def run(self, bench: Bench, parameters: RestoreParameters, record: Recorder) -> dict[str, Any]:
        """Restore by light."""
        # No field needs more than couplings and fields do, but where evidence is added to them.
        most = float(np.abs(self.rbm.visible_bias).max()) + parameters.evidence
        largest = most if parameters.held_by == "noise" else 0.0
        chains = self._chains(sampler_for(bench, self.rbm, parameters, largest), parameters, record.rng)
        results = chains.run(bench, record, "restoring")
        self.history = chains.history
        record.console.done(chains.timing)
        return results

    def conclude(self, results: dict[str, Any], parameters: RestoreParameters, record: Recorder) -> dict[str, Any]:
        """Judge and draw."""
        p = parameters
        record.save("history", self.history)
        restored = final_estimate(self.history, p.average)
        record.save("restored", restored)
        values = {
            **restoration_values(
                self.truth, self.damage, self.history, self.exact, self.nearest, self.training, p.average
            ),
            **results,
            "classes": list(p.classes),
            "damage": p.damage,
            "clamp": p.held_by,
            "training_images": len(self.training),
            "model_id": self.rbm.content_id,
            "data": self.origin,
        }
        picture = record.picture("restored")
        title = f"{p.class_names}: {p.damage}, {p.sampler} sampling"
        results_drawn = {"result": restored, "exact": final_estimate(self.exact, p.average), "nearest": self.nearest}
        draw_restoration(picture, self.truth, self.damage, self.history, results_drawn, title)
        better, uncertain = values["difference_nearest"], values["difference_nearest_err"]
        record.console.done(
            f"{p.images} images: {values['accuracy']:.1%} of damaged pixels right (exact arithmetic "
            f"{values['accuracy_exact']:.1%}), {abs(better):.1%} ± {uncertain:.1%} "
            f"{'better' if better > 0 else 'worse'} than the nearest training image; r = {values['r']:.4f}"
        )
        record.console.say(f"picture: {picture}")
        return {**values, "picture": str(picture)}

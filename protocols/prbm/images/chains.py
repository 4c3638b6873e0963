"""Chains v -> h -> v of images, several at a time in the same patterns, kept step by step so that a run may resume."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, Recorder
from protocols.prbm.images.machine import ImageParameters
from protocols.prbm.light.sampling import ExactSampler, PhotonicSampler
from protocols.prbm.light.tap import PowerTap

Spins = NDArray[np.int8]
_NOTE_EVERY = 8


class ImageChains:
    """``images`` chains of ``iterations`` full iterations each, in groups of ``chains`` that share their patterns.

    These begin at random spins and run free; others override `begin`, `prepare` and `hold`.
    """

    def __init__(self, sampler: ExactSampler, n_visible: int, p: ImageParameters, rng: np.random.Generator) -> None:
        self.sampler, self.p, self.rng = sampler, p, rng
        self._at_work = slice(0, 0)
        self.steps = p.images // p.chains * p.iterations
        """Calls of `advance` in all."""
        self.history: Spins = np.zeros((p.images, p.iterations + 1, n_visible), np.int8)
        """(images, iterations + 1, n_visible); index 0 is the start."""
        self.seconds_per_image = self.bench_seconds_per_image = math.nan
        """Of a recorded run, since it began or was resumed: no results, since they differ from run to run."""

    def begin(self, images: slice) -> Spins:
        """Visible spins (chains, n_visible) that a group of chains starts with."""
        shape = (images.stop - images.start, self.history.shape[2])
        return self.rng.choice(np.array([-1, 1], np.int8), shape)

    def prepare(self, images: slice) -> None:
        """What the sampler is told before it works on another group of chains."""

    def hold(self, images: slice, drawn: Spins) -> Spins:
        """What becomes of the visible spins (chains, n_visible) just drawn."""
        return drawn

    def advance(self, step: int) -> dict[str, Any]:
        """One iteration of one group of chains; what a run file keeps of it.

        pattern_ids (4,) are the first and last of both half steps, -1 without light; exposure_s (2,).
        """
        images, k = self._place(step)
        if images != self._at_work:
            self.prepare(images)
            self._at_work = images
        if k == 0:
            self.history[images, 0] = self.begin(images)
        hidden = self.sampler.sample("hidden", self.history[images, k].ravel(), self.rng)
        halves = [self.sampler.last]
        drawn = self.sampler.sample("visible", hidden, self.rng).reshape(self.p.chains, -1)
        halves.append(self.sampler.last)
        visible = self.hold(images, drawn)
        self.history[images, k + 1] = visible
        ids = [i for half in halves for i in (half.pattern_ids if half else (-1, -1))]
        return {
            "image": images.start,
            "iteration": k,
            "visible": visible,
            "hidden": hidden.reshape(self.p.chains, -1),
            "pattern_ids": np.array(ids, np.int64),
            "exposure_s": np.array([half.exposure_s if half else 0.0 for half in halves]),
        }

    def run_through(self) -> Spins:
        """All steps without a record; the history."""
        for step in range(self.steps):
            self.advance(step)
        return self.history

    def run(self, bench: Bench, record: Recorder, doing: str) -> dict[str, Any]:
        """All steps, each one of the run file; a resumed run goes on with the step after its checkpoint.

        doing: for the progress bar, such as "generating". Returns how local fields agreed with exact ones, and the
        power at the tap.
        """
        p, agreement = self.p, self.sampler.agreement
        photonic = isinstance(self.sampler, PhotonicSampler)
        tap = PowerTap(bench, record.series("source_power_w"))
        done = record.series("visible")
        if record.resumed is not None and done is not None:
            self.history[:, 0] = record.resumed["starts"]
            for index, visible in enumerate(done):
                images, k = self._place(index)
                self.history[images, k + 1] = visible
            self.sampler.restore(record)
        begun_s, bench_begun_s, first = time.monotonic(), bench.time_s(), record.steps_saved
        for step in record.steps(self.steps, f"{doing} {p.images} images by {'light' if photonic else 'arithmetic'}"):
            kept = self.advance(step.index)
            step.save(**kept, source_power_w=tap.read_w() if photonic else math.nan)
            if record.checkpoint_due:
                record.checkpoint(starts=self.history[:, 0], **self.sampler.state())
            if step.index % _NOTE_EVERY == 0 or step.index == self.steps - 1:
                step.note(f"image {kept['image'] + 1}, iteration {kept['iteration'] + 1}, r = {agreement.r:.3f}")
        done_here = max(self.steps - first, 1) * p.chains / p.iterations
        self.seconds_per_image = (time.monotonic() - begun_s) / done_here
        self.bench_seconds_per_image = (bench.time_s() - bench_begun_s) / done_here
        return {
            "images": p.images,
            "iterations": p.iterations,
            "r": agreement.r,
            "slope": agreement.slope,
            "rms": agreement.rms,
            **tap.results(),
        }

    @property
    def timing(self) -> str:
        """For people."""
        return f"{self.seconds_per_image:.2g} s for an image here, {self.bench_seconds_per_image:.3g} s on the table"

    def _place(self, step: int) -> tuple[slice, int]:
        """Images and iteration of a step."""
        group, k = divmod(step, self.p.iterations)
        return slice(group * self.p.chains, (group + 1) * self.p.chains), k

"""One training, in pieces that can be kept: batches of noising first, then iterations of the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl.client import ConfigurationError
from protocols.langevin.computer import Computer
from protocols.langevin.figure import told_as_configuration
from protocols.langevin.model import Trained
from protocols.langevin.training.fit import Fit
from protocols.langevin.training.measured import measured
from protocols.langevin.training.parameters import TrainParameters
from protocols.langevin.training.rounding import on_levels
from protocols.langevin.training.sums import Sums, averaged, sampled
from simulators.physics.langevin.potential import Units, checked_program


class Training:
    """Images and parameters are checked at the beginning; raises `ConfigurationError`."""

    def __init__(self, p: TrainParameters, seed: int) -> None:
        self.p, self.seed = p, seed
        self.images = p.images()
        self.visible = self.images.side**2
        self.drive = p.drive(self.images, seed)
        with told_as_configuration():
            self.units = Units.of(self.drive.shape[1], p.J2, p.J4)
        self.mask = p.mask(self.visible)
        self.sums: Sums | None = None
        self.batch = 0
        self.fit: Fit | None = None

    @property
    def batches(self) -> int:
        """Pieces of noising before the fit; an ascent on simulated trajectories has new ones in every update."""
        p = self.p
        if p.noising == "measured":
            return len(self.images)
        return p.batches if p.noising == "sampled" and p.method == "least-squares" else 1

    def noise(self, computer: Computer | None = None) -> None:
        """The next batch; measured ones, one of each image, on a computer."""
        p = self.p
        if p.noising == "measured":
            if computer is None:
                raise ConfigurationError("noising=measured needs a computer; choose loop=device")
            self._take(measured(computer, self.drive[self.batch], p.duration, p.repeats))
            return
        with told_as_configuration():
            if p.noising == "averaged":
                self.sums = averaged(self.drive, p.J2, p.J4, p.duration)
            else:
                self._take(self._sampled())
                return
        self.batch += 1

    def noise_all(self, computer: Computer | None = None) -> None:
        """Every batch."""
        while self.batch < self.batches:
            self.noise(computer)

    def fitted(self) -> Trained:
        """All iterations at once, and what comes of them."""
        for _ in range(self.p.iterations):
            if self.improve().gap < self.p.settled:
                break
        self.finish()
        return self.trained

    def _take(self, found: Sums) -> None:
        self.sums = found if self.sums is None else self.sums.plus(found, 1 / (self.batch + 1))
        self.batch += 1

    def improve(self) -> Fit:
        """The next iteration."""
        p, fit = self.p, self._fit()
        with threadpool_limits(1, user_api="blas"):
            fit.step()
            if p.noising == "sampled" and p.method == "ascent":
                fit.take(self._sampled())
                self.batch += 1
        return fit

    def finish(self) -> None:
        """After the fit: couplings onto levels, if these are asked for."""
        assert self.fit is not None
        if self.p.coupling_bits:
            with threadpool_limits(1, user_api="blas"):
                self.fit = on_levels(self.fit, self.mask, self.p.coupling_bits, self.p.settled, self.seed)

    def _fit(self) -> Fit:
        if self.fit is None:
            assert self.sums is not None
            hidden = np.arange(len(self.units)) >= self.visible
            free = hidden & (self.p.biases == "hidden")
            weight = np.where(hidden, self.p.hidden_weight, 1.0)
            with threadpool_limits(1, user_api="blas"):
                self.fit = Fit(self.sums, self.mask, free, weight=weight)
                if self.p.method == "ascent":
                    self.fit.rate = self.p.rate or self.fit.steepest_rate()
        return self.fit

    def _sampled(self) -> Sums:
        p = self.p
        return sampled(self.drive, self.units, p.duration, p.dt, p.trajectories, self.seed, self.batch)

    @property
    def trained(self) -> Trained:
        """The computer as it is now. Raises ConfigurationError if its units would run away (J4 = 0)."""
        assert self.fit is not None
        p = self.p
        b = self.fit.b.astype(np.float64)
        with told_as_configuration():
            checked_program(self.units, self.fit.J, b)
        return Trained(
            self.fit.J.copy(), b, p.J2, p.J4, p.duration, self.images.side, self.images.pixels, self.images.labels
        )

    # --- keeping and resuming ---------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that pieces to come depend on."""
        assert self.sums is not None
        sums = self.sums if self.fit is None else self.fit.sums
        kept = {f"sums_{f.name}": getattr(sums, f.name) for f in fields(Sums)}
        return kept | {"batch": self.batch} | ({} if self.fit is None else self.fit.state())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.sums = Sums(**{f.name: state[f"sums_{f.name}"] for f in fields(Sums)})
        self.batch = int(state["batch"])
        if "J" in state:
            self._fit().restore(state)


def train_now(p: TrainParameters, seed: int) -> Trained:
    """All of it at once."""
    training = Training(p, seed)
    training.noise_all()
    return training.fitted()

"""The variance schedule of a diffusion model, and its forward process with any noise.

x_t = √(1-β_t)·x_{t-1} + √β_t·ε, so x_t = √ᾱ_t·x_0 + √(1-ᾱ_t)·ε', ᾱ_t = Π(1-β_s)
(Ho, Jain, Abbeel, NeurIPS 2020, Eqs. 2 and 4). Images are (…, pixels), -1 paper to +1 ink.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError

FloatArray = npt.NDArray[np.float64]
Noise = Callable[[tuple[int, ...]], FloatArray]
"""Unit Gaussian noise of a shape."""

_OFFSET = 0.008  # of the cosine schedule: the first steps are not too small (Nichol, Dhariwal, Eq. 17)
_LARGEST = 0.9


@dataclass(frozen=True)
class Schedule:
    """Variances ``betas`` (steps,), each between 0 and 1."""

    betas: FloatArray

    def __post_init__(self) -> None:
        if self.betas.ndim != 1 or not len(self.betas) or not ((self.betas > 0) & (self.betas < 1)).all():
            raise ConfigurationError(f"betas: {self.betas}; allowed: one or more numbers between 0 and 1")

    def __len__(self) -> int:
        return len(self.betas)

    @property
    def alpha_bars(self) -> FloatArray:
        """ᾱ_t: how much of the image's variance is left after each step."""
        return np.asarray(np.cumprod(1.0 - self.betas), np.float64)


def cosine_schedule(steps: int) -> Schedule:
    """ᾱ_t = f(t)/f(0), f = cos²((t/steps + s)/(1 + s)·π/2) (Nichol, Dhariwal, ICML 2021, Eq. 17), β at most 0.9."""
    t = np.arange(steps + 1) / steps
    left = np.cos((t + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2
    return Schedule(np.minimum(1.0 - left[1:] / left[:-1], _LARGEST))


def forward(images: FloatArray, schedule: Schedule, noise: Noise) -> FloatArray:
    """x_0 … x_T, (steps + 1, n, pixels), of images (n, pixels): each step with noise of its own."""
    chain = [images]
    for beta in schedule.betas:
        chain.append(math.sqrt(1 - beta) * chain[-1] + math.sqrt(beta) * noise(images.shape))
    return np.stack(chain)


def noise_in(chain: FloatArray, schedule: Schedule) -> FloatArray:
    """The noise ε' (steps·n, pixels) between x_0 and each x_t, as a forward process (steps + 1, n, pixels) gave it."""
    left = schedule.alpha_bars[:, None, None]
    return np.asarray(((chain[1:] - np.sqrt(left) * chain[0]) / np.sqrt(1 - left)).reshape(-1, chain.shape[2]))


@dataclass(frozen=True)
class StepsMeasured:
    """What the steps of a forward process did, each array (steps,): the factor of what was there before, which should
    be √(1-β), the variance that was added, which should be β, and their standard errors."""

    signal: FloatArray
    signal_err: FloatArray
    variance: FloatArray
    variance_err: FloatArray

    def deviations(self, schedule: Schedule) -> FloatArray:
        """Of variances from the schedule, in standard errors."""
        return (self.variance - schedule.betas) / self.variance_err


def measure_steps(chain: FloatArray) -> StepsMeasured:
    """Regression of each x_t on x_{t-1}, about the mean of each pixel; errors over images, which are independent."""
    steps, n = len(chain) - 1, chain.shape[1]
    if n < 3:
        raise ConfigurationError(f"{n} images: for errors of variances 3 or more are needed")
    found = np.empty((4, steps))
    for k in range(steps):
        before, after = (x - x.mean(axis=0) for x in chain[k : k + 2])
        power = float((before**2).sum())
        slope = float((before * after).sum()) / power
        rest = after - slope * before
        # Of each pixel a mean is taken away, of all one slope.
        by_image = (rest**2).mean(axis=1) * n / (n - 1)
        found[:, k] = (
            slope,
            math.sqrt(float(((before * rest).sum(axis=1) ** 2).sum())) / power,
            by_image.mean(),
            by_image.std(ddof=1) / math.sqrt(n),
        )
    return StepsMeasured(*found)

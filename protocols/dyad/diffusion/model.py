"""A small denoising model: it learns from noisy images what their noise is, and generates images by taking it away.

Needs PyTorch (extra ``diffusion``). One thread, fixed seeds: the same seed gives the same model on the same machine.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from labctl.client import ConfigurationError
from protocols.dyad.diffusion.schedule import Noise, Schedule

if TYPE_CHECKING:
    import torch

FloatArray = npt.NDArray[np.float64]

WIDTH = 256
"""Of the layers of a model."""

_TIME_FEATURES = 16
_BATCH = 256
_BATCHES = 20
"""Of an epoch."""
_RATE = 2e-3


@dataclass(frozen=True)
class Training:
    """How a model learns."""

    epochs: int = 60
    seed: int = 0


def check_installed() -> None:
    """ConfigurationError, with its cure, where PyTorch is missing."""
    if importlib.util.find_spec("torch") is None:
        raise ConfigurationError(
            "PyTorch is not installed, which score models are trained with; pip install 'labctl[diffusion]', or for "
            "the smaller build without CUDA pip install torch --index-url https://download.pytorch.org/whl/cpu; or "
            "leave the models out: --set models=0"
        )


class ScoreModel:
    """Predicts the noise ε in x_t = √ᾱ_t·x_0 + √(1-ᾱ_t)·ε: the score times -√(1-ᾱ_t)."""

    def __init__(self, pixels: int, schedule: Schedule, seed: int) -> None:
        torch = _torch()
        self._schedule = schedule
        self._pixels = pixels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._net = _network(pixels)
        # Of x_t, (steps,): networks learn best from numbers of unit variance, as ε is.
        self._times = torch.tensor(_time_features(len(schedule)), dtype=torch.float32)

    def train(
        self,
        images: FloatArray,
        noise: FloatArray,
        training: Training,
        step: Callable[[int, float], None] = lambda epoch, loss: None,
    ) -> list[float]:
        """Learn what is noise in √ᾱ_t·x_0 + √(1-ᾱ_t)·ε, for images x_0 (n, pixels) and noise ε (m, pixels), which a
        forward process gave; the mean square error of each epoch.

        Images, times and noise are drawn anew for every batch. As the noise is white, it is also moved around by any
        number of pixels, and its sign is changed: a few thousand images of it would else be learned by heart. step: is
        called after each epoch.
        """
        torch = _torch()
        random = np.random.default_rng(training.seed)
        left = self._schedule.alpha_bars
        around = (np.arange(self._pixels)[:, None] + np.arange(self._pixels)) % self._pixels
        optimiser = torch.optim.Adam(self._net.parameters(), lr=_RATE)
        slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, training.epochs * _BATCHES)
        losses = []
        self._net.train()
        for epoch in range(training.epochs):
            total = 0.0
            for _ in range(_BATCHES):
                t = random.integers(0, len(left), _BATCH)
                eps = noise[
                    random.integers(0, len(noise), _BATCH)[:, None], around[random.integers(0, len(around), _BATCH)]
                ]
                eps = eps * random.choice((-1.0, 1.0), (_BATCH, 1))
                x0 = images[random.integers(0, len(images), _BATCH)]
                x = np.sqrt(left[t])[:, None] * x0 + np.sqrt(1 - left[t])[:, None] * eps
                optimiser.zero_grad()
                inputs = self._inputs(torch.tensor(x, dtype=torch.float32), torch.tensor(t))
                loss = ((self._net(inputs) - torch.tensor(eps, dtype=torch.float32)) ** 2).mean()
                loss.backward()
                optimiser.step()
                slower.step()
                total += float(loss.detach())
            losses.append(total / _BATCHES)
            step(epoch, losses[-1])
        return losses

    def generate(self, n: int, noise: Noise) -> FloatArray:
        """Images (n, pixels) from pure noise, by ancestral sampling (Ho et al., Algorithm 2). noise: of each step."""
        torch = _torch()
        self._net.eval()
        betas, left = self._schedule.betas, self._schedule.alpha_bars
        x = noise((n, self._pixels))
        with torch.no_grad():
            for k in range(len(betas) - 1, -1, -1):
                inputs = self._inputs(torch.tensor(x, dtype=torch.float32), torch.full((n,), k))
                eps = self._net(inputs).numpy().astype(np.float64)
                before = left[k - 1] if k else 1.0
                # By way of the image it is thought to be, which has no ink below paper's or above full.
                image = np.clip((x - math.sqrt(1 - left[k]) * eps) / math.sqrt(left[k]), -1.0, 1.0)
                x = (math.sqrt(before) * betas[k] * image + math.sqrt(1 - betas[k]) * (1 - before) * x) / (1 - left[k])
                if k:
                    x = x + math.sqrt(betas[k] * (1 - before) / (1 - left[k])) * noise(x.shape)
        return np.asarray(x, np.float64)

    def _inputs(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return _torch().cat((x, self._times[t]), dim=1)


def _network(pixels: int) -> Any:
    nn = _torch().nn
    module: Any = nn.Module

    class Network(module):  # type: ignore[misc]
        """Three layers that each add to what is there."""

        def __init__(self) -> None:
            super().__init__()
            self.into = nn.Linear(pixels + _TIME_FEATURES, WIDTH)
            self.between = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
            self.out = nn.Linear(WIDTH, pixels)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            h = self.into(inputs)
            for layer in self.between:
                h = h + layer(nn.functional.silu(h))
            return self.out(nn.functional.silu(h))

    return Network()


def _time_features(steps: int) -> FloatArray:
    """(steps, 16): sines and cosines of the time, from one period in all to 2^7."""
    t = (np.arange(steps)[:, None] + 1) / steps
    phases = math.pi * t * 2.0 ** np.arange(_TIME_FEATURES // 2)
    return np.concatenate([np.sin(phases), np.cos(phases)], axis=1)


def _torch() -> Any:
    check_installed()
    import torch  # seconds to import, and many do without

    torch.set_num_threads(1)  # parallelism is the caller's choice
    return torch

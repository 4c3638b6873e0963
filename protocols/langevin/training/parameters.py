"""What is trained on what, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from labctl.client import ConfigurationError, Parameters
from protocols.langevin.training.images import Images, hidden_images, images_of


class UnitsParameters(Parameters):
    """Of units that are all alike."""

    J2: float = Field(10.0, allow_inf_nan=False, description="of the energy J2 x² + J4 x⁴ of a unit, k_BT")
    J4: float = Field(10.0, allow_inf_nan=False, description="0: linear units; J2 < 0: bistable ones")
    dt: float = Field(1e-3, gt=0, le=0.1, description="time step of simulated trajectories, 1/mu")
    workers: int = Field(1, ge=1, le=256, description="cores that simulate side by side")


class TrainParameters(UnitsParameters):
    """Images, computer, noising and fit."""

    data: str | None = Field(None, description="folder of images, null: LABCTL_DATA; or a .npy file (n, side, side)")
    classes: tuple[int | str, ...] = Field((0, 7, 9), description="of the images: digits 0 to 9, boot, pants, t-shirt")
    per_class: int = Field(1, ge=1, le=10_000, description="images of each class")
    size: int = Field(28, ge=2, le=28, description="pixels along one side of an image that is not from a .npy file")
    hidden: int = Field(512, ge=0, le=15_000, description="hidden units")
    hidden_drive: Literal["code", "part"] = Field(
        "code",
        description="what drives hidden units while an image is noised: a code of ±1 for each image, drawn by lot, or "
        "pixels of the image (the paper's)",
    )
    amplitude: float = Field(40.0, gt=0, le=1e4, description="bias of a pixel that is one deviation above the mean")
    hidden_amplitude: float | None = Field(None, gt=0, le=1e4, description="the same of hidden units; null: as pixels")
    hidden_weight: float = Field(
        1.0,
        gt=0,
        le=1e4,
        description="of hidden units' part of the action, 1 is the paper's; of larger ones similar images mix less",
    )
    duration: float = Field(2.5, gt=0, le=1e3, description="of a noising trajectory, and of denoising, 1/mu")
    connections: Literal["hidden", "bipartite", "all"] = Field(
        "hidden", description="visible-hidden and hidden-hidden (the paper's); visible-hidden; all pairs"
    )
    graph: Path | None = Field(None, description="instead: .npy file (N, N) of what is connected, visible units first")
    biases: Literal["frozen", "hidden"] = Field(
        "frozen", description="whether hidden biases are learned; learning them inverts images"
    )
    method: Literal["least-squares", "ascent"] = Field(
        "least-squares", description="the most probable couplings at once, or the paper's gradient ascent"
    )
    noising: Literal["averaged", "sampled", "measured"] = Field(
        "averaged",
        description="all noising trajectories there are, by their moments; simulated ones; or, in situ, those of the "
        "bench's computer",
    )
    trajectories: int = Field(4, ge=1, le=10_000, description="sampled: of each image in a batch")
    repeats: int = Field(256, ge=2, le=100_000, description="measured: trajectories of each image")
    batches: int = Field(8, ge=1, le=10**6, description="sampled, least-squares: batches in all")
    iterations: int = Field(40, ge=1, le=10**6, description="of conjugate gradients, or updates of the ascent")
    tolerance: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="gradient, of the first, at which the fit ends; null: 1e-5, or 1e-3 where measured: "
        "what is left is noise of readings",
    )
    coupling_bits: int = Field(
        0,
        ge=0,
        le=24,
        description="couplings on levels of a converter of so many bits over both signs; those that are not yet "
        "rounded are fitted to those that are. 0: continuous",
    )
    rate: float | None = Field(None, gt=0, le=1e6, description="ascent: alpha of Eqs (8, 9); null: as fast as is safe")

    @model_validator(mode="after")
    def _levels(self) -> Self:
        if self.coupling_bits == 1:
            raise ValueError("coupling_bits=1: levels over both signs need 2 bits or more; 0 is continuous")
        if self.coupling_bits and self.method == "ascent" and self.noising == "sampled":
            raise ValueError(
                "coupling_bits: an ascent on sampled trajectories has few at a time to fit to; choose "
                "method=least-squares"
            )
        return self

    @property
    def settled(self) -> float:
        """Gradient, of what it was without couplings, at which the fit ends."""
        return (1e-3 if self.noising == "measured" else 1e-5) if self.tolerance is None else self.tolerance

    def images(self) -> Images:
        """Read and checked."""
        return images_of(self.data, self.classes, self.per_class, self.size)

    def drive(self, images: Images, seed: int) -> NDArray[np.float64]:
        """Biases (images, N) at the beginning of noising: negative ones make x positive."""
        h = hidden_images(images.pixels, self.hidden, self.hidden_drive, seed)
        return -np.hstack([self.amplitude * images.pixels, (self.hidden_amplitude or self.amplitude) * h])

    def mask(self, visible: int) -> NDArray[np.bool_]:
        """Which units may be coupled, (N, N)."""
        n = visible + self.hidden
        if self.graph is not None:
            try:
                found = np.load(self.graph, allow_pickle=False)
            except (OSError, EOFError, ValueError) as error:
                raise ConfigurationError(f"graph={self.graph}: cannot be read as an array ({error})") from None
            if found.shape != (n, n) or not np.array_equal(found != 0, (found != 0).T):
                raise ConfigurationError(
                    f"graph={self.graph}: shape {found.shape}; allowed: ({n}, {n}), symmetric, {visible} visible and "
                    f"{self.hidden} hidden units"
                )
            mask = np.asarray(found != 0)
        else:
            mask = np.ones((n, n), np.bool_)
            if self.connections != "all":
                mask[:visible, :visible] = False
            if self.connections == "bipartite":
                mask[visible:, visible:] = False
        mask[np.diag_indices(n)] = False
        if not mask.any():
            raise ConfigurationError(
                f"hidden={self.hidden}, connections={self.connections}: no units are coupled; choose hidden units, or "
                "connections=all"
            )
        return mask

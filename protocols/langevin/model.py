"""A trained computer, as it is kept in a file."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from simulators.physics.langevin.potential import LangevinError, Units, checked_program

_LARGEST = 20_000


@dataclass(frozen=True, eq=False)
class Trained:
    """Couplings J (N, N) and biases b (N,) of a computer whose first side² units show an image.

    J2, J4: of each unit. duration: for which it was trained to run, 1/mu. images: (n, side²) that it was trained on,
    labels (n,) of these, -1 where they have none.
    """

    J: NDArray[np.float32]
    b: NDArray[np.float64]
    J2: float
    J4: float
    duration: float
    side: int
    images: NDArray[np.float64]
    labels: NDArray[np.int64]

    @property
    def visible(self) -> int:
        """Units that show the image."""
        return self.side * self.side

    @property
    def units(self) -> Units:
        """All of them, alike."""
        return Units.of(len(self.b), self.J2, self.J4)

    def programmed(self, couplings: NDArray[np.floating] | None, biases: NDArray[np.float64]) -> Trained:
        """As a board's registers have it."""
        J = self.J * 0 if couplings is None else np.asarray(couplings, np.float32)
        return replace(self, J=J, b=np.asarray(biases, np.float64))

    def save(self, path: Path) -> None:
        """As .npz."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Trained:
        """Raises `ConfigurationError` that says what is missing or wrong."""
        names = {field.name for field in fields(cls)}
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in names & set(file.files)}
        except (OSError, EOFError, ValueError) as error:
            raise ConfigurationError(f"model={path}: cannot be read as a trained computer ({error})") from None
        if found.keys() != names:
            missing = ", ".join(sorted(names - found.keys()))
            raise ConfigurationError(f"model={path}: lacks {missing}; name a file that langevin.train wrote")
        try:
            model = cls(
                np.asarray(found["J"], np.float32), np.asarray(found["b"], np.float64), float(found["J2"]),
                float(found["J4"]), float(found["duration"]), int(found["side"]),
                np.asarray(found["images"], np.float64), np.asarray(found["labels"], np.int64),
            )  # fmt: skip
            if not 1 <= len(model.b) <= _LARGEST or model.images.shape != (len(model.labels), model.visible):
                raise ConfigurationError(
                    f"model={path}: {model.b.shape} biases, {model.images.shape} images of {model.side}² pixels, "
                    f"{model.labels.shape} labels: these do not belong together"
                )
            checked_program(model.units, model.J, model.b)
        except (LangevinError, TypeError, ValueError) as error:
            raise ConfigurationError(f"model={path}: {error}") from None
        return model

"""A recorder that keeps nothing on disk: for runs whose values alone are wanted, such as the points of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError
from labctl.experiments.console import Console
from labctl.experiments.recorder import Recorder


class MemoryRecorder(Recorder):
    """To an experiment it is as any recorder; what is saved can be read back, and goes with the object.

    folder: where pictures go, which somebody else throws away.
    """

    wants_pictures = False

    def __init__(self, name: str, folder: Path, seed: int) -> None:
        self._begin(folder / "point.h5", None, name, seed, Console(quiet=True))
        self._data: dict[str, NDArray[Any]] = {}
        self._columns: dict[str, list[NDArray[Any]]] = {}

    def setup(self, **texts: Any) -> None:
        """What describes the run is known to who asked for it."""

    def save(self, name: str, value: NDArray[Any]) -> None:
        """Keep an array that belongs to the whole run."""
        self._data[name] = np.array(value)

    def saved(self, name: str) -> NDArray[Any] | None:
        """What was kept by `save`; None if nothing was."""
        return self._data.get(name)

    def series(self, name: str) -> NDArray[Any] | None:
        """What the steps saved so far under a name, (steps, …); None before the first step."""
        return np.array(self._columns[name]) if name in self._columns else None

    def checkpoint(self, **state: Any) -> None:
        """A run that leaves nothing behind cannot be gone on with."""

    @property
    def checkpoint_due(self) -> bool:
        """Never."""
        return False

    def _append(self, values: Mapping[str, Any]) -> None:
        arrays = {name: np.array(value) for name, value in values.items()}
        if self._writer.count == 0:
            self._columns = {name: [] for name in arrays}
        if arrays.keys() != self._columns.keys():
            raise ConfigurationError(
                f"step {self._writer.count} saves {', '.join(sorted(arrays))}, the first step saved "
                f"{', '.join(sorted(self._columns))}"
            )
        for name, array in arrays.items():
            self._columns[name].append(array)
        self._writer.count += 1

    def finish(self, results: Mapping[str, Any], status: str = "complete") -> None:
        """Nothing is open."""

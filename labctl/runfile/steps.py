"""Steps of a run file as they come: a series for each name, whole after every step for whoever reads, or kills."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError
from labctl.runfile import file as runfile
from labctl.runfile.file import STEP_TIMES


class StepWriter:
    """Appends to ``/steps`` and ``/step_times`` of a run file, which stays open from the first step until `close`.

    count: how many steps are there.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.count = count
        self._path = path
        self.file: h5py.File | None = None
        """The file while it is open for appending: nobody else may change it then."""
        self._series: dict[str, h5py.Dataset] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._times: h5py.Dataset | None = None

    def append(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """One step. ConfigurationError if it has other series than the first, which decides; OSError of the disk."""
        if self.file is None:
            self._open(arrays)
        if arrays.keys() != self._series.keys():
            raise ConfigurationError(
                f"step {self.count} saves {', '.join(sorted(arrays))}, the first step saved "
                f"{', '.join(sorted(self._series))}"
            )
        if self._times is not None:  # first: there is no moment with a step that has no time
            runfile.append(self._times, (), self.count, np.array(time.time()))
        for name, array in arrays.items():
            runfile.append(self._series[name], self._shapes[name], self.count, array)
        self.count += 1

    def close(self) -> None:
        """The file may be changed again."""
        if self.file is not None:
            self.file.close()

    def _open(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        if self.count == 0:
            with runfile.changing(self._path) as file:
                file.create_dataset(STEP_TIMES, shape=(0,), maxshape=(None,), dtype=np.float64, chunks=True)
                for name, array in arrays.items():
                    file["steps"].create_dataset(
                        name, shape=(0, *array.shape), maxshape=(None, *array.shape), dtype=array.dtype, chunks=True
                    )
        # From here on a reader, or who kills the process, sees whole steps only.
        self.file = runfile.appending(self._path)
        self._series = dict(self.file["steps"].items())
        self._shapes = {name: series.shape[1:] for name, series in self._series.items()}
        self._times = self.file.get(STEP_TIMES)  # not of a run that was begun before there were any

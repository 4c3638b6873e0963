"""What a run measured, as arrays: read from its file, also while it is measured or after it was killed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError
from labctl.registry import suggestion
from labctl.runfile.file import STEP_TIMES, open_run, spoilt_told
from labctl.runs.details import details_of
from labctl.runs.drawn import Picture
from labctl.runs.units import unit_of

if TYPE_CHECKING:
    import xarray

BENCH_TIMES = ("time_s", "bench_s")
"""Series that are the bench time of their step."""


@dataclass(frozen=True)
class Arrays:
    """Arrays of a run file that is open, not yet read: series over steps, and those kept once.

    steps: as many as every series has. A run that is being written may have more by the time they are read.
    """

    steps: int
    series: Mapping[str, h5py.Dataset]
    data: Mapping[str, h5py.Dataset]
    texts: Mapping[str, str]


class RunData:
    """A run: ``run.series("visible")`` and ``run.data("W")`` are arrays, ``run.results`` what it found, ``run.told``
    all that `labctl runs show` tells; ``run.to_xarray()`` has all steps with units and coordinates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told = details_of(path)

    @property
    def name(self) -> str:
        """Of its file, without the ending."""
        return self.path.stem

    @property
    def status(self) -> str:
        """complete, running, killed, interrupted or failed."""
        return str(self.told["status"])

    @contextmanager
    def reading(self) -> Iterator[Arrays]:
        """Its file, open, for who reads a part at a time. ConfigurationError if it is spoilt."""
        with open_run(self.path) as file:
            with spoilt_told(self.path):
                for group in ("steps", "data"):
                    _must_be_own(file[group], self.path)
                series, setup = dict(file["steps"].items()), file["setup"]
                texts = {name: _text(setup[name]) for name in ("bench_file", "bench_overlay") if name in setup}
                steps = min((len(s) for s in series.values()), default=0)
                arrays = Arrays(steps, series, dict(file["data"].items()), texts)
            try:
                yield arrays
            except OSError:  # what HDF5 cannot read; who reads may fail for reasons of their own
                with spoilt_told(self.path):
                    raise

    def series(self, name: str) -> NDArray[Any]:
        """What each step saved under a name, (steps, …). ConfigurationError if there is no such series."""
        with self.reading() as arrays:
            return np.asarray(self._one(arrays.series, name, "series")[: arrays.steps])

    def data(self, name: str) -> NDArray[Any]:
        """An array that was kept once. ConfigurationError if there is none of that name."""
        with self.reading() as arrays:
            return np.asarray(self._one(arrays.data, name, "data")[()])

    @cached_property
    def results(self) -> dict[str, Any]:
        """What it found, by name: numbers, texts, lists, and arrays; {} until it is complete."""
        with spoilt_told(self.path), open_run(self.path) as file:
            if "results" not in file:
                return {}
            _must_be_own(file["results"], self.path)
            found: dict[str, Any] = {
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in file["results"].attrs.items()
            }
            for name, kept in file["results"].items():
                found[name] = kept[()] if h5py.check_string_dtype(kept.dtype) is None else json.loads(_text(kept))
            return found

    def step_times(self, steps: int | None = None) -> NDArray[np.float64] | None:
        """When each step was saved, (steps,), UTC in s since 1970, by the clock of the machine that measured; None of
        runs of versions that kept no times. ConfigurationError if they are spoilt.

        steps: only of the first so many; of a run that is being measured there may be more by now.
        """
        with open_run(self.path) as file, spoilt_told(self.path):
            if STEP_TIMES not in file:
                return None
            _must_be_own(file, self.path, STEP_TIMES)
            steps = min((len(s) for s in file["steps"].values()), default=0)
            times = np.asarray(file[STEP_TIMES][:steps], np.float64)
            if times.shape != (steps,) or not np.isfinite(times).all():
                raise ValueError(f"{STEP_TIMES} are not one number for each of {steps} steps")
            return times[:steps]

    def part_of_steps(self, steps: int) -> NDArray[np.int64]:
        """Number of the part that measured each step, (steps,): 0, and one more for each time it was resumed."""
        firsts = [int(part.get("first_step", 0)) for part in self.told["parts"]] or [0]
        return np.searchsorted(firsts, np.arange(steps), side="right").astype(np.int64) - 1

    @cached_property
    def clock(self) -> str:
        """ "virtual" or "real": the time of its bench; "" of a run that had none."""
        told = dict(self.told.get("bench_overrides") or {}).get("bench.clock")
        with self.reading() as arrays:
            for text in (arrays.texts.get("bench_overlay", ""), arrays.texts.get("bench_file", "")):
                with suppress(tomllib.TOMLDecodeError):
                    told = told or tomllib.loads(text).get("bench", {}).get("clock")
        return str(told or ("virtual" if self.told["bench"] else ""))

    def to_xarray(self) -> xarray.Dataset:
        """All steps: dimension ``step`` with its number, the ``part`` that measured it, the ``step_time`` (UTC) when
        it was saved and, where the run saved one, its bench time; further dimensions of a series are ``NAME_0``, …;
        attributes ``units`` where its name tells one.

        ConfigurationError without the package xarray.
        """
        try:
            import xarray
        except ImportError:
            raise ConfigurationError("xarray is not installed; pip install 'labctl[xarray]'") from None
        with self.reading() as arrays:
            steps = arrays.steps
            found = {name: np.asarray(series[:steps]) for name, series in arrays.series.items()}
        coordinates: dict[str, Any] = {"step": np.arange(steps), "part": ("step", self.part_of_steps(steps))}
        times = self.step_times(steps)
        if times is not None:
            coordinates["step_time"] = ("step", np.round(times * 1e6).astype("datetime64[us]").astype("datetime64[ns]"))
        clocks = [name for name in BENCH_TIMES if name in found and found[name].ndim == 1]
        for name in clocks:
            coordinates[name] = ("step", found.pop(name), {"units": "s"})
        variables = {}
        for name, array in found.items():
            own = f"{name}_saved" if name in ("step", "part", "step_time") else name
            dimensions = ("step", *(f"{own}_{n}" for n in range(array.ndim - 1)))
            unit = unit_of(name)
            variables[own] = (dimensions, array, {"units": unit} if unit else {})
        kept = ("protocol", "seed", "status", "bench", "fingerprint", "path")
        return xarray.Dataset(variables, coordinates, {name: self.told[name] for name in kept})

    @property
    def pictures(self) -> dict[str, Picture]:
        """Those that the experiment drew, by the end of their names: ``run.pictures["images"]``."""
        paths = [Path(p) for p in self.told["pictures"]]
        return {p.stem.removeprefix(f"{self.name}-"): Picture(p.read_bytes(), p) for p in paths}

    def __repr__(self) -> str:
        return f"<run {self.name}: {self.told['protocol']}, {self.status}, {self.told['steps']} steps>"

    @staticmethod
    def _one(arrays: Mapping[str, h5py.Dataset], name: str, what: str) -> h5py.Dataset:
        if name not in arrays:
            raise ConfigurationError(
                f"the run has no {what} {name!r}{suggestion(name, arrays)}; it has {', '.join(arrays) or 'none'}"
            )
        return arrays[name]


def _must_be_own(group: h5py.Group, path: Path, *only: str) -> None:
    """ValueError for what leads to other files, or claims to be larger than its own: HDF5 follows, or makes it up."""
    size = path.stat().st_size
    for name in only or group:
        kept = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
        if (
            not isinstance(kept, h5py.Dataset)
            or kept.shape is None
            or kept.external
            or kept.is_virtual
            or kept.nbytes > size  # nothing is compressed in a run file
        ):
            raise ValueError(f"{group.name}/{name} is no array, not in this file, or larger than it")


def _text(kept: h5py.Dataset) -> str:
    text = kept.asstr()[()] if kept.shape == () else None
    if not isinstance(text, str):
        raise ValueError(f"{kept.name} is no text")
    return text

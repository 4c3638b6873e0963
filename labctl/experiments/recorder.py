"""The run file: one HDF5 file that is complete up to the last step whenever the run ends, however it ends.

Layout: attributes of the root (protocol, seed, status, times), ``/setup`` (bench file text, settings, parameters,
versions), ``/data`` (arrays saved once), ``/steps`` (one entry per step, extendable, flushed per step), ``/results``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError
from labctl.experiments.console import Console
from labctl.experiments.environment import git_state, versions


class Step:
    """One step of a run, saved by `save` exactly once."""

    def __init__(self, recorder: Recorder, index: int) -> None:
        self._recorder = recorder
        self.index = index

    def save(self, **values: Any) -> None:
        """Append one value (number or array of fixed shape) to each named series and flush.

        The first step decides which series there are; every later step must give the same.
        """
        self._recorder._append(values)

    def note(self, text: str) -> None:
        """A few words beside the progress bar, such as ``r = 0.999``."""
        self._recorder.console.note(text)


class Recorder:
    """Writes one run. Use as a context manager; leaving it closes the file with the run's status."""

    def __init__(self, name: str, directory: Path, seed: int, console: Console | None = None) -> None:
        self.name = name
        self.seed = seed
        self.console = console or Console(quiet=True)
        self.rng = np.random.default_rng(seed)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.path = _free_path(directory, name)
            h5py.File(self.path, "w", libver="latest").close()
        except OSError as error:
            raise ConfigurationError(f"cannot write a run file in {directory}: {error}; choose another --out") from None
        self.directory = directory
        # Open only while a change is made, until the first step: a file that was open without SWMR when its process
        # was killed cannot be read any more.
        self._file: h5py.File | None = None
        self._finished = False
        self._series: dict[str, h5py.Dataset] = {}
        self._late: dict[str, Any] = {}
        self._pictures: list[str] = []
        self._steps = 0
        self._started = time.time()
        with self._change() as file:
            root = file.attrs
            root["NX_class"] = "NXroot"
            root["default"] = "steps"
            root["labctl_run"] = 1
            root["protocol"] = name
            root["seed"] = seed
            root["status"] = "running"
            root["start_time"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            setup = file.create_group("setup")
            setup.attrs["versions"] = json.dumps(versions())
            setup.attrs["git"] = json.dumps(git_state())
            file.create_group("data")
            file.create_group("steps")

    def _change(self) -> h5py.File:
        # Without a lock: a reader that has the file open must not end the run.
        return h5py.File(self.path, "r+", libver="latest", locking=False)

    def setup(self, **texts: Any) -> None:
        """Keep texts and settings (anything JSON takes) that describe the run; before the first step."""
        with self._change() as file:
            for key, value in texts.items():
                text = value if isinstance(value, str) else json.dumps(plain(value))
                # A dataset, not an attribute: a bench file or a snapshot may be larger than the 64 kB of an attribute.
                file["setup"].create_dataset(key, data=text, dtype=h5py.string_dtype())

    def save(self, name: str, value: NDArray[Any]) -> None:
        """Keep an array that belongs to the whole run."""
        if self._series:
            self._late[name] = np.asarray(value)
        else:
            with self._change() as file:
                file["data"].create_dataset(name, data=value)

    def steps(self, count: int, label: str) -> Iterator[Step]:
        """Steps 0 to count - 1, with a progress bar."""
        with self.console.progress(label, count) as advance:
            for index in range(count):
                yield Step(self, index)
                advance()

    def picture(self, name: str) -> Path:
        """Where to put a picture of this run; the run file will name it."""
        path = self.path.with_name(f"{self.path.stem}-{name}.png")
        if path.name not in self._pictures:
            self._pictures.append(path.name)
        return path

    def _append(self, values: Mapping[str, Any]) -> None:
        arrays = {name: np.asarray(value) for name, value in values.items()}
        if self._file is None:
            self._file = self._change()
            for name, array in arrays.items():
                self._series[name] = self._file["steps"].create_dataset(
                    name, shape=(0, *array.shape), maxshape=(None, *array.shape), dtype=array.dtype, chunks=True
                )
            self._file.swmr_mode = True  # from here on a reader, or a power cut, sees whole steps only
        if arrays.keys() != self._series.keys():
            raise ConfigurationError(
                f"step {self._steps} saves {', '.join(sorted(arrays))}, the first step saved "
                f"{', '.join(sorted(self._series))}"
            )
        for name, array in arrays.items():
            series = self._series[name]
            series.resize(self._steps + 1, axis=0)
            series[self._steps] = array
            series.flush()
        self._steps += 1

    def finish(self, results: Mapping[str, Any], status: str = "complete") -> None:
        """Close the file with results and status."""
        if self._finished:
            return
        self._finished = True
        if self._file is not None:
            self._file.close()
        with self._change() as file:
            for name, value in self._late.items():
                file["data"].create_dataset(name, data=value)
            group = file.create_group("results")
            for name, value in results.items():
                if isinstance(value, np.ndarray):
                    group.create_dataset(name, data=value)
                elif isinstance(value, (bool, int, float)):
                    group.attrs[name] = value
                else:
                    group.create_dataset(name, data=json.dumps(plain(value)), dtype=h5py.string_dtype())
            file.attrs["status"] = status
            file.attrs["pictures"] = json.dumps(self._pictures)
            file.attrs["duration_s"] = time.time() - self._started

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
            self.finish({}, "interrupted" if interrupted else f"failed: {kind.__name__ if kind else ''}: {error}")
        else:
            self.finish({})


def open_run(path: str | Path) -> h5py.File:
    """A run file for reading, also one whose run was killed or is still being written.

    Raises ConfigurationError if it is not a run file.
    """
    try:
        try:
            file = h5py.File(path, "r", locking=False)
        except OSError:
            file = h5py.File(path, "r", libver="latest", swmr=True, locking=False)
        if "labctl_run" not in file.attrs:
            file.close()
            raise ConfigurationError(f"{path} is an HDF5 file, but not a labctl run")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read as a run file: {error}") from None
    return file


def pictures_of(path: Path) -> list[Path]:
    """The pictures of a run that are still there, beside its file; none if it is no longer a readable run file."""
    try:
        with open_run(path) as file:
            names: list[str] = json.loads(file.attrs.get("pictures", "[]"))
    except (ConfigurationError, ValueError):
        return []
    return [picture for name in names if (picture := path.with_name(Path(name).name)).is_file()]


def plain(value: Any) -> Any:
    """``value`` in JSON's types; nan, a result that is not defined, becomes null, infinities become text."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if hasattr(value, "__struct_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _free_path(directory: Path, name: str) -> Path:
    stem = f"{time.strftime('%Y-%m-%d-%H%M%S')}-{name.replace('.', '-')}"
    for attempt in range(1000):
        path = directory / f"{stem}{f'-{attempt}' if attempt else ''}.h5"
        try:
            path.touch(exist_ok=False)  # two runs started in one second must not share a file
        except FileExistsError:
            continue
        return path
    raise OSError(f"too many runs named {stem}")

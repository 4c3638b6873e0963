"""Run files as files: begun and changed whole or not at all, written by one process at a time, found and read again.

HDF5 alone does not give that: a file that is open for changes when its process is killed cannot be opened any more. So
changes are made on a copy that takes the file's place, and steps are appended in SWMR mode, in which every moment is a
readable file. Beside ``NAME.h5`` lie ``NAME.lock`` while a process writes it, ``NAME.checkpoint`` (see
`labctl.experiments.checkpoint`) until it is complete, and for moments ``NAME.new``.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError, LabError
from labctl.runfile.lock import RunLock

_GROUPS = ("setup", "data", "steps", "results", "parts")
STEP_TIMES = "step_times"
"""Dataset of a run file, (steps,): when each step was saved, UTC in s since 1970."""

_BLOCK_BYTES = 32 << 20
_READ_ATTEMPTS = 26
"""0.07 s together, far more than any block takes to be written."""


def begin(directory: Path, name: str) -> tuple[Path, RunLock]:
    """A path for a new run, which nobody else can take, and its lock; there is no file yet. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = f"{time.strftime('%Y-%m-%d-%H%M%S')}-{name.replace('.', '-')}"
    for attempt in range(1000):
        path = directory / f"{stem}{f'-{attempt}' if attempt else ''}.h5"
        try:
            lock = RunLock.take(path)
        except ConfigurationError:
            continue  # two runs started in one second must not share a file
        if not path.exists():
            return path, lock
        lock.release()
    raise OSError(f"too many runs named {stem}")


@contextlib.contextmanager
def changing(path: Path, *, durable: bool = False) -> Iterator[h5py.File]:
    """The run file, open for one change that is made whole or, if the process dies or fails, not at all.

    durable: it is on the disk afterwards, whatever happens to the machine.
    """
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    if path.exists():
        shutil.copyfile(path, aside)
    with replacing(aside, path, durable), h5py.File(aside, "a", libver="latest", locking=False) as file:
        yield file


@contextlib.contextmanager
def spoilt_told(path: Path) -> Iterator[None]:
    """Whatever HDF5, or who reads, stumbles over in a run file is told as a ConfigurationError.

    Troubles of the disk, in which the file has no part, are not.
    """
    try:
        yield
    except LabError:
        raise
    except Exception as error:  # HDF5 fails in any way on a file of which some bytes are others
        if (isinstance(error, OSError) and error.errno) or "errno = " in str(error):
            raise
        raise ConfigurationError(
            f"{path} is a run file that is spoilt ({type(error).__name__}: {error}); bring back the whole file"
        ) from None


@contextlib.contextmanager
def cutting(path: Path, steps: int) -> Iterator[h5py.File]:
    """As `changing`, with all but the first ``steps`` steps and the results left out; also of a run that was killed.

    Raises ConfigurationError, and nothing is changed, if the file is spoilt.
    """
    aside = path.with_suffix(".new")
    with (
        spoilt_told(path),
        replacing(aside, path, durable=True),
        open_run(path) as old,
        h5py.File(aside, "w", libver="latest", locking=False) as new,
    ):
        for key, value in old.attrs.items():
            new.attrs[key] = value
        for name in old:
            if name not in ("steps", "results", STEP_TIMES):
                old.copy(name, new)
        must_be_whole(old, path)
        _copy_steps(dict(old["steps"].items()), new.create_group("steps"), steps)
        if STEP_TIMES in old:
            _copy_steps({STEP_TIMES: old[STEP_TIMES]}, new, steps)
        yield new


def _copy_steps(old: Mapping[str, h5py.Dataset], new: h5py.Group, count: int) -> None:
    if count == 0:
        return  # which series there are is decided by the first step
    for name, series in old.items():
        if len(series) < count:
            raise ConfigurationError(
                f"{series.file.filename} has {len(series)} steps of {name} and a checkpoint after {count}: they do not "
                "belong together; bring the checkpoint of this run beside it"
            )
        kept = new.create_dataset(
            name, shape=(count, *series.shape[1:]), maxshape=series.maxshape, dtype=series.dtype, chunks=series.chunks
        )
        rows = max(1, _BLOCK_BYTES // max(1, series.nbytes // len(series)))
        for start in range(0, count, rows):
            kept[start : min(start + rows, count)] = series[start : min(start + rows, count)]


@contextlib.contextmanager
def replacing(aside: Path, path: Path, durable: bool) -> Iterator[None]:
    """``aside``, written meanwhile, takes the place of ``path``; if that fails, nothing is changed."""
    try:
        yield
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    with contextlib.suppress(FileNotFoundError):  # what its owner has closed to others stays closed
        shutil.copymode(path, aside)
    if durable:
        synchronise(aside)
    os.replace(aside, path)


def synchronise(path: Path) -> None:
    """Have the system write a file to its disk."""
    with open(path, "rb+") as file:  # not every system writes out what was opened for reading
        os.fsync(file.fileno())


def appending(path: Path) -> h5py.File:
    """A run file for appending to its series; killed at any moment, it is read up to the last flush."""
    fapl = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    fapl.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    fapl.set_file_locking(False, True)  # a reader that has the file open must not end the run
    # In one call: h5py's own two, opening and then turning to SWMR, have a moment between them.
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDWR | h5py.h5f.ACC_SWMR_WRITE, fapl))


def append(series: h5py.Dataset, shape: tuple[int, ...], index: int, value: NDArray[Any]) -> None:
    """The next value, number ``index``, of a series (steps, *shape); when this returns it is in the file."""
    if value.shape == shape and value.size and value.dtype.kind in "biufc":
        # HDF5's own functions: h5py's indexing costs four times as much, in every step of every run.
        series.id.set_extent((index + 1, *shape))
        there = series.id.get_space()
        there.select_hyperslab((index, *(0 for _ in shape)), (1, *shape))
        series.id.write(h5py.h5s.create_simple((1, *shape)), there, np.ascontiguousarray(value))
    else:  # a text, or what h5py stretches to the shape, or refuses
        series.resize(index + 1, axis=0)
        series[index] = value
    series.id.flush()


def open_run(path: str | Path) -> h5py.File:
    """A run file for reading, also one whose run was killed or is still being written.

    Raises ConfigurationError if it is not a run file, or its groups are none.
    """
    file = open_marked(path, "labctl_run", "run")
    try:
        with spoilt_told(Path(path)):
            _must_have_groups(file)
    except BaseException:
        file.close()
        raise
    return file


def _must_have_groups(file: h5py.File) -> None:
    """ValueError if something else is in a group's place: whether a name is in a dataset is asked of every number."""
    groups = [f"parts/{name}" for name in file["parts"]] if _is(file, "parts", h5py.Group) else []
    for name in (*_GROUPS, *groups):
        if name in file and not _is(file, name, h5py.Group):
            raise ValueError(f"{name} is no group")


def _is(file: h5py.File, name: str, kind: type) -> bool:
    link = file.get(name, getlink=True) if name in file else None
    return isinstance(link, h5py.HardLink) and file.get(name, getclass=True) is kind


def open_marked(path: str | Path, mark: str, what: str) -> h5py.File:
    """As `open_run`, of any file with the attribute ``mark`` that only grows while it is written."""
    try:
        try:
            file = h5py.File(path, "r", locking=False)
        except OSError as error:
            if "truncated file" in str(error):  # never of one that only grows
                raise
            file = _open_growing(path)
        try:
            marked = mark in file.attrs
        except BaseException:
            file.close()
            raise
        if not marked:
            file.close()
            raise ConfigurationError(f"{path} is an HDF5 file, but not a labctl {what}")
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file; name a {what} file") from None
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        why = "it is no HDF5 file" if "file signature not found" in str(error) else str(error)
        raise ConfigurationError(f"{path} cannot be read as a {what} file: {why}") from None
    return file


def _open_growing(path: str | Path) -> h5py.File:
    """A file that is, or was to the end, open for appending."""
    fapl = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    fapl.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    fapl.set_file_locking(False, True)
    limit = _set_attempts()
    if limit is not None:
        limit(fapl.id, _READ_ATTEMPTS)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ, fapl))


@functools.cache
def _set_attempts() -> Any:
    """HDF5's own function, which h5py does not have; None where it is not found.

    A wrong checksum may be that of a block which is just being written, so HDF5 reads it again, after 1 ns, 2 ns, 4 ns,
    … by default 100 times, which is for ever in a file that is spoilt.
    """
    try:
        found = ctypes.CDLL(h5py.h5p.__file__).H5Pset_metadata_read_attempts  # of the library that is loaded with it
    except (OSError, AttributeError):
        return None
    found.argtypes, found.restype = [ctypes.c_int64, ctypes.c_uint], ctypes.c_int
    return found


def must_be_whole(file: h5py.File, path: Path) -> None:
    """ConfigurationError if series of a file that nobody writes go on after its end, or claim to be larger than the
    file: HDF5 would read zeros there, as many as are claimed."""
    ends = 0
    size = os.path.getsize(path)
    for series in [*file["steps"].values(), *([file[STEP_TIMES]] if STEP_TIMES in file else [])]:

        def note(chunk: Any) -> None:
            nonlocal ends
            ends = max(ends, chunk.byte_offset + chunk.size)

        if not isinstance(series, h5py.Dataset) or series.nbytes > size:  # nothing is compressed in a run file
            raise ConfigurationError(f"{path} is spoilt: one of its series is none, or larger than the file")
        if series.chunks is not None:
            series.id.chunk_iter(note)
    if ends > size:
        raise ConfigurationError(
            f"{path} is cut off: its steps go on to byte {ends}, and it ends at {size}; bring back the whole file"
        )


def find_run(given: str, directory: Path) -> Path:
    """A run file by its path, by its name in ``directory``, or "latest" for the one there that was begun last.

    Raises ConfigurationError if there is none.
    """
    if given == "latest":
        # Names begin with the time of day; those of one second differ by when they were last written.
        found = sorted(directory.glob("*.h5"), key=lambda p: (p.name[:17], p.stat().st_mtime_ns))
        if not found:
            raise ConfigurationError(f"no run files in {directory}; name the folder with --out")
        return found[-1]
    for path in (Path(given), directory / given, directory / f"{given}.h5"):
        if path.is_file():
            return path
    raise ConfigurationError(f"{given}: no such run file, here or in {directory}; name one, or `latest`")


def pictures_of(path: Path) -> list[Path]:
    """The pictures of a run that are still there, beside its file; none if it is no longer a readable run file."""
    try:
        with spoilt_told(path), open_run(path) as file:
            names = [Path(name).name for name in json.loads(file.attrs.get("pictures", "[]"))]
            return [picture for name in names if name and (picture := path.with_name(name)).is_file()]
    except ConfigurationError:
        return []

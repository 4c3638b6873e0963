"""The file of a sweep while it is measured: whatever ends the process, what was measured is in it and can be read.

Layout: ``/setup/plan`` (JSON), ``/parts/0``, ``1``, … (one for each time it was begun or resumed: times, status,
versions, git state, command, workers), and ``/journal``: ``bytes`` with one measured point after the other (`points`),
in the order in which they came, and ``ends``, where it may be cut. These grow in HDF5's SWMR mode, in which every
moment is a readable file (see `labctl.runfile.file`). When the sweep ends, complete or not, tables are written beside
them (`labctl.sweep.tables`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from drivers.errors import ConfigurationError
from labctl.runfile import file as runfile
from labctl.runfile.lock import RunLock
from labctl.runfile.parts import begin_part, clock, cut_part, end_part
from labctl.sweep import points, tables
from labctl.sweep.plan import Plan
from labctl.sweep.points import MeasuredPoint

_LAYOUT = 1
_MARK = "labctl_sweep"
_CHUNK = 1 << 16
_SYNCHRONISE_EVERY_S = 1.0
SUFFIXES = (".h5", ".hdf5")


def open_file(path: Path) -> h5py.File:
    """A sweep's file for reading, also while it is written. ConfigurationError if it is none."""
    file = runfile.open_marked(path, _MARK, "sweep")
    if file.attrs[_MARK] != _LAYOUT:
        layout = file.attrs[_MARK]
        file.close()
        raise ConfigurationError(
            f"{path} has layout {layout}, this version of labctl reads {_LAYOUT}; use the version that wrote it"
        )
    return file


def read(path: Path) -> tuple[Plan, dict[int, MeasuredPoint], str]:
    """Plan, what is measured by the number of the point (the last one counts), and status of a sweep."""
    with open_file(path) as file:
        try:
            plan = Plan.from_json(file["setup/plan"].asstr()[()])
            found = {point.index: point for point in points.decode(_sound(file).data)}
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise ConfigurationError(f"{path} is damaged ({type(error).__name__}: {error}); restore it") from None
        return plan, found, str(file.attrs["status"])


class SweepFile:
    """Writes the file of a sweep. Use as a context manager; leaving it closes the file with a status."""

    def __init__(self, path: Path, plan: Plan, about: Mapping[str, str]) -> None:
        """Begin a file, or go on with the one that is there, which must be of the same plan.

        about: texts kept with this part. Raises ConfigurationError if another process writes it, if it is something
        else, or if it cannot be written.
        """
        if path.suffix not in SUFFIXES:
            raise ConfigurationError(f"{path}: a sweep is kept in an HDF5 file; name one that ends in {SUFFIXES[0]}")
        self.path = path
        self.plan = plan
        self._synchronised = time.monotonic()
        began_s = time.time()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                open_file(path).close()  # what is no sweep gets no lock beside it
            self._lock = RunLock.take(path)
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error}; choose another --out") from None
        try:
            self.measured = self._begin(began_s, about)
            self._file = runfile.appending(path)
            self._bytes, self._ends = self._file["journal/bytes"], self._file["journal/ends"]
        except OSError as error:
            self._lock.release()
            raise ConfigurationError(f"cannot write {path}: {error}; choose another --out") from None
        except BaseException:
            self._lock.release()
            raise

    def _begin(self, began_s: float, about: Mapping[str, str]) -> dict[int, MeasuredPoint]:
        if self.path.exists():
            kept, found, _ = read(self.path)
            if differences := kept.differences(self.plan):
                raise ConfigurationError(
                    f"{self.path} is another sweep: {'; '.join(differences)}. Go on with it (labctl sweep --resume "
                    f"{self.path}), or choose another --out"
                )
            seen_s = self.path.stat().st_mtime
            with _rewriting(self.path) as file:
                cut_part(file, len(file["journal/ends"]), seen_s)
                self._describe(file, began_s, about)
            return found
        with runfile.changing(self.path, durable=True) as file:
            file.attrs["NX_class"] = "NXroot"
            file.attrs[_MARK] = _LAYOUT
            file.attrs["experiment"] = self.plan.name
            file.attrs["start_time"] = clock(began_s)
            file.create_dataset("setup/plan", data=self.plan.as_json(), dtype=h5py.string_dtype())
            file.create_group("parts")
            _journal(file, np.empty(0, np.uint8), np.empty(0, np.int64))
            self._describe(file, began_s, about)
        return {}

    @staticmethod
    def _describe(file: h5py.File, began_s: float, about: Mapping[str, str]) -> None:
        number = begin_part(file, began_s, len(file["journal/ends"]))
        for key, text in about.items():
            file["parts"][str(number)].attrs[key] = text

    def append(self, encoded: Sequence[bytes]) -> None:
        """Keep points that were measured, each as `points.encode` has it. They are in the file when this returns.

        Raises ConfigurationError if there is no room.
        """
        try:
            self._append(encoded)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write {self.path}: {error}; make room, and go on with labctl sweep --resume {self.path}"
            ) from None
        for point in points.decode(b"".join(encoded)):
            self.measured[point.index] = point

    def _append(self, encoded: Sequence[bytes]) -> None:
        data = np.frombuffer(b"".join(encoded), np.uint8)
        end = len(self._bytes) + len(data)
        self._bytes.resize(end, axis=0)
        self._bytes[end - len(data) :] = data
        self._bytes.flush()  # first: an end must not be known before what it ends
        self._ends.resize(len(self._ends) + 1, axis=0)
        self._ends[-1] = end
        self._ends.flush()
        now = time.monotonic()
        if now - self._synchronised >= _SYNCHRONISE_EVERY_S:
            self._synchronised = now
            runfile.synchronise(self.path)

    def close(self, status: str) -> None:
        """Write tables of all that is measured, and the status."""
        try:
            self._file.close()
            with _rewriting(self.path) as file:
                tables.write(file, self.plan, self.measured)
                end_part(file, status, time.time())
        except OSError as error:
            raise ConfigurationError(
                f"cannot write {self.path}: {error}; what was measured is in it, and labctl sweep --resume {self.path} "
                "makes its tables when there is room"
            ) from None
        finally:
            self._lock.release()

    def __enter__(self) -> SweepFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.close("interrupted")
        elif error is not None:
            self.close(f"failed: {type(error).__name__}: {error}")
        else:
            whole = len(self.measured) == self.plan.size and not any(point.error for point in self.measured.values())
            self.close("complete" if whole else "complete, with failures")


@contextmanager
def _rewriting(path: Path) -> Iterator[h5py.File]:
    """The file anew with setup, parts and journal, also of a sweep that was killed; it takes the old one's place."""
    aside = path.with_suffix(".new")
    with (
        runfile.replacing(aside, path, durable=True),
        open_file(path) as old,
        h5py.File(aside, "w", libver="latest", locking=False) as new,
    ):
        for key, value in old.attrs.items():
            new.attrs[key] = value
        for name in ("setup", "parts"):
            old.copy(name, new)
        data = _sound(old)
        _journal(new, data, old["journal/ends"][()])
        yield new


def _sound(file: h5py.File) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The journal up to where it may be cut."""
    ends = file["journal/ends"][()]
    end = int(ends.max()) if len(ends) else 0  # where the last one was being written it may still be 0
    data: np.ndarray[tuple[int], np.dtype[np.uint8]] = file["journal/bytes"][:end]
    return data


def _journal(
    file: h5py.File, data: np.ndarray[tuple[int], np.dtype[np.uint8]], ends: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> None:
    group = file.create_group("journal")
    group.create_dataset("bytes", data=data, maxshape=(None,), chunks=(_CHUNK,))
    group.create_dataset("ends", data=ends, maxshape=(None,), chunks=(1024,))

"""Which runs of a folder can go, and their removal. What is being written, and what a calibration in force stands on,
stays whatever is asked for."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from drivers.errors import CalibrationError, ConfigurationError
from labctl.bench.load import load_bench
from labctl.runfile.catalogue import Catalogue
from labctl.runfile.file import open_run, spoilt_told
from labctl.runfile.lock import RunLock
from labctl.runfile.reading import text_of
from labctl.runfile.summary import FOREIGN, RunSummary
from labctl.store import Store, store_folder

_BESIDE = (".checkpoint", ".new")


@dataclass(frozen=True)
class Wanted:
    """What is to go: runs that are all of these. older_s: since they were begun, or their file was last written if
    that is not known; larger_bytes: with their pictures and checkpoints; statuses: any of these."""

    older_s: float | None = None
    larger_bytes: float | None = None
    statuses: tuple[str, ...] = ()
    protocol: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A run that was asked for, its files and their size. kept: why it stays; "" if it goes."""

    run: RunSummary
    files: tuple[Path, ...]
    size: int
    kept: str = ""


@dataclass
class _Protected:
    """Run files on which calibrations in force stand, by name and by hash, and what stands on them."""

    by_name: dict[str, str] = field(default_factory=dict)
    by_hash: dict[str, str] = field(default_factory=dict)


def candidates(folder: Path, wanted: Wanted, stores: Iterable[Path] = ()) -> list[Candidate]:
    """Runs of a folder that are ``wanted``, by age, each with why it stays or "".

    stores: folders of calibrations, besides those of the benches of the runs and that of the working directory. Raises
    ConfigurationError if what is in force cannot be found out: then nothing is to be removed.
    """
    runs = [run.now(folder) for run in Catalogue(folder).runs()]
    chosen = [run for run in runs if run.status != FOREIGN and _is_wanted(run, folder, wanted)]
    protected = _protected(_stores_of(folder, runs, stores)) if chosen else _Protected()
    return [_candidate(run, folder, protected) for run in chosen]


def remove(candidate: Candidate) -> str:
    """Remove a run; "", or why it stays after all."""
    path = candidate.files[0]
    try:
        lock = RunLock.take(path)
    except ConfigurationError:
        return "it is being written"
    try:
        for file in (*candidate.files[1:], path):  # the run last: what is interrupted can be gone on with
            file.unlink(missing_ok=True)
    except OSError as error:
        return f"it cannot be removed: {error}"
    finally:
        lock.release()
    return ""


def _is_wanted(run: RunSummary, folder: Path, wanted: Wanted) -> bool:
    path = folder / run.file
    begun_s = run.begun_s
    if not begun_s:
        with contextlib.suppress(OSError):
            begun_s = path.stat().st_mtime
    return (
        (wanted.older_s is None or time.time() - begun_s > wanted.older_s)
        and (not wanted.statuses or run.status in wanted.statuses)
        and (wanted.protocol is None or run.protocol == wanted.protocol)
        and (wanted.larger_bytes is None or _size(_files(run, folder)) > wanted.larger_bytes)
    )


def _candidate(run: RunSummary, folder: Path, protected: _Protected) -> Candidate:
    files = _files(run, folder)
    kept = "it is being written" if run.status == "running" else protected.by_name.get(run.file, "")
    if not kept and protected.by_hash:  # it may have another name by now
        with contextlib.suppress(OSError), open(files[0], "rb") as data:
            kept = protected.by_hash.get(hashlib.file_digest(data, "sha256").hexdigest(), "")
    return Candidate(run, files, _size(files), kept)


def _files(run: RunSummary, folder: Path) -> tuple[Path, ...]:
    path = folder / run.file
    beside = [path.with_suffix(suffix) for suffix in _BESIDE]
    names = [Path(name).name for name in run.pictures]
    # A file may say anything: only what has the name of a picture of this run goes with it.
    pictures = [folder / name for name in names if name.startswith(f"{path.stem}-") and name.endswith(".png")]
    return (path, *(file for file in (*beside, *pictures) if file.is_file()))


def _size(files: Iterable[Path]) -> int:
    total = 0
    for file in files:
        with contextlib.suppress(OSError):
            total += file.stat().st_size
    return total


def _stores_of(folder: Path, runs: Iterable[RunSummary], given: Iterable[Path]) -> set[Path]:
    """Wherever calibrations of these runs may lie: as each bench says, or beside the folder in which it was begun."""
    found = {store_folder(), folder.absolute().parent / "calibrations", *(path.absolute() for path in given)}
    seen: set[tuple[str, str, str]] = set()
    for run in runs:
        bench = run.folder, run.bench_path, run.fingerprint
        if run.folder and bench not in seen:
            seen.add(bench)
            found.add(Path(run.folder, "calibrations"))
            found |= set(_store_of_bench(folder / run.file, run))
    return {path for path in found if path.is_dir()}


def _store_of_bench(path: Path, run: RunSummary) -> Iterator[Path]:
    with contextlib.suppress(ConfigurationError):  # of a bench that is no longer one; its calibrations are not in use
        with spoilt_told(path), open_run(path) as file:
            texts = text_of(file["setup"], "bench_file"), text_of(file["setup"], "bench_overlay")
        changes = {k: v for k, v in run.given.items() if k.startswith("calibrations.")}
        yield load_bench(Path(run.folder, run.bench_path), changes, texts).calibrations_folder


def _protected(stores: Iterable[Path]) -> _Protected:
    found = _Protected()
    for folder in sorted(stores):
        try:
            store = Store(folder)
            headers = {header.id: header for header in store.list()}
            in_force = [f.header for bench in {u.bench for u in store.uses()} for f in store.all_in_force(bench)]
        except CalibrationError as error:
            raise ConfigurationError(f"{error}\nwhat is in force there is not known: nothing is removed") from None
        waiting, seen = [(header.id, header) for header in in_force], set()
        while waiting:  # and what those stand on, which are not in force any more themselves
            calibration_id, header = waiting.pop()
            if calibration_id in seen:
                continue
            seen.add(calibration_id)
            if header.run is not None:
                why = f"{header.kind} {header.short_id} of {header.role} on {header.bench}, in force, stands on it"
                found.by_name.setdefault(os.path.basename(header.run.path), why)
                found.by_hash.setdefault(header.run.sha256, why)
            waiting += [(parent, headers[parent]) for parent in header.parents if parent in headers]
    return found

"""The run file: one HDF5 file that is complete up to the last step whenever the run ends, however it ends.

Layout: attributes of the root (protocol, seed, status, times), ``/setup`` (bench file text, settings, parameters,
versions), ``/data`` (arrays saved once), ``/steps`` (one entry per step, extendable, flushed per step),
``/step_times`` (when each was saved, UTC in s since 1970 by the clock of this machine), ``/results``,
and ``/parts/0``, ``1``, …: a run that was interrupted and resumed has several, each with its times, the step it begins
with, how it ended, with which versions it was made, and, from the second on, its own setup.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Protocol as TypingProtocol

import h5py
import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConfigurationError, StorageError
from labctl.experiments import checkpoint, interruption
from labctl.experiments.checkpoint import Checkpoint
from labctl.experiments.console import Console
from labctl.experiments.storing import must_have_room, stored, storing
from labctl.plain import plain
from labctl.runfile import file as runfile
from labctl.runfile.catalogue import Catalogue
from labctl.runfile.ending import put, write_interlocks, write_results
from labctl.runfile.file import open_run
from labctl.runfile.lock import RunLock
from labctl.runfile.parts import begin_part, clock, cut_part, end_part
from labctl.runfile.steps import StepWriter

_SYNCHRONISE_EVERY_S = 1.0
_CHECKPOINT_DUE_AFTER_S = 0.5
_TABLE_SHARE = 0.03
"""Of a run's time, for checkpoints with a frozen table, which may take a tenth of a second each."""
_TABLE_CREDIT_S = 0.5
_RECOVERIES = "recoveries of the bench"
"""Among the state of a checkpoint, beside the protocol's."""


class Freezable(TypingProtocol):
    """A bench: what of it a checkpoint keeps."""

    def freeze(self) -> NDArray[np.uint8] | None:
        """A simulated table's state; None where there is none to keep."""
        ...

    def thaw(self, frozen: NDArray[np.uint8]) -> None:
        """Go on from there."""
        ...


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
    """Writes one run. Use as a context manager; leaving it closes the file with the run's status.

    rng: the experiment's random numbers, from the seed. resumed: None, or the state of the last checkpoint where the
    run goes on from one; see `checkpoint`. bench: set by who runs the experiment; its table, if it can be frozen, is
    kept with checkpoints.
    """

    wants_pictures = True
    """Whether pictures are kept. Where they are not, as in sweeps, an experiment may leave out drawing them."""

    def __init__(self, name: str, directory: Path, seed: int, console: Console | None = None) -> None:
        try:
            path, lock = runfile.begin(directory, name)
        except OSError as error:
            raise ConfigurationError(f"cannot write a run file in {directory}: {error}; choose another --out") from None
        self._begin(path, lock, name, seed, console)
        try:
            with self._change() as file:
                root = file.attrs
                root["NX_class"] = "NXroot"
                root["default"] = "steps"
                root["labctl_run"] = 1
                root["protocol"] = name
                root["seed"] = seed
                root["start_time"] = clock()
                for group in ("setup", "data", "steps", "parts"):
                    file.create_group(group)
                file.create_dataset("checkpoint", data=np.array([-1]))
                begin_part(file, self._started, 0)
                for key in ("versions", "git"):
                    file["setup"].attrs[key] = file["parts/0"].attrs[key]
        except OSError as error:
            lock.release()
            raise ConfigurationError(f"cannot write a run file in {directory}: {error}; choose another --out") from None
        self._enter_catalogue()

    @classmethod
    def resume(cls, path: Path, lock: RunLock, console: Console | None = None, *, anew: bool = False) -> Recorder:
        """Goes on with a run that ended before it was complete, after its last checkpoint, in the same file.

        Steps after the checkpoint are measured again. Without a checkpoint, or with ``anew``, all are. Raises
        ConfigurationError if the checkpoint is lost or spoilt.
        """
        with runfile.spoilt_told(path), open_run(path) as file:
            name, seed = str(file.attrs["protocol"]), int(file.attrs["seed"])
            made = int(file["checkpoint"][0])
            seen_s = max(p.stat().st_mtime for p in (path, path.with_suffix(".checkpoint")) if p.exists())
        kept = None if anew else checkpoint.read(path.with_suffix(".checkpoint"))
        if kept is None and made >= 0 and not anew:
            raise ConfigurationError(
                f"{path} has a checkpoint, and {path.with_suffix('.checkpoint').name} is not beside it; bring it "
                "there, or begin the run anew with --anew"
            )
        if anew:
            path.with_suffix(".checkpoint").unlink(missing_ok=True)
        self = cls.__new__(cls)
        self._begin(path, lock, name, seed, console)
        self._from = kept
        self.recoveries = {} if kept is None else json.loads(kept.state.get(_RECOVERIES, "{}"))
        self._writer.count = 0 if kept is None else kept.steps
        with runfile.cutting(path, self._writer.count) as file:
            file["checkpoint"][0] = -1 if kept is None else self._writer.count
            for key, value in kept.late.items() if kept is not None else ():
                put(file["data"], key, value)
            cut_part(file, self._writer.count, seen_s)
            self._part = begin_part(file, self._started, self._writer.count)
            self._pictures = json.loads(file.attrs.get("pictures", "[]"))
        self._enter_catalogue()
        return self

    def _begin(self, path: Path, lock: RunLock | None, name: str, seed: int, console: Console | None) -> None:
        self.name = name
        self.seed = seed
        self.console = console or Console(quiet=True)
        self.rng = np.random.default_rng(seed)
        self.path = path
        self.directory = path.parent
        self._checkpoint_path = path.with_suffix(".checkpoint")
        self._lock = lock
        self.bench: Freezable | None = None
        self.recoveries: dict[str, int] = {}
        self._when_thawed: list[Callable[[], object]] = []
        self._frozen_s = self._freezing_s = 0.0
        self._from: Checkpoint | None = None
        self._part = 0
        # Before and after steps, changes are made on a copy (see `labctl.runfile.file`).
        self._writer = StepWriter(path, 0)
        self._finished = False
        self._late: dict[str, Any] = {}
        self._pictures: list[str] = []
        self._interlocks: list[dict[str, Any]] = []
        self._loops = 0
        self._next = 0
        self._in_loop = False
        self._marked = False
        self._restored = False
        self._synchronised = self._begun_s = time.monotonic()
        self._checkpoint_at: float | None = None
        self._started = time.time()

    def _enter_catalogue(self) -> None:
        catalogue = Catalogue(self.directory)
        catalogue.enter(self.path)
        for message in catalogue.messages:
            self.console.say(message)

    def _change(self, durable: bool = False) -> AbstractContextManager[h5py.File]:
        return runfile.changing(self.path, durable=durable)

    # --- what an experiment keeps -----------------------------------------------------------------------------------

    @stored
    def setup(self, **texts: Any) -> None:
        """Keep texts and settings (anything JSON takes) that describe the run; before the first step."""
        with self._change() as file:
            group = file["setup"] if self._part == 0 else file[f"parts/{self._part}"]
            for key, value in texts.items():
                text = value if isinstance(value, str) else json.dumps(plain(value))
                # A dataset, not an attribute: a bench file or a snapshot may be larger than the 64 kB of an attribute.
                group.create_dataset(key, data=text, dtype=h5py.string_dtype())

    @stored
    def save(self, name: str, value: NDArray[Any]) -> None:
        """Keep an array that belongs to the whole run; in a resumed run, in the place of what there was."""
        if self._writer.file is not None:
            self._late[name] = np.array(value)  # into the file at the end, and into each checkpoint before
        else:
            with self._change() as file:
                put(file["data"], name, value)

    def saved(self, name: str) -> NDArray[Any] | None:
        """What was kept by `save`, in this or an earlier part of the run; None if nothing was."""
        if name in self._late:
            return np.asarray(self._late[name])
        return self._read(f"data/{name}")

    def series(self, name: str) -> NDArray[Any] | None:
        """What the steps saved so far under a name, (steps, …), those of earlier parts of the run included; None
        before the first step."""
        return self._read(f"steps/{name}")

    def _read(self, name: str) -> NDArray[Any] | None:
        if self._writer.file is not None:
            return np.asarray(self._writer.file[name][()]) if name in self._writer.file else None
        with open_run(self.path) as file:
            return np.asarray(file[name][()]) if name in file else None

    def picture(self, name: str) -> Path:
        """Where to put a picture of this run; the run file will name it."""
        path = self.path.with_name(f"{self.path.stem}-{name}.png")
        if path.name not in self._pictures:
            self._pictures.append(path.name)
        return path

    # --- steps and checkpoints --------------------------------------------------------------------------------------

    def steps(self, count: int, label: str) -> Iterator[Step]:
        """Steps 0 to count - 1, with a progress bar; one loop after the other, none within another.

        In a resumed run, the loop of the checkpoint begins with the step after it, with random numbers as they were
        there, and loops before it have no steps.
        """
        if self._in_loop:
            raise ConfigurationError(f"{self.name}: steps within steps; count them in one loop")
        loop, first = self._loops, 0
        self._loops += 1
        if self._from is not None:
            if loop < self._from.loop:
                return
            if loop == self._from.loop:
                self.restore_rng()
                if self._from.index is None:
                    return
                first = self._from.index
        self._in_loop = True
        try:
            with self.console.progress(label, count, first) as advance:
                for index in range(first, count):
                    interruption.look()
                    self._next = index + 1
                    yield Step(self, index)
                    advance()
        finally:
            self._in_loop = False

    @stored
    def checkpoint(self, **state: Any) -> None:
        """From here the run goes on, should it end before it is complete. Call it at the end of a step, or outside of
        loops.

        state: arrays, numbers, text and random generators, as much as the experiment needs besides what `saved` and
        `series` give back; in the resumed run `resumed` has it. The state of `rng` is kept with it. It costs about
        1 ms, and 2 ms per MB; whatever kills the process, the last one, or the one before, is whole.

        A simulated table in virtual time is kept with it, so that what is measured goes on bit for bit. Since that
        takes longer, a checkpoint is left out where checkpoints would take more than 3 % of the time: then the run goes
        on from the one before, and measures the same again.
        """
        if not self._affordable:
            return
        now = time.monotonic()
        table = None if self.bench is None else self.bench.freeze()
        durable = now - self._synchronised >= _SYNCHRONISE_EVERY_S
        if durable:
            self._synchronised = now
            runfile.synchronise(self.path)  # first: a checkpoint must not know of more steps than the disk
        index = self._next if self._in_loop else None
        rng = self.rng.bit_generator.state
        if self.recoveries:
            state = {**state, _RECOVERIES: json.dumps(self.recoveries)}
        kept = Checkpoint(self._writer.count, self._loops - 1, index, rng, state, self._late, table)
        checkpoint.write(self._checkpoint_path, kept, durable=durable)
        self._checkpoint_at = now
        if table is not None:
            self._freezing_s = time.monotonic() - now
            self._frozen_s += self._freezing_s
        if not self._marked:  # that there is one, should it be lost
            self._marked = True
            with self._change() if self._writer.file is None else nullcontext(self._writer.file) as file:
                file["checkpoint"][0] = self._writer.count
                file.flush()

    @property
    def checkpoint_due(self) -> bool:
        """Whether the last checkpoint is more than half a second old, or none is made yet: for loops of short steps.

        With a simulated table it may be older, see `checkpoint`.
        """
        due = self._checkpoint_at is None or time.monotonic() - self._checkpoint_at > _CHECKPOINT_DUE_AFTER_S
        return due and self._affordable

    @property
    def _affordable(self) -> bool:
        """Whether one more checkpoint like the last keeps within the time that frozen tables may take."""
        credit_s = _TABLE_CREDIT_S + _TABLE_SHARE * (time.monotonic() - self._begun_s)
        return self._freezing_s == 0 or self._frozen_s + self._freezing_s <= credit_s

    @property
    def resumed(self) -> Mapping[str, Any] | None:
        """State of the checkpoint from which this run goes on; None in a run that does not."""
        if self._from is None:
            return None
        return {name: value for name, value in self._from.state.items() if name != _RECOVERIES}

    def recovered(self, what: str) -> None:
        """Count something that went wrong and was mended on the way, such as a frame that was asked for again: the
        attribute ``recoveries`` of the run file has how often each did, and so have its results."""
        self.recoveries[what] = self.recoveries.get(what, 0) + 1

    @property
    def steps_saved(self) -> int:
        """How many steps are in the run file."""
        return self._writer.count

    def restore_rng(self) -> None:
        """Random numbers, and a simulated table, as they were at the checkpoint, once; `steps` does it, a loop of
        another kind must."""
        if self._from is not None and not self._restored:
            self._restored = True
            self.rng.bit_generator.state = self._from.rng
            self.thaw_table()

    def thaw_table(self) -> None:
        """A simulated table as it was at the checkpoint, after whatever was done to it since, such as setting it up;
        where the checkpoint has none, nothing. `restore_rng` does it once."""
        if self._from is not None and self._from.table is not None and self.bench is not None:
            self.bench.thaw(self._from.table)
            for act in self._when_thawed:
                act()

    def when_thawed(self, act: Callable[[], object]) -> None:
        """Have ``act`` called once a table is thawed: it brings what the experiment knows of the table to what it was
        at the checkpoint, whatever was done with the table between set-up and there."""
        self._when_thawed.append(act)

    @property
    def resumes_table(self) -> bool:
        """Whether the checkpoint from which the run goes on has a simulated table."""
        return self._from is not None and self._from.table is not None

    def leave_table(self) -> None:
        """Go on without the checkpoint's table: on another bench, there is no such table."""
        if self._from is not None:
            self._from = replace(self._from, table=None)

    @stored
    def _append(self, values: Mapping[str, Any]) -> None:
        arrays = {name: np.asarray(value) for name, value in values.items()}
        must_have_room(self.path, sum(array.nbytes for array in arrays.values()))
        self._writer.append(arrays)

    # --- the end ----------------------------------------------------------------------------------------------------

    def finish(self, results: Mapping[str, Any], status: str = "complete") -> None:
        """Close the file with results and status."""
        if self._finished:
            return
        self._finished = True
        try:
            with storing(self.path):
                self._writer.close()
                with self._change(durable=True) as file:
                    self._end(file, results, status)
                if status == "complete":
                    self._checkpoint_path.unlink(missing_ok=True)
        finally:
            if self._lock is not None:
                self._lock.release()
        self._enter_catalogue()

    def _end(self, file: h5py.File, results: Mapping[str, Any], status: str) -> None:
        for name, value in self._late.items():
            put(file["data"], name, value)
        write_results(file, results)
        file.attrs["pictures"] = json.dumps(self._pictures)
        file.attrs["recoveries"] = json.dumps(self.recoveries)
        if self._interlocks:
            write_interlocks(file, self._interlocks)
        end_part(file, status, time.time())

    def note_interlocks(self, events: list[dict[str, Any]]) -> None:
        """Keep what interlocks of the bench did, with those of earlier parts of the run: every event in the dataset
        ``interlocks``, and in the attribute of that name how often each of them tripped."""
        self._interlocks = [{key: value for key, value in event.items() if key != "age_s"} for event in events]

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
            # Where a disk is full there is no room for the status either: the error that is under way says why.
            with contextlib.suppress(StorageError):
                self.finish({}, "interrupted" if interrupted else f"failed: {kind.__name__ if kind else ''}: {error}")
        else:
            self.finish({})

"""Runs rows of the ledger on their benches: those of one stage one after another on it, each as often as wanted."""

from __future__ import annotations

import contextlib
import json
import queue
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.ledger.row import Bench, Result, Row, Tried
from labctl.ledger.theatre import START_LIMIT_S, Theatre

_SHARE = 8
"""Rows that one process tries on a stage, at most: others may then be tried beside them."""
_GRACE_S = 180.0
_END_PATIENCE_S = 60.0
Told = Callable[[Row, Tried], Any]


def rows() -> list[Row]:
    """All that are registered."""
    return [row for name in registry.names("labctl.ledger") for row in registry.load("labctl.ledger", name)]


def chosen(all_rows: list[Row], sample: int | None = None, seed: int = 0, names: Iterable[str] = ()) -> list[Row]:
    """Those that are named, else as many as ``sample``, drawn by the seed, else all.

    Raises ConfigurationError for a name that is none, and a sample that is larger than the ledger.
    """
    known = {row.fault: row for row in all_rows}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            hint = registry.suggestion(name, known)
            raise ConfigurationError(f"no row {name!r} in the ledger{hint}; `labctl ledger --list` shows all")
    if wanted:
        return [known[name] for name in wanted]
    if sample is None:
        return all_rows
    if not 1 <= sample <= len(all_rows):
        raise ConfigurationError(
            f"--sample {sample}: the ledger has {len(all_rows)} rows; 1 to {len(all_rows)} of them"
        )
    drawn = set(random.Random(seed).sample(range(len(all_rows)), sample))
    return [row for number, row in enumerate(all_rows) if number in drawn]


@dataclass(frozen=True)
class _Part:
    """Trials of a row on one of its benches."""

    row: Row
    bench: Bench
    trials: int


def _parts(some: list[Row], trials: int) -> list[_Part]:
    """Trials dealt to the benches of each row, at least one for each; those of one stage one after another."""
    parts = []
    for row in some:
        for number, bench in enumerate(row.benches):
            share = trials // len(row.benches) + (number < trials % len(row.benches))
            parts.append(_Part(row, bench, max(share, 1)))
    stages = list(dict.fromkeys(part.bench.stage for part in parts))
    return sorted(parts, key=lambda part: stages.index(part.bench.stage))


def _results(some: list[Row], found: dict[tuple[str, str], Tried]) -> list[Result]:
    return [Result(row, tuple(found[row.fault, bench.kind] for bench in row.benches)) for row in some]


def run(
    some: list[Row], trials: int = 1, seed: int = 0, told: Told = lambda row, tried: None, *, limits: bool = True
) -> list[Result]:
    """Trials of each row, in all, dealt to its benches with at least one for each; results in the order of the rows.

    told: is called after a row was tried on one of its benches, as stages come. limits: no trial takes longer than its
    row allows. Raises ConfigurationError where Python leaves out assertions.
    """
    found: dict[tuple[str, str], Tried] = {}
    with Theatre() as theatre:
        for part in _parts(some, trials):
            tried = theatre.tried(part.row, part.bench, part.trials, seed, limits=limits)
            found[part.row.fault, part.bench.kind] = tried
            told(part.row, tried)
    return _results(some, found)


def run_side_by_side(
    some: list[Row], trials: int, seed: int, workers: int, told: Told = lambda row, tried: None
) -> list[Result]:
    """As `run`, in so many processes: rows must be registered. A process that says nothing for longer than what it has
    to do may take is ended, and what it was at has failed."""
    Theatre()  # refuses where no row could fail
    waiting: queue.SimpleQueue[_Share] = queue.SimpleQueue()
    shares = _shares(_parts(some, trials), _SHARE if workers > 1 else len(some))
    for share in shares:
        waiting.put(share)
    found: queue.SimpleQueue[tuple[_Part, Tried]] = queue.SimpleQueue()

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait().run(seed, found)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    results: dict[tuple[str, str], Tried] = {}
    try:
        for thread in threads:
            thread.start()
        for _ in range(sum(len(share.parts) for share in shares)):
            part, tried = found.get()
            results[part.row.fault, part.bench.kind] = tried
            told(part.row, tried)
        for thread in threads:
            thread.join()
    finally:
        for share in shares:
            share.end()
    return _results(some, results)


def _shares(parts: list[_Part], most: int) -> list[_Share]:
    shares = []
    for stage in dict.fromkeys(part.bench.stage for part in parts):
        own = [part for part in parts if part.bench.stage is stage]
        count = -(-len(own) // most)
        shares += [_Share(own[k::count]) for k in range(count)]
    return sorted(shares, key=lambda share: -len(share.parts))


@dataclass
class _Share:
    """What one process has to do: parts of one stage."""

    parts: list[_Part]
    _process: subprocess.Popen[str] | None = None
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, seed: int, found: queue.SimpleQueue[tuple[_Part, Tried]]) -> None:
        """Say what was found of each part; another process goes on after one that failed."""
        left = list(self.parts)
        while left and not self._ended:
            told, why = self._some(left, seed)
            for part, tried in zip(left, told, strict=False):
                found.put((part, tried))
            left = left[len(told) :]
            if left and why:
                found.put((left[0], Tried(left[0].bench, left[0].trials, None, why)))
                left = left[1:]

    def _some(self, parts: list[_Part], seed: int) -> tuple[list[Tried], str]:
        """What was found until the process ended, and why it ended too soon."""
        words = [sys.executable, "-m", "labctl.ledger.worker"]
        with self._lock:
            if self._ended:
                return [], ""
            self._process = process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                start_new_session=True,  # Ctrl-C is passed on to it once
            )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        tasks = [{"fault": p.row.fault, "kind": p.bench.kind, "trials": p.trials, "seed": seed} for p in parts]
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        errors: list[str] = []
        readers = [
            threading.Thread(target=_read, args=(process.stdout, lines.put), daemon=True),
            threading.Thread(target=_read, args=(process.stderr, errors.append), daemon=True),
        ]
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(tasks))
            process.stdin.close()
        for reader in readers:
            reader.start()
        done: list[Tried] = []
        why = ""
        while len(done) < len(parts) and not why:
            part = parts[len(done)]
            limit_s = START_LIMIT_S + part.trials * part.row.limit_s + _GRACE_S
            try:
                line = lines.get(timeout=limit_s)
            except queue.Empty:
                why = f"not over after {limit_s:g} s: its process was ended"
                process.kill()
            if line:
                done.append(Tried(part.bench, **json.loads(line)))
            else:
                _ended(process)
                readers[1].join(1.0)
                why = f"its process ended with {process.returncode}: {''.join(errors)[-500:].strip()}"
        _ended(process)
        return done, why

    def end(self) -> None:
        """Its process ends as if by Ctrl-C, with all that it has started; by force if it takes too long."""
        with self._lock:
            self._ended = True
            process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        _ended(process)


def _ended(process: subprocess.Popen[str]) -> None:
    """Wait until a process has put away what it has started; by force if that takes too long."""
    try:
        process.wait(_END_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read(stream: Any, put: Callable[[str], object]) -> None:
    for line in stream:
        put(line)
    put("")

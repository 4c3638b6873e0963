"""What the catalogue keeps of a run: enough to list, choose and compare runs, without opening their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from labctl.runfile.lock import being_written

UNREADABLE, FOREIGN = "unreadable", "foreign"
STATUSES = ("complete", "running", "killed", "interrupted", "failed", UNREADABLE, FOREIGN)


class RunSummary(msgspec.Struct, frozen=True):
    """One file of a folder of runs.

    file: its name. status: one of `STATUSES`; "killed" is never kept, as nobody is left to write it, see `now`. why: of
    a run that failed, or of a file that cannot be read. begun_s: Unix time. duration_s: of all parts. steps: in the
    file. parts: 1, and one more for each time it was resumed. group, given, folder, bench_path, at: what was asked for,
    see `labctl.experiments.unfinished`. calibrations: ids in force, by device and kind. results: those that are single
    numbers. recoveries, interlocks: how often the run recovered from a fault, and was stopped by an interlock.
    """

    file: str
    status: str
    why: str = ""
    protocol: str = ""
    bench: str = ""
    seed: int = 0
    begun_s: float = 0.0
    duration_s: float = 0.0
    steps: int = 0
    parts: int = 0
    group: str = ""
    given: dict[str, Any] = {}
    folder: str = ""
    bench_path: str = ""
    fingerprint: str = ""
    at: str = ""
    calibrations: dict[str, str] = {}
    results: dict[str, float | int | bool | None] = {}
    pictures: list[str] = []
    recoveries: int = 0
    interlocks: int = 0

    def now(self, folder: Path) -> RunSummary:
        """The same, "killed" if nobody writes the run any more that its file says is running."""
        if self.status != "running" or being_written(folder / self.file):
            return self
        return msgspec.structs.replace(self, status="killed")

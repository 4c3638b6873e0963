"""What interlocks did during a run, for its file: whatever the run ended with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

from drivers.errors import LabError
from labctl.bench.client import Bench
from labctl.bench.config import BenchConfig


class Noting(Protocol):
    """The recorder of a run."""

    def note_interlocks(self, events: list[dict[str, Any]]) -> None:
        """Keep what they did."""


@contextlib.contextmanager
def noting_interlocks(bench: Bench, run: str, record: Noting, config: BenchConfig) -> Iterator[None]:
    """Has the recorder keep what the bench's interlocks did while ``run`` had control; nothing on a bench without."""
    try:
        yield
    finally:
        if config.interlocks:
            # A bench that does not answer any more has an error of its own, which is under way.
            with contextlib.suppress(LabError):
                record.note_interlocks(bench.interlock_events(run))

"""A run that a script or notebook has just made: what it found, beside everything that is in its file."""

from __future__ import annotations

from typing import Any

from labctl.experiments.execute import Outcome
from labctl.runs.shown import ShownRun


class Run(ShownRun):
    """A finished run. ``values`` is what it found; arrays, plots and the rest are as of `ShownRun`.

    targets, ok: of figures, the bounds that were promised and whether they are met; None without any. seconds: that it
    took. bench_seconds: that it took, or would have taken, on the table.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.run_file)
        self.values: dict[str, Any] = outcome.values
        self.targets = outcome.targets
        self.ok = outcome.ok
        self.seconds = outcome.seconds
        self.bench_seconds = outcome.bench_seconds

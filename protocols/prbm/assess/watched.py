"""A bench whose sequencer's plays are counted: what was really shown, repeats for wrong exposures included."""

from __future__ import annotations

from typing import Any

from labctl.client import Bench, Sequence, SequenceResult


class WatchedSequencer:
    """A bench's sequencer, and how much it has played: plays, patterns, and seconds of exposure."""

    def __init__(self, sequencer: Any) -> None:
        self._sequencer = sequencer
        self.plays = 0
        self.patterns = 0
        self.exposure_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sequencer, name)

    def play(self, sequence: Sequence, *arguments: Any, **options: Any) -> SequenceResult:
        """As the sequencer's own."""
        result: SequenceResult = self._sequencer.play(sequence, *arguments, **options)
        self.plays += 1
        self.patterns += len(sequence)
        self.exposure_s += float((result.end_ns - result.start_ns).sum()) * 1e-9
        return result


class WatchedBench:
    """A bench with all that it has, but for its sequencer, which is watched."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.sequencer = WatchedSequencer(bench.sequencer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bench, name)

    def __getitem__(self, role: str) -> Any:
        return self.sequencer if role == "sequencer" else self._bench[role]

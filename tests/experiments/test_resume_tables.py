"""A run on a simulated table goes on with it: light, noise and time are those of a run that was never stopped."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kill_runs import begin, go_on, killed_runs, same
from processes import up
from resumable import only_run

from labctl.client import ConfigurationError, Recorder, open_bench
from labctl.experiments import checkpoint, recorder
from labctl.experiments.execute import resume


@pytest.fixture(autouse=True)
def _every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints whatever they cost, and no pictures."""
    monkeypatch.setattr(recorder, "_CHECKPOINT_DUE_AFTER_S", 0.0)
    monkeypatch.setattr(recorder, "_TABLE_CREDIT_S", 1e9)
    monkeypatch.setattr(Recorder, "wants_pictures", False)


@contextmanager
def stopped_before(patch: pytest.MonkeyPatch, step: int) -> Iterator[None]:
    """The run is interrupted when it has measured a step, counted from here on, and not saved it yet."""
    append, left = Recorder._append, [step]

    def append_or_stop(self: Recorder, values: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        append(self, values)

    with patch.context() as here:
        here.setattr(Recorder, "_append", append_or_stop)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.parametrize(
    ("case", "stops"),
    [
        ("prbm.generate", (3, 1, 3)),
        pytest.param("dyad.calibrate", (2, 1, 2), marks=pytest.mark.soak),
        pytest.param("nep.train by light", (3, 1), marks=pytest.mark.soak),
    ],
)
def test_a_run_stopped_in_the_middle_ends_bit_for_bit_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, stops: tuple[int, ...]
) -> None:
    whole, out = begin(case, tmp_path / "whole"), tmp_path / "out"
    with stopped_before(monkeypatch, stops[0]):
        begin(case, out)
    for stop in stops[1:]:
        with stopped_before(monkeypatch, stop):
            go_on(only_run(out))
    go_on(only_run(out))
    same(only_run(out), whole)


def test_a_table_in_other_processes_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun there and ended here: where devices live makes no difference."""
    whole, out = begin("prbm.generate", tmp_path / "whole"), tmp_path / "out"
    with up("prbm-sim", "--set", "bench.lease=60 s"):
        with stopped_before(monkeypatch, 3):
            begin("prbm.generate", out)
        with stopped_before(monkeypatch, 2):
            go_on(only_run(out))
    go_on(only_run(out))
    same(only_run(out), whole)


@pytest.mark.parametrize(("case", "kills"), [("prbm.generate", 2), ("nep.train", 4)])
def test_killed_at_random_moments_it_ends_as_one_that_was_not(tmp_path: Path, case: str, kills: int) -> None:
    """The rest of 200 kills: tests/soak/test_kill_runs.py."""
    with killed_runs(case, tmp_path) as runs:
        assert runs.run(kills, random.Random(4)) > 0


def test_a_table_of_another_bench_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    with stopped_before(monkeypatch, 3):
        begin("prbm.generate", out)
    kept = checkpoint.read(only_run(out).with_suffix(".checkpoint"))
    assert kept is not None
    assert kept.table is not None
    with (
        open_bench("prbm-sim", {"world.seed": 8}) as bench,
        bench.control("test"),
        pytest.raises(ConfigurationError, match="is of another one"),
    ):
        bench.thaw(kept.table)
    other = tmp_path / "other.toml"
    other.write_text(_packaged("prbm-sim").replace("seed = 7", "seed = 8"))
    assert resume(only_run(out), other).values["images"] == 2


def _packaged(name: str) -> str:
    from labctl.bench.load import packaged_benches

    return packaged_benches()[name].read_text(encoding="utf-8")

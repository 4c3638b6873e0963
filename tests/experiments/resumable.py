"""Made-up protocols that can be interrupted anywhere, registered like a third party's; and how runs are compared."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from labctl import registry
from labctl.client import Bench, Figure, Parameters, Protocol, Recorder, open_run
from labctl.runfile.lock import RunLock

_POINTS = """
[labctl.protocols]
t.walk = resumable:Walk
t.forgetful = resumable:Forgetful

[labctl.figures]
t.seen = resumable:Seen
"""


class WalkParameters(Parameters):
    there: int = 12
    back: int = 6
    size: int = 500
    wait_for: Path | None = None


class Walk(Protocol):
    """A random walk there and back; random numbers are drawn before, between and in its two loops."""

    Parameters = WalkParameters

    at: ClassVar[Callable[[str], None]] = staticmethod(lambda moment: None)
    """A test may stop it at a moment."""

    def prepare(self, parameters: WalkParameters, record: Recorder) -> None:
        self.start = record.rng.normal(size=parameters.size)
        Walk.at("prepare")
        record.save("start", self.start)

    def run(self, bench: Bench, parameters: WalkParameters, record: Recorder) -> dict[str, Any]:
        rng, kept = record.rng, dict(record.resumed or {})
        position = kept.get("position", self.start + rng.normal(size=parameters.size))
        for step in record.steps(parameters.there, "there"):
            position = position + rng.normal(size=parameters.size)
            step.save(position=position, number=step.index)
            Walk.at(f"there {step.index}")
            record.checkpoint(position=position)
            while step.index == 3 and parameters.wait_for is not None and not parameters.wait_for.exists():
                time.sleep(0.01)
                bench.renew()
        own = kept.get("own") or np.random.default_rng(rng.integers(1 << 30))
        for step in record.steps(parameters.back, "back"):
            position = position - own.normal(size=parameters.size)
            step.save(position=position, number=-step.index)
            if step.index == 1:
                record.save("turned", position)
            Walk.at(f"back {step.index}")
            record.checkpoint(position=position, own=own)
        record.save("end", position)
        record.checkpoint(position=position, own=own)
        Walk.at("end")
        return {"mean": float(position.mean()), "end": position, "drawn": float(rng.normal())}

    def conclude(self, results: dict[str, Any], parameters: WalkParameters, record: Recorder) -> dict[str, Any]:
        path = record.series("position")
        assert path is not None
        Walk.at("conclude")
        return {**results, "length": float(np.abs(np.diff(path, axis=0)).sum())}


class Forgetful(Walk):
    """Makes no checkpoint."""

    def run(self, bench: Bench, parameters: WalkParameters, record: Recorder) -> dict[str, Any]:
        assert record.resumed is None
        total = 0.0
        for step in record.steps(parameters.there, "there"):
            total += float(record.rng.normal())
            step.save(total=total)
            Walk.at(f"there {step.index}")
        return {"total": total}

    def conclude(self, results: dict[str, Any], parameters: WalkParameters, record: Recorder) -> dict[str, Any]:
        return results


class Seen(Walk, Figure):
    """The walk as a figure with a target that is always met."""

    def targets(self, parameters: WalkParameters) -> dict[str, dict[str, float]]:
        return {"length": {"min": 0.0}}


@contextmanager
def stopped(patch: pytest.MonkeyPatch, moment: str, error: type[BaseException] = KeyboardInterrupt) -> Iterator[None]:
    """The walk is stopped at a moment, and the block with it."""

    def stop(now: str) -> None:
        if now == moment:
            raise error(f"stopped at {moment}")

    with patch.context() as here:
        here.setattr(Walk, "at", staticmethod(stop))
        with pytest.raises(error):
            yield


def only_run(folder: Path) -> Path:
    (path,) = folder.glob("*.h5")
    return path


def contents(path: Path) -> dict[str, Any]:
    """Steps, data and results of a run."""
    with open_run(path) as run:
        assert run.attrs["status"] == "complete"
        arrays = {f"{g}/{n}": d[()] for g in ("steps", "data", "results") for n, d in run[g].items()}
        return arrays | {name: value for name, value in run["results"].attrs.items() if name != "bench_time_s"}


def assert_same(one: Path, other: Path) -> None:
    """Bit for bit the same steps, data and results."""
    a, b = contents(one), contents(other)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def assert_tidy(run: Path) -> None:
    """Nothing but the run file is left, and nobody holds it."""
    assert sorted(p.name for p in run.parent.iterdir() if not p.name.endswith((".png", ".sqlite"))) == [run.name]
    RunLock.take(run).release()


@contextmanager
def installed(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The protocols are registered, for this process and its children."""
    info = folder / "resumable-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: resumable\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(_POINTS, encoding="utf-8")
    before = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    patch.setenv("PYTHONPATH", os.pathsep.join([*before, str(folder), str(Path(__file__).parent)]))
    patch.syspath_prepend(str(folder))
    registry._registered.cache_clear()
    yield
    registry._registered.cache_clear()

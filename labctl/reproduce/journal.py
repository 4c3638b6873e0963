"""What is measured of a report, in its folder: a journal for each choice of figures and settings (`docs/sweeps.md`).

A measurement that two choices have in common is made once: a new journal begins with what others of the folder have.
"""

from __future__ import annotations

from pathlib import Path

from drivers.errors import ConfigurationError
from labctl.reproduce.choose import MEASURED
from labctl.sweep import file, points
from labctl.sweep.file import SweepFile
from labctl.sweep.plan import Plan
from labctl.sweep.points import MeasuredPoint

_NAME = "reproduction-"


def journal_of(out: Path, plan: Plan) -> Path:
    """The journal of this choice in the folder ``out``, whether it is there or not."""
    return out / f"{_NAME}{plan.digest}.h5"


def take_over(kept: Path, plan: Plan) -> int:
    """Begin the journal ``kept``, if it is not there, with what other journals beside it have; how many points.

    Raises ConfigurationError if it cannot be written.
    """
    if kept.exists():
        return 0
    had = _had(kept.parent)
    found = [(i, had[key]) for i in range(plan.size) if (key := _key(plan, i)) in had]
    if found:
        journal = SweepFile(kept, plan, {"command": "taken over", "workers": "none"})
        try:
            journal.append([points.encode(_as_point(point, i)) for i, point in found])
        finally:
            journal.close("interrupted")  # so that it is gone on with
    return len(found)


def _as_point(point: MeasuredPoint, index: int) -> MeasuredPoint:
    """The same as the point of another plan."""
    return MeasuredPoint(index, point.seconds, point.values, point.error)


def _had(folder: Path) -> dict[str, MeasuredPoint]:
    """Measurements of all journals of a folder, the last one first; journals that cannot be read are left alone."""
    found: dict[str, MeasuredPoint] = {}
    for path in sorted(folder.glob(f"{_NAME}*.h5"), key=lambda p: p.stat().st_mtime_ns, reverse=True):
        try:
            plan, measured, _ = file.read(path)
        except ConfigurationError:
            continue
        for index, point in measured.items():
            if point.error is None:
                found.setdefault(_key(plan, index), point)
    return found


def _key(plan: Plan, index: int) -> str:
    """What is measured, wherever the report is."""
    given = plan.given(index)
    return repr([given.get(name) for name in MEASURED])

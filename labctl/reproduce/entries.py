"""The entries of a report, in JSON's types: one for each figure, whatever became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl.plain import plain
from labctl.reproduce.choose import Entry
from labctl.reproduce.compare import Row, row_of
from labctl.sweep.points import MeasuredPoint


def entry_of(entry: Entry, measured: Mapping[int, MeasuredPoint], folder: Path) -> dict[str, Any]:
    """An entry as it is kept. measured: of the sweep, by number. folder: of run files, which commands name without it.

    state: "measured", "failed" (``error`` says why), or "not measured" yet. ok: whether all targets and published
    values are met; None where there is none to be judged.
    """
    r = entry.reproduction
    had = [measured[point] for point in entry.points if point in measured]
    errors = [point.error for point in had if point.error is not None]
    runs = [json.loads(point.values["told"]) for point in had if point.error is None]
    state = "failed" if errors else "measured" if len(runs) == len(entry.points) else "not measured"
    rows = [row_of(c, [run["values"] for run in runs], entry.quick) for c in r.compared] if state == "measured" else []
    targets = _targets(runs) if state == "measured" else []
    made = [_made(run, folder) for run in runs]
    last = runs[-1] if runs else {}
    told = {
        "name": r.entry,
        "figure": r.figure,
        "paper": {key: getattr(entry.paper, key) for key in ("key", "authors", "title", "reference")},
        "source": r.source,
        "state": state,
        "ok": _all_ok([*(row.ok for row in rows), *(t["ok"] for t in targets)]) if state == "measured" else _not(state),
        "values": [_row(row) for row in rows],
        "targets": targets,
        "why": r.note,
        "quick": entry.quick,
        "settings": r.settings(entry.quick),
        "seed": made[0]["seed"] if made else None,
        "command": made[0]["command"] if made else None,
        "run_file": made[0]["run_file"] if made else None,
        "seconds": sum(m["seconds"] for m in made),
        "cpu_seconds": sum(m["cpu_seconds"] for m in made),
        "measurements": made,
        "pictures": runs[0]["pictures"] if runs else [],
        "commit": last.get("git", {}).get("commit"),
        "changed": last.get("git", {}).get("changed"),
        "versions": last.get("versions"),
        "error": None if not errors else {"type": errors[0].error_type, "message": errors[0].message},
    }
    found: dict[str, Any] = plain(told)
    return found


def _not(state: str) -> bool | None:
    return False if state == "failed" else None


def _all_ok(verdicts: Sequence[bool | None]) -> bool | None:
    judged = [verdict for verdict in verdicts if verdict is not None]
    return all(judged) if judged else None


def _made(run: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """One measurement: how to make it again, and what it took."""
    names = ("seed", "run_file", "seconds", "cpu_seconds", "bench_seconds")
    command = " && ".join(run["commands"]).replace(f"{folder.absolute()}/", "")
    return {"command": command, **{name: run[name] for name in names}}


def _row(row: Row) -> dict[str, Any]:
    c = row.compared
    return {
        "value": c.value,
        "label": c.label or c.value,
        "unit": c.unit,
        "ours": row.ours,
        "uncertainty": row.error,
        "uncertainty_from": row.error_from,
        "published": c.published,
        "published_uncertainty": c.error,
        "published_by": c.by if c.published is not None else None,
        "difference": row.difference,
        "standard_errors": row.sigmas,
        "tolerance": row.allowed,
        "ok": row.ok,
        "verdict": row.verdict,
        "why": c.why,
    }


def _targets(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The figure's own promises, made for its default seed and table, which are those of the first measurement; how
    many of the others met them, too. Empty away from the settings promised for."""
    rows = []
    bounds: Mapping[str, Mapping[str, float]] = runs[0]["targets"] or {}
    for name, bound in bounds.items():
        found = [run["values"].get(name) for run in runs]
        least, most = bound.get("min", float("-inf")), bound.get("max", float("inf"))
        met = [isinstance(v, (int, float)) and not isinstance(v, bool) and least <= v <= most for v in found]
        limits = {"min": bound.get("min"), "max": bound.get("max")}
        rows.append({"value": name, "ours": found, **limits, "ok": met[0], "met": sum(met), "of": len(met)})
    return rows

"""The whole quick report: everything is measured, in its time, and nothing judged is missed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from labctl.reproduce.run import reproduce

OURS = ("domino", "dyad", "langevin", "nep", "prbm")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_quick_report_has_every_figure_as_published_within_twenty_minutes_of_a_processor(tmp_path: Path) -> None:
    """By processor time, two of them for ten minutes. Judged values together fail a right program about once in a
    hundred times; seeds are fixed, so that it is the same every time."""
    report = reproduce(tmp_path / "report", quick=True, only=OURS)
    entries = json.loads(report.json.read_text())
    assert len(entries) >= 56
    failed = {e["name"]: e["error"]["message"] for e in entries if e["state"] != "measured"}
    if not os.environ.get("LABCTL_DATA"):
        failed = {name: why for name, why in failed.items() if "LABCTL_DATA" not in why}
    assert failed == {}
    missed = {
        e["name"]: [(v["label"], v["verdict"]) for v in e["values"] if v["ok"] is False]
        + [(t["value"], t["ours"]) for t in e["targets"] if not t["ok"]]
        for e in entries
        if e["state"] == "measured" and e["ok"] is False
    }
    assert missed == {}
    assert sum(e["cpu_seconds"] for e in entries) <= 1200
    assert report.html.stat().st_size > 1_000_000

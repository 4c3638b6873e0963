"""`domino.latency` on a small multiplier."""

from __future__ import annotations

from pathlib import Path

from multiplier_small import BENCH, SMALL

from labctl.experiments.execute import execute


def test_phases_that_are_not_kept_cost_success_and_are_told(tmp_path: Path) -> None:
    given = {**SMALL, "nodes": 6, "starts": 6, "latency": (0, 2), "phase_rad": (0, 1.5), "duration": 0.5}
    v = execute("labctl.figures", "domino.latency", BENCH, given, seed=3, out=tmp_path).values
    assert [row[0] for row in v["unlocked"]] == [0, 0]
    assert [row[1] for row in v["unlocked"]] == [6, 6]
    assert all(row[1] == 0 for row in v["success"])
    assert v["phase_rms_rad"][0][1] > 0.5 > v["phase_rms_rad"][0][0]
    assert v["success_ideal"] > 0
    assert len(list(tmp_path.glob("*latency.png"))) == 1

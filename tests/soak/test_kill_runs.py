"""200 runs' lives: killed at random moments, again and again, and resumed, they end as if nothing had happened."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kill_runs import killed_runs

KILLS = {"prbm.generate": 90, "dyad.calibrate": 40, "nep.train": 60, "nep.train by light": 10}
EACH = 6
"""Most kills of one run, which is then left alone."""


def kill(case: str, folder: Path, kills: int, seed: int) -> int:
    """Runs of a case until as many were killed."""
    done, dice = 0, random.Random(seed)
    with killed_runs(case, folder) as runs:
        while done < kills:
            done += runs.run(min(EACH, kills - done), dice)
    return done


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_200_kills_leave_no_trace(tmp_path: Path) -> None:
    """Moments are drawn with fixed seeds from the CPU time that a run takes; two protocols are measured at a time."""
    with ThreadPoolExecutor(2) as pool:
        told = {
            case: pool.submit(kill, case, tmp_path / case.replace(" ", "-"), kills, seed)
            for seed, (case, kills) in enumerate(KILLS.items())
        }
        done = {case: future.result() for case, future in told.items()}
    print(f"kills: {done}")  # noqa: T201
    assert sum(done.values()) >= 200

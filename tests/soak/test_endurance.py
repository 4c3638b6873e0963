"""A million calls and a hundred thousand frames: memory and file descriptors stay where they are."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.table import table
from labctl.client import open_bench

# Calls, frames, and how much the resident memory of a process may grow over them (MB per million calls).
SIZES = [
    pytest.param(20_000, 2_000, None, id="short"),
    pytest.param(1_000_000, 100_000, 2.0, id="long", marks=pytest.mark.soak),
]
SAMPLES = 40
PIPELINED = 16


def resident_bytes(pid: int) -> int:
    """Resident memory that a process does not share: the pages of the rings are counted once, where they are made."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * 4096


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("calls", "frames", "most_mb"), SIZES)
def test_memory_and_descriptors_stay_flat(calls: int, frames: int, most_mb: float | None) -> None:
    import os

    with table("endurance") as served:
        served.up()
        with open_bench(served.bench_file) as bench, bench.control("endurance"):
            pids = {name: state["pid"] for name, state in bench.status().items()} | {"client": os.getpid()}
            memory: dict[str, list[int]] = {name: [] for name in pids}
            files: dict[str, list[int]] = {name: [] for name in pids}
            begun = time.monotonic()
            for _ in range(SAMPLES):
                for _ in range(calls // SAMPLES // (2 * PIPELINED)):
                    under_way = [bench.laser.submit_get("power_w") for _ in range(PIPELINED)]
                    assert all(pending.result() == 1.0 for pending in under_way)
                    for _ in range(PIPELINED):
                        bench.laser.power_w = 1.0
                for number in range(frames // SAMPLES):
                    camera = bench.camera if number % 2 else bench.own_buffers
                    frame = camera.trigger()
                    assert frame.data[-1, -1] == frame.frame_id & 0xFFFF
                for name, pid in pids.items():
                    memory[name].append(resident_bytes(pid))
                    files[name].append(descriptors(pid))
            seconds = time.monotonic() - begun
            states = bench.status()
    later = slice(SAMPLES // 4, None)  # what is made once, such as rings, is made by then
    done = np.linspace(0, calls / 1e6, SAMPLES)[later]
    for name in pids:
        slope_mb = np.polyfit(done, np.array(memory[name][later]) / 1e6, 1)[0]
        print(  # noqa: T201
            f"\n{name}: {slope_mb:+.2f} MB per million calls, {memory[name][-1] / 1e6:.0f} MB, descriptors "
            f"{files[name][SAMPLES // 4]} to {files[name][-1]}",
            end="",
        )
        assert max(files[name][later]) - min(files[name][later]) <= 2
        assert most_mb is None or slope_mb <= most_mb
    print(f"\n{calls} calls and {frames} frames in {seconds:.0f} s")  # noqa: T201
    assert [state["without_shared_memory"] for state in states.values()] == [0, 0, 0]

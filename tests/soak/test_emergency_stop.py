"""The emergency stop under full frame load: two clients take 11 MB frames as fast as they come."""

from __future__ import annotations

import time

import pytest
from clients import FRAMES, client, heard

from benchmarks.table import table
from labctl.client import open_bench

SOAK_BOUND_MS = 50.0
BUSY_MACHINE_MS = 2000.0
TRIALS = [
    pytest.param(5, BUSY_MACHINE_MS, id="few"),
    pytest.param(100, SOAK_BOUND_MS, id="all", marks=pytest.mark.soak),
]


@pytest.mark.parametrize("one_server", [True, False], ids=["laser beside the cameras", "laser in a server of its own"])
@pytest.mark.parametrize(("trials", "bound_ms"), TRIALS)
def test_an_emergency_stop_acts_at_once_under_full_frame_load(trials: int, bound_ms: float, one_server: bool) -> None:
    delays_ms = []
    with table("soak", one_server=one_server) as served:
        served.up()
        with (
            client(FRAMES, served.bench_file, "camera") as first,
            client(FRAMES, served.bench_file, "own_buffers") as second,
            open_bench(served.bench_file) as bench,
            open_bench(served.bench_file) as other,
        ):
            heard(first)
            heard(second)
            for _ in range(trials):
                with other.control("emitter", devices=["laser"]):
                    other.laser.emission = True
                    assert served.mark.read()[0]
                    time.sleep(0.05)  # frames are under way again after the last stop
                    begun_ns = time.monotonic_ns()
                    bench.stop("a trial")
                    on, since_ns = served.mark.read()
                    assert not on
                    delays_ms.append((since_ns - begun_ns) / 1e6)
            assert (first.poll(), second.poll()) == (None, None)
    print(f"\nemergency stop: {trials} trials, worst {max(delays_ms):.1f} ms to emission off")  # noqa: T201
    assert max(delays_ms) <= bound_ms

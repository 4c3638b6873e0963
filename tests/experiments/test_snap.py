"""`camera.snap()` waits for what was written to the SLM and is labelled with it; a bench that stays open by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drivers.contract import UNKNOWN_PATTERN
from labctl import connect, open_bench
from labctl.bench.client import Bench
from labctl.bench.load import load_bench
from labctl.client import BusError, LeaseError, Sequence

PHASE = np.zeros((40, 60), np.float32)


@pytest.fixture
def bench(small_bench: Path) -> Iterator[Bench]:
    with open_bench(small_bench) as opened:
        yield opened


def test_a_frame_begins_when_the_pattern_has_settled_and_carries_its_id(bench: Bench) -> None:
    with bench.control("snap"):
        begun_s = bench.time_s()
        pattern = bench.slm.write(PHASE)
        frame = bench.camera.snap()
        assert frame.pattern_id == pattern
        assert frame.start_ns * 1e-9 - begun_s >= bench.slm.base_settle_s
        begun_s = bench.time_s()
        assert bench.camera.snap().pattern_id == pattern
        assert bench.time_s() - begun_s < bench.slm.base_settle_s  # it has settled: nobody waits again


def test_without_control_somebody_else_may_have_written(bench: Bench) -> None:
    begun_s = bench.time_s()
    bench.slm.write(PHASE)
    frame = bench.camera.snap()
    assert frame.pattern_id == UNKNOWN_PATTERN
    assert frame.start_ns * 1e-9 - begun_s >= bench.slm.base_settle_s


def test_what_a_sequence_or_another_session_showed_is_not_taken_for_the_last_pattern(bench: Bench) -> None:
    sequence = Sequence(
        base=PHASE, base_origin=(0, 0), patches=PHASE[None, :2, :2], patch_origins=np.zeros((1, 2), np.int32),
        offsets=np.array([0, 1], np.int32), indices=np.zeros(1, np.int32),
    )  # fmt: skip
    with bench.control("snap"):
        bench.slm.write(PHASE)
        bench.sequencer.play(sequence, [])
        assert bench.camera.snap().pattern_id == UNKNOWN_PATTERN
        pattern = bench.slm.write(PHASE)
        bench.slm.write.submit(PHASE).result()
        assert bench.camera.snap().pattern_id == UNKNOWN_PATTERN != pattern
    with bench.control("another"):
        assert bench.camera.snap().pattern_id == UNKNOWN_PATTERN


def test_snap_is_listed_and_described(bench: Bench) -> None:
    assert "snap" in dir(bench.camera)
    assert (bench.camera.snap.__doc__ or "").startswith("snap() -> Frame")
    assert "snap" not in dir(bench.slm)


def test_a_bench_is_opened_with_control(small_bench: Path) -> None:
    with open_bench(small_bench, control="light") as bench:
        bench.source.emission = True
        with pytest.raises(LeaseError), bench.control("twice"):
            pass
    with open_bench(small_bench) as bench, pytest.raises(LeaseError, match=r"with bench\.control"):
        bench.source.emission = True


def test_a_connected_bench_stays_open_until_it_is_closed_or_opened_again(small_bench: Path) -> None:
    first = connect(load_bench(small_bench))
    assert first.camera.binning == 1
    second = connect(small_bench)  # a cell that is run again
    assert second.camera.binning == 1
    with pytest.raises(BusError):
        _ = first.camera.binning
    second.close()
    second.close()
    with pytest.raises(BusError):
        _ = second.camera.binning

"""The multiplier by its bench files: two panels, two arms, sequences, and modes that files state alike."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from multiplier_plan import COLUMNS, NODES, ROWS, coupling_phase, region, strip_phase

from drivers.contract import ROI, DeviceTimeout, LimitError, Sequence
from labctl.bench.load import load_bench, packaged_benches
from labctl.client import open_bench
from labctl.server.world import operations_of
from simulators.worlds.multiplier import MultiplierParameters, MultiplierWorld

SMALL: dict[str, Any] = {
    "world.slm.columns": COLUMNS,
    "world.coupling.rows": ROWS,
    "world.coupling.columns": COLUMNS,
}
BENCHES = ("domino-sim", "domino-shot", "domino-injection")


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_states_its_mode_alike_to_table_and_protocol(name: str) -> None:
    config = load_bench(packaged_benches()[name])
    plan: Any = config.alignment["domino"]
    truth: Any = config.world_parameters
    assert plan.mode == truth.mode
    if truth.mode != "optoelectronic":
        o = truth.oscillators
        assert (plan.coupling.row, plan.coupling.rows) == (o.first_row, o.rows)
        assert (plan.coupling.column, plan.coupling.columns) == (o.first_column, o.columns)
        assert (plan.vector.column, plan.vector.columns) == (o.first_column, o.columns)
    rows_per_row = truth.optics.row_magnification * truth.coupling.pitch / truth.camera.pitch
    assert plan.camera.pitch == pytest.approx(plan.coupling.rows * rows_per_row, abs=0.01)
    middle = plan.coupling.row + (plan.coupling.rows - 1) / 2 - (truth.coupling.rows - 1) / 2
    assert plan.camera.row == pytest.approx(truth.camera.axis_row + middle * rows_per_row, abs=0.1)


def sequence(count: int) -> Sequence:
    """Vectors of real numbers, one patch of the whole strip each."""
    vectors = np.random.default_rng(1).uniform(0, 1, (count, NODES)).astype(np.complex128)
    patterns = np.stack([strip_phase(v) for v in vectors])
    origins = np.zeros((count, 2), np.int32)
    offsets, indices = np.arange(count + 1, dtype=np.int32), np.arange(count, dtype=np.int32)
    return Sequence(patterns[0], (0, 0), patterns, origins, offsets, indices)


def test_vectors_are_played_and_multiplied_by_what_the_second_panel_shows() -> None:
    with open_bench("domino-sim", SMALL | {"world.hidden.preset": "none"}) as bench, bench.control("test"):
        assert (bench.coupler.rows, bench.coupler.columns, bench.coupler.sequence_memory) == (ROWS, COLUMNS, 0)
        bench.pump.power_w = 0.006
        bench.pump.emission = True
        bench.camera.roi = region(columns=2)
        frames = {}
        for amplitude in (1.0, 0.0):
            bench.coupler.write(coupling_phase(np.full((8, NODES), amplitude)))
            bench.coupler.settle()
            assert bench.coupler.read_back().max() > 0
            played = bench.sequencer.play(sequence(70), [], frames=True)
            assert len(played.frames) == 70
            assert not played.saturated.any()
            assert np.all(np.diff(played.pattern_ids) == 1)
            assert played.start_ns[0] > 0
            frames[amplitude] = played.frames.mean() - 100
        assert frames[0.0] < 0.1 * frames[1.0]


def test_dark_arms_give_dark_frames_and_the_reference_has_no_fringes_alone() -> None:
    with open_bench("domino-sim", SMALL) as bench, bench.control("test"):
        bench.camera.roi = region(columns=8)
        assert abs(bench.camera.trigger().data.mean() - 100) < 2
        bench.reference.power_w = 0.006
        bench.reference.emission = True
        taken = bench.camera.trigger()
        frame = taken.data
        assert frame.mean() > 1000
        assert not taken.saturated
        assert frame.mean(axis=1).std() < 0.05 * frame.mean()


def test_lost_frames_end_a_play_and_the_next_one_may_be_whole() -> None:
    with open_bench("domino-sim", SMALL | {"world.lost_frames": 0.02}) as bench, bench.control("test"):
        bench.camera.roi = ROI(row=1080, column=1280, rows=8, columns=2)
        with pytest.raises(DeviceTimeout):
            bench.sequencer.play(sequence(300), [])  # none lost: 0.2 %, seed fixed
        whole = 0
        for _ in range(8):
            try:
                whole += len(bench.sequencer.play(sequence(10), []).signal) == 10
            except DeviceTimeout:
                continue
        assert whole >= 2


def test_a_panel_that_is_not_there_is_refused_with_those_that_are() -> None:
    with (
        pytest.raises(LimitError, match="slm, coupling"),
        open_bench(load_bench(packaged_benches()["domino-sim"], SMALL | {"devices.coupler.port": "projector"})),
    ):
        pass


def test_no_operation_tells_the_truth_and_the_ideal_table_hides_nothing(repository: Path) -> None:
    assert not [name for name in operations_of(MultiplierWorld) if "truth" in name or "hidden" in name]
    world = tomllib.loads((repository / "benches" / "domino-sim.toml").read_text())["world"]
    assert MultiplierParameters.model_validate(world).hidden.panel
    ideal = MultiplierParameters.model_validate(world | {"ideal": True})
    assert not ideal.hidden.panel
    assert ideal.coupling.fall_time == ideal.slm.fall_time == ideal.optics.row_blur == 0

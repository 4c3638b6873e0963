"""Calibration routines through real drivers on emulated instruments: what they find is what was planted.

Each reduced table is that of `tests/calibration`, with everything hidden in it that belongs there, in real time behind
a screen, a camera's library, a laser on a serial line and a power meter on the network. Chances of a false alarm are
those of Gaussian errors: nothing may lie further off than five of its standard uncertainties, 6e-7 for each of some
sixty quantities.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

sys.path.append(str(Path(__file__).parent.parent / "calibration"))

import test_camera
import test_illumination
import test_laser_power
import test_prbm_window
import test_settle
import test_slm_camera
import test_slm_phase
import test_spectral_rows
import test_wavefront
from interval_coverage import Quantity, Table, one_hidden_table
from order_small import SMALL as ORDER_SMALL
from order_small import stand_on_truth

from labctl.experiments.calibrate import calibrate

EMULATED, SEED = "benches/prbm-emulated.toml", 100
MOST = 5.0
"""Standard uncertainties."""
FRAME_S = 1 / 60

# Tables in virtual time may wait for their panel as long as they like; this one is waited for.
IN_REAL_TIME: dict[str, Any] = {
    "devices.slm.settle": "75 ms",
    "devices.slm.base_settle": "225 ms",
    "bench.lease": "5 s",
}
TYPICAL: dict[str, Any] = {"world.hidden.preset": "typical"}  # what those of prbm-lab begin with


class Tried(NamedTuple):
    """given: parameters and the reduced table. compare: what was found beside the truth. within, relative: how far off
    it may be besides, by the beginning of a quantity's name. of_drivers: quantities that belong to the drivers as much
    as to the table, and of which their own uncertainty says nothing."""

    given: dict[str, Any]
    compare: Callable[[Table], Iterable[Quantity]]
    within: Mapping[str, float] = MappingProxyType({})
    relative: Mapping[str, float] = MappingProxyType({})
    of_drivers: tuple[str, ...] = ()


def _powers(table: Table) -> list[Quantity]:
    """Half a minute tells neither warm-up nor drift."""
    return [q for q in test_laser_power.compare(table) if q.name.startswith("power at")]


# Each other region or exposure costs an SDK3 camera 0.3 s: a line is read in one.
ONE_REGION = {"stride": 1, "samples": 65}
# Steps are seen only by a camera that goes on while the panel is written to.
PANEL_BY_ITSELF = {
    "servers.panel.devices": ["slm"],
    "servers.main.devices": ["camera", "sequencer", "source", "power_tap"],
}
SHORT_SWEEP = {
    "integration_s": 1, "points": 8, "sweeps": 1, "watch_s": 4, "noise_samples": 256, "settle_s": 0.2,
    "meter_step": 0.002,
}  # fmt: skip

ROUTINES = {
    "laser-power": Tried({**test_laser_power.TABLE, **SHORT_SWEEP}, _powers, relative={"power at": 0.01}),
    "camera": Tried(
        {**test_camera.TABLE, **test_camera.QUICK},
        test_camera.compare,
        relative={"electrons_per_count": 0.01, "read_noise": 0.05},
    ),
    "settle": Tried(
        {**test_settle.TABLE, **PANEL_BY_ITSELF, "steps": 24},
        test_settle.compare,
        within={"latency_s": FRAME_S, "scan_time_s": FRAME_S, "trigger_delay_s": FRAME_S, "frame_gap_s": FRAME_S},
        # How often the camera looks during a step is a matter of the machine, and in the uncertainty.
        relative={"rise_time_s": 0.25, "fall_time_s": 0.25},
        # A window knows its pattern on the screen once it has looked, and a camera has its library before it.
        of_drivers=("latency_s", "trigger_delay_s", "frame_gap_s"),
    ),
    "slm-camera": Tried(
        {**TYPICAL, **test_slm_camera.SMALL, **test_slm_camera.WIDE, **test_slm_camera.SHORT, **ONE_REGION},
        test_slm_camera._compare,
        within={"column": 1.0, "scale": 2e-3, "rotation": 1e-3},
    ),
    "slm-phase": Tried(
        {**TYPICAL, **test_slm_phase.SMALL, **test_slm_phase.SHORT},
        test_slm_phase._compare,
        within={"turn": 0.1, "half": 0.1, "error": 0.02},
    ),
    "spectral-rows": Tried(
        {**TYPICAL, **test_spectral_rows.GIVEN},
        test_spectral_rows._compare,
        within={"row ": 0.2, "overlap": 0.04, "row_blur": 0.1},
    ),
    "prbm-window": Tried(
        {**TYPICAL, **test_prbm_window.SMALL, **test_prbm_window.SHORT},
        test_prbm_window._compare,
        within={"column": 2.0, "tilt": 4e-3},
        relative={"unit": 0.04},
    ),
    "wavefront": Tried({**TYPICAL, **test_wavefront.PRBM}, test_wavefront._compare_rows, within={"Strehl": 0.1}),
}


def _must_be_right(tried: Tried, found: Iterable[Quantity]) -> None:
    for q in found:
        off = abs(q.value - q.truth)
        if q.name not in tried.of_drivers:
            assert off <= MOST * q.uncertainty, f"{q} is {off / q.uncertainty:.1f} standard uncertainties off"
        for bounds, unit in ((tried.within, 1.0), (tried.relative, abs(q.truth))):
            for name, bound in bounds.items():
                assert not q.name.startswith(name) or off <= bound * unit, f"{q} is off by more than {bound}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("routine", ROUTINES)
def test_what_is_found_through_real_drivers_is_what_was_planted(routine: str, tmp_path: Path) -> None:
    tried = ROUTINES[routine]
    table = one_hidden_table(routine, tmp_path, SEED, bench=EMULATED, given={**tried.given, **IN_REAL_TIME})
    found = list(tried.compare(table))
    assert found
    _must_be_right(tried, found)


@pytest.mark.timeout(900)
def test_an_order_mapped_through_real_drivers_is_the_one_that_is_there(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bench = {**TYPICAL, **ORDER_SMALL, **IN_REAL_TIME, "world.seed": SEED, "calibrations.folder": str(store)}
    parameters = stand_on_truth(store, bench, EMULATED)
    short = {"cells": (7, 7), "groups": (3, 3), "lit": 2, "trained": 3, "repeats": 2}
    done = calibrate("illumination", EMULATED, {**bench, **short}, out=tmp_path)
    within = {"phase": 0.15, "amplitude": 0.12, "crosstalk": 0.1}
    _must_be_right(Tried({}, lambda _: [], within), test_illumination.compare(done, parameters))

"""The sheet's table: what panels make of gray levels, what the sheet makes of that, and what the camera sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.contract import ROI, DeviceError, DeviceTimeout, Sequence
from labctl.bench.load import load_bench, packaged_benches
from labctl.client import open_bench
from simulators.clock import VirtualClock
from simulators.physics.sheet.equation import rate
from simulators.worlds.sheet import SheetParameters, SheetWorld
from simulators.worlds.sheet.plain import plain_electrons, plain_pump, plain_rest

SMALL: dict[str, Any] = {"slm": {"rows": 24, "columns": 48, "node_pixels": 8},
                         "projector": {"rows": 16, "columns": 24, "node_pixels": 4},
                         "sample": {"rows": 1, "columns": 5}}  # fmt: skip
CELLS: dict[str, Any] = {"slm": {"rows": 48, "columns": 64, "node_pixels": 8},
                         "projector": {"rows": 24, "columns": 32, "node_pixels": 4},
                         "sample": {"rows": 3, "columns": 3, "cells": 2, "g": 0.04, "gamma": 0.07,
                                    "nonlinearity": "density"}}  # fmt: skip


def table(**given: Any) -> SheetWorld:
    return SheetWorld(SheetParameters.model_validate(SMALL | given), VirtualClock())


def lit(world: SheetWorld, seed: int = 0, pump_w: float = 1e-3, light: int = 90) -> None:
    """Random gray levels, an even potential, all lasers on, and everything at rest."""
    p, rng = world.parameters, np.random.default_rng(seed)
    for port, power in (("pump", pump_w), ("reference", 0.1), ("reservoir", 0.8)):
        world.state[f"{port}_emission"], world.state[f"{port}_power_w"] = True, power
    world.write(rng.integers(60, 200, (p.slm.rows, p.slm.columns)).astype(np.uint8), 0, 0)
    world.project(np.full((p.projector.rows, p.projector.columns), light, np.uint8), 0, 0)
    world.clock.sleep_until(world.clock.now_ns() + 10**9)


def test_places_are_driven_by_what_every_sub_pixel_of_the_panel_adds_up_to() -> None:
    world = table(hidden="typical", noise=False)
    lit(world)
    light, phase = world._light, world.panel.phase
    plain = plain_pump(world.parameters, light, phase, 1.001)
    assert np.abs(light.pump_image.field(phase, 1.001) - plain).max() < 2e-3 * np.abs(plain).max()


def test_the_camera_sees_every_node_at_every_pixel_with_the_references_fringes() -> None:
    """Of a steady laser, and a path without phase."""
    planted = {"camera_rotation": "10 mrad", "camera_shift": 8, "reference_wavefront": "1 rad", "disorder": 0.03}
    world = table(hidden=planted, noise=False)
    lit(world)
    at, region = world._light.places_px()[0], (1040, 1200, 80, 160)
    assert np.all((at.mean(axis=0) > (1040, 1200)) & (at.mean(axis=0) < (1120, 1360)))
    exposure = world._exposure(0, world.clock.now_ns(), 0.01)
    fields, _ = world._light.fields([exposure])
    seen = world._light.electrons(region, [exposure])[0]
    expected = plain_electrons(world.parameters, world._light, fields[0], region, 0.1, 0.01)
    assert np.abs(seen - expected).max() < 2e-3 * expected.max()


@pytest.mark.parametrize("given", [SMALL, CELLS])
def test_the_sheet_comes_to_the_rest_that_time_brings_it_to(given: dict[str, Any]) -> None:
    world = SheetWorld(SheetParameters.model_validate(given | {"hidden": "typical"}), VirtualClock())
    lit(world)
    exposures = [world._exposure(k, world.clock.now_ns(), 0.01) for k in range(3)]
    fields, density = world._light.fields(exposures)
    sample, pumps = world._light.sample, world._light.pumps(exposures)
    for k, e in enumerate(exposures):
        plain = plain_rest(world.parameters, sample, e.potential[0], pumps[k, 2:])
        assert np.abs(fields[k, 2:] - plain).max() < 1e-4 * np.abs(plain).max()
        np.testing.assert_allclose(density[k], np.abs(fields[k]) ** 2, rtol=1e-6)
    assert not fields[:, 2:][:, sample.walls].any()


def test_steady_states_of_cells_obey_the_equation_though_each_exposure_has_a_potential_of_its_own() -> None:
    world = SheetWorld(SheetParameters.model_validate(CELLS | {"hidden": "typical"}), VirtualClock())
    sample, rng = world._light.sample, np.random.default_rng(1)
    V = 0.1 + 0.002 * rng.normal(size=(40, 1, 1)) + 0.03 * rng.normal(size=(3, 7)) + 0j
    P = rng.normal(size=(40, 3, 7)) + 1j * rng.normal(size=(40, 3, 7))
    P[:, sample.walls] = 0
    rest = sample.at_rest(V, 0.3 * P)
    left = rate(rest.psi, V, 0.3 * P, sample.sheet)
    assert not rest.restless.any()
    assert np.abs(left).max() < 1e-4 * np.abs(rest.psi).max()


def test_light_lifts_the_potential_by_diffusing_carriers_that_amplify() -> None:
    world = table(hidden="none", reservoir={"gain": 0.1, "blur": "1 um"})
    light = world._light
    phase = np.zeros((16, 24))
    phase[:, 10:14] = np.pi  # the middle of five nodes
    V = light.sample.potential(light.potential_image.light(phase, 1.0), 0.5, 0.0)[0]
    lifted = V.real + world.parameters.sample.detuning
    assert lifted.argmax() == 2
    assert 0.1 < lifted[1] / lifted[2] < 0.8  # a blur of 0.8 nodes
    np.testing.assert_allclose(V.imag, 0.1 * lifted, atol=1e-3)
    assert (lifted > 0).all()


def test_a_sheet_that_would_emit_by_itself_is_refused() -> None:
    world = table(hidden="none", reservoir={"gain": 0.5})
    with pytest.raises(DeviceError, match=r"amplify by 0\.5 .*loses 0\.1.*lower the power"):
        world._light.sample.potential(np.ones((1, 5)), 1.0, 0.0)


def test_beyond_the_turning_point_the_camera_sees_where_time_has_brought_the_sheet() -> None:
    """Density nonlinearity on a sheet detuned by six linewidths: the dark's branch ends at some pump."""
    world = table(hidden="none", sample={"rows": 1, "columns": 1, "g": 0.1, "gamma": 0.05, "nonlinearity": "density"})
    sample = world._light.sample
    V = np.full((2, 1, 1), -1.3 + 0j)  # 1 + V = -0.3: six linewidths below
    P = np.array([0.05, 1.0]).reshape(2, 1, 1) + 0j
    rest = sample.at_rest(V, P)
    assert rest.density[1, 0, 0] > 50 * rest.density[0, 0, 0]
    for k in range(2):
        left = rate(rest.psi[k, 0], V[k, 0], P[k, 0], sample.sheet)
        assert np.abs(left).max() < 1e-3


def test_cells_pumped_beyond_any_steady_state_that_is_found_are_followed_in_time() -> None:
    sample = SheetWorld(SheetParameters.model_validate(CELLS), VirtualClock())._light.sample
    rest = sample.at_rest(np.full((1, 3, 7), -2.0 + 0j), np.full((1, 3, 7), 3.0 + 0j))
    assert np.isfinite(rest.density).all()
    assert rest.density.max() > 1
    assert not rest.density[0][sample.walls].any()


def test_the_detuning_drifts_by_some_microelectronvolt_an_hour() -> None:
    world = table(hidden={"detuning_drift": 0.0075}, noise=False)
    first, later = (world._light.sample.potential(np.zeros((1, 5)), 0.0, t) for t in (0.0, 3600.0))
    assert 0.5 * 0.0075 - 1e-9 <= np.abs(later - first).max() <= 0.0075 + 1e-9


def sequence(count: int) -> Sequence:
    rng = np.random.default_rng(2)
    patterns = rng.uniform(1.0, 5.0, (count, 24, 48)).astype(np.float32)
    offsets, indices = np.arange(count + 1, dtype=np.int32), np.arange(count, dtype=np.int32)
    return Sequence(patterns[0], (0, 0), patterns, np.zeros((count, 2), np.int32), offsets, indices)


BENCH: dict[str, Any] = {
    "world.slm.rows": 24, "world.slm.columns": 48, "world.slm.node_pixels": 8, "world.sample.columns": 5,
    "alignment.nep.columns": 5, "alignment.nep.pump.row": 0, "alignment.nep.pump.column": 4,
    "alignment.nep.pump.pixels": 8,
}  # fmt: skip


def played(given: dict[str, Any], one_by_one: bool) -> NDArray[Any]:
    with open_bench("nep-sim", BENCH | given) as bench, bench.control("test"):
        bench.reference.power_w, bench.reference.emission = 0.1, True
        bench.reservoir.power_w, bench.reservoir.emission = 0.6, True
        bench.pump.power_w, bench.pump.emission = 0.05, True
        bench.potential.write(np.full((32, 96), 2.2, np.float32))
        bench.potential.settle()
        bench.camera.roi = ROI(row=1050, column=1220, rows=60, columns=120)
        bench.sequencer.timing = "software" if one_by_one else "auto"
        frames = bench.sequencer.play(sequence(5), [], frames=True).frames
        assert frames is not None
        return frames


def test_a_play_shows_what_patterns_one_by_one_do() -> None:
    calm = {"world.noise": False, "world.hidden.flicker": 0}
    together, single = played(calm, False), played(calm, True)
    assert np.abs(together.astype(int) - single.astype(int)).max() < 0.01 * together.max()
    assert together.std() > 50


def test_lost_frames_end_a_play() -> None:
    with pytest.raises(DeviceTimeout):
        played({"world.lost_frames": 0.7}, False)  # none of five lost: 0.2 %, seed fixed


@pytest.mark.parametrize("name", ["nep-sim", "nep-cells", "nep-mnist"])
def test_a_bench_states_its_sample_alike_to_table_and_protocol(name: str) -> None:
    config = load_bench(packaged_benches()[name])
    plan: Any = config.alignment["nep"]
    truth: Any = config.world_parameters
    s = truth.sample
    assert (plan.rows, plan.columns, plan.cells) == (s.rows, s.columns, s.cells)
    assert (plan.g, plan.gamma, plan.nonlinearity, plan.detuning) == (s.g, s.gamma, s.nonlinearity, s.detuning)
    assert (plan.pump.pixels, plan.potential.pixels) == (truth.slm.node_pixels, truth.projector.node_pixels)
    assert plan.camera.pitch == pytest.approx(truth.node_px, abs=1e-3)
    for macro, panel in ((plan.pump, truth.slm), (plan.potential, truth.projector)):
        rows, columns = plan.places
        assert 2 * macro.row + rows * macro.pixels == panel.rows
        assert 2 * macro.column + columns * macro.pixels == panel.columns


def test_more_nodes_than_a_panel_holds_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="take fewer nodes"):
        table(sample={"rows": 1, "columns": 50})


@pytest.mark.parametrize("given", [SMALL, CELLS])
def test_frames_do_not_depend_on_the_number_of_threads(given: dict[str, Any]) -> None:
    """With all noise, and pixels that blink."""
    frames = []
    for threads in (1, 2, 3):
        world = SheetWorld(SheetParameters.model_validate(given | {"hidden": "typical"}), VirtualClock())
        world.threads = threads
        lit(world)
        numbers = np.arange(20)
        out = np.empty((20, 70, 160), np.uint16)
        world.expose_all("camera", numbers, world.clock.now_ns() + numbers * 10**7, 0.01, (1045, 1200, 70, 160), out)
        frames.append(out)
    assert frames[0].std() > 20
    np.testing.assert_array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[0], frames[2])

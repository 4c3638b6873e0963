"""The multiplier's light: products of the equations where nothing is wrong, and what is wrong where something is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from multiplier_plan import (
    COLUMNS,
    EVEN,
    NODES,
    PITCH,
    ROWS,
    bands,
    coupling_phase,
    levels,
    light,
    picture,
    region,
    scaled,
    show,
    strip_phase,
    table,
)
from numpy.typing import NDArray
from scipy.special import ndtr

from drivers.contract import ROI, DeviceError, DeviceTimeout
from simulators.physics.vector_matrix import image_weights, low_rank
from simulators.worlds.hologram.light import path_factor, power_factor
from simulators.worlds.multiplier import MultiplierWorld
from simulators.worlds.multiplier.plain import plain_power
from simulators.worlds.multiplier.truth import multiplier_truth

BANDS = 2 * NODES + 1
STILL = {"ideal": False, "noise": False}
CONTINUOUS = {"slm": {"levels": None}, "coupling": {"levels": None, "rows": ROWS, "columns": COLUMNS}}


def plan(seed: int = 1) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """A vector, and a sum band, bands of couplings and unit bands."""
    rng = np.random.default_rng(seed)
    psi = rng.uniform(0.2, 1, NODES) * np.exp(2j * math.pi * rng.uniform(size=NODES))
    W = rng.uniform(0, 1, (NODES, NODES))
    return psi, np.concatenate([np.full((1, NODES), 0.5), W, np.eye(NODES)])


def error(world: MultiplierWorld) -> float:
    """Rms error of a plan's bands, of one node's field."""
    psi, M = plan()
    show(world, psi, M)
    wanted = M @ psi
    return float(np.sqrt(np.mean(np.abs(scaled(bands(world, BANDS), wanted) - wanted) ** 2)))


def test_a_perfect_table_multiplies_to_the_rounding_of_its_phasors() -> None:
    assert error(table(**EVEN, **CONTINUOUS)) < 4e-4  # phasors are 0.4 mrad apart


def test_eight_bits_err_by_a_twelfth_of_a_level_squared() -> None:
    # A phase is off by up to half of 2 pi / 256, evenly: 7 mrad rms. A band adds five products of two such numbers.
    expected = math.pi / 256 / math.sqrt(3)
    assert 0.3 * expected < error(table(**EVEN)) < 3 * expected


def test_a_typical_table_is_far_off_before_it_is_calibrated() -> None:
    assert error(table(hidden="typical", noise=False)) > 0.2


def test_the_camera_gets_what_panels_and_lenses_let_through() -> None:
    # Lenses in both phases send it hither and thither, all of it on the camera. Of an edge, a coherent blur takes
    # sigma / root pi, and the strip's falls by a fifth of that beside the couplings.
    world = table(optics={"camera_attenuation": 1.0})
    p = world.parameters
    column = np.arange(COLUMNS)
    world.write(levels(world, np.tile(3 * np.sin(column / 20), (4, 1))), 0, 0)
    world.couple(levels(world, np.tile(4 * np.cos(column / 15), (ROWS, 1))), 0, 0)
    world.clock.sleep_until(10**9)
    light(world, 0.1, 0.0)
    rows = round(ROWS * PITCH) + 60
    electrons = picture(world, ROI(row=1080 - rows // 2, column=0, rows=rows, columns=2560)).sum()
    on_strip = math.erf(math.sqrt(2) * COLUMNS / 2 * p.slm.pitch / p.beam.waist)
    on_panel = math.erf(math.sqrt(2) * ROWS / 2 * p.coupling.pitch / p.optics.spread)
    fill = p.slm.fill_factor**2 * p.coupling.fill_factor**2
    through = p.slm.reflectance * p.coupling.reflectance * p.beam.transmission * p.optics.transmission
    watts = 0.1 * on_strip * on_panel * fill * through
    per_joule = p.camera.quantum_efficiency * p.pump.wavelength / (6.62607015e-34 * 299792458.0)
    edge = 2 * p.optics.row_blur / math.sqrt(math.pi) / p.slm.pitch
    watts *= (1 - edge / ROWS) * (1 - 1.2 * edge / COLUMNS)
    assert electrons == pytest.approx(watts * 1e-3 * per_joule, rel=0.012)


def test_fringing_leaves_light_in_a_grating_that_should_have_none() -> None:
    # Phases 0 and pi by turns: what is left on the axis is the mean of exp(i phi) over the blurred square wave.
    world = table(**(EVEN | {"ideal": False}), hidden={"crosstalk": 0.17}, slm={"rise_time": "0 s", "fall_time": "0 s"})
    sigma = multiplier_truth(world.parameters).light.panel.crosstalk_px[1]
    x = (np.arange(400) + 0.5) / 400 - 0.5
    inside = ndtr((x + 0.5) / sigma) - ndtr((x - 0.5) / sigma)
    expected = abs(np.mean([np.exp(1j * math.pi * inside), np.exp(1j * math.pi * (1 - inside))]))
    light(world, 0.1, 0.0)
    flat = picture(world)[100:140].mean()
    world.write(levels(world, np.tile(math.pi * (np.arange(COLUMNS) % 2.0), (4, 1))), 0, 0)
    world.clock.sleep_until(10**9)
    left = math.sqrt(picture(world)[100:140].mean() / flat)
    assert expected > 0.1
    assert left == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(("flip", "across"), [(False, 0.0), (True, 0.1)])
def test_the_fast_road_sees_what_the_plain_one_does(flip: bool, across: float) -> None:
    world = table(hidden={"preset": "typical", "camera_flip": flip}, reference={"carrier_columns": across})
    psi, M = plan()
    show(world, psi, M)
    start_ns, exposure_s, roi = world.clock.now_ns(), 1e-3, region(columns=4)
    at = (roi.row, roi.column, roi.rows, roi.columns)
    exposure = world._exposure(0, start_ns, exposure_s)
    fast = world._light.on_camera(at, [exposure])[0]
    truth, p = multiplier_truth(world.parameters).light, world.parameters
    strip_scale = world._light.strip_scale(start_ns * 1e-9, exposure_s)
    path = path_factor(truth, start_ns * 1e-9, exposure_s, True)
    phases = world.panel.phase, world.second.phase
    plain = plain_power(p, *phases, (strip_scale, float(exposure.scales[0])), at, (0.1, 0.1), path)
    plain *= power_factor(p, truth, start_ns * 1e-9, exposure_s)
    assert np.abs(fast - plain).max() < 4e-3 * plain.max()
    assert np.sqrt(np.mean((fast - plain) ** 2)) < 4e-3 * plain.std()


def test_a_map_of_few_kinds_of_rows_is_kept_in_few_fields_and_another_as_it_is() -> None:
    rng = np.random.default_rng(0)
    few = (rng.normal(size=(400, 40)) @ rng.normal(size=(40, 500))).astype(np.complex64)
    left, right = low_rank(few, 1e-3)
    assert left.shape[1] <= 64
    assert np.linalg.norm(left @ right - few) < 1.5e-3 * np.linalg.norm(few)
    many = rng.normal(size=(100, 120)).astype(np.complex64)
    left, right = low_rank(many, 1e-3)
    assert np.array_equal(left @ right, many)


def test_an_image_keeps_the_light_of_an_even_field() -> None:
    sources = np.arange(200, dtype=np.float64) * 0.25
    for sigma in (0.0, 0.6):
        weights = image_weights(np.array([20.1, 25.0, 30.3]), sources, sigma)
        assert weights.sum(axis=1) == pytest.approx(1.0, rel=1e-4)


def test_what_is_not_settled_is_what_a_liquid_crystal_leaves() -> None:
    # Couplings all 1, and a strip that falls from pi to 0: the phase of the field is what is left, pi exp(-t / tau).
    world = table(**(EVEN | STILL), slm={"scan_time": "0 s"})
    p = world.parameters.slm
    ones = np.ones((1, NODES))
    show(world, -ones[0].astype(np.complex128), ones)
    world.write(levels(world, strip_phase(ones[0].astype(np.complex128))), 0, 0)
    written_s = world.clock.now_ns() * 1e-9
    begins_s = math.ceil(written_s * p.refresh_rate - 1e-9) / p.refresh_rate + p.controller_latency
    phases = []
    for after_s in (0.02, 0.035, 0.05, 0.3):
        world.clock.sleep_until(round((begins_s + after_s) * 1e9))
        phases.append(np.angle(bands(world, 1)[0]))
    left = np.mod(np.array(phases[:3]) - phases[3] + math.pi, 2 * math.pi) - math.pi
    expected = math.pi * np.exp(-(np.array([0.02, 0.035, 0.05]) + 0.5e-3) / p.fall_time)
    assert left == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("after_s", [0.03, 0.075, 0.5])
def test_a_long_exposure_is_the_sum_of_short_ones(after_s: float) -> None:
    # Flicker, and a strip that moves after it was written, nearly rests, and rests; without the camera's own noise.
    world = table(hidden="typical", noise=False)
    psi, M = plan()
    show(world, np.ones(NODES, np.complex128), M)
    world.write(levels(world, strip_phase(psi)), 0, 0)
    start_ns, roi = world.clock.now_ns() + round(after_s * 1e9), region(columns=2)
    at = (roi.row, roi.column, roi.rows, roi.columns)
    whole = world.mean_electrons(start_ns, 20e-3, *at)
    parts = np.sum([world.mean_electrons(start_ns + k * 500_000, 0.5e-3, *at) for k in range(40)], axis=0)
    first = 40 * world.mean_electrons(start_ns, 0.5e-3, *at)
    assert np.abs(whole - parts).max() < 5e-3 * parts.max()
    assert np.abs(first - parts).max() > 0.015 * parts.max()


def test_noise_of_the_camera_is_that_of_photons() -> None:
    # Variance against mean has the slope of the gain: 60 frames of 236 x 4 pixels give it to 0.6 %; tolerance 6 sigma.
    world = table()
    psi, M = plan()
    show(world, psi, M)
    light(world, 0.4, 0.1)
    roi = region(columns=4)
    frames = np.empty((60, roi.rows, roi.columns), np.uint16)
    world.burst("camera", 1_000_000, 1_000_000, roi, frames)
    mean, variance = frames.mean(axis=0).ravel(), frames.var(axis=0, ddof=1).ravel()
    slope = np.sum(variance * (mean - 100)) / np.sum((mean - 100) ** 2)
    assert slope == pytest.approx(1 / world.parameters.camera.electrons_per_count, rel=0.04)


@pytest.mark.parametrize("common_path", [False, True])
def test_the_reference_drifts_and_less_so_on_a_common_path(common_path: bool) -> None:
    world = table(
        **(EVEN | STILL | {"reference": {"common_path": common_path, "waist": "1 m"}}),
        hidden={"path_drift": 0.3},
    )
    show(world, np.ones(NODES, np.complex128), np.ones((1, NODES)))
    before = bands(world, 1)[0]
    world.clock.sleep_until(world.clock.now_ns() + 60_000_000_000)
    turned = abs(np.angle(bands(world, 1)[0] / before))
    low, high = (0.1, 0.3) if not common_path else (0.1 / 30, 0.3 / 30)
    assert 0.95 * low < turned < 1.05 * high


def sequence(world: MultiplierWorld, count: int) -> None:
    """Load vectors, one patch of the whole strip each."""
    rng = np.random.default_rng(5)
    vectors = rng.uniform(0, 1, (count, NODES)) * np.exp(2j * math.pi * rng.uniform(size=(count, NODES)))
    grays = np.stack([levels(world, strip_phase(v)) for v in vectors])
    offsets, indices = np.arange(count + 1, dtype=np.int32), np.arange(count, dtype=np.int32)
    world.load(grays[0], (0, 0), grays, np.zeros((count, 2), np.int32), offsets, indices)


def played(world: MultiplierWorld, count: int, roi: ROI) -> NDArray[np.uint16]:
    """Frames of a sequence, in groups."""
    sequence(world, count)
    world.arm_camera("camera", count, 1_000_000, roi)
    world.run("slm", 225_000_000, 75_000_000, 10_000_000)
    frames = np.empty((count, roi.rows, roi.columns), np.uint16)
    assert len(world.collect_frames("camera", frames)[0]) == count
    return frames


def test_a_sequence_shows_what_patterns_one_by_one_do() -> None:
    count, roi = 70, region(columns=2)
    together = table(hidden="typical", noise=False)
    single = table(hidden="typical", noise=False)
    for world in (together, single):
        world.couple(levels(world, coupling_phase(plan()[1])), 0, 0)
        world.clock.sleep_until(10**9)
    frames = played(together, count, roi)
    sequence(single, count)
    single.arm_camera("camera", count, 1_000_000, roi)
    for k in range(count):
        single.step(k)
        settle_ns = 225_000_000 if k == 0 else 75_000_000
        single.clock.sleep_until(single.clock.now_ns() + settle_ns)
        single.fire_trigger()
        single.clock.sleep_until(single.clock.now_ns() + 10_000_000)
    one_by_one = np.empty_like(frames)
    single.collect_frames("camera", one_by_one)
    assert np.abs(frames.astype(int) - one_by_one.astype(int)).max() <= 1  # sums in another order round otherwise


def test_a_part_of_the_region_reads_the_same() -> None:
    world = table(hidden="typical", noise=False)
    psi, M = plan()
    show(world, psi, M)
    whole = picture(world, region(columns=4))
    roi = region(columns=4)
    part = picture(world, ROI(row=roi.row + 50, column=roi.column + 1, rows=60, columns=2))
    assert part == pytest.approx(whole[50:110, 1:3], rel=2e-3)


def test_couplings_in_motion_are_seen_as_they_are() -> None:
    # Amplitude 0 is phases pi / 2 and 3 pi / 2 by turns, 1 is 0: falling, their mean is cos(pi / 2 exp(-t / tau)).
    world = table(**(EVEN | STILL), coupling={"scan_time": "0 s"})
    p = world.parameters.coupling
    show(world, np.ones(NODES, np.complex128), np.zeros((1, NODES)))
    world.couple(levels(world, coupling_phase(np.ones((1, NODES)))), 0, 0)
    written_s = world.clock.now_ns() * 1e-9
    begins_s = math.ceil(written_s * p.refresh_rate - 1e-9) / p.refresh_rate + p.controller_latency
    after_s = np.array([-2e-3, 2e-3, 8e-3, 15e-3, 0.3])
    seen = []
    for after in after_s:
        world.clock.sleep_until(round((begins_s + after) * 1e9))
        seen.append(abs(bands(world, 1)[0]))
    left = np.where(after_s > 0, np.exp(-(after_s + 0.5e-3) / p.fall_time), 1.0)
    assert np.array(seen) / seen[-1] == pytest.approx(np.cos(math.pi / 2 * left), abs=0.03)


def test_lost_frames_are_missed_by_who_waits_for_them() -> None:
    world = table(lost_frames=0.3)
    roi, count = region(), 40
    sequence(world, count)
    world.arm_camera("camera", count, 1_000_000, roi)
    world.run("slm", 225_000_000, 75_000_000, 10_000_000)
    numbers = world.collect_frames("camera", np.empty((count, roi.rows, roi.columns), np.uint16))[0]
    assert 18 <= len(numbers) <= 38  # binomial, 28 +- 2.9; false alarm 1e-3, seed fixed
    assert list(numbers) == sorted(set(numbers))
    frame = np.empty((roi.rows, roi.columns), np.uint16)
    with pytest.raises(DeviceTimeout, match="did not come"):
        _ = [world.trigger("camera", 1_000_000, roi, frame) for _ in range(40)]


def test_levels_outside_the_couplings_are_refused() -> None:
    with pytest.raises(DeviceError, match="do not fit"):
        table().couple(np.zeros((2, 2), np.uint8), ROWS - 1, 0)

"""Simulated instruments: rounding, limits, timing and errors of the ones they imitate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from prbm_table import lit_world, on_pulse, parameters
from scipy import stats

from drivers.contract import ROI, DeviceError, DeviceTimeout, InterlockError, LimitError, Limits, Sequence
from simulators.clock import RealClock, VirtualClock
from simulators.devices.camera import SimulatedCamera
from simulators.devices.photodetector import SimulatedPhotodetector
from simulators.devices.slm import MEMORY_PATTERNS, SimulatedSLM
from simulators.devices.supercontinuum import SimulatedSupercontinuum
from simulators.worlds.prbm import PrbmWorld

FALSE_ALARM = 1e-6
ROW_NS = 9_240
ZONE = ROI(row=80, column=135, rows=31, columns=4)


@pytest.fixture
def world() -> PrbmWorld:
    return lit_world()


@pytest.fixture
def camera(world: PrbmWorld) -> SimulatedCamera:
    device = SimulatedCamera("camera", world)
    device.open()
    device.roi = ZONE
    return device


@pytest.fixture
def slm(world: PrbmWorld) -> SimulatedSLM:
    device = SimulatedSLM("slm", world)
    device.open()
    return device


@pytest.fixture
def source(world: PrbmWorld) -> SimulatedSupercontinuum:
    device = SimulatedSupercontinuum("source", world)
    device.open()
    return device


@pytest.fixture
def tap(world: PrbmWorld) -> SimulatedPhotodetector:
    device = SimulatedPhotodetector("power_tap", world, "tap")
    device.open()
    return device


@pytest.fixture
def slit(world: PrbmWorld) -> SimulatedPhotodetector:
    device = SimulatedPhotodetector("slit", world, "slit")
    device.open()
    return device


def two_patterns(patterns: int = 2) -> Sequence:
    """A base of 3 x 5 pixels at (2, 4); the second pattern has one patch over it."""
    return Sequence(
        base=np.full((3, 5), 1.0),
        base_origin=(2, 4),
        patches=np.full((1, 1, 2), 2.0),
        patch_origins=np.array([[3, 5]], np.int32),
        offsets=np.array([0, *range(patterns)], np.int32),
        indices=np.zeros(patterns - 1, np.int32),
    )


# --- clock ------------------------------------------------------------------------------------------------------------


def test_virtual_time_passes_only_by_waiting() -> None:
    clock = VirtualClock()
    assert clock.now_ns() == 0
    clock.sleep_until(5_000_000_000)
    assert clock.now_ns() == 5_000_000_000


def test_virtual_time_never_runs_backwards() -> None:
    clock = VirtualClock()
    clock.sleep_until(100)
    clock.sleep_until(50)
    assert clock.now_ns() == 100


def test_a_reset_clock_starts_from_zero() -> None:
    clock = VirtualClock()
    clock.sleep_until(100)
    clock.reset()
    assert clock.now_ns() == 0


# --- camera: settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked_s", "rows"), [(5e-3, 541), (1e-4, 11), (30e-6, 3), (1.0, 108_225)])
def test_exposure_is_rounded_to_whole_rows(camera: SimulatedCamera, asked_s: float, rows: int) -> None:
    camera.exposure_s = asked_s
    assert camera.exposure_s == pytest.approx(rows * 9.24e-6, rel=1e-12)


def test_the_shortest_exposure_is_three_rows(camera: SimulatedCamera) -> None:
    camera.exposure_s = 27.72e-6
    assert camera.exposure_s == pytest.approx(27.72e-6, rel=1e-12)


@pytest.mark.parametrize("asked_s", [27.7e-6, 0.0, -1.0, 31.0])
def test_an_exposure_beyond_the_limits_is_refused(camera: SimulatedCamera, asked_s: float) -> None:
    before = camera.exposure_s
    with pytest.raises(LimitError, match=r"camera\.exposure_s = .* is outside 2\.772e-05 to 29\.99"):
        camera.exposure_s = asked_s
    assert camera.exposure_s == before


@pytest.mark.parametrize("rows", [3, 4, 7, 541, 1807, 108_225])
def test_an_exposure_read_back_can_be_set_again(camera: SimulatedCamera, rows: int) -> None:
    camera.exposure_s = rows * 9.24e-6
    before = camera.exposure_s
    camera.exposure_s = before
    assert camera.exposure_s == before


@pytest.mark.parametrize(
    "roi",
    [
        ROI(row=-1, column=0, rows=2, columns=2),
        ROI(row=0, column=-1, rows=2, columns=2),
        ROI(row=199, column=0, rows=2, columns=2),
        ROI(row=0, column=299, rows=2, columns=2),
        ROI(row=0, column=0, rows=0, columns=2),
        ROI(row=0, column=0, rows=2, columns=0),
    ],
)
def test_a_region_beyond_the_sensor_is_refused(camera: SimulatedCamera, roi: ROI) -> None:
    with pytest.raises(LimitError, match=r"camera\.roi = .* the sensor has 200x300 pixels; nothing was changed"):
        camera.roi = roi
    assert camera.roi == ZONE


def test_the_whole_sensor_is_a_region(camera: SimulatedCamera) -> None:
    camera.roi = ROI(row=0, column=0, rows=200, columns=300)
    assert camera.trigger().data.shape == (200, 300)


@pytest.mark.parametrize(("rows", "row_times"), [(1, 3), (2, 3), (31, 18), (128, 66), (200, 102)])
def test_readout_takes_half_the_rows_and_two_more(camera: SimulatedCamera, rows: int, row_times: int) -> None:
    # optical-table.md: T_frame = (rows / 2 + 2) 9.24 us; two halves of the sensor are read at once.
    camera.roi = ROI(row=0, column=0, rows=rows, columns=2)
    assert camera.readout_s == pytest.approx(row_times * 9.24e-6, rel=1e-12)


@pytest.mark.parametrize(("rows", "frames_per_s"), [(2160, 100), (1080, 199), (512, 419), (128, 1639)])
def test_frame_rates_are_those_of_the_manual(rows: int, frames_per_s: float) -> None:
    camera = SimulatedCamera("camera", lit_world(camera={"rows": 2160}))
    camera.roi = ROI(row=0, column=0, rows=rows, columns=2)
    assert 1 / camera.readout_s == pytest.approx(frames_per_s, rel=0.005)


def test_full_scale_is_the_end_of_the_converter_or_of_the_well() -> None:
    assert SimulatedCamera("camera", lit_world()).full_scale_counts == 65_535
    shallow = SimulatedCamera("camera", lit_world(camera={"full_well": 9_000.0}))
    assert shallow.full_scale_counts == pytest.approx(100 + 20_000)


# --- camera: frames ---------------------------------------------------------------------------------------------------


def test_a_frame_says_what_is_needed_to_trust_it(camera: SimulatedCamera, world: PrbmWorld) -> None:
    world.clock.sleep_until(1_000)
    camera.exposure_s = 1e-3
    frame = camera.trigger(pattern_id=17)
    assert (frame.frame_id, frame.pattern_id, frame.lost_before) == (0, 17, 0)
    assert (frame.roi, frame.bit_depth, frame.electrons_per_count) == (ZONE, 16, 0.45)
    assert (frame.start_ns, frame.end_ns) == (1_000, 1_000 + 108 * ROW_NS)
    assert frame.utc_start_ns == world.clock.utc_zero_ns + 1_000
    assert frame.exposure_s == camera.exposure_s


def test_a_frame_takes_its_exposure_and_its_readout(camera: SimulatedCamera, world: PrbmWorld) -> None:
    camera.exposure_s = 1e-3
    camera.trigger()
    assert world.clock.now_ns() == (108 + 18) * ROW_NS


def test_frame_numbers_rise(camera: SimulatedCamera) -> None:
    assert [camera.trigger().frame_id for _ in range(3)] == [0, 1, 2]


def test_in_real_time_a_camera_that_is_opened_again_has_new_noise() -> None:
    """Its server may have died in the middle of a run, in which no frame may stand twice; closed in order or not."""
    world = PrbmWorld(parameters(), RealClock())
    frames = []
    for closed in (True, False, False):
        camera = SimulatedCamera("camera", world)
        camera.open()
        camera.roi = ZONE
        frames += [camera.trigger() for _ in range(2)]
        if closed:
            camera.close()
    assert [frame.frame_id for frame in frames] == list(range(6))
    assert len({frame.data.tobytes() for frame in frames}) == 6


def test_saturated_pixels_are_counted() -> None:
    world = lit_world(camera={"full_well": 200.0})
    camera = SimulatedCamera("camera", world)
    camera.open()
    camera.roi = ZONE
    frame = camera.trigger()
    assert 0 < frame.saturated == (frame.data >= 100 + 200 / 0.45 - 30).sum()


def test_frames_repeat_after_the_table_was_set_up_anew(camera: SimulatedCamera, world: PrbmWorld) -> None:
    first = camera.trigger().data
    camera.close()
    world.rewind()
    world.source.emission, world.source.power_fraction = True, 1.0
    camera.open()
    camera.roi = ZONE
    np.testing.assert_array_equal(camera.trigger().data, first)


def test_a_burst_holds_one_frame_for_each_trigger(camera: SimulatedCamera, world: PrbmWorld) -> None:
    camera.exposure_s = 1e-3
    camera.arm(3)
    for k in range(3):
        world.clock.sleep_until(10_000_000 * k)
        world.fire_trigger()
    stack = camera.collect()
    assert stack.data.shape == (3, 31, 4)
    assert stack.start_ns.tolist() == [0, 10_000_000, 20_000_000]
    assert (stack.end_ns - stack.start_ns == 108 * ROW_NS).all()
    assert stack.frame_ids.tolist() == [0, 1, 2]


def test_triggers_beyond_the_burst_are_ignored(camera: SimulatedCamera, world: PrbmWorld) -> None:
    camera.arm(1)
    world.fire_trigger()
    world.fire_trigger()
    assert len(camera.collect().data) == 1


def test_triggers_without_arming_are_ignored(camera: SimulatedCamera, world: PrbmWorld) -> None:
    world.fire_trigger()
    assert camera.trigger().frame_id == 0


def test_a_missing_frame_is_an_error(camera: SimulatedCamera, world: PrbmWorld) -> None:
    camera.arm(3)
    world.fire_trigger()
    with pytest.raises(DeviceTimeout, match=r"camera\.collect: 1 frames came, 2 more were armed for"):
        camera.collect()


def test_after_a_missing_frame_the_camera_can_be_armed_again(camera: SimulatedCamera, world: PrbmWorld) -> None:
    camera.arm(3)
    with pytest.raises(DeviceTimeout):
        camera.collect()
    camera.arm(1)
    world.fire_trigger()
    assert len(camera.collect().data) == 1


def test_collecting_without_arming_is_an_error(camera: SimulatedCamera) -> None:
    with pytest.raises(DeviceTimeout, match=r"camera\.collect: 0 frames came"):
        camera.collect()


def test_a_burst_can_be_collected_once(camera: SimulatedCamera, world: PrbmWorld) -> None:
    camera.arm(1)
    world.fire_trigger()
    camera.collect()
    with pytest.raises(DeviceTimeout):
        camera.collect()


@pytest.mark.parametrize("frames", [0, -1])
def test_arming_for_no_frames_is_refused(camera: SimulatedCamera, frames: int) -> None:
    with pytest.raises(LimitError, match=r"camera\.arm: "):
        camera.arm(frames)


def test_arming_drops_what_was_not_collected(camera: SimulatedCamera, world: PrbmWorld) -> None:
    camera.arm(2)
    world.fire_trigger()
    camera.arm(1)
    world.fire_trigger()
    assert camera.collect().frame_ids.tolist() == [1]


def test_the_region_cannot_change_while_armed(camera: SimulatedCamera) -> None:
    camera.arm(1)
    with pytest.raises(DeviceError, match=r"camera\.roi: the camera is armed"):
        camera.roi = ROI(row=0, column=0, rows=1, columns=1)


# --- camera: binning --------------------------------------------------------------------------------------------------


def blocks_of(pixels: np.ndarray, n: int) -> np.ndarray:
    """Sums over blocks of n x n, of one frame or of several."""
    *frames, rows, columns = pixels.shape
    return pixels.reshape(*frames, rows // n, n, columns // n, n).sum(axis=(-3, -1), dtype=np.int64)


def exposed(binning: int, roi: ROI, triggers: int = 0, **camera: Any) -> Any:
    """The first frame, or burst, of a table set up anew."""
    optics = {"first_row": 3, "bands": 6, "dispersion": 3e3, "camera_attenuation": "0.002 %"}
    world = lit_world(camera=camera, optics=optics)
    device = SimulatedCamera("camera", world)
    device.open()
    device.exposure_s = 1e-3
    device.roi = roi
    device.binning = binning
    if not triggers:
        return device.trigger()
    device.arm(triggers)
    for k in range(triggers):
        world.clock.sleep_until(50_000_000 * k)
        world.fire_trigger()
    return device.collect()


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("triggers", [0, 3])
def test_a_binned_frame_is_the_block_sums_of_the_unbinned_one(n: int, triggers: int) -> None:
    roi = ROI(row=79, column=131, rows=24, columns=12)
    single, binned = (exposed(k, roi, triggers) for k in (1, n))
    assert binned.data.dtype == np.uint32
    np.testing.assert_array_equal(binned.data, blocks_of(single.data, n))
    assert (binned.binning, binned.roi, binned.electrons_per_count) == (n, roi, single.electrons_per_count)


@pytest.mark.parametrize("triggers", [0, 3])
def test_saturated_blocks_are_those_with_a_saturated_pixel(triggers: int) -> None:
    roi = ROI(row=79, column=131, rows=24, columns=36)
    single, binned = (exposed(k, roi, triggers, bit_depth=13) for k in (1, 3))
    full = blocks_of(single.data >= 8191, 3)
    found = np.count_nonzero(full, axis=(-2, -1))
    assert 0 < found.max() < 8 * 12  # some blocks, and not all
    np.testing.assert_array_equal(binned.saturated, found)


def test_ideal_frames_are_summed_as_they_are() -> None:
    roi = ROI(row=79, column=131, rows=24, columns=12)
    single, binned = (exposed(k, roi, ideal=True) for k in (1, 4))
    np.testing.assert_allclose(binned.data, single.data.reshape(6, 4, 3, 4).sum(axis=(1, 3)), rtol=1e-12)


def test_full_scale_and_offset_grow_with_the_pixels_of_a_block(world: PrbmWorld, camera: SimulatedCamera) -> None:
    world.source.emission = False
    camera.roi = ROI(row=0, column=0, rows=80, columns=160)
    camera.binning = 8
    assert camera.full_scale_counts == 64 * 65_535
    assert camera.trigger().data.mean() == pytest.approx(6400, abs=30)


def test_a_binning_that_does_not_fit_the_region_is_refused(camera: SimulatedCamera) -> None:
    with pytest.raises(LimitError, match=r"camera\.binning = 2: a region of 31x4 .* nothing was changed"):
        camera.binning = 2
    with pytest.raises(LimitError, match=r"camera\.binning = 17 is outside 1 to 16"):
        camera.binning = 17
    assert camera.binning == 1


def test_a_region_that_does_not_fit_the_binning_is_refused(camera: SimulatedCamera) -> None:
    camera.roi = fits = ROI(row=3, column=5, rows=12, columns=8)
    camera.binning = 4
    with pytest.raises(LimitError, match=r"camera\.roi: a region of 12x9 .* nothing was changed"):
        camera.roi = ROI(row=3, column=5, rows=12, columns=9)
    assert camera.roi == fits


def test_the_binning_cannot_change_while_armed_and_is_1_when_opened(camera: SimulatedCamera) -> None:
    camera.roi = ROI(row=3, column=5, rows=12, columns=8)
    camera.binning = 4
    camera.arm(1)
    with pytest.raises(DeviceError, match=r"camera\.binning: the camera is armed"):
        camera.binning = 2
    camera.open()
    assert camera.binning == 1


def test_a_software_trigger_uses_up_what_the_camera_was_armed_for(camera: SimulatedCamera) -> None:
    # A sequence paced by software arms once and triggers; the camera must be free afterwards.
    camera.arm(1)
    camera.trigger()
    camera.roi = ROI(row=0, column=0, rows=1, columns=1)
    assert camera.roi.rows == 1


def test_a_burst_is_taken_with_the_exposure_it_was_armed_for(camera: SimulatedCamera, world: PrbmWorld) -> None:
    camera.exposure_s = 1e-3
    camera.arm(1)
    camera.exposure_s = 5e-3
    world.fire_trigger()
    stack = camera.collect()
    assert stack.exposure_s == 108 * ROW_NS / 1e9
    assert stack.end_ns - stack.start_ns == 108 * ROW_NS


def test_a_burst_that_was_cut_short_by_safe_is_an_error(camera: SimulatedCamera, world: PrbmWorld) -> None:
    camera.arm(3)
    world.fire_trigger()
    camera.safe()
    world.fire_trigger()
    with pytest.raises(DeviceTimeout, match="1 frames came, 2 more were armed for"):
        camera.collect()


def test_safe_during_an_exposure_stops_the_burst(
    camera: SimulatedCamera, world: PrbmWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    expose = world.expose

    def interrupted(*arguments: Any) -> Any:
        camera.safe()
        return expose(*arguments)

    monkeypatch.setattr(world, "expose", interrupted)
    camera.arm(3)
    for _ in range(3):
        world.fire_trigger()
    with pytest.raises(DeviceTimeout, match=r": [01] frames came, [23] more"):
        camera.collect()


def test_a_closed_camera_hears_no_trigger(camera: SimulatedCamera, world: PrbmWorld) -> None:
    camera.close()
    camera.close()
    world.fire_trigger()
    with pytest.raises(DeviceError, match="camera is not on the table; open it"):
        camera.trigger()
    camera.open()
    assert camera.trigger().frame_id == 0


# --- SLM --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (np.zeros(5), "a real array"),
        (np.zeros((2, 2, 2)), "a real array"),
        (np.zeros((2, 2), int), "a real array"),
        (np.zeros((2, 2), complex), "a real array"),
        ([[0.0]], "not list"),
        (np.array([[np.nan]]), "not finite"),
        (np.array([[np.inf]]), "not finite"),
        (np.zeros((25, 48)), "25x48 at row 0, column 0 does not fit the panel's 24x48"),
        (np.zeros((24, 49)), "does not fit"),
    ],
)
def test_a_pattern_that_is_none_is_refused(slm: SimulatedSLM, phase: Any, message: str) -> None:
    with pytest.raises(LimitError, match=rf"slm\.write: .*{message}"):
        slm.write(phase)
    assert (slm.read_back() == 0).all()


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (0, -1), (23, 0), (0, 47)])
def test_a_pattern_beyond_the_panel_is_refused(slm: SimulatedSLM, row: int, column: int) -> None:
    with pytest.raises(LimitError, match=f"2x2 at row {row}, column {column} does not fit"):
        slm.write(np.zeros((2, 2)), row, column)


def test_a_refused_pattern_changes_nothing(slm: SimulatedSLM, world: PrbmWorld) -> None:
    first = slm.write(np.full((24, 48), 1.0))
    with pytest.raises(LimitError):
        slm.write(np.full((24, 48), np.nan))
    assert (slm.read_back() == 41).all()
    assert slm.write(np.zeros((1, 1))) == first + 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_read_back_gives_the_gray_levels_sent(slm: SimulatedSLM, dtype: type[np.generic]) -> None:
    slm.write(np.full((2, 3), np.pi / 2, dtype), 4, 5)
    expected = np.zeros((24, 48), np.uint8)
    expected[4:6, 5:8] = 64
    np.testing.assert_array_equal(slm.read_back(), expected)
    assert slm.read_back().dtype == np.uint8


def test_read_back_is_a_copy(slm: SimulatedSLM) -> None:
    slm.read_back()[:] = 3
    assert (slm.read_back() == 0).all()


def test_gray_levels_are_shown_as_they_are(slm: SimulatedSLM, world: PrbmWorld) -> None:
    gray = np.array([[0, 17, 255], [128, 1, 2]], np.uint8)
    assert slm.write_gray(gray, 4, 5) == 1
    np.testing.assert_array_equal(slm.read_back()[4:6, 5:8], gray)
    assert slm.read_back().sum() == gray.sum()
    np.testing.assert_allclose(world.panel.phase[4:6, 5:8], gray * (2 * np.pi / 256))


def test_gray_levels_are_those_that_a_phase_is_shown_by() -> None:
    by_phase, by_gray = (lit_world(slm={"settled_phase": 0.0}) for _ in range(2))
    phase = np.random.default_rng(2).uniform(-6, 6, (24, 48))
    slm = SimulatedSLM("slm", by_phase)
    slm.open()
    slm.write(phase)
    other = SimulatedSLM("slm", by_gray)
    other.open()
    other.write_gray(slm.read_back())
    expected = by_phase.mean_electrons(30_000_000, 1e-3, 80, 135, 10, 4)
    np.testing.assert_array_equal(by_gray.mean_electrons(30_000_000, 1e-3, 80, 135, 10, 4), expected)


@pytest.mark.parametrize("whole", [True, False])
def test_gray_levels_settle_as_a_phase_does(slm: SimulatedSLM, world: PrbmWorld, whole: bool) -> None:
    slm.write_gray(np.ones((2, 2), np.uint8), whole=whole)
    assert slm.settle() == world.clock.now_ns() == (225_000_000 if whole else 75_000_000)


def test_gray_levels_drop_the_stored_sequence(slm: SimulatedSLM) -> None:
    slm.load(two_patterns())
    slm.write_gray(np.zeros((1, 1), np.uint8))
    with pytest.raises(DeviceError, match="no sequence is stored"):
        slm.run(0.0)


def test_gray_levels_may_be_wider_integers_than_the_panel_needs(slm: SimulatedSLM) -> None:
    slm.write_gray(np.full((24, 48), 255, np.uint16))
    assert slm.read_back().dtype == np.uint8
    assert (slm.read_back() == 255).all()


@pytest.mark.parametrize(
    ("gray", "message"),
    [
        (np.full((2, 2), 256, np.uint16), r"gray level 256; the panel has 0 to 255"),
        (np.zeros((2, 2)), r"uint8 or uint16 is needed, not float64 \(2, 2\)"),
        (np.zeros((2, 2), np.int64), "uint8 or uint16 is needed, not int64"),
        (np.zeros((2, 2), np.bool_), "uint8 or uint16 is needed, not bool"),
        (np.zeros(4, np.uint8), r"needed, not uint8 \(4,\)"),
        ([[0]], "needed, not list"),
        (np.zeros((25, 48), np.uint8), "25x48 at row 0, column 0 does not fit the panel's 24x48"),
    ],
)
def test_what_is_no_gray_level_of_the_panel_is_refused(slm: SimulatedSLM, gray: Any, message: str) -> None:
    with pytest.raises(LimitError, match=rf"slm\.write_gray: .*{message}"):
        slm.write_gray(gray)
    assert (slm.read_back() == 0).all()
    assert slm.write(np.zeros((1, 1))) == 1


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (0, -1), (23, 0), (0, 47)])
def test_gray_levels_beyond_the_panel_are_refused(slm: SimulatedSLM, row: int, column: int) -> None:
    with pytest.raises(LimitError, match=f"2x2 at row {row}, column {column} does not fit"):
        slm.write_gray(np.zeros((2, 2), np.uint8), row, column)


def test_a_panel_of_fewer_levels_refuses_those_it_lacks() -> None:
    slm = SimulatedSLM("slm", lit_world(slm={"levels": 16}))
    slm.open()
    slm.write_gray(np.full((1, 1), 15, np.uint8))
    with pytest.raises(LimitError, match="gray level 16; the panel has 0 to 15"):
        slm.write_gray(np.full((1, 1), 16, np.uint8))


def test_a_panel_of_many_levels_takes_them_all() -> None:
    slm = SimulatedSLM("slm", lit_world(slm={"levels": 1024}))
    slm.open()
    slm.write_gray(np.full((24, 48), 1023, np.uint16))
    assert (slm.read_back() == 1023).all()
    assert slm.read_back().dtype == np.uint16


def test_a_continuous_panel_has_no_gray_levels() -> None:
    slm = SimulatedSLM("slm", lit_world(slm={"levels": None}))
    slm.open()
    with pytest.raises(LimitError, match=r"slm\.write_gray: the panel is continuous .* write phase instead"):
        slm.write_gray(np.zeros((1, 1), np.uint8))


def test_pattern_ids_rise(slm: SimulatedSLM) -> None:
    slm.load(two_patterns())
    ids = [slm.write(np.zeros((1, 1))), slm.write(np.zeros((1, 1)))]
    slm.load(two_patterns())
    ids += slm.run(0.0).pattern_ids.tolist()
    ids.append(slm.write(np.zeros((1, 1))))
    assert ids == [1, 2, 3, 4, 5]


def test_settling_takes_the_time_of_a_local_or_a_whole_change(slm: SimulatedSLM, world: PrbmWorld) -> None:
    slm.write(np.zeros((1, 1)), whole=True)
    assert slm.settle() == world.clock.now_ns() == 225_000_000
    slm.write(np.zeros((1, 1)), whole=False)
    assert slm.settle() == world.clock.now_ns() == 300_000_000


def test_settling_twice_takes_no_longer(slm: SimulatedSLM, world: PrbmWorld) -> None:
    slm.write(np.zeros((1, 1)))
    assert slm.settle() == slm.settle() == world.clock.now_ns()


def test_a_sequence_reads_back_as_its_last_pattern(slm: SimulatedSLM) -> None:
    slm.load(two_patterns())
    slm.run(0.0)
    expected = np.zeros((24, 48), np.uint8)
    expected[2:5, 4:9] = 41
    expected[3, 5:7] = 81
    np.testing.assert_array_equal(slm.read_back(), expected)


def test_the_panel_shows_what_reads_back_after_a_sequence(slm: SimulatedSLM, world: PrbmWorld) -> None:
    slm.load(two_patterns())
    slm.run(0.0)
    np.testing.assert_allclose(world.panel.phase, world.panel.radians(slm.read_back()))


def test_a_sequence_takes_settling_and_dwell_of_each_pattern(slm: SimulatedSLM, world: PrbmWorld) -> None:
    slm.load(two_patterns(4))
    times = slm.run(0.02)
    assert np.diff(times.stable_ns).tolist() == [95_000_000] * 3
    assert times.stable_ns[0] == 225_000_000
    assert world.clock.now_ns() == times.stable_ns[-1] + 20_000_000


def test_each_pattern_of_a_sequence_pulses_the_trigger_when_it_is_stable(slm: SimulatedSLM, world: PrbmWorld) -> None:
    pulses: list[int] = []
    on_pulse(world, lambda _: pulses.append(world.clock.now_ns()))
    slm.load(two_patterns(4))
    assert slm.run(0.01).stable_ns.tolist() == pulses


def test_running_without_a_sequence_is_an_error(slm: SimulatedSLM) -> None:
    with pytest.raises(DeviceError, match=r"slm\.run: no sequence is stored"):
        slm.run(0.0)


def test_a_write_drops_the_stored_sequence(slm: SimulatedSLM) -> None:
    slm.load(two_patterns())
    slm.write(np.zeros((1, 1)))
    with pytest.raises(DeviceError, match="no sequence is stored"):
        slm.run(0.0)


def test_a_sequence_larger_than_the_memory_is_refused(slm: SimulatedSLM) -> None:
    assert slm.load(two_patterns(MEMORY_PATTERNS)) == slm.sequence_memory
    with pytest.raises(LimitError, match=r"slm\.load: 4097 patterns, the memory holds 4096"):
        slm.load(two_patterns(MEMORY_PATTERNS + 1))


def stop_at(world: PrbmWorld, k: int, stop: Callable[[], None]) -> None:
    """Calls ``stop`` at pulse k of the trigger line."""
    on_pulse(world, lambda pulse: stop() if pulse == k else None)


def test_safe_stops_a_running_sequence(slm: SimulatedSLM, world: PrbmWorld) -> None:
    stop_at(world, 2, slm.safe)
    slm.load(two_patterns(5))
    with pytest.raises(DeviceError, match=r"slm\.run: stopped by safe\(\) after 2 of 5 patterns"):
        slm.run(0.0)


def test_pattern_ids_rise_even_after_a_stopped_sequence(slm: SimulatedSLM, world: PrbmWorld) -> None:
    # Patterns 1 and 2 were on the panel; their ids must not be given to others.
    stop_at(world, 2, slm.safe)
    slm.load(two_patterns(5))
    with pytest.raises(DeviceError):
        slm.run(0.0)
    assert slm.write(np.zeros((1, 1))) == 3


def test_a_stopped_sequence_reads_back_as_the_pattern_shown(slm: SimulatedSLM, world: PrbmWorld) -> None:
    stop_at(world, 2, slm.safe)
    slm.load(two_patterns(5))
    with pytest.raises(DeviceError):
        slm.run(0.0)
    np.testing.assert_allclose(world.panel.phase, world.panel.radians(slm.read_back()))
    assert slm.read_back()[3, 5] == 81


def test_safe_from_another_thread_stops_a_running_sequence(slm: SimulatedSLM, world: PrbmWorld) -> None:
    def stop() -> None:
        thread = threading.Thread(target=slm.safe)
        thread.start()
        thread.join()

    stop_at(world, 1, stop)
    slm.load(two_patterns(5))
    with pytest.raises(DeviceError, match="after 1 of 5"):
        slm.run(0.0)


def test_a_stuck_panel_reads_back_what_it_does_not_show() -> None:
    world = lit_world(slm={"stuck": True})
    slm = SimulatedSLM("slm", world)
    slm.open()
    slm.write(np.full((2, 2), 1.0))
    slm.load(two_patterns())
    slm.run(0.0)
    assert slm.read_back()[0, 0] == 41
    assert (world.panel.phase == 0).all()


def test_a_continuous_panel_keeps_the_phase_unrounded() -> None:
    world = lit_world(slm={"levels": None})
    slm = SimulatedSLM("slm", world)
    slm.open()
    slm.write(np.full((1, 1), 1.2345))
    assert slm.levels == 0
    assert world.panel.phase[0, 0] == pytest.approx(1.2345, rel=1e-12)


# --- source -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "given"), [(0.1234, 0.123), (0.0005001, 0.001), (0.0004, 0.0), (1.0, 1.0)])
def test_power_is_rounded_to_a_tenth_of_a_per_cent(source: SimulatedSupercontinuum, asked: float, given: float) -> None:
    source.power_fraction = asked
    assert source.power_fraction == given


@pytest.mark.parametrize("asked", [-0.001, 1.001, float("nan"), float("inf")])
def test_power_beyond_the_limits_is_refused(source: SimulatedSupercontinuum, asked: float) -> None:
    source.power_fraction = 0.3
    with pytest.raises(LimitError, match=r"source\.power_fraction = "):
        source.power_fraction = asked
    assert source.power_fraction == 0.3


def test_rounding_never_lifts_the_power_over_its_limit(source: SimulatedSupercontinuum) -> None:
    source.restrict("power_fraction", Limits(maximum=0.3996))
    source.power_fraction = 0.3996
    assert source.power_fraction == 0.399


def test_opening_turns_emission_off(world: PrbmWorld) -> None:
    SimulatedSupercontinuum("source", world).open()
    assert not world.source.emission


def test_safe_turns_emission_off_twice(source: SimulatedSupercontinuum, world: PrbmWorld) -> None:
    source.emission = True
    assert world.source.emission
    source.safe()
    source.safe()
    assert not source.emission


def test_a_tripped_laser_refuses_emission() -> None:
    world = lit_world(source={"tripped": True})
    source = SimulatedSupercontinuum("source", world)
    source.open()
    with pytest.raises(InterlockError, match=r"source\.emission: .*open interlock"):
        source.emission = True
    assert not source.emission


def test_a_tripped_laser_can_be_turned_off() -> None:
    source = SimulatedSupercontinuum("source", lit_world(source={"tripped": True}))
    source.emission = False
    assert not source.emission


def test_the_band_has_a_short_and_a_long_edge(source: SimulatedSupercontinuum) -> None:
    source.wavelength_max_m = 650e-9
    with pytest.raises(LimitError, match=r"source\.wavelength_min_m = .* must lie below"):
        source.wavelength_min_m = 650e-9
    source.wavelength_min_m = 600e-9
    with pytest.raises(LimitError, match=r"source\.wavelength_max_m = .* must lie above"):
        source.wavelength_max_m = 590e-9
    assert (source.wavelength_min_m, source.wavelength_max_m) == (600e-9, 650e-9)


def test_only_emission_needs_a_lease(source: SimulatedSupercontinuum) -> None:
    assert [name for name, s in source.declared_settings().items() if s.needs_lease] == ["emission"]


# --- photodetectors ---------------------------------------------------------------------------------------------------


def test_a_reading_takes_its_integration_time(tap: SimulatedPhotodetector, world: PrbmWorld) -> None:
    tap.integration_s = 2e-3
    reading = tap.measure()
    assert (reading.start_ns, reading.end_ns) == (0, 2_000_000)
    assert world.clock.now_ns() == 2_000_000


def test_a_trace_is_readings_in_a_row(tap: SimulatedPhotodetector, world: PrbmWorld) -> None:
    tap.integration_s = 2e-3
    assert tap.trace(5).shape == (5,)
    assert world.clock.now_ns() == 10_000_000


def test_readings_scatter_by_their_stated_deviation(tap: SimulatedPhotodetector) -> None:
    # 2000 readings: the deviation is known to 1/sqrt(4000); false-alarm rate 1e-6.
    tap.integration_s = 1e-3
    sigma_w = tap.measure().standard_power_w
    bound = stats.norm.isf(FALSE_ALARM / 2) / np.sqrt(4000)
    assert tap.trace(2000).std() == pytest.approx(sigma_w, rel=bound, abs=0.0)


def test_amplifier_noise_falls_with_the_root_of_the_integration_time(
    world: PrbmWorld, tap: SimulatedPhotodetector
) -> None:
    world.source.emission = False
    tap.integration_s = 1e-3
    short_w = tap.measure().standard_power_w
    tap.integration_s = 100e-3
    assert short_w == pytest.approx(1e-9 / np.sqrt(2 * 1e-3), rel=1e-9, abs=0.0)
    assert tap.measure().standard_power_w == pytest.approx(short_w / 10, rel=1e-9, abs=0.0)


def test_shot_noise_is_that_of_the_electrons_counted(world: PrbmWorld) -> None:
    quiet = lit_world(detector={"tap_nep": "0 W/Hz**0.5"})
    tap = SimulatedPhotodetector("power_tap", quiet, "tap")
    tap.open()
    reading = tap.measure()
    photon_j = 6.62607015e-34 * 299792458.0 / quiet.light.wavelengths_m.mean()
    electrons = 0.8 * reading.power_w * tap.integration_s / photon_j
    assert reading.standard_power_w == pytest.approx(reading.power_w / np.sqrt(electrons), rel=1e-3, abs=0.0)


def test_a_reading_ends_at_the_range() -> None:
    world = lit_world(detector={"slit_range": "1 pW"})
    slit = SimulatedPhotodetector("slit", world, "slit")
    slit.open()
    reading = slit.measure()
    assert (reading.power_w, reading.saturated) == (1e-12, True)
    assert slit.range_w == 1e-12


def test_a_reading_within_the_range_is_not_saturated(tap: SimulatedPhotodetector) -> None:
    reading = tap.measure()
    assert not reading.saturated
    assert 0 < reading.power_w < tap.range_w


def test_noise_of_an_ideal_detector_is_zero() -> None:
    tap = SimulatedPhotodetector("power_tap", lit_world(detector={"ideal": True}), "tap")
    tap.open()
    assert tap.measure().standard_power_w == 0.0
    assert len(set(tap.trace(5))) == 1


@pytest.mark.parametrize("what", ["arm", "trace"])
def test_no_readings_are_refused(tap: SimulatedPhotodetector, what: str) -> None:
    with pytest.raises(LimitError, match=rf"power_tap\.{what}: 0 "):
        getattr(tap, what)(0)


def test_triggered_readings_are_collected(tap: SimulatedPhotodetector, world: PrbmWorld) -> None:
    tap.arm(2)
    world.fire_trigger()
    world.clock.sleep_until(50_000_000)
    world.fire_trigger()
    world.fire_trigger()
    assert [r.start_ns for r in tap.collect()] == [0, 50_000_000]


def test_a_missing_reading_is_an_error(tap: SimulatedPhotodetector, world: PrbmWorld) -> None:
    tap.arm(2)
    world.fire_trigger()
    with pytest.raises(DeviceTimeout, match=r"power_tap\.collect: 1 readings came, 1 more were armed for"):
        tap.collect()


def test_readings_that_were_cut_short_by_safe_are_an_error(tap: SimulatedPhotodetector, world: PrbmWorld) -> None:
    tap.arm(3)
    world.fire_trigger()
    tap.safe()
    with pytest.raises(DeviceTimeout, match="1 readings came, 2 more"):
        tap.collect()


def test_detectors_of_one_table_have_noise_of_their_own(world: PrbmWorld) -> None:
    first, second = (SimulatedPhotodetector(name, world, "tap") for name in ("tap", "tap2"))
    first.open()
    second.open()
    assert first.measure().power_w != second.measure().power_w


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["camera", "slm", "source", "tap", "slit"])
def test_safe_may_be_called_at_any_moment_and_twice(request: pytest.FixtureRequest, name: str) -> None:
    device = request.getfixturevalue(name)
    before = device.snapshot()
    device.safe()
    device.safe()
    assert device.snapshot() == before


@pytest.mark.parametrize("name", ["camera", "slm", "source", "tap", "slit"])
def test_every_writable_setting_takes_back_what_it_reads(request: pytest.FixtureRequest, name: str) -> None:
    device = request.getfixturevalue(name)
    before = device.snapshot()
    for key, setting in device.declared_settings().items():
        if not setting.read_only:
            setattr(device, key, before[key])
    assert device.snapshot() == before


@pytest.mark.parametrize("name", ["camera", "slm", "source", "tap", "slit"])
def test_a_simulation_says_that_it_is_one(request: pytest.FixtureRequest, name: str) -> None:
    device = request.getfixturevalue(name)
    assert device.identity().model.startswith("simulated")
    assert device.describe().backend == "simulated"


@pytest.mark.parametrize("name", ["camera", "slm", "tap"])
def test_opening_again_gives_the_power_on_state(request: pytest.FixtureRequest, name: str) -> None:
    device = request.getfixturevalue(name)
    device.close()
    device.open()
    fresh = device.snapshot()
    writable = {"camera": "exposure_s", "slm": "settle_s", "tap": "integration_s"}[name]
    setattr(device, writable, 1.0)
    device.close()
    device.open()
    assert device.snapshot() == fresh


@pytest.mark.parametrize("name", ["camera", "slm", "source", "tap"])
def test_limits_outlive_closing_and_opening(request: pytest.FixtureRequest, name: str) -> None:
    # `restrict`: for as long as the object lives.
    device = request.getfixturevalue(name)
    writable = {"camera": "exposure_s", "slm": "settle_s", "source": "power_fraction", "tap": "integration_s"}[name]
    device.restrict(writable, Limits(maximum=0.5))
    device.close()
    device.open()
    assert device.limits(writable).maximum == 0.5

"""Any pylablib camera by the name of its class: pylablib's own SDK3 class, unmodified, on the emulated library."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting_world import TIMEOUT_S, CountingWorld, ends_within, leftovers

from drivers.contract import ROI, ConfigurationError, DeviceError, DeviceTimeout, LimitError
from drivers.pylablib_camera import PylablibCamera
from simulators.emulators.by_name import SDK3ByName

ROW_S = 9.24e-6
REGION = ROI(row=2, column=1, rows=20, columns=32)

Made = tuple[PylablibCamera, SDK3ByName, CountingWorld]


@pytest.fixture
def counting() -> CountingWorld:
    return CountingWorld()


@pytest.fixture
def emulator(counting: CountingWorld) -> Iterator[SDK3ByName]:
    emulator = SDK3ByName("any", counting)
    yield emulator
    emulator.stop()


def camera_on(emulator: SDK3ByName, **options: Any) -> PylablibCamera:
    given = emulator.start() | {"timeout": f"{TIMEOUT_S} s"} | options
    return PylablibCamera.build("any", PylablibCamera.Options(**given), None)


@pytest.fixture
def make(emulator: SDK3ByName) -> Iterator[Callable[..., PylablibCamera]]:
    """Opens cameras on the emulated library, and closes them."""
    made = []

    def make(**options: Any) -> PylablibCamera:
        camera = camera_on(emulator, **options)
        made.append(camera)
        camera.open()
        camera.exposure_s = 5e-3
        return camera

    yield make
    for camera in made:
        camera.close()


@pytest.fixture
def camera(make: Callable[..., PylablibCamera]) -> PylablibCamera:
    return make()


# --- frames -----------------------------------------------------------------------------------------------------------


def test_frames_answer_triggers(camera: PylablibCamera, counting: CountingWorld) -> None:
    camera.roi = REGION
    for k in range(20):
        counting.value = 50 + k
        before_ns = time.monotonic_ns()
        frame = camera.trigger(pattern_id=k)
        assert before_ns <= frame.start_ns < frame.end_ns <= time.monotonic_ns()
        assert frame.data.shape == (20, 32)
        assert frame.data[5, 5] == 50 + k
        assert (frame.frame_id, frame.pattern_id, frame.lost_before) == (k, k, 0)


@pytest.mark.parametrize(
    "roi",
    [
        ROI(row=0, column=0, rows=40, columns=50),
        ROI(row=3, column=5, rows=30, columns=9),  # more rows than columns, of which pylablib's class cuts some off
        ROI(row=3, column=41, rows=30, columns=9),  # at the sensor's edge
        ROI(row=39, column=49, rows=1, columns=1),  # smaller than the sensor can read
        ROI(row=0, column=13, rows=11, columns=37),  # rows that do not fill whole blocks
    ],
)
def test_a_region_is_exact(camera: PylablibCamera, counting: CountingWorld, roi: ROI) -> None:
    camera.roi = roi
    assert camera.roi == roi
    counting.value = 77
    frame = camera.trigger()
    read = counting.regions[-1]
    expected = np.full((read.rows, read.columns), 77)
    expected[0, 0], expected[-1, -1] = 1000 + read.row, 2000 + read.column
    row, column = roi.row - read.row, roi.column - read.column
    assert row >= 0
    assert column >= 0
    np.testing.assert_array_equal(frame.data, expected[row : row + roi.rows, column : column + roi.columns])
    assert frame.roi == roi


def test_a_region_beyond_the_sensor_is_refused(camera: PylablibCamera) -> None:
    camera.roi = REGION
    for wrong in (ROI(row=0, column=0, rows=41, columns=1), ROI(row=-1, column=0, rows=2, columns=2)):
        with pytest.raises(LimitError, match="nothing was changed"):
            camera.roi = wrong
    assert camera.roi == REGION


def test_the_exposure_reads_back_as_the_instrument_rounded_it(camera: PylablibCamera) -> None:
    for asked_s in (1e-3, 5e-3, 16.7e-3):
        camera.exposure_s = asked_s
        assert camera.exposure_s == pytest.approx(asked_s, abs=ROW_S)
        frame = camera.trigger()
        assert frame.exposure_s == pytest.approx(camera.exposure_s, abs=1e-9)
    camera.roi = REGION
    assert camera.snapshot()["readout_s"] == pytest.approx(12 * ROW_S, rel=1e-3)


def test_saturation_is_counted_as_the_bench_file_says(camera: PylablibCamera, emulator: SDK3ByName) -> None:
    emulator.inject("over-range")
    assert camera.trigger().saturated == 40 * 50


def test_a_free_running_camera_skips_what_began_before(
    make: Callable[..., PylablibCamera], counting: CountingWorld
) -> None:
    camera = make(trigger="free")
    camera.exposure_s = 10e-3
    camera.roi = ROI(row=0, column=0, rows=16, columns=32)
    for k in range(10):
        counting.value = 200 + k
        assert camera.trigger().data[5, 5] == 200 + k


def test_no_frame_is_stale_among_many_with_random_delays(
    camera: PylablibCamera, emulator: SDK3ByName, counting: CountingWorld
) -> None:
    camera.exposure_s = 1e-3
    rng = random.Random(6)
    emulator.delay = lambda: rng.choice((0.0, 0.0, rng.uniform(0, 0.01), rng.uniform(0, 0.03)))
    for k in range(300):
        counting.value = 100 + k
        asked_ns = time.monotonic_ns()
        frame = camera.trigger()
        assert frame.data[20, 20] == 100 + k
        assert frame.start_ns >= asked_ns
        assert frame.lost_before == 0


# --- who it is --------------------------------------------------------------------------------------------------------


def test_identity_is_what_the_class_tells(camera: PylablibCamera, emulator: SDK3ByName) -> None:
    who, told = camera.identity(), emulator.options
    assert (who.model, who.serial, who.firmware) == (told.model, emulator.serial, told.firmware)


def test_constants_come_from_the_bench_file(camera: PylablibCamera) -> None:
    assert (camera.rows, camera.columns, camera.bit_depth) == (40, 50, 16)
    assert camera.pixel_pitch_m == pytest.approx(6.5e-6)
    assert (camera.electrons_per_count, camera.full_scale_counts) == (0.45, 65535)
    assert camera.external_trigger is False


# --- life -------------------------------------------------------------------------------------------------------------


def test_opening_and_closing_leaves_nothing_behind(emulator: SDK3ByName) -> None:
    camera = camera_on(emulator)
    camera.open()
    camera.trigger()
    camera.close()
    before = leftovers()
    for _ in range(3):
        camera.open()
        camera.trigger()
        camera.close()
        camera.close()
    assert leftovers() == before


def test_opening_in_vain_leaves_nothing_behind_and_may_be_repeated(emulator: SDK3ByName) -> None:
    camera = camera_on(emulator)
    camera.open()
    camera.close()
    emulator.inject("port-loss")
    with pytest.raises(DeviceError):
        camera.open()
    before = leftovers()
    for _ in range(3):
        with pytest.raises(DeviceError, match=r"cannot connect .*cable"):
            camera.open()
    assert leftovers() == before
    emulator.inject(None)
    camera.open()
    assert camera.trigger().frame_id == 0
    camera.close()


def test_safe_may_be_called_at_any_moment(camera: PylablibCamera) -> None:
    for _ in range(3):
        camera.safe()
    camera.close()
    camera.safe()
    with pytest.raises(DeviceError, match="open it"):
        camera.trigger()
    camera.open()
    assert camera.trigger().frame_id == 0


def test_safe_ends_a_trigger_that_is_being_waited_for(camera: PylablibCamera) -> None:
    camera.exposure_s = 20.0
    errors: list[BaseException | None] = []
    waiting = threading.Thread(target=lambda: errors.append(ends_within(2, camera.trigger)))
    waiting.start()
    time.sleep(0.3)
    assert ends_within(TIMEOUT_S + 1, camera.safe) is None
    waiting.join(10)
    assert not waiting.is_alive()
    assert "stopped by safe" in str(errors[0])


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["mute", "late"])
def test_no_frame_in_time_is_a_time_out_and_then_all_is_well(
    camera: PylablibCamera, emulator: SDK3ByName, counting: CountingWorld, fault: str
) -> None:
    camera.trigger()
    emulator.inject(fault)
    assert isinstance(ends_within(TIMEOUT_S + 1, camera.trigger), DeviceTimeout)
    emulator.inject(None)
    counting.value = 88
    frame = camera.trigger()
    assert frame.lost_before == 1
    assert frame.data[20, 20] == 88


def test_frames_that_come_after_the_time_out_are_never_taken_for_the_next(
    camera: PylablibCamera, emulator: SDK3ByName, counting: CountingWorld
) -> None:
    slow = iter([False, True, False, True, True, False, False])
    emulator.delay = lambda: TIMEOUT_S + 0.2 if next(slow) else 0.0
    lost, came = 0, 0
    for k in range(7):
        counting.value = 100 + k
        try:
            frame = camera.trigger()
        except DeviceTimeout:
            lost += 1
            continue
        assert frame.data[20, 20] == 100 + k
        assert frame.lost_before == lost
        lost, came = 0, came + 1
    assert came == 4


def test_a_binned_frame_is_the_block_sums_of_the_unbinned_one(camera: PylablibCamera, counting: CountingWorld) -> None:
    camera.roi = REGION
    counting.value = 60_000
    single = camera.trigger().data
    for n in (2, 4):
        camera.binning = n
        frame = camera.trigger()
        sums = single.reshape(REGION.rows // n, n, REGION.columns // n, n).sum(axis=(1, 3), dtype=np.uint32)
        assert sums.max() == 60_000 * n * n
        np.testing.assert_array_equal(frame.data, sums)
        assert (frame.binning, camera.full_scale_counts) == (n, 65535 * n * n)
    with pytest.raises(LimitError, match=r"any\.binning = 3: a region of 20x32"):
        camera.binning = 3


def test_lost_frames_are_reported_exactly(camera: PylablibCamera, emulator: SDK3ByName) -> None:
    first = camera.trigger()
    emulator.lose(2)
    for _ in range(2):
        with pytest.raises(DeviceTimeout, match="armed again"):
            camera.trigger()
    frame = camera.trigger()
    assert (frame.lost_before, frame.frame_id) == (2, first.frame_id + 3)
    assert camera.trigger().lost_before == 0


def test_a_lost_camera_is_an_error_and_the_next_call_reconnects(camera: PylablibCamera, emulator: SDK3ByName) -> None:
    camera.exposure_s = 7e-3
    camera.roi = REGION
    camera.trigger()
    emulator.inject("port-loss")
    for act in (camera.trigger, camera.identity, camera.safe, camera.arm):
        error = ends_within(TIMEOUT_S + 1, act)
        assert isinstance(error, DeviceError)
        assert "cable" in str(error)
    emulator.inject(None)
    frame = camera.trigger()
    assert frame.exposure_s == pytest.approx(7e-3, abs=ROW_S)
    assert frame.roi == REGION
    assert frame.data.shape == (REGION.rows, REGION.columns)


def test_a_camera_lost_while_a_frame_is_awaited_is_noticed_at_once(
    camera: PylablibCamera, emulator: SDK3ByName
) -> None:
    camera.exposure_s = 25.0
    cut = threading.Timer(0.3, emulator.inject, ("port-loss",))
    cut.start()
    assert isinstance(ends_within(2, camera.trigger), DeviceError)
    cut.join()


def test_another_firmware_makes_no_difference(make: Callable[..., PylablibCamera], emulator: SDK3ByName) -> None:
    emulator.inject("firmware")
    camera = make()
    assert camera.trigger().lost_before == 0
    assert camera.identity().firmware == "9.9.9.9"


def test_without_a_trigger_line_a_burst_cannot_come(camera: PylablibCamera) -> None:
    camera.arm(2)
    with pytest.raises(DeviceTimeout, match=r"has no trigger line\. Use trigger or burst"):
        camera.collect()
    with pytest.raises(LimitError, match="at least 1"):
        camera.arm(0)
    assert camera.trigger().lost_before == 0


# --- what a bench file may get wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"camera": "Andor.Zyla"}, ConfigurationError, "its cameras are AndorSDK2Camera, AndorSDK3Camera"),
        ({"camera": "Andro.AndorSDK3Camera"}, ConfigurationError, r"no 'Andro' among its devices; is it one of Andor"),
        ({"camera": "pylablib.devices.Nobody.Camera"}, ConfigurationError, "no 'Nobody' among its devices"),
        ({"camera": "Andor.AndorError"}, ConfigurationError, "no camera of pylablib's common interface"),
        ({"arguments": {"index": 1}}, ConfigurationError, r"does not take .*; it takes \(idx=0\)"),
        ({"arguments": {"idx": 63}}, DeviceError, "index 63 is not available"),
        ({"attributes": {"Gane": "high"}}, DeviceError, "attribute Gane cannot be set .*correct it in the bench file"),
        ({"attributes": {"PixelEncoding": "Mono99"}}, DeviceError, "PixelEncoding cannot be set to 'Mono99'"),
        ({"library": Path("/nowhere/atcore.so")}, ConfigurationError, "library /nowhere/atcore.so cannot be loaded"),
    ],
)
def test_what_the_bench_file_gets_wrong_is_named_with_what_would_be_right(
    emulator: SDK3ByName, wrong: dict[str, Any], error: type[DeviceError], said: str
) -> None:
    camera = camera_on(emulator, **wrong)
    with pytest.raises(error, match=said):
        camera.open()
    right = camera_on(emulator)
    right.open()
    assert right.trigger().frame_id == 0
    right.close()


def test_without_a_class_there_is_nothing_to_build() -> None:
    with pytest.raises(ConfigurationError, match=r'camera = "Andor\.AndorSDK3Camera"'):
        PylablibCamera.build("any", None, None)

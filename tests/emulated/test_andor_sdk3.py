"""The Andor SDK3 driver and pylablib's own camera class, unmodified, on an emulated SDK3 library."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from camera_behaviour import BRIGHT, EVEN, CameraBehaviour, pulse, warmed
from counting_world import TIMEOUT_S, CountingWorld, ends_within, leftovers

from drivers.andor_sdk3 import AndorSDK3, blocks
from drivers.contract import (
    ROI,
    ConfigurationError,
    DeviceError,
    DeviceTimeout,
    LimitError,
)
from simulators.emulators import sdk3
from simulators.emulators.sdk3 import SDK3Camera
from simulators.worlds.prbm import PrbmParameters, PrbmWorld

ROW_S = 9.24e-6
SMALL: dict[str, Any] = {
    "slm": {"rows": 24, "columns": 48},
    "beam": {"waist": "0.3 mm"},
    "optics": {"first_row": 3, "bands": 6, "dispersion": 3e3, "camera_attenuation": "0.2 %"},
    "camera": {"rows": 200, "columns": 300, "axis_row": 90, "axis_column": 140},
}


def camera_on(emulator: SDK3Camera, **options: Any) -> AndorSDK3:
    given = emulator.start() | {"timeout": f"{TIMEOUT_S} s", "external_trigger": True} | options
    return AndorSDK3.build("camera", AndorSDK3.Options(**given), None)


@pytest.fixture
def world() -> PrbmWorld:
    world = warmed(PrbmWorld(PrbmParameters.model_validate(SMALL), PrbmWorld.clock_of_kind("real")))
    world.source.emission = True
    world.source.power_fraction = 0.02
    return world


@pytest.fixture
def emulator(world: PrbmWorld) -> Iterator[SDK3Camera]:
    emulator = SDK3Camera("camera", world)
    yield emulator
    emulator.stop()


@pytest.fixture
def camera(emulator: SDK3Camera) -> Iterator[AndorSDK3]:
    camera = camera_on(emulator)
    camera.open()
    camera.exposure_s = 5e-3
    yield camera
    camera.close()


@pytest.fixture
def counting() -> Iterator[tuple[AndorSDK3, SDK3Camera, CountingWorld]]:
    world = CountingWorld()
    emulator = SDK3Camera("camera", world)
    camera = camera_on(emulator)
    camera.open()
    camera.exposure_s = 1e-3
    yield camera, emulator, world
    camera.close()
    emulator.stop()


class TestAndorSDK3(CameraBehaviour):
    """What every camera keeps."""

    camera_on = staticmethod(camera_on)


# --- numbers ------------------------------------------------------------------------------------------------------


def test_an_exposure_is_rounded_to_whole_rows_and_read_back(camera: AndorSDK3) -> None:
    for asked_s in (27.72e-6, 1e-4, 5e-3, 16.7e-3, 0.1, 1.0):
        camera.exposure_s = asked_s
        assert abs(camera.exposure_s - asked_s) <= ROW_S / 2 * 1.001
        assert camera.exposure_s / ROW_S == pytest.approx(round(camera.exposure_s / ROW_S), abs=1e-6)


def test_limits_are_the_instruments(camera: AndorSDK3) -> None:
    limits = camera.limits("exposure_s")
    assert limits.minimum == pytest.approx(3 * ROW_S)
    assert limits.maximum == pytest.approx(30, rel=1e-5)
    before_s = camera.exposure_s
    with pytest.raises(LimitError, match="nothing was changed"):
        camera.exposure_s = 31.0
    with pytest.raises(LimitError, match="nothing was changed"):
        camera.exposure_s = 1e-6
    assert camera.exposure_s == before_s


def test_identity_is_what_the_camera_tells(camera: AndorSDK3, emulator: SDK3Camera) -> None:
    who = camera.identity()
    options = emulator.options
    assert (who.model, who.serial, who.firmware) == (options.model, emulator.serial, options.firmware)


def test_read_out_takes_half_the_rows_and_two(camera: AndorSDK3) -> None:
    for rows in (200, 101, 20):
        camera.roi = ROI(row=0, column=0, rows=rows, columns=100)
        assert camera.readout_s == pytest.approx((-(-rows // 2) + 2) * ROW_S, rel=1e-9)


def test_constants_come_from_the_instrument(camera: AndorSDK3) -> None:
    assert (camera.rows, camera.columns, camera.bit_depth) == (200, 300, 16)
    assert camera.pixel_pitch_m == pytest.approx(6.5e-6)
    assert camera.electrons_per_count == 0.45
    assert camera.full_scale_counts == 65535
    assert camera.snapshot()["external_trigger"] is True


def test_a_frame_equals_that_of_the_world_bit_for_bit(camera: AndorSDK3, world: PrbmWorld) -> None:
    camera.roi = BRIGHT
    taken = camera.trigger()
    expected, saturated, _ = world.expose(
        "camera", 0, taken.start_ns, taken.exposure_s, BRIGHT.row, BRIGHT.column, BRIGHT.rows, BRIGHT.columns
    )
    np.testing.assert_array_equal(taken.data, expected)
    assert taken.saturated == saturated


@pytest.mark.parametrize(
    "roi",
    [
        ROI(row=0, column=0, rows=40, columns=50),
        ROI(row=3, column=5, rows=30, columns=9),  # more rows than columns, padded
        ROI(row=39, column=49, rows=1, columns=1),  # smaller than the sensor can read
        ROI(row=7, column=0, rows=8, columns=16),  # not padded
        ROI(row=0, column=13, rows=11, columns=37),
    ],
)
def test_a_region_is_exact_whatever_the_padding(
    counting: tuple[AndorSDK3, SDK3Camera, CountingWorld], roi: ROI
) -> None:
    camera, _, world = counting
    camera.roi = roi
    assert camera.roi == roi
    world.value = 77
    frame = camera.trigger()
    read = world.regions[-1]
    expected = np.full((read.rows, read.columns), 77)
    expected[0, 0], expected[-1, -1] = 1000 + read.row, 2000 + read.column
    row, column = roi.row - read.row, roi.column - read.column
    assert row >= 0
    assert column >= 0
    np.testing.assert_array_equal(frame.data, expected[row : row + roi.rows, column : column + roi.columns])
    assert frame.data.dtype == np.uint16
    assert frame.roi == roi


def test_a_region_beyond_the_sensor_is_refused(camera: AndorSDK3) -> None:
    before = camera.roi
    for wrong in (ROI(row=0, column=0, rows=201, columns=1), ROI(row=-1, column=0, rows=2, columns=2)):
        with pytest.raises(LimitError, match="nothing was changed"):
            camera.roi = wrong
    assert camera.roi == before


@pytest.mark.parametrize(("gain", "bits", "electrons"), [("12-bit high well", 12, 7.5), ("12-bit low noise", 12, 0.28)])
def test_gain_modes_change_bits_and_counts(gain: str, bits: int, electrons: float) -> None:
    world = CountingWorld()
    world.value = 700  # 600 above the baseline: 270 electrons
    emulator = SDK3Camera("camera", world)
    camera = camera_on(emulator, gain=gain)
    try:
        camera.open()
        frame = camera.trigger()
    finally:
        camera.close()
        emulator.stop()
    assert (camera.bit_depth, frame.bit_depth, camera.electrons_per_count) == (bits, bits, electrons)
    assert frame.data[5, 5] == round(270 / electrons + 100)


# --- time and freshness -------------------------------------------------------------------------------------------


def test_an_armed_sequence_answers_fast(counting: tuple[AndorSDK3, SDK3Camera, CountingWorld]) -> None:
    camera, _, _ = counting
    camera.exposure_s = 5e-3
    camera.trigger()
    took_s = []
    for _ in range(40):
        began = time.monotonic()
        camera.trigger()
        took_s.append(time.monotonic() - began)
    # The quickest of many: others may hold the processor. A restart for every frame would cost 0.3 s.
    assert min(took_s) < 0.020
    assert sorted(took_s)[len(took_s) // 2] < 0.15


def test_a_frame_that_somebody_else_triggered_is_dropped(
    counting: tuple[AndorSDK3, SDK3Camera, CountingWorld],
) -> None:
    camera, emulator, world = counting
    camera.trigger()
    emulator.delay = lambda: 0.1
    world.value = 5
    with camera._talk("test") as line:
        line.call_command("SoftwareTrigger")
    time.sleep(0.02)
    world.value = 6
    assert camera.trigger().data[20, 20] == 6


@pytest.mark.timeout(900)
def test_no_frame_is_stale_and_every_loss_is_told_in_ten_thousand_with_random_delays() -> None:
    world = CountingWorld()
    emulator = SDK3Camera("camera", world)
    camera = camera_on(emulator, timeout="0.5 s")
    rng = random.Random(20261126)
    emulator.delay = lambda: delays.pop()
    delays: list[float] = []
    try:
        camera.open()
        camera.exposure_s = 1e-3
        lost = spoiled = failed = came = 0
        for k in range(10_000):
            kind = rng.random()
            # Later by more than a busy machine may begin to wait after the trigger.
            late_s = rng.uniform(1.5, 2.0) if kind < 0.003 else rng.uniform(0, 0.03) if kind < 0.05 else 0.0
            delays[:] = [rng.uniform(0, 0.005) if 0.05 <= kind < 0.3 else late_s]
            if kind > 0.998:
                emulator.lose(1)
            spoiled += late_s > 0.5 or kind > 0.998
            world.value = 3 + k
            asked_ns = time.monotonic_ns()
            try:
                frame = camera.trigger(pattern_id=k)
            except DeviceTimeout:
                lost, failed = lost + 1, failed + 1
                continue
            assert frame.data[20, 20] == 3 + k
            assert frame.start_ns >= asked_ns
            assert (frame.frame_id, frame.pattern_id, frame.lost_before) == (k, k, lost)
            lost, came = 0, came + 1
    finally:
        camera.close()
        emulator.stop()
    assert came + failed == 10_000
    assert 30 <= spoiled <= failed < 2 * spoiled  # a machine that is busy may be late by itself now and then


# --- trigger line -------------------------------------------------------------------------------------------------


def test_a_burst_answers_the_trigger_line(camera: AndorSDK3, world: PrbmWorld) -> None:
    camera.roi = BRIGHT
    camera.arm(6)
    began_ns = time.monotonic_ns()
    pulse(world, 6, 0.015)
    stack = camera.collect()
    assert stack.data.shape == (6, BRIGHT.rows, BRIGHT.columns)
    assert list(stack.frame_ids) == list(range(6))
    assert stack.start_ns[0] >= began_ns
    assert np.all(np.diff(stack.start_ns) >= 0.012e9)
    assert np.all(stack.end_ns - stack.start_ns == round(stack.exposure_s * 1e9))
    assert stack.lost_before.sum() == 0
    assert stack.roi == BRIGHT


def test_missing_frames_of_a_burst_are_counted(camera: AndorSDK3, world: PrbmWorld) -> None:
    camera.arm(5)
    pulse(world, 3, 0.015)
    with pytest.raises(DeviceTimeout, match="3 frames came, 2 more were armed for"):
        camera.collect()
    camera.arm(2)
    pulse(world, 2, 0.015)
    assert list(camera.collect().lost_before) == [2, 0]


def test_a_pulse_that_comes_during_an_exposure_is_ignored(camera: AndorSDK3, world: PrbmWorld) -> None:
    camera.exposure_s = 0.1
    camera.arm(3)
    pulse(world, 3, 0.001)
    with pytest.raises(DeviceTimeout, match="1 frames came, 2 more"):
        camera.collect()


def test_a_burst_that_does_not_fit_the_memory_is_refused(emulator: SDK3Camera) -> None:
    camera = camera_on(emulator, most_buffer_bytes=1_000_000)
    camera.open()
    with pytest.raises(LimitError, match="most_buffer_bytes"):
        camera.arm(1000)
    with pytest.raises(LimitError, match="at least 1"):
        camera.arm(0)
    camera.close()


# --- binning ------------------------------------------------------------------------------------------------------


@pytest.fixture
def still() -> Iterator[tuple[AndorSDK3, PrbmWorld]]:
    """A camera on a table without noise, so that all its frames are alike."""
    world = PrbmWorld(PrbmParameters.model_validate(SMALL | {"noise": False}), PrbmWorld.clock_of_kind("real"))
    world.warm_up()
    world.source.emission = True
    world.source.power_fraction = 0.02
    emulator = SDK3Camera("camera", world)
    camera = camera_on(emulator)
    camera.open()
    camera.exposure_s = 1e-3
    camera.roi = EVEN
    yield camera, world
    camera.close()
    emulator.stop()


# --- safety and life ----------------------------------------------------------------------------------------------


def test_opening_and_closing_leaves_nothing_behind(emulator: SDK3Camera) -> None:
    camera = camera_on(emulator)
    camera.open()
    camera.trigger()
    camera.close()
    before = leftovers()
    for _ in range(3):
        camera.open()
        camera.trigger()
        camera.close()
    assert leftovers() == before


def test_an_emulator_leaves_nothing_behind(world: PrbmWorld) -> None:
    emulator = SDK3Camera("camera", world)
    folder = sdk3.library().parent / "cameras"
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        index = emulator.start()["index"]
        assert (folder / f"{index}.sock").exists()
        emulator.stop()
        emulator.stop()
        assert not (folder / f"{index}.sock").exists()
        assert not (folder / f"{index}.frame").exists()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


def test_two_cameras_stand_beside_each_other() -> None:
    worlds = CountingWorld(), CountingWorld()
    emulators = [SDK3Camera(f"camera-{k}", w) for k, w in enumerate(worlds)]
    cameras = [camera_on(e) for e in emulators]
    for k, (camera, world) in enumerate(zip(cameras, worlds, strict=True)):
        world.value = 10 + k
        camera.open()
    assert [int(c.trigger().data[20, 20]) for c in cameras] == [10, 11]
    for camera, emulator in zip(cameras, emulators, strict=True):
        camera.close()
        emulator.stop()


def test_a_second_user_of_a_camera_is_refused(camera: AndorSDK3, emulator: SDK3Camera) -> None:
    other = AndorSDK3("other", camera._options)
    with pytest.raises(DeviceError, match="DEVICEINUSE"):
        other.open()
    assert camera.trigger().lost_before == 0


def test_another_camera_than_the_bench_names_is_refused(emulator: SDK3Camera) -> None:
    camera = camera_on(emulator, serial="VSC-11111")
    with pytest.raises(ConfigurationError, match=emulator.serial):
        camera.open()
    with pytest.raises(DeviceError, match="open it"):
        camera.trigger()


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["mute", "late"])
def test_no_frame_in_time_is_a_time_out_and_then_all_is_well(
    camera: AndorSDK3, emulator: SDK3Camera, fault: str
) -> None:
    camera.trigger()
    emulator.inject(fault)
    assert isinstance(ends_within(TIMEOUT_S + 1, camera.trigger), DeviceTimeout)
    emulator.inject(None)
    assert camera.trigger().lost_before == 1


def test_a_garbled_frame_is_an_error_and_then_all_is_well(camera: AndorSDK3, emulator: SDK3Camera) -> None:
    emulator.inject("corrupt-crc")
    assert "garbled" in str(ends_within(TIMEOUT_S + 1, camera.trigger))
    emulator.inject(None)
    assert camera.trigger().lost_before == 1


def test_too_much_light_is_reported_as_saturation(camera: AndorSDK3, emulator: SDK3Camera) -> None:
    emulator.inject("over-range")
    assert camera.trigger().saturated == 200 * 300


def test_a_lost_camera_is_an_error_and_the_next_call_reconnects(camera: AndorSDK3, emulator: SDK3Camera) -> None:
    camera.exposure_s = 7e-3
    camera.roi = BRIGHT
    camera.trigger()
    emulator.inject("port-loss")
    for act in (camera.trigger, camera.identity, camera.safe, camera.arm):
        error = ends_within(TIMEOUT_S + 1, act)
        assert isinstance(error, DeviceError)
        assert "cable" in str(error)
    emulator.inject(None)
    frame = camera.trigger()
    assert frame.exposure_s == pytest.approx(7e-3, abs=ROW_S)
    assert frame.roi == BRIGHT
    assert frame.data.shape == (BRIGHT.rows, BRIGHT.columns)


def test_a_camera_lost_while_a_frame_is_awaited_is_noticed_at_once(camera: AndorSDK3, emulator: SDK3Camera) -> None:
    camera.exposure_s = 25.0
    cut = threading.Timer(0.3, emulator.inject, ("port-loss",))
    cut.start()
    assert isinstance(ends_within(2, camera.trigger), DeviceError)
    cut.join()


def test_a_firmware_that_does_not_tell_its_row_time_works(emulator: SDK3Camera) -> None:
    emulator.inject("firmware")
    camera = camera_on(emulator)
    camera.open()
    camera.exposure_s = 5e-3
    assert camera.trigger().lost_before == 0
    assert camera.identity().firmware == "9.9.9.9"
    camera.close()


def test_frames_that_find_no_buffer_are_reported_as_lost(counting: tuple[AndorSDK3, SDK3Camera, CountingWorld]) -> None:
    camera, _, _ = counting
    camera.trigger()
    with camera._talk("test") as line:
        line._buffer_mgr.overflow_detected = True  # what pylablib's callback does
    assert "lost on their way" in str(ends_within(TIMEOUT_S + 1, camera.trigger))
    assert camera.trigger().lost_before == 1


# --- mutations ----------------------------------------------------------------------------------------------------


def test_mutations_are_visible(camera: AndorSDK3, emulator: SDK3Camera, world: PrbmWorld) -> None:
    camera.roi = BRIGHT
    world.source.power_fraction = 0.001

    def mean() -> float:
        return float(np.mean([camera.trigger().data.mean(dtype=float) for _ in range(4)]))

    camera.exposure_s = 2e-3
    right = mean()
    emulator.mutate("scale")
    assert mean() / right == pytest.approx(1.1, rel=0.03)
    emulator.mutate("dark")
    assert mean() == pytest.approx(100, abs=2)
    emulator.mutate("ignore-setpoint")
    camera.exposure_s = 6e-3
    assert camera.exposure_s == pytest.approx(6e-3, abs=ROW_S)
    assert mean() == pytest.approx(right, rel=0.2)
    emulator.mutate(None)
    camera.exposure_s = 2e-3
    camera.trigger()
    emulator.mutate("stale")
    first = camera.trigger().data
    np.testing.assert_array_equal(camera.trigger().data, first)


# --- oracles and the library --------------------------------------------------------------------------------------


def vendor_camera(emulator: SDK3Camera, camera: AndorSDK3) -> Any:
    """pylablib's own class; our driver only loaded the library."""
    from pylablib.devices.Andor import AndorSDK3Camera  # type: ignore[import-untyped]

    return AndorSDK3Camera(camera._options.index)


@pytest.fixture
def vendor() -> Iterator[tuple[Any, CountingWorld]]:
    world = CountingWorld()
    emulator = SDK3Camera("camera", world)
    camera = camera_on(emulator)
    camera.open()
    camera.close()
    line = vendor_camera(emulator, camera)
    yield line, world
    line.close()
    emulator.stop()


@pytest.mark.parametrize("encoding", ["Mono12", "Mono12Packed", "Mono16"])
def test_pylablibs_own_reader_finds_the_same_pixels(vendor: tuple[Any, CountingWorld], encoding: str) -> None:
    line, world = vendor
    line.cav["SimplePreAmpGainControl"] = "12-bit (high well capacity)"
    line.cav["PixelEncoding"] = encoding
    line.set_roi(0, 48, 0, 16)  # wide enough that pylablib's slice along the wrong axis takes nothing away
    world.value = 850
    image = line.snap()[:, :48]
    expected = np.full((16, 48), 100 + round(750 * 0.45 / 7.5))
    expected[0, 0], expected[-1, -1] = 100 + round(900 * 0.45 / 7.5), 100 + round(1900 * 0.45 / 7.5)
    np.testing.assert_array_equal(image, expected)


def test_pylablib_reads_the_metadata_that_we_read(vendor: tuple[Any, CountingWorld]) -> None:
    line, _ = vendor
    line.enable_metadata(True)
    line.set_roi(0, 48, 0, 16)
    ticks = line.cav["TimestampClock"]
    line.start_acquisition(mode="snap", nframes=2)
    line.wait_for_frame(since="start", nframes=2, timeout=5)
    _, (info, _) = line.read_multiple_images(return_info=True)
    raw = np.frombuffer(line._buffer_mgr.buffers[0], np.uint8)[: line._buffer_mgr.size]
    assert info.timestamp_dev == int(blocks(raw)[1].view("<i8")[0]) >= ticks
    assert info.stride == line.cav["AOIStride"]
    assert tuple(info.size) == (48, 16)


def test_free_running_keeps_the_frame_rate_limit(vendor: tuple[Any, CountingWorld]) -> None:
    line, _ = vendor
    line.set_exposure(2e-3)
    line.set_frame_period(0)
    fastest = 1 / line.get_frame_period()
    assert fastest == pytest.approx(1 / (line.get_exposure() + line.cav["ReadoutTime"]), rel=1e-6)
    line.set_frame_period(0.02)
    assert line.get_frame_period() == pytest.approx(0.02)
    frames = line.grab(6, return_info=False)
    assert len(frames) == 6


def test_overflow_is_told_by_event(vendor: tuple[Any, CountingWorld]) -> None:
    from pylablib.devices.Andor.AndorSDK3 import lib  # type: ignore[import-untyped]

    line, _ = vendor
    line.set_exposure(1e-3)
    line._buffer_mgr.reset()
    lib.AT_Command(line.handle, "AcquisitionStart")  # no buffer is queued
    end = time.monotonic() + 5
    while not line._buffer_mgr.new_overflow() and time.monotonic() < end:
        time.sleep(0.01)
    lib.AT_Command(line.handle, "AcquisitionStop")
    assert line._buffer_mgr.new_overflow()
    assert line.cav["BufferOverflowEvent"] >= 1


def test_the_library_answers_with_the_sdks_error_codes(vendor: tuple[Any, CountingWorld]) -> None:
    from pylablib.devices.Andor.AndorSDK3 import AndorSDK3LibError, lib

    line, _ = vendor
    h = line.handle

    def code(call: Callable[..., Any], *args: Any) -> str:
        with pytest.raises(AndorSDK3LibError) as caught:
            call(*args)
        return str(caught.value.name)

    assert code(lib.AT_SetFloat, h, "ExposureTime", 31.0) == "AT_ERR_OUTOFRANGE"
    assert code(lib.AT_SetInt, h, "AOIStride", 1) == "AT_ERR_READONLY"
    assert code(lib.AT_GetInt, h, "McpGain") == "AT_ERR_NOTIMPLEMENTED"
    assert code(lib.AT_GetFloat, h, "AOIWidth") == "AT_ERR_NOTIMPLEMENTED"
    assert code(lib.AT_SetEnumString, h, "TriggerMode", "Sideways") == "AT_ERR_STRINGNOTIMPLEMENTED"
    assert code(lib.AT_SetEnumString, h, "TriggerMode", "Advanced") == "AT_ERR_INDEXNOTAVAILABLE"
    assert code(lib.AT_GetInt, 99, "AOIWidth") == "AT_ERR_INVALIDHANDLE"
    assert code(lib.AT_Command, h, "SoftwareTrigger") == "AT_ERR_NOTWRITABLE"
    assert code(lib.AT_WaitBuffer, h, 0) == "AT_ERR_TIMEDOUT"
    assert code(lib.AT_Open, 63) == "AT_ERR_DEVICENOTFOUND"


def test_blocks_that_do_not_fit_together_are_not_taken() -> None:
    def block(kind: int, data: bytes) -> bytes:
        return data + kind.to_bytes(4, "little") + (len(data) + 4).to_bytes(4, "little")

    raw = np.frombuffer(block(0, b"pixels!!") + block(1, (5).to_bytes(8, "little")), np.uint8)
    found = blocks(raw)
    assert bytes(found[0]) == b"pixels!!"
    assert int(found[1].view("<i8")[0]) == 5
    rng = np.random.default_rng(1)
    for _ in range(200):
        blocks(rng.integers(0, 256, int(rng.integers(0, 60)), np.uint8))


def test_without_a_compiler_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sdk3.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(sdk3.shutil, "which", lambda name: None)
    with pytest.raises(ConfigurationError, match="apt install gcc"):
        sdk3.library()


def test_a_library_that_is_not_there_is_named() -> None:
    camera = AndorSDK3("camera", AndorSDK3.Options(library=Path("/nowhere/atcore.so")))
    with pytest.raises(ConfigurationError, match="there is no library"):
        camera.open()


def test_importing_the_driver_costs_nothing() -> None:
    code = "import sys, drivers.andor_sdk3, drivers.pylablib_camera; sys.exit('pylablib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


_OTHER_PROCESS = """
import sys
from drivers.andor_sdk3 import AndorSDK3
camera = AndorSDK3("camera", AndorSDK3.Options(library=sys.argv[1], index=int(sys.argv[2])))
camera.open()
print(int(camera.trigger().data[20, 20]), "simulators" in sys.modules)
camera.close()
"""


def test_another_process_needs_the_library_only_even_under_a_foreign_name(tmp_path: Path) -> None:
    world = CountingWorld()
    world.value = 321
    emulator = SDK3Camera("camera", world)
    options = emulator.start()
    # As the documentation says for the vendor's libatcore.so: a wrapper that has the name pylablib asks for.
    source = Path(sdk3.__file__).with_name("atcore.c")
    (tmp_path / "cameras").symlink_to(Path(options["library"]).parent / "cameras")
    vendors, wrapper = tmp_path / "libatcore.so", tmp_path / "atcore.dll"
    shared = ["gcc", "-shared", "-fPIC", "-pthread"]
    subprocess.run([*shared, "-Wl,-soname,libatcore.so.3", "-o", vendors, source, "-lm"], check=True)
    vendors.with_name("libatcore.so.3").symlink_to(vendors)
    names = ["-Wl,-soname,atcore.dll", "-Wl,--no-as-needed", f"-Wl,-rpath,{tmp_path}"]
    subprocess.run([*shared, "-o", wrapper, *names, f"-L{tmp_path}", "-latcore"], check=True)
    done = subprocess.run(
        [sys.executable, "-c", _OTHER_PROCESS, str(wrapper), str(options["index"])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    emulator.stop()
    assert done.stdout.split() == ["321", "False"], done.stderr

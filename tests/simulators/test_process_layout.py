"""Devices in the world's process or in others: the same results, and `safe` acts at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from far_world import FarWorld, operations
from prbm_table import lit_world, on_pulse, parameters

from drivers.contract import ROI, Device, DeviceError, DeviceTimeout, LabError, Sequence
from drivers.sequencer import SoftwareSequencer
from simulators.clock import RealClock, VirtualClock, make_clock
from simulators.devices.camera import SimulatedCamera
from simulators.devices.photodetector import SimulatedPhotodetector
from simulators.devices.slm import SimulatedSLM
from simulators.devices.supercontinuum import SimulatedSupercontinuum
from simulators.worlds.prbm import PrbmWorld

ZONE = ROI(row=75, column=138, rows=31, columns=5)
QUICK = {"settle": "12 ms", "base_settle": "30 ms"}


def patterns(n: int = 12, seed: int = 5) -> Sequence:
    """A random base and random patches over it."""
    rng = np.random.default_rng(seed)
    places = np.array([(r, c) for r in range(4, 16, 3) for c in range(6, 40, 6)], np.int32)
    chosen = [np.flatnonzero(rng.random(len(places)) < 0.3) for _ in range(n)]
    return Sequence(
        base=rng.uniform(-6, 6, (18, 40)),
        base_origin=(2, 4),
        patches=rng.uniform(-6, 6, (len(places), 2, 4)),
        patch_origins=places,
        offsets=np.cumsum([0, *(len(c) for c in chosen)]).astype(np.int32),
        indices=np.concatenate(chosen).astype(np.int32),
    )


class Setup:
    """A world and its devices: all in its process, or spread over two others."""

    def __init__(self, far: bool, clock: VirtualClock | RealClock | None = None, **sections: Any) -> None:
        cells = np.zeros(2 + 3, np.int64)
        table = parameters(**({"slm": QUICK, "optics": {"camera_attenuation": "0.01 %"}} | sections))
        self.world = PrbmWorld(table, clock or PrbmWorld.clock_of_kind("virtual", cells))
        self.light: Any = FarWorld(self.world, cells, 1) if far else self.world
        self.detection: Any = FarWorld(self.world, cells, 2) if far else self.world
        self.slm = SimulatedSLM("slm", self.light)
        self.source = SimulatedSupercontinuum("source", self.light)
        self.camera = SimulatedCamera("camera", self.detection)
        self.slit = SimulatedPhotodetector("slit", self.detection, "slit")
        self.devices: list[Device] = [self.slm, self.source, self.camera, self.slit]
        for device in self.devices:
            if far:
                device.allocate = device._world.allocate
            device.open()
        self.sequencer = SoftwareSequencer("sequencer", self.slm, self.camera, self.slit)
        self.switch_on()

    def switch_on(self) -> None:
        self.source.power_fraction = 1.0
        self.source.emission = True
        self.camera.roi = ZONE


@pytest.fixture(params=[False, True], ids=["one process", "three processes"])
def setup(request: pytest.FixtureRequest) -> Setup:
    return Setup(request.param)


def plain(value: Any) -> Any:
    """A result as something that `==` compares bit for bit, without the wall-clock time of the table's beginning."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if hasattr(value, "__struct_fields__"):
        return {n: plain(getattr(value, n)) for n in value.__struct_fields__ if n != "utc_start_ns"}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def session(setup: Setup, timing: str) -> Iterator[Any]:
    """Everything devices do, one after the other."""
    slm, camera, slit, source = setup.slm, setup.camera, setup.slit, setup.source
    rng = np.random.default_rng(3)
    for k in range(3):
        yield slm.write(rng.uniform(-6, 6, (24, 48)), whole=k == 0)
        yield slm.write_gray(rng.integers(0, 256, (5, 7)).astype(np.uint8), 3, 4, whole=False)
        yield slm.settle()
        yield camera.trigger(k)
        yield slit.measure()
    yield slm.read_back()
    setup.sequencer.timing = timing
    yield setup.sequencer.play(patterns(), [ROI(row=0, column=1, rows=31, columns=2)], frames=True)
    slit.wavelength_m = 600e-9
    yield setup.sequencer.play(patterns(seed=6), [], readout="photodetector")
    source.power_fraction = 0.3
    camera.exposure_s = 3e-3
    camera.roi = ROI(row=60, column=20, rows=31, columns=90)
    yield setup.sequencer.play(patterns(seed=7), [], frames=True)
    yield slit.trace(3)
    source.wavelength_min_m = 590e-9
    with stopping_at_exposure(setup.world, camera.trigger().frame_id + 1, setup.sequencer.safe):
        yield error_of(lambda: setup.sequencer.play(patterns(seed=8), []))
    yield slm.read_back()
    yield slm.write(np.zeros((1, 1)))
    camera.safe()
    yield camera.trigger()
    yield setup.world.clock.now_ns()
    yield camera.snapshot() | slm.snapshot() | slit.snapshot() | source.snapshot()


def error_of(act: Callable[[], object]) -> str:
    with pytest.raises(DeviceError) as error:
        act()
    return str(error.value)


@contextmanager
def stopping_at_exposure(world: PrbmWorld, number: int, stop: Callable[[], None]) -> Iterator[None]:
    expose = world.expose

    def stop_and_expose(device: str, k: int, *arguments: Any) -> Any:
        if k >= number:
            stop()
        return expose(device, k, *arguments)

    world.expose = stop_and_expose
    try:
        yield
    finally:
        world.expose = expose


# --- one result -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timing", ["hardware", "software"])
@pytest.mark.parametrize(
    "sections",
    [{}, {"path": "reference"}, {"camera": {"ideal": True}}, {"slm": QUICK | {"levels": 1024}}],
    ids=["fast", "reference", "ideal camera", "10 bit"],
)
def test_results_do_not_depend_on_the_process_layout(timing: str, sections: dict[str, Any]) -> None:
    near, far = (list(map(plain, session(Setup(far, **sections), timing))) for far in (False, True))
    assert len(near) > 20
    played = [r for r in near if isinstance(r, dict) and r.get("frames")]
    assert len(played) == 2
    saturated, frames = (np.frombuffer(played[0][name][2], np.int64) for name in ("saturated", "pattern_ids"))
    assert saturated.sum() < 0.1 * 155 * len(frames)  # otherwise the comparison would prove little
    for k, (one, other) in enumerate(zip(near, far, strict=True)):
        assert one == other, k


def test_hardware_timing_equals_software_timing_across_processes() -> None:
    results = []
    for timing in ("hardware", "software"):
        setup = Setup(far=True)
        setup.sequencer.timing = timing
        results.append(plain(setup.sequencer.play(patterns(), [], frames=True)))
    assert results[0] == results[1]


def test_each_operation_is_one_call_of_the_world() -> None:
    setup = Setup(far=True)

    def calls(act: Callable[[], object]) -> list[str]:
        setup.light.calls.clear()
        setup.detection.calls.clear()
        act()
        return setup.light.calls + setup.detection.calls

    assert calls(lambda: setup.slm.write(np.zeros((24, 48)))) == ["write"]
    assert calls(lambda: setup.slm.write_gray(np.zeros((24, 48), np.uint8))) == ["write"]
    assert calls(setup.slm.settle) == []
    assert calls(setup.slm.read_back) == []
    assert calls(setup.camera.trigger) == ["trigger"]
    assert calls(setup.slit.measure) == ["measure"]
    assert calls(lambda: setup.slm.load(patterns())) == ["load"]
    assert calls(lambda: setup.camera.arm(12)) == ["arm_camera"]
    assert calls(lambda: setup.slm.run(0.02)) == ["run"]
    assert calls(setup.camera.collect) == ["collect_frames"]
    assert calls(lambda: [d.safe() for d in setup.devices]) == []
    assert calls(lambda: [d.snapshot() for d in setup.devices]) == []


def test_a_device_needs_no_more_of_the_world_than_its_operations() -> None:
    assert operations(PrbmWorld) == {
        "armed",
        "arm_camera",
        "arm_photodetector",
        "attach",
        "begin",
        "burst",
        "collect_frames",
        "collect_readings",
        "detach",
        "fire_trigger",
        "freeze",
        "load",
        "measure",
        "run",
        "step",
        "strike",  # of drills
        "thaw",
        "trigger",
        "write",
    }


def test_frames_are_written_where_the_server_wants_them(setup: Setup) -> None:
    given: list[Any] = []
    allocate = setup.camera.allocate

    def given_out(*arguments: Any) -> Any:
        given.append(allocate(*arguments))
        return given[-1]

    setup.camera.allocate = given_out
    assert setup.camera.trigger().data is given[0]
    setup.camera.arm(2)
    setup.world.fire_trigger()
    setup.world.fire_trigger()
    assert setup.camera.collect().data is given[1]
    assert [g.shape for g in given] == [(31, 5), (2, 31, 5)]


def test_what_was_passed_may_be_overwritten_after_the_call(setup: Setup) -> None:
    gray = np.full((3, 4), 9, np.uint8)
    setup.slm.write_gray(gray)
    gray[:] = 0
    assert (setup.slm.read_back()[:3, :4] == 9).all()
    sequence, same = patterns(), patterns()
    setup.slm.load(sequence)
    for array in (sequence.base, sequence.patches, sequence.patch_origins, sequence.offsets, sequence.indices):
        array[:] = 0
    setup.slm.run(0.0)
    shown = setup.slm.read_back()
    setup.slm.load(same)
    setup.slm.run(0.0)
    np.testing.assert_array_equal(setup.slm.read_back(), shown)
    np.testing.assert_allclose(setup.world.panel.phase, setup.world.panel.radians(shown))


def test_importing_a_device_imports_no_world() -> None:
    names = ("camera", "photodetector", "slm", "supercontinuum")
    check = (
        "import sys;"
        + "".join(f"import simulators.devices.{n};" for n in names)
        + "sys.exit('numba' in sys.modules or any(m.startswith('simulators.worlds') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


# --- safe -------------------------------------------------------------------------------------------------------------


@contextmanager
def busy(world: PrbmWorld) -> Iterator[None]:
    """Another thread keeps the world busy."""
    begun, go_on = threading.Event(), threading.Event()

    def compute() -> None:
        with world.turn:
            begun.set()
            go_on.wait(30)

    thread = threading.Thread(target=compute)
    thread.start()
    assert begun.wait(10)
    try:
        yield
    finally:
        go_on.set()
        thread.join(10)


def test_safe_acts_while_the_world_is_busy(setup: Setup) -> None:
    setup.camera.arm(3)
    setup.slit.arm(3)
    with busy(setup.world):
        thread = threading.Thread(target=lambda: [d.safe() for d in setup.devices])
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
        assert not setup.source.emission
        assert setup.world.state["stop"].sum() == 3
    setup.world.fire_trigger()
    assert (setup.world.armed("camera"), setup.world.armed("slit")) == (0, 0)


def test_a_call_that_waits_for_the_world_is_stopped_by_a_later_safe(setup: Setup) -> None:
    setup.slm.load(patterns())
    failures: list[LabError] = []

    def run() -> None:
        try:
            setup.slm.run(0.0)
        except LabError as error:
            failures.append(error)

    with busy(setup.world):
        stop = setup.world.state["stop"]
        stop[:] = 1
        thread = threading.Thread(target=run)
        thread.start()
        while stop.all():  # until run has begun and cleared the SLM's flag
            pass
        setup.slm.safe()
    thread.join(10)
    assert [str(f) for f in failures] == ["slm.run: stopped by safe() after 0 of 12 patterns"]


def test_a_sequence_of_which_nothing_was_shown_can_be_run_again(setup: Setup) -> None:
    setup.slm.load(patterns())
    clear = setup.slm._stop.clear
    setup.slm._stop.clear = setup.slm.safe
    with pytest.raises(DeviceError, match="after 0 of 12"):
        setup.slm.run(0.0)
    setup.slm._stop.clear = clear
    assert setup.slm.run(0.0).pattern_ids.tolist() == list(range(1, 13))


LONG = 3000


def long_burst(setup: Setup, act: Callable[[], None]) -> threading.Timer:
    """A burst of a good part of a second, loaded and armed; ``act`` comes from another thread when it has begun."""
    setup.camera.roi = ROI(row=60, column=120, rows=60, columns=40)
    setup.slm.load(patterns(LONG))
    setup.camera.arm(LONG)
    timer = threading.Timer(0.03, act)
    on_pulse(setup.world, lambda _: timer.start())  # after the first frame the compiled loop takes over
    return timer


def test_safe_ends_a_compiled_burst_before_its_next_pattern(setup: Setup) -> None:
    timer = long_burst(setup, setup.slm.safe)
    with pytest.raises(DeviceError, match=rf"slm\.run: stopped by safe\(\) after \d+ of {LONG} patterns") as error:
        setup.slm.run(0.02)
    timer.join()
    shown = int(str(error.value).split()[5])
    assert 1 < shown < LONG
    with pytest.raises(DeviceTimeout, match=f"{shown} frames came, {LONG - shown} more"):
        setup.camera.collect()
    np.testing.assert_allclose(setup.world.panel.phase, setup.world.panel.radians(setup.slm.read_back()))
    assert setup.slm.write(np.zeros((1, 1))) == shown + 1
    assert setup.camera.trigger().frame_id == shown


def test_light_that_goes_off_during_a_compiled_burst_is_off_from_the_next_frame_on(setup: Setup) -> None:
    timer = long_burst(setup, setup.source.safe)
    setup.slm.run(0.02)
    timer.join()
    brightness = setup.camera.collect().data.mean(axis=(1, 2))
    lit = brightness > 110  # the offset is 100 counts
    first_dark = int(np.argmin(lit))
    assert 1 < first_dark < LONG
    assert lit[:first_dark].all()
    assert not lit[first_dark:].any()


def test_a_camera_made_safe_during_a_burst_takes_no_more_frames_but_the_slm_goes_on() -> None:
    stable = []
    for path in ("auto", "reference"):
        setup = Setup(far=True, path=path)
        setup.slm.load(patterns())
        setup.camera.arm(12)
        with stopping_at_exposure(setup.world, 0, setup.camera.safe):
            stable.append(setup.slm.run(0.02).stable_ns.tolist())
        with pytest.raises(DeviceTimeout, match="1 frames came, 11 more"):
            setup.camera.collect()
    assert stable[0] == stable[1]
    assert len(stable[0]) == 12


# --- real time --------------------------------------------------------------------------------------------------------

REAL = {"slm": {"settle": "2 ms", "base_settle": "5 ms"}}


def test_in_real_time_the_slm_steps_and_nothing_waits_for_its_settling() -> None:
    setup = Setup(False, RealClock(), **REAL)
    setup.camera.exposure_s = 1e-3
    setup.slm.base_settle_s = 0.5
    setup.slm.load(patterns(3))
    setup.camera.arm(3)
    thread = threading.Thread(target=lambda: setup.slm.run(0.002))
    thread.start()
    reading = setup.slit.measure()  # 16.7 ms, during the settling
    assert reading.end_ns < setup.world.clock.now_ns() < reading.start_ns + 400_000_000
    assert thread.is_alive()
    thread.join(10)
    stack = setup.camera.collect()
    assert stack.data.shape == (3, 31, 5)
    assert stack.start_ns[0] >= reading.start_ns + 400_000_000


def test_in_real_time_a_frame_is_newer_than_its_pattern_and_safe_stops_the_sequence() -> None:
    setup = Setup(False, RealClock(), **REAL)
    setup.slm.load(patterns(4))
    setup.camera.arm(4)
    times = setup.slm.run(0.0)
    assert (setup.camera.collect().start_ns >= times.stable_ns).all()
    setup.slm.load(patterns(4))
    on_pulse(setup.world, lambda pulse: setup.slm.safe() if pulse == 2 else None)
    with pytest.raises(DeviceError, match=r"slm\.run: stopped by safe\(\) after 2 of 4"):
        setup.slm.run(0.0)


def test_in_real_time_the_world_refuses_to_wait() -> None:
    setup = Setup(False, RealClock(), **REAL)
    setup.slm.load(patterns(3))
    with pytest.raises(DeviceError, match="in real time the SLM steps"):
        setup.world.run("slm", 0, 0, 0)


# --- clock ------------------------------------------------------------------------------------------------------------


def test_virtual_time_is_the_latest_of_all_processes_and_never_runs_backwards() -> None:
    cells = np.zeros(5, np.int64)
    world, one, other = (VirtualClock(cells, own) for own in range(3))
    rng = np.random.default_rng(1)
    latest = 0
    for _ in range(1000):
        clock = (world, one, other)[rng.integers(3)]
        wanted = int(rng.integers(0, 10**9))
        clock.sleep_until(wanted)
        latest = max(latest, wanted)
        assert world.now_ns() == one.now_ns() == other.now_ns() == latest
    assert cells[2:].max() == latest


def test_owners_that_wait_at_the_same_time_do_not_disturb_each_other() -> None:
    cells = np.zeros(4, np.int64)
    clocks = [VirtualClock(cells, own) for own in range(2)]
    backwards: list[int] = []

    def wait(clock: VirtualClock, step: int) -> None:
        before = 0
        for k in range(5000):
            clock.sleep_until(k * step)
            now = clock.now_ns()
            if now < max(before, k * step):
                backwards.append(now)
            before = now

    threads = [threading.Thread(target=wait, args=(c, s)) for c, s in zip(clocks, (7, 5), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert backwards == []
    assert clocks[0].now_ns() == 4999 * 7


def test_a_reset_sets_every_process_to_zero() -> None:
    cells = np.zeros(4, np.int64)
    one, other = VirtualClock(cells, 0), VirtualClock(cells, 1)
    other.sleep_until(100)
    before = one.utc_zero_ns
    one.reset()
    assert (one.now_ns(), other.now_ns()) == (0, 0)
    assert other.utc_zero_ns == one.utc_zero_ns > before


@pytest.mark.parametrize("kind", ["virtual", "real"])
def test_all_processes_share_one_zero(kind: str) -> None:
    cells = np.zeros(4, np.int64)
    first = make_clock(kind, cells, 0)
    first.sleep_until(2_000_000)
    second = make_clock(kind, cells, 1)
    assert second.utc_zero_ns == first.utc_zero_ns
    assert second.now_ns() >= 2_000_000
    assert abs(second.now_ns() - first.now_ns()) < 1_000_000_000


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_several_servers_begin_one_session_once() -> None:
    setup = Setup(far=True)
    setup.slm.write(np.full((24, 48), 1.0))
    setup.slm.settle()
    for device in setup.devices:
        device.close()
    setup.light.begin("one")
    assert setup.world.clock.now_ns() == 0
    assert (setup.world.panel.phase == 0).all()
    setup.slm.open()
    setup.source.open()
    setup.slm.write(np.full((24, 48), 1.0))
    setup.slm.settle()
    setup.detection.begin("one")
    assert setup.world.clock.now_ns() == 30_000_000
    assert (setup.world.panel.phase > 0).all()
    setup.light.begin("two")
    assert setup.world.clock.now_ns() == 0


def test_sessions_repeat_bit_for_bit() -> None:
    setup = Setup(far=True)
    found = []
    for text in ("one", "two"):
        for device in setup.devices:
            device.close()
        setup.light.begin(text)
        for device in setup.devices:
            device.open()
        setup.switch_on()
        found.append(plain(setup.sequencer.play(patterns(), [], frames=True)))
    assert found[0] == found[1]


def test_a_new_session_begins_in_the_dark_and_without_devices(setup: Setup) -> None:
    setup.world.begin("new")
    assert not setup.source.emission
    assert setup.source.power_fraction == 0.0
    with pytest.raises(DeviceError, match="camera is not on the table; open it"):
        setup.camera.trigger()
    for device in setup.devices:
        device.safe()
        device.close()
        device.open()
    assert setup.camera.trigger().frame_id == 0


def test_a_world_may_be_given_its_state() -> None:
    state = np.full(1, 255, np.uint8).repeat(PrbmWorld.State.itemsize).view(PrbmWorld.State)
    world = PrbmWorld(parameters(), VirtualClock(), state)
    assert world.state is state
    assert not world.source.emission
    assert state["stop"].sum() == 0
    state["emission"][0] = True
    assert world.source.emission


def test_a_device_keeps_its_stop_flag_from_session_to_session() -> None:
    world = lit_world()
    first = [world.attach(name, "camera") for name in ("a", "b")]
    world.rewind()
    assert [world.attach(name, "camera") for name in ("b", "a")] == first[::-1]


def test_a_full_table_takes_no_more_devices() -> None:
    world = lit_world()
    for k in range(16):
        world.attach(f"tap{k}", "tap")
    with pytest.raises(DeviceError, match="tap16: the table has room for 16 devices"):
        world.attach("tap16", "tap")
    assert world.attach("tap3", "tap") == 3


def test_a_place_that_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(DeviceError, match="the table has no place 'roof'"):
        lit_world().attach("camera", "roof")


def test_a_burst_beyond_all_memory_is_refused(setup: Setup) -> None:
    with pytest.raises(LabError, match=r"camera\.arm: \d+ frames of 31x5 pixels do not fit the memory"):
        setup.camera.arm(10**17)
    setup.camera.roi = ROI(row=0, column=0, rows=1, columns=1)

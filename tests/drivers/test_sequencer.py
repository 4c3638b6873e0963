"""Sequences played on a small photonic RBM table: however they are paced and wherever the SLM is, the same results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from msgspec import structs

from drivers.contract import (
    ROI,
    UNKNOWN_PATTERN,
    DeviceError,
    DeviceTimeout,
    Frame,
    FrameStack,
    LimitError,
    Reading,
    Sequence,
    SequenceResult,
)
from drivers.sequencer import SoftwareSequencer
from labctl.bench.client import Bench, open_bench
from labctl.bench.load import load_bench
from labctl.server.host import Host, running
from simulators.clock import VirtualClock
from simulators.devices.camera import SimulatedCamera
from simulators.devices.photodetector import SimulatedPhotodetector
from simulators.devices.slm import MEMORY_PATTERNS, SimulatedSLM
from simulators.worlds.prbm import PrbmParameters, PrbmWorld

# Noisy, and so quick that the liquid crystal is still moving in every exposure.
BENCH = """
[bench]
name = "small"
world = "prbm"
clock = "virtual"
lease = "30 s"

[world]
seed = 11
slm = { rows = 24, columns = 48 }
beam.waist = "0.3 mm"
optics = { first_row = 3, bands = 6, dispersion = 3e3, camera_attenuation = "0.02 %" }
camera = { rows = 100, columns = 120, axis_row = 50, axis_column = 60 }
detector = { slit_range = "1 mW" }

[devices.slm]
kind = "slm"
backend = "simulated"
settle = "12 ms"
base_settle = "30 ms"

[devices.camera]
kind = "camera"
backend = "simulated"
exposure = "5 ms"

[devices.source]
kind = "supercontinuum"
backend = "simulated"
power = "20 %"

[devices.slit_detector]
kind = "photodetector"
backend = "simulated"
port = "slit"
integration = "5 ms"

[devices.sequencer]
kind = "sequencer"
slm = "slm"
camera = "camera"
photodetector = "slit_detector"
"""

TWO_SERVERS = """
[servers.light]
devices = ["slm", "source"]

[servers.detection]
devices = ["camera", "slit_detector", "sequencer"]
"""

REGION = ROI(row=34, column=57, rows=31, columns=7)
WINDOWS = [ROI(row=0, column=3, rows=31, columns=1), ROI(row=10, column=0, rows=5, columns=7)]


def patterns(n: int = 12, seed: int = 5) -> Sequence:
    """A random base and random patches over it, several per pattern and row, none in some patterns."""
    rng = np.random.default_rng(seed)
    places = np.array([(r, c) for r in range(4, 16, 3) for c in range(6, 40, 6)], np.int32)
    chosen = [np.flatnonzero(rng.random(len(places)) < share) for share in rng.choice([0.0, 0.2, 0.6], n)]
    return Sequence(
        base=rng.uniform(-6, 6, (18, 40)),
        base_origin=(2, 4),
        patches=rng.uniform(-6, 6, (len(places), 2, 4)),
        patch_origins=places,
        offsets=np.cumsum([0, *(len(c) for c in chosen)]).astype(np.int32),
        indices=np.concatenate(chosen).astype(np.int32),
    )


def bench_file(folder: Path, text: str = BENCH) -> Path:
    path = folder / "small.toml"
    path.write_text(text)
    return path


def played(path: Path, overrides: Mapping[str, object], **how: Any) -> list[SequenceResult]:
    """What two sequences, one after the other, measured on a bench of their own."""
    with open_bench(load_bench(path, overrides)) as bench, bench.control("test"):
        bench.camera.roi = REGION
        bench.source.emission = True
        return [bench.sequencer.play(patterns(seed=seed), WINDOWS, **how) for seed in (5, 6)]


ARRAYS = ("signal", "pattern_ids", "frame_ids", "start_ns", "end_ns", "saturated", "peak")


def assert_same(first: SequenceResult, second: SequenceResult, skip: tuple[str, ...] = ()) -> None:
    """Bit for bit, apart from the wall-clock time at which the table was set up."""
    for name in set(ARRAYS) - set(skip):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    assert (first.exposure_s, first.lost) == (second.exposure_s, second.lost)


# --- one result, whatever the timing ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_hardware(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[SequenceResult]]:
    path = bench_file(tmp_path_factory.mktemp("bench"))
    hardware = {"devices.sequencer.timing": "hardware"}
    return {
        "camera": played(path, hardware, frames=True),
        "photodetector": played(path, hardware, readout="photodetector"),
    }


@pytest.mark.parametrize("timing", ["auto", "software"])
@pytest.mark.parametrize("servers", ["", TWO_SERVERS], ids=["one server", "SLM over the bus"])
def test_frames_do_not_depend_on_timing_and_servers(
    tmp_path: Path, by_hardware: dict[str, list[SequenceResult]], timing: str, servers: str
) -> None:
    path = bench_file(tmp_path, BENCH + servers)
    found = played(path, {"devices.sequencer.timing": timing}, frames=True)
    for result, expected in zip(found, by_hardware["camera"], strict=True):
        assert_same(result, expected)
        np.testing.assert_array_equal(result.frames, expected.frames)


@pytest.mark.parametrize("timing", ["auto", "software"])
@pytest.mark.parametrize("servers", ["", TWO_SERVERS], ids=["one server", "SLM over the bus"])
def test_readings_do_not_depend_on_timing_and_servers(
    tmp_path: Path, by_hardware: dict[str, list[SequenceResult]], timing: str, servers: str
) -> None:
    path = bench_file(tmp_path, BENCH + servers)
    found = played(path, {"devices.sequencer.timing": timing}, readout="photodetector")
    for result, expected in zip(found, by_hardware["photodetector"], strict=True):
        assert_same(result, expected, skip=("signal", "peak"))
        # A reading is not rounded as counts are, and the two timings sum the light in different orders.
        np.testing.assert_allclose(result.signal, expected.signal, rtol=1e-12)
        np.testing.assert_array_equal(result.peak, result.signal[:, 0])


def test_the_reference_path_counts_the_same(tmp_path: Path, by_hardware: dict[str, list[SequenceResult]]) -> None:
    found = played(bench_file(tmp_path), {"world.path": "reference"}, frames=True)
    for result, expected in zip(found, by_hardware["camera"], strict=True):
        assert_same(result, expected)


def test_another_seed_counts_otherwise(tmp_path: Path, by_hardware: dict[str, list[SequenceResult]]) -> None:
    found = played(bench_file(tmp_path), {"world.seed": 12}, frames=True)
    frames, others = found[0].frames, by_hardware["camera"][0].frames
    assert frames is not None
    assert others is not None
    assert np.mean(frames != others) > 0.5


def test_the_panel_was_in_motion_and_the_light_on(tmp_path: Path, by_hardware: dict[str, list[SequenceResult]]) -> None:
    # Otherwise the comparisons above would prove little.
    slow = {"devices.slm.settle": "500 ms", "devices.slm.base_settle": "500 ms"}
    at_rest = played(bench_file(tmp_path), slow)
    moving = by_hardware["camera"][0].signal[:, 0]
    assert moving.min() > 31 * 100
    assert np.abs(at_rest[0].signal[:, 0] / moving - 1).max() > 0.05


def test_a_window_is_the_sum_of_its_pixels(by_hardware: dict[str, list[SequenceResult]]) -> None:
    result = by_hardware["camera"][0]
    assert result.frames is not None
    np.testing.assert_array_equal(result.signal[:, 0], result.frames[:, :, 3].sum(axis=1))
    np.testing.assert_array_equal(result.signal[:, 1], result.frames[:, 10:15, :].sum(axis=(1, 2)))
    np.testing.assert_array_equal(result.peak, result.frames.max(axis=(1, 2)))


def test_ids_and_times_rise(by_hardware: dict[str, list[SequenceResult]]) -> None:
    first, second = by_hardware["camera"]
    ids = np.concatenate([first.pattern_ids, second.pattern_ids])
    assert (np.diff(ids) == 1).all()
    starts = np.concatenate([first.start_ns, second.start_ns])
    ends = np.concatenate([first.end_ns, second.end_ns])
    assert (starts[1:] >= ends[:-1]).all()


# --- a sequencer on devices of its own --------------------------------------------------------------------------------


class Table:
    """A sequencer and what it is made of, without bench and bus."""

    def __init__(self, **sections: Any) -> None:
        text: dict[str, Any] = {
            "slm": {"rows": 24, "columns": 48},
            "optics": {"first_row": 3, "bands": 6, "camera_attenuation": "0.2 %"},
            "camera": {"rows": 100, "columns": 120, "axis_row": 50, "axis_column": 60},
        }
        for name, value in sections.items():
            text[name] = text.get(name, {}) | value if isinstance(value, dict) else value
        self.world = PrbmWorld(PrbmParameters.model_validate(text), VirtualClock())
        self.world.source.emission, self.world.source.power_fraction = True, 1.0
        self.slm = SimulatedSLM("slm", self.world)
        self.camera = SimulatedCamera("camera", self.world)
        self.slit = SimulatedPhotodetector("slit", self.world, "slit")
        for device in (self.slm, self.camera, self.slit):
            device.open()
        self.camera.roi = REGION
        self.sequencer = SoftwareSequencer("sequencer", self.slm, self.camera, self.slit)


@pytest.fixture
def table() -> Table:
    return Table()


QUICK = {"settle": "12 ms", "base_settle": "30 ms"}
INSTANT = {"rise_time": "0 s", "fall_time": "0 s"}


@pytest.mark.parametrize(
    "sections",
    [
        {"slm": QUICK},
        {"slm": QUICK | {"levels": None}},
        {"slm": QUICK | {"rise_time": "0 s"}},
        {"slm": QUICK | {"settled_phase": 0.1}},
        {"slm": INSTANT},
        {"slm": QUICK | {"stuck": True}},
        {"slm": QUICK, "optics": {"rows_per_wavelength": 3}},
        {"slm": QUICK, "camera": {"full_well": 2000.0}},
        {"slm": QUICK, "camera": {"bit_depth": 12, "electrons_per_count": 7.5}},
        {"slm": QUICK, "beam": {"blocked": True}},
        {"slm": QUICK, "camera": {"dark_current": "50000 / s"}},
    ],
    ids=str,
)
def test_both_timings_count_the_same_on_any_table(sections: dict[str, Any]) -> None:
    results: list[list[SequenceResult]] = []
    for timing in ("hardware", "software"):
        table = Table(**sections)
        table.sequencer.timing = timing
        results.append([table.sequencer.play(patterns(seed=seed), WINDOWS) for seed in (1, 2)])
    for hardware, software in zip(*results, strict=True):
        assert_same(hardware, software)


def test_both_timings_agree_on_the_ideal_table() -> None:
    # Counts of an ideal camera are not rounded, and the two timings sum the light in different orders.
    signals = []
    for timing in ("hardware", "software"):
        table = Table(ideal=True, slm={"levels": None})
        table.sequencer.timing = timing
        signals.append(table.sequencer.play(patterns(), WINDOWS).signal)
    np.testing.assert_allclose(signals[0], signals[1], rtol=1e-12)


def several_per_place(seed: int) -> Sequence:
    """Two patches for every place, at most one of them in a pattern."""
    rng = np.random.default_rng(seed)
    places = np.array([(r, c) for r in range(4, 16, 3) for c in range(6, 40, 6)], np.int32)
    chosen = [np.flatnonzero(rng.random(24) < 0.4) for _ in range(12)]
    chosen = [c + 24 * rng.integers(0, 2, len(c)) for c in chosen]
    return Sequence(
        base=rng.uniform(-6, 6, (18, 40)),
        base_origin=(2, 4),
        patches=rng.uniform(-6, 6, (48, 2, 4)),
        patch_origins=np.concatenate([places, places]),
        offsets=np.cumsum([0, *(len(c) for c in chosen)]).astype(np.int32),
        indices=np.concatenate(chosen).astype(np.int32),
    )


def test_both_timings_count_the_same_with_several_patches_per_place() -> None:
    results = []
    for timing in ("hardware", "software"):
        table = Table(slm=QUICK)
        table.sequencer.timing = timing
        results.append(table.sequencer.play(several_per_place(3), WINDOWS))
    assert_same(*results)


def test_both_timings_count_the_same_after_other_detectors_and_other_light() -> None:
    results: list[list[SequenceResult]] = []
    for timing in ("hardware", "software"):
        table = Table(slm=QUICK)
        table.sequencer.timing = timing
        source = table.world.source
        found = [table.sequencer.play(patterns(seed=1), WINDOWS)]
        source.emission = False
        found.append(table.sequencer.play(patterns(seed=2), WINDOWS))
        source.emission, source.power_fraction = True, 0.3
        found.append(table.sequencer.play(patterns(seed=3), WINDOWS))
        table.slit.measure()
        source.wavelength_min_m = float(table.world.light.wavelengths_m[2])
        found.append(table.sequencer.play(patterns(seed=4), WINDOWS))
        table.camera.roi = ROI(row=30, column=10, rows=31, columns=90)
        found.append(table.sequencer.play(patterns(seed=5), WINDOWS))
        results.append(found)
    for hardware, software in zip(*results, strict=True):
        assert_same(hardware, software)


@pytest.mark.parametrize("timing", ["hardware", "software"])
def test_binned_frames_are_reduced_as_they_come(timing: str) -> None:
    results = []
    for n in (1, 3):
        table = Table(slm=QUICK)
        table.sequencer.timing = timing
        table.camera.roi = ROI(row=34, column=57, rows=30, columns=9)
        table.camera.binning = n
        windows = [ROI(row=9 // n, column=3 // n, rows=12 // n, columns=6 // n)]
        results.append(table.sequencer.play(patterns(), windows, frames=True))
    single, binned = results
    assert single.frames is not None
    assert binned.frames is not None
    np.testing.assert_array_equal(binned.frames, single.frames.reshape(-1, 10, 3, 3, 3).sum(axis=(2, 4)))
    np.testing.assert_array_equal(binned.signal, single.signal)
    np.testing.assert_array_equal(binned.peak, binned.frames.max(axis=(1, 2)))


def test_a_window_beyond_the_binned_frame_is_refused(table: Table) -> None:
    table.camera.roi = ROI(row=34, column=57, rows=30, columns=9)
    table.camera.binning = 3
    with pytest.raises(LimitError, match=r"does not fit the frames of 10x3"):
        table.sequencer.play(patterns(3), [ROI(row=0, column=3, rows=10, columns=1)])


def test_no_windows_means_the_whole_region(table: Table) -> None:
    result = table.sequencer.play(patterns(3), [], frames=True)
    assert result.frames is not None
    np.testing.assert_array_equal(result.signal[:, 0], result.frames.sum(axis=(1, 2)))


def test_frames_are_returned_only_when_asked_for(table: Table) -> None:
    assert table.sequencer.play(patterns(3), WINDOWS).frames is None


@pytest.mark.parametrize(
    "window",
    [
        ROI(row=-1, column=0, rows=1, columns=1),
        ROI(row=0, column=-1, rows=1, columns=1),
        ROI(row=0, column=0, rows=0, columns=1),
        ROI(row=0, column=0, rows=1, columns=0),
        ROI(row=30, column=0, rows=2, columns=1),
        ROI(row=0, column=6, rows=1, columns=2),
    ],
)
def test_a_window_beyond_the_region_is_refused_before_anything_is_shown(table: Table, window: ROI) -> None:
    with pytest.raises(LimitError, match=r"sequencer\.play: window ROI.* does not fit the frames of 31x7"):
        table.sequencer.play(patterns(3), [WINDOWS[0], window])
    assert (table.slm.read_back() == 0).all()


@pytest.mark.parametrize("timing", ["hardware", "software"])
def test_a_sequence_beyond_the_panel_is_refused(table: Table, timing: str) -> None:
    table.sequencer.timing = timing
    too_wide = patterns(3)
    too_wide = Sequence(**{n: getattr(too_wide, n) for n in too_wide.__struct_fields__} | {"base_origin": (2, 9)})
    with pytest.raises(LimitError, match="does not fit the SLM's 24x48"):
        table.sequencer.play(too_wide, [])


@pytest.mark.parametrize("timing", ["hardware", "software"])
def test_a_patch_beyond_the_base_is_refused_whatever_the_timing(table: Table, timing: str) -> None:
    table.sequencer.timing = timing
    good = patterns(3)
    stray = good.patch_origins.copy()
    stray[-1] = (20, 44)  # on the panel, below the base
    bad = Sequence(**{n: getattr(good, n) for n in good.__struct_fields__} | {"patch_origins": stray})
    with pytest.raises(LimitError, match=r"sequencer\.play: patch 23 lies outside the base; enlarge the base"):
        table.sequencer.play(bad, [])
    assert (table.slm.read_back() == 0).all()


def test_an_unknown_readout_names_the_known_ones(table: Table) -> None:
    with pytest.raises(LimitError, match="readout 'eye' is none of camera, photodetector"):
        table.sequencer.play(patterns(3), [], readout="eye")


def test_without_a_photodetector_there_is_only_the_camera(table: Table) -> None:
    alone = SoftwareSequencer("sequencer", table.slm, table.camera)
    with pytest.raises(LimitError, match=r"readout 'photodetector' is none of camera$"):
        alone.play(patterns(3), [], readout="photodetector")


def test_the_photodetector_may_be_called_by_its_name(table: Table) -> None:
    assert table.sequencer.play(patterns(3), [], readout="slit").signal.shape == (3, 1)


def long_sequence(n: int) -> Sequence:
    return Sequence(
        base=np.zeros((1, 1)),
        base_origin=(0, 0),
        patches=np.zeros((0, 1, 1)),
        patch_origins=np.zeros((0, 2), np.int32),
        offsets=np.zeros(n + 1, np.int32),
        indices=np.zeros(0, np.int32),
    )


def test_hardware_timing_beyond_the_memory_is_refused(table: Table) -> None:
    table.sequencer.timing = "hardware"
    with pytest.raises(LimitError, match=r"sequencer\.timing = hardware: 4097 patterns, SLM memory 4096"):
        table.sequencer.play(long_sequence(MEMORY_PATTERNS + 1), [])


def test_automatic_timing_goes_beyond_the_memory(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.devices.slm.MEMORY_PATTERNS", 5)
    assert table.sequencer.play(long_sequence(6), []).signal.shape == (6, 1)


@pytest.mark.parametrize("timing", ["hardware", "software"])
def test_a_sequence_may_have_no_patches(table: Table, timing: str) -> None:
    table.sequencer.timing = timing
    assert table.sequencer.play(long_sequence(3), []).pattern_ids.tolist() == [1, 2, 3]


@pytest.mark.parametrize("timing", ["hardware", "software"])
def test_the_camera_is_free_after_a_sequence(table: Table, timing: str) -> None:
    table.sequencer.timing = timing
    table.sequencer.play(patterns(3), [])
    table.camera.roi = ROI(row=0, column=0, rows=1, columns=1)
    assert table.camera.trigger().frame_id == 3


@pytest.mark.parametrize("timing", ["hardware", "software"])
def test_reading_the_photodetector_takes_no_frames(table: Table, timing: str) -> None:
    table.sequencer.timing = timing
    table.sequencer.play(patterns(3), [])
    table.sequencer.play(patterns(3), [], readout="photodetector")
    assert table.camera.trigger().frame_id == 3


@pytest.mark.parametrize("timing", ["hardware", "software"])
def test_bench_time_is_settling_exposure_and_readout(table: Table, timing: str) -> None:
    table.sequencer.timing = timing
    table.sequencer.play(patterns(4), [])
    settling = 225_000_000 + 3 * 75_000_000
    frame = round((table.camera.exposure_s + table.camera.readout_s) * 1e9)
    assert table.world.clock.now_ns() == settling + 4 * frame


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.fixture
def early(table: Table, monkeypatch: pytest.MonkeyPatch) -> Table:
    """A camera whose frames claim to have begun a microsecond before their trigger."""
    trigger, collect = table.camera.trigger, table.camera.collect

    def early_frame(pattern_id: int = UNKNOWN_PATTERN) -> Frame:
        frame = trigger(pattern_id)
        return structs.replace(frame, start_ns=frame.start_ns - 1_000)

    def early_frames() -> FrameStack:
        stack = collect()
        return structs.replace(stack, start_ns=stack.start_ns - 1_000)

    monkeypatch.setattr(table.camera, "trigger", early_frame)
    monkeypatch.setattr(table.camera, "collect", early_frames)
    return table


@pytest.mark.parametrize("timing", ["hardware", "software"])
def test_a_stale_frame_is_an_error(early: Table, timing: str) -> None:
    early.sequencer.timing = timing
    with pytest.raises(DeviceError, match=r"sequencer\.play: exposure 0 began 0\.001 ms before its pattern was stable"):
        early.sequencer.play(patterns(3), [])


def test_a_stale_reading_is_an_error(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = table.slit.measure

    def measured_too_soon() -> Reading:
        r = measure()
        return Reading(**{n: getattr(r, n) for n in r.__struct_fields__} | {"start_ns": r.start_ns - 2_000_000})

    table.sequencer.timing = "software"
    monkeypatch.setattr(table.slit, "measure", measured_too_soon)
    with pytest.raises(DeviceError, match=r"exposure 0 began 2\.000 ms before"):
        table.sequencer.play(patterns(3), [], readout="photodetector")


def test_a_frame_that_did_not_come_is_an_error(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    pulses: list[None] = []
    fire = table.world.fire_trigger

    def all_but_the_first() -> None:
        pulses.append(None)
        if len(pulses) > 1:
            fire()

    monkeypatch.setattr(table.world, "fire_trigger", all_but_the_first)
    with pytest.raises(DeviceTimeout, match=r"camera\.collect: 3 frames came, 1 more"):
        table.sequencer.play(patterns(4), [])


def after_patterns(slm: SimulatedSLM, n: int, act: Callable[[], None]) -> Callable[[], int]:
    """A replacement of ``settle`` that acts once at pattern n."""
    settle, calls = slm.settle, [0]

    def settle_and_act() -> int:
        calls[0] += 1
        if calls[0] == n:
            act()
        return settle()

    return settle_and_act


@pytest.mark.parametrize("readout", ["camera", "photodetector"])
def test_safe_stops_a_software_timed_sequence_at_its_next_pattern(
    table: Table, monkeypatch: pytest.MonkeyPatch, readout: str
) -> None:
    table.sequencer.timing = "software"
    monkeypatch.setattr(table.slm, "settle", after_patterns(table.slm, 3, table.sequencer.safe))
    with pytest.raises(DeviceError, match=r"sequencer\.play: stopped by safe\(\) after 3 of 12 patterns"):
        table.sequencer.play(patterns(), [], readout=readout)


@pytest.mark.parametrize("readout", ["camera", "photodetector"])
def test_safe_stops_a_hardware_timed_sequence(table: Table, monkeypatch: pytest.MonkeyPatch, readout: str) -> None:
    expose, slit_power = table.world.expose, table.world.slit_power

    def stopped(measure: Callable[..., Any]) -> Callable[..., Any]:
        def measure_and_stop(device: str, number: int, *arguments: Any) -> Any:
            if number == 0:
                table.sequencer.safe()
            return measure(device, number, *arguments)

        return measure_and_stop

    monkeypatch.setattr(table.world, "expose", stopped(expose))
    monkeypatch.setattr(table.world, "slit_power", stopped(slit_power))
    table.sequencer.timing = "hardware"
    with pytest.raises(DeviceError, match=r"stopped by safe\(\)"):
        table.sequencer.play(patterns(), [], readout=readout)


def test_safe_between_loading_and_running_stops_the_sequence(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    # The table was made safe: what is measured from now on is dark, and must not be taken for a result.
    load = table.slm.load

    def load_and_stop(sequence: Sequence) -> int:
        n = load(sequence)
        for device in (table.slm, table.camera, table.sequencer):
            device.safe()
        return n

    monkeypatch.setattr(table.slm, "load", load_and_stop)
    table.sequencer.timing = "hardware"
    with pytest.raises(DeviceError):
        table.sequencer.play(patterns(), [])


def test_a_sequence_can_be_played_after_one_was_stopped(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    table.sequencer.timing = "software"
    with monkeypatch.context() as patched:
        patched.setattr(table.slm, "settle", after_patterns(table.slm, 2, table.sequencer.safe))
        with pytest.raises(DeviceError):
            table.sequencer.play(patterns(), [])
    assert table.sequencer.play(patterns(), []).signal.shape == (12, 1)


def test_a_software_trigger_labels_the_frame_with_its_pattern(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[int] = []
    trigger = table.camera.trigger

    def labelled(pattern_id: int = UNKNOWN_PATTERN) -> Frame:
        labels.append(pattern_id)
        return trigger(pattern_id)

    monkeypatch.setattr(table.camera, "trigger", labelled)
    table.sequencer.timing = "software"
    result = table.sequencer.play(patterns(4), [])
    assert labels == result.pattern_ids.tolist()


# --- on a host --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[tuple[Host, Bench]]:
    config = load_bench(bench_file(tmp_path, BENCH + TWO_SERVERS))
    context: zmq.Context[Any] = zmq.Context()
    try:
        with running(config, context) as host:
            bench = Bench(config, context, host.entry())
            yield host, bench
            bench.close()
    finally:
        context.term()


@pytest.mark.parametrize("timing", ["hardware", "software"])
def test_safe_on_the_control_lane_stops_a_sequence_that_is_being_played(
    hosted: tuple[Host, Bench], timing: str
) -> None:
    host, bench = hosted
    reached = threading.Event()
    go_on = threading.Event()
    expose = host._world.expose

    def wait_in_first(device: str, number: int, *arguments: Any) -> Any:
        if number == 0:
            reached.set()
            go_on.wait(20)
        return expose(device, number, *arguments)

    host._world.expose = wait_in_first
    failures: list[BaseException] = []

    def play() -> None:
        try:
            bench.sequencer.play(patterns(), WINDOWS)
        except DeviceError as error:
            failures.append(error)

    with bench.control("test"):
        bench.sequencer.timing = timing
        bench.camera.roi = REGION
        bench.source.emission = True
        player = threading.Thread(target=play)
        player.start()
        assert reached.wait(20)
        bench.safe()
        assert host._world.source.emission is False
        go_on.set()
        player.join(20)
    assert len(failures) == 1
    assert "stopped by safe() after 1 of 12 patterns" in str(failures[0])


def test_an_error_of_the_slm_crosses_two_servers_with_its_type(hosted: tuple[Host, Bench]) -> None:
    _, bench = hosted
    good = patterns(3)
    bad = Sequence(**{n: getattr(good, n) for n in good.__struct_fields__} | {"base_origin": (2, 9)})
    with pytest.raises(LimitError, match="does not fit"):
        bench.sequencer.play(bad, WINDOWS)


def test_limits_of_the_bench_file_hold_in_a_session(tmp_path: Path) -> None:
    config = load_bench(bench_file(tmp_path), {"devices.source.limits.power.max": "25 %"})
    with open_bench(config) as bench, bench.control("test"), pytest.raises(LimitError, match=r"outside 0 to 0\.25"):
        bench.source.power_fraction = 0.26


def test_sessions_repeat(tmp_path: Path) -> None:
    results = []
    with open_bench(load_bench(bench_file(tmp_path))) as bench:
        for _ in range(2):
            with bench.control("test"):
                bench.camera.roi = REGION
                bench.source.emission = True
                results.append(bench.sequencer.play(patterns(4), WINDOWS))
    assert_same(*results)

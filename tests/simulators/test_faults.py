"""Faults planted in a table: who waits is told, nobody gets an old frame for a new one, and the same comes again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from prbm_table import lit_world
from pydantic import ValidationError

from drivers.contract import ROI, DeviceTimeout, Sequence
from drivers.errors import ConfigurationError, FrameError
from drivers.sequencer import SoftwareSequencer
from labctl.bench.overrides import parse_assignments
from simulators.clock import make_clock
from simulators.devices.camera import SimulatedCamera
from simulators.devices.photodetector import SimulatedPhotodetector
from simulators.devices.slm import SimulatedSLM
from simulators.worlds.faults import Fault
from simulators.worlds.prbm import PrbmParameters, PrbmWorld

ZONE = ROI(row=80, column=135, rows=31, columns=4)


class Table:
    """A small one with camera, panel and sequencer; ``identical`` as of the sequencer."""

    def __init__(self, *faults: str | dict[str, Any], identical: Any = "allow") -> None:
        self.world: PrbmWorld = lit_world(faults=list(faults))
        self.world.source.power_fraction = 2e-8  # or the small table is too bright
        self.camera = SimulatedCamera("camera", self.world)
        self.slm = SimulatedSLM("slm", self.world)
        self.tap = SimulatedPhotodetector("tap", self.world, "tap")
        for device in (self.camera, self.slm, self.tap):
            device.open()
        self.camera.roi = ZONE
        self.sequencer = SoftwareSequencer("sequencer", self.slm, self.camera, identical=identical)

    def play(self, timing: str = "hardware", patterns: int = 5) -> np.ndarray[Any, Any]:
        self.sequencer.timing = timing
        frames = self.sequencer.play(patches(patterns), [], frames=True).frames
        assert frames is not None
        return frames


def patches(count: int) -> Sequence:
    """A base, and a bright patch somewhere else on it in each pattern but the first."""
    origins = np.array([[4 + 2 * k, 6 + 8 * k] for k in range(count - 1)], np.int32)
    return Sequence(
        base=np.zeros((20, 44)),
        base_origin=(2, 2),
        patches=np.full((count - 1, 2, 6), 3.0),
        patch_origins=origins,
        offsets=np.array([0, *range(count)], np.int32),
        indices=np.arange(count - 1, dtype=np.int32),
    )


@pytest.mark.parametrize("timing", ["hardware", "software"])
@pytest.mark.parametrize("what", ["lost", "late"])
def test_a_play_that_misses_a_frame_ends_and_the_next_one_is_whole(what: str, timing: str) -> None:
    table, sound = Table(f"{what} camera 3"), Table()
    with pytest.raises(DeviceTimeout):
        table.play(timing)
    assert table.play(timing).shape == (5, 31, 4)
    assert sound.play(timing).shape == (5, 31, 4)


@pytest.mark.parametrize("timing", ["hardware", "software"])
def test_a_play_is_bit_for_bit_what_it_is_on_a_sound_table_until_the_fault(timing: str) -> None:
    assert np.array_equal(Table("lost camera 7").play(timing), Table().play(timing))


def test_a_frame_that_comes_late_is_not_the_answer_to_the_next_trigger() -> None:
    table, sound = Table("late camera 1"), Table()
    frames = [table.camera.trigger()]
    with pytest.raises(DeviceTimeout, match="frame 1 did not come"):
        table.camera.trigger()
    frames.append(table.camera.trigger())
    wanted = [sound.camera.trigger() for _ in range(3)]
    assert [f.frame_id for f in frames] == [0, 2]
    assert np.array_equal(frames[1].data, wanted[2].data)


def test_a_frame_that_comes_twice_is_taken_once() -> None:
    table = Table("repeated camera 2")
    frames = [table.camera.trigger() for _ in range(4)]
    assert [f.frame_id for f in frames] == [0, 1, 3, 4]
    with pytest.raises(FrameError, match=r"came before|before its pattern"):
        Table("repeated camera 2").play()


def test_a_camera_that_repeats_for_ever_is_told_of() -> None:
    table = Table("repeated camera 1 + 0")
    table.camera.trigger()
    with pytest.raises(DeviceTimeout, match="older than the trigger"):
        table.camera.trigger()


def test_a_frozen_camera_is_found_where_its_frames_have_noise() -> None:
    frames = Table("frozen camera 2").play()
    assert np.array_equal(frames[1], frames[2])
    with pytest.raises(FrameError, match="frames 1 and 2 of 5 are the same"):
        Table("frozen camera 2", identical="refuse").play()
    assert Table(identical="refuse").play().shape == (5, 31, 4)


def test_bursts_lose_and_repeat_frames_too() -> None:
    with pytest.raises(DeviceTimeout, match="did not come"):
        Table("lost camera 2").camera.burst(4)
    with pytest.raises(FrameError, match="came before"):
        Table("repeated camera 2").camera.burst(4)
    assert np.array_equal(Table("lost camera 9").camera.burst(4).data, Table().camera.burst(4).data)


def test_a_saturated_camera_says_so() -> None:
    frame = Table("saturated camera 0").camera.trigger()
    assert frame.saturated == ZONE.rows * ZONE.columns
    assert frame.data.min() == frame.data.max() == Table().camera.full_scale_counts


def test_a_stuck_panel_shows_what_it_showed() -> None:
    def seen(*faults: str | dict[str, Any]) -> list[Any]:
        table = Table(*faults)
        frames = []
        for phase in (0.0, 3.0, 1.0):
            table.slm.write(np.tile([0.0, phase], (24, 24)))
            table.slm.settle()
            frames.append(table.camera.trigger().data.astype(float))
        return frames

    sound, stuck, in_time = seen(), seen("stuck slm 1"), seen({"what": "stuck", "device": "slm", "at": "0.1 s"})
    assert np.array_equal(sound[0], stuck[0])
    assert abs(sound[1].mean() - sound[0].mean()) > 5 * abs(stuck[1].mean() - stuck[0].mean())
    assert np.allclose(sound[2], stuck[2], atol=30)
    assert abs(in_time[2].mean() - in_time[0].mean()) < abs(sound[2].mean() - sound[0].mean()) / 5


def test_readings_of_a_photodetector_go_missing_and_freeze() -> None:
    table = Table("lost tap 1", "frozen tap 3 + 2", "repeated tap 6")
    table.tap.measure()
    with pytest.raises(DeviceTimeout, match="reading 1 did not come"):
        table.tap.measure()
    readings = [table.tap.measure() for _ in range(3)]
    assert len({r.power_w for r in readings}) == 1
    assert [r.reading_id for r in readings] == [2, 3, 4]
    assert table.tap.measure().power_w != readings[0].power_w
    with pytest.raises(FrameError, match="once more"):
        table.tap.measure()


def test_faults_are_written_as_tables_or_in_words() -> None:
    by_time = {"what": "stuck", "device": "slm", "at": "3 s", "lasts": "500 ms"}
    p = PrbmParameters(faults=["lost camera 57 + 3", by_time])
    assert p.faults == (
        Fault(what="lost", device="camera", exposure=57, count=3),
        Fault(what="stuck", device="slm", at="3 s", lasts="500 ms"),
    )
    assert hash(p) == hash(PrbmParameters(faults=["lost camera 57 + 3", by_time]))
    given = parse_assignments(["world.faults=[lost camera 57, late camera 80 + 2]"])["world.faults"]
    assert [f.what for f in PrbmParameters(faults=given).faults] == ["lost", "late"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("lost camera", "is no fault; write"),
        ({"what": "lost", "device": "camera"}, "must begin somewhere"),
        ({"what": "lost", "device": "camera", "exposure": 1, "at": "1 s"}, "must begin somewhere"),
        ({"what": "lost", "device": "camera", "exposure": 1, "lasts": "1 s"}, "goes with `at`"),
        ({"what": "gone", "device": "camera", "exposure": 1}, "lost"),
    ],
)
def test_what_is_no_fault_is_refused(wrong: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        PrbmParameters(faults=[wrong])


def test_a_drill_befalls_a_device_in_real_time_until_it_is_mended() -> None:
    world = PrbmWorld(lit_world().parameters, make_clock("real"))
    camera = SimulatedCamera("camera", world)
    camera.open()
    camera.roi = ZONE
    world.strike("camera")  # from now on its last frame is kept
    sound = camera.trigger()
    world.strike("camera", "lost")
    with pytest.raises(DeviceTimeout):
        camera.trigger()
    world.strike("camera", "frozen")
    again = camera.trigger()
    assert (again.data == sound.data).all()
    assert again.frame_id > sound.frame_id
    world.strike("camera")
    assert (camera.trigger().data != sound.data).any()


def test_a_drill_is_refused_in_virtual_time_and_where_it_is_none() -> None:
    with pytest.raises(ConfigurationError, match="real time"):
        lit_world().strike("camera", "lost")
    with pytest.raises(ConfigurationError, match=r"no fault .los..*lost, late"):
        PrbmWorld(lit_world().parameters, make_clock("real")).strike("camera", "los")

"""What the driver of every camera whose frames come in a sequence keeps, on its emulator.

`CameraBehaviour` is inherited by the tests of each, whose module has the fixtures `world`, a small real-time table,
`emulator` and `camera` on it, `counting`, (camera, emulator, world) on a table that counts exposures, and `still`,
(camera, world) on a table without noise, where the camera looks at `EVEN`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from counting_world import TIMEOUT_S, CountingWorld, ends_within

from drivers.contract import ROI, ConfigurationError, DeviceError, DeviceTimeout, LimitError
from simulators.worlds.prbm import PrbmWorld

BRIGHT = ROI(row=86, column=130, rows=9, columns=21)
EVEN = ROI(row=79, column=131, rows=24, columns=12)


def warmed(world: PrbmWorld) -> PrbmWorld:
    """The same, set up anew: a process's first frame of the whole sensor takes as long as a driver is patient."""
    world.warm_up()
    camera = world.parameters.camera
    world.source.emission, world.source.power_fraction = True, 0.02
    counts = np.empty((camera.rows, camera.columns), np.uint16)
    world.expose("", 0, world.clock.now_ns(), 1e-3, 0, 0, camera.rows, camera.columns, counts)
    world.rewind()
    return world


def pulse(world: PrbmWorld, times: int, apart_s: float) -> None:
    for _ in range(times):
        world.fire_trigger()
        time.sleep(apart_s)


class CameraBehaviour:
    """Tests that hold whatever the camera. camera_on: a driver on an emulator, not yet open."""

    camera_on: ClassVar[Callable[..., Any]]

    def test_counts_follow_power_and_exposure(self, camera: Any, world: PrbmWorld) -> None:
        camera.roi = BRIGHT

        def signal() -> float:
            return float(np.mean([camera.trigger().data.mean(dtype=float) for _ in range(4)])) - 100

        world.source.power_fraction = 0.0
        assert abs(signal()) < 2
        means = []
        for power, exposure_s in ((0.001, 2e-3), (0.002, 2e-3), (0.001, 4e-3)):
            world.source.power_fraction = power
            camera.exposure_s = exposure_s
            means.append(signal())
        assert means[0] > 20
        assert means[1] / means[0] == pytest.approx(2, rel=0.1)
        assert means[2] / means[0] == pytest.approx(2, rel=0.1)

    def test_frames_lie_in_memory_that_the_server_lends(self, camera: Any) -> None:
        lent: list[Any] = []

        def lend(shape: tuple[int, ...], dtype: Any) -> Any:
            lent.append(np.empty(shape, dtype))
            return lent[-1]

        camera.allocate = lend
        assert camera.trigger().data is lent[0]

    def test_a_frame_tells_when_its_exposure_began(self, camera: Any) -> None:
        camera.trigger()
        for _ in range(5):
            before_ns = time.monotonic_ns()
            frame = camera.trigger()
            after_ns = time.monotonic_ns()
            assert before_ns <= frame.start_ns < frame.end_ns <= after_ns
            assert frame.end_ns - frame.start_ns == round(frame.exposure_s * 1e9)
            assert abs(frame.utc_start_ns - time.time_ns()) < 60e9

    def test_no_frame_is_stale_among_many_with_random_delays(self, counting: tuple[Any, Any, CountingWorld]) -> None:
        camera, emulator, world = counting
        rng = random.Random(5)
        emulator.delay = lambda: rng.choice((0.0, 0.0, rng.uniform(0, 0.01), rng.uniform(0, 0.03)))
        for k in range(300):
            world.value = 100 + k
            asked_ns = time.monotonic_ns()
            frame = camera.trigger(pattern_id=k)
            assert frame.data[20, 20] == 100 + k
            assert frame.start_ns >= asked_ns
            assert frame.pattern_id == k
            assert frame.lost_before == 0

    def test_frames_that_come_after_the_time_out_are_never_taken_for_the_next(
        self, counting: tuple[Any, Any, CountingWorld]
    ) -> None:
        camera, emulator, world = counting
        slow = iter([False, True, False, True, True, False, False])
        emulator.delay = lambda: TIMEOUT_S + 0.2 if next(slow) else 0.0
        lost, came = 0, 0
        for k in range(7):
            world.value = 100 + k
            try:
                frame = camera.trigger()
            except DeviceTimeout:
                lost += 1
                continue
            assert frame.data[20, 20] == 100 + k
            assert frame.lost_before == lost
            lost, came = 0, came + 1
        assert came == 4

    def test_lost_frames_are_reported_exactly(self, counting: tuple[Any, Any, CountingWorld]) -> None:
        camera, emulator, _ = counting
        first = camera.trigger()
        emulator.lose(2)
        for _ in range(2):
            with pytest.raises(DeviceTimeout, match="armed again"):
                camera.trigger()
        frame = camera.trigger()
        assert frame.lost_before == 2
        assert frame.frame_id == first.frame_id + 3
        assert camera.trigger().lost_before == 0

    def test_exposures_are_numbered_from_opening(self, camera: Any) -> None:
        assert [camera.trigger().frame_id for _ in range(3)] == [0, 1, 2]
        camera.close()
        camera.open()
        assert camera.trigger().frame_id == 0

    def test_an_armed_camera_refuses_settings_until_it_was_collected_or_made_safe(self, camera: Any) -> None:
        camera.arm(2)
        with pytest.raises(DeviceError, match="collect the burst first"):
            camera.roi = BRIGHT
        camera.safe()
        camera.roi = BRIGHT
        assert camera.trigger().data.shape == (BRIGHT.rows, BRIGHT.columns)

    def test_without_a_trigger_line_a_burst_cannot_come(self, emulator: Any) -> None:
        camera = self.camera_on(emulator, external_trigger=False)
        camera.open()
        assert camera.external_trigger is False
        camera.arm(4)
        assert camera.trigger().frame_id == 0
        with pytest.raises(DeviceTimeout, match="no trigger line is wired"):
            camera.collect()
        camera.close()

    @pytest.mark.parametrize("n", [2, 3, 4])
    def test_a_binned_frame_is_the_block_sums_of_the_unbinned_one(self, still: tuple[Any, PrbmWorld], n: int) -> None:
        camera, world = still
        single = camera.trigger()
        sums = single.data.reshape(24 // n, n, 12 // n, n).sum(axis=(1, 3), dtype=np.uint32)
        assert single.saturated == 0
        assert np.ptp(sums) > 1000
        camera.binning = n
        frame = camera.trigger()
        np.testing.assert_array_equal(frame.data, sums)
        assert (frame.data.dtype, frame.binning, frame.roi) == (np.uint32, n, EVEN)
        assert camera.full_scale_counts == 65535 * n * n
        camera.arm(2)
        pulse(world, 2, 0.015)
        stack = camera.collect()
        assert (stack.data.dtype, stack.binning) == (np.uint32, n)
        np.testing.assert_array_equal(stack.data, [sums, sums])

    def test_region_and_binning_must_fit_one_another(self, still: tuple[Any, PrbmWorld]) -> None:
        camera, _ = still
        with pytest.raises(LimitError, match=r"camera\.binning = 5: a region of 24x12 .* nothing was changed"):
            camera.binning = 5
        camera.binning = 4
        with pytest.raises(LimitError, match=r"camera\.roi: a region of 24x10 .* blocks of 4x4"):
            camera.roi = ROI(row=0, column=0, rows=24, columns=10)
        assert (camera.roi, camera.binning) == (EVEN, 4)
        camera.arm(1)
        with pytest.raises(DeviceError, match=r"camera\.binning: the camera is armed"):
            camera.binning = 2

    def test_safe_ends_a_trigger_that_is_being_waited_for(self, camera: Any) -> None:
        camera.exposure_s = 20.0
        errors: list[BaseException | None] = []
        waiting = threading.Thread(target=lambda: errors.append(ends_within(2, camera.trigger)))
        waiting.start()
        time.sleep(0.3)
        assert ends_within(TIMEOUT_S + 1, camera.safe) is None
        waiting.join(10)
        assert not waiting.is_alive()
        assert "stopped by safe" in str(errors[0])

    def test_safe_may_be_called_at_any_moment(self, camera: Any) -> None:
        for _ in range(3):
            camera.safe()
        camera.close()
        camera.safe()
        camera.close()
        camera.open()
        assert camera.trigger().frame_id == 0

    def test_a_camera_that_lost_power_can_be_closed_and_opened_again(self, camera: Any, emulator: Any) -> None:
        camera.trigger()
        emulator.stop()
        assert isinstance(ends_within(TIMEOUT_S + 1, camera.trigger), DeviceError)
        camera.close()
        again = self.camera_on(emulator)
        again.open()
        assert again.trigger().frame_id == 0
        again.close()

    def test_a_world_that_is_set_up_anew_is_entered_again(self, camera: Any, world: PrbmWorld) -> None:
        camera.trigger()
        world.begin("another session")
        world.source.emission = True
        assert camera.trigger().lost_before == 0

    def test_a_camera_that_is_late_is_seen_by_the_clock(self, emulator: Any) -> None:
        camera = self.camera_on(emulator, timeout="2 s")
        camera.open()
        camera.trigger()
        emulator.mutate("late")
        began = time.monotonic()
        camera.trigger()
        assert time.monotonic() - began > 1.0
        camera.close()

    def test_what_the_emulator_does_not_have_is_refused(self, emulator: Any) -> None:
        with pytest.raises(ConfigurationError, match="no fault"):
            emulator.inject("interlock-open")
        with pytest.raises(ConfigurationError, match="no mutation"):
            emulator.mutate("louder")

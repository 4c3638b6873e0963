"""Checks of cameras: counts follow exposure and light, regions are exact, frames are new and honest of themselves."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.conformance.common import COMMON
from drivers.conformance.rig import Rig, Suite, expect, in_time, near, refused, seconds
from drivers.contract import ROI
from drivers.errors import DeviceError, DeviceTimeout, LimitError

CAMERA = Suite("camera", based_on=COMMON)

_REGION = ROI(row=64, column=96, rows=48, columns=64)
_POWER = 0.2
_EXPOSURES_S = (0.004, 0.008, 0.016)
_WITHIN = 0.03
_MARGIN_S = 0.6


def _frame(rig: Rig, exposure_s: float = 0.008, region: ROI = _REGION) -> Any:
    rig.subject.roi = region
    rig.subject.exposure_s = exposure_s
    return rig.subject.trigger(7)


def _signal(rig: Rig, frame: Any) -> float:
    return float(np.asarray(frame.data, float).mean()) - rig.offset_counts


def _wanted(rig: Rig, power: float, exposure_s: float) -> float:
    return rig.counts_per_second(power) * exposure_s


@CAMERA.check
def a_frame_has_the_region_s_shape(rig: Rig) -> None:
    """Rows and columns in this order, and integers of its bit depth."""
    for region in (_REGION, ROI(row=0, column=0, rows=32, columns=128), ROI(row=10, column=20, rows=1, columns=16)):
        frame = _frame(rig, region=region)
        expect(frame.data.shape == (region.rows, region.columns), f"{region} came as {frame.data.shape}")
        expect(frame.roi == region, f"{region} is told as {frame.roi}")
        expect(rig.subject.roi == region, f"{region} reads back {rig.subject.roi}")
        expect(float(frame.data.max()) < 2**frame.bit_depth, f"{frame.data.max()} in {frame.bit_depth} bits")


@CAMERA.check
def a_frame_comes_in_time(rig: Rig) -> None:
    """Within exposure, read-out and a margin."""
    _frame(rig)
    in_time("a frame", rig.subject.trigger, rig.subject.exposure_s + rig.subject.readout_s + _MARGIN_S)


@CAMERA.check
def a_region_beyond_the_sensor_is_refused(rig: Rig) -> None:
    """And the region stays as it was."""
    rig.subject.roi = _REGION
    rows, columns = rig.subject.rows, rig.subject.columns
    for wrong in (
        ROI(row=0, column=0, rows=rows + 1, columns=16),
        ROI(row=0, column=columns, rows=16, columns=16),
        ROI(row=-1, column=0, rows=16, columns=16),
        ROI(row=0, column=0, rows=0, columns=16),
    ):
        refused(LimitError, lambda w=wrong: setattr(rig.subject, "roi", w), f"roi = {wrong}")  # type: ignore[misc]
        expect(rig.subject.roi == _REGION, f"the region changed to {rig.subject.roi} though it was refused")


@CAMERA.check
def it_is_dark_in_the_dark(rig: Rig) -> None:
    """The offset and no more."""
    near("counts in the dark", _signal(rig, _frame(rig)), 0.0, absolute=2.0)


@CAMERA.check
def counts_follow_the_exposure(rig: Rig) -> None:
    """In proportion and in size."""
    with rig.lit(_POWER):
        for exposure_s in (*_EXPOSURES_S, _EXPOSURES_S[0]):
            frame = _frame(rig, exposure_s)
            wanted = _wanted(rig, _POWER, frame.exposure_s)
            near(f"counts in {exposure_s * 1e3:g} ms", _signal(rig, frame), wanted, relative=_WITHIN)


@CAMERA.check
def counts_follow_the_light(rig: Rig) -> None:
    """In proportion and in size."""
    for power in (0.08, 0.16, 0.32, 0.08):
        with rig.lit(power):
            frame = _frame(rig)
            wanted = _wanted(rig, power, frame.exposure_s)
            near(f"counts at {power:.0%} of the source", _signal(rig, frame), wanted, relative=_WITHIN)


@CAMERA.check
def shot_noise_gives_the_gain(rig: Rig) -> None:
    """Variance against mean, from two frames (EMVA 1288), within 10 % (false alarm below 1e-6 at 3,072 pixels)."""
    with rig.lit(_POWER):
        one, two = (np.asarray(_frame(rig, 0.016).data, float) for _ in range(2))
    dark_one, dark_two = (np.asarray(_frame(rig, 0.016).data, float) for _ in range(2))
    mean = (one.mean() + two.mean()) / 2 - (dark_one.mean() + dark_two.mean()) / 2
    variance = np.var(one - two) / 2 - np.var(dark_one - dark_two) / 2
    near("electrons per count", float(mean / variance), rig.subject.electrons_per_count, relative=0.15)


@CAMERA.check
def exposure_reads_back_and_is_kept(rig: Rig) -> None:
    """As the instrument rounds it, in the setting and in the frame."""
    for wanted_s in (0.002, 0.005, 0.0167):
        frame = _frame(rig, wanted_s)
        near("exposure_s", rig.subject.exposure_s, wanted_s, relative=0.02, absolute=30e-6)
        near("exposure of the frame", frame.exposure_s, rig.subject.exposure_s, relative=1e-6, absolute=1e-9)
        taken_s = (frame.end_ns - frame.start_ns) / 1e9
        near("end less beginning", taken_s, frame.exposure_s, relative=0.01, absolute=1e-5)


@CAMERA.check
def frames_are_numbered_and_follow_one_another(rig: Rig) -> None:
    """Each is newer than the one before, and none is lost."""
    frames = [_frame(rig) for _ in range(4)]
    numbers = [frame.frame_id for frame in frames]
    expect(numbers == sorted(set(numbers)), f"frame ids {numbers}")
    for earlier, later in itertools.pairwise(frames):
        expect(later.start_ns >= earlier.end_ns, "a frame began before the one before it ended")
        expect(later.lost_before == 0, f"{later.lost_before} frames lost between two triggers")


@CAMERA.check
def frames_are_new(rig: Rig) -> None:
    """None is from before the light changed, in either direction, five times over."""
    for _ in range(5):
        with rig.lit(_POWER):
            bright = _signal(rig, _frame(rig))
        dark = _signal(rig, _frame(rig))
        expect(dark < 0.1 * bright, f"{dark:.0f} counts after the light went off, {bright:.0f} before")


@CAMERA.check
def frames_carry_the_pattern_they_answer(rig: Rig) -> None:
    """As the caller says it; unknown if the caller does not."""
    rig.subject.roi = _REGION
    expect(rig.subject.trigger(41).pattern_id == 41, "a pattern id was lost")
    expect(rig.subject.trigger().pattern_id == -1, "a pattern id out of nothing")


@CAMERA.check
def frames_tell_the_time(rig: Rig) -> None:
    """UTC of today."""
    expect(abs(_frame(rig).utc_start_ns - time.time_ns()) < 86_400e9, "utc_start_ns is not today")


@CAMERA.check
def frames_are_the_caller_s_to_keep(rig: Rig) -> None:
    """A later frame does not change an earlier one."""
    with rig.lit(_POWER):
        frame = _frame(rig)
        kept: NDArray[Any] = np.array(frame.data, copy=True)
        for _ in range(6):
            _frame(rig)
    expect(bool(np.array_equal(frame.data, kept)), "a frame changed after it was returned")


@CAMERA.check
def an_exposure_takes_its_time(rig: Rig) -> None:
    """A frame is not there before its exposure can have ended."""
    _frame(rig, 0.1)
    if not rig.virtual:
        taken_s = seconds(lambda: rig.subject.trigger())
        expect(taken_s > 0.099, f"a frame of 100 ms came after {taken_s * 1e3:.0f} ms")
    frame = rig.subject.trigger()
    near("an exposure", (frame.end_ns - frame.start_ns) / 1e9, 0.1, relative=0.02)


@CAMERA.check
def saturation_is_told(rig: Rig) -> None:
    """Pixels at the end of the well or of the converter are counted."""
    with rig.lit(0.36):
        frame = _frame(rig, 1.0)
    expect(frame.saturated == frame.data.size, f"{frame.saturated} of {frame.data.size} pixels told as saturated")
    expect(_frame(rig).saturated == 0, "saturated pixels in the dark")


@CAMERA.check
def a_burst_that_is_not_triggered_is_an_error(rig: Rig) -> None:
    """Frames that did not come are not made up, and the camera works on."""
    rig.subject.roi = _REGION
    rig.subject.exposure_s = 0.004
    rig.subject.arm(3)
    refused((DeviceTimeout, DeviceError), rig.subject.collect, "collect without triggers")
    expect(rig.subject.trigger().data.shape == (_REGION.rows, _REGION.columns), "no frame after a failed burst")


@CAMERA.check
def a_burst_of_nothing_is_refused(rig: Rig) -> None:
    """At least one frame."""
    refused(LimitError, lambda: rig.subject.arm(0), "arm(0)")

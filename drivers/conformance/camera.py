"""Checks of cameras: counts follow exposure and light, regions are exact, frames are new and honest of themselves."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
_BRIGHT = 0.36
_EXPOSURES_S = (0.004, 0.008, 0.016)
_WITHIN = 0.03
_MARGIN_S = 0.6

_ODD_REGIONS = (
    ROI(row=63, column=97, rows=31, columns=45),
    ROI(row=1, column=3, rows=33, columns=17),
    ROI(row=130, column=210, rows=20, columns=50),
)
_BINNINGS = (1, 2, 3, 4, 8)
_DIVISIBLE = ROI(row=65, column=97, rows=48, columns=96)
"""At odd places, and in whole blocks of every binning above."""


def _frame(rig: Rig, exposure_s: float = 0.008, region: ROI = _REGION, binning: int = 1) -> Any:
    rig.subject.binning = 1
    rig.subject.roi = region
    rig.subject.exposure_s = exposure_s
    if binning == 1:
        return rig.subject.trigger(7)
    rig.subject.binning = binning
    try:
        return rig.subject.trigger(7)
    finally:
        rig.subject.binning = 1


def _signal(rig: Rig, frame: Any) -> float:
    return float(np.asarray(frame.data, float).mean() - rig.offset_counts * frame.binning**2)


def _wanted(rig: Rig, power: float, exposure_s: float) -> float:
    return rig.counts_per_second(power) * exposure_s


@contextmanager
def _darkened(rig: Rig, dark: NDArray[np.bool_], row: int = 0, column: int = 0) -> Iterator[None]:
    """With these pixels of the sensor dark, and all others lit as they are: by half a turn of the panel."""
    half = np.where(dark, rig.panel.levels // 2, 0).astype(np.uint8)
    try:
        rig.panel.write_gray(half, row, column)
        rig.panel.settle()
        yield
    finally:
        rig.panel.write_gray(np.zeros_like(half), row, column)
        rig.panel.settle()


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
def a_region_is_where_it_was_asked_for(rig: Rig) -> None:
    """At odd places, each pixel sees what the panel shows in front of it; one that is shifted sees something else."""
    dark = np.random.default_rng(20261127).integers(0, 2, (192, 320)).astype(bool)
    with _darkened(rig, dark), rig.lit(_POWER):
        for region in _ODD_REGIONS:
            frame = _frame(rig, region=region)
            light = (np.asarray(frame.data, float) - rig.offset_counts) / _wanted(rig, _POWER, frame.exposure_s)
            there = dark[region.row : region.row + region.rows, region.column : region.column + region.columns]
            expect(light.shape == there.shape, f"{region} came as {light.shape}")
            wrong = int(np.count_nonzero((light < 0.5) != there))
            expect(wrong == 0, f"{wrong} of {light.size} pixels of {region} see other pixels of the panel")


@CAMERA.check
def binning_reads_back(rig: Rig) -> None:
    """In the setting and in the frame; the region stays in pixels of the sensor."""
    single = _frame(rig, region=_DIVISIBLE)
    full_scale, gain = rig.subject.full_scale_counts, rig.subject.electrons_per_count
    for n in _BINNINGS:
        rig.subject.binning = n
        try:
            frame = rig.subject.trigger()
            expect(rig.subject.binning == frame.binning == n, f"binning {n} is told as {frame.binning}")
            shape = (_DIVISIBLE.rows // n, _DIVISIBLE.columns // n)
            expect(frame.data.shape == shape, f"binning {n} of {_DIVISIBLE} came as {frame.data.shape}")
            expect(frame.roi == rig.subject.roi == _DIVISIBLE, f"binning {n} changed the region to {frame.roi}")
            expect(frame.data.dtype.kind == single.data.dtype.kind, f"binning {n} came as {frame.data.dtype}")
            near(f"full scale with binning {n}", rig.subject.full_scale_counts, n * n * full_scale, relative=1e-9)
            near(f"gain with binning {n}", frame.electrons_per_count, gain, relative=1e-9)
        finally:
            rig.subject.binning = 1


@CAMERA.check
def a_binning_that_does_not_fit_is_refused(rig: Rig) -> None:
    """Nor a region that is not made of whole blocks; and nothing is changed."""
    rig.subject.binning = 1
    rig.subject.roi = _DIVISIBLE
    refused(LimitError, lambda: setattr(rig.subject, "binning", 5), "binning = 5 of 48x96 pixels")
    refused(LimitError, lambda: setattr(rig.subject, "binning", 0), "binning = 0")
    expect(rig.subject.binning == 1, f"binning changed to {rig.subject.binning} though it was refused")
    rig.subject.binning = 8
    try:
        for wrong in (ROI(row=0, column=0, rows=12, columns=16), ROI(row=0, column=0, rows=16, columns=20)):
            refused(LimitError, lambda w=wrong: setattr(rig.subject, "roi", w), f"{wrong} with binning 8")  # type: ignore[misc]
            expect(rig.subject.roi == _DIVISIBLE, f"the region changed to {rig.subject.roi} though it was refused")
        rig.subject.roi = ROI(row=3, column=5, rows=8, columns=16)
        expect(rig.subject.trigger().data.shape == (1, 2), "one row of two blocks is something else")
    finally:
        rig.subject.binning = 1


@CAMERA.check
def binned_pixels_are_the_sums_of_their_blocks(rig: Rig) -> None:
    """Counted in full pixels: lit ones saturate, dark ones do not, so each sum tells a wrong pixel or a clipped end."""
    full = int(rig.subject.full_scale_counts / rig.subject.binning**2)
    exposure_s = 2 * full / rig.counts_per_second(_BRIGHT)
    for n in (2, 3, 8):
        dice = np.random.default_rng([20261127, n])
        shape = (_DIVISIBLE.rows // n, _DIVISIBLE.columns // n)
        share = np.kron(dice.choice([0.0, 0.5, 1.0], shape), np.ones((n, n)))
        lit = dice.random((_DIVISIBLE.rows, _DIVISIBLE.columns)) < share
        with _darkened(rig, ~lit, _DIVISIBLE.row, _DIVISIBLE.column), rig.lit(_BRIGHT):
            frame = _frame(rig, exposure_s, _DIVISIBLE, n)
        data = np.asarray(frame.data, float)
        expect(data.shape == shape, f"binning {n} came as {data.shape}")
        lit_pixels = lit.reshape(shape[0], n, shape[1], n).sum(axis=(1, 3))
        wanted = lit_pixels * full + (n * n - lit_pixels) * rig.offset_counts
        worst = float(np.abs(data - wanted).max())
        expect(worst < full / 4, f"binning {n}: a sum is {worst:.0f} counts off, a pixel's full scale is {full}")
        exact = data[lit_pixels == n * n]
        expect(bool(np.all(exact == n * n * full)), f"binning {n}: {n * n} full pixels are {exact.min():.0f} counts")
        near(f"saturated blocks with binning {n}", frame.saturated, int(np.count_nonzero(lit_pixels)))


@CAMERA.check
def binning_sums_offset_light_and_noise(rig: Rig) -> None:
    """Offset and light n^2 of a pixel's, and the same gain, from variances (EMVA 1288; false alarm below 1e-6)."""
    n, region = 2, ROI(row=65, column=97, rows=192, columns=192)  # 9,216 sums: their variance is known to 1.5 %

    def two() -> tuple[NDArray[Any], NDArray[Any], float]:
        frames = [_frame(rig, 0.016, region, n) for _ in range(2)]
        one, other = (np.asarray(frame.data, float) for frame in frames)
        return one, other, frames[0].exposure_s

    with rig.lit(_POWER):
        one, other, exposure_s = two()
    dark_one, dark_other, _ = two()
    near("counts in the dark", float(dark_one.mean()), n * n * rig.offset_counts, absolute=2.0 * n * n)
    signal = (one.mean() + other.mean() - dark_one.mean() - dark_other.mean()) / 2
    near("counts of sums", float(signal), n * n * _wanted(rig, _POWER, exposure_s), relative=_WITHIN)
    variance = np.var(one - other) / 2 - np.var(dark_one - dark_other) / 2
    near("electrons per count", float(signal / variance), rig.subject.electrons_per_count, relative=0.1)


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
    with rig.lit(_BRIGHT):
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


@CAMERA.check
def a_camera_takes_frames_by_itself(rig: Rig) -> None:
    """One exposure after the other, as bright as a single one, numbered on; none is lost, or the same twice."""
    with rig.lit(_POWER):
        single = _frame(rig)
        stack = rig.subject.burst(4)
    expect(stack.data.shape == (4, _REGION.rows, _REGION.columns), f"4 frames came as {stack.data.shape}")
    numbers = [single.frame_id, *stack.frame_ids.tolist()]
    expect(numbers == list(range(numbers[0], numbers[0] + 5)), f"frame ids {numbers}")
    expect(not stack.lost_before.any(), f"lost frames: {stack.lost_before}")
    for k in range(3):
        expect(stack.start_ns[k + 1] >= stack.end_ns[k], "a frame began before the one before it ended")
        expect(not np.array_equal(stack.data[k], stack.data[k + 1]), "two frames are the same")
    wanted = _signal(rig, single)
    for image in stack.data:
        near("counts of a frame", float(np.asarray(image, float).mean() - rig.offset_counts), wanted, relative=_WITHIN)


@CAMERA.check
def frames_it_takes_by_itself_are_at_least_one(rig: Rig) -> None:
    """None at all is refused."""
    refused(LimitError, lambda: rig.subject.burst(0), "burst(0)")

"""How long a pattern takes: latency, scan and settling of the SLM, delay and pace of the camera."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration import step_response
from calibration.flat_light import metered
from calibration.lighting import light, must_emit
from calibration.prbm_patterns import DARK_TURNS
from calibration.step_response import StepData
from labctl.client import ROI, Bench, CalibrationError, Check, Finding, Frame, Measured, Parameters, Recorder, Routine

LEAST_STEPS, LEAST_FRAMES = 4, 20
LEAST_BEFORE = 2
"""Frames of each step that must be over when it begins."""

FILL = 0.6
"""Of full scale, of the brightest pixel."""

LEAST_CHANGE = 0.2
"""Of the light at the zeroth order that a step must change."""


class SettleParameters(Parameters):
    """How many steps, how long each is watched, and where."""

    steps: int = Field(12, ge=1, le=1000, description="up and down in turn, in two groups of rows")
    watch_s: float = Field(0.15, gt=0, le=10, description="after each step")
    rest_s: float = Field(0.1, ge=0, le=10, description="before the next, and a refresh more or less")
    exposure_s: float = Field(2e-3, gt=0, le=0.1, description="of a frame, at least; the source's power follows")
    power: float = Field(0.05, gt=0, le=1, description="set-point of the source to begin with")
    swing: float = Field(0.75, gt=0.2, lt=1, description="of a turn, between the two gray levels")
    group_rows: int = Field(16, ge=1, le=1000, description="that step; one group at either end of the lit rows")
    stripe: int = Field(8, ge=1, le=200, description="columns of a stripe; every other one steps")
    window_rows: int = Field(5, ge=1, le=500, description="of the camera around the zeroth order")
    window_columns: int = Field(49, ge=1, le=500, description="less than a stripe's first order is away")
    refresh_hz: float = Field(60.0, gt=1, le=10000, description="of the panel's input, as its video mode says")
    tolerance: float = Field(0.05, gt=0, lt=1, description="rad from its phase at which a pixel is settled")


class Settle(Routine):
    """Latency, scan and time constants of the SLM from steps of a grating; delay and pace of the camera.

    Rows at the top and at the bottom of the lit ones step in turn between two gray levels, all others send their light
    away; the camera watches the zeroth order. The time constants are those of the phase. A new pattern waits for a
    refresh of the panel, so beginnings lie on a grid of its period; between the shortest and the longest delay lies the
    latency. settle_s is the longest time from a pattern's arrival until each pixel is within a tolerance of its phase.
    """

    Parameters = SettleParameters
    role = "slm"
    roles = ("slm", "camera", "source")
    alignments = ("prbm",)
    kinds = ("slm_timing", "camera.camera_timing")
    valid_for = timedelta(days=90)

    def run(self, bench: Bench, parameters: SettleParameters, record: Recorder) -> dict[str, Any]:
        """Meter, then step and watch."""
        p, slm, camera = parameters, bench.slm, bench.camera
        if p.steps < LEAST_STEPS or p.watch_s < LEAST_FRAMES * p.exposure_s:
            raise CalibrationError(
                f"{p.steps} steps of {p.watch_s / p.exposure_s:.0f} frames: too few frames; {LEAST_STEPS} steps of "
                f"{LEAST_FRAMES} are needed. Raise `steps` or `watch_s`"
            )
        groups = _groups(bench, p)
        camera.binning = 1
        camera.roi = _window(bench, p)
        settling = float(slm.settle_s), float(slm.base_settle_s)
        bench.source.emission = False
        dark = float(np.median(camera.trigger().data))
        try:
            slm.settle_s = slm.base_settle_s = 0.0
            with light(bench, p.power):
                write_s = self._dark_stripes(bench, p, groups)
                self._rest(camera, p, 1.0)
                exposure_s = metered(bench, dark, FILL, p.exposure_s, level=np.max)
                camera.exposure_s = exposure_s
                steps, calls = self._steps(bench, p, groups, dark, write_s, record)
                must_emit(bench)
        finally:
            slm.settle_s, slm.base_settle_s = settling
        change = max(float(np.ptp(s.signal)) / max(float(s.signal.max()), 1.0) for s in steps)
        if change < LEAST_CHANGE:
            raise CalibrationError(
                f"steps of {p.swing:.2f} turns change the light at the zeroth order by {change:.1%}: the SLM does not "
                "show what it is sent (stuck, another display, a wrong look-up table), or its light does not reach the "
                "window: see [alignment.prbm] zeroth_order and first_row"
            )
        _must_have_settled(steps)
        return {"steps": _resolved(steps), "calls": calls, "rows": int(slm.rows), "groups": groups}

    def _gray(self, slm: Any, p: SettleParameters, rows: int, turns: float) -> NDArray[Any]:
        """Pattern (rows, columns) of stripes at 0 and at so many turns: gray levels, or rad of a continuous panel."""
        return _in_levels(slm, np.array([0.0, turns]), p.stripe, rows)

    def _dark_stripes(self, bench: Bench, p: SettleParameters, groups: NDArray[np.int64]) -> float:
        """Everything dark but the groups, which are at the lower level. Returns how long a local write took (s)."""
        slm = bench.slm
        write = slm.write_gray if int(slm.levels) else slm.write
        write(_in_levels(slm, np.array(DARK_TURNS), p.stripe, int(slm.rows)))
        took_s = 0.0
        for first in groups:
            begun_s = bench.time_s()
            write(self._gray(slm, p, p.group_rows, 0.0), row=int(first), whole=False)
            took_s = max(took_s, bench.time_s() - begun_s)
        return took_s

    def _rest(self, camera: Any, p: SettleParameters, refreshes: float) -> None:
        """On a table in virtual time only what instruments do takes time: an exposure that nobody looks at does."""
        before = float(camera.exposure_s)
        camera.exposure_s = p.rest_s + refreshes / p.refresh_hz
        camera.trigger()
        camera.exposure_s = before

    def _steps(
        self,
        bench: Bench,
        p: SettleParameters,
        groups: NDArray[np.int64],
        dark: float,
        write_s: float,
        record: Recorder,
    ) -> tuple[list[StepData], NDArray[np.float64]]:
        """The steps; and of each frame when it was asked for, began and ended (s)."""
        slm, camera = bench.slm, bench.camera
        write = slm.write_gray if int(slm.levels) else slm.write
        now_s = _clock(bench)
        high: set[int] = set()
        steps, calls = [], []
        for step in record.steps(p.steps, "steps"):
            # Beginnings at all times between two refreshes tell the latency from the wait for a refresh.
            self._rest(camera, p, float(record.rng.random()))
            group = step.index // 2 % len(groups)
            high ^= {group}
            pattern = self._gray(slm, p, p.group_rows, p.swing if group in high else 0.0)
            frames: list[Frame] = []

            def watch(until_s: float, least: int = 0, frames: list[Frame] = frames) -> None:
                while len(frames) < least or frames[-1].end_ns * 1e-9 < until_s:
                    asked_s = now_s()
                    frames.append(camera.trigger())
                    calls.append((asked_s, frames[-1].start_ns * 1e-9, frames[-1].end_ns * 1e-9))

            # A panel may begin before the call that wrote to it returns, so the camera already looks.
            watch(0.0, LEAST_BEFORE)
            written = write.submit(pattern, row=int(groups[group]), whole=False)
            watch(frames[-1].end_ns * 1e-9 + 2 * write_s, LEAST_BEFORE + 1)
            written.result()
            arrived_s = float(slm.settle()) * 1e-9  # at once, since nothing is waited for
            watch(arrived_s + p.watch_s)
            if any(f.saturated for f in frames):
                raise CalibrationError("the camera saturates while the light changes: lower `power`, or use a filter")
            seen = StepData(
                group=group,
                rises=group in high,
                arrived_s=arrived_s,
                time_s=np.array([0.5e-9 * (f.start_ns + f.end_ns) for f in frames]) - arrived_s,
                signal=np.array([float(f.data.sum()) - dark * f.data.size for f in frames]),
                exposure_s=float(frames[0].exposure_s),
                spread_s=p.group_rows / int(slm.rows) / p.refresh_hz,
            )
            record.save(f"step_{step.index}", np.stack([seen.time_s, seen.signal]))
            step.save(group=group, rises=seen.rises, arrived_s=arrived_s, frames=len(frames))
            steps.append(seen)
        return steps, np.array(calls)

    def findings(self, results: dict[str, Any], parameters: SettleParameters, record: Recorder) -> Sequence[Finding]:
        """Of the panel and of the camera."""
        p, steps = parameters, results["steps"]
        found = step_response.fit(steps, 2 * np.pi * p.swing, 1.5 / p.refresh_hz)
        step_response.draw(record.picture("steps"), steps, found)
        _must_have_seen_the_beginnings(steps, found.start_s)
        place = (results["groups"][[s.group for s in steps]] + (p.group_rows - 1) / 2) / results["rows"]
        times = step_response.timing(
            np.array([s.arrived_s for s in steps]), found.start_s, found.start_error_s, place, 1 / p.refresh_hz
        )
        slow_s, slow_error_s = max((found.rise_s, found.rise_error_s), (found.fall_s, found.fall_error_s))
        fades = np.log(2 * np.pi / p.tolerance)
        settle_s = times.latency_s + times.period_s + times.scan_s + slow_s * fades
        settle_error_s = np.sqrt(times.latency_error_s**2 + times.scan_error_s**2 + (slow_error_s * fades) ** 2)
        unsettled = float(np.exp(-(p.watch_s - found.start_s.max()) / slow_s))
        conditions = {
            "swing": Measured(p.swing * 2 * np.pi, "rad"),
            "steps": Measured(len(steps)),
            "exposure": Measured(steps[0].exposure_s, "s"),
        }
        return [
            Finding(
                kind="slm_timing",
                values={
                    "rise_time_s": Measured(found.rise_s, "s", found.rise_error_s),
                    "fall_time_s": Measured(found.fall_s, "s", found.fall_error_s),
                    "latency_s": Measured(times.latency_s, "s", times.latency_error_s),
                    "scan_time_s": Measured(times.scan_s, "s", times.scan_error_s),
                    "refresh_period_s": Measured(times.period_s, "s", times.period_error_s),
                    "settle_s": Measured(settle_s, "s", settle_error_s),
                    "jitter_s": Measured(times.jitter_s, "s"),
                },
                conditions=conditions | {"tolerance": Measured(p.tolerance, "rad")},
                checks=(
                    Check(name="residual of the steps, relative to their height", value=found.residual, high=0.1),
                    Check(name="share of a step that was still to come at the end", value=unsettled, high=0.05),
                    Check(name="beginnings off the grid of refreshes, in periods",
                          value=times.jitter_s / times.period_s, high=0.25),
                ),
            ),
            _of_camera(results["calls"], conditions),
        ]  # fmt: skip


def _in_levels(slm: Any, turns: NDArray[np.float64], stripe: int, rows: int) -> NDArray[Any]:
    """Pattern (rows, columns) of stripes at these turns, again and again: gray levels, or rad of a continuous panel. A
    whole turn is the last gray level."""
    stripes = turns[np.arange(int(slm.columns)) // stripe % len(turns)]
    levels = int(slm.levels)
    if levels:
        dtype = np.uint8 if levels <= 256 else np.uint16
        stripes = np.minimum(np.rint(stripes * levels), levels - 1).astype(dtype)
    return np.ascontiguousarray(np.broadcast_to(stripes if levels else 2 * np.pi * stripes, (rows, len(stripes))))


def _must_have_settled(steps: list[StepData]) -> None:
    for s in steps:
        tenth = max(len(s.signal) // 10, 2)
        last, before = s.signal[-tenth:], s.signal[-2 * tenth : -tenth]
        noise = float(np.hypot(last.std(), before.std())) / np.sqrt(tenth)
        change = abs(float(last.mean() - before.mean()))
        if change > max(0.02 * float(np.ptp(s.signal)), 5 * noise):
            raise CalibrationError(
                f"the panel had not settled {s.time_s[-1]:.3g} s after a step: some of it was still to come. Raise "
                "`watch_s` and `rest_s`"
            )


def _resolved(steps: list[StepData]) -> list[StepData]:
    found = step_response.resolved(steps)
    if len(found) < max(LEAST_STEPS, len(steps) / 2) or len({(s.group, s.rises) for s in found}) < 4:
        raise CalibrationError(
            f"during {len(steps) - len(found)} of {len(steps)} steps the camera paused while the light changed: calls "
            "take too long for what is to be seen. Give the SLM and the camera servers of their own ([servers]), and "
            "let nothing else use the machine"
        )
    return found


def _must_have_seen_the_beginnings(steps: list[StepData], start_s: NDArray[np.float64]) -> None:
    """From the tail of a step alone neither its time constant nor its beginning can be told."""
    before = []
    for s, begin_s in zip(steps, start_s, strict=True):
        ended_s = s.time_s + s.exposure_s / 2
        pace_s = float(np.median(np.diff(s.time_s)))
        before.append(int(((ended_s < begin_s) & (ended_s > begin_s - (LEAST_BEFORE + 2) * pace_s)).sum()))
    if min(before) < LEAST_BEFORE:
        raise CalibrationError(
            f"{sum(n < LEAST_BEFORE for n in before)} of {len(steps)} steps had begun before the camera looked: it "
            "does not expose while the SLM is written to. Give the SLM a server of its own ([servers.NAME] devices = "
            '["slm"]), and let nothing else use the machine'
        )


def _clock(bench: Bench) -> Callable[[], float]:
    """The clock (s) of the camera's frames: bench time, or the machine's own where instruments keep that."""
    frame: Frame = bench.camera.trigger()
    ended_s = frame.end_ns * 1e-9
    if abs(bench.time_s() - ended_s) <= abs(time.monotonic() - ended_s):
        return bench.time_s
    return time.monotonic


def _of_camera(calls: NDArray[np.float64], conditions: dict[str, Measured]) -> Finding:
    asked, start, end = calls.T
    delay = start - asked
    # From the end of an exposure to the beginning of the next; between steps other things happen.
    gap = start[1:] - end[:-1]
    gap = gap[gap < 4 * np.median(gap)]

    def error(times_s: NDArray[np.float64]) -> float:
        return float(max(1.2533 * times_s.std() / np.sqrt(len(times_s)), 1e-6))

    return Finding(
        kind="camera_timing",
        role="camera",
        values={
            "trigger_delay_s": Measured(float(np.median(delay)), "s", error(delay)),
            "trigger_jitter_s": Measured(float(delay.std()), "s"),
            "frame_gap_s": Measured(float(np.median(gap)), "s", error(gap)),
        },
        conditions=conditions,
        checks=(Check(name="earliest beginning of an exposure after its trigger", value=float(delay.min()), unit="s",
                      low=-1e-4),),
    )  # fmt: skip


def _groups(bench: Bench, p: SettleParameters) -> NDArray[np.int64]:
    """First rows of the two groups, a few rows within the lit ones."""
    plan: Any = bench.alignment("prbm")
    first, lit = int(plan.first_row), int(plan.bands * plan.rows_per_band)
    inside = min(8, max(lit // 2 - p.group_rows, 0) // 2)
    if 2 * p.group_rows > lit:
        raise CalibrationError(f"two groups of {p.group_rows} rows, and {lit} are lit: choose fewer `group_rows`")
    return np.array([first + inside, first + lit - inside - p.group_rows])


def _window(bench: Bench, p: SettleParameters) -> ROI:
    """Of the camera around the zeroth order, cut at the sensor's edges."""
    spot: Any = getattr(bench.alignment("prbm"), "zeroth_order")  # noqa: B009 - of any bench's alignment
    camera = bench.camera
    rows, columns = min(p.window_rows, camera.rows), min(p.window_columns, camera.columns)
    row = min(max(spot.row - rows // 2, 0), camera.rows - rows)
    column = min(max(spot.column - columns // 2, 0), camera.columns - columns)
    return ROI(row=row, column=column, rows=rows, columns=columns)

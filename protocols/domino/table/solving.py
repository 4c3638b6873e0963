"""Starts run on the table, side by side, and what is known of them afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.domino.table.loop import Ended, Loop, run_through
from protocols.domino.table.modes import WithoutErrors, rig_for, set_up_light, stages_on, windows_of
from protocols.domino.table.reading import compile_kernels
from simulators.physics.domino.locked_flow import Stage, flow, spread_starts, starts

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

AT_ONCE = 100
"""Starts side by side: a frame of each in a play."""
MOST_FLIPS = 0.02
"""Of the locks read: with noise, a node of the support may turn its sign now and then."""


_OF_MODE = {
    "shot": "couplings act for {window:.3g} in a frame, and add {added_by_couplings:.0%} (rms) to seeds' own light",
    "injection": "|psi| is {density_bias:.0%} more than without the drive of {drive_w:.3g} W, detunings turn phases by "
    "{lag_rad:.2g} rad at most, couplings pull them by {added_by_couplings:.2g} (rms) of what the drive holds them by",
}
"""What of a mode is measured when it is set up."""


@dataclass(frozen=True)
class Wanted:
    """So many starts, spread (see `spread_starts`); latency in frames; noise written on phases, rad."""

    starts: int
    spread: float
    latency: int
    phase_rad: float


@dataclass(frozen=True, eq=False)
class OnTable:
    """supports (N, starts), of unlocked starts none. From the same starts, begun (N, starts): ideal (N, starts), those
    of the ideal loop, and errorless, those of the table's own steps with light without errors. lost, unlocked,
    phase_rms, visibility: (starts,), see `Ended`. times: (frames,) by which steps have come. values: of the result."""

    supports: Bools
    ideal: Bools
    errorless: Bools
    begun: Array
    lost: NDArray[np.int64]
    unlocked: Bools
    phase_rms: Array
    visibility: Array
    times: Array
    values: dict[str, Any] = field(default_factory=dict)

    def course(self, record: Recorder, start: int, points: int = 200) -> tuple[Array, Array]:
        """Times (points,) and amplitudes (points, N) of one start, as light had them."""
        batch, at = divmod(start, AT_ONCE)
        shown = np.asarray(record.series("x"))[batch * len(self.times) : (batch + 1) * len(self.times), :, at]
        keep = np.unique(np.geomspace(1, len(self.times), points).round().astype(int)) - 1
        keep = keep[self.times[keep] > 0]
        return self.times[keep], shown[keep].astype(np.float64)


def run_on_table(
    bench: Bench, A: Array, planned: tuple[Stage, ...], p: Wanted, record: Recorder, purpose: str
) -> OnTable:
    """All starts of a network A (N, N) through the steps planned; goes on where a run was stopped.

    Raises ConfigurationError for a bench that is no multiplier, or too small; CalibrationError where it cannot be set
    up, or no frames come.
    """
    n = len(A)
    rig = rig_for(bench, A)
    kept = dict(record.resumed or {})
    parts = _Parts(n, kept)
    own = np.random.default_rng([record.seed, 1])  # of calibration: starts are those of a run without a table
    compile_kernels()
    with bench.control(purpose, run=record.path.stem), rig.light():
        begun_s = bench.time_s()
        light, found = set_up_light(rig, A, own)
        light.jitter_rad = p.phase_rad
        record.console.done(
            f"table set up: W psi {found.residual:.1%} off, {found.noise:.1%} noise a frame; couplings to "
            f"{found.coupling_error[-1]:.1%}"
        )
        window = found.values.get("window")
        windows = int(kept.get("windows", windows_of(planned, window)))
        stages = stages_on(planned, window, windows)
        batches = [min(AT_ONCE, p.starts - k) for k in range(0, p.starts, AT_ONCE)]
        frames = sum(stage.steps for stage in stages) + p.latency
        loop = None if "x" not in kept else Loop(kept["x"], stages, p.latency)
        if loop is not None:
            loop.restore(kept)
        for step in record.steps(len(batches) * frames, f"{p.starts} starts by light"):
            batch, frame = divmod(step.index, frames)
            if frame == 0 or loop is None:
                x = starts(n, batches[batch], record.rng) if p.spread == 1 else spread_starts(
                    n, batches[batch], p.spread, record.rng
                )  # fmt: skip
                loop = Loop(x, stages, p.latency)
                parts.x = x
            seen = loop.advance(light)
            shown = np.full((n, batches[0]), np.nan, np.float32)
            shown[:, : batches[batch]] = np.abs(loop.psi)
            step.save(x=shown, lost=int((~seen.came).sum()), unlocked=int((seen.came & ~seen.locked).sum()))
            if frame == frames - 1:
                errorless = run_through(parts.x, stages, p.latency, WithoutErrors(light))
                parts.add(loop.ended(), errorless, flow(A, parts.x, planned).support())
            if record.checkpoint_due or frame == frames - 1:
                bench_s = float(kept.get("bench_s", 0.0)) + bench.time_s() - begun_s
                record.checkpoint(**loop.state(), **parts.state(), bench_s=bench_s, windows=windows)
        bench_s = float(kept.get("bench_s", 0.0)) + bench.time_s() - begun_s
    values = {
        "mode": rig.plan.mode,
        "bench_s": bench_s,
        "latency_frames": p.latency,
        "residual": found.residual,
        "residual_total": found.residual_total,
        "frame_noise": found.noise,
        "coupling_error": found.coupling_error,
        **found.values,
    }
    steps = np.repeat([stage.h for stage in stages], [stage.steps for stage in stages])
    return parts.finished(np.concatenate([np.zeros(p.latency), np.cumsum(steps)]), values)


def refuse_on_table(p: Any) -> None:
    """ConfigurationError for parameters of a solve that are of the ideal loop alone."""
    for name, off in (("eta", 0.0), ("pins", 0), ("decay", 0.0)):
        if getattr(p, name) != off:
            raise ConfigurationError(f"{name}={getattr(p, name):g} is of loop=ideal; leave it out with loop=table")


def compared(table: OnTable, hit: Bools, hit_errorless: Bools, hit_ideal: Bools) -> dict[str, Any]:
    """Values of a solve on the table. hit, hit_errorless, hit_ideal: (starts,) which succeeded on the table, with light
    without errors, and in the ideal loop."""
    count = len(hit)
    lacking = hit_ideal.astype(np.float64) - hit
    return {
        **table.values,
        "lost_frames": int(table.lost.sum()),
        "unlocked": int(table.unlocked.sum()),
        "phase_rms_rad": float(np.sqrt((table.phase_rms**2).mean())),
        "visibility": float(table.visibility.mean()),
        "success_ideal": float(hit_ideal.mean()),
        "success_errorless": float(hit_errorless.mean()),
        "success_of_locked": float(hit[~table.unlocked].mean()) if not table.unlocked.all() else 0.0,
        "short_by": float(lacking.mean()),
        "short_by_err": float(lacking.std() / np.sqrt(count)),
        "why": why(table, float(hit_errorless.mean())),
    }


def why(table: OnTable, success_errorless: float) -> str:
    """What was measured that a table has and the equations have not."""
    v = table.values
    phase = float(np.sqrt((table.phase_rms**2).mean()))
    words = [
        f"W psi is {v['residual']:.1%} off and has {v['frame_noise']:.1%} of noise in a frame",
        f"phases are {phase:.2g} rad (rms) from what was written",
        f"measurements are older than a step by {v['latency_frames']}",
    ]
    if v["mode"] in _OF_MODE:
        words.append(_OF_MODE[v["mode"]].format(**v))
    words.append(f"the same steps, with light without errors, succeed with {success_errorless:.2f}")
    if table.lost.any():
        words.append(f"{int(table.lost.sum())} frames were lost")
    if table.unlocked.any():
        words.append(f"{int(table.unlocked.sum())} of {len(table.unlocked)} starts were unlocked, and failed for it")
    return "; ".join(words)


def told(v: Mapping[str, Any]) -> str:
    """The table's line on the console."""
    return (
        f"on the table ({v['mode']}): success {v['success']:.2f}, of the same starts by the equations "
        f"{v['success_ideal']:.2f}; {v['unlocked']} unlocked, {v['lost_frames']} frames lost, {v['bench_s']:.0f} s of "
        "bench time"
    )


class _Parts:
    """What batches of starts have ended with so far, and the starts of the one that runs."""

    NAMES = ("supports", "ideal", "errorless", "begun", "lost", "unlocked", "phase_rms", "visibility")

    def __init__(self, nodes: int, kept: Mapping[str, Any]) -> None:
        none = np.zeros((nodes, 0))
        empty = (
            none > 0,
            none > 0,
            none > 0,
            none,
            np.zeros(0, np.int64),
            np.zeros(0, np.bool_),
            np.zeros(0),
            np.zeros(0),
        )
        self._all = {name: kept.get(name, e) for name, e in zip(self.NAMES, empty, strict=True)}
        self.x: Array = kept.get("x", none)

    def add(self, ended: Ended, errorless: Ended, ideal: Bools) -> None:
        """A batch that has ended, and what has become of the same starts without errors, and without a table."""
        new = (
            ended.support(MOST_FLIPS),
            ideal,
            errorless.support(MOST_FLIPS),
            self.x,
            ended.lost,
            ended.unlocked,
            ended.phase_rms,
            ended.visibility,
        )
        for name, one in zip(self.NAMES, new, strict=True):
            self._all[name] = np.concatenate([self._all[name], one], axis=-1)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {**self._all, "x": self.x}

    def finished(self, times: Array, values: dict[str, Any]) -> OnTable:
        """All of them."""
        return OnTable(**self._all, times=times, values=values)

"""What calibration and figure do step by step with a lattice: search, settle, count afresh; what a run keeps of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, Recorder
from protocols.dyad.calibrate.balance import REPEATED, SURE, Balance, Search
from protocols.dyad.calibrate.bayes import BayesOptions, BayesSearch
from protocols.dyad.calibrate.parameters import CalibrateParameters
from protocols.dyad.calibrate.posterior import WRITTEN, Counts, Prior
from protocols.dyad.calibrate.sweep import SweepOptions, SweepSearch
from protocols.dyad.calibrate.tracking import Tracker, longest_excursion
from protocols.dyad.table.lattice import STATE, DyadLattice, plan_of

Array = NDArray[np.float64]

_MOST_BATCHES = 1000
CHUNK = 500
"""Fresh condensations between two checkpoints."""
SETTLING = 1000
"""Condensations of a window of settling: two seconds of a camera, in which no sample moves far."""
SHOWN = ("pattern", "pattern_ln_powers")
"""Of a lattice's state, what changes with every hologram."""
WITHIN = 0.03
"""What p_1 may be off by."""


class Counted:
    """What steps of a run counted: stage, ln r_gamma asked for, ones, trials, misread, time since the window before."""

    STAGES = ("search", "fresh", "track", "sweep", "settle")

    def __init__(self, record: Recorder, n: int) -> None:
        self._n = n
        self._steps: list[tuple[str, Array, Array, float, Array, float]] = []
        stages = record.series("stage")
        if stages is not None:
            x, ones, trials, misread, passed_s = (
                np.asarray(record.series(name)) for name in ("x", "ones", "trials", "misread", "passed_s")
            )
            for k, stage in enumerate(stages):
                told = x[k], ones[k], float(trials[k]), misread[k], float(passed_s[k])
                self._steps.append((self.STAGES[int(stage)], *told))

    def save(
        self, step: Any, stage: str, x: Array, ones: Array, trials: int, passed_s: float, misread: Array | None = None
    ) -> None:
        """One step."""
        told = np.zeros(self._n) if misread is None else misread
        step.save(
            stage=self.STAGES.index(stage), x=x, ones=ones, trials=float(trials), misread=told, passed_s=float(passed_s)
        )
        self._steps.append((stage, x, ones, float(trials), told, float(passed_s)))

    def of(self, stage: str) -> list[tuple[Array, Array, float, float]]:
        """x, ones, trials, time since the window before of all steps of a stage."""
        return [(x, ones, trials, s) for name, x, ones, trials, _, s in self._steps if name == stage]

    def counts(self, stage: str) -> Counts:
        """The same for a `Search`."""
        counts = Counts.none(self._n)
        for name, x, ones, trials, misread, _ in self._steps:
            if name == stage:
                counts = counts.with_batch(x, ones, np.full(self._n, trials), misread)
        return counts


def lattice_of(bench: Bench, record: Recorder) -> DyadLattice:
    """The lattice, found anew; in a resumed run as it was found then."""
    found = {name: record.saved(name) for name in STATE}
    if record.resumed is not None and all(v is not None for v in found.values()):
        shown = {name: record.resumed[name] for name in SHOWN}
        known: dict[str, Any] = {**found, **shown}
        kept = record.resumed
        lattice = DyadLattice(bench, plan_of(bench), record.rng, known=known)
        record.when_thawed(lambda: lattice.restore(kept))
        return lattice
    lattice = DyadLattice(bench, plan_of(bench), record.rng, anew=True)
    for name, value in lattice.state().items():
        record.save(name, value)
    return lattice


def kept(lattice: DyadLattice, record: Recorder, since_s: tuple[float, float] = (0.0, 0.0)) -> None:
    """A checkpoint, with the pattern that is shown: what is counted goes on with its faults. since_s: `times`."""
    state = lattice.state()
    record.checkpoint(**{name: state[name] for name in SHOWN}, **lattice.kept(), since_s=np.array(since_s))


def times(bench: Bench, record: Recorder, begun: bool) -> tuple[float, float]:
    """Bench time at which windows began, and that of the last one; of a table that goes on, as they were.

    begun: whether there was a window.
    """
    if begun and record.resumed is not None and record.resumes_table:
        return float(record.resumed["since_s"][0]), float(record.resumed["since_s"][1])
    now_s = bench.time_s()
    return now_s, now_s


def search_of(p: CalibrateParameters, n: int, rng: np.random.Generator) -> Search:
    """The method that is wanted."""
    if p.method == "sweep":
        return SweepSearch(n, sweep_options(p), rng)
    options = BayesOptions(precision=p.precision, most=p.most, first=p.batch, patience=p.patience)
    return BayesSearch(n, options, Prior(), rng)


def sweep_options(p: CalibrateParameters, precision: float | None = None) -> SweepOptions:
    """Of a sweep as the parameters say."""
    return SweepOptions(
        points=p.points,
        reach=p.reach,
        precision=precision or p.precision,
        most=max(p.most, 200_000),
        first=max(p.batch, 100),
        patience=p.patience,
    )


def searched(
    lattice: DyadLattice,
    search: Search,
    p: CalibrateParameters,
    record: Recorder,
    done: Counted,
    stage: str = "search",
) -> None:
    """Ask and tell, batch by batch, until the search is done; a Bayesian one begins with all ratios at 1."""
    for step in record.steps(_MOST_BATCHES, "batches"):
        if search.done:
            return
        x, frames = search.ask()
        if not search.counts.x.shape[1] and isinstance(search, BayesSearch):
            x, frames = np.zeros(lattice.n), p.before
        lattice.set_ratios(np.exp(x))
        shots = lattice.shots(frames)
        search.tell(x, shots.ones, np.full(lattice.n, float(frames)), shots.misread)
        done.save(step, stage, x, shots.ones, frames, shots.frame_s * frames, shots.misread)
        now = search.balance()
        step.note(f"{now.trials.max():.0f} each, {now.late.sum()} of {lattice.n} uncertain")
        kept(lattice, record)


def settled(
    bench: Bench, lattice: DyadLattice, found: Balance, p: CalibrateParameters, record: Recorder, done: Counted
) -> Balance:
    """The balance of now, after a search whose counts are of the last minute, in which the sample has moved.

    Windows of counts are told to a `Tracker`, and dyads that are clearly off are set anew after each; the lattice ends
    with what the last of them says.
    """
    windows = p.settle // SETTLING if p.method == "bayes" else 0
    if not windows:
        return found
    slope, misread = np.maximum(found.slope, 1.0), done.counts("search").misread
    tracker = Tracker(found.x, (found.p1_sd / slope) ** 2, slope)
    tracker.balance = found.x - (found.p1 - 0.5) / slope
    for x, ones, trials, passed_s in done.of("settle"):
        tracker.x = x
        tracker.tell(ones, int(trials), passed_s, misread)
    begun_s, last_s = times(bench, record, bool(done.of("settle")))
    for step in record.steps(windows, "windows of settling"):
        lattice.set_ratios(np.exp(tracker.x))
        shots = lattice.shots(SETTLING)
        now_s = bench.time_s()
        done.save(step, "settle", tracker.x, shots.ones, SETTLING, now_s - last_s)
        tracker.tell(shots.ones, SETTLING, now_s - last_s, misread)
        last_s = now_s
        kept(lattice, record, (begun_s, last_s))
    sd = np.sqrt(tracker.variance + WRITTEN**2)
    p1 = 0.5 + slope * (tracker.x - tracker.balance)
    return replace(
        found,
        x=tracker.x,
        low=tracker.balance - SURE * sd,
        high=tracker.balance + SURE * sd,
        p1=p1,
        p1_sd=np.hypot(slope * sd, REPEATED),
        trials=found.trials + SETTLING * windows,
        late=(slope * sd > p.precision) | (np.abs(p1 - 0.5) > WITHIN / 2),
    )


def counted_afresh(lattice: DyadLattice, trials: int, record: Recorder, done: Counted) -> Array:
    """p_1 (n,) of so many condensations at the present ratios, that are in no feedback."""
    x = np.log(lattice.ratios)
    parts = [min(CHUNK, trials - first) for first in range(0, trials, CHUNK)]
    for step in record.steps(len(parts), "fresh condensations"):
        shots = lattice.shots(parts[step.index])
        done.save(step, "fresh", x, shots.ones, parts[step.index], shots.frame_s * parts[step.index], shots.misread)
        kept(lattice, record)
    counts = done.counts("fresh")
    raw = counts.ones.sum(axis=1) / counts.trials.sum(axis=1)
    misread = np.clip(counts.misread, 0, 0.4)
    return np.asarray((raw - misread) / (1 - 2 * misread))


def summarised(r: dict[str, Any], p: CalibrateParameters) -> dict[str, Any]:
    """Numbers of a calibration and of what was counted afterwards."""
    b, fresh = r["balance"], r["fresh"]
    low, high = b.p1_interval
    _, ones, trials, _ = r["before"]
    before = ones / trials
    values: dict[str, Any] = {
        "dyads": len(fresh),
        "p1_before": {"mean": float(before.mean()), "rms_off": rms(before - 0.5)},
        "p1": {
            "mean": float(fresh.mean()),
            "rms_off": rms(fresh - 0.5),
            "worst_off": float(np.abs(fresh - 0.5).max()),
        },
        "within": float((np.abs(fresh - 0.5) <= WITHIN).mean()),
        "covered": int(((fresh >= low) & (fresh <= high)).sum()),
        "trials": float(b.trials.mean()),
        "late": int(b.late.sum()),
        "batches": int(r["search"].counts.x.shape[1]),
        "slope": float(np.median(b.slope)),
    }
    if r["tracked"]:
        p1, x = r["tracked"]["p1"], r["tracked"]["x"]
        noise = np.sqrt(0.25 / p.window)
        values["tracking"] = {
            "windows": len(p1),
            "excursion_s": longest_excursion(p1, p.every, WITHIN, noise),
            "rms_off": float(np.sqrt(max(((p1 - 0.5) ** 2).mean() - noise**2, 0.0))),
            "ratio_moved": rms(x[-1] - x[0]),
        }
    return values


def rms(values: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))

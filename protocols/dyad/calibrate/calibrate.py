"""`dyad.calibrate`: the pump ratio at which both orientations are as likely, for all dyads of a lattice in parallel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import chi2

from labctl.client import (
    Bench,
    Calibration,
    CalibrationError,
    Check,
    Finding,
    Measured,
    Parameters,
    Recorder,
    Routine,
)
from protocols.dyad.calibrate.balance import Balance, Search
from protocols.dyad.calibrate.bayes import BayesOptions, BayesSearch
from protocols.dyad.calibrate.pictures import draw_balance, draw_tracking
from protocols.dyad.calibrate.posterior import Counts, Prior
from protocols.dyad.calibrate.sweep import SweepOptions, SweepSearch
from protocols.dyad.calibrate.tracking import Tracker, longest_excursion
from protocols.dyad.table.lattice import DYAD_ALIGNMENTS, DYAD_ROLES, KIND, STATE, DyadLattice, plan_of

Array = NDArray[np.float64]

_MOST_BATCHES = 1000
_CHUNK = 500
"""Fresh condensations between two checkpoints."""
SHOWN = ("pattern", "pattern_ln_powers")
"""Of a lattice's state, what changes with every hologram."""
_CHECKED = 400
"""Condensations of a check."""
WITHIN = 0.03
"""What p_1 may be off by."""


class CalibrateParameters(Parameters):
    """How the balance is searched, and how it is looked at afterwards."""

    method: Literal["bayes", "sweep"] = Field("bayes", description="the search")
    precision: float = Field(0.009, gt=1e-3, lt=0.2, description="standard deviation of p_1 that is wanted")
    most: int = Field(40_000, ge=100, description="condensations of each dyad at most")
    batch: int = Field(30, ge=5, le=5000, description="condensations of the first batches, bayes; of each point, sweep")
    patience: float = Field(0.03, ge=0, lt=1, description="share of dyads that need not hold up the others")
    before: int = Field(100, ge=5, description="condensations with all ratios at 1, which the search begins with")
    verify: int = Field(2000, ge=100, description="fresh condensations afterwards, in no feedback")
    points: int = Field(16, ge=4, le=200, description="ratios of a sweep")
    reach: float = Field(0.15, gt=0, le=0.5, description="of a sweep, in ln r_gamma either way")
    track: float = Field(0.0, ge=0, description="s of bench time for which p_1 is then kept at one half")
    window: int = Field(400, ge=50, le=100_000, description="condensations in each window of tracking")
    every: float = Field(10.0, gt=0, description="s of bench time from window to window")


class Calibrate(Routine):
    """The pump ratio of every dyad at which it is fair, from measured orientations only.

    Bayesian: ratios are asked for that every dyad's posterior proposes, until p_1 is known to ``precision`` everywhere
    and near one half; or the plain sweep and spline of the paper. Then fresh condensations are counted: the routine's
    own check. With ``track`` the ratios then follow the sample's drift for so long. Values: `p1_before`, `p1` (fresh),
    rms and worst distance from one half, share `within` 0.03 of it, dyads `covered` by their intervals, `trials` of
    each dyad, `late` dyads; of tracking the longest `excursion_s` beyond 0.03, rms, and how far ratios went.
    """

    Parameters = CalibrateParameters
    bench = "dyad-sim"
    role = "slm"
    roles = DYAD_ROLES
    alignments = DYAD_ALIGNMENTS
    kinds = (KIND,)
    valid_for = timedelta(days=1)
    kept_by_run: ClassVar[bool] = True

    def run(self, bench: Bench, parameters: CalibrateParameters, record: Recorder) -> dict[str, Any]:
        """Find the lattice, search, count afresh, track."""
        p = parameters
        lattice = lattice_of(bench, record)
        done = Counted(record, lattice.n)
        search = search_of(p, lattice.n, record.rng)
        search.restore(done.counts("search"))
        with lattice.light():
            searched(lattice, search, p, record, done)
            balance = search.balance()
            lattice.set_ratios(np.exp(balance.x))
            fresh = counted_afresh(lattice, p.verify, record, done)
            tracked = self._track(bench, lattice, balance, p, record, done) if p.track else {}
            misread = lattice.shots(_CHUNK // 5).misread
        return {
            "balance": balance,
            "search": search,
            "before": done.of("search")[0],
            "fresh": fresh,
            "misread": misread,
            "places": lattice.places,
            "radius_px": lattice.radius_px,
            "state": lattice.state(),
            "marks": lattice.marks(),
            "shape": lattice.shape,
            "tracked": tracked,
        }

    def _track(
        self,
        bench: Bench,
        lattice: DyadLattice,
        balance: Balance,
        p: CalibrateParameters,
        record: Recorder,
        done: Counted,
    ) -> dict[str, Any]:
        """Windows of counts, ratios after each of them."""
        tracker = Tracker(balance.x, (balance.p1_sd / balance.slope) ** 2, np.maximum(balance.slope, 1.0))
        for x, ones, trials, passed_s in done.of("track"):
            tracker.x = x
            tracker.tell(ones, int(trials), passed_s)
        begun_s = last_s = bench.time_s()
        windows = max(round(p.track / p.every), 1)
        for step in record.steps(windows, "windows of tracking"):
            lattice.set_ratios(np.exp(tracker.x))
            shots = lattice.shots(p.window)
            now_s = bench.time_s()
            done.save(step, "track", tracker.x, shots.ones, p.window, now_s - last_s)
            tracker.tell(shots.ones, p.window, now_s - last_s)
            kept(lattice, record)
            last_s = now_s
            left_s = p.every * (step.index + 1) - (now_s - begun_s)
            if left_s > 0:
                lattice.wait(left_s)
        course = done.of("track")
        return {
            "x": np.stack([x for x, *_ in course]),
            "p1": np.stack([ones / trials for _, ones, trials, _ in course]),
            "drift": tracker.drift,
        }

    def findings(self, results: dict[str, Any], parameters: Any, record: Recorder) -> Sequence[Finding]:
        """Ratios with their uncertainty, judged by the fresh condensations."""
        r, b = results, results["balance"]
        shape = r["shape"]
        fresh, counted = r["fresh"], parameters.verify
        chance = np.sqrt(0.25 / counted)
        late = float(b.late.mean())
        z = (fresh - b.p1) / np.hypot(b.p1_sd, chance)
        # Uncertainties a quarter too small pass; chance alone fails once in a thousand lattices.
        bound = 1.25 * float(np.sqrt(chi2.isf(1e-3, len(z)) / len(z)))
        low, high = b.p1_interval
        draw_balance(record.picture("balance"), shape, r["before"], fresh, b, r["search"].counts)
        if r["tracked"]:
            draw_tracking(record.picture("tracking"), r["tracked"], parameters)
        values = {
            "ratio": Measured(np.exp(b.x), "1", np.exp(b.x) * (b.high - b.low) / (2 * 1.96)),
            "ratio_low": Measured(np.exp(b.low)),
            "ratio_high": Measured(np.exp(b.high)),
            "p1": Measured(b.p1, "1", b.p1_sd),
            "p1_low": Measured(low),
            "p1_high": Measured(high),
            "slope": Measured(b.slope),
            "fresh_p1": Measured(fresh, "1", chance),
            "trials": Measured(b.trials),
            "late": Measured(b.late),
            "misread": Measured(r["misread"]),
            "places_px": Measured(r["places"], "px", 0.1),
            "radius_px": Measured(r["radius_px"], "px"),
            **{name: Measured(v) for name, v in {**r["state"], **r["marks"]}.items()},
        }
        return [
            Finding(
                kind=KIND,
                values=values,
                checks=(
                    Check(name="fresh p1 from what is expected, rms in standard deviations", value=_rms(z), high=bound),
                    Check(name="dyads that are not certain", value=late, high=max(0.1, 2 * parameters.patience)),
                ),
                devices=("camera", "pump"),
            )
        ]

    def conclude(self, results: dict[str, Any], parameters: Any, record: Recorder) -> dict[str, Any]:
        """See the class."""
        found = super().conclude(results, parameters, record)
        return {**summarised(results, parameters), KIND: found[KIND]}

    def check(
        self, bench: Bench, parameters: Any, in_force: Mapping[str, Calibration], record: Recorder
    ) -> Mapping[str, tuple[Check, ...]]:
        """Whether p_1 still is one half: some hundred condensations of every dyad at the ratios in force."""
        known = in_force[KIND]
        lattice = DyadLattice(bench, plan_of(bench), record.rng)
        if lattice.balanced is None:
            raise CalibrationError(
                "the lattice of the bench file, or the wavefront, is another one than was calibrated"
            )
        lattice.set_ratios(lattice.balanced)
        with lattice.light():
            shots = lattice.shots(_CHECKED)
        off = shots.ones / _CHECKED - known["p1"]
        usual = np.hypot(known.uncertainty("p1"), np.sqrt(0.25 / _CHECKED))
        excess = float((off**2 - usual**2).mean())
        bound = WITHIN**2 / 4 + 3 * float(np.sqrt(2.0 * (usual**4).mean() / lattice.n))
        return {KIND: (Check(name="mean square of p1 beyond what is uncertain", value=excess, high=bound),)}


# --- steps that figures share ---------------------------------------------------------------------------------------


class Counted:
    """What steps of a run counted: stage, ln r_gamma asked for, ones, trials, misread, time since the window before."""

    STAGES = ("search", "fresh", "track", "sweep")

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
        return DyadLattice(bench, plan_of(bench), record.rng, known={**found, **shown})  # type: ignore[dict-item]
    lattice = DyadLattice(bench, plan_of(bench), record.rng, anew=True)
    for name, value in lattice.state().items():
        record.save(name, value)
    return lattice


def kept(lattice: DyadLattice, record: Recorder) -> None:
    """A checkpoint, with the pattern that is shown: what is counted goes on with its faults."""
    state = lattice.state()
    record.checkpoint(**{name: state[name] for name in SHOWN})


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


def counted_afresh(lattice: DyadLattice, trials: int, record: Recorder, done: Counted) -> Array:
    """p_1 (n,) of so many condensations at the present ratios, that are in no feedback."""
    x = np.log(lattice.ratios)
    parts = [min(_CHUNK, trials - first) for first in range(0, trials, _CHUNK)]
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
        "p1_before": {"mean": float(before.mean()), "rms_off": _rms(before - 0.5)},
        "p1": {
            "mean": float(fresh.mean()),
            "rms_off": _rms(fresh - 0.5),
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
            "ratio_moved": _rms(x[-1] - x[0]),
        }
    return values


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))

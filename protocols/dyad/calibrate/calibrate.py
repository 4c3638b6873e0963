"""`dyad.calibrate`: the pump ratio at which both orientations are as likely, for all dyads of a lattice in parallel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from labctl.client import (
    Bench,
    Calibration,
    CalibrationError,
    Check,
    Finding,
    Measured,
    Recorder,
    Routine,
)
from protocols.dyad.calibrate.balance import Balance
from protocols.dyad.calibrate.parameters import CalibrateParameters
from protocols.dyad.calibrate.pictures import draw_balance, draw_tracking
from protocols.dyad.calibrate.steps import (
    CHUNK,
    WITHIN,
    Counted,
    counted_afresh,
    kept,
    lattice_of,
    rms,
    search_of,
    searched,
    settled,
    summarised,
    times,
)
from protocols.dyad.calibrate.tracking import Tracker
from protocols.dyad.table.lattice import DYAD_ALIGNMENTS, DYAD_ROLES, KIND, DyadLattice, plan_of
from protocols.dyad.table.reading import compile_kernels

Array = NDArray[np.float64]

_CHECKED = 400
"""Condensations of a check."""


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
    follows = ("wavefront",)
    valid_for = timedelta(days=1)
    kept_by_run: ClassVar[bool] = True
    keeps_table = True

    def prepare(self, parameters: CalibrateParameters, record: Recorder) -> None:
        """Compile what reads the lattice."""
        compile_kernels()

    def run(self, bench: Bench, parameters: CalibrateParameters, record: Recorder) -> dict[str, Any]:
        """Find the lattice, search, count afresh, track."""
        p = parameters
        lattice = lattice_of(bench, record)
        done = Counted(record, lattice.n)
        search = search_of(p, lattice.n, record.rng)
        search.restore(done.counts("search"))
        with lattice.light():
            searched(lattice, search, p, record, done)
            balance = settled(bench, lattice, search.balance(), p, record, done)
            lattice.set_ratios(np.exp(balance.x))
            fresh = counted_afresh(lattice, p.verify, record, done)
            tracked = self._track(bench, lattice, balance, p, record, done) if p.track else {}
            misread = lattice.shots(CHUNK // 5).misread
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
        begun_s, last_s = times(bench, record, bool(done.of("track")))
        windows = max(round(p.track / p.every), 1)
        for step in record.steps(windows, "windows of tracking"):
            lattice.set_ratios(np.exp(tracker.x))
            shots = lattice.shots(p.window)
            now_s = bench.time_s()
            done.save(step, "track", tracker.x, shots.ones, p.window, now_s - last_s)
            tracker.tell(shots.ones, p.window, now_s - last_s)
            last_s = now_s
            left_s = p.every * (step.index + 1) - (now_s - begun_s)
            if left_s > 0:
                lattice.wait(left_s)
            kept(lattice, record, (begun_s, last_s))
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
                    Check(name="fresh p1 from what is expected, rms in standard deviations", value=rms(z), high=bound),
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

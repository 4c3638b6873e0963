"""The figure `dyad.calibrate`: a lattice made fair, every dyad counted afresh, and what a plain sweep costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, Figure, Recorder
from protocols.dyad.calibrate.balance import Balance
from protocols.dyad.calibrate.bayes import BayesSearch
from protocols.dyad.calibrate.parameters import CalibrateParameters
from protocols.dyad.calibrate.pictures import draw_balance, draw_comparison
from protocols.dyad.calibrate.posterior import Counts
from protocols.dyad.calibrate.steps import (
    Counted,
    counted_afresh,
    lattice_of,
    search_of,
    searched,
    settled,
    summarised,
    sweep_options,
)
from protocols.dyad.calibrate.sweep import SweepSearch
from protocols.dyad.table.lattice import DYAD_ALIGNMENTS, DYAD_ROLES
from protocols.dyad.table.reading import compile_kernels

Array = NDArray[np.float64]


class FigureParameters(CalibrateParameters):
    """As of the calibration, and how precise the sweep is made that it is compared with."""

    verify: int = Field(20_000, ge=100, description="fresh condensations of every dyad, in no feedback")
    sweep_precision: float = Field(
        0.02, gt=1e-3, lt=0.2, description="standard deviation of p_1 at which both methods' trials are compared"
    )


class CalibrateFigure(Figure):
    """A lattice's balance by the Bayesian search, counted afresh, beside a sweep and spline of the same precision.

    Values: `within`, share of dyads whose fresh p_1 is 0.5 ± 0.03; `covered`, dyads (of 100) whose fresh p_1 lies in
    the stated 95 % interval; `trials` of each dyad; `trials_same` and `sweep_trials`, those of either method when p_1
    is known to `sweep_precision`, `ratio` of the two; `same_rms_off`, how far p_1 was from 1/2 where the search saw the
    balance then, by the balance that it found in the end; `sweep_rms_off`, fresh p_1's distance from 1/2 at the ratios
    that the sweep found, which no hologram had shown before.
    """

    Parameters = FigureParameters
    bench = "dyad-sim"
    roles = DYAD_ROLES
    alignments = DYAD_ALIGNMENTS
    keeps_table = True

    def targets(self, parameters: FigureParameters) -> dict[str, dict[str, float]] | None:
        """What is promised of a lattice of 100 dyads."""
        if parameters != FigureParameters():
            return None
        return {"within": {"min": 1.0}, "covered": {"min": 88}, "ratio": {"max": 0.2}}

    def prepare(self, parameters: FigureParameters, record: Recorder) -> None:
        """Compile what reads the lattice."""
        compile_kernels()

    def run(self, bench: Bench, parameters: FigureParameters, record: Recorder) -> dict[str, Any]:
        """Search, count afresh, sweep."""
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
            sweep = SweepSearch(lattice.n, sweep_options(p, p.sweep_precision), record.rng)
            sweep.restore(done.counts("sweep"))
            searched(lattice, sweep, p, record, done, "sweep")
            found = np.nan_to_num(sweep.balance().x)
            lattice.set_ratios(np.exp(found))
            swept = lattice.shots(1000)
        return {
            "balance": balance,
            "search": search,
            "sweep": sweep,
            "before": done.of("search")[0],
            "fresh": fresh,
            "swept": swept.ones / len(swept.states),
            "shape": lattice.shape,
            "tracked": {},
        }

    def conclude(self, results: dict[str, Any], parameters: FigureParameters, record: Recorder) -> dict[str, Any]:
        """Compare and draw."""
        r, p = results, parameters
        values = summarised(r, p)
        same, best = when_known(r["search"], p.sweep_precision, p.patience)
        balance: Balance = r["balance"]
        swept: Balance = r["sweep"].balance()
        off = r["swept"] - 0.5
        values |= {
            "trials_same": same,
            "same_rms_off": float(np.sqrt(((balance.slope * (best - balance.x)) ** 2).mean())),
            "sweep_trials": float(swept.trials.mean()),
            "sweep_late": int(swept.late.sum()),
            "ratio": same / float(swept.trials.mean()),
            "sweep_rms_off": float(np.sqrt(max((off**2).mean() - 0.25 / 1000, 0.0))),
        }
        draw_balance(record.picture("balance"), r["shape"], r["before"], r["fresh"], r["balance"], r["search"].counts)
        draw_comparison(record.picture("comparison"), r["search"], r["sweep"], same, p.sweep_precision)
        record.console.done(
            f"p1 of {100 * values['within']:.0f} % of {values['dyads']} dyads in 0.5 ± 0.03, {values['covered']} in "
            f"their intervals, {values['trials']:.0f} condensations of each; to {p.sweep_precision:g}: {same:.0f}, by "
            f"a sweep {values['sweep_trials']:.0f}"
        )
        return values


def when_known(search: BayesSearch, precision: float, patience: float) -> tuple[float, Array]:
    """Condensations of each dyad after which p_1 was known to ``precision``, of all dyads but a share ``patience``; and
    where the balance was thought to be at the end of that batch, ln r_gamma (n,).

    Within a batch, what is known is taken to grow with what is counted, as 1 / sd^2.
    """
    again = BayesSearch(len(search.counts.x), search.options, search.prior, np.random.default_rng(0))
    spent, known, wanted = 0.0, 0.0, 1 / precision**2
    for k in range(search.counts.x.shape[1]):
        some: Counts = search.counts.first(k + 1)
        again.tell(some.x[:, -1], some.ones[:, -1], some.trials[:, -1], some.misread)
        now = 1 / max(float(np.quantile(again.uncertainty, 1 - patience, method="higher")), 1e-9) ** 2
        total = float(some.spent.mean())
        if now >= wanted:
            share = (wanted - known) / (now - known) if now > known else 1.0
            return spent + min(max(share, 0.0), 1.0) * (total - spent), again.best
        spent, known = total, now
    return spent, again.best

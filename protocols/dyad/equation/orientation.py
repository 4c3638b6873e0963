"""`dyad.orientation`: how often condensate 2 is the denser one when the sites differ (Fig. 1c and d)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from labctl.client import Bench, Recorder
from protocols.dyad.equation.figure import EquationFigure, Positive, one_or_all, share_error, stationary, with_picture
from protocols.dyad.equation.trials import TrialParameters, orientations, tell_undecided

_R_G = tuple(round(x, 4) for x in np.linspace(0.9, 1.3, 41).tolist())
_R_GAMMA = (0.9, 0.92, 0.94, 0.96, 0.98, 1.0)
_FOR_SLOPE = 100_000


class OrientationParameters(TrialParameters):
    """Which sites."""

    r_g: tuple[Positive, ...] = Field(_R_G, description="detunings of site 2 in units of g, comma-separated")
    r_gamma: tuple[Positive, ...] = Field(_R_GAMMA, description="pumpings of site 2 in units of gamma, comma-separated")

    @field_validator("r_g", "r_gamma")
    @classmethod
    def _some(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("give one or more numbers, for example 0.98,1.02")
        return value


class Orientation(EquationFigure):
    """Share p1 of dyads with condensate 2 denser, and sigma = sqrt(p1 (1 - p1)), against r_g for values of r_gamma.

    Values: `p1`, `p1_err` (standard error), `sigma`, `undecided` (share of dyads whose amplitudes still differ by less
    than 2 %): a number for one r_g and one r_gamma, a list where one of them has several values, a list for each
    r_gamma where both have. `stationary`: whether the asymmetric states are stable. With several settings also
    `dp1_dr_g` at r_g = r_gamma = 1, which amp sets, and its error `dp1_dr_g_err`.
    """

    Parameters = OrientationParameters

    def targets(self, parameters: OrientationParameters) -> dict[str, dict[str, float]] | None:
        """The slope that was found independently is 19.9; equal sites are fair, with a false alarm of 1e-5."""
        p = parameters
        if p != OrientationParameters(trials=p.trials):
            return None
        even = 4.4 * 0.5 / math.sqrt(p.trials)
        return {"dp1_dr_g": {"min": 18.4, "max": 21.4}, "p1_even": {"min": 0.5 - even, "max": 0.5 + even}}

    def prepare(self, parameters: OrientationParameters, record: Recorder) -> None:
        """Whether there are orientations at all."""
        parameters.step(max(parameters.r_g), max(parameters.r_gamma))
        self.stationary = stationary(parameters)
        if not self.stationary:
            record.console.say("asymmetric states are unstable here: orientations are those of oscillating dyads")

    def run(self, bench: Bench, parameters: OrientationParameters, record: Recorder) -> dict[str, Any]:
        """Condense dyads at every setting."""
        p, settings = parameters, _settings(parameters)
        for step in record.steps(len(settings), "dyads condense"):
            r_g, r_gamma, trials = settings[step.index]
            found = orientations(p, trials, r_g, r_gamma, record.rng)
            step.save(r_g=r_g, r_gamma=r_gamma, trials=trials, ones=found.ones, undecided=found.undecided)
            if record.checkpoint_due:
                record.checkpoint()
        return {}

    def conclude(self, results: dict[str, Any], parameters: OrientationParameters, record: Recorder) -> dict[str, Any]:
        """Shares with their errors, the picture."""
        p = parameters
        saved: Any = {name: record.series(name) for name in ("trials", "ones", "undecided")}
        shape = (len(p.r_gamma), len(p.r_g))
        n = shape[0] * shape[1]
        ones = saved["ones"][:n].reshape(shape)
        p1 = ones / p.trials
        error = np.array([[share_error(int(k), p.trials) for k in row] for row in ones])
        values: dict[str, Any] = {
            "r_g": one_or_all(p.r_g),
            "r_gamma": one_or_all(p.r_gamma),
            "p1": _shaped(p1),
            "p1_err": _shaped(error),
            "sigma": _shaped(np.sqrt(p1 * (1 - p1))),
            "undecided": _shaped(saved["undecided"][:n].reshape(shape) / p.trials),
            "stationary": self.stationary,
        }
        told = f"p1 = {p1[0, 0]:.4f} ± {error[0, 0]:.4f}" if n == 1 else f"{n} settings, {p.trials} dyads each"
        if n > 1:
            up, down = saved["ones"][n:] / saved["trials"][n:]
            width = 2 * _span(p)
            values["dp1_dr_g"] = (up - down) / width
            values["dp1_dr_g_err"] = math.sqrt((up * (1 - up) + down * (1 - down)) / saved["trials"][-1]) / width
            told += f"; dp1/dr_g = {values['dp1_dr_g']:.1f} ± {values['dp1_dr_g_err']:.1f} at r_g = r_gamma = 1"
        if 1.0 in p.r_g and 1.0 in p.r_gamma:
            values["p1_even"] = float(p1[p.r_gamma.index(1.0), p.r_g.index(1.0)])
        tell_undecided(record, float(np.max(values["undecided"])), p)
        record.console.done(told)
        with_picture(record, "orientation", lambda path: _draw(path, p, p1, error))
        return values


def _span(p: OrientationParameters) -> float:
    """On either side of r_g = 1, small against the width of the curve, which is about as the root of amp."""
    return 0.005 * min(math.sqrt(p.amp / 0.01), 4.0)


def _settings(p: OrientationParameters) -> list[tuple[float, float, int]]:
    rows = [(r_g, r_gamma, p.trials) for r_gamma in p.r_gamma for r_g in p.r_g]
    if len(rows) > 1:
        many = max(p.trials, _FOR_SLOPE)
        rows += [(1 + _span(p), 1.0, many), (1 - _span(p), 1.0, many)]
    return rows


def _shaped(rows: np.ndarray) -> Any:
    """Without the axes that have one value only."""
    return np.squeeze(rows).tolist()


def _draw(path: Path, p: OrientationParameters, p1: np.ndarray, error: np.ndarray) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    order = np.argsort(p.r_g)
    r_g = np.array(p.r_g)[order]
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(9.5, 3.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        colours = mpl.colormaps["viridis"](np.linspace(0.05, 0.9, len(p.r_gamma)))
        for colour, r_gamma, row, err in zip(colours, p.r_gamma, p1[:, order], error[:, order], strict=True):
            style = {"color": colour, "markersize": 3, "linewidth": 0.9, "marker": "o"}
            left.errorbar(r_g, row, err, capsize=1.5, label=f"{r_gamma:g}", **style)
            right.plot(r_g, np.sqrt(row * (1 - row)), **style)
        left.axhline(0.5, color="0.6", linewidth=0.7, linestyle=":")
        left.set(xlabel="ratio of detunings $r_g$", ylabel="share $p_1$ with condensate 2 denser", ylim=(-0.03, 1.03))
        right.set(xlabel="ratio of detunings $r_g$", ylabel="σ of the states", ylim=(-0.015, 0.52))
        left.legend(title="$r_γ$", frameon=False, loc="lower right", fontsize=8)
        figure.suptitle(
            f"J = {p.J:g}, γ = {p.gamma:g}, g = {p.g:.4g}, ξ = {p.xi:.4g}; initial noise up to {p.amp:g}, "
            f"{p.trials} dyads each",
            fontsize=9,
        )
        figure.savefig(path, dpi=120)

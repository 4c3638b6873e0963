"""`domino.xy`: ground states of the XY model, by condensates that are pumped until all are alike (Eqs 2 and 3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from labctl.client import Bench, Recorder
from protocols.domino.arithmetic import Arithmetic, with_picture
from protocols.domino.correlations.correlations_picture import draw_phases
from protocols.domino.correlations.settle import XYParameters, couplings, settled, summary

_AT_ONCE = 10


class XY(Arithmetic):
    """Energy and phases of condensates at rest.

    Values: `energy` -1/2 sum J_ij cos(theta_i - theta_j) of the best run, `phases` (nodes,) relative to the first node,
    `gamma` (nodes,) pumping at rest, `density_spread` (largest less smallest |psi|^2), `balance` sum gamma - N rho_th -
    2 E, 0 at rest; `energies` and `settled` (share) of all runs, `time` (median), in 1/`coupling_unit`, by which J
    is divided where it is weak or strong; for up to 20 nodes `energy_searched`,
    the lowest that a search found from every two-valued and 200 random states, and `success`, the share of runs
    that reach it.
    """

    Parameters = XYParameters

    def targets(self, parameters: XYParameters) -> dict[str, dict[str, float]] | None:
        """All densities alike; energy and pumping as they must be at rest."""
        if parameters != XYParameters():
            return None
        return {"density_spread": {"max": 1e-6}, "balance": {"min": -1e-5, "max": 1e-5}}

    def prepare(self, parameters: XYParameters, record: Recorder) -> None:
        """Read or draw the couplings."""
        self.J, self.names = couplings(parameters, np.random.default_rng(record.seed))

    def run(self, bench: Bench, parameters: XYParameters, record: Recorder) -> dict[str, Any]:
        """Bring all runs to rest, some in a step."""
        self.rest = at_rest(self.J, parameters, record)
        return {}

    def conclude(self, results: dict[str, Any], parameters: XYParameters, record: Recorder) -> dict[str, Any]:
        """Energies beside the search's, the picture."""
        p = parameters
        values = {**summary(self.J, self.rest, p, np.random.default_rng(record.seed)), "names": list(self.names)}
        told = f"E = {values['energy']:.6g}, densities within {values['density_spread']:.1e}"
        if values["success"] is not None:
            told += (
                f"; lowest known {values['energy_searched']:.6g}, reached by {values['success']:.0%} of {p.runs} runs"
            )
        if values["settled"] < 1:
            told += f"; {1 - values['settled']:.0%} had not settled at t = {p.longest:g}"
        record.console.done(told)
        with_picture(record, "xy", lambda path: draw_phases(path, self.J, self.names, values, []))
        return values


def at_rest(J: Any, p: XYParameters, record: Recorder) -> Any:
    """All runs at rest, as one `Rest`."""
    from simulators.physics.domino.xy import Rest

    parts = {name: [] for name in ("psi", "gamma", "time", "settled", "left")}  # type: dict[str, list[Any]]
    if record.resumed is not None:
        parts = {name: [record.resumed[name]] for name in parts}
    for step in record.steps(-(-p.runs // _AT_ONCE), f"{p.runs} runs of {len(J)} condensates"):
        rest = settled(J, min(_AT_ONCE, p.runs - step.index * _AT_ONCE), p, record.rng)
        for name, had in parts.items():
            had.append(getattr(rest, name))
        step.save(time=float(rest.time.mean()), settled=float(rest.settled.mean()))
        if record.checkpoint_due:
            record.checkpoint(**{name: np.concatenate(had) for name, had in parts.items()})
    return Rest(**{name: np.concatenate(had) for name, had in parts.items()})

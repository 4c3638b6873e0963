"""`domino.correlations`: nodes that act together, or against one another, without a link between them (Fig. 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from labctl.client import Bench, Recorder
from protocols.domino.arithmetic import Arithmetic, with_picture
from protocols.domino.correlations.correlations_picture import draw_phases
from protocols.domino.correlations.settle import XYParameters, couplings, summary
from protocols.domino.correlations.xy import at_rest
from simulators.physics.domino.xy import energy


class CorrelationsParameters(XYParameters):
    """A network of few links, by default, as in Fig. 4."""

    nodes: int = Field(16, ge=2, le=2000, description="of a random graph")
    density: float = Field(0.2, gt=0, le=1, description="links of all pairs, of a random graph")
    pairs: int = Field(20, ge=1, le=10**6, description="how many to list")


class Correlations(Arithmetic):
    """Pairs without a link, ranked by how alike or unlike their phases are.

    Values: those of `domino.xy`, and `pairs`, rows {a, b, correlation, spread}: names, cos(theta_a - theta_b) of the
    best run (-1 counter-regulated, +1 co-regulated), and its standard deviation over the runs that reach the same
    energy (1e-4), from the largest |correlation| down; pairs of parts of the network that nothing joins are left out,
    as their phases are free.
    """

    Parameters = CorrelationsParameters

    def prepare(self, parameters: CorrelationsParameters, record: Recorder) -> None:
        """Read or draw the couplings."""
        self.J, self.names = couplings(parameters, np.random.default_rng(record.seed))

    def run(self, bench: Bench, parameters: CorrelationsParameters, record: Recorder) -> dict[str, Any]:
        """Bring all runs to rest."""
        self.rest = at_rest(self.J, parameters, record)
        return {}

    def conclude(self, results: dict[str, Any], parameters: CorrelationsParameters, record: Recorder) -> dict[str, Any]:
        """Rank the pairs and draw the network."""
        p, J = parameters, self.J
        values = {**summary(J, self.rest, p, np.random.default_rng(record.seed)), "names": list(self.names)}
        rows = unlinked_pairs(J, self.rest.phases, energy(J, self.rest.phases), np.asarray(values["phases"]))
        told = [
            {"a": self.names[i], "b": self.names[j], "correlation": c, "spread": s} for i, j, c, s in rows[: p.pairs]
        ]
        values |= {"pairs": told, "unlinked": len(rows)}
        if rows:
            i, j, c, _ = rows[0]
            record.console.done(
                f"{len(rows)} pairs without a link; first: {self.names[i]} and {self.names[j]}, correlation {c:+.3f}"
            )
        else:
            record.console.done("every two nodes are linked: there are no indirect correlations")
        with_picture(record, "correlations", lambda path: draw_phases(path, J, self.names, values, told))
        return values


def unlinked_pairs(J: Any, phases: Any, energies: Any, best: Any) -> list[tuple[int, int, float, float]]:
    """(i, j, cos of their phases' difference, its spread over the runs as good as the best), strongest first.

    phases: (runs, N), energies (runs,) of all runs; best: (N,).
    """
    from scipy.sparse.csgraph import connected_components

    part = connected_components(J != 0, directed=False)[1]
    i, j = np.triu_indices(len(J), 1)
    free = (J[i, j] == 0) & (part[i] == part[j])
    i, j = i[free], j[free]
    strength = np.cos(best[i] - best[j])
    low = energies.min()
    alike = phases[energies <= low + 1e-4 * abs(low)]
    spread = np.cos(alike[:, i] - alike[:, j]).std(axis=0)
    order = np.argsort(-np.abs(strength), kind="stable")
    return [(int(i[k]), int(j[k]), float(strength[k]), float(spread[k])) for k in order]

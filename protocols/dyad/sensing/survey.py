"""Moving the lattice over its sample: at every place, the pump ratios at which its dyads are fair."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.dyad.sensing.decision import pump_equivalent
from protocols.dyad.sensing.fair import bayes, known_before, search
from protocols.dyad.sensing.moving import MovedLattice
from protocols.dyad.sensing.parameters import SenseParameters
from protocols.dyad.sensing.sample_map import Differences, SampleMap, solve
from protocols.dyad.table.alignment import DyadAlignment
from protocols.dyad.table.lattice import plan_of

Array = NDArray[np.float64]

MOST = 5000
"""Differences: their covariances are 200 MB."""
_FAR = 0.3
"""From 1/2 p_1 may stay, where only the ratio at which it would be 1/2 is wanted."""
MISSED = 1.3
"""By how much a map misses the truth, in units of what the model of it says: on the simulated table, of which the truth
is known, 1.27 times, since g does not vary as a normal process, and a hologram errs alike at places side by side."""
MOVED = 0.01
"""Of ln r_gamma: by how much the powers of a dyad's spots differ at another place: crosstalk of pixels, gray levels."""


def moves(plan: DyadAlignment, p: SenseParameters) -> list[tuple[int, int]]:
    """Rows and columns, in units, to which the lattice is moved: evenly from one row of dyads to the next, and along
    the rows by the dyads' own length, in as many parts as are wanted, until the next dyad's place.

    Raises ConfigurationError for more places than there are units, or than a map can be made of.
    """
    if p.down > plan.pitch.row or p.across > plan.separation:
        raise ConfigurationError(
            f"down = {p.down}, across = {p.across}: the lattice is moved by whole units, and has {plan.pitch.row} from "
            f"row to row and {plan.separation} from spot to spot; choose fewer"
        )
    down = sorted({round(k * plan.pitch.row / p.down) for k in range(p.down)})
    within = sorted({round(k * plan.separation / p.across) for k in range(p.across)})
    along = [k * plan.separation for k in range(max(plan.pitch.column // plan.separation, 1))]
    if len(down) * len(within) * len(along) * plan.rows * plan.columns > MOST:
        raise ConfigurationError(
            f"down = {p.down}, across = {p.across}: {len(down) * len(within) * len(along)} places of "
            f"{plan.rows * plan.columns} dyads are more than the {MOST} differences that a map is made of; choose fewer"
        )
    middle = (down[-1] // 2, (along[-1] + within[-1]) // 2)
    return [(d - middle[0], a + w - middle[1]) for d in down for w in within for a in along]


def survey(bench: Bench, p: SenseParameters, record: Recorder) -> dict[str, Any]:
    """Measure at all places. Saved in each step: `move` (2,), `x` and `x_sd` (n,), `bright` (n,), `places` (n, 2, 2)
    camera pixels, `trials`."""
    plan = plan_of(bench)
    to = moves(plan, p)
    lattice = MovedLattice(bench, plan, record.rng, to, known_before(record))
    home = lattice.state()
    with lattice.light():
        for step in record.steps(len(to), "moving over the sample"):
            lattice.move(*to[step.index])
            counting = bayes(lattice, p.map_precision, _FAR, p.map_most, record.rng)
            spent = int(search(lattice, counting).trials.max())
            step.save(
                move=np.array(to[step.index]),
                x=counting.found.mean,
                x_sd=counting.found.sd,
                bright=lattice.bright,
                places=lattice.places,
                trials=spent,
            )
            step.note(f"{spent} condensations, {int(lattice.bright.sum())} dyads")
            record.checkpoint(**home)
        frame_s = lattice.shots(20).frame_s
    return {
        "shape": list(lattice.shape),
        "coupling": plan.coupling,
        "units": lattice.planned.units,
        "frame_s": frame_s,
    }


def mapped(series: dict[str, Any], results: dict[str, Any], p: SenseParameters) -> tuple[SampleMap, Array, int]:
    """The map, its places (m, 2) on the camera, and how many differences made it."""
    moved, n = series["x"].shape
    units = np.rint(np.asarray(results["units"])).astype(np.int64).reshape(n, 2, 2)
    first, second = (units[None, :, side] + series["move"][:, None] for side in (0, 1))
    good = series["bright"].astype(bool)
    differences = Differences(
        first=first[good],
        second=second[good],
        value=-series["x"][good],
        sd=np.hypot(series["x_sd"], MOVED)[good],
        dyad=np.broadcast_to(np.arange(n), (moved, n))[good],
    )
    found = solve(differences, p.false_alarm, p.dyad_false_alarm)
    at = {}
    for side, where in enumerate((first, second)):
        for unit, place in zip(where[good], series["places"][:, :, side][good], strict=True):
            at[tuple(unit)] = place
    places = np.array([at[tuple(unit)] for unit in found.units])
    return found, places, int(good.sum())


def map_findings(
    found: SampleMap, places: Array, differences: int, series: dict[str, Any], results: dict[str, Any], p: Any
) -> dict[str, Any]:
    """The results of mode map; see `Sense`."""
    kappa = pump_equivalent(p.g, results["coupling"])
    marked = np.flatnonzero(found.certain)
    order = marked[np.argsort(-np.abs(found.z[marked]))]
    return {
        "places": len(found.units),
        "differences": differences,
        "trials": float(series["trials"].sum()),
        "kappa": kappa,
        "spread": found.spread / kappa,
        "spots": found.spots,
        "alike": found.alike,
        "sd": MISSED * float(np.median(found.sd)) / kappa,
        "measured_sd": float(np.median(series["x_sd"][series["bright"].astype(bool)])) / kappa,
        "step": found.step / kappa,
        "place_px": places,
        "dg_rel": found.f / kappa,
        "dg_rel_err": MISSED * found.sd / kappa,
        "certain": found.certain,
        "suspected": found.suspected,
        "defects": [
            {"row": float(places[k, 0]), "column": float(places[k, 1]), "dg_rel": float(found.f[k] / kappa),
             "dg_rel_err": float(MISSED * found.sd[k] / kappa)}
            for k in order
        ],
        "suspects": int(found.suspected.sum()),
        "suspects_by_chance": p.dyad_false_alarm * len(found.units),
    }  # fmt: skip

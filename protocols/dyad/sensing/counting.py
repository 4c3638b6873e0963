"""Counts with the probe off and on: what `dyad.sense` measures to tell a disturbance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.dyad.sensing.fair import make_fair
from protocols.dyad.sensing.parameters import SenseParameters
from protocols.dyad.table.lattice import DyadLattice, plan_of

Array = NDArray[np.float64]


def count(bench: Bench, p: SenseParameters, record: Recorder) -> dict[str, Any]:
    """Make the lattice fair, find its slopes, then count: a reference, and blocks at every power in random order.

    Saved in each step: `reference` (n,) ones of `reference_trials`, `ones` (1 + powers, trials, n), the first with the
    probe off, of `taken` (1 + powers, trials) condensations; and `part`, which begins anew where a run was resumed,
    for then the lattice is made anew.
    """
    probe = the_probe(bench, p)
    part = 0 if record.resumed is None else int(record.resumed["part"]) + 1
    lattice = DyadLattice(bench, plan_of(bench), record.rng)
    with lattice.light():
        record.console.say("making dyads fair")
        x = make_fair(lattice, p.precision, p.most, record.rng)
        record.save(f"slope_ones_{part}", _either_way(lattice, x, p))
        record.save("places", lattice.places)
        first = True
        for step in record.steps(p.repeats, "sensing"):
            before = lattice.shots(p.reference if first else p.trials[-1])
            first = False
            ones = np.zeros((1 + len(p.probe_w), len(p.trials), lattice.n))
            taken = np.zeros(ones.shape[:2])
            for level in record.rng.permutation(len(ones)):
                states = _with_probe(lattice, probe, 0.0 if level == 0 else p.probe_w[level - 1], p.trials[-1])
                for k, trials in enumerate(p.trials):
                    ones[level, k], taken[level, k] = states[:trials].sum(axis=0), min(trials, len(states))
            step.save(
                reference=before.ones, reference_trials=float(len(before.states)), ones=ones, taken=taken, part=part
            )
            record.checkpoint(part=part)
        frame_s = lattice.shots(p.trials[0]).frame_s
    return {"shape": list(lattice.shape), "frame_s": frame_s, "coupling": lattice.plan.coupling}


def the_probe(bench: Bench, p: SenseParameters) -> Any:
    """The bench's probe, off. ConfigurationError if it has none, or none of that power."""
    if "probe" not in bench.devices:
        raise ConfigurationError(
            f"mode = detect needs a device `probe`, whose beam shifts g of one condensate, and bench {bench.name} has "
            f"{', '.join(bench.devices)}; add [devices.probe], or choose mode=map"
        )
    probe = bench.probe
    limits = next(s.limits for s in probe.description.settings if s.name == "power_w")
    if limits.maximum is not None and p.probe_w[-1] > limits.maximum:
        raise ConfigurationError(
            f"probe_w = {p.probe_w[-1]:g} W, and the limit of probe.power_w is {limits.maximum:g} W; choose less"
        )
    probe.emission = False
    return probe


def _with_probe(lattice: DyadLattice, probe: Any, power_w: float, trials: int) -> NDArray[np.bool_]:
    """States (trials, n) with the probe at a power, and off again."""
    if not power_w:
        return lattice.shots(trials).states
    probe.power_w = power_w
    probe.emission = True
    try:
        return lattice.shots(trials).states
    finally:
        probe.emission = False


def _either_way(lattice: DyadLattice, x: Array, p: SenseParameters) -> Array:
    """Ones (2, n) at pump ratios a step below and above those at which dyads are fair, which are set afterwards."""
    ones = []
    for sign in (-1, 1):
        lattice.set_ratios(np.exp(x + sign * p.slope_step))
        shots = lattice.shots(p.slope_trials)
        ones.append(shots.ones * (p.slope_trials / len(shots.states)))
    lattice.set_ratios(np.exp(x))
    return np.stack(ones)

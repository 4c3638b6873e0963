"""Counts with the probe off and on: what `dyad.sense` measures to tell a disturbance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.dyad.sensing.fair import known_before, make_fair
from protocols.dyad.sensing.parameters import SenseParameters
from protocols.dyad.table.lattice import DyadLattice, plan_of

Array = NDArray[np.float64]

LADDER = (-1.0, -2 / 3, -1 / 3, 1 / 3, 2 / 3, 1.0)
"""Shifts of ln r_gamma at which slopes are measured, by the largest; several, since each is set with its own error."""


def count(bench: Bench, p: SenseParameters, record: Recorder) -> dict[str, Any]:
    """Make the lattice fair, find its slopes, then count: a reference, and blocks at every power in random order.

    Saved once: `x`, ln r_gamma of fair dyads; `slope_ones`, `slope_trials` around it; `places`. In each step: ones (n,)
    `reference` of `reference_trials`, `ones` (1 + powers, trials, n), the first with the probe off, of `taken`
    (1 + powers, trials) condensations; `misread` (n,); `part`: a run whose table began anew when it was
    resumed has several, each with a reference of its own.
    """
    probe = the_probe(bench, p)
    kept = record.resumed
    part = 0 if kept is None else int(kept["part"]) + (not record.resumes_table)
    lattice = DyadLattice(bench, plan_of(bench), record.rng, known=known_before(record))
    if kept is not None:
        record.when_thawed(lambda: lattice.restore(kept))
    state = lattice.state() | {"part": np.int64(part)}
    with lattice.light():
        x = record.saved("x")
        if record.resumed is None or x is None:
            record.console.say("making dyads fair")
            x = make_fair(lattice, p.precision, p.most, record.rng)
            for name, counted in zip(("ones", "trials"), _curve(lattice, x, p), strict=True):
                record.save(f"slope_{name}", counted)
            record.save("x", x)
            record.save("places", lattice.places)
            record.checkpoint(**state, **lattice.kept())
        elif record.steps_saved == 0:
            record.restore_rng()
        lattice.set_ratios(np.exp(x))
        first = record.steps_saved == 0 or not record.resumes_table
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
                misread=before.misread,
                reference=before.ones,
                reference_trials=float(len(before.states)),
                ones=ones,
                taken=taken,
                part=part,
            )
            record.checkpoint(**state, **lattice.kept())
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
    limits = probe.limits("power_w")
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


def _curve(lattice: DyadLattice, x: Array, p: SenseParameters) -> tuple[Array, Array]:
    """Ones (k, n) in trials (k,) at pump ratios on either side of those at which dyads are fair, set afterwards."""
    ones, trials = [], []
    for shift in slope_shifts(p):
        lattice.set_ratios(np.exp(x + shift))
        shots = lattice.shots(math.ceil(p.slope_trials / len(LADDER)))
        ones.append(shots.ones)
        trials.append(float(len(shots.states)))
    lattice.set_ratios(np.exp(x))
    return np.stack(ones), np.array(trials)


def slope_shifts(p: SenseParameters) -> Array:
    """Of ln r_gamma (k,), at which slopes are measured."""
    return np.asarray(p.slope_step * np.array(LADDER))

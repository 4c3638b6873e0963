"""`langevin.unit`: one unit under a constant force, simulated and by quadrature."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from pydantic import Field

from labctl.client import Bench, ConfigurationError, Parameters, Recorder
from protocols.langevin.figure import LangevinFigure, told_as_configuration
from simulators.physics.counter_random import noise_key
from simulators.physics.langevin.kernel import Couplings, evolve
from simulators.physics.langevin.potential import Units, moments

_SIDE_BY_SIDE = 1000
"""Trajectories are units of a computer without couplings, so many at a time."""
_MOST_STEPS = 10**7


class UnitParameters(Parameters):
    """The unit, and how it is simulated."""

    force: float = Field(0.0, allow_inf_nan=False, description="constant; the energy is J2 x² + J4 x⁴ - force x (k_BT)")
    J2: float = Field(10.0, allow_inf_nan=False)
    J4: float = Field(10.0, allow_inf_nan=False)
    dt: float = Field(1e-3, gt=0, le=1, description="time step (1/mu)")
    trajectories: int = Field(20_000, ge=2, le=10**7)
    seed: int | None = Field(None, ge=0, description="of the noise; null: the run's")
    duration: float | None = Field(None, gt=0, le=1e4, description="before it is read (1/mu); null: long enough")
    scheme: Literal["euler", "averaged"] = Field(
        "euler", description="Eq. (3), or Leimkuhler and Matthews' scheme, whose averages are off by dt² only"
    )


class Unit(LangevinFigure):
    """⟨x⟩ and ⟨x²⟩ of independent trajectories at the end, beside quadrature.

    Values: `mean`, `var`, `second` (⟨x²⟩) with `mean_err`, `var_err`, `second_err`; `mean_exact`, `var_exact`,
    `second_exact`; `bias`, second/second_exact - 1, with `bias_err`. Trajectories of a bistable unit begin in
    both wells, in the shares that the Boltzmann distribution has there.
    """

    Parameters = UnitParameters

    def targets(self, parameters: UnitParameters) -> dict[str, dict[str, float]] | None:
        """A bias of 1.5 % at most, and three standard errors of 20,000 trajectories."""
        p = parameters
        if p.model_copy(update={"force": 0.0, "seed": None}) != UnitParameters(scheme=p.scheme):
            return None
        return {"bias": {"min": -0.03, "max": 0.045}}

    def run(self, bench: Bench, parameters: UnitParameters, record: Recorder) -> dict[str, Any]:
        """Simulate."""
        p = parameters
        seed = record.seed if p.seed is None else p.seed
        with told_as_configuration():
            mean, second = moments(p.J2, p.J4, p.force)
            x = _simulated(p, mean, second, seed)
        centred = x - x.mean()
        var, fourth = float(centred.var(ddof=1)), float((centred**4).mean())
        var_err = math.sqrt(max(fourth - var**2, 0.0) / len(x))
        second_err = float((x * x).std(ddof=1)) / math.sqrt(len(x))
        measured = float((x * x).mean())
        return {
            "mean": float(x.mean()),
            "mean_err": math.sqrt(var / len(x)),
            "var": var,
            "var_err": var_err,
            "second": measured,
            "second_err": second_err,
            "mean_exact": mean,
            "var_exact": second - mean**2,
            "second_exact": second,
            "bias": measured / second - 1,
            "bias_err": second_err / second,
        }

    def conclude(self, results: dict[str, Any], parameters: UnitParameters, record: Recorder) -> dict[str, Any]:
        """Tell."""
        v = results
        record.console.done(
            f"<x> {v['mean']:.5f} ± {v['mean_err']:.5f} (quadrature {v['mean_exact']:.5f}), <x²> {v['second']:.5f} ± "
            f"{v['second_err']:.5f} ({v['second_exact']:.5f}): {100 * v['bias']:+.2f} %"
        )
        return v


def _simulated(p: UnitParameters, mean: float, second: float, seed: int) -> Any:
    width = min(_SIDE_BY_SIDE, p.trajectories)
    rows = -(-p.trajectories // width)
    stiffness = 2 * p.J2 + 12 * p.J4 * second
    if p.dt * stiffness > 2:
        raise ConfigurationError(
            f"dt={p.dt:g}: too long for a unit of stiffness {stiffness:.3g}; allowed: below {2 / stiffness:.2g}"
        )
    duration = 24 / max(stiffness, 2 * abs(p.J2)) if p.duration is None else p.duration
    steps = math.ceil(duration / p.dt)
    if steps > _MOST_STEPS:
        raise ConfigurationError(f"duration/dt: {steps} steps; allowed: up to {_MOST_STEPS}")
    units = Units.of(width, p.J2, p.J4)
    start = np.full((rows, width), mean)
    if p.J2 < 0:
        start = _in_either_well(p, (rows, width), seed)
    none, b = np.zeros((width, width)), np.full(width, -p.force)
    x = evolve(start, units, Couplings.of(none), (b, b), steps, p.dt, noise_key(seed, "unit"), scheme=p.scheme)
    return x[0].astype(np.float64).ravel()[: p.trajectories]


def _in_either_well(p: UnitParameters, shape: tuple[int, int], seed: int) -> Any:
    """Where trajectories of a bistable unit begin: at the mean of either side, in the shares of equilibrium, as going
    from one to the other may take longer than anybody waits."""
    far = 1.0
    while p.J2 * far**2 + p.J4 * far**4 - abs(p.force) * far < 60.0:  # k_BT above x = 0, so above the lowest
        far *= 1.2
    x = np.linspace(-far, far, 20_000)
    V = (p.J2 + p.J4 * x * x) * x * x - p.force * x
    weight = np.exp(V.min() - V)
    above = x > 0
    share = weight[above].sum() / weight.sum()
    ends = [np.average(x[side], weights=np.maximum(weight[side], 1e-300)) for side in (above, ~above)]
    return np.where(np.random.default_rng([seed, 1]).random(shape) < share, *ends)

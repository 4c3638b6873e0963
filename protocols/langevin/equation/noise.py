"""`langevin.noise`: units that fluctuate by the noise of a lattice of dyads, in place of pseudo-random numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, ConfigurationError, Parameters, Recorder
from protocols.dyad.noise.noise import load_noise
from protocols.langevin.figure import LangevinFigure, told_as_configuration
from simulators.physics.langevin.potential import Units, moments
from simulators.physics.langevin.reference import evolve_injected

_REST = 0.3
"""Time (1/mu) until units have forgotten where they began."""
_BLOCKS = 10
"""Stretches of a trajectory that errors are told from; each is many relaxation times long."""


class NoiseParameters(Parameters):
    """The noise, and units that it drives: each dyad drives one."""

    noise: Path = Field(description="run file of dyad.noise")
    J2: float = Field(10.0, allow_inf_nan=False, description="of the energy J2 x² + J4 x⁴ of a unit, k_BT")
    J4: float = Field(10.0, allow_inf_nan=False)
    force: float = Field(0.0, allow_inf_nan=False, description="constant, on every unit")
    dt: float = Field(5e-3, gt=0, le=0.1, description="time step, 1/mu: one noise image each")
    scheme: Literal["euler", "averaged"] = Field("averaged", description="Eq. (3), or of second order at equilibrium")


class Noise(LangevinFigure):
    """⟨x²⟩ of units under injected noise: of dyads, of a generator, and by quadrature.

    Values: `second`, `second_err` by dyads; `second_pseudo`, `second_pseudo_err` by as many pseudo-random numbers;
    `second_exact`; `mean`, `mean_err`, `mean_exact`; `temperature`, second/second_exact for linear units and about that
    for others, and `temperature_err`; `z`, difference of dyads and generator in standard errors; `units`, `steps`.
    """

    Parameters = NoiseParameters

    def targets(self, parameters: NoiseParameters) -> dict[str, dict[str, float]] | None:
        """Both kinds of noise are told apart by no more than chance (false alarm 1e-4)."""
        return {"z": {"min": -3.9, "max": 3.9}}

    def prepare(self, parameters: NoiseParameters, record: Recorder) -> None:
        """Read the noise."""
        images = load_noise(parameters.noise)
        self.numbers = images.reshape(len(images), -1)
        least = math.ceil(_REST / parameters.dt) + 2 * _BLOCKS
        if len(images) < least:
            raise ConfigurationError(
                f"noise={parameters.noise}: {len(images)} images; needed: {least} at dt={parameters.dt:g}; take more "
                "with dyad.noise images="
            )

    def run(self, bench: Bench, parameters: NoiseParameters, record: Recorder) -> dict[str, Any]:
        """Two trajectories, alike but for their noise."""
        p, numbers = parameters, self.numbers
        with told_as_configuration():
            mean, second = moments(p.J2, p.J4, p.force)
            by_dyads = _averages(p, numbers, mean)
            by_generator = _averages(p, record.rng.standard_normal(numbers.shape), mean)
        apart = (by_dyads["second"] - by_generator["second"]) / math.hypot(
            by_dyads["second_err"], by_generator["second_err"]
        )
        return {
            **by_dyads,
            "second_pseudo": by_generator["second"],
            "second_pseudo_err": by_generator["second_err"],
            "mean_exact": mean,
            "second_exact": second,
            "temperature": by_dyads["second"] / second,
            "temperature_err": by_dyads["second_err"] / second,
            "z": apart,
            "units": numbers.shape[1],
            "steps": len(numbers) - 1,
        }

    def conclude(self, results: dict[str, Any], parameters: NoiseParameters, record: Recorder) -> dict[str, Any]:
        """Tell."""
        v = results
        record.console.done(
            f"<x²> by dyads {v['second']:.5f} ± {v['second_err']:.5f}, by a generator {v['second_pseudo']:.5f} ± "
            f"{v['second_pseudo_err']:.5f}, by quadrature {v['second_exact']:.5f}"
        )
        return v


def _averages(p: NoiseParameters, numbers: NDArray[np.float64], mean: float) -> dict[str, float]:
    n = numbers.shape[1]
    start, none = np.full(n, mean), np.zeros((n, n))
    x = evolve_injected(start, Units.of(n, p.J2, p.J4), none, np.full(n, -p.force), numbers, p.dt, p.scheme)
    blocks = np.array_split(x[math.ceil(_REST / p.dt) :], _BLOCKS)
    found = {}
    for name, power in (("mean", 1), ("second", 2)):
        each = np.array([np.mean(block**power) for block in blocks])
        found[name], found[f"{name}_err"] = float(each.mean()), float(each.std(ddof=1)) / math.sqrt(_BLOCKS)
    return found

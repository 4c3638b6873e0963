"""`domino.noise`: how far couplings that vary all the while lead the solver astray (arXiv 2405.17296, Fig. 8)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from labctl.client import Bench, ConfigurationError, Parameters, Recorder
from protocols.domino.arithmetic import Arithmetic, with_picture
from protocols.domino.ideal import NOISY_FLIPS, IdealLoop, best_known
from protocols.domino.problem.networks import clique_network
from protocols.domino.solve.noise_picture import draw_noise
from protocols.domino.solve.solve import SAME
from simulators.physics.domino.locked_flow import flow, starts
from simulators.physics.domino.support_values import worth

Array = NDArray[np.float64]


class NoiseParameters(Parameters):
    """How strong, and on which networks."""

    eta: tuple[float, ...] = Field((0.02, 0.05, 0.1, 0.2, 0.5), description="relative noise of couplings")
    density: tuple[float, ...] = Field((0.3, 0.5, 0.7, 0.9), description="of links")
    nodes: int = Field(50, ge=2, le=1000)
    networks: int = Field(5, ge=1, le=10**4, description="of each density")
    starts: int = Field(30, ge=1, le=10**5, description="of each network")
    gamma: float = Field(0.5, ge=0, le=100, allow_inf_nan=False)
    tau: float | None = Field(None, gt=0, le=10)
    duration: float = Field(10.0, gt=0, le=1e4)

    @field_validator("eta", "density")
    @classmethod
    def _within(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 < x <= 1 for x in value):
            raise ValueError("one or more numbers above 0, 1 at most, for example 0.1,0.5")
        return value


class Noise(Arithmetic):
    """Loss of q by couplings J_ij (1 + eta U[-1, 1]) that are drawn anew between any two locks.

    A start is run with and without noise, and its supports are worth q' and q. Values, by eta: `off`, the mean of
    |q' - q| / q, `off_err` (over networks), `signed`, the mean of (q' - q) / q; `success` and `success_err` beside
    `success_still` without noise; `other`, the share of starts that end with another support. By density and eta:
    `off_by_density`.
    """

    Parameters = NoiseParameters

    def targets(self, parameters: NoiseParameters) -> dict[str, dict[str, float]] | None:
        """Reproduced: 0.2 to 0.3 % at eta = 0.1, 0.6 to 0.8 % at 0.5, here within a factor of two."""
        if parameters != NoiseParameters():
            return None
        return {"off_at_0.1": {"max": 0.006}, "off_at_0.5": {"max": 0.016}}

    def prepare(self, parameters: NoiseParameters, record: Recorder) -> None:
        """Are there such networks?"""
        if min(parameters.density) * (parameters.nodes - 1) < 1:
            raise ConfigurationError(
                f"density={min(parameters.density):g} of {parameters.nodes} nodes: fewer links than nodes; choose "
                f"{1.5 / (parameters.nodes - 1):.2g} or more"
            )

    def run(self, bench: Bench, parameters: NoiseParameters, record: Recorder) -> dict[str, Any]:
        """Run every start with every noise, a network in a step."""
        p = parameters
        for step in record.steps(len(p.density) * p.networks, f"networks of {p.nodes} nodes"):
            W = clique_network(p.nodes, p.density[step.index // p.networks], record.rng)
            still, noisy = both(W, p, record.rng)
            best = best_known(W, float(max(still.max(), noisy.max())), None, 10.0).q
            step.save(still=still, noisy=noisy, best=best)
            if record.checkpoint_due:
                record.checkpoint()
        return {}

    def conclude(self, results: dict[str, Any], parameters: NoiseParameters, record: Recorder) -> dict[str, Any]:
        """Averages over starts, their errors over networks."""
        p = parameters
        still, noisy, best = (np.asarray(record.series(name)) for name in ("still", "noisy", "best"))
        values = averages(still, noisy, best, len(p.density), p.eta)
        record.console.done(
            "; ".join(f"eta = {e:g}: |dq|/q {100 * o:.2g} %" for e, o in zip(p.eta, values["off"], strict=True))
        )
        with_picture(record, "noise", lambda path: draw_noise(path, p, values))
        return values


def both(W: Array, p: NoiseParameters, rng: np.random.Generator) -> tuple[Array, Array]:
    """q of the same starts without noise (starts,) and with it (etas, starts)."""
    ideal = IdealLoop.of(W, p.gamma, p.tau, p.duration)
    x = starts(len(W), p.starts, rng)
    still = worth(W, flow(W, x, ideal.stages).support(), 1.0).q
    noisy = [worth(W, flow(W, x, ideal.stages, eta, rng).support(NOISY_FLIPS), 1.0).q for eta in p.eta]
    return still, np.array(noisy)


def averages(still: Array, noisy: Array, best: Array, densities: int, eta: tuple[float, ...]) -> dict[str, Any]:
    """still: (networks, starts), noisy: (networks, etas, starts), best: (networks,), networks of a density together."""
    change = (noisy - still[:, None]) / still[:, None]
    off = np.abs(change).mean(axis=2)  # (networks, etas)
    enough = best * (1 - SAME)
    success = (noisy >= enough[:, None, None]).mean(axis=2)
    count = len(still)

    def error(rows: Array) -> list[float]:
        return (rows.std(axis=0, ddof=1) / np.sqrt(count)).tolist() if count > 1 else [float("nan")] * len(eta)

    values: dict[str, Any] = {
        "eta": list(eta),
        "off": off.mean(axis=0).tolist(),
        "off_err": error(off),
        "signed": change.mean(axis=(0, 2)).tolist(),
        "success": success.mean(axis=0).tolist(),
        "success_err": error(success),
        "success_still": float((still >= enough[:, None]).mean()),
        "other": (np.abs(change) > SAME).mean(axis=(0, 2)).tolist(),
        "off_by_density": off.reshape(densities, -1, len(eta)).mean(axis=1).tolist(),
        "networks": count,
    }
    return values | {f"off_at_{e:g}": o for e, o in zip(eta, values["off"], strict=True)}

"""`dyad.chain`: dyads that see their neighbours, and the biased statistics that come of it.

Sites of a chain lie in a row, 1 2 | 3 4 | 5 6, and neighbouring dyads are coupled by their adjoining condensates; in a
ladder dyads lie side by side, with condensate 1 coupled to condensate 1 and 2 to 2. Exchange of left and right makes
p1 of a chain's dyad k and of its mirror image add up to 1, so that dyads at the ends are biased and the middle one is
fair; exchange of a ladder's sides makes all of its dyads fair, and leaves correlations. In both the coupling's sign
does not matter: turning the phase of every other dyad by pi changes it, and the noise that they begin with has any
phase. In a ring, which is a chain with its ends coupled, it does if the number of dyads is odd.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from labctl.client import Bench, Recorder
from protocols.dyad.equation.chain_picture import draw_chain
from protocols.dyad.equation.figure import Coupling, EquationFigure, Positive, share_error, stationary, with_picture
from protocols.dyad.equation.trials import TrialParameters
from simulators.physics.condensates.equation import seeds
from simulators.physics.condensates.network_kernel import evolve_networks

Array = NDArray[np.float64]

_COUPLINGS = (-0.1, -0.05, -0.02, -0.01, -0.005, 0.0, 0.005, 0.01, 0.02, 0.05, 0.1)
_AT_ONCE = 4000


class ChainParameters(TrialParameters):
    """How many dyads, and how they see one another."""

    n: int = Field(5, ge=2, le=200, description="dyads")
    trials: int = Field(8000, ge=10, le=10**8, description="condensations of the chain at each coupling")
    coupling: tuple[Coupling, ...] = Field(_COUPLINGS, description="between neighbouring dyads, comma-separated")
    geometry: Literal["chain", "ladder", "ring"] = Field(
        "chain", description="dyads in a row, side by side, or in a row that is closed"
    )
    r_g: Positive = Field(1.0, description="detuning of every site 2 in units of g")
    r_gamma: Positive = Field(1.0, description="pumping of every site 2 in units of gamma")

    @field_validator("coupling")
    @classmethod
    def _some(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("coupling is one or more numbers, for example -0.02,0.02")
        return value


class Chain(EquationFigure):
    """Share of "1" of every dyad of a chain, and correlation of neighbours, against the coupling between them.

    Values, by coupling (one list) or by coupling and dyad (lists of lists): `p1`, `p1_err`; `correlation` of the states
    of neighbouring dyads and `correlation_err`; `bias`, p1 - 1/2 of the first dyad; `nearest`, the mean correlation of
    neighbours; `ones`, the share of condensations with 0, 1, … n dyads in state "1", and `variance` of that number, in
    units of the independent dyads' with the same p1; `undecided`. In standard errors: `biased`, the largest |p1 - 1/2|,
    and `correlated`, the largest mean correlation, of all couplings; `bias_deviation` and `independent_deviation`, the
    largest |p1 - 1/2| and correlation at coupling 0; `sign_deviation`, the largest difference of p1 at couplings of
    different sign and equal size, where the sign does not matter.
    """

    Parameters = ChainParameters

    def targets(self, parameters: ChainParameters) -> dict[str, dict[str, float]] | None:
        """Uncoupled dyads are fair and independent, the coupling's sign does not matter (4.5 standard errors of 34
        quantities: false alarm 2e-4); coupled ones are biased and correlated, by far more than errors."""
        if parameters != ChainParameters():
            return None
        return {
            "independent_deviation": {"max": 4.5},
            "bias_deviation": {"max": 4.5},
            "sign_deviation": {"max": 4.5},
            "biased": {"min": 10.0},
            "correlated": {"min": 10.0},
        }

    def prepare(self, parameters: ChainParameters, record: Recorder) -> None:
        """Whether there are orientations at all."""
        parameters.step(parameters.r_g, parameters.r_gamma)
        if not stationary(parameters):
            record.console.say("asymmetric states are unstable here: orientations are those of oscillating dyads")

    def run(self, bench: Bench, parameters: ChainParameters, record: Recorder) -> dict[str, Any]:
        """Condense the chain at every coupling, some thousand times in a step."""
        p = parameters
        plan = [
            (k, min(_AT_ONCE, p.trials - first))
            for k in range(len(p.coupling))
            for first in range(0, p.trials, _AT_ONCE)
        ]
        for step in record.steps(len(plan), f"{p.geometry}s of {p.n} dyads condense"):
            k, trials = plan[step.index]
            spins, undecided = condensed_chain(p, p.coupling[k], trials, record.rng)
            step.save(
                of=k,
                trials=trials,
                sums=spins.sum(axis=0, dtype=np.int64),
                products=spins.T.astype(np.int64) @ spins.astype(np.int64),
                ones=np.bincount((spins > 0).sum(axis=1), minlength=p.n + 1),
                undecided=undecided,
            )
            if record.checkpoint_due:
                record.checkpoint()
        return {}

    def conclude(self, results: dict[str, Any], parameters: ChainParameters, record: Recorder) -> dict[str, Any]:
        """Shares and correlations with their errors, the picture."""
        p = parameters
        saved: Any = {n: record.series(n) for n in ("of", "sums", "products", "ones", "undecided")}
        rows = []
        for k in range(len(p.coupling)):
            total = {name: series[saved["of"] == k].sum(axis=0) for name, series in saved.items() if name != "of"}
            rows.append(_statistics(total, p))
        values: dict[str, Any] = {"coupling": list(p.coupling)}
        values |= {name: [row[name] for row in rows] for name in rows[0]}
        values |= _deviations(p, rows)
        least, most = int(np.argmin(p.coupling)), int(np.argmax(p.coupling))
        told = "; ".join(
            f"coupling {p.coupling[k]:g}: p1 of the first dyad {rows[k]['p1'][0]:.3f}, correlation of neighbours "
            f"{rows[k]['nearest']:.3f}"
            for k in dict.fromkeys((least, most))
        )
        record.console.done(told)
        with_picture(record, "chain", lambda path: draw_chain(path, p, values))
        return values


def _deviations(p: ChainParameters, rows: list[dict[str, Any]]) -> dict[str, float]:
    """What is promised of uncoupled dyads, of coupled ones, and of the coupling's sign, in standard errors."""
    p1, error = (np.array([row[name] for row in rows]) for name in ("p1", "p1_err"))
    nearest = np.array([row["nearest"] for row in rows])
    nearest_err = rows[0]["correlation_err"] / math.sqrt(len(rows[0]["correlation"]))
    found = {"correlated": float(np.abs(nearest).max() / nearest_err)}
    if (p.r_g, p.r_gamma) != (1, 1):
        return found
    off = np.abs(p1 - 0.5) / error
    found["biased"] = float(off.max())
    if 0.0 in p.coupling:
        k = p.coupling.index(0.0)
        found["bias_deviation"] = float(off[k].max())
        found["independent_deviation"] = float(np.abs(rows[k]["correlation"]).max() / rows[k]["correlation_err"])
    pairs = [(i, j) for i, one in enumerate(p.coupling) for j, other in enumerate(p.coupling) if one == -other < 0]
    if pairs and (p.geometry != "ring" or p.n % 2 == 0):
        one, other = np.array(pairs).T
        shares = np.abs(p1[one] - p1[other]) / np.hypot(error[one], error[other])
        found["sign_deviation"] = float(shares.max())
    return found


def couplings_of(p: ChainParameters, coupling: float) -> Array:
    """J (2n, 2n) of all sites; dyad k has sites 2k and 2k + 1."""
    J = np.zeros((2 * p.n, 2 * p.n))
    first = 2 * np.arange(p.n)
    J[first, first + 1] = p.J
    if p.geometry != "ladder":
        J[first[:-1] + 1, first[1:]] = coupling
        if p.geometry == "ring" and p.n > 2:
            J[first[-1] + 1, 0] = coupling
    else:
        J[first[:-1], first[1:]] = J[first[:-1] + 1, first[1:] + 1] = coupling
    return J + J.T


def condensed_chain(
    p: ChainParameters, coupling: float, trials: int, rng: np.random.Generator
) -> tuple[NDArray[np.int8], int]:
    """States (trials, n) of the dyads, 1 and -1 for "1" and "0"; and how many have hardly decided."""
    gamma, g = np.tile((p.gamma, p.r_gamma * p.gamma), p.n), np.tile((p.g, p.r_g * p.g), p.n)
    psi = seeds(trials, 2 * p.n, p.amp, rng)
    psi = evolve_networks(psi, gamma, g, p.xi, couplings_of(p, coupling), p.duration, p.step(p.r_g, p.r_gamma))
    size = np.abs(psi)
    size = size.reshape(trials, p.n, 2)
    span = size[..., 1] - size[..., 0]
    undecided = int((np.abs(span) < 0.02 * size.mean(axis=2)).sum())
    return np.where(span > 0, 1, -1).astype(np.int8), undecided


def _statistics(total: dict[str, Any], p: ChainParameters) -> dict[str, Any]:
    ones = (total["sums"] + p.trials) // 2
    p1 = ones / p.trials
    mean = total["sums"] / p.trials
    deviation = np.sqrt(np.maximum(1 - mean**2, 0))
    k = np.arange(p.n if p.geometry == "ring" and p.n > 2 else p.n - 1)
    beside = (k + 1) % p.n
    covariance = total["products"][k, beside] / p.trials - mean[k] * mean[beside]
    scale = deviation[k] * deviation[beside]
    correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
    number = np.arange(p.n + 1)
    shares = total["ones"] / p.trials
    variance = float(shares @ number**2 - (shares @ number) ** 2)
    alone = float((p1 * (1 - p1)).sum())
    return {
        "p1": p1.tolist(),
        "p1_err": [share_error(int(x), p.trials) for x in ones],
        "bias": float(p1[0] - 0.5),
        "correlation": correlation.tolist(),
        "correlation_err": 1 / math.sqrt(p.trials),
        "nearest": float(correlation.mean()),
        "ones": shares.tolist(),
        "variance": variance / alone if alone > 0 else 0.0,
        "undecided": float(total["undecided"] / (p.trials * p.n)),
    }

"""`nep.gradient-check`: how far measured updates point where the exact gradient does."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.nep.figure import NepFigure, with_picture
from protocols.nep.gradient_check_picture import draw_check
from protocols.nep.loop import IdealLoop, NudgePlan, measured_descent
from protocols.nep.network import XOR_INPUTS, XOR_TARGETS, Network, SheetParameters
from simulators.physics.sheet.equation import Array
from simulators.physics.sheet.gradients import Descent, Rule, cosine, descent
from simulators.physics.sheet.nudge import output_error

WINDOWS = {"band": (0.0, 0.1), "detuned": (0.5, 1.0)}
"""Ranges of random potentials: where the network is resonant, and above it."""


class GradientCheckParameters(SheetParameters):
    """Random networks on XOR's samples, and what is varied."""

    networks: int = Field(300, ge=4, le=10**5, description="of random V and w at each place")
    gammas: tuple[float, ...] = Field((0.01, 0.03, 0.05, 0.1, 0.2, 0.5), description="losses")
    detunings: tuple[float, ...] = Field(
        (-1.5, -1.0, -0.5, -0.2, 0.0, 0.1, 0.2, 0.3, 0.5, 1.0), description="means of V, which is within ± spread of it"
    )
    spread: float = Field(0.05, ge=0, le=10, allow_inf_nan=False)
    betas: tuple[float, ...] = Field((0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0), description="nudges")
    noises: tuple[float, ...] = Field(
        (1e-5, 1e-4, 1e-3, 1e-2, 1e-1), description="rms noise of measured |psi|^2, and of Re psi and Im psi"
    )
    nudge: Literal["self-consistent", "injected"] = Field("injected", description="of betas and noises")

    @field_validator("gammas", "betas", "noises")
    @classmethod
    def _above_zero(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 < x < np.inf for x in value):
            raise ValueError("give one or more numbers above 0, for example 0.01,0.1")
        return value


class GradientCheck(NepFigure):
    """Median cosine of the descent direction (of V and w together) with the exact one, of random networks.

    w is even in [-1, 1]; V even in [0, 0.1] ("band") or [0.5, 1] ("detuned"). Values, by `gammas`: `nep_band`,
    `nep_detuned`, `conjugate_band`, `conjugate_detuned`, and of w alone `nep_band_w`, `nep_detuned_w`; these are limits
    of a small nudge. By `detunings`, at gamma: `nep_by_detuning`, `conjugate_by_detuning`. By `betas`, of networks in
    the band: `one_sided`, `symmetric`, cosines with the limit of small beta, and `one_sided_error`, `symmetric_error`,
    relative. By `noises` at the best of the betas for it: `one_sided_noisy`, `symmetric_noisy`, and `one_sided_beta`,
    `symmetric_beta`. `left_out`: networks without a steady state to rely on.
    """

    Parameters = GradientCheckParameters

    def targets(self, parameters: GradientCheckParameters) -> dict[str, dict[str, float]] | None:
        """Reproduced independently: at gamma = 0.1, 0.2, 0.5 by the paper's rule in the band 0.90, 0.07, -0.53, above
        it 0.999, 0.988, -0.12; by the phase-conjugate rule 0.999 or better. Of 300 networks, to 0.15 where the cosine
        changes its sign."""
        if parameters != GradientCheckParameters():
            return None
        return {
            "nep_band_at_0.1": {"min": 0.87, "max": 0.93},
            "nep_band_at_0.2": {"min": -0.08, "max": 0.22},
            "nep_band_at_0.5": {"min": -0.68, "max": -0.38},
            "nep_detuned_at_0.2": {"min": 0.98, "max": 0.995},
            "nep_detuned_at_0.5": {"min": -0.27, "max": 0.03},
            "least_conjugate_band": {"min": 0.998},
        }

    def prepare(self, parameters: GradientCheckParameters, record: Recorder) -> None:
        """Two inputs, one output."""
        self.network = parameters.network()
        if (len(self.network.inputs), len(self.network.outputs)) != (2, 1):
            raise ConfigurationError("nep.gradient-check is of XOR's samples: give two inputs and one output")

    def run(self, bench: Bench, parameters: GradientCheckParameters, record: Recorder) -> dict[str, Any]:
        """Draw networks at every place, and compare."""
        p = parameters
        values: dict[str, Any] = {name: [] for name in _BY_GAMMA}
        left_out = 0
        plan = [("gamma", x) for x in p.gammas] + [("detuning", x) for x in p.detunings] + [("beta", 0.0)]
        values |= {"nep_by_detuning": [], "conjugate_by_detuning": []}
        for step in record.steps(len(plan), "random networks"):
            what, x = plan[step.index]
            if what == "gamma":
                for name, window in WINDOWS.items():
                    drawn = Drawn(self.network, window, x, p.networks, record.rng)
                    left_out += drawn.left_out
                    both, w = drawn.cosines("nep")
                    values[f"nep_{name}"].append(both)
                    values[f"nep_{name}_w"].append(w)
                    values[f"conjugate_{name}"].append(drawn.cosines("conjugate")[0])
            elif what == "detuning":
                drawn = Drawn(self.network, (x - p.spread, x + p.spread), None, p.networks, record.rng)
                left_out += drawn.left_out
                for rule in ("nep", "conjugate"):
                    values[f"{rule}_by_detuning"].append(drawn.cosines(rule)[0])
            else:
                drawn = Drawn(self.network, WINDOWS["band"], None, min(p.networks, 100), record.rng)
                values |= drawn.by_beta(p.betas, p.noises, p.nudge, record.rng)
            step.save(left_out=left_out)
        return {**values, "left_out": left_out}

    def conclude(
        self, results: dict[str, Any], parameters: GradientCheckParameters, record: Recorder
    ) -> dict[str, Any]:
        """Tell and draw."""
        p, v = parameters, results
        v |= {
            "gammas": list(p.gammas),
            "detunings": list(p.detunings),
            "betas": list(p.betas),
            "noises": list(p.noises),
        }
        for name in ("nep_band", "nep_detuned", "conjugate_band"):
            v |= {f"{name}_at_{gamma:g}": x for gamma, x in zip(p.gammas, v[name], strict=True)}
        v["least_conjugate_band"] = min(v["conjugate_band"])
        rows = ", ".join(
            f"{gamma:g}: {a:.3f} {b:.3f} {c:.3f}"
            for gamma, a, b, c in zip(p.gammas, v["nep_band"], v["nep_detuned"], v["conjugate_band"], strict=True)
        )
        record.console.done(f"cosines by gamma (nep in the band, nep above it, conjugate in the band): {rows}")
        with_picture(record, "gradient-check", lambda path: draw_check(path, v))
        return v


_BY_GAMMA = (
    "nep_band", "nep_detuned", "nep_band_w", "nep_detuned_w", "conjugate_band", "conjugate_detuned",
)  # fmt: skip


class Drawn:
    """Random networks and their free states. window: of V. gamma: None, the network's own."""

    def __init__(
        self, network: Network, window: tuple[float, float], gamma: float | None, count: int, rng: np.random.Generator
    ) -> None:
        sheet = network.sheet if gamma is None else network.sheet._replace(gamma=gamma)
        self.network, self.sheet, self.count = network, sheet, count
        samples = len(XOR_INPUTS)
        V = rng.uniform(*window, (count, *sheet.shape))
        self.V = np.repeat(V, samples, axis=0).astype(np.complex128)
        self.X = np.tile(np.array(XOR_INPUTS, np.complex128), (count, 1))
        w = np.repeat(rng.uniform(-1, 1, (count, 2)), samples, axis=0)
        self.pumps = network.pumps(w, self.X)
        self.targets = np.tile(np.array(XOR_TARGETS, np.float64), count)[:, None]
        self.free = IdealLoop(sheet).measure(self.V, self.pumps)
        self.good = self.free.good.reshape(count, samples).all(axis=1)
        self.left_out = int((~self.good).sum())
        if not self.good.any():
            raise ConfigurationError(
                f"gamma={np.min(sheet.gamma):g}, V within {window}: no network has a steady state to rely on; choose "
                "more loss, or a smaller g"
            )

    def limit(self, rule: Rule) -> Array:
        """Descent directions (networks, nodes + 2) for a small nudge, or the exact ones."""
        e = output_error(self.free.outputs(self.network.outputs, self.sheet), self.targets)
        return self._joined(descent(self.free.psi, self.V, self.sheet, self.network.outputs, e, rule))

    def cosines(self, rule: Rule) -> tuple[float, float]:
        """Medians over networks of the cosine with the exact direction: of V and w together, and of w."""
        found, truth = self.limit(rule), self.limit("exact")
        return median_cosine(found, truth), median_cosine(found[:, -2:], truth[:, -2:])

    def measured(self, beta: float, sides: Literal[1, 2], kind: Any, noise: float, rng: np.random.Generator) -> Array:
        """Descent directions (networks, nodes + 2) from phases with a nudge."""
        loop = IdealLoop(self.sheet, 0.0, noise, noise, rng)
        plan = NudgePlan(self.network.outputs, beta, kind, sides)
        free, nudged = loop.phases(self.V, self.pumps, self.targets, plan)
        return self._joined(measured_descent(free, nudged, plan)[0])

    def by_beta(
        self, betas: tuple[float, ...], noises: tuple[float, ...], kind: Any, rng: np.random.Generator
    ) -> dict[str, Any]:
        """Cosines and relative errors of what is measured, against the limit of a small nudge."""
        truth = self.limit("nep")
        out: dict[str, Any] = {}
        for name, sides in (("one_sided", 1), ("symmetric", 2)):
            found = [self.measured(beta, sides, kind, 0.0, rng) for beta in betas]  # type: ignore[arg-type]
            out[name] = [median_cosine(x, truth) for x in found]
            size = np.linalg.norm(truth, axis=1)
            out[f"{name}_error"] = [float(np.median(np.linalg.norm(x - truth, axis=1) / size)) for x in found]
            noisy = [
                [median_cosine(self.measured(beta, sides, kind, noise, rng), truth) for beta in betas]  # type: ignore[arg-type]
                for noise in noises
            ]
            out[f"{name}_noisy"] = [max(row) for row in noisy]
            out[f"{name}_beta"] = [betas[int(np.argmax(row))] for row in noisy]
        return out

    def _joined(self, found: Descent) -> Array:
        samples = len(XOR_INPUTS)
        V = found.V.real.reshape(self.count, samples, -1).sum(axis=1)
        w = found.weights(self.X, self.network.spots).real.reshape(self.count, samples, 2).sum(axis=1)
        return np.hstack([V, w])[self.good]


def median_cosine(found: Array, truth: Array) -> float:
    """Of directions (networks, n)."""
    return float(np.median([cosine(a, b) for a, b in zip(found, truth, strict=True)]))

"""Random networks on exclusive or's samples, and how far their measured descent directions are from exact ones."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from labctl.client import ConfigurationError
from protocols.nep.loop import IdealLoop, NudgePlan, measured_descent
from protocols.nep.network import XOR_INPUTS, XOR_TARGETS, Network
from simulators.physics.sheet.equation import Array
from simulators.physics.sheet.gradients import Descent, Rule, cosine, descent
from simulators.physics.sheet.nudge import output_error


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

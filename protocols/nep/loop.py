"""Who measures steady states: arithmetic (here), or light on a table. Training and gradients know this much of it.

A loop is asked for steady states of potentials and pumps, and for those with a nudge; what it gives back may be noisy.
Another loop derives from `Loop` and implements `measure`; `nudged` then injects pumps computed from the free phase.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.client import ConfigurationError
from simulators.physics.sheet.equation import Array, Complex, Sheet, SheetError
from simulators.physics.sheet.gradients import Descent, Rule, contrast, injected_pump
from simulators.physics.sheet.nudge import Cost, Nudge, output_error
from simulators.physics.sheet.steady import Outcome, steady_state

Bools = NDArray[np.bool_]


class Fields(NamedTuple):
    """Measured steady states: psi (samples, *shape), |psi|^2 as the camera saw it, and which samples are good."""

    psi: Complex
    density: Array
    good: Bools

    def outputs(self, nodes: ArrayLike, sheet: Sheet) -> Array:
        """|psi|^2 (samples, n) at flat indices of nodes."""
        flat = self.density.reshape(*self.density.shape[: self.density.ndim - len(sheet.shape)], -1)
        return np.asarray(flat[..., np.asarray(nodes)])


@dataclass(frozen=True)
class NudgePlan:
    """How outputs are pulled: by beta, with an error that follows psi or a pump computed from the free phase, on one
    side or symmetrically, towards psi or (rule "conjugate") its phase conjugate, which is injected always."""

    outputs: NDArray[np.int64]
    beta: float
    kind: Literal["self-consistent", "injected"] = "self-consistent"
    sides: Literal[1, 2] = 1
    rule: Rule = "nep"
    cost: Cost = "mse"
    gain: float = 1.0

    @property
    def signs(self) -> tuple[int, ...]:
        """Of beta, in the order of measurement."""
        return (1,) if self.sides == 1 else (1, -1)

    @property
    def injects(self) -> bool:
        """Whether the nudge is a fixed pump."""
        return self.kind == "injected" or self.rule == "conjugate"

    def error(self, density: Array, targets: Array) -> Array:
        """-dC/d|psi|^2 (samples, n)."""
        return output_error(density, targets, self.cost, self.gain)


class Loop(ABC):
    """Measures steady states of one sheet."""

    follows: ClassVar[bool] = False
    """Whether a nudge may follow psi while it settles."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet

    @abstractmethod
    def measure(self, V: Complex, pumps: Complex, near: Complex | None = None) -> Fields:
        """Free steady states of pumps (samples, *shape) on one V (*shape). near: states that are close, if known."""

    def check(self, V: Complex, pumps: Complex, share: float = 0.0) -> None:  # noqa: B027 - a table finds out
        """Before anything is learnt. Raises ConfigurationError where more than a share of the samples are known to have
        no steady state to rely on, with the pump that is too much."""

    def report(self) -> dict[str, Any]:
        """Results about the measurement itself, such as its time on the table (``bench_s``)."""
        return {}

    def state(self) -> dict[str, Any]:
        """What it has learnt while it measured, for a checkpoint."""
        return {}

    def restore(self, kept: Mapping[str, Any]) -> None:  # noqa: B027 - an equation learns nothing
        """Go on from `state`, on a table that goes on from there, too."""

    def nudged(self, V: Complex, pumps: Complex, free: Fields, targets: Array, plan: NudgePlan) -> list[Fields]:
        """One set of states for each of ``plan.signs``."""
        e = plan.error(free.outputs(plan.outputs, self.sheet), targets)
        pull = injected_pump(free.psi, plan.outputs, e, np.full(len(e), plan.beta), plan.rule)
        return [self.measure(V, pumps + sign * pull, free.psi) for sign in plan.signs]

    def phases(self, V: Complex, pumps: Complex, targets: Array, plan: NudgePlan) -> tuple[Fields, list[Fields]]:
        """The free phase and the nudged ones."""
        if not self.follows and not plan.injects:
            raise ConfigurationError("nudge=self-consistent: this loop can only inject a fixed pump; nudge=injected")
        free = self.measure(V, pumps)
        return free, self.nudged(V, pumps, free, targets, plan)


class IdealLoop(Loop):
    """The equation alone, with what the sheet hides and, if wanted, noise of the measurement.

    hidden: adds to every V (*shape). density_noise: standard deviation of a measured |psi|^2; psi_noise: of the real
    and of the imaginary part of a measured psi. rng: of the noise. averages: measurements of each state.
    """

    follows = True

    def __init__(
        self,
        sheet: Sheet,
        hidden: Array | float = 0.0,
        density_noise: float = 0.0,
        psi_noise: float = 0.0,
        rng: np.random.Generator | None = None,
        averages: int = 1,
    ) -> None:
        super().__init__(sheet)
        self.hidden = hidden
        self.density_noise, self.psi_noise, self.averages = density_noise, psi_noise, averages
        self.rng = rng

    def measure(self, V: Complex, pumps: Complex, near: Complex | None = None) -> Fields:
        """V may have the samples' axis, too. States near others are looked for from there where nothing is noisy."""
        return self._settled(V, pumps, None if self._noisy else near, None)

    def nudged(self, V: Complex, pumps: Complex, free: Fields, targets: Array, plan: NudgePlan) -> list[Fields]:
        """With an error that follows psi, or injected."""
        if plan.injects:
            return super().nudged(V, pumps, free, targets, plan)
        near = None if self._noisy else free.psi
        return [
            self._settled(V, pumps, near, Nudge(plan.outputs, targets, sign * plan.beta, plan.cost, plan.gain))
            for sign in plan.signs
        ]

    def check(self, V: Complex, pumps: Complex, share: float = 0.0) -> None:
        """See `Loop`."""
        try:
            found = steady_state(V + self.hidden, pumps, self.sheet)
            if (found.outcome != Outcome.CONVERGED).mean() > share:
                found.require()
        except SheetError as error:
            raise ConfigurationError(str(error)) from None

    @property
    def _noisy(self) -> bool:
        return self.density_noise > 0 or self.psi_noise > 0

    def _settled(self, V: Complex, pumps: Complex, near: Complex | None, nudge: Nudge | None) -> Fields:
        try:
            found = steady_state(V + self.hidden, pumps, self.sheet, near, nudge)
        except SheetError as error:
            raise ConfigurationError(str(error)) from None
        psi, density = found.psi, np.abs(found.psi) ** 2
        if self._noisy:
            if self.rng is None:
                raise ConfigurationError("noise of a measurement: random numbers are needed")
            scale = 1 / np.sqrt(self.averages)
            draw = self.rng.standard_normal((3, *psi.shape)) * scale
            density = density + self.density_noise * draw[0]
            psi = psi + self.psi_noise * (draw[1] + 1j * draw[2])
        return Fields(psi, density, found.outcome == Outcome.CONVERGED)


def measured_descent(free: Fields, nudged: list[Fields], plan: NudgePlan) -> tuple[Descent, Bools]:
    """-dC/dV and -dC/dP (samples, *shape) by the contrast of phases; samples that are no good count as 0, and which
    were good."""
    minus = nudged[1] if len(nudged) > 1 else None
    other = free if minus is None else minus
    found = contrast(
        free.psi, nudged[0].psi, plan.beta, None if minus is None else minus.psi, plan.rule, free.psi.ndim - 1,
        densities=(nudged[0].density, other.density),
    )  # fmt: skip
    good = np.logical_and.reduce([free.good, *(f.good for f in nudged)])
    mask = good.reshape(-1, *(1,) * (free.psi.ndim - 1))
    return Descent(np.where(mask, found.V, 0), np.where(mask, found.P, 0)), good


def require_good(good: Bools, told: str = "samples") -> None:
    """Raise ConfigurationError unless all samples have a steady state to rely on."""
    if not good.all():
        raise ConfigurationError(
            f"{int((~good).sum())} of {good.size} {told} have no steady state to rely on: pumps above the bistability "
            "threshold, or no convergence; choose smaller w, a smaller g or more loss gamma"
        )

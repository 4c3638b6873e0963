"""`langevin.step-action`: how probable a reversed step is for a small computer, and its derivatives (Eqs 7, 10, 11)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labctl.client import Bench, ConfigurationError, Parameters, Recorder
from protocols.langevin.figure import LangevinFigure, told_as_configuration
from simulators.physics.langevin.action import action_gradient, step_action
from simulators.physics.langevin.potential import Units, checked_program, energy, gradient

_NUMBERS = ("J2", "J4", "dt")
_LISTS = ("J", "b", "x", "x_next")

EXAMPLE: dict[str, Any] = {
    "J2": 10.0,
    "J4": 10.0,
    "J": [[0.0, 1.5, -0.5], [1.5, 0.0, 2.0], [-0.5, 2.0, 0.0]],
    "b": [0.3, -0.2, 0.1],
    "x": [0.10, -0.25, 0.40],
    "x_next": [0.13, -0.22, 0.36],
    "dt": 1e-3,
}
"""Three units; what is computed unless a case is named."""


class StepActionParameters(Parameters):
    """A computer and one step of it."""

    case: Path | None = Field(
        None, description="JSON file with J2, J4, J (N, N) symmetric, b, x, x_next (N,), dt; null: three units"
    )


class StepAction(LangevinFigure):
    """-ln P̃ of the step x_next → x that reverses x → x_next, up to a constant, with k_BT = mu = 1.

    Values: `action` (Eq. 7); `dJ` (N, N) and `db` (N,), its derivatives (Eqs 10, 11; J_ij = J_ji are moved together,
    the diagonal is 0); `V` and `V_next`, energies of both states (Eq. 2), and `grad_next`, ∂V/∂x at x_next (Eq. 12).
    `finite_difference` is the largest difference of dJ and db to central differences of the action, relative to the
    largest derivative.
    """

    Parameters = StepActionParameters

    def prepare(self, parameters: StepActionParameters, record: Recorder) -> None:
        """Read the case."""
        self.case = EXAMPLE if parameters.case is None else read_case(parameters.case)

    def run(self, bench: Bench, parameters: StepActionParameters, record: Recorder) -> dict[str, Any]:
        """Work it out in double precision."""
        c = self.case
        x, x_next, dt = np.asarray(c["x"]), np.asarray(c["x_next"]), float(c["dt"])
        with told_as_configuration():
            units = Units.of(len(x), c["J2"], c["J4"])
            J, b = checked_program(units, c["J"], c["b"])
            action = step_action(x, x_next, units, J, b, dt)
            dJ, db = action_gradient(x, x_next, units, J, b, dt)
        return {
            "action": float(action),
            "dJ": dJ.tolist(),
            "db": db.tolist(),
            "V": float(energy(x, units, J, b)),
            "V_next": float(energy(x_next, units, J, b)),
            "grad_next": gradient(x_next, units, J, b).tolist(),
            "finite_difference": _apart(x, x_next, units, J, b, dt, dJ, db),
        }

    def conclude(self, results: dict[str, Any], parameters: StepActionParameters, record: Recorder) -> dict[str, Any]:
        """Tell."""
        record.console.done(
            f"action {results['action']:.8g}; derivatives agree with finite differences to "
            f"{results['finite_difference']:.1e}"
        )
        return results


def read_case(path: Path) -> dict[str, Any]:
    """A case from JSON; raises `ConfigurationError` that names the key and what is wrong with it."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"case={path}: cannot be read as JSON ({error})") from None
    keys = (*_NUMBERS, *_LISTS)
    if not isinstance(found, dict) or set(found) != set(keys):
        told = ", ".join(sorted(found)) if isinstance(found, dict) else type(found).__name__
        raise ConfigurationError(f"case={path}: holds {told}; allowed: an object with {', '.join(keys)}")
    case: dict[str, Any] = {}
    for name in keys:
        try:
            value = np.asarray(found[name], np.float64)
        except (TypeError, ValueError):
            raise ConfigurationError(f"case={path}: {name} is not made of numbers, or its rows differ") from None
        wanted = 0 if name in _NUMBERS else 2 if name == "J" else 1
        if value.ndim != wanted or value.size == 0:
            shape = ("a number", "a list of N numbers", "N lists of N numbers")[wanted]
            raise ConfigurationError(f"case={path}: {name} has shape {value.shape}; allowed: {shape}")
        if not np.isfinite(value).all():
            raise ConfigurationError(f"case={path}: {name} holds numbers that are not finite")
        case[name] = float(value) if wanted == 0 else value
    if len(case["x"]) != len(case["x_next"]):
        raise ConfigurationError(
            f"case={path}: x has {len(case['x'])} units, x_next {len(case['x_next'])}; allowed: as many"
        )
    return case


def _apart(
    x: NDArray[np.float64], x_next: NDArray[np.float64], units: Units, J: NDArray[np.float64], b: NDArray[np.float64],
    dt: float, dJ: NDArray[np.float64], db: NDArray[np.float64],
) -> float:  # fmt: skip
    """Largest difference to central differences; exact but for rounding, since the action is quadratic in J and b."""
    largest = max(float(np.abs(dJ).max()), float(np.abs(db).max()))
    if largest == 0:
        return 0.0
    worst = 0.0
    n = len(x)
    places = [(i, j) for i in range(n) for j in range(i + 1, n)][:200]
    for i, j in places:
        moved = np.zeros((n, n))
        moved[i, j] = moved[j, i] = 1e-2
        up, down = (step_action(x, x_next, units, J + s * moved, b, dt) for s in (1, -1))
        worst = max(worst, abs(float(up - down) / 2e-2 - dJ[i, j]))
    for i in range(n):
        step = np.where(np.arange(n) == i, 1e-2, 0.0)
        up, down = (step_action(x, x_next, units, J, b + s * step, dt) for s in (1, -1))
        worst = max(worst, abs(float(up - down) / 2e-2 - db[i]))
    return worst / largest

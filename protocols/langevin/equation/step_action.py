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

_KEYS = ("J2", "J4", "J", "b", "x", "x_next", "dt")
_SHAPES = {"dt": (0,), "J": (2,), "J2": (0, 1), "J4": (0, 1), "b": (0, 1)}
"""Allowed dimensions of a value; of others 1. One number stands for all units."""
_SHAPE_NAMES = ("a number", "a list of N numbers", "N lists of N numbers")
_ROUNDING = 1e-12
"""Difference of J_ij and J_ji, relative to the largest coupling, that comes of rounding."""

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
        None,
        description="JSON file with J2, J4, J (N, N) symmetric, b, x, x_next (N,), dt; J2, J4 and b may be one number "
        "for all units; null: three units",
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
        with told_as_configuration(), np.errstate(over="ignore", invalid="ignore"):
            units = Units.of(len(x), c["J2"], c["J4"])
            J, b = checked_program(units, c["J"], np.broadcast_to(c["b"], x.shape) if np.ndim(c["b"]) == 0 else c["b"])
            dJ, db = action_gradient(x, x_next, units, J, b, dt)
            found = {
                "action": float(step_action(x, x_next, units, J, b, dt)),
                "dJ": dJ.tolist(),
                "db": db.tolist(),
                "V": float(energy(x, units, J, b)),
                "V_next": float(energy(x_next, units, J, b)),
                "grad_next": gradient(x_next, units, J, b).tolist(),
            }
        too_large = [name for name, value in found.items() if not np.isfinite(value).all()]
        if too_large:
            raise ConfigurationError(
                f"case={parameters.case}: {', '.join(too_large)} beyond the largest double; allowed: smaller states, "
                "couplings and biases"
            )
        return {**found, "finite_difference": _apart(x, x_next, units, J, b, dt, dJ, db)}

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
    if not isinstance(found, dict) or set(found) != set(_KEYS):
        told = ", ".join(sorted(found)) if isinstance(found, dict) else type(found).__name__
        raise ConfigurationError(f"case={path}: holds {told}; allowed: an object with {', '.join(_KEYS)}")
    case = {name: _numbers(path, name, found[name]) for name in _KEYS}
    if len(case["x"]) != len(case["x_next"]):
        raise ConfigurationError(
            f"case={path}: x has {len(case['x'])} units, x_next {len(case['x_next'])}; allowed: as many"
        )
    J = case["J"]
    if J.shape[0] == J.shape[1] and np.abs(J - J.T).max() <= _ROUNDING * np.abs(J).max():
        case["J"] = (J + J.T) / 2
    return case


def _numbers(path: Path, name: str, given: Any) -> NDArray[np.float64]:
    """A value of the case, of the shape that it should have."""
    if not _made_of_numbers(given):
        raise ConfigurationError(f"case={path}: {name} is not made of numbers, or its rows differ")
    try:
        value = np.asarray(given, np.float64)
    except (OverflowError, ValueError):
        raise ConfigurationError(
            f"case={path}: {name} is not made of numbers of double precision, or its rows differ"
        ) from None
    allowed = _SHAPES.get(name, (1,))
    if value.ndim not in allowed or value.size == 0:
        told = " or ".join(_SHAPE_NAMES[k] for k in allowed)
        raise ConfigurationError(f"case={path}: {name} has shape {value.shape}; allowed: {told}")
    if not np.isfinite(value).all():
        raise ConfigurationError(f"case={path}: {name} holds numbers that are not finite")
    return value


def _made_of_numbers(given: Any) -> bool:
    """Lists of numbers: numpy would take text and truth values for numbers."""
    if isinstance(given, list):
        return all(_made_of_numbers(each) for each in given)
    return isinstance(given, int | float) and not isinstance(given, bool)


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

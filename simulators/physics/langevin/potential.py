"""What a thermodynamic computer is: units, their potential energy (Eq. 2) and its gradient (Eq. 12).

Energies are in k_BT, times in 1/mu of a unit as designed; x has no unit. Source of all equations of this folder:
Whitelam, "Generative thermodynamic computing" (2025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class LangevinError(ValueError):
    """A computer that cannot be: it says which value, what is allowed, and what to do."""


@dataclass(frozen=True, eq=False)
class Units:
    """Units that need not be alike; each field (N,).

    J2, J4: of the quartic potential J2 x² + J4 x⁴ (k_BT). J4 = 0 makes linear units, J2 < 0 bistable ones. mobility: in
    units of mu. temperature: in units of k_BT; what is injected into a unit.
    """

    J2: Array
    J4: Array
    mobility: Array
    temperature: Array

    @classmethod
    def of(
        cls,
        count: int,
        J2: ArrayLike = 10.0,
        J4: ArrayLike = 10.0,
        mobility: ArrayLike = 1.0,
        temperature: ArrayLike = 1.0,
    ) -> Units:
        """``count`` units; numbers, or a value for each (N,). Raises `LangevinError` for units that run away."""
        named = {"J2": J2, "J4": J4, "mobility": mobility, "temperature": temperature}
        try:
            fields = {k: np.broadcast_to(np.asarray(v, np.float64), (count,)).copy() for k, v in named.items()}
        except ValueError:
            shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in named.items())
            raise LangevinError(f"units: {shapes}; allowed: a number, or one for each of {count} units") from None
        for name, value in fields.items():
            if not np.isfinite(value).all():
                raise LangevinError(f"{name}: {value[~np.isfinite(value)][0]}; allowed: finite numbers")
        for name in ("mobility", "temperature"):
            if not (fields[name] > 0).all():
                raise LangevinError(f"{name}: {fields[name].min():g}; allowed: positive numbers")
        if (fields["J4"] < 0).any():
            raise LangevinError(f"J4={fields['J4'].min():g}: units run away to infinity; allowed: J4 of 0 or more")
        runaway = (fields["J4"] == 0) & (fields["J2"] <= 0)
        if runaway.any():
            raise LangevinError(
                f"J4=0 with J2={fields['J2'][runaway][0]:g}: nothing holds a unit; allowed: J2 above 0, or J4 above 0"
            )
        return cls(**fields)

    def __len__(self) -> int:
        return len(self.J2)


def checked_program(units: Units, J: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """Couplings (N, N) and biases (N,) in double precision.

    Raises `LangevinError` unless couplings are square, finite, symmetric, zero on the diagonal, and stable with these
    units: where J4 is 0 the quadratic form J2 x² + Σ J_ij x_i x_j must be positive definite in those units.
    """
    n = len(units)
    couplings, biases = np.asarray(J, np.float64), np.asarray(b, np.float64)
    if couplings.shape != (n, n):
        raise LangevinError(f"couplings J: shape {couplings.shape}; allowed: ({n}, {n}) for {n} units")
    if biases.shape != (n,):
        raise LangevinError(f"biases b: shape {biases.shape}; allowed: ({n},), one for each unit")
    for name, value in (("couplings J", couplings), ("biases b", biases)):
        if not np.isfinite(value).all():
            raise LangevinError(f"{name}: {np.count_nonzero(~np.isfinite(value))} values are not finite numbers")
    if not np.array_equal(couplings, couplings.T):
        i, j = np.unravel_index(np.argmax(np.abs(couplings - couplings.T)), (n, n))
        raise LangevinError(
            f"couplings J: J[{i}, {j}] = {couplings[i, j]:g}, J[{j}, {i}] = {couplings[j, i]:g}; allowed: a symmetric "
            "matrix; take (J + J.T)/2"
        )
    if np.diagonal(couplings).any():
        k = int(np.flatnonzero(np.diagonal(couplings))[0])
        raise LangevinError(
            f"couplings J: J[{k}, {k}] = {couplings[k, k]:g}; allowed: 0 on the diagonal; a unit's own terms are J2, J4"
        )
    require_stable(units, couplings)
    return couplings, biases


def require_stable(units: Units, couplings: Array) -> None:
    """Raise `LangevinError` where linear units (J4 = 0) are coupled so strongly that they run away."""
    linear = np.flatnonzero(units.J4 == 0)
    if len(linear) == 0 or not couplings.any():
        return
    # Units with J4 > 0 hold themselves, whatever the linear ones do, if those are held for any of their values.
    form = couplings[np.ix_(linear, linear)] + np.diag(2 * units.J2[linear])
    least = float(np.linalg.eigvalsh(form)[0])
    if least <= 0:
        raise LangevinError(
            f"J4=0 with an indefinite quadratic form: least eigenvalue of 2 J2 + J is {least:.4g}; allowed: above 0; "
            "choose weaker couplings, a larger J2, or J4 above 0"
        )


def energy(x: Array, units: Units, J: Array, b: Array) -> Array:
    """V (...) of states x (..., N): Eq. (2), each pair counted once (k_BT)."""
    square = x * x
    own = (units.J2 + units.J4 * square) * square + b * x
    return np.asarray(own.sum(axis=-1) + 0.5 * (x * (x @ J)).sum(axis=-1))


def gradient(x: Array, units: Units, J: Array, b: Array) -> Array:
    """∂V/∂x_i (..., N) of states x (..., N): Eq. (12)."""
    return np.asarray(own_gradient(x, units) + b + x @ J)


def own_gradient(x: Array, units: Units) -> Array:
    """The part of `gradient` without biases and couplings: 2 J2 x + 4 J4 x³."""
    return np.asarray((2 * units.J2 + 4 * units.J4 * (x * x)) * x)


def moments(J2: float, J4: float, force: float) -> tuple[float, float]:
    """⟨x⟩ and ⟨x²⟩ of one unit at equilibrium under a constant force, by quadrature (k_BT = 1).

    The energy is J2 x² + J4 x⁴ - force x. Relative error below 1e-10. Raises `LangevinError` for a unit that runs away.
    """
    Units.of(1, J2, J4)
    if not np.isfinite(force):
        raise LangevinError(f"force={force}: allowed: a finite number")
    x, weight = _grid(J2, J4, lambda y: -force * y, abs(force))
    total = weight.sum()
    return float((weight * x).sum() / total), float((weight * x * x).sum() / total)


def _grid(J2: float, J4: float, tilt: Callable[[Array], Array], force: float) -> tuple[Array, Array]:
    """Points and Boltzmann weights: evenly spaced, so that the sum converges faster than any power of the spacing."""
    far = 1.0
    while J2 * far**2 + J4 * far**4 - force * far < 60.0 + _depth(J2, J4, force):
        far *= 1.2
    x = np.linspace(-far, far, 20001)
    V = (J2 + J4 * x * x) * x * x + tilt(x)
    return x, np.exp(V.min() - V)


def _depth(J2: float, J4: float, force: float) -> float:
    """How far the potential may lie below zero, at most."""
    roots = np.roots([4 * J4, 0.0, 2 * J2, -force]) if J4 > 0 else np.array([force / (2 * J2)])
    real = np.abs(roots[np.abs(np.imag(roots)) < 1e-9].real)
    V = (J2 + J4 * real**2) * real**2 - force * real
    return float(-min(V.min(initial=0.0), 0.0))

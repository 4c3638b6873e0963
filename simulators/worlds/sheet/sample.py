"""What the sheet does: potential and pump to the amplitude of every node, once it has come to rest.

A polariton lives for picoseconds and an exposure lasts milliseconds, so every exposure sees steady states of Eq. (13),
those that a sheet reaches from the dark. Where none is found, the sheet is followed in time, and what the camera sees
is the mean of what it does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DeviceError
from drivers.frozen import owned, unlike
from simulators.physics.sheet.cells import CellSolver, Operator, complex_of, planar
from simulators.physics.sheet.cells_left import cell_left
from simulators.physics.sheet.equation import Sheet, evolve
from simulators.physics.sheet.steady import steady_state
from simulators.worlds.plays import side_by_side
from simulators.worlds.sheet.parameters import SheetParameters
from simulators.worlds.sheet.truth import sheet_truth

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Complex64 = NDArray[np.complex64]

TOLERANCE = 1e-9
_CELL_TOLERANCE = 3e-6
_CELL_ENOUGH = 1e-4
_ROUGH = 1e-3
"""Of cells in single precision, before they are refined."""
_REFINEMENTS = 40
_NEAR = 0.01
"""Of potentials, E0, by which an inverse serves others than its own: residuals are taken from the equation itself."""
_FOLLOWED = 60.0
"""Lifetimes 1 / gamma for which a restless sheet is followed; the last third is looked at."""
_LOOKS = 20


class Rest(NamedTuple):
    """Of sheets (n, rows, columns): mean amplitude and mean density; restless: (n,) which have no steady state."""

    psi: Complex
    density: Array
    restless: NDArray[np.bool_]


@dataclass
class _Kept:
    """Of a cell: the potential that inverses are of, and the inverse that steady states are refined by."""

    V: Complex
    solver: CellSolver
    operator: Operator
    inverse: Complex64 | None = None


class Sample:
    """The mesa of a table."""

    def __init__(self, p: SheetParameters) -> None:
        truth, s = sheet_truth(p), p.sample
        self._p = p
        rows, columns = p.mesa
        self.walls = np.zeros((rows, columns), np.bool_)
        self.walls[:, s.columns :: s.columns + 1] = True
        shape = (columns,) if rows == 1 else (rows, columns)
        walls = self.walls.reshape(shape) if s.cells > 1 else None
        self.sheet = Sheet(shape, s.g, truth.gamma, s.nonlinearity, walls)
        self._cell = Sheet((s.rows, s.columns), s.g, truth.gamma, s.nonlinearity)
        self._kept: dict[int, _Kept] = {}

    def potential(self, light: Array, reservoir_w: float, time_s: float) -> Complex:
        """V (rows, columns) above the drive's energy, E0, of light as `PotentialImage` has it."""
        p, truth = self._p, sheet_truth(self._p)
        lifted = light * (reservoir_w / p.reservoir.lift_power)
        detuning = p.sample.detuning + truth.detuning_per_s * time_s
        most = float(lifted.max()) * p.reservoir.gain
        if most >= truth.gamma:
            raise DeviceError(
                f"the carriers amplify by {most:.3g} at a node, and the sheet loses {p.sample.gamma:.3g}: it would "
                "emit by itself; lower the power of the reservoir's laser, or write less light"
            )
        return np.asarray(lifted * (1 + 1j * p.reservoir.gain) + truth.disorder - detuning, np.complex128)

    def at_rest(self, V: Complex, P: Complex, threads: int = 1) -> Rest:
        """Of potentials V and pumps P (n, rows, columns). threads: among which cells are divided."""
        P = np.where(self.walls, 0, P)
        if self._in_cells:
            psi, found = self._cells_at_rest(V, P, threads)
            left = np.flatnonzero(~found)
            if len(left):
                psi[left], found[left] = self._plainly(V[left], P[left])
        else:
            psi, found = self._plainly(V, P)
        density = np.abs(psi) ** 2
        for k in np.flatnonzero(~found):
            psi[k], density[k] = self._followed(V[k], P[k])
        return Rest(psi, density, ~found)

    def frozen(self) -> list[Any]:
        """Inverses, which depend on the exposures that they were made in, as plain values."""
        return [
            [cell, kept.V, kept.operator.level, kept.operator.inverse, kept.inverse]
            for cell, kept in sorted(self._kept.items())
        ]

    def thaw(self, kept: Any) -> None:
        """Go on from `frozen`. Raises ConfigurationError if it does not fit."""
        self._kept = {}
        shape, nodes = self._cell.shape, math.prod(self._cell.shape)
        for cell, V, level, inverse, refining in kept:
            if not 0 <= cell < self._p.sample.cells or V.shape != shape or level.shape != (nodes,):
                raise unlike(f"cell {cell!r:.20} of {V.shape} nodes")
            if inverse.shape != (3, nodes, nodes) or (refining is not None and refining.shape != (nodes, nodes)):
                raise unlike(f"an inverse of {inverse.shape} of a cell of {nodes} nodes")
            made = self._with(owned(V, np.complex128, 2), Operator(level.copy(), inverse.copy()))
            made.inverse = None if refining is None else owned(refining, np.complex64, 2)
            self._kept[cell] = made

    @property
    def _in_cells(self) -> bool:
        s = self._p.sample
        return s.rows > 1 and s.nonlinearity == "density"

    def _plainly(self, V: Complex, P: Complex) -> tuple[Complex, NDArray[np.bool_]]:
        found = steady_state(
            V.reshape(-1, *self.sheet.shape), P.reshape(-1, *self.sheet.shape), self.sheet, tolerance=TOLERANCE
        )
        return np.array(found.psi).reshape(P.shape), np.array(found.converged)

    def _cells_at_rest(self, V: Complex, P: Complex, threads: int) -> tuple[Complex, NDArray[np.bool_]]:
        """Cell by cell, one inverse for all pumps: potentials of a play differ by the panel's flicker alone."""
        s = self._p.sample
        psi = np.zeros(P.shape, np.complex128)

        def bring(cell: int) -> NDArray[np.bool_]:
            own = slice(cell * (s.columns + 1), cell * (s.columns + 1) + s.columns)
            each, pump = V[:, :, own], P[:, :, own]
            mean = each.mean(axis=0)
            kept = self._kept.get(cell)
            if kept is None or np.abs(mean - kept.V).max() > _NEAR:
                kept = self._kept[cell] = self._inverted(mean)
            settled = kept.solver.free(planar(pump), Operator(kept.solver.level(mean.real), kept.operator.inverse))
            at = np.asarray(complex_of(settled.psi).reshape(pump.shape), np.complex128)
            if kept.inverse is None:
                kept.inverse = X = self._shifted(each, at)
                # What densities do in the mean is part of it: pumps of later plays settle in fewer steps.
                kept.operator = Operator(kept.operator.level, np.stack([X.real, X.imag, X.real + X.imag]))
            psi[:, :, own], rest = self._refined(at, each, pump, kept.inverse)
            if not rest.all():  # of other pumps, densities may have been others
                kept.inverse = self._shifted(each[~rest], at[~rest])
                psi[~rest, :, own], rest[~rest] = self._refined(at[~rest], each[~rest], pump[~rest], kept.inverse)
            return np.asarray(settled.settled & rest)

        return psi, np.logical_and.reduce(side_by_side(bring, range(s.cells), threads))

    def _refined(self, psi: Complex, V: Complex, P: Complex, inverse: Complex64) -> tuple[Complex, NDArray[np.bool_]]:
        """From steady states of the mean potential to those of each one's own."""
        psi = psi.astype(np.complex128)
        size = np.maximum(np.abs(psi).reshape(len(psi), -1).max(axis=1), 1e-9)
        off, active = np.full(len(psi), np.inf), np.arange(len(psi))
        psi[~np.isfinite(size)] = 0
        cell, V, P = self._cell, np.ascontiguousarray(V), np.ascontiguousarray(P)
        gamma = np.array(np.broadcast_to(np.asarray(cell.gamma, np.float64), cell.shape))
        left = np.empty((len(psi), gamma.size), np.complex64)
        for _ in range(_REFINEMENTS):
            cell_left(active, psi, V, P, gamma, cell.g, left)
            step = left[: len(active)] @ inverse
            now = np.abs(step).max(axis=1) / size[active]
            better = now < off[active]
            active, step = active[better], step[better]
            psi[active] -= step.reshape(-1, *psi.shape[1:])
            off[active] = now[better]
            active = active[off[active] > _CELL_TOLERANCE]
            if not len(active):
                break
        return psi, off < _CELL_ENOUGH

    def _shifted(self, V: Complex, psi: Complex) -> Complex64:
        """Inverse of the linear operator at the mean of potentials, shifted by what densities do in the mean."""
        s = self._cell
        energy = V.mean(axis=0).ravel() + 2 * s.g * (np.abs(psi) ** 2).mean(axis=0).ravel() - 1j * np.asarray(s.gamma)
        rows, columns = s.shape
        line = [np.eye(n) - 0.5 * (np.eye(n, k=1) + np.eye(n, k=-1)) for n in (rows, columns)]
        hopping = np.kron(line[0], np.eye(columns)) + np.kron(np.eye(rows), line[1])
        return np.ascontiguousarray(np.linalg.inv((hopping + np.diag(energy)).astype(np.complex64)).T)

    def _inverted(self, V: Complex) -> _Kept:
        return self._with(V)

    def _with(self, V: Complex, operator: Operator | None = None) -> _Kept:
        sheet = self._cell
        if np.any(V.imag):
            sheet = sheet._replace(gamma=np.asarray(sheet.gamma) - V.imag)
        solver = CellSolver(sheet, 0, tolerance=_ROUGH)
        return _Kept(V, solver, operator or solver.operator(V.real))

    def _followed(self, V: Complex, P: Complex) -> tuple[Complex, Array]:
        """Mean amplitude and density of one sheet that does not come to rest, or that Newton's method lost."""
        life, shape = 1 / float(np.min(self.sheet.gamma)), P.shape
        V, P = V.reshape(self.sheet.shape), P.reshape(self.sheet.shape)
        psi = evolve(np.zeros(P.shape), V, P, self.sheet, _FOLLOWED * 2 / 3 * life)
        mean, density = np.zeros(P.shape, np.complex128), np.zeros(P.shape)
        for _ in range(_LOOKS):
            psi = evolve(psi, V, P, self.sheet, _FOLLOWED / 3 / _LOOKS * life)
            mean += psi / _LOOKS
            density += np.abs(psi) ** 2 / _LOOKS
        return mean.reshape(shape), density.reshape(shape)

"""Steady states of many pumps on one small cell of a sheet, and their linear response at one node, side by side.

A cell is a `Sheet` of density nonlinearity with Dirichlet walls. A steady state of Eq. (13) obeys

    (H + V + g|psi|^2 - i gamma) psi = -i P,    H = -Laplacian / 2.

One inverse of the linear operator, shifted by what the nonlinearity does on average, serves all pumps of a batch and,
since residuals are taken from the equation itself, batches after it, too, while V changes little. Anderson's mixing
does the rest (Walker and Ni, SIAM J. Numer. Anal. 49, 1715, 2011), for each sample by itself until it has settled.
The response u of psi to a small field at one node obeys (H + V + 2g|psi|^2 - i gamma) u + g Q conj(u) = source:

    rule "nep"        source psi, Q = psi^2           the nudge of Eqs (5) and (7) in the limit beta -> 0
    rule "conjugate"  source conj(psi), Q = psi^2     the phase-conjugate nudge
    rule "exact"      source conj(psi), Q = conj(psi)^2     the adjoint, of which gradients are exact

Amplitudes are (samples, 2, nodes), real parts before imaginary ones, in single or double precision.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from simulators.physics.sheet.cells_kernel import LOST, RUNNING, SETTLED, free_residuals, mix, response_residuals
from simulators.physics.sheet.cells_switching import switch_on
from simulators.physics.sheet.equation import Sheet, SheetError, checked

Real = NDArray[np.floating[Any]]
Rule = Literal["nep", "conjugate", "exact"]
RULES: tuple[Rule, ...] = get_args(Rule)

LIFETIMES = 40.0
"""For which evolution in time goes on, in units of 1 / gamma, where mixing does not settle."""

_FASTEST = 2.0
"""Step of that evolution, times the highest energy there may be; Runge-Kutta is stable to 2.8."""

_BRIGHTEST = 100.0
"""Highest |psi|^2 that it allows for."""


class Mixing(NamedTuple):
    """How an iteration goes. depth: iterations that it remembers. clip: its longest step, in the amplitude's norm."""

    depth: int
    clip: float
    iterations: int


FREE = Mixing(3, 0.4, 40)
CAREFUL = Mixing(8, 0.2, 100)
RESPONSE = Mixing(3, 1e6, 100)


class Operator(NamedTuple):
    """A cell's linear operator. level: (nodes,) of V and the diagonal of H. inverse: (3, nodes, nodes), real part,
    imaginary part and their sum, of the inverse of H + V + shift - i gamma at the V that it was made for."""

    level: Real
    inverse: Real


class Settled(NamedTuple):
    """psi: (samples, 2, nodes). settled: (samples,). iterations: products with the inverse, of all samples."""

    psi: Real
    settled: NDArray[np.bool_]
    iterations: int


class CellSolver:
    """Steady states and responses of a cell. Safe to be shared by threads.

    output: the node at which responses are asked for, counted row by row. tolerance: of the last step, relative to the
    amplitude. rescued: share of a batch up to which evolution in time, which takes a thousand times as long, is waited
    for. Raises SheetError for a sheet that is no such cell.
    """

    def __init__(
        self, sheet: Sheet, output: int, tolerance: float = 1e-3, dtype: DTypeLike = np.float32, rescued: float = 0.1
    ) -> None:
        checked(sheet)
        self.nodes = math.prod(sheet.shape)
        if sheet.nonlinearity != "density" or sheet.blocked is not None:
            raise SheetError(
                "cells have density nonlinearity, and walls around them only; use `steady_state` for other sheets"
            )
        if not 0 <= output < self.nodes:
            raise SheetError(f"output node {output}: the cell has {self.nodes}, counted from 0")
        if not 0 < tolerance < 1:
            raise SheetError(f"tolerance {tolerance:g} of the amplitude: choose above 0, below 1")
        self.sheet, self.output, self.tolerance, self.rescued = sheet, output, tolerance, rescued
        self.dtype = np.dtype(dtype)
        self.cols = sheet.shape[-1]
        link = np.full(sheet.shape, 0.5)
        link[..., 0] = 0.0
        self._link = link.ravel().astype(self.dtype)
        self._gamma = np.broadcast_to(np.asarray(sheet.gamma, np.float64), sheet.shape).ravel()
        self._small_gamma = self._gamma.astype(self.dtype)
        self._hopping = _hopping(sheet.shape)

    def operator(self, V: ArrayLike, shift: ArrayLike = 0.0) -> Operator:
        """For the potential V (nodes,) and a mean blueshift (nodes,) or 0. Raises SheetError if V is not finite."""
        values = np.broadcast_to(np.asarray(V, np.float64).ravel(), (self.nodes,))
        if not np.isfinite(values).all():
            raise SheetError(f"V has {np.count_nonzero(~np.isfinite(values))} values that are no numbers")
        matrix = self._hopping.astype(np.complex128)
        diagonal = np.einsum("ii->i", matrix)
        diagonal += values + np.broadcast_to(np.asarray(shift, np.float64).ravel(), (self.nodes,)) - 1j * self._gamma
        single = self.dtype == np.float32
        inverse = np.linalg.inv(matrix.astype(np.complex64) if single else matrix)
        return Operator(self.level(values), np.stack([inverse.real, inverse.imag, inverse.real + inverse.imag]))

    def level(self, V: ArrayLike) -> Real:
        """V (nodes,) with the diagonal of H, as `Operator` has it: for another V with the inverse of before."""
        return (np.asarray(V, np.float64).ravel() + len(self.sheet.shape)).astype(self.dtype)

    def free(self, pump: Real, operator: Operator) -> Settled:
        """Steady states of pumps (samples, 2, nodes).

        Where mixing does not settle, as with several steady states, the pump is switched on in time and the state that
        it ends in is settled from there; one that goes on moving is not. Where more than ``rescued`` of the samples do
        not settle, mixing is tried once more, with care, instead.
        """
        pump = np.ascontiguousarray(pump, self.dtype)
        psi = np.zeros_like(pump)
        state, count = self._settle_free(psi, pump, operator, FREE)
        left = np.flatnonzero(state != SETTLED)
        if len(left):
            if len(left) <= max(1.0, self.rescued * len(psi)):
                self._switch_on(left, psi, pump, operator)
            else:
                psi[left] = 0
            slow, driven = psi[left], pump[left]
            state[left], more = self._settle_free(slow, driven, operator, CAREFUL)
            psi[left], count = slow, count + more
        return Settled(psi, state == SETTLED, count)

    def _switch_on(self, chosen: NDArray[np.int64], psi: Real, pump: Real, operator: Operator) -> None:
        bright = (np.abs(pump[chosen]).max(initial=0.0) / self._gamma.min()) ** 2
        shift = abs(self.sheet.g) * float(np.fmin(bright, _BRIGHTEST))
        step = _FASTEST / (float(np.abs(operator.level).max()) + len(self.sheet.shape) + shift)
        steps = math.ceil(LIFETIMES / self._gamma.min() / step)
        switch_on(
            chosen, psi, pump, operator.level, self._small_gamma, self._link, self.cols, self.sheet.g, step, steps
        )

    def _settle_free(
        self, psi: Real, pump: Real, operator: Operator, mixing: Mixing = FREE
    ) -> tuple[NDArray[np.int8], int]:
        """From psi on, in place."""

        def residuals(active: NDArray[np.int64], out: Real) -> None:
            free_residuals(
                active, psi, pump, operator.level, self._small_gamma, self._link, self.cols, self.sheet.g, out
            )

        return self._mixed(psi, operator, residuals, np.full(len(psi), self.tolerance), mixing)

    def response(
        self, psi: Real, rule: Rule, operator: Operator, weight: ArrayLike = 1.0
    ) -> tuple[Real, NDArray[np.bool_]]:
        """Responses u (samples, 2, nodes) of steady states psi to the rule's source, and which of them were found.

        weight: (samples,) that u will be multiplied by; the tolerance holds for the product, so that a sample whose
        weight is small takes fewer iterations.
        """
        if rule not in RULES:
            raise SheetError(f'rule "{rule}": choose {", ".join(RULES)}')
        source = np.ascontiguousarray(psi[:, :, self.output])
        if rule != "nep":
            source[:, 1] *= -1
        turned = -1.0 if rule == "exact" else 1.0
        u = np.zeros_like(psi)

        def residuals(active: NDArray[np.int64], out: Real) -> None:
            response_residuals(
                active, u, psi, source, turned, self.output, operator.level, self._small_gamma, self._link, self.cols,
                self.sheet.g, out,
            )  # fmt: skip

        wanted = self.tolerance / np.maximum(np.abs(np.broadcast_to(weight, (len(psi),))), self.tolerance)
        state, _ = self._mixed(u, operator, residuals, wanted.astype(np.float64), RESPONSE)
        return u, state == SETTLED

    def _mixed(
        self, x: Real, operator: Operator, residuals: Any, tolerance: Real, mixing: Mixing
    ) -> tuple[NDArray[np.int8], int]:
        count, _, nodes = x.shape
        state = np.full(count, RUNNING, np.int8)
        size = np.full(count, np.inf)
        packed = np.empty((3, count, nodes), self.dtype)
        product = np.empty_like(packed)
        last = np.empty_like(x)
        moved, changed = (np.empty((mixing.depth, *x.shape), self.dtype) for _ in range(2))
        active = np.arange(count)
        done = 0
        for iteration in range(mixing.iterations):
            here = packed[:, : len(active)]
            residuals(active, here)
            np.matmul(here, operator.inverse, out=product[:, : len(active)])
            done += len(active)
            mix(active, product, x, last, moved, changed, iteration, tolerance, mixing.clip, state, size)
            active = active[state[active] == RUNNING]
            if not len(active):
                break
        x[state == LOST] = 0
        return state, done


def planar(amplitudes: ArrayLike, dtype: DTypeLike = np.float32) -> Real:
    """(samples, …) complex as (samples, 2, nodes)."""
    flat = np.asarray(amplitudes).reshape(len(np.asarray(amplitudes)), -1)
    return np.stack([flat.real, flat.imag], axis=1).astype(dtype)


def complex_of(amplitudes: Real) -> NDArray[np.complexfloating[Any, Any]]:
    """(samples, 2, nodes) as (samples, nodes) complex."""
    return np.asarray(amplitudes[:, 0] + 1j * amplitudes[:, 1])


def _hopping(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """H = -Laplacian / 2 as a matrix (nodes, nodes)."""
    matrix = np.zeros((1, 1))
    for n in shape:
        line = np.eye(n) - 0.5 * (np.eye(n, k=1) + np.eye(n, k=-1))
        matrix = np.kron(matrix, np.eye(n)) + np.kron(np.eye(len(matrix)), line)
    return matrix

"""A chain of nodes, compiled: steady states by Newton's method, one thread, sample after sample.

The linearised equation of a chain is block tridiagonal with real 2 x 2 blocks, which are eliminated without pivots:
with loss, no pivot vanishes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.sheet.equation import Array, Complex, Sheet
from simulators.physics.sheet.nudge import Indices, Nudge

Bools = NDArray[np.bool_]

STEPS, HALVINGS = 60, 8


def chain_states(
    psi: Complex, V: Complex, P: Complex, sheet: Sheet, nudge: Nudge | None, tolerance: float, most: int = STEPS
) -> tuple[Array, Indices]:
    """Newton's method on psi (samples, nodes), in place; largest |kappa| and steps, (samples,).

    V, P: (samples, nodes), contiguous. nudge: spread over the samples.
    """
    count, nodes = psi.shape
    if nudge is None:
        nudge = Nudge(np.empty(0, np.int64), np.empty((count, 0)), np.zeros(count))
    residual, steps = np.empty(count), np.empty(count, np.int64)
    gamma, density_kind, open_nodes = _medium(sheet, nodes)
    _newton(
        psi,
        V,
        P,
        sheet.g,
        gamma,
        density_kind,
        open_nodes,
        nudge.cost == "mse",
        nudge.outputs,
        nudge.targets,
        np.asarray(nudge.beta, np.float64),
        nudge.gain,
        tolerance,
        most,
        residual,
        steps,
    )
    return residual, steps


def _medium(sheet: Sheet, nodes: int) -> tuple[Array, bool, Bools]:
    gamma = np.array(np.broadcast_to(np.asarray(sheet.gamma, np.float64), nodes))
    open_nodes = np.ones(nodes, np.bool_) if sheet.blocked is None else ~np.asarray(sheet.blocked)
    return gamma, sheet.nonlinearity == "density", open_nodes


@kernel
def _drift(
    psi: Complex,
    V: Complex,
    P: Complex,
    g: float,
    gamma: Array,
    density_kind: bool,
    open_nodes: Bools,
    squares: bool,
    outputs: Indices,
    targets: Array,
    beta: float,
    gain: float,
    kappa: Complex,
    nudged: Complex,
) -> float:
    """kappa (nodes,) with its nudge, and the factors of dpsi and its conjugate that the nudge adds; largest |kappa|."""
    n = len(psi)
    for i in range(n):
        if not open_nodes[i]:
            kappa[i] = 0.0
            continue
        around = -2.0 * psi[i]
        if i > 0:
            around += psi[i - 1]
        if i < n - 1:
            around += psi[i + 1]
        rho = psi[i].real * psi[i].real + psi[i].imag * psi[i].imag
        f = g * rho if density_kind else g / (1.0 + rho)
        shift = complex(V[i].real + f, V[i].imag - gamma[i])
        kappa[i] = P[i] + complex(0.0, 1.0) * (0.5 * around - shift * psi[i])
    if len(outputs) > 0:
        top, total = -1e300, 0.0
        for k in range(len(outputs)):
            at = psi[outputs[k]]
            top = max(top, gain * (at.real * at.real + at.imag * at.imag))
        for k in range(len(outputs)):
            at = psi[outputs[k]]
            total += math.exp(gain * (at.real * at.real + at.imag * at.imag) - top)
        for k in range(len(outputs)):
            i = outputs[k]
            rho = psi[i].real * psi[i].real + psi[i].imag * psi[i].imag
            if squares:
                e, slope = targets[k] - rho, -1.0
            else:
                share = math.exp(gain * rho - top) / total
                e, slope = gain * (targets[k] - share), -gain * gain * share * (1.0 - share)
            kappa[i] += complex(0.0, beta * e) * psi[i]
            nudged[k, 0] = complex(0.0, beta * (e + slope * rho))
            nudged[k, 1] = complex(0.0, beta * slope) * psi[i] * psi[i]
    largest = 0.0
    for i in range(n):
        size = kappa[i].real * kappa[i].real + kappa[i].imag * kappa[i].imag
        if not size <= largest:  # not a number counts as largest
            largest = size
    return math.sqrt(largest)


@kernel
def _newton(
    psi: Complex,
    V: Complex,
    P: Complex,
    g: float,
    gamma: Array,
    density_kind: bool,
    open_nodes: Bools,
    squares: bool,
    outputs: Indices,
    targets: Array,
    beta: Array,
    gain: float,
    tolerance: float,
    most: int,
    residual: Array,
    steps: Indices,
) -> None:
    count, n = psi.shape
    kappa, tried, rest = np.empty(n, np.complex128), np.empty(n, np.complex128), np.empty(n, np.complex128)
    step = np.empty(n, np.complex128)
    nudged = np.empty((max(len(outputs), 1), 2), np.complex128)
    diagonal, conjugate = np.empty(n, np.complex128), np.empty(n, np.complex128)
    inverse, right = np.empty((n, 4)), np.empty((n, 2))
    for b in range(count):
        x = psi[b]
        off = _drift(x, V[b], P[b], g, gamma, density_kind, open_nodes, squares, outputs, targets[b], beta[b], gain,
                     kappa, nudged)  # fmt: skip
        done = 0
        while done < most:
            largest = 1.0
            for i in range(n):
                largest = max(largest, abs(x[i]))
            if off <= tolerance * largest:
                break
            for i in range(n):
                rho = x[i].real * x[i].real + x[i].imag * x[i].imag
                share = 1.0 / (1.0 + rho)
                f = g * rho if density_kind else g * share
                slope = g if density_kind else -g * share * share
                diagonal[i] = complex(V[b, i].imag - gamma[i], -(1.0 + V[b, i].real + f + slope * rho))
                conjugate[i] = complex(0.0, -slope) * x[i] * x[i]
            for k in range(len(outputs)):
                diagonal[outputs[k]] += nudged[k, 0]
                conjugate[outputs[k]] += nudged[k, 1]
            for i in range(n):
                if not open_nodes[i]:
                    inverse[i, 0], inverse[i, 1], inverse[i, 2], inverse[i, 3] = 1.0, 0.0, 0.0, 1.0
                    right[i, 0], right[i, 1] = 0.0, 0.0
                    continue
                d, c = diagonal[i], conjugate[i]
                p, q, r, s = d.real + c.real, c.imag - d.imag, c.imag + d.imag, d.real - c.real
                right[i, 0], right[i, 1] = -kappa[i].real, -kappa[i].imag
                if i > 0 and open_nodes[i - 1]:
                    e, f, h, k2 = inverse[i - 1, 0], inverse[i - 1, 1], inverse[i - 1, 2], inverse[i - 1, 3]
                    u = e * right[i - 1, 0] + f * right[i - 1, 1]
                    v = h * right[i - 1, 0] + k2 * right[i - 1, 1]
                    p, q, r, s = p + 0.25 * k2, q - 0.25 * h, r - 0.25 * f, s + 0.25 * e
                    right[i, 0] += 0.5 * v
                    right[i, 1] -= 0.5 * u
                scale = 1.0 / (p * s - q * r)
                inverse[i, 0], inverse[i, 1], inverse[i, 2], inverse[i, 3] = (
                    s * scale,
                    -q * scale,
                    -r * scale,
                    p * scale,
                )
            for i in range(n - 1, -1, -1):
                u, v = right[i, 0], right[i, 1]
                if i < n - 1 and open_nodes[i] and open_nodes[i + 1]:
                    u += 0.5 * step[i + 1].imag
                    v -= 0.5 * step[i + 1].real
                step[i] = complex(inverse[i, 0] * u + inverse[i, 1] * v, inverse[i, 2] * u + inverse[i, 3] * v)
            size, found = 1.0, False
            for _ in range(HALVINGS):
                largest = 1.0
                for i in range(n):
                    tried[i] = x[i] + size * step[i]
                    largest = max(largest, abs(tried[i]))
                left = _drift(tried, V[b], P[b], g, gamma, density_kind, open_nodes, squares, outputs, targets[b],
                              beta[b], gain, rest, nudged)  # fmt: skip
                if left < off or left <= tolerance * largest:
                    found = True
                    break
                size *= 0.5
            done += 1
            if not found:
                break
            off = left
            for i in range(n):
                x[i], kappa[i] = tried[i], rest[i]
        residual[b], steps[b] = off, done

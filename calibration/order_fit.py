"""Smooth maps and band couplings from what a blazed order showed: the arithmetic of `calibration.illumination`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

PHASE_TERMS = ((1, 0), (2, 0), (3, 0), (4, 0), (1, 1), (2, 1), (3, 1), (1, 2), (2, 2))
"""Powers of column and band in the phase: a wavefront of low orders, without what all columns have in common."""

AMPLITUDE_TERMS = ((1, 0), (2, 0), (3, 0), (4, 0), (1, 1), (2, 1))
"""The same in the logarithm of the amplitude: a beam, and the width of a camera pixel."""

SHADED_SIGMAS = 4.0
"""Standard uncertainties by which a band must differ to be taken for one whose output spin is shaded: of 256 bands
without dust one in sixty is, and by no more than that."""

GAIN_ORDER = 8
"""Of the polynomial in the logarithm of the bands' gains: a spectrum that is smooth."""


class SmoothMap(NamedTuple):
    """phase, amplitude: functions of (bands (m,), columns (n,)), both -1 to 1, giving (m, n). phase_error (rad) and
    amplitude_error: standard uncertainties, averaged over the cells. residual: rms of what the fit leaves, of the mean
    amplitude."""

    phase: Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]
    amplitude: Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]
    phase_error: float
    amplitude_error: float
    residual: float


def fit_map(cells: NDArray[np.complex128], bands: NDArray[np.float64], columns: NDArray[np.float64]) -> SmoothMap:
    """Low orders through complex amplitudes (bands, columns) relative to column 0 of the same band.

    bands (m,), columns (m, n): places, -1 to 1. Each band has a gain of its own, which is none of the map's; nor is a
    phase that all cells have against the output spins, as fringing fields at their borders give them.
    """
    m, n = cells.shape
    y = np.broadcast_to(bands[:, None], (m, n))
    # No more orders than there are places to tell them apart.
    of_phase, of_amplitude = (
        tuple((i, j) for i, j in terms if i < n and j < m) for terms in (PHASE_TERMS, AMPLITUDE_TERMS)
    )
    phase_basis = _terms(columns, y, of_phase)
    amplitude_basis = _terms(columns, y, of_amplitude)
    start = np.log(np.abs(cells).mean(axis=1))
    unwrapped = _unwrapped(cells, columns)
    first, *_ = np.linalg.lstsq(phase_basis.reshape(m * n, -1), unwrapped.ravel(), rcond=None)
    scale = np.abs(cells).mean()

    def parts(x: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        gains, a, q = np.split(x[1:], [m, m + len(of_amplitude)])
        return gains[:, None] + amplitude_basis @ a, x[0] + phase_basis @ q

    def left(x: NDArray[np.float64]) -> NDArray[np.float64]:
        log_amplitude, phase = parts(x)
        off = (np.exp(log_amplitude + 1j * phase) - cells) / scale
        return np.concatenate([off.real.ravel(), off.imag.ravel()])

    found = least_squares(left, np.concatenate([[0.0], start, np.zeros(len(of_amplitude)), first]), method="lm")
    _, a, q = np.split(found.x[1:], [m, m + len(of_amplitude)])
    freedom = max(2 * m * n - len(found.x), 1)
    variance = 2 * found.cost / freedom
    covariance = np.linalg.pinv(found.jac.T @ found.jac) * variance
    amplitudes, phases = slice(1 + m, 1 + m + len(a)), slice(1 + m + len(a), None)
    of_a, of_q = covariance[amplitudes, amplitudes], covariance[phases, phases]
    error = [
        float(np.sqrt(np.einsum("mnk,kl,mnl->mn", basis, c, basis).mean()))
        for basis, c in ((phase_basis, of_q), (amplitude_basis, of_a))
    ]

    def phase_at(b: NDArray[Any], c: NDArray[Any]) -> NDArray[np.float64]:
        return _on_grid(b, c, of_phase, q)

    def amplitude_at(b: NDArray[Any], c: NDArray[Any]) -> NDArray[np.float64]:
        return np.exp(_on_grid(b, c, of_amplitude, a))

    return SmoothMap(phase_at, amplitude_at, error[0], error[1], float(np.sqrt(variance)))


def _on_grid(
    bands: NDArray[Any], columns: NDArray[Any], powers: tuple[tuple[int, int], ...], factors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum (bands, columns) of factors x column^i x band^j: two small products instead of a stack of large terms."""
    high, wide = max(j for _, j in powers) + 1, max(i for i, _ in powers) + 1
    table = np.zeros((high, wide))
    for (i, j), factor in zip(powers, factors, strict=True):
        table[j, i] = factor
    return np.asarray(np.vander(bands, high, increasing=True) @ table @ np.vander(columns, wide, increasing=True).T)


def _terms(x: NDArray[Any], y: NDArray[Any], powers: tuple[tuple[int, int], ...]) -> NDArray[np.float64]:
    x, y = np.broadcast_arrays(x, y)
    return np.stack([x**i * y**j for i, j in powers], axis=-1)


def _unwrapped(cells: NDArray[np.complex128], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phases (bands, columns) followed outwards from the column nearest 0, where they are small."""
    phase = np.angle(cells)
    middle = int(np.abs(columns.mean(axis=0)).argmin())
    out = np.empty_like(phase)
    out[:, middle:] = np.unwrap(phase[:, middle:], axis=1)
    out[:, middle::-1] = np.unwrap(phase[:, middle::-1], axis=1)
    # Bands side by side differ by little; a band that was taken for another turn as a whole is brought back.
    turns = np.round((out[:, middle] - np.median(out[:, middle])) / (2 * np.pi))
    return out - 2 * np.pi * turns[:, None]


class BandFit(NamedTuple):
    """unit: signal of one macro-pixel's intensity at gain 1. gains: (bands,), mean 1. coupling: (reach, bands). output:
    (bands,) what output spins send, 1 but where dust shades one. errors: of unit (relative), gains (mean) and first
    coupling. residual: rms of what is left of y, in sums of c."""

    unit: float
    gains: NDArray[np.float64]
    coupling: NDArray[np.float64]
    output: NDArray[np.float64]
    unit_error: float
    gain_error: float
    coupling_error: float
    residual: float


def fit_bands(sums: NDArray[np.float64], seen: NDArray[np.float64]) -> BandFit:
    """Gains and couplings from known sums c (measurements, bands) and what was seen of them, y, of that shape."""
    bands = sums.shape[1]
    place = np.linspace(-1, 1, bands)
    order = min(GAIN_ORDER, max(bands // 8, 1))
    basis = np.polynomial.chebyshev.chebvander(place, order)

    def model(x: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        gains = np.exp(basis @ x[: order + 1])
        g = np.stack([x[order + 1] + x[order + 2] * place, np.full(bands, x[order + 3])])
        return gains, g

    def predicted(x: NDArray[np.float64]) -> NDArray[np.float64]:
        gains, g = model(x)
        root = np.sqrt(gains)
        lit = sums * root
        out = lit.copy()
        for k in (1, 2):
            if k < bands:
                out[:, :-k] += g[k - 1, :-k] * lit[:, k:]
                out[:, k:] += g[k - 1, :-k] * lit[:, :-k]
        return np.asarray(out * root)

    slope = float((sums * seen).sum() / (sums**2).sum())
    if not slope > 0:
        return BandFit(slope, np.ones(bands), np.zeros((2, bands)), np.ones(bands), np.inf, np.inf, np.inf, np.inf)
    start = np.zeros(order + 4)
    output = np.ones(bands)
    for _ in range(2):  # once more without what dust spoils
        found = least_squares(
            lambda x, o: (o * predicted(x) - seen / slope).ravel(),
            start,
            loss="soft_l1",
            f_scale=3 * _scale(sums),
            args=(output,),
        )
        start = found.x
        output = _shaded(predicted(found.x), seen / slope)
    gains, g = model(found.x)
    left = output * predicted(found.x) - seen / slope
    variance = float((left**2).sum()) / max(left.size - len(start), 1)
    covariance = np.linalg.pinv(found.jac.T @ found.jac) * variance
    spread = np.sqrt(np.einsum("bk,kl,bl->b", basis, covariance[: order + 1, : order + 1], basis))
    mean = float(gains.mean())
    of_mean = gains @ basis / bands / mean
    return BandFit(
        unit=slope * mean,
        gains=gains / mean,
        coupling=g,
        output=output,
        unit_error=float(np.sqrt(of_mean @ covariance[: order + 1, : order + 1] @ of_mean)),
        gain_error=float(spread.mean()),
        coupling_error=float(np.sqrt(covariance[order + 1, order + 1])),
        residual=float(np.sqrt((left**2).mean())) / mean,
    )


def _shaded(expected: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors (bands,) by which some bands are seen weaker or stronger than all others let expect; 1 for the rest.

    expected, seen: (measurements, bands).
    """
    known = (expected**2).sum(axis=0)
    ratio = (expected * seen).sum(axis=0) / np.where(known > 0, known, 1.0)
    off = seen - expected
    typical = 1.4826 * float(np.median(np.abs(off - np.median(off))))
    sure = np.abs(ratio - 1) * np.sqrt(known) > SHADED_SIGMAS * typical
    return np.where(sure & (known > 0), np.maximum(ratio, 0.05), 1.0)


def _scale(sums: NDArray[np.float64]) -> float:
    return float(0.1 * np.sqrt((sums**2).mean())) or 1.0

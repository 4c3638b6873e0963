"""What the pump's panel does to phases, from windows, through which its light comes to the camera as it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from labctl.client import CalibrationError
from protocols.nep.table.encoding import FULL, PhaseLaw, kinds_of
from protocols.nep.table.reading import Reader
from protocols.nep.table.rig import Rig

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

STEADY = 0.9 * FULL
"""Amplitude of windows that tell how bright and in which phase a frame is."""
_SETTINGS = 48
_ROUNDS = 5
_TOO_FAR = 0.1


@dataclass(frozen=True, eq=False)
class Windows:
    """expected: (across,) fields of windows of amplitude `STEADY`. leak: share of a neighbour's amplitude in a place's.

    off: rms by which fields differ from the law's, relative. noise: rms of a window's field from frame to frame,
    relative to `STEADY`'s.
    """

    law: PhaseLaw
    expected: Complex
    leak: complex
    off: float
    noise: float

    def factor(self, seen: Complex) -> Complex:
        """Of frames (frames,): brightness and phase of windows (frames, across) relative to those expected."""
        return np.asarray(seen @ self.expected.conj() / (np.abs(self.expected) ** 2).sum())


def fit_law(rig: Rig, reader: Reader, rng: np.random.Generator) -> Windows:
    """Show random amplitudes in windows, steady ones in others by turns. The sheet itself is dark.

    Raises CalibrationError where no law of a few terms tells what is seen.
    """
    high, wide = rig.plan.places
    T = np.zeros((_SETTINGS, high, wide), np.complex128)
    T[:, 0] = STEADY
    half = (np.arange(_SETTINGS)[:, None] + np.arange(wide)[None, :]) % 2 == 0
    x, y = rng.uniform(-1, 1, (2, _SETTINGS, wide)) * FULL * 0.5
    T[:, 0] = np.where(half, STEADY, (x + y) + 1j * (x - y))
    kinds = kinds_of(T, PhaseLaw(leak=0.0))
    written = rig.pump.law.to_write(kinds)
    seen = reader.fields(rig.frames(rig.pump.of_kinds(kinds)))[:, 0]

    def fit(x: Array) -> tuple[PhaseLaw, Complex, complex]:
        law = PhaseLaw(x[0], (x[1], x[2]), x[3])
        amplitudes = np.pad(law.amplitude(law.shown(written))[:, 0], ((0, 0), (1, 1)))
        g = np.ones(_SETTINGS, np.complex128)
        expected, leak = seen, 0j
        for _ in range(_ROUNDS):
            expected, leak = _per_window(amplitudes, seen / g[:, None])
            g = (seen * expected.conj()).sum(axis=1) / (np.abs(expected) ** 2).sum(axis=1)
            g /= g.mean()
        return law, seen / g[:, None] - expected, leak

    def residual(x: Array) -> Array:
        rig.alive()
        left = fit(x)[1] / np.abs(seen).mean()
        return np.concatenate([left.real.ravel(), left.imag.ravel()])

    bounds = ([-0.3, -1.0, -1.0, 0.0], [0.3, 1.0, 1.0, 0.7])
    found = least_squares(residual, [0.0, 0.0, 0.0, 0.2], bounds=bounds)
    law, left, leak = fit(found.x)
    off = float(np.sqrt((np.abs(left) ** 2).mean()) / np.abs(seen).mean())
    if off > _TOO_FAR:
        raise CalibrationError(
            f"windows are {off:.0%} off any law of the panel's phases ({_TOO_FAR:.0%} at most): does the panel settle, "
            "is its table of phases that of this wavelength, is the camera's image of places where it was?"
        )
    rig.pump.law = law
    return _steady(rig, reader, law, off, leak)


def _per_window(T: Complex, fields: Complex) -> tuple[Complex, complex]:
    """Fields (settings, across) as lines of each window's amplitude and its neighbours', T (settings, across + 2).

    And the share of neighbours'.
    """
    expected, leaks = np.empty_like(fields), []
    for j in range(fields.shape[1]):
        terms = np.column_stack([T[:, j + 1], T[:, j], T[:, j + 2], np.ones(len(T))])
        fit = np.linalg.lstsq(terms, fields[:, j], rcond=None)[0]
        expected[:, j] = terms @ fit
        if 0 < j < fields.shape[1] - 1:
            leaks += [fit[1] / fit[0], fit[2] / fit[0]]
    return expected, complex(np.median(np.real(leaks)), np.median(np.imag(leaks))) if leaks else 0j


def _steady(rig: Rig, reader: Reader, law: PhaseLaw, off: float, leak: complex) -> Windows:
    """What windows of `STEADY` give, all lit alike."""
    T = np.zeros((16, *rig.plan.places), np.complex128)
    T[:, 0] = STEADY
    seen = reader.fields(rig.frames(rig.pump.patterns(T)))[:, 0]
    mean = seen[0]
    for _ in range(_ROUNDS):
        g = seen @ mean.conj() / (np.abs(mean) ** 2).sum()
        mean = (seen / g[:, None]).mean(axis=0)
    left = seen / g[:, None] - mean
    noise = math.sqrt(float((np.abs(left) ** 2).mean()) * 16 / 15) / float(np.abs(mean).mean())
    return Windows(law, mean, leak, off, noise)

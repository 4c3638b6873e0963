"""Complex pumps on a phase-only panel: every place has a macro-pixel of four kinds of pixels, in a Latin square.

    T = (a e^{i pi/4} + b e^{-i pi/4}) / 2,    a = cos alpha, b = cos beta

Kinds have the phases pi + pi/4 +- alpha and pi - pi/4 +- beta (two phases to a real number, Davis 1999). With |a| and
|b| up to 0.6 none of them comes near a wrap, whatever the phase of T; and every edge has all four kinds alike,
so that what a blurred image lets into neighbours is T as well.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import LimitError, Sequence
from protocols.nep.table.alignment import NepAlignment
from protocols.nep.table.macro_kernels import amplitudes, solved, written
from simulators.physics.processors import processors

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Phases = NDArray[np.float32]

QUARTER = math.pi / 4
FULL = 0.33
"""Of |Re T| + |Im T|: what fringing fields take can be made up for."""
_LATIN = np.array([[0, 2, 1, 3], [2, 1, 3, 0], [1, 3, 0, 2], [3, 0, 2, 1]])
"""Kinds: a with +alpha, a with -alpha, b with +beta, b with -beta."""
_ROUNDS = 5
_STEPS = 4096
"""Of the table of phases to be written: linear between them, to 1e-6 rad."""
_SPREADS, _TURN_STEP = 31, 12
"""Ways in which gray levels are rounded, and how many of them lie between one pattern's and the next one's."""
_AT_ONCE = 16
"""Patterns that one thread works out."""


@dataclass(frozen=True)
class PhaseLaw:
    """What a panel does to phases that are written, and how much light fringing fields take to phases in between.

    gain, bend: phi (1 + gain) + sines of half and of a whole period over a turn (rad). leak: share of area.
    """

    gain: float = 0.0
    bend: tuple[float, float] = (0.0, 0.0)
    leak: float = 0.2

    def shown(self, written: Array) -> Array:
        """Phases, rad, of those written, 0 to 2 pi."""
        return np.asarray(
            written * (1 + self.gain) + self.bend[0] * np.sin(written / 2) + self.bend[1] * np.sin(written)
        )

    @property
    def middle(self) -> float:
        """Of the phases that can be shown: what macro-pixels are about."""
        first, last = self.shown(np.array([0.0, 2 * math.pi]))
        return float(first + last) / 2

    @property
    def steepest(self) -> float:
        """Largest alpha that can be shown."""
        first, last = self.shown(np.array([0.0, 2 * math.pi]))
        return min(float(last - first) / 2, math.pi) - QUARTER

    def to_write(self, wanted: NDArray[np.floating[Any]]) -> Array:
        """Phases to be written, 0 to 2 pi, so that these are shown."""
        fine = np.linspace(0.0, 2 * math.pi, 1025)
        return np.asarray(np.interp(wanted, self.shown(fine), fine))

    def amplitude(self, kinds: NDArray[np.floating[Any]]) -> Complex:
        """T (..., down, across) of kinds (4, ..., down, across) that show phases.

        Between two blocks light has all phases from one to the other; between macro-pixels each has the half of it on
        its own side. Around them all are dark ones.
        """
        phase = np.asarray(kinds, np.float64) - self.middle
        if not self.leak:
            return np.asarray(np.exp(1j * phase).mean(axis=0))
        dark = (_plain_kinds(np.zeros(1, np.complex128), self) - self.middle)[:, 0]
        flat = phase.reshape(4, -1, *phase.shape[-2:])
        out = np.empty(flat.shape[1:], np.complex128)
        amplitudes(flat, dark, self.leak, _LATIN, _PAIRS, _COUNTS, out)
        return out.reshape(phase.shape[1:])


def _inner() -> dict[tuple[int, int], int]:
    """How many borders there are between blocks of two kinds, within a macro-pixel."""
    found: dict[tuple[int, int], int] = {}
    for one, other in ((_LATIN[:, :-1], _LATIN[:, 1:]), (_LATIN[:-1], _LATIN[1:])):
        for p, q in zip(one.ravel().tolist(), other.ravel().tolist(), strict=True):
            key = (min(p, q), max(p, q))
            found[key] = found.get(key, 0) + 1
    return found


_PAIRS = np.array(sorted(_inner()), np.int64)
_COUNTS = np.array([_inner()[int(p), int(q)] for p, q in _PAIRS], np.float64)


def kinds_of(T: Complex, law: PhaseLaw) -> Phases:
    """Phases (4, ..., down, across) to be shown for amplitudes T (..., down, across), as near as they can be."""
    flat = np.ascontiguousarray(T, np.complex128).reshape(-1, *T.shape[-2:])
    out = np.empty((4, *flat.shape), np.float32)
    most = -math.cos(law.steepest)
    solved(flat, law.leak, most, _ROUNDS if law.leak else 0, _LATIN, _PAIRS, _COUNTS, out)
    out += np.float32(law.middle)
    return out.reshape(4, *T.shape)


def _plain_kinds(T: Complex, law: PhaseLaw) -> Array:
    x, y = math.sqrt(2) * T.real, math.sqrt(2) * T.imag
    most = -math.cos(law.steepest)
    alpha, beta = (np.arccos(np.clip(v, -most, most)) for v in (x + y, x - y))
    plus, minus = law.middle + QUARTER, law.middle - QUARTER
    return np.stack([plus + alpha, plus - alpha, minus + beta, minus - beta])


class PumpMacros:
    """Macro-pixels of the pump's panel, one to each place. threads: that work them out; results do not depend on it."""

    def __init__(self, plan: NepAlignment, rows: int, columns: int, levels: int) -> None:
        """rows, columns, levels: of the panel; levels 0 for a continuous one."""
        m, (high, wide) = plan.pump, plan.places
        self.places, self.law = (high, wide), PhaseLaw()
        self.threads = processors()
        self._corner = m.row, m.column
        self._kind = np.kron(_LATIN, np.ones((m.pixels // 4, m.pixels // 4), np.int64))
        self._spreads = _spreads(self._kind, levels)
        self._last = 2 * math.pi * (1 - 1 / levels) if levels else 2 * math.pi
        self._base = np.empty((rows, columns), np.float32)
        r, c = np.indices((rows, columns))
        kinds = self.law.to_write(_plain_kinds(np.zeros(1, np.complex128), self.law))[:, 0]
        self._base[:] = kinds[_LATIN[r // 2 % 4, c // 2 % 4]]

    def patterns(self, T: Complex, turn: int = 0) -> Phases:
        """Phases (patterns, rows, columns), rad, of macro-pixels T (patterns, places down, places across).

        Gray levels are rounded otherwise from one pattern to the next, and from one ``turn`` to another, so that what
        rounding does to a pump is less in the mean of several.

        Raises LimitError where one is larger than can be shown.
        """
        size = np.abs(T.real) + np.abs(T.imag)
        most = float(size.max(initial=0.0))
        if not most <= FULL * (1 + 1e-9):
            raise LimitError(
                f"a macro-pixel would have |Re T| + |Im T| = {most:.3g}; {FULL:.3g} is the most: more power of the "
                "pump is needed, or smaller weights"
            )
        m = len(self._kind)
        out = np.empty((len(T), T.shape[1] * m, T.shape[2] * m), np.float32)
        firsts = range(0, len(T), _AT_ONCE)
        with ThreadPoolExecutor(self.threads) as pool:
            parts = [slice(first, first + _AT_ONCE) for first in firsts]
            list(pool.map(lambda p: self._write(kinds_of(T[p], self.law), out[p], turn + p.start), parts))
        return out

    def of_kinds(self, shown: NDArray[Any]) -> Phases:
        """The same of macro-pixels whose kinds are to show phases (4, patterns, down, across)."""
        m, (count, high, wide) = len(self._kind), shown.shape[1:]
        out = np.empty((count, high * m, wide * m), np.float32)
        self._write(np.ascontiguousarray(shown, np.float32), out, 0)
        return out

    def _write(self, shown: Phases, out: Phases, turn: int) -> None:
        first, last = self.law.shown(np.array([0.0, 2 * math.pi])).tolist()
        table = self.law.to_write(np.linspace(first, last, _STEPS + 1)).astype(np.float32)
        written(shown, first, (last - first) / _STEPS, table, self._kind, self._spreads, turn, self._last, out)

    def sequence(self, patterns: Phases) -> Sequence:
        """One pattern after the other, on a panel that is dark elsewhere."""
        count = len(patterns)
        return Sequence(
            base=self._base,
            base_origin=(0, 0),
            patches=patterns,
            patch_origins=np.tile(np.array(self._corner, np.int32), (count, 1)),
            offsets=np.arange(count + 1, dtype=np.int32),
            indices=np.arange(count, dtype=np.int32),
        )


def _spreads(kind: NDArray[np.int64], levels: int) -> Phases:
    """Even steps within one gray level (turns, m, m), about 0, among the pixels of each kind: a mean is rounded finer.

    In `_SPREADS` turns, those of each pixel are even, too: kinds are not seen alike everywhere on a macro-pixel.
    """
    out = np.zeros((_SPREADS, *kind.shape), np.float32)
    if not levels:
        return out[:1]
    for k in np.unique(kind):
        places = np.flatnonzero(kind.ravel() == k)
        step = next(
            n for n in range(max(1, int(0.618 * len(places))), 2 * len(places) + 2) if math.gcd(n, len(places)) == 1
        )
        even = (np.arange(len(places)) * step % len(places) + 0.5) / len(places)
        for turn in range(_SPREADS):
            shifted = (even + turn * _TURN_STEP / _SPREADS) % 1 - 0.5
            out[turn].ravel()[places] = shifted * (2 * math.pi / levels)
    return out


@dataclass(frozen=True)
class LightLaw:
    """What the potential's panel lets pass of phases that are written: sin^2 of half of what is shown."""

    phase: PhaseLaw = PhaseLaw(leak=0.0)
    extinction: float = 0.0

    def light(self, written: Array) -> Array:
        """Share of the light of phases written, 0 to pi."""
        return np.asarray(self.extinction + (1 - self.extinction) * np.sin(self.phase.shown(written) / 2) ** 2)

    def to_write(self, light: Array) -> Array:
        """Phases to be written for shares of light, which are clipped to what there is."""
        fine = np.linspace(0.0, math.pi, 1025)
        rising = np.maximum.accumulate(self.light(fine))
        return np.asarray(np.interp(light, rising + 1e-12 * np.arange(1025), fine))


class PotentialMacros:
    """Macro-pixels of the potential's panel, one to each place; windows and the row below them are dark."""

    def __init__(self, plan: NepAlignment, rows: int, columns: int, levels: int) -> None:
        """rows, columns, levels: of the panel; levels 0 for a continuous one."""
        self._plan, self._size = plan, (rows, columns)
        self.law = LightLaw()
        self._spread = _spreads(np.zeros((plan.potential.pixels,) * 2, np.int64), levels)[0]

    def pattern(self, light: Array) -> Phases:
        """Phases (rows, columns), rad, of the whole panel for light (rows, columns) at the mesa's nodes."""
        return self.of_phases(self.law.to_write(light))

    def of_phases(self, written: Array) -> Phases:
        """The same of phases (rows, columns) of macro-pixels."""
        m = self._plan.potential
        phase = np.zeros(self._size, np.float32)
        lit = np.kron(written > 0, np.ones((m.pixels, m.pixels)))
        image = np.kron(written, np.ones((m.pixels, m.pixels))) + lit * np.tile(self._spread, written.shape)
        first = m.row + 2 * m.pixels
        phase[first : first + image.shape[0], m.column : m.column + image.shape[1]] = np.maximum(image, 0)
        return phase

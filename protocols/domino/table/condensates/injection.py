"""Mode "injection": condensates run by themselves, and light that is injected locks each one's phase.

    F_i sin(phi_i - eta_i) = sum_j J_ij |psi_j| sin(phi_j - phi_i)       (imaginary part of the condensates' equation)

Gain holds a condensate's density and leaves its phase free, so x_j is written as sin(phi_j). What the others do to it
is read from how far couplings pull its phase away from where the same injected light holds it with couplings dark:
look-up tables, unmodulated light and detunings are in both frames. In one frame phases are known but for the
reference's; couplings are symmetric, so what condensates do to one another adds up to nothing, and that is known too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.domino.table.measured import Measured, nothing
from protocols.domino.table.multiplier import UNLOCKED_VAR
from protocols.domino.table.reading import BandReader
from protocols.domino.table.rig import Played, Rig
from protocols.domino.table.shown import Shown

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

SWING = 0.45
"""sin(phi) of a start's largest field."""
GUARD = 6
"""Columns that stay dark on both sides of a macro-pixel: the strip's image may be beside the condensates by as many."""
LEAST_FRINGES = 0.7
"""Of a condensate at rest, by amplitude, that it has in every frame while it is locked."""
PLAYS = 4
"""In which a response is measured once more: phases of the reference drift between the two frames of long ones."""
_FARTHEST = 0.95
_MOST_TURN = 0.9


@dataclass(frozen=True, eq=False)
class Locking:
    """What calibration has found. rest: (N,) fields with nothing written, root counts. N: (N, N) what couplings pull a
    phase by, in units of what the injected field holds it by; unit of W is ``unit``."""

    rest: Complex
    N: Array
    unit: float


class InjectionOptics:
    """A table whose couplings are set up; see `injection_setup.set_up_injection`.

    lit: phases of the coupling panel. visible: fringes of the beginning. jitter_rad: noise (rms) that is written on
    what is injected, another in every frame."""

    def __init__(
        self,
        rig: Rig,
        reader: BandReader,
        locking: Locking,
        lit: NDArray[np.float32],
        W: Array,
        rng: np.random.Generator,
    ) -> None:
        self.rig, self.most, self.visible = rig, 1.0, 1.0
        self.jitter_rad, self._rng = 0.0, rng
        self._reader, self._l, self._W = reader, locking, W
        self._panels = rig.couplings.pattern(np.zeros(W.shape, np.complex128)), lit
        self._shown = Shown(rig, SWING)
        self._held: Array | None = None
        degree = locking.N.sum(axis=1)
        self._own = np.stack([np.zeros_like(degree), np.ones_like(degree), degree])[:, :, None]

    def exact(self, psi: Complex) -> Complex:
        """W psi of fields (N, starts)."""
        return np.asarray(self._W @ psi, np.complex128)

    def measure(self, psi: Complex) -> Measured:
        """Two frames of every start, one with couplings dark and one with them lit; see `Measured`.

        What is injected holds phases where they are to be, against the pull of the frames before. Raises
        CalibrationError if no frame has come for a long time.
        """
        if self._held is None or self._held.shape != psi.shape:
            self._held = np.zeros(psi.shape)
            self.measure(psi)
        unit = self._shown.unit(psi)
        a = np.clip(psi.real / unit, -_FARTHEST, _FARTHEST)
        eta = self._injected(a, self._held * (self._l.unit / unit))
        images = self._images(eta)
        if images is None:
            return nothing(*psi.shape)
        dark, lit = images
        before, after, pull = pulled(dark.fields, lit.fields, eta)
        always, gain, degree = self._own
        passed_on = (pull - always + degree * _held_back(after)) / (gain * np.maximum(np.cos(after), 0.3))
        v = passed_on * (unit / self._l.unit)
        var = ((before - eta) ** 2).mean(axis=0)
        weakest = np.minimum(np.abs(dark.fields), np.abs(lit.fields)).min(axis=0)
        locked = (weakest > LEAST_FRINGES * self.visible) & (var < UNLOCKED_VAR) & ~dark.played.full & ~lit.played.full
        self._held = np.where(locked, v, self._held)
        return Measured(
            v=v.astype(np.complex128),
            total=(np.sin(after).sum(axis=0) * unit).astype(np.complex128),
            came=np.ones(a.shape[1], np.bool_),
            locked=locked,
            phase_var=var,
            visibility=np.abs(lit.fields).mean(axis=0) / self.visible,
        )

    def refine(self, eta: Array) -> None:
        """Measure, by phases eta (N, vectors), what each condensate is pulled by whatever is written, by the others,
        and by its own phase: what the camera takes for phases is not quite right."""
        parts = []
        for part in np.array_split(eta, PLAYS, axis=1):
            images = self._images(part)
            if images is not None:
                parts.append(pulled(images[0].fields, images[1].fields, part))
        if not parts:
            return
        _, phi, pull = (np.concatenate(one, axis=1) for one in zip(*parts, strict=True))
        wanted, own = np.cos(phi) * (self._l.N @ np.sin(phi)), _held_back(phi)
        for i in range(len(eta)):
            terms = np.stack([np.ones(phi.shape[1]), wanted[i], -own[i]], axis=1)
            self._own[:, i, 0] = np.linalg.lstsq(terms, pull[i], rcond=None)[0]

    def _images(self, eta: Array) -> tuple[_Image, _Image] | None:
        """Frames with couplings dark and lit, or None if one is lost."""
        found = []
        for panel in self._panels:
            self.rig.show_couplings(panel)
            played = self._shown.play(self.patterns(eta))
            if played is None:
                return None
            found.append(_Image(self._reader.fields(played.frames)[0] / self._l.rest[:, None], played))
        return found[0], found[1]

    def patterns(self, eta: Array) -> NDArray[np.float32]:
        """Phases (vectors, rows, columns) of bright macro-pixels."""
        if self.jitter_rad:
            eta = eta + self._rng.normal(0.0, self.jitter_rad, eta.shape)
        return self.rig.strip.patterns(np.zeros_like(eta), eta, GUARD)

    def _injected(self, a: Array, passed_on: Array) -> Array:
        """Phases (N, starts) at which sin(phi) is a (N, starts), if so much is passed on by the others."""
        phi = np.arcsin(a)
        turn = np.cos(phi) * passed_on - self._own[2] * _held_back(phi)
        return np.asarray(phi - np.arcsin(np.clip(turn, -_MOST_TURN, _MOST_TURN)))


@dataclass(frozen=True, eq=False)
class _Image:
    """fields: (N, starts), beside those at rest."""

    fields: Complex
    played: Played


def pulled(dark: Complex, lit: Complex, eta: Array, alone: int | None = None) -> tuple[Array, Array, Array]:
    """Phases (N, frames) with couplings dark, and lit, and the sine of the difference, of fields beside those at rest.

    eta: (N, frames) that is injected. alone: a condensate that no light of others reaches, by which both frames' common
    phases are told apart; without one, differences add up to nothing.
    """
    before = dark * np.exp(-1j * eta)
    before = eta + np.angle(before * np.conj(_unit(before).sum(axis=0)))
    turned = lit * np.exp(-1j * before)
    common = _unit(turned).sum(axis=0) if alone is None else turned[alone]
    off = np.angle(turned * np.conj(common))
    return before, before + off, np.sin(off)


def _held_back(phi: Array) -> Array:
    """sum_j J_ij cos(phi_j) sin(phi_i), for a sum of J_ij of 1: (N, frames), with the mean of all cosines."""
    return np.asarray(np.cos(phi).mean(axis=0) * np.sin(phi))


def _unit(fields: Complex) -> Complex:
    return np.asarray(fields / np.maximum(np.abs(fields), 1e-30), np.complex128)

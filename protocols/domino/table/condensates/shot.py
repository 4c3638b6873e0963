"""Mode "shot": condensates are seeded, couplings act on them for a gate's time, and the camera adds up their decay.

    image = background + own K exp(W h) x,      h v = K^-1 (image with couplings lit - image with them dark) / own

Own light, ten times what couplings add in a gate, is in both images: what is wrong with it, in seeds, on the way or in
fringes, is not taken for couplings. It is also the pilot: its phase is that of a frame's reference. How bright light is
altogether is one number of each play.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from protocols.domino.table.law import Law
from protocols.domino.table.measured import Measured, nothing
from protocols.domino.table.multiplier import inconsistency, is_locked
from protocols.domino.table.reading import BandReader
from protocols.domino.table.rig import Played, Rig
from protocols.domino.table.shown import Shown

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

PLAYS = 6
"""In which a response is measured once more: power and phases drift between the two frames of long ones."""


@dataclass(frozen=True, eq=False)
class Seeding:
    """What calibration has found. own: (N,) field of a site's own light, root counts, for seed 1. level: (N,)
    amplitudes by which seeds are alike. K: (N, N) what own light is, by own, with couplings dark. G: (N, N) logarithm
    of what couplings make of it. background: (2, N) light that no seed reaches, by own, couplings dark and lit. h: time
    for which couplings act, in units of W's."""

    own: Complex
    level: Array
    K: Complex
    G: Complex
    background: Complex
    h: float


class ShotOptics:
    """A table whose couplings are set up; see `shot_setup.set_up_shot`.

    lit: phases of the coupling panel. visible: fringes of the beginning, to which visibility is relative. jitter_rad:
    noise (rms) that is written on the phases of seeds, another in every frame."""

    def __init__(
        self,
        rig: Rig,
        reader: BandReader,
        law: Law,
        seeding: Seeding,
        lit: NDArray[np.float32],
        W: Array,
        rng: np.random.Generator,
    ) -> None:
        self.rig, self.most, self.visible = rig, law.most, 1.0
        self.jitter_rad, self._rng = 0.0, rng
        self._reader, self._law, self._s, self._W = reader, law, seeding, W
        self._panels = rig.couplings.pattern(np.zeros_like(seeding.K)), lit
        self._answers = seeding.K, seeding.K @ expm(seeding.G)
        self._unmixed = np.linalg.inv(seeding.K)
        self._background = seeding.background[:, :, None].copy()
        self._gain, self._own = np.ones(len(W)), np.zeros(len(W))
        self._shown = Shown(rig, law.most)

    def patterns(self, a: Complex) -> NDArray[np.float32]:
        """Phases (vectors, rows, columns) of real amplitudes (nodes, vectors)."""
        alpha, theta = self._law.of(self._s.level[:, None] * a.real)
        if self.jitter_rad:
            theta = theta + self._rng.normal(0.0, self.jitter_rad, theta.shape)
        return self.rig.strip.patterns(alpha, theta)

    def measure(self, psi: Complex) -> Measured:
        """Two frames of every start, one with couplings dark and one with them lit; see `Measured`.

        v: the change in a gate's time, by it. total: of what is seen with couplings dark. Raises CalibrationError if no
        frame has come for a long time.
        """
        unit = self._shown.unit(psi)
        a = psi.real / unit
        images = []
        for k in range(2):
            image = self._image(k, a)
            if image is None:
                return nothing(*psi.shape)
            images.append(image)
        dark, lit = images
        own = self._unmixed @ dark.seeded
        var, beyond = inconsistency(a.astype(np.complex128), own, dark.sigma)
        visibility = np.minimum(dark.bright, lit.bright) / self.visible
        return Measured(
            v=self._changes(dark, lit) * (unit / self._s.h),
            total=own.sum(axis=0) * unit,
            came=np.ones(a.shape[1], np.bool_),
            locked=is_locked(var, beyond, visibility) & ~dark.played.full & ~lit.played.full,
            phase_var=var,
            visibility=visibility,
        )

    def exact(self, psi: Complex) -> Complex:
        """v of light without errors."""
        return np.asarray((expm(self._W * self._s.h) @ psi - psi) / self._s.h)

    def refine(self, a: Array) -> None:
        """Measure once more, by amplitudes (N, vectors) of all sizes, what no seed reaches, and how a site's change of
        light depends on what it should be, and on its own seed."""
        self._gain[:], self._own[:] = 1.0, 0.0
        pairs: list[tuple[Array, _Image, _Image]] = []
        for part in np.array_split(a, PLAYS, axis=1):
            dark, lit = self._image(0, part), self._image(1, part)
            if dark is not None and lit is not None:
                pairs.append((part, dark, lit))
        if not pairs:
            return
        a = np.concatenate([part for part, _, _ in pairs], axis=1)
        found = np.concatenate([self._changes(dark, lit).real for _, dark, lit in pairs], axis=1)
        for k in range(2):
            seeded = np.concatenate([(dark, lit)[k].seeded for _, dark, lit in pairs], axis=1)
            self._background[k] += (seeded - self._answers[k] @ a).mean(axis=1)[:, None]
        wanted = self._s.h * self.exact(a.astype(np.complex128)).real
        for i in range(len(a)):
            terms = np.stack([np.ones(a.shape[1]), wanted[i], a[i]], axis=1)
            self._gain[i], self._own[i] = np.linalg.lstsq(terms, found[i], rcond=None)[0][1:]

    def _changes(self, dark: _Image, lit: _Image) -> Complex:
        """Of own light (N, starts), by couplings."""
        change = self._unmixed @ (lit.seeded - dark.seeded)
        return np.asarray((change - self._own[:, None] * (self._unmixed @ dark.seeded)) / self._gain[:, None])

    def _image(self, k: int, a: Array) -> _Image | None:
        self.rig.show_couplings(self._panels[k])
        played = self._shown.play(self.patterns(a.astype(np.complex128)))
        if played is None:
            return None
        fields, noise = self._reader.fields(played.frames)
        own = self._s.own[:, None]
        fields, noise = fields / own, noise / np.abs(own)
        phase, each, bright = beside(fields, self._background[k] + self._answers[k] @ a)
        return _Image(fields / (bright * phase) - self._background[k], noise / bright, each, played)


@dataclass(frozen=True, eq=False)
class _Image:
    """seeded: (N, starts) amplitudes of what seeds reach. sigma: of a quadrature's noise. bright: (starts,) of frames,
    beside what is expected."""

    seeded: Complex
    sigma: Array
    bright: Array
    played: Played


def beside(fields: Complex, expected: Complex) -> tuple[Complex, Array, float]:
    """What fields (bands, frames) are beside those expected: phase (frames,), of modulus 1, and brightness (frames,) of
    each frame, and the brightness that all have in common."""
    along = (expected.conj() * fields).sum(axis=0)
    size, power = np.abs(along), np.maximum((np.abs(expected) ** 2).sum(axis=0), 1e-30)
    phase = np.where(size > 0, along / np.maximum(size, 1e-30), 1.0)
    return phase, size / power, max(float(size.sum() / power.sum()), 1e-30)

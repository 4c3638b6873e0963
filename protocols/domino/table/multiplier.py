"""W psi and the total field by light: vectors are shown, one after the other, and bands of their frames read.

Every frame carries its own reference: how bright and in which phase the light of all single nodes is, in the mean,
beside what was written. So neither drifts of the reference's phase nor of the laser's power reach the result, and where
light and vector do not agree, the frame tells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.domino.table.bands import Bands
from protocols.domino.table.law import Law
from protocols.domino.table.measured import Measured, looked_at, nothing
from protocols.domino.table.reading import BandReader
from protocols.domino.table.rig import Rig
from protocols.domino.table.shown import Shown

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

UNLOCKED_VAR = 0.25
"""Mean square of phases (rad^2) by which light may differ from what was written: half a radian, where the cosine has
lost an eighth."""
UNWRAPPED_RAD = 0.3
"""How far from a wrap pixels of the strip stay."""
TURNED_FROM = 0.2
"""Amplitude below which a node is turned by less than its phase, and is not followed."""
_SIGMAS = 5.0
"""By which that must be beyond noise, so that dim vectors are no false alarms."""
LEAST_VISIBILITY = 0.5
"""Of fringes, relative to those of the beginning."""
_TRACKED = 0.1
"""Weight of a play in the phases that nodes are followed by: ten plays are averaged."""
_FORGOTTEN = 0.01
"""Of what was taken out, by every play: phases of nodes that are hardly lit, and hardly known, do not wander off."""
_KEPT = 0.05
"""Of the brightest node's light, that stands for the phase a node had."""
_LARGEST = 0.3


@dataclass(frozen=True, eq=False)
class Answer:
    """What calibration has found of bands. scale: (bands,) field of a band, root counts, for 1 of its target.
    background: (bands,) field without vector. noise: (bands,) standard deviation of the first in typical frames."""

    scale: Complex
    background: Complex


class Multiplier:
    """A table that is set up for couplings W; see `setting_up.set_up`.

    jitter_rad: phases of all nodes are written with such noise (rms), another in every frame, as of oscillators that do
    not keep theirs. visible: fringes of the beginning, to which visibility is relative."""

    def __init__(
        self,
        rig: Rig,
        reader: BandReader,
        bands: Bands,
        law: Law,
        answer: Answer,
        rng: np.random.Generator,
    ) -> None:
        self.rig, self.bands, self._reader, self._law, self._answer = rig, bands, reader, law, answer
        self._rng, self.jitter_rad = rng, 0.0
        self.visible = 1.0
        self.site_phase = np.zeros(bands.nodes)
        self._shown = Shown(rig, law.most)

    def measure(self, psi: Complex) -> Measured:
        """See `Measured`. Vectors are shown with their largest amplitude at `Law.most`, or less where a frame of the
        same start has saturated.

        Raises CalibrationError if no frame has come for a long time.
        """
        unit = self._shown.unit(psi)
        a = psi / unit
        result = self._shown.play(self.patterns(a))
        if result is None:
            return nothing(*psi.shape)
        fields, noise = self._reader.fields(result.frames)
        return self._read(a, unit, fields, noise, result.full)

    def exact(self, psi: Complex) -> Complex:
        """W psi of fields (N, starts)."""
        return self.bands.W @ psi

    def patterns(self, a: Complex) -> NDArray[np.float32]:
        """Phases (vectors, rows, columns) of complex amplitudes (nodes, vectors)."""
        real = np.where(a.real < 0, -1.0, 1.0)
        turned = a * real
        alpha, theta = self._law.of(real * np.abs(a))
        phase = np.angle(turned)
        if self.jitter_rad:
            phase = phase + self._rng.normal(0.0, self.jitter_rad, a.shape)
        # A macro-pixel is dark by two phases that cancel, which panel and fringes let them do where the law was found
        # only. Nodes that are nearly dark, whose phase says little, stay there; and none comes near a wrap.
        theta = theta + (phase - self.site_phase[:, None]) * np.minimum(1.0, np.abs(a) / TURNED_FROM)
        room = np.maximum(math.pi - UNWRAPPED_RAD - alpha, 0.0)
        theta = np.clip(theta, -room, room)
        return self.rig.strip.patterns(alpha, theta)

    def _read(self, a: Complex, unit: Array, fields: Complex, noise: Array, full: NDArray[np.bool_]) -> Measured:
        b, scale = self.bands, self._answer.scale[:, None]
        background = self._answer.background[:, None]
        expected = background[b.single] + scale[b.single] * a
        power = (np.abs(expected) ** 2).sum(axis=0)
        g = (expected.conj() * fields[b.single]).sum(axis=0) / np.maximum(power, 1e-30)
        seen = np.where(np.abs(g) > 1e-12, g, 1.0)
        amplitudes = (fields / seen - background) / scale
        sigma = noise / (np.abs(seen) * np.abs(scale))
        var, beyond = inconsistency(a, amplitudes[b.single], sigma[b.single])
        self._follow(a, fields, seen)
        visibility = np.abs(g) / self.visible
        return Measured(
            v=amplitudes[b.coupled] * (b.largest * unit),
            total=amplitudes[b.total][0] * unit,
            came=np.ones(a.shape[1], np.bool_),
            locked=is_locked(var, beyond, visibility) & ~full,
            phase_var=var,
            visibility=visibility,
        )

    def _follow(self, a: Complex, fields: Complex, seen: Complex) -> None:
        """Phases of nodes by which the light of a play differs from what was written, taken out little by little."""
        b, scale = self.bands, self._answer.scale[self.bands.single, None]
        expected = self._answer.background[b.single, None] + scale * a
        # theta was written with the correction of before in it: what is found is what is left. Where a node is nearly
        # dark it was not turned, and what is seen of it says nothing of its phase.
        lit = np.where(np.abs(a) > TURNED_FROM, a, 0.0)
        left = phases_left(expected, scale * lit, fields[b.single] / seen)
        self.site_phase = (1 - _FORGOTTEN) * self.site_phase + _TRACKED * left

    def look(self, psi: Complex) -> Measured:
        """See `looked_at`."""
        return looked_at(self, psi)


def phases_left(expected: Complex, light: Complex, fields: Complex) -> Array:
    """Phases (nodes,), rad, by which the light of nodes is ahead of what was written, in all vectors alike.

    expected: (nodes, vectors) fields of the bands of single nodes, of which ``light`` is what vectors reach. fields:
    as they are. Least squares, to first order, beside a phase of every vector's own, which is the reference's: without
    it, light that no vector reaches would draw all nodes along.
    """
    off = fields - expected
    own = (np.conj(light) * light).real.sum(axis=1)
    power = np.maximum((np.abs(expected) ** 2).sum(axis=0), 1e-30)
    both = (np.conj(expected) * light).real / np.sqrt(power)
    turned = (np.conj(expected) * off).imag.sum(axis=0) / np.sqrt(power)
    normal = np.diag(own) - both @ both.T + _KEPT * own.max() * np.eye(len(own))
    wanted = (np.conj(light) * off).imag.sum(axis=1) - both @ turned
    return np.asarray(np.clip(np.linalg.solve(normal, wanted), -_LARGEST, _LARGEST))


def inconsistency(a: Complex, seen: Complex, sigma: Array) -> tuple[Array, Array]:
    """Mean square of phases (vectors,), rad^2, weighted by power, by which amplitudes ``seen`` (nodes, vectors) differ
    from those written, without what noise ``sigma`` of a quadrature adds; and by how many of its standard deviations
    that is beyond noise."""
    size = np.abs(a)
    across = (seen * a.conj()).imag / np.where(size > 0, size, 1.0)
    squares = np.where(size > 0, across**2, 0.0).sum(axis=0)
    noise = np.where(size > 0, sigma**2, 0.0)
    power = np.maximum((size**2).sum(axis=0), 1e-30)
    excess = squares - noise.sum(axis=0)
    return excess / power, excess / np.sqrt(np.maximum(2 * (noise**2).sum(axis=0), 1e-60))


def is_locked(var: Array, beyond: Array, visibility: Array) -> NDArray[np.bool_]:
    """Whether light is that of the fields that were written: by `inconsistency` and by visible fringes (vectors,)."""
    return np.asarray(~((var > UNLOCKED_VAR) & (beyond > _SIGMAS)) & (visibility > LEAST_VISIBILITY))

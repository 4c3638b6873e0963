"""How bands answer to single columns: vectors of two amplitudes are shown, and the linear answer is solved for.

    E_bf = g_f (B_b + sum_j M_bj a_jf)

B is what no vector reaches: light that the panels do not modulate. g is the reference's phase and the laser's power in
a frame, which drift meanwhile; it is 1 in the mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard

from labctl.client import CalibrationError
from protocols.domino.table.law import ALPHA, SHOWN, Law
from protocols.domino.table.reading import BandReader
from protocols.domino.table.rig import Rig

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

LIT = 0.7
"""Amplitude of columns that are lit, where others are dark."""
_ROUNDS = 6
_SATURATED = 0.1


@dataclass(frozen=True, eq=False)
class Response:
    """M: (bands, nodes), of amplitude 1. background: (bands,). M_err: (bands,) standard deviation of an entry's real
    and of its imaginary part, from what the linear answer leaves of frames. off: rms of that, by rms of all fields."""

    M: Complex
    background: Complex
    M_err: Array
    off: float


def signs(nodes: int, count: int, rng: np.random.Generator) -> Array:
    """Vectors (nodes, vectors) of +-1, about ``count``: as many as determine the answers, each beside its opposite, or
    a multiple of that."""
    size = 2 ** math.ceil(math.log2(nodes + 1))
    code = np.asarray(hadamard(size), np.float64)[1 : nodes + 1]
    parts = []
    for _ in range(max(1, round(count / (2 * size)))):
        mixed = code[:, rng.permutation(size)] * rng.choice([-1.0, 1.0], (nodes, 1))
        parts += [mixed, -mixed]
    return np.concatenate(parts, axis=1)


def probe(rig: Rig, reader: BandReader, count: int, rng: np.random.Generator, law: Law | None = None) -> Response:
    """Answers to columns with the couplings as they are: of signs about pi, or, where the law is known, lit or dark.

    count: of vectors, about.
    """
    s = signs(rig.nodes, count, rng)
    if law is None:
        return solved(shown(rig, reader, np.where(s > 0, ALPHA, math.pi - ALPHA)), SHOWN * s)
    lit = np.where(s > 0, min(LIT, law.most), 0.0)
    return solved(shown(rig, reader, *law.of(lit)), lit)


def shown(rig: Rig, reader: BandReader, alpha: Array, theta: Array | float = 0.0) -> Complex:
    """Fields (bands, vectors) of vectors pi + theta +- alpha (nodes, vectors).

    Raises CalibrationError where many frames saturate.
    """
    result = rig.must_play(rig.strip.patterns(alpha, theta))
    if result.full.mean() > _SATURATED:
        raise CalibrationError(
            f"{int(result.full.sum())} of {len(result.full)} frames saturate, though they were "
            "metered: does the laser's power change?"
        )
    return reader.fields(result.frames)[0]


def solved(fields: Complex, s: Array) -> Response:
    """The answer that fields (bands, vectors) to vectors s (nodes, vectors) have in common."""
    nodes, count = s.shape
    terms = np.vstack([np.ones(count), s])
    g = np.ones(count, np.complex128)
    for _ in range(_ROUNDS):
        turned = terms * g
        answer = np.asarray(np.linalg.lstsq(turned.T, fields.T, rcond=None)[0].T, np.complex128)
        expected = answer @ terms
        g = (expected.conj() * fields).sum(axis=0) / np.maximum((np.abs(expected) ** 2).sum(axis=0), 1e-30)
        g /= g.mean()
    rest = fields - (answer @ terms) * g
    free = max(1, count - nodes - 1)
    spread = np.linalg.pinv(terms @ terms.T).diagonal()[1:].mean()
    error = np.sqrt((np.abs(rest) ** 2).sum(axis=1) / (2 * free) * spread)
    off = float(np.sqrt((np.abs(rest) ** 2).mean() / max((np.abs(fields) ** 2).mean(), 1e-30)))
    return Response(answer[:, 1:], answer[:, 0], error, off)

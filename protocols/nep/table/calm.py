"""The exposure at which frames repeat themselves best: panels flicker, and of whole periods nothing is left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.nep.table.encoding import FULL, Phases
from protocols.nep.table.law import STEADY
from protocols.nep.table.reading import Reader
from protocols.nep.table.rig import Rig

Array = NDArray[np.float64]

LONGEST = 2.0
"""Of the exposures that are tried, in the bench file's."""
_STAGES, _TRIED = 2, 33
_FRAMES = 12


class Calm(NamedTuple):
    """exposure_s that was chosen; tried_s, scatter: (exposures,) rms of fields from frame to frame, relative."""

    exposure_s: float
    tried_s: Array
    scatter: Array


def calm_exposure(rig: Rig, reader: Reader, rng: np.random.Generator) -> Calm:
    """Sets the camera to it. Fields of windows and nodes are those of random pumps."""
    camera = rig.bench.camera
    first_s = float(camera.exposure_s)
    high, wide = rig.plan.places
    x, y = rng.uniform(-0.5, 0.5, (2, high, wide)) * FULL
    T = ((x + y) + 1j * (x - y)) * 0.6
    T[0, ::2], T[1] = STEADY, 0
    T[2:][rig.plan.walls] = 0
    patterns = rig.pump.patterns(np.broadcast_to(T, (_FRAMES, *T.shape)))
    tried_s, scatter = np.empty(0), np.empty(0)
    low_s, high_s = first_s, LONGEST * first_s
    for _ in range(_STAGES):
        new_s = np.linspace(low_s, high_s, _TRIED)
        tried_s = np.concatenate([tried_s, new_s])
        scatter = np.concatenate([scatter, [_scatter(rig, reader, patterns, float(s)) for s in new_s]])
        # Neighbours count as well: where the scatter is least by chance alone, theirs is not.
        smooth = np.convolve(np.pad(scatter[-_TRIED:], 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
        chosen, step_s = float(new_s[int(smooth.argmin())]), (high_s - low_s) / (_TRIED - 1)
        low_s, high_s = max(first_s, chosen - 1.5 * step_s), chosen + 1.5 * step_s
    camera.exposure_s = chosen
    return Calm(chosen, tried_s, scatter)


def _scatter(rig: Rig, reader: Reader, patterns: Phases, exposure_s: float) -> float:
    rig.bench.camera.exposure_s = exposure_s
    fields = reader.fields(rig.frames(patterns))
    g = fields[:, 0, ::2].mean(axis=1)
    even = fields / g[:, None, None] * g.mean()
    mean = even.mean(axis=0)
    return float(np.sqrt((np.abs(even - mean) ** 2).mean() / (np.abs(mean) ** 2).mean()))

"""The exposure at which frames repeat themselves best: panels flicker, and of whole periods nothing is left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocols.nep.table.encoding import FULL
from protocols.nep.table.law import STEADY
from protocols.nep.table.reading import Reader
from protocols.nep.table.rig import Rig

Array = NDArray[np.float64]

_LONGEST = 3.0
"""Of the exposures that are tried, in the bench file's."""
_TRIED = 41
_FRAMES = 10


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
    tried_s = np.linspace(1.0, _LONGEST, _TRIED) * first_s
    scatter = np.empty(_TRIED)
    for k, exposure_s in enumerate(tried_s):
        camera.exposure_s = float(exposure_s)
        fields = reader.fields(rig.frames(patterns))
        g = fields[:, 0, ::2].mean(axis=1)
        even = fields / g[:, None, None] * g.mean()
        mean = even.mean(axis=0)
        scatter[k] = np.sqrt((np.abs(even - mean) ** 2).mean() / (np.abs(mean) ** 2).mean())
    # Neighbours count as well: where the scatter is least by chance alone, theirs is not.
    smooth = np.convolve(np.pad(scatter, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    chosen = float(tried_s[int(smooth.argmin())])
    camera.exposure_s = chosen
    return Calm(chosen, tried_s, scatter)

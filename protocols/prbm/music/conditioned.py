"""Layers for the SLM from an RNN-RBM: couplings that stay, and fields that are rewritten for every time step.

Visible fields are ten times the couplings, since most keys are silent most of the time. Shown by one macro-pixel they
would press all couplings into a few gray levels; they are shared among several macro-pixels that stand for spins which
are always +1, the auxiliary spin and more of its kind. Several pieces are chains side by side in the same patterns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from protocols.prbm.light.layers import Layer
from protocols.prbm.music.model import FloatArray, RnnRbm

FIELD_TO_COUPLING = 1.0
"""Of what one macro-pixel shows of a field, to the largest coupling, as far as `MOST_FIELD_SPINS` allow.

More presses the couplings into fewer gray levels, which is an error that stays; less takes more macro-pixels, whose
light is shot noise, which spins are corrected for. Two chains of a trained model on the default table, rms errors that
stay: hidden 0.14 with three macro-pixels (1.6 times the largest coupling) and 0.08 with five; visible 0.65 with one,
0.12 with six, 0.10 with eight, and shot noise 0.19, 0.18 and 0.22.
"""

MOST_FIELD_SPINS = 8
"""So many macro-pixels in phase are as bright as their square: more of them leave no exposure for the rest."""

_MARGIN = 1.25
"""Of the largest field to the largest that training tunes give."""


class ConditionedLayers:
    """The "hidden" and "visible" layers of ``pieces`` chains, for the fields of one time step after the other.

    largest: greatest visible and hidden field that is shown; greater ones are limited to it.
    """

    def __init__(self, model: RnnRbm, pieces: int, largest: tuple[float, float]) -> None:
        self.pieces = pieces
        self.largest = {"visible": largest[0], "hidden": largest[1]}
        coupling = float(np.abs(model.weights).max()) or 1.0
        weights = {"visible": model.weights.T, "hidden": model.weights}
        self.field_spins = {
            name: min(max(1, math.ceil(size / (FIELD_TO_COUPLING * coupling))), MOST_FIELD_SPINS)
            for name, size in self.largest.items()
        }
        """Macro-pixels of a band that show the field: the auxiliary spin and those that stand for more of it."""
        self._bare = {name: self._couplings(name, w).repeated(pieces) for name, w in weights.items()}
        self.limited = 0
        """How many fields were limited so far."""

    @classmethod
    def heard_in(cls, model: RnnRbm, pieces: int, rolls: Sequence[NDArray[np.int8]]) -> ConditionedLayers:
        """For fields a quarter larger than the largest that the model has anywhere in ``rolls``."""
        fields = [model.fields(model.listen(roll)) for roll in rolls]
        visible, hidden = (max(float(np.abs(f[k]).max()) for f in fields) for k in (0, 1))
        return cls(model, pieces, (_MARGIN * visible, _MARGIN * hidden))

    def layers(self, a: FloatArray, b: FloatArray) -> dict[str, Layer]:
        """Both layers for visible fields a (pieces, N_v) and hidden fields b (pieces, N_h)."""
        return {"hidden": self._layer("hidden", b), "visible": self._layer("visible", a)}

    def silent(self) -> dict[str, Layer]:
        """Both layers without fields."""
        return self.layers(
            *(np.zeros((self.pieces, self._bare[k].n_outputs // self.pieces)) for k in ("visible", "hidden"))
        )

    def _layer(self, name: str, fields: FloatArray) -> Layer:
        bare, spins, largest = self._bare[name], self.field_spins[name], self.largest[name]
        self.limited += int((np.abs(fields) > largest).sum())
        share = np.clip(fields.ravel(), -largest, largest) / spins
        couplings = bare.couplings.copy()
        couplings[:, self._constant(name, couplings.shape[1])] = share[:, None]
        return replace(bare, couplings=couplings, fields=share, largest_field=largest / spins)

    def _couplings(self, name: str, weights: FloatArray) -> Layer:
        """A layer whose constant spins, so far without couplings, are given last and stand in the middle of the band:
        a window of finite width costs least there, and they are the largest.
        """
        constant = np.zeros((self.field_spins[name] - 1, weights.shape[1]))
        layer = Layer.dense(np.concatenate([weights, constant]), np.zeros(weights.shape[1]))
        others = np.arange(len(weights))
        middle = self._constant(name, layer.width).start
        order = np.concatenate([others[:middle], np.arange(len(weights), layer.width), others[middle:]])
        return replace(layer, couplings=layer.couplings[:, order], inputs=layer.inputs[:, order])

    def _constant(self, name: str, width: int) -> slice:
        """Which of a layer's couplings are those to constant spins."""
        spins = self.field_spins[name] - 1
        first = (width - spins) // 2
        return slice(first, first + spins)

    def given(self, name: str, spins: NDArray[np.int8]) -> NDArray[np.int8]:
        """What a layer is given: spins (pieces, N) of the other layer, and those that are always +1, in one row."""
        constant = np.ones((self.pieces, self.field_spins[name] - 1), np.int8)
        return np.concatenate([spins, constant], axis=1).ravel()

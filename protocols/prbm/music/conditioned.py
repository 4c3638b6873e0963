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

from protocols.prbm.layers import Layer
from protocols.prbm.music.model import FloatArray, RnnRbm

FIELD_TO_COUPLING = 2.0
"""Of what one macro-pixel shows of a field, to the largest coupling.

More presses the couplings into fewer gray levels; less takes more macro-pixels, whose light is shot noise for the rest.
Of a trained model's visible layer the rms errors (fixed, random) are 0.68 and 0.22 with one macro-pixel, 0.10 and 0.16
with four (2.5 times the largest coupling), 0.08 and 0.20 with six, 0.09 and 0.31 with twelve, on the default table.
"""

MOST_FIELD_SPINS = 8
"""A field of so many macro-pixels in phase is as bright as their square: more of them leave no light for the rest."""

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
        self._bare = {
            name: Layer.dense(
                np.concatenate([w, np.zeros((self.field_spins[name] - 1, w.shape[1]))]), np.zeros(w.shape[1])
            ).repeated(pieces)
            for name, w in weights.items()
        }
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
        couplings[:, couplings.shape[1] - (spins - 1) :] = share[:, None]
        return replace(bare, couplings=couplings, fields=share, largest_field=largest / spins)

    def given(self, name: str, spins: NDArray[np.int8]) -> NDArray[np.int8]:
        """What a layer is given: spins (pieces, N) of the other layer, and those that are always +1, in one row."""
        constant = np.ones((self.pieces, self.field_spins[name] - 1), np.int8)
        return np.concatenate([spins, constant], axis=1).ravel()

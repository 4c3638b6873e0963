"""How digits are trained on cells: what was found to work, by rule, size and what is trained; and the paper's words.

Found on the 15x15 cells of the paper at g = 0.04, gamma = 0.07 (docs/nep-mnist.md has what each choice is worth):

- The paper's rule keeps its sign only where V lies below the band by more than the loss, so that V keeps a floor.
  Detuned cells answer in phase everywhere and are quadratic forms of rank 1.
- The phase-conjugate nudge and the exact gradient keep theirs in the band, too. There phases differ from node to node,
  and cells come near rank 2.
- Weights that decay, rates that fall, and the average of parameters over the last updates are worth a point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from protocols.nep.images.inputs import Encoding
from protocols.nep.images.network import Train
from simulators.physics.sheet.cells import Rule

Words = Literal["study", "paper"]


@dataclass(frozen=True)
class Recipe:
    """gain: s in softmax(s |psi|²). V_start, and floor that V is kept above (None: no floor). w_mean, w_std: of the
    weights at the start. rate_V, rate_w: of the optimiser; both fall by ``decay`` from epoch to epoch. shrink: decay of
    w per update, in units of the rate. averaging: share of the average of parameters that an update leaves (0: the last
    ones count). batch: images of an update, with the mean over them."""

    encoding: Encoding
    gain: float
    epochs: int
    V_start: float
    V_floor: float | None
    w_mean: float
    w_std: float
    optimiser: Literal["adam", "sgd"]
    rate_V: float
    rate_w: float
    decay: float
    shrink: float
    averaging: float = 0.99
    batch: int = 100


PAPER = Recipe("max", 1.0, 20, 0.0, None, 0.0, 0.2, "sgd", 0.1, 0.1, 1.0, 0.0, averaging=0.0)
"""Plain steps of 0.1, no floor, no gain; where the paper says nothing: V = 0, small random weights, batches of 100."""

_DETUNED = Recipe("max", 25.0, 15, 0.05, 0.03, 0.0, 0.2, "adam", 0.006, 0.06, 0.85, 0.0)
_IN_BAND = Recipe("std", 20.0, 13, -1.0, None, 0.0, 0.05, "adam", 0.006, 0.02, 0.85, 0.3)
_SMALL = Recipe("max", 1.0, 20, 0.1, -0.1, 0.0, 0.3, "adam", 0.01, 0.05, 0.9, 0.0)
_SMALL_V = Recipe("std", 1.0, 20, 0.1, -0.15, 1.0, 0.0, "adam", 0.02, 0.0, 0.9, 0.0)

_SMALL_SIDE = 9
"""Up to this many nodes a side, a cell is small."""


def recipe_for(rule: Rule, side: int, train: Train, words: Words = "study") -> Recipe:
    """The recipe for cells of ``side`` x ``side`` nodes."""
    if words == "paper":
        if train == "Vw":
            return PAPER
        return Recipe("std", 1.0, 20, 0.0, None, 1.0, 0.0, "sgd", 0.1, 0.0, 1.0, 0.0, averaging=0.0)
    if train == "V":
        return _SMALL_V
    if side <= _SMALL_SIDE:
        return _SMALL
    return _DETUNED if rule == "nep" else _IN_BAND

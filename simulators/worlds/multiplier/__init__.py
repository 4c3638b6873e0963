"""A coherent optical vector-matrix multiplier: a strip, a panel of couplings, and fringes that give complex sums."""

from simulators.worlds.multiplier.parameters import MultiplierParameters
from simulators.worlds.multiplier.world import MultiplierWorld

__all__ = ["MultiplierParameters", "MultiplierWorld"]

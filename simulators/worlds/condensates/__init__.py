"""A lattice of condensates: a hologram of pump spots on a microcavity, whose light is seen by the same camera."""

from simulators.worlds.condensates.parameters import CondensateParameters
from simulators.worlds.condensates.world import CondensateWorld

__all__ = ["CondensateParameters", "CondensateWorld"]

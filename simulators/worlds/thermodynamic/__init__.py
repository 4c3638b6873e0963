"""A thermodynamic computer: analogue units that fluctuate in a programmable energy, on a board of its own."""

from simulators.worlds.thermodynamic.parameters import ThermodynamicParameters
from simulators.worlds.thermodynamic.world import ThermodynamicWorld

__all__ = ["ThermodynamicParameters", "ThermodynamicWorld"]

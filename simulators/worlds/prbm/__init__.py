"""The photonic restricted Boltzmann machine's table (arXiv 2508.20472)."""

from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.world import PrbmWorld

__all__ = ["PrbmParameters", "PrbmWorld"]

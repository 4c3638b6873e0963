"""A pump laser's table: holograms of spots by an SLM in the focal plane of a lens, and a reference off the axis."""

from simulators.worlds.hologram.parameters import HologramParameters
from simulators.worlds.hologram.world import HologramWorld

__all__ = ["HologramParameters", "HologramWorld"]

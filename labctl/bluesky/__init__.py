"""A bench for Bluesky: its devices as Readable, Movable, Triggerable and Flyable, under control of a RunEngine's plan.

from bluesky import RunEngine, plans, plan_stubs
from labctl.bluesky import open_lab

with open_lab("prbm-sim") as lab:
    RE = RunEngine()
    RE(lab.controlled(plans.scan([lab.power_tap], lab.source.power_fraction, 0.1, 0.4, 4)))
"""

from labctl.bluesky.lab import Lab, open_lab

__all__ = ["Lab", "open_lab"]

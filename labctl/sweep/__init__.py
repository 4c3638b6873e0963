"""Sweeps: an experiment at many parameters, on processes of this machine or a Dask cluster, into one file."""

from __future__ import annotations

from labctl.sweep.plan import Plan
from labctl.sweep.planning import plan_of
from labctl.sweep.results import Sweep, open_sweep
from labctl.sweep.run import Outcome, resume, sweep

__all__ = ["Outcome", "Plan", "Sweep", "open_sweep", "plan_of", "resume", "sweep"]

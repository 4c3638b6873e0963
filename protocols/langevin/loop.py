"""The computer that an experiment's parameters ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from pydantic import Field

from labctl.client import Bench, Parameters, Recorder
from protocols.langevin.computer import BoardComputer, Computer, IdealComputer
from simulators.physics.langevin.potential import Units


class LoopParameters(Parameters):
    """Who computes."""

    loop: Literal["ideal", "device"] = Field("ideal", description="the equations alone, or the bench's computer")
    dt: float = Field(1e-3, gt=0, le=0.1, description="time step of the equations, 1/mu")
    scheme: Literal["euler", "averaged"] = Field(
        "euler", description="of the equations: Eq. (3), or Leimkuhler and Matthews', of second order at equilibrium"
    )
    workers: int = Field(1, ge=1, le=256, description="cores that simulate the equations side by side")


@contextmanager
def computer_of(p: LoopParameters, units: Units, bench: Bench, record: Recorder) -> Iterator[Computer]:
    """With control of the bench where its computer is used."""
    if p.loop == "ideal":
        yield IdealComputer(units, p.dt, p.scheme, record.seed, p.workers, first_run=record.steps_saved)
        return
    with bench.control(record.name, run=record.path.stem):
        yield BoardComputer(bench, units)

"""The computer that an experiment's parameters ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from pydantic import Field

from labctl.client import Bench, Parameters, Recorder
from protocols.langevin.computer import BoardComputer, Computer, IdealComputer
from simulators.physics.langevin.potential import Units
from simulators.physics.langevin.reference import Scheme


class Loop(Parameters):
    """Who computes, and how the equations are solved where these do."""

    loop: Literal["ideal", "device"] = Field("ideal", description="the equations alone, or the bench's computer")
    scheme: Scheme = Field(
        "euler", description="of the equations: Eq. (3), or Leimkuhler and Matthews', of second order at equilibrium"
    )


class LoopParameters(Loop):
    """For experiments that do not train."""

    dt: float = Field(1e-3, gt=0, le=0.1, description="time step of the equations, 1/mu")
    workers: int = Field(1, ge=1, le=256, description="cores that simulate the equations side by side")


class Looping(Protocol):
    """What is asked of parameters here."""

    @property
    def loop(self) -> Literal["ideal", "device"]: ...
    @property
    def scheme(self) -> Scheme: ...
    @property
    def dt(self) -> float: ...
    @property
    def workers(self) -> int: ...


@contextmanager
def computer_of(p: Looping, units: Units, bench: Bench, record: Recorder, trained: int = 0) -> Iterator[Computer]:
    """With control of the bench where its computer is used. trained: how many runs on it were done, besides one in each
    step."""
    if p.loop == "ideal":
        yield IdealComputer(units, p.dt, p.scheme, record.seed, p.workers, first_run=record.steps_saved)
        return
    with bench.control(record.name, run=record.path.stem):
        yield BoardComputer(bench, units, first_run=record.steps_saved + trained)

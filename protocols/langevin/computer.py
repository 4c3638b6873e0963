"""Who computes: the equations alone, or a device. Experiments say in stages what a computer is to do.

A stage is a program that runs for a time; units go on from stage to stage, and begin the first at 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, ComputerStage, ConfigurationError
from simulators.physics.counter_random import noise_key
from simulators.physics.langevin.kernel import Couplings, evolve
from simulators.physics.langevin.potential import LangevinError, Units, checked_program
from simulators.physics.langevin.reference import Scheme

Array = NDArray[np.float64]
Readings = NDArray[np.float32]

_SHORTEST = 1e-3
"""Of a run (1/mu) that nobody reads."""


@dataclass(frozen=True, eq=False)
class Stage:
    """couplings: (N, N) symmetric, or None. biases: (N,) at the beginning; they change evenly to ``biases_end``.

    read_at: times from the stage's beginning, ascending, none later than its end.
    """

    duration: float
    couplings: NDArray[np.floating] | None
    biases: Array
    read_at: Sequence[float] = ()
    biases_end: Array | None = None


class Computer(Protocol):
    """A thermodynamic computer of so many units."""

    units: int

    def run(self, stages: Sequence[Stage], repeats: int) -> Readings:
        """Go through the stages ``repeats`` times, each time from 0; readings (repeats, times of all stages, N)."""


class IdealComputer:
    """Eq. (1) in steps of dt, with numbers of a generator as noise; each run has noise of its own,
    addressed by its number, so that who goes on after ``first_run`` runs has the noise it would have had."""

    def __init__(
        self,
        units: Units,
        dt: float,
        scheme: Scheme = "euler",
        seed: int = 0,
        workers: int = 1,
        first_run: int = 0,
    ) -> None:
        self.units = len(units)
        self._of, self._dt, self._scheme, self._seed, self._workers = units, dt, scheme, seed, workers
        self._runs = first_run

    def run(self, stages: Sequence[Stage], repeats: int) -> Readings:
        """See `Computer`. Raises ConfigurationError for programs that cannot be, and steps that are too long."""
        x: Readings = np.zeros((repeats, self.units), np.float32)
        readings = []
        for k, stage in enumerate(stages):
            steps = math.ceil(stage.duration / self._dt - 1e-9)
            dt = stage.duration / steps
            read = [round(t / dt) for t in stage.read_at]
            J = np.zeros((self.units, self.units)) if stage.couplings is None else stage.couplings
            end = stage.biases if stage.biases_end is None else stage.biases_end
            try:
                checked_program(self._of, J, stage.biases)
                found = evolve(
                    x, self._of, Couplings.of(J), (stage.biases, end), steps, dt,
                    noise_key(self._seed, "computer", f"{self._runs}/{k}"), [*read, steps], self._scheme,
                    workers=self._workers,
                )  # fmt: skip
            except LangevinError as error:
                raise ConfigurationError(str(error)) from None
            x = found[-1]
            readings.append(found[:-1])
        self._runs += 1
        return np.ascontiguousarray(np.concatenate(readings).transpose(1, 0, 2))


class BoardComputer:
    """A device of the bench, with what its converters and its elements make of the program.

    role: of the device. units: how many the program needs, and their J2 and J4, which are set. The range of couplings
    is set to the largest one that is programmed. `programmed` are the stages of the last run as they were rounded.
    first_run: how many runs were done before, by a run of the experiment that this one goes on with.
    """

    def __init__(self, bench: Bench, units: Units, role: str = "computer", first_run: int = 0) -> None:
        self._device = bench[role]
        there = int(self._device.units)
        if there != len(units):
            raise ConfigurationError(
                f"{role}: {there} units; the program has {len(units)}; choose a bench with so many "
                f"(world.units={len(units)} where it is simulated)"
            )
        if np.ptp(units.J2) or np.ptp(units.J4):
            raise ConfigurationError(f"{role}: units are programmed alike; these differ in J2 or J4")
        self.units = there
        self._device.quadratic, self._device.quartic = float(units.J2[0]), float(units.J4[0])
        self._before = first_run
        self.programmed: list[Stage] = []
        self.beyond = 0.0
        """Share of readings of the last run at the end of the converter."""

    @property
    def bias_range(self) -> float:
        """Largest bias, either sign."""
        return float(self._device.bias_range)

    def run(self, stages: Sequence[Stage], repeats: int) -> Readings:
        """See `Computer`. Raises LimitError for couplings or biases out of the device's range."""
        n = self.units
        self._pass_over()
        largest = max((float(np.abs(s.couplings).max()) for s in stages if s.couplings is not None), default=0.0)
        if largest > 0:
            self._device.coupling_range = largest * (1 + 1e-6)
        told = [
            ComputerStage(
                duration=stage.duration,
                couplings=np.zeros((n, n)) if stage.couplings is None else np.asarray(stage.couplings, np.float64),
                biases=np.asarray(stage.biases, np.float64),
                read_at=np.asarray(stage.read_at, np.float64),
                biases_end=stage.biases_end,
            )
            for stage in stages
        ]
        kept = self._device.program(told)
        self.programmed = [
            Stage(k.duration, k.couplings, np.array(k.biases), s.read_at, k.biases_end)
            for k, s in zip(kept, stages, strict=True)
        ]
        found = self._device.run(repeats)
        self.beyond = float(found.beyond.sum()) / found.readings.size
        return np.array(found.readings)

    def _pass_over(self) -> None:
        """A simulated board begins anew with every session, and numbers its runs, which their noise depends on: what a
        resumed experiment adds must not be what it has. Any board does this within microseconds."""
        if not self._before:
            return
        n, nothing = self.units, np.zeros(0)
        self._device.program([ComputerStage(_SHORTEST, np.zeros((n, n)), np.zeros(n), nothing)])
        for _ in range(self._before):
            self._device.run(1)
        self._before = 0

"""The kind `thermodynamic-computer`: its programs, its readings, the device."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from drivers.contract.device import Device
from drivers.errors import LimitError
from drivers.settings import Value, operation, setting


class ComputerStage(Value, frozen=True):
    """A stretch of a thermodynamic computer's program, in its dimensionless units (k_B T = mobility = 1).

    couplings: (units, units) J, symmetric, 0 on the diagonal. biases: (units,) b at the beginning; they change evenly
    to ``biases_end`` (units,), or stay where that is None. duration: in units of time. read_at: (n,) times from the
    stage's beginning at which every unit is read, rising, none later than its end.
    """

    duration: float
    couplings: NDArray[np.float64]
    biases: NDArray[np.float64]
    read_at: NDArray[np.float64]
    biases_end: NDArray[np.float64] | None = None

    def validate(self, units: int) -> None:
        """Raise LimitError unless the stage is one for so many units."""
        J, b, c = self.couplings, self.biases, self.biases_end
        if J.shape != (units, units):
            raise LimitError(
                f"stage: couplings {J.shape}; this computer has {units} units and needs ({units}, {units})"
            )
        for name, biases in (("biases", b), ("biases_end", c)):
            if biases is not None and biases.shape != (units,):
                raise LimitError(f"stage: {name} {biases.shape}; this computer has {units} units and needs ({units},)")
        if not all(np.all(np.isfinite(x)) for x in (J, b, b if c is None else c, self.read_at)):
            raise LimitError("stage: a coupling, bias or time is not finite")
        if not np.array_equal(J, J.T) or np.any(np.diagonal(J)):
            raise LimitError(
                "stage: couplings must be symmetric with zeros on the diagonal; x_i x_j has one of them, and x_i^2 is "
                "the setting `quadratic`"
            )
        if not (np.isfinite(self.duration) and self.duration > 0):
            raise LimitError(f"stage: duration = {self.duration:g}; it must be positive")
        at = self.read_at
        if (
            at.ndim != 1
            or np.any(np.diff(at) <= 0)
            or (len(at) and not 0 <= at[0] <= at[-1] <= self.duration * (1 + 1e-12))
        ):
            raise LimitError(f"stage: times of reading must rise between 0 and the stage's duration, {self.duration:g}")


class ComputerRun(Value, frozen=True):
    """What a thermodynamic computer read while it ran its program.

    readings: (repeats, times, units) as digitised, in units of x. read_at: (times,) from the beginning of a repeat.
    beyond: (repeats,) readings at the end of the converter. start_ns, end_ns: monotonic bench time of all repeats.
    """

    run_id: int
    readings: NDArray[np.float32]
    read_at: NDArray[np.float64]
    beyond: NDArray[np.int64]
    start_ns: int
    end_ns: int
    utc_start_ns: int


class ThermodynamicComputer(Device):
    """Analogue units that fluctuate in a programmable energy (Whitelam 2025, Eqs. 1, 2), k_B T = mobility = 1:

        dx_i = -dV/dx_i dt + sqrt(2) dW_i,   V = sum (J2 x_i^2 + J4 x_i^4) + sum b_i x_i + sum_(i<j) J_ij x_i x_j

    Between runs, units are held and noise is off; nothing leaves the computer, so that running needs no lease.
    """

    kind = "thermodynamic-computer"

    units = setting(int, read_only=True, doc="How many units it has.")
    unit_time_s = setting(float, unit="s", read_only=True, doc="Duration of the dimensionless unit of time.")
    quadratic = setting(float, doc="J2 of every unit; negative for bistable units.")
    quartic = setting(float, minimum=0, doc="J4 of every unit; 0 for linear units, which need a stable quadratic form.")
    coupling_range = setting(float, doc="Largest coupling, either sign; set it before a program, which it drops.")
    coupling_step = setting(float, read_only=True, doc="Distance of neighbouring couplings; 0 is continuous.")
    bias_range = setting(float, read_only=True, doc="Largest bias, either sign.")
    bias_step = setting(float, read_only=True, doc="Distance of neighbouring biases; 0 is continuous.")
    reading_range = setting(float, read_only=True, doc="Largest reading of a unit, either sign.")
    reading_step = setting(float, read_only=True, doc="Distance of neighbouring readings; 0 is continuous.")
    repeat_s = setting(float, unit="s", read_only=True, doc="Time one repeat of the program takes, read-out included.")

    @operation()
    @abstractmethod
    def program(self, stages: list[ComputerStage]) -> list[ComputerStage]:
        """Store stages, which a run goes through one after the other; return them as the computer rounded them.

        Units are held meanwhile. Raises LimitError, and keeps the program it had, if a stage is malformed, a coupling
        or bias lies beyond the range, or units would not be stable (``quartic`` = 0 and an indefinite quadratic form).
        """

    @operation(observes=True)
    @abstractmethod
    def programmed(self) -> list[ComputerStage]:
        """The program as it is stored; empty after power-on."""

    @operation()
    @abstractmethod
    def run(self, repeats: int = 1, start: NDArray[np.float64] | None = None) -> ComputerRun:
        """Let go of the units ``repeats`` times, each time from ``start`` (units,), or 0, where they were held.

        Raises LimitError if there is no program or a start beyond ``reading_range``, DeviceError if it was stopped.
        """

    @operation()
    @abstractmethod
    def hold(self) -> None:
        """Hold units where they are told to start: noise off. A run that is under way ends with DeviceError."""

"""A simulated thermodynamic computer: registers and converters; what units do is the world's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import (
    ComputerRun,
    ComputerStage,
    DeviceError,
    Identity,
    LimitError,
    Limits,
    ThermodynamicComputer,
)
from drivers.site import Site
from simulators.devices.serial import serial_number
from simulators.devices.stop_flag import StopFlag

Array = NDArray[np.float64]

_LARGEST_RUN_BYTES = 2e9
"""What a run may hand over at once."""


class SimulatedThermodynamicComputer(ThermodynamicComputer):
    """On a world that has one: `simulators.worlds.thermodynamic`."""

    backend = "simulated"

    def __init__(self, name: str, world: Any) -> None:
        super().__init__(name)
        self._world = world
        self._p = world.parameters
        self._stop = StopFlag(world)
        self.restrict("coupling_range", Limits(minimum=1e-6, maximum=self._p.converters.largest_coupling_range))
        self._reset()

    @classmethod
    def build(cls, name: str, options: object, site: Site) -> SimulatedThermodynamicComputer:
        """On the bench's world."""
        world = site.world()
        if not hasattr(world.parameters, "converters"):
            raise LimitError(f"{name}: the bench's world is no thermodynamic computer; the world thermodynamic is one")
        return cls(name, world)

    def _reset(self) -> None:
        self._quadratic, self._quartic = 10.0, 10.0
        self._coupling_range = min(1.0, float(self._p.converters.largest_coupling_range))
        self._stages: list[ComputerStage] = []

    def open(self) -> None:
        """Power-on state: no program, units held at 0."""
        self._reset()
        self._stop.attach(self.name, "computer")

    def close(self) -> None:
        """Leave the board."""
        super().close()
        self._world.detach(self.name)

    def identity(self) -> Identity:
        """What is imitated, named as a simulation."""
        return Identity(
            model="simulated thermodynamic computer", serial=serial_number("computer", self._world), firmware="labctl"
        )

    def frozen(self) -> dict[str, Any]:
        """See the contract."""
        return {
            "quadratic": self._quadratic,
            "quartic": self._quartic,
            "coupling_range": self._coupling_range,
            "stages": [[s.duration, s.couplings, s.biases, s.read_at, s.biases_end] for s in self._stages],
        }

    def thaw(self, kept: Any) -> None:
        """See the contract."""
        self.coupling_range = float(kept["coupling_range"])
        self.quadratic, self.quartic = float(kept["quadratic"]), float(kept["quartic"])
        stages = [ComputerStage(*stage) for stage in kept["stages"]]
        for stage in stages:
            stage.validate(self._p.units)
        self._stages = stages

    def safe(self) -> None:
        """Units held, noise off."""
        self._stop.set()

    def hold(self) -> None:
        """Noise off."""
        self._stop.set()

    # --- program ----------------------------------------------------------------------------------------------------

    def program(self, stages: list[ComputerStage]) -> list[ComputerStage]:
        """Into the registers, as converters round them."""
        if not stages:
            raise LimitError(f"{self.name}.program: no stage; at least one is needed")
        rounded = []
        for number, stage in enumerate(stages):
            try:
                stage.validate(self._p.units)
            except LimitError as error:
                raise LimitError(f"{self.name}.program: {error} (stage {number}); the program was kept") from None
            rounded.append(self._rounded(number, stage))
        self._must_be_stable(rounded)
        registers = sum(self._p.units * (self._p.units - 1) // 2 + 2 * self._p.units for _ in stages)
        clock = self._world.clock
        clock.sleep_until(clock.now_ns() + round(registers * self._p.times.program * 1e9))
        self._stages = rounded
        return rounded

    def programmed(self) -> list[ComputerStage]:
        """As the registers have it."""
        return self._stages

    def _rounded(self, number: int, stage: ComputerStage) -> ComputerStage:
        c = self._p.converters
        wanted = (
            (
                "coupling",
                stage.couplings,
                self._coupling_range,
                self.coupling_step,
                "set coupling_range, or scale them",
            ),
            ("bias", stage.biases, c.bias_range, c.bias_step, "scale biases"),
            ("bias", stage.biases_end, c.bias_range, c.bias_step, "scale biases"),
        )
        done: list[Array | None] = []
        for what, values, largest, step, cure in wanted:
            if values is not None and (found := float(np.abs(values).max(initial=0.0))) > largest:
                raise LimitError(
                    f"{self.name}.program: a {what} of {found:.6g} in stage {number} lies beyond the range, "
                    f"{largest:g}; {cure}. The program was kept"
                )
            done.append(None if values is None else _converted(values, step))
        couplings, biases, biases_end = done
        assert couplings is not None
        assert biases is not None
        return ComputerStage(
            duration=float(stage.duration),
            couplings=couplings,
            biases=biases,
            read_at=np.asarray(stage.read_at, np.float64),
            biases_end=biases_end,
        )

    def _must_be_stable(self, stages: list[ComputerStage]) -> None:
        if self._quartic > 0:
            return
        for number, stage in enumerate(stages):
            # V = x (J2 + J / 2) x: of what is programmed; what the board makes of it differs by some per cent.
            least = 2 * self._quadratic + float(np.linalg.eigvalsh(stage.couplings)[0])
            if least <= 0:
                raise LimitError(
                    f"{self.name}.program: with quartic = 0 the energy of stage {number} has no minimum (least "
                    f"curvature {least:.4g}); make quadratic larger, couplings smaller, or quartic positive. The "
                    "program was kept"
                )

    # --- run --------------------------------------------------------------------------------------------------------

    def run(self, repeats: int = 1, start: NDArray[np.float64] | None = None) -> ComputerRun:
        """All repeats, one after the other."""
        if not self._stages:
            raise LimitError(f"{self.name}.run: there is no program; program stages first")
        if repeats < 1:
            raise LimitError(f"{self.name}.run: {repeats} repeats; at least 1 is needed")
        times = sum(len(s.read_at) for s in self._stages)
        if (size := 4 * repeats * times * self._p.units) > _LARGEST_RUN_BYTES:
            raise LimitError(
                f"{self.name}.run: {repeats} repeats read {times} times are {size / 1e9:.3g} GB, "
                f"{_LARGEST_RUN_BYTES / 1e9:g} at most; ask for fewer repeats or readings at a time"
            )
        held = self._held_at(start)
        self._stop.clear()
        number, start_ns, end_ns, readings, beyond = self._world.compute(
            self.name,
            repeats,
            held,
            [s.duration for s in self._stages],
            np.stack([s.couplings for s in self._stages]),
            np.stack([s.biases for s in self._stages]),
            np.stack([s.biases if s.biases_end is None else s.biases_end for s in self._stages]),
            [s.read_at for s in self._stages],
            self._quadratic,
            self._quartic,
        )
        if len(readings) < repeats:
            raise DeviceError(f"{self.name}.run: stopped after {len(readings)} of {repeats} repeats; they were dropped")
        self._world.clock.sleep_until(end_ns)
        before = np.cumsum([0.0] + [s.duration for s in self._stages[:-1]])
        return ComputerRun(
            run_id=number,
            readings=readings,
            read_at=np.concatenate([t + s.read_at for t, s in zip(before, self._stages, strict=True)]),
            beyond=beyond,
            start_ns=start_ns,
            end_ns=end_ns,
            utc_start_ns=self._world.clock.utc_zero_ns + start_ns,
        )

    def _held_at(self, start: NDArray[np.float64] | None) -> Array:
        c, units = self._p.converters, self._p.units
        held = np.zeros(units) if start is None else np.asarray(start, np.float64)
        if held.shape != (units,) or not np.all(np.isfinite(held)):
            raise LimitError(f"{self.name}.run: a start of {held.shape}; ({units},) finite numbers are needed")
        if (largest := float(np.abs(held).max(initial=0.0))) > c.reading_range:
            raise LimitError(
                f"{self.name}.run: a start of {largest:.4g} lies beyond reading_range, {c.reading_range:g}"
            )
        return _converted(held, float(c.reading_step))

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_units(self) -> int:
        return int(self._p.units)

    def _read_unit_time_s(self) -> float:
        return float(self._p.times.unit)

    def _read_quadratic(self) -> float:
        return self._quadratic

    def _write_quadratic(self, value: float) -> None:
        self._quadratic, self._stages = value, []

    def _read_quartic(self) -> float:
        return self._quartic

    def _write_quartic(self, value: float) -> None:
        self._quartic, self._stages = value, []

    def _read_coupling_range(self) -> float:
        return self._coupling_range

    def _write_coupling_range(self, value: float) -> None:
        self._coupling_range, self._stages = value, []

    def _read_coupling_step(self) -> float:
        return float(self._p.converters.coupling_step(self._coupling_range))

    def _read_bias_range(self) -> float:
        return float(self._p.converters.bias_range)

    def _read_bias_step(self) -> float:
        return float(self._p.converters.bias_step)

    def _read_reading_range(self) -> float:
        return float(self._p.converters.reading_range)

    def _read_reading_step(self) -> float:
        return float(self._p.converters.reading_step)

    def _read_repeat_s(self) -> float:
        return float(self._p.repeat_s(sum(s.duration for s in self._stages), sum(len(s.read_at) for s in self._stages)))


def _converted(values: Array, step: float) -> Array:
    return np.rint(values / step) * step if step else np.array(values, np.float64)

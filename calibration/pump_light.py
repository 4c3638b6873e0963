"""Light of a pump, or of a supercontinuum, for a routine: on inside a block, dark for a moment in it, off after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from calibration.lighting import limits
from labctl.client import Bench, CalibrationError, InterlockError


class Switch:
    """A laser of the bench, whatever its kind. setting: that of its power."""

    def __init__(self, bench: Bench, role: str) -> None:
        self.role = role
        self._laser: Any = bench[role]
        self.setting = "power_w" if self._laser.description.kind == "pump" else "power_fraction"
        self.least, self.most = limits(bench, role, self.setting)

    @contextmanager
    def light(self, power: float) -> Iterator[None]:
        """On at a power, in the unit of its setting and cut to its limits; afterwards off, at its old power."""
        before = float(getattr(self._laser, self.setting))
        try:
            self.power = power
            self._on()
            yield
            if not self._laser.emission:
                raise CalibrationError(
                    f"{self.role} went off during the measurement: look at its interlock, its shutter and its error "
                    "state, and measure again"
                )
        finally:
            self._laser.emission = False
            setattr(self._laser, self.setting, before)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Dark inside the block, if it was on; then as before."""
        on = bool(self._laser.emission)
        if on:
            self._laser.emission = False
        yield
        if on:
            self._on()

    @property
    def power(self) -> float:
        """As it is set."""
        return float(getattr(self._laser, self.setting))

    @power.setter
    def power(self, value: float) -> None:
        setattr(self._laser, self.setting, min(max(value, self.least), self.most))

    def _on(self) -> None:
        try:
            self._laser.emission = True
        except InterlockError as error:
            raise CalibrationError(
                f"{self.role} does not emit, so there is nothing to calibrate with: {error}"
            ) from error

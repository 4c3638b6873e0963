"""The kinds `supercontinuum` and `pump`, and what all lasers share."""

from __future__ import annotations

from typing import ClassVar

from drivers.contract.device import Device
from drivers.correction import PowerCurve, calibration, check_power_curve, emitted_at, set_point_for
from drivers.errors import LimitError
from drivers.settings import operation, setting


class Laser(Device):
    """What all lasers share: a set-point, and the power that it gives."""

    set_point_setting: ClassVar[str]
    """Name of the setting that is the set-point."""

    power_curve = calibration(PowerCurve, doc="Power emitted at each set-point.")

    def _check_power_curve(self, curve: PowerCurve) -> None:
        check_power_curve(f"{self.name}.power_curve", curve)

    @operation(observes=True)
    def emitted_w(self) -> float:
        """Power that the present set-point gives while emission is on, W, by the power curve in force.

        Raises CalibrationError if there is none, LimitError if the set-point lies outside it.
        """
        return emitted_at(self.name, self.power_curve, float(getattr(self, self.set_point_setting)))

    @operation(observes=True)
    def set_point_for(self, emitted_w: float) -> float:
        """Set-point at which so many watts are emitted, by the power curve in force; errors as `emitted_w`.

        Setting it is the caller's act: limits are on set-points, and those stay what they say.
        """
        return set_point_for(self.name, self.power_curve, emitted_w)


class SupercontinuumLaser(Laser):
    """A white-light fibre laser, with or without a wavelength selector."""

    kind = "supercontinuum"
    set_point_setting = "power_fraction"

    emission = setting(bool, needs_lease=True, doc="Light on or off.")
    power_fraction = setting(float, unit="1", minimum=0, maximum=1, doc="Power set-point, fraction of the maximum.")
    wavelength_min_m = setting(float, unit="m", minimum=400e-9, maximum=2400e-9, doc="Short edge of the band.")
    wavelength_max_m = setting(float, unit="m", minimum=400e-9, maximum=2400e-9, doc="Long edge of the band.")
    pulse_picker = setting(int, minimum=1, maximum=40, doc="Every how many pulses one is let through.")


class PumpLaser(Laser):
    """A single-wavelength pump."""

    kind = "pump"
    set_point_setting = "power_w"

    emission = setting(bool, needs_lease=True, doc="Light on or off.")
    power_w = setting(float, unit="W", minimum=0, doc="Power set-point.")
    wavelength_m = setting(float, unit="m", read_only=True, doc="Emission wavelength.")
    modulation = setting(str, choices=("cw", "pulsed", "external"), doc="What shapes the light in time.")

    def _read_modulation(self) -> str:
        return "cw"  # most pumps have nothing else; a driver of one that has says so

    def _write_modulation(self, value: str) -> None:
        if value != "cw":
            raise LimitError(f"{self.name}.modulation = {value!r}: this laser is continuous only; modulate behind it")

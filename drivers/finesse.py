"""Laser Quantum finesse 532 nm pump laser on a serial port, spoken to by pylablib.

pylablib looks for the instrument's "Error" in the command instead of the answer, so a refused command looks like a
success: whatever is set here is read back and compared.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict

from drivers.contract import ConfigurationError, DeviceError, Identity, InterlockError, Limits
from drivers.link import Garbled
from drivers.pylablib_pump import PylablibPump
from drivers.quantity import Seconds, Watts
from drivers.site import Site


class Finesse(PylablibPump):
    """finesse with supply. Emission is an enabled laser behind an open shutter, once its monitor sees light."""

    off = ("OFF", "SHUTTER CLOSE")

    class Options(BaseModel):
        """port: such as ``COM3`` or ``/dev/ttyUSB0``. rated_power: of the laser, which has no query for it.

        timeout: for one answer. light_within: from "on" until the monitor sees light.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)
        port: str
        rated_power: Watts
        timeout: Seconds = 1.0
        light_within: Seconds = 30.0

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options.port, options.timeout, options.light_within)
        self.restrict("power_w", Limits(maximum=options.rated_power))

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> Finesse:
        """From the bench file."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(
                f'{name}: a finesse needs its port and rated power, such as port = "/dev/ttyUSB0", rated_power = "16 W"'
            )
        return cls(name, options)

    def _vendor(self) -> Any:
        from pylablib.devices.LaserQuantum import Finesse as Vendor  # type: ignore[import-untyped]

        return Vendor

    def _introduce(self, laser: Any) -> tuple[Identity, Limits]:
        info = laser.get_device_info()
        for told in info:
            if not told.isprintable() or told.startswith("Error"):
                raise Garbled(f"it calls itself {told!r}")
        found = Identity(model="Laser Quantum finesse", serial=info.serial, firmware=info.software_version)
        return found, Limits()  # it does not tell what it is rated for

    def _marks(self, known: Identity) -> tuple[tuple[str, str], tuple[str, str]]:
        return ("SERIAL?", known.serial), ("SOFTVER?", known.firmware)

    def _darken(self, laser: Any) -> None:
        for command in self.off:
            laser.query(command)
        enabled, opened = _status(laser), _shutter(laser)
        if enabled:
            raise DeviceError(
                f"{self.name}: told to go off, the laser says it is enabled. Open the hardware interlock or turn the "
                "key"
            )
        if opened:
            raise DeviceError(f"{self.name}: the laser is off, but its shutter does not close. Have it repaired")

    def _turn_on(self, laser: Any) -> bool:
        laser.query("ON")
        laser.query("SHUTTER OPEN")
        if not self._emits(laser):
            locked = not _enabled(laser, "INTERLOCK?")
            words = self._condition(laser)
            self._darken(laser)
            if locked:
                raise InterlockError(f"{self.name}.emission: interlock or key is open ({words}); close it")
            raise DeviceError(f"{self.name}.emission: the laser refuses to emit ({words}); it was turned off")
        return True

    def _emits(self, laser: Any) -> bool:
        return _status(laser) and _shutter(laser)

    def _wanted_w(self, laser: Any) -> float:
        return _watts(laser, "SETPOWER?")

    def _seen_w(self, laser: Any) -> float:
        return _watts(laser, "POWER?")

    def _ask_for(self, laser: Any, power_w: float) -> None:
        laser.query(f"POWER={power_w:05.2f}")

    def _condition(self, laser: Any) -> str:
        return (
            f"{laser.get_output_status()}, interlock {laser.get_interlock_status()}, "
            f"shutter {laser.get_shutter_status()}, head {laser.query('HTEMP?')}"
        )


def _watts(laser: Any, question: str) -> float:
    # pylablib drops the last character, whatever it is: "9999mW" would be read as an error, "999" as 99 W.
    told = laser.query(question)
    if not re.fullmatch(r"\d+\.?\d*W", told):
        raise Garbled(f"{told!r} to {question}, where a power in W is expected")
    return float(told[:-1])


def _enabled(laser: Any, question: str) -> bool:
    told = str(laser.query(question)).lower()
    if told not in ("enabled", "disabled"):
        raise Garbled(f"{told!r} to {question}, where enabled or disabled is expected")
    return told == "enabled"


def _status(laser: Any) -> bool:
    return _enabled(laser, "STATUS?")


def _shutter(laser: Any) -> bool:
    told = laser.get_shutter_status()
    if told not in ("opened", "closed"):
        raise Garbled(f"{told!r} to SHUTTER?, where opened or closed is expected")
    return bool(told == "opened")

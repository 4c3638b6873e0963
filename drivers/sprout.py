"""Lighthouse Photonics Sprout-G 532 nm pump laser on a serial port, spoken to by pylablib."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from drivers.contract import ConfigurationError, DeviceError, Identity, InterlockError, Limits
from drivers.pylablib_pump import PylablibPump
from drivers.quantity import Seconds, Watts
from drivers.site import Site

_DARK_MODES = ("off", "idle", "interlock")


class Sprout(PylablibPump):
    """Sprout-G. While it warms up (mode "warmup") emission reads true, since light follows without another command."""

    off = ("OPMODE=OFF",)

    class Options(BaseModel):
        """port: such as ``COM3`` or ``/dev/ttyUSB0``. rated_power: needed if the laser's product name does not tell.

        timeout: for one answer. light_within: from "on" until the monitor sees light. rest: the mode without emission;
        "idle" keeps the diodes warm and saves the warm-up.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)
        port: str
        rated_power: Watts | None = None
        timeout: Seconds = 1.0
        light_within: Seconds = 10.0
        rest: Literal["off", "idle"] = "off"

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options.port, options.timeout, options.light_within)
        self._options = options

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> Sprout:
        """From the bench file."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(f'{name}: a Sprout needs its port, such as port = "/dev/ttyUSB0"')
        return cls(name, options)

    def _vendor(self) -> Any:
        from pylablib.devices.LighthousePhotonics import SproutG  # type: ignore[import-untyped]

        return SproutG

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        # pylablib raises one error for a garbled answer and for a code that says no.
        from pylablib.devices.LighthousePhotonics import LighthousePhotonicsError

        with super()._translated(what):
            try:
                yield
            except LighthousePhotonicsError as error:
                code = re.search(r"Command (.*[^?]) returned unexpected response: (\d+)$", str(error))
                if code is None:
                    raise
                raise DeviceError(
                    f"{self.name}.{what}: the laser refuses {code[1]} with code {code[2]}; nothing was changed. See "
                    "its manual and the laser's own limits"
                ) from error

    def _introduce(self, laser: Any) -> tuple[Identity, Limits]:
        info = laser.get_device_info()
        found = Identity(model=info.product, serial=info.serial, firmware=info.version)
        return found, Limits(maximum=self._rated_w(f"{info.product} {info.configuration}"))

    def _rated_w(self, told: str) -> float:
        named = re.search(r"(\d+(?:\.\d+)?)\s*W\b", told, re.IGNORECASE)
        known = [float(named[1])] if named else []
        if self._options.rated_power is not None:
            known.append(self._options.rated_power)
        if not known:
            raise ConfigurationError(
                f"{self.name}: the laser does not say what power it is rated for (it is {told.strip()!r}); "
                'write rated_power, such as "10 W", in the bench file'
            )
        return min(known)

    def _marks(self, known: Identity) -> tuple[tuple[str, str], tuple[str, str]]:
        return (
            ("SERIALNUMBER?", f"SERIALNUMBER={known.serial}"),
            ("VERSION?", f"VERSION={known.firmware}"),
        )

    def _darken(self, laser: Any) -> None:
        rest = self._options.rest
        if rest == "idle" and laser.get_output_mode() != "on":
            rest = "off"  # idle would start a cold one's warm-up
        mode = laser.set_output_mode(rest)
        if mode not in _DARK_MODES and rest != "off":
            mode = laser.set_output_mode("off")
        if mode not in _DARK_MODES:
            raise DeviceError(
                f'{self.name}: told to go off, the laser says it is "{mode}". Open the hardware interlock or turn '
                "the key"
            )

    def _turn_on(self, laser: Any) -> bool:
        mode = laser.set_output_mode("on")
        if mode in _DARK_MODES:
            words = self._condition(laser)
            if mode == "interlock":
                raise InterlockError(f"{self.name}.emission: the laser's interlock is open ({words}); close it")
            raise DeviceError(f"{self.name}.emission: the laser refuses to emit ({words})")
        return bool(mode == "on")

    def _emits(self, laser: Any) -> bool:
        return laser.get_output_mode() not in _DARK_MODES

    def _wanted_w(self, laser: Any) -> float:
        return float(laser.get_output_setpoint())

    def _seen_w(self, laser: Any) -> float:
        return float(laser.get_output_power())

    def _ask_for(self, laser: Any, power_w: float) -> None:
        laser.query(f"POWER SET={power_w:.2f}")

    def _condition(self, laser: Any) -> str:
        return (
            f"mode {laser.get_output_mode()}, interlock {laser.get_interlock_status().lower()}, "
            f"shutter {laser.get_shutter_status().lower()}, warnings {laser.get_warning_status().lower()}"
        )

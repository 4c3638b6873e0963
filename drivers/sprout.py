"""Lighthouse Photonics Sprout-G 532 nm pump laser on a serial port, spoken to by pylablib.

It has no watchdog: when this process is killed with the light on, the light stays on until the process that takes its
place makes the laser safe, or until the hardware interlock opens.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from drivers.contract import (
    ConfigurationError,
    DeviceError,
    Identity,
    InterlockError,
    LabError,
    LimitError,
    Limits,
    PumpLaser,
    setting,
)
from drivers.link import Garbled, Link, pylablib_errors, timed
from drivers.quantity import Seconds, Watts
from drivers.site import Site

_BAUD = 19200
_STEP_W = 0.01
_DARK_MODES = ("off", "idle", "interlock")
_PROBE_S = 0.4
_MARGIN_S = 0.5
"""A conversation, as opposed to an answer, may last this much longer than the time-out."""
_SEEN = 0.02
"""Fraction of the set-point at which the monitor is said to see light."""


class Sprout(PumpLaser):
    """Sprout-G. Set-points are read back; emission is on when the laser's own monitor sees light.

    While it warms up (mode "warmup") emission reads true, since light follows without another command.
    """

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

    output_power_w = setting(float, unit="W", read_only=True, doc="Power that the laser's own monitor sees.")
    condition = setting(str, read_only=True, doc="Operating mode, interlock, shutter and warnings, in its words.")

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name)
        self._options = options
        self._identity: Identity | None = None
        self._is_open = False
        self._safes = 0  # how often it was made safe: whoever waits for light learns that it will not come
        self._link: Link[Any] = Link(
            name,
            self._connect,
            _disconnect,
            _flush,
            late=(TimeoutError,),
            broken=(OSError,),
            garbled=(Garbled,),
        )
        self._link.on_connect = self._greet
        self._link.on_doubt = self._find_answers

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> Sprout:
        """From the bench file."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(f'{name}: a Sprout needs its port, such as port = "/dev/ttyUSB0"')
        return cls(name, options)

    # --- the line ---------------------------------------------------------------------------------------------------

    def _connect(self) -> Any:
        try:
            from pylablib.devices.LighthousePhotonics import SproutG  # type: ignore[import-untyped]
        except ImportError as error:
            raise ConfigurationError(
                f"{self.name}: pylablib is needed ({error}); pip install 'labctl[hardware]'"
            ) from error
        with pylablib_errors():
            laser = timed(SproutG)({"port": self._options.port, "baudrate": _BAUD, "exclusive": True})
        laser.timeout_s = self._options.timeout  # pylablib's own is 10 s
        return laser

    def _deadline_s(self) -> float:
        return time.monotonic() + self._options.timeout + _MARGIN_S

    def _greet(self, laser: Any) -> None:
        laser.deadline_s = self._deadline_s()
        with pylablib_errors(), self._refusals("open"):
            self._darken(laser)
            info = laser.get_device_info()
        found = Identity(model=info.product, serial=info.serial, firmware=info.version)
        if self._identity is not None and self._identity.serial != found.serial:
            raise DeviceError(
                f"{self.name}: laser {found.serial} answers where {self._identity.serial} did; "
                "close and open the device if that is meant"
            )
        rated_w = self._rated_w(f"{info.product} {info.configuration}")
        self.restrict("power_w", Limits(maximum=rated_w))
        self._identity = found

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

    def _find_answers(self, laser: Any) -> None:
        """Ask for what only this laser answers, and drop everything that comes before it."""
        if self._identity is None:
            raise TimeoutError("not known yet")
        with pylablib_errors():
            laser.instr.set_timeout(_PROBE_S)
            laser.instr.write("SERIALNUMBER?")
            until = time.monotonic() + _PROBE_S
            while laser.instr.readline().strip() != f"SERIALNUMBER={self._identity.serial}".encode():
                if time.monotonic() > until:
                    raise TimeoutError("nothing but old answers")

    @contextlib.contextmanager
    def _talk(self, what: str) -> Iterator[Any]:
        if not self._is_open:
            raise DeviceError(f"{self.name}.{what}: the device is closed; open it")
        with self._link.talk(what) as laser, pylablib_errors(), self._refusals(what):
            laser.deadline_s = self._deadline_s()
            yield laser

    @contextlib.contextmanager
    def _refusals(self, what: str) -> Iterator[None]:
        # pylablib raises one error for a garbled answer and for a code that says no.
        from pylablib.devices.LighthousePhotonics import LighthousePhotonicsError

        try:
            yield
        except LighthousePhotonicsError as error:
            code = re.search(r"Command (.*[^?]) returned unexpected response: (\d+)$", str(error))
            if code is None:
                raise
            raise DeviceError(
                f"{self.name}.{what}: the laser refuses {code[1]} with code {code[2]}; nothing was changed. See its "
                "manual and the laser's own limits"
            ) from error

    # --- life -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Emission off before anything else, then identity and limits.

        Raises ConfigurationError without pylablib or a rated power, DeviceError if no laser answers.
        """
        self._link.drop()
        self._identity = None
        self._is_open = True
        try:
            with self._talk("open"):
                pass
        except BaseException:
            self._is_open = False
            raise

    def close(self) -> None:
        """Emission off, then the port is let go, even if the laser does not answer (DeviceError)."""
        try:
            self.safe()
        finally:
            self._is_open = False
            self._link.drop()

    def identity(self) -> Identity:
        """As the laser told when it was opened."""
        if self._identity is None:
            raise DeviceError(f"{self.name}: not known before the device was opened; open it")
        return self._identity

    def safe(self) -> None:
        """Emission off, read back. Waits at most one time-out for a conversation that is going on."""
        self._safes += 1
        if not self._is_open:
            return
        deadline_s = self._deadline_s()
        with self._talk("safe") as laser:
            laser.deadline_s = deadline_s  # waiting for another conversation counts
            self._darken(laser)

    def _darken(self, laser: Any) -> None:
        rest = self._options.rest
        if rest == "idle":
            try:
                rest = "idle" if laser.get_output_mode() == "on" else "off"  # idle would start a cold one's warm-up
            except BaseException:
                self._off_unheard(laser)
                raise
        mode = laser.set_output_mode(rest)
        if mode not in _DARK_MODES and rest != "off":
            mode = laser.set_output_mode("off")
        if mode not in _DARK_MODES:
            raise DeviceError(
                f'{self.name}: told to go off, the laser says it is "{mode}". Open the hardware interlock or turn '
                "the key"
            )

    def _off_unheard(self, laser: Any) -> None:
        """Off, by a command whose answer is hardly waited for: when answers are what fails."""
        with contextlib.suppress(Exception):
            laser.instr.write("OPMODE=OFF")
            laser.instr.readline(timeout=0.1)

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_emission(self) -> bool:
        with self._talk("emission") as laser:
            return laser.get_output_mode() not in _DARK_MODES

    def _write_emission(self, value: bool) -> None:
        if not value:
            with self._talk("emission") as laser:
                self._darken(laser)
            return
        safes = self._safes
        with self._lighting() as laser:
            mode = laser.set_output_mode("on")
            words = self._condition(laser) if mode in _DARK_MODES else ""
        if mode == "interlock":
            raise InterlockError(f"{self.name}.emission: the laser's interlock is open ({words}); close it")
        if mode in _DARK_MODES:
            raise DeviceError(f"{self.name}.emission: the laser refuses to emit ({words})")
        if mode == "on":
            self._wait_for_light(safes)

    @contextlib.contextmanager
    def _lighting(self) -> Iterator[Any]:
        """A conversation that leaves no light behind when it fails."""
        with self._talk("emission") as laser:
            try:
                yield laser
            except LabError:
                raise
            except BaseException:
                self._off_unheard(laser)
                raise

    def _wait_for_light(self, safes: int) -> None:
        until = time.monotonic() + self._options.light_within
        while True:
            with self._lighting() as laser:
                if self._safes != safes:
                    raise DeviceError(f"{self.name}.emission: safe() came while the light was awaited; it is off")
                wanted_w, seen_w = laser.get_output_setpoint(), laser.get_output_power()
                if seen_w >= _SEEN * wanted_w:
                    return
                if time.monotonic() > until:
                    words = self._condition(laser)
                    self._darken(laser)
                    raise DeviceError(
                        f"{self.name}.emission: {self._options.light_within:g} s after it went on the laser sees "
                        f"{seen_w:g} W of {wanted_w:g} W ({words}); it was turned off. Check the laser, or raise "
                        "light_within if it is slow"
                    )
            time.sleep(0.05)

    def _read_power_w(self) -> float:
        with self._talk("power_w") as laser:
            return float(laser.get_output_setpoint())

    def _write_power_w(self, value: float) -> None:
        highest = self.limits("power_w").maximum
        steps = round(value / _STEP_W)
        if highest is not None and steps * _STEP_W > highest + 1e-9:
            steps -= 1  # a limit holds for the light, not only for what was asked
        wanted_w = round(steps * _STEP_W, 2)
        with self._talk("power_w") as laser:
            read_w = float(laser.set_output_power(wanted_w))
        if abs(read_w - wanted_w) > _STEP_W / 2:
            raise DeviceError(
                f"{self.name}.power_w = {wanted_w:.2f} W: the laser reads back {read_w:.2f} W. Check that nothing else "
                "controls it, and its rated power"
            )

    def _read_wavelength_m(self) -> float:
        return 532e-9  # a frequency-doubled Nd:YVO4 line; it has no query for it

    def _read_modulation(self) -> str:
        return "cw"

    def _write_modulation(self, value: str) -> None:
        if value != "cw":
            raise LimitError(f"{self.name}.modulation = {value!r}: a Sprout is cw only; modulate behind it")

    def _read_output_power_w(self) -> float:
        with self._talk("output_power_w") as laser:
            return float(laser.get_output_power())

    def _read_condition(self) -> str:
        with self._talk("condition") as laser:
            return self._condition(laser)

    def _condition(self, laser: Any) -> str:
        return (
            f"mode {laser.get_output_mode()}, interlock {laser.get_interlock_status().lower()}, "
            f"shutter {laser.get_shutter_status().lower()}, warnings {laser.get_warning_status().lower()}"
        )


def _disconnect(laser: Any) -> None:
    # Once, without pylablib's three attempts: what is gone stays gone. Its errors are of several unrelated types.
    with contextlib.suppress(Exception):
        laser.instr.instr.close()


def _flush(laser: Any) -> None:
    with pylablib_errors():
        laser.instr.flush_read()

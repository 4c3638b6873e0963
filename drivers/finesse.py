"""Laser Quantum finesse 532 nm pump laser on a serial port, spoken to by pylablib.

pylablib looks for the instrument's "Error" in the command instead of the answer, so a refused command looks like a
success: whatever is set here is read back and compared.

It has no watchdog: when this process is killed with the light on, the light stays on until the process that takes its
place makes the laser safe, or until the hardware interlock opens.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

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
_PROBE_S = 0.4
_MARGIN_S = 0.5
"""A conversation, as opposed to an answer, may last this much longer than the time-out."""
_SEEN = 0.02
"""Fraction of the set-point at which the monitor is said to see light."""


class Finesse(PumpLaser):
    """finesse with supply. Emission is an enabled laser behind an open shutter, once its monitor sees light."""

    class Options(BaseModel):
        """port: such as ``COM3`` or ``/dev/ttyUSB0``. rated_power: of the laser, which has no query for it.

        timeout: for one answer. light_within: from "on" until the monitor sees light.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)
        port: str
        rated_power: Watts
        timeout: Seconds = 1.0
        light_within: Seconds = 30.0

    output_power_w = setting(float, unit="W", read_only=True, doc="Power that the laser's own monitor sees.")
    condition = setting(str, read_only=True, doc="Status, interlock, shutter and head temperature, in its words.")

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name)
        self._options = options
        self._identity: Identity | None = None
        self._is_open = False
        self._safes = 0  # how often it was made safe: whoever waits for light learns that it will not come
        self._probes = 0
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
        self.restrict("power_w", Limits(maximum=options.rated_power))

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> Finesse:
        """From the bench file."""
        if not isinstance(options, cls.Options):
            raise ConfigurationError(
                f'{name}: a finesse needs its port and rated power, such as port = "/dev/ttyUSB0", rated_power = "16 W"'
            )
        return cls(name, options)

    # --- the line ---------------------------------------------------------------------------------------------------

    def _connect(self) -> Any:
        try:
            from pylablib.devices.LaserQuantum import Finesse as Vendor  # type: ignore[import-untyped]
        except ImportError as error:
            raise ConfigurationError(
                f"{self.name}: pylablib is needed ({error}); pip install 'labctl[hardware]'"
            ) from error
        with pylablib_errors():
            laser = timed(Vendor)({"port": self._options.port, "baudrate": _BAUD, "exclusive": True})
        laser.timeout_s = self._options.timeout  # pylablib's own is 10 s
        return laser

    def _deadline_s(self) -> float:
        return time.monotonic() + self._options.timeout + _MARGIN_S

    def _greet(self, laser: Any) -> None:
        laser.deadline_s = self._deadline_s()
        with pylablib_errors():
            self._darken(laser)
            info = laser.get_device_info()
        found = Identity(model="Laser Quantum finesse", serial=info.serial, firmware=info.software_version)
        if self._identity is not None and self._identity.serial != found.serial:
            raise DeviceError(
                f"{self.name}: laser {found.serial} answers where {self._identity.serial} did; close and open the "
                "device if that is meant"
            )
        for told in info:
            if not told.isprintable() or told.startswith("Error"):
                raise Garbled(f"it calls itself {told!r}")
        self._identity = found

    def _find_answers(self, laser: Any) -> None:
        """Ask for what only this laser answers, and drop everything that comes before it.

        Answers do not say what they answer. Two questions take turns, so that the late answer to one probe is not
        taken for that to the next.
        """
        if self._identity is None:
            raise TimeoutError("not known yet")
        self._probes += 1
        question, answer = (("SERIAL?", self._identity.serial), ("SOFTVER?", self._identity.firmware))[self._probes % 2]
        with pylablib_errors():
            laser.instr.set_timeout(_PROBE_S)
            laser.instr.write(question)
            until = time.monotonic() + _PROBE_S
            while laser.instr.readline().strip() != answer.encode():
                if time.monotonic() > until:
                    raise TimeoutError("nothing but old answers")

    @contextlib.contextmanager
    def _talk(self, what: str) -> Iterator[Any]:
        if not self._is_open:
            raise DeviceError(f"{self.name}.{what}: the device is closed; open it")
        with self._link.talk(what) as laser, pylablib_errors():
            laser.deadline_s = self._deadline_s()
            yield laser

    # --- life -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Emission off before anything else, then identity and limits.

        Raises ConfigurationError without pylablib, DeviceError if no laser answers.
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
        """Laser off and shutter closed, read back. Waits at most one time-out for a conversation that is going on."""
        self._safes += 1
        if not self._is_open:
            return
        deadline_s = self._deadline_s()
        with self._talk("safe") as laser:
            laser.deadline_s = deadline_s  # waiting for another conversation counts
            self._darken(laser)

    def _darken(self, laser: Any) -> None:
        try:
            laser.query("OFF")
            laser.query("SHUTTER CLOSE")
            enabled, opened = _status(laser), _shutter(laser)
        except BaseException:
            self._off_unheard(laser)
            raise
        if enabled:
            raise DeviceError(
                f"{self.name}: told to go off, the laser says it is enabled. Open the hardware interlock or turn the "
                "key"
            )
        if opened:
            raise DeviceError(f"{self.name}: the laser is off, but its shutter does not close. Have it repaired")

    def _off_unheard(self, laser: Any) -> None:
        """Off, by commands whose answers are hardly waited for: when answers are what fails."""
        for command in ("OFF", "SHUTTER CLOSE"):
            with contextlib.suppress(Exception):
                laser.instr.write(command)
                laser.instr.readline(timeout=0.1)

    # --- settings ---------------------------------------------------------------------------------------------------

    def _read_emission(self) -> bool:
        with self._talk("emission") as laser:
            return _status(laser) and _shutter(laser)

    def _write_emission(self, value: bool) -> None:
        if not value:
            with self._talk("emission") as laser:
                self._darken(laser)
            return
        safes = self._safes
        with self._lighting() as laser:
            laser.query("ON")
            laser.query("SHUTTER OPEN")
            if not (_status(laser) and _shutter(laser)):
                locked = not _enabled(laser, "INTERLOCK?")
                words = self._condition(laser)
                self._darken(laser)
                if locked:
                    raise InterlockError(f"{self.name}.emission: interlock or key is open ({words}); close it")
                raise DeviceError(f"{self.name}.emission: the laser refuses to emit ({words}); it was turned off")
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
                wanted_w, seen_w = _watts(laser, "SETPOWER?"), _watts(laser, "POWER?")
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
            return _watts(laser, "SETPOWER?")

    def _write_power_w(self, value: float) -> None:
        highest = self.limits("power_w").maximum
        steps = round(value / _STEP_W)
        if highest is not None and steps * _STEP_W > highest + 1e-9:
            steps -= 1  # a limit holds for the light, not only for what was asked
        wanted_w = round(steps * _STEP_W, 2)
        with self._talk("power_w") as laser:
            laser.query(f"POWER={wanted_w:05.2f}")
            read_w = _watts(laser, "SETPOWER?")
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
            raise LimitError(f"{self.name}.modulation = {value!r}: a finesse is cw only; modulate behind it")

    def _read_output_power_w(self) -> float:
        with self._talk("output_power_w") as laser:
            return _watts(laser, "POWER?")

    def _read_condition(self) -> str:
        with self._talk("condition") as laser:
            return self._condition(laser)

    def _condition(self, laser: Any) -> str:
        return (
            f"{laser.get_output_status()}, interlock {laser.get_interlock_status()}, "
            f"shutter {laser.get_shutter_status()}, head {laser.query('HTEMP?')}"
        )


def _disconnect(laser: Any) -> None:
    # Once, without pylablib's three attempts: what is gone stays gone. Its errors are of several unrelated types.
    with contextlib.suppress(Exception):
        laser.instr.instr.close()


def _flush(laser: Any) -> None:
    with pylablib_errors():
        laser.instr.flush_read()


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

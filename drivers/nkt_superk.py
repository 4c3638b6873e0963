"""NKT SuperK EXTREME and FIANIUM lasers, with a VARIA band filter or without, over Interbus (pylablib).

The instrument's watchdog is always armed: it turns emission off by itself when no telegram comes for some seconds. It
guards against the death of this process (the lease guards against that of a client), so it is fed

- from one thread of this process, hence not by anybody who outlives it;
- only while emission is on, through the same lock as every other conversation: where the line is stuck, feeding stops;
- never over a new connection: when the line is lost, or fails twice in a row, the thread says "emission off", as far as
  it can, and ends for good. Every connection begins with emission off and the watchdog armed.

Registers are read and written as whole numbers, by pylablib's bus rather than by its modules: these truncate (348 of
the 1001 power settings come out 0.1 % low), know no FIANIUM (type 0x88) and no VARIA, and wait 10 s for an answer
while they are made.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from drivers.contract import (
    ConfigurationError,
    DeviceError,
    Identity,
    InterlockError,
    LabError,
    LimitError,
    Limits,
    SupercontinuumLaser,
)
from drivers.interbus import Bus, Module, NoAnswer, PortLost, Refused, text_of
from drivers.link import Link
from drivers.quantity import Seconds

log = logging.getLogger(__name__)

BAUD = 115200
STEPS = 1000
"""Steps of the power from 0 to full; one is 0.1 %."""
SOURCE_BAND_M = (400e-9, 2400e-9)
"""What comes out without a band filter."""
VARIA_BAND_M = (400e-9, 840e-9)
"""What a VARIA's filters reach; the instrument does not tell."""

_EXTREME, _FIANIUM, _VARIA_TYPE = 0x60, 0x88, 0x68
_SERIAL, _STATUS, _ERROR_CODE, _SYSTEM_TYPE = 0x65, 0x66, 0x67, 0x6B
_EMISSION, _SETUP, _INTERLOCK, _PULSE_PICKER, _WATCHDOG = 0x30, 0x31, 0x32, 0x34, 0x36
_POWER, _CURRENT, _MOST_PULSES = 0x37, 0x38, 0x3D
_SHORT_WAVE_PASS, _LONG_WAVE_PASS = 0x33, 0x34
_ON, _OFF = b"\x03", b"\x00"
_EMITS, _FILTERS_MOVE = 0x0001, 0x7000

_MOST_PULSES_UNTOLD = 0xFFFE
"""An EXTREME does not tell; a register full of ones is no ratio."""
_POLL_S = 0.03
# Not told by the instrument's documents; generous.
_EMISSION_WITHIN_S = 15.0
_FILTERS_WITHIN_S = 10.0
_POWER_SETTLES_S = 0.1
_EMISSION_SHOWS_WITHIN_S = 1.0
_SAFE_MARGIN_S = 0.6
_LEAST_WAIT_S = 0.2

_INTERLOCK_CAUSES = {
    1: "key switch or front panel interlock is off",
    2: "door switch is open",
    3: "external module's interlock is open",
    4: "application interlock is open",
    5: "internal module's interlock is open",
    6: "interlock power failure",
    7: "interlock disabled by the light source",
    255: "interlock circuit failure",
}
_STATUS_FAULTS = {
    0x0010: "output control signal low",
    0x0020: "supply voltage low",
    0x0040: "temperature out of range",
    0x0080: "clock battery low",
    0x2000: "check-sum error at start-up (two modules of one address?)",
    0x8000: "error code present",
}


class Options(BaseModel):
    """Keys of the bench file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    port: str = Field(description='serial port, such as "COM4" or "/dev/serial/by-id/usb-NKT..."')
    laser_address: int = Field(15, ge=1, le=160, description="Interbus address of the laser")
    varia_address: int | None = Field(None, ge=1, le=160, description="of the VARIA (16 as delivered), if there is one")
    timeout: Seconds = Field(1.0, ge=0.1, le=10, description="longest wait for answers")
    watchdog: Seconds = Field(2.0, ge=1, le=255, description="emission goes off so long after the last telegram")

    @field_validator("watchdog")
    @classmethod
    def _whole_seconds(cls, value: float) -> float:
        if value != round(value):
            raise ValueError(f'{value:g} s: the instrument counts whole seconds; write for example "2 s"')
        return value


class SuperK(SupercontinuumLaser):
    """NKT SuperK EXTREME or FIANIUM over Interbus, with a VARIA or without; its own watchdog is always armed.

    port: serial port. laser_address, varia_address: on the Interbus; no VARIA if None. timeout: s, longest wait for
    answers. watchdog: whole seconds after the last telegram at which the instrument turns emission off.
    """

    Options = Options

    def __init__(
        self,
        name: str,
        port: str,
        laser_address: int = 15,
        varia_address: int | None = None,
        timeout: float = 1.0,
        watchdog: float = 2.0,
    ) -> None:
        super().__init__(name)
        self._port = port
        self._laser_address = laser_address
        self._varia_address = varia_address
        self._timeout_s = timeout
        self._watchdog_s = round(watchdog)
        self._opened = False
        self._fianium = False
        self._has_picker = False
        self._most_pulses = _MOST_PULSES_UNTOLD
        self._link: Link[Bus] | None = None
        self._state = threading.Lock()
        self._stops = 0
        self._feeder: tuple[threading.Thread, threading.Event] | None = None
        if varia_address is None:
            for setting_name, edge_m in zip(("wavelength_min_m", "wavelength_max_m"), SOURCE_BAND_M, strict=True):
                self.restrict(setting_name, Limits(minimum=edge_m, maximum=edge_m))
        else:
            for setting_name in ("wavelength_min_m", "wavelength_max_m"):
                self.restrict(setting_name, Limits(minimum=VARIA_BAND_M[0], maximum=VARIA_BAND_M[1]))

    # --- life -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect: emission off, watchdog armed, modules recognised."""
        if self._link is None:
            self._link = self._make_link()
        self._link.open()
        self._opened = True
        try:
            self.safe()
        except BaseException:
            self._disconnect()
            raise

    def close(self) -> None:
        """Emission off and disconnect. The watchdog stays armed. Raises DeviceError if emission may still be on."""
        if not self._opened:
            return
        try:
            self.safe()
        finally:
            self._disconnect()

    def _disconnect(self) -> None:
        self._opened = False
        feeder = self._stop_feeding()
        if self._link is not None:
            self._link.close()
        if feeder is not None and feeder is not threading.current_thread():
            feeder.join(2 * self._timeout_s + 1)

    def identity(self) -> Identity:
        """As the modules tell it."""
        with self._talk("identity") as bus:
            serials = [text_of(bus.laser.read(_SERIAL))]
            firmware = [bus.laser.firmware()]
            system = bus.laser.optional(_SYSTEM_TYPE)
            model = "SuperK FIANIUM" if self._fianium or system == b"\x01" else "SuperK EXTREME"
            if bus.varia is not None:
                model += " with VARIA"
                serials.append(text_of(bus.varia.read(_SERIAL)))
                firmware.append(bus.varia.firmware())
        return Identity(model=model, serial=", ".join(serials), firmware=", ".join(firmware))

    def safe(self) -> None:
        """Emission off, read back. Raises DeviceError, which says that emission may still be on, if it could not be
        made sure that it is off; the watchdog then sees to it.

        Takes at most the timeout and a second, also while another thread waits for the instrument.
        """
        try:
            self._off(self._timeout_s + _SAFE_MARGIN_S)
        except LabError as error:
            raise type(error)(
                f"{error}. Emission may still be on; the laser's watchdog ends it {self._watchdog_s} s after the last "
                "telegram that reached it. To be sure, turn its key"
            ) from error

    def _off(self, within_s: float) -> None:
        """Emission off within about so long, also if the lock must be waited for or no answer comes."""
        began_s = time.monotonic()
        with self._state:
            self._stops += 1
        self._stop_feeding()
        if not self._opened:
            return
        with self._talk("safe") as bus:
            left_s = within_s - (time.monotonic() - began_s)
            bus.give(min(max(left_s, _LEAST_WAIT_S), self._timeout_s))
            bus.laser.write(_EMISSION, _OFF)
            found = bus.laser.read(_EMISSION)
        if any(found):
            raise DeviceError(
                f"{self.name}.safe: emission was turned off and still reads {found.hex()}; use the key switch"
            )

    # --- conversations ----------------------------------------------------------------------------------------------

    def _make_link(self) -> Link[Bus]:
        try:
            import termios

            of_the_terminal: tuple[type[BaseException], ...] = (termios.error,)  # pylablib lets it through
        except ImportError:
            of_the_terminal = ()
        return Link(
            self.name,
            self._connect,
            lambda bus: bus.close(),
            lambda bus: bus.flush(),
            late=(NoAnswer,),
            broken=(PortLost, OSError, *of_the_terminal, *_vendor_errors(self.name)),
        )

    @contextlib.contextmanager
    def _talk(self, what: str) -> Iterator[Bus]:
        """The bus for one conversation of at most the timeout; see `Link.talk`."""
        if not self._opened or self._link is None:
            raise DeviceError(f"{self.name}.{what}: the laser is not open; call open first")
        with self._link.talk(what) as bus:
            bus.give()
            try:
                yield bus
            except Refused as error:
                raise DeviceError(
                    f"{self.name}.{what}: the instrument does not know or allow it: {self._report(bus)}"
                ) from error
            except DeviceError as error:
                if str(error).startswith(self.name):
                    raise
                raise DeviceError(f"{self.name}.{what}: {error}") from error

    def _connect(self) -> Bus:
        nkt = _vendor(self.name)
        # Without modules: those would be looked for with a timeout of 50 ms, and wait 10 s while they are made.
        try:
            system = nkt.InterbusSystem((self._port, BAUD), modules=[])
        except nkt.InterbusBackendError as error:
            raise PortLost(str(error.backend_exc)) from error
        try:
            system.instr.instr.write_timeout = self._timeout_s
            with contextlib.suppress(AttributeError, NotImplementedError):
                system.instr.instr.exclusive = True  # a second program's questions would take our answers
            bus = Bus(nkt, system, self._timeout_s)
            bus.flush()
            bus.laser = Module(bus, self._laser_address)
            try:
                bus.laser.write(_EMISSION, _OFF)
            except Refused:
                self._recognise(bus)  # says what stands there instead of a laser
                raise
            self._recognise(bus)
            bus.laser.write(_WATCHDOG, bytes([self._watchdog_s]))
            armed_s = bus.laser.number(_WATCHDOG)
            if armed_s != self._watchdog_s:
                raise DeviceError(
                    f"{self.name}: the watchdog was set to {self._watchdog_s} s and reads {armed_s} s; without it "
                    "emission would outlive this program. Check the laser's firmware"
                )
        except BaseException as error:
            with contextlib.suppress(Exception):
                system.close()
            if isinstance(error, Refused):
                raise DeviceError(
                    f"{self.name}: the module at address {self._laser_address} of {self._port} does not know what "
                    "every SuperK knows. Check laser_address"
                ) from error
            if isinstance(error, DeviceError) and not str(error).startswith(self.name):
                raise DeviceError(f"{self.name}: {error}") from error
            raise
        return bus

    def _recognise(self, bus: Bus) -> None:
        kind = bus.laser.kind()
        if kind not in (_EXTREME, _FIANIUM):
            raise DeviceError(
                f"{self.name}: the module at address {self._laser_address} of {self._port} is of type 0x{kind:02X}; a "
                "SuperK EXTREME is 0x60, a FIANIUM 0x88. Check laser_address"
            )
        self._fianium = kind == _FIANIUM
        picker = bus.laser.optional(_PULSE_PICKER)
        self._has_picker = picker is not None
        if self._fianium and self._has_picker:
            most = bus.laser.optional(_MOST_PULSES)
            if most is not None and int.from_bytes(most, "little") >= 1:
                self._most_pulses = int.from_bytes(most, "little")
                self.restrict("pulse_picker", Limits(minimum=1, maximum=self._most_pulses))
        if self._varia_address is not None:
            bus.varia = Module(bus, self._varia_address)
            try:
                kind = bus.varia.kind()
            except (NoAnswer, Refused):
                kind = 0
            if kind != _VARIA_TYPE:
                found = f"of type 0x{kind:02X}" if kind else "not there"
                raise DeviceError(
                    f"{self.name}: the module at address {self._varia_address} of {self._port} is {found}; a VARIA is "
                    "0x68. Check varia_address (16 as delivered), or leave it out if there is none"
                )

    def _report(self, bus: Bus) -> str:
        """What the instrument says of its interlock and itself."""
        try:
            bus.give()
            interlock = bus.laser.read(_INTERLOCK)
            status = bus.laser.number(_STATUS)
            code = bus.laser.optional(_ERROR_CODE) or b""
        except (NoAnswer, PortLost, Refused, DeviceError) as error:
            return f"and it does not say why ({error or type(error).__name__})"
        said = [_interlock_text(interlock)]
        said += [text for bit, text in _STATUS_FAULTS.items() if status & bit]
        if any(code):
            said.append(f"error code {int.from_bytes(code, 'little')}")
        return "; ".join(said)

    # --- emission ---------------------------------------------------------------------------------------------------

    def _read_emission(self) -> bool:
        with self._talk("emission") as bus:
            return any(bus.laser.read(_EMISSION))

    def _write_emission(self, value: bool) -> None:
        if not value:
            self.safe()
            return
        with self._state:
            stops = self._stops
        try:
            self._turn_on(stops)
        except BaseException:
            with contextlib.suppress(LabError):
                self._off(_SAFE_MARGIN_S)
            raise

    def _turn_on(self, stops: int) -> None:
        """Emission on, unless `safe` was called since there were so many ``stops``; returns when light is there."""
        with self._talk("emission") as bus:
            interlock = bus.laser.read(_INTERLOCK)
            if not _closed(interlock):
                raise InterlockError(f"{self.name}.emission: refused; {self._report(bus)}")
            self._check_power(bus)
            self._not_stopped(stops)
            bus.laser.write(_EMISSION, _ON)
        began_s = time.monotonic()
        while True:
            self._not_stopped(stops)
            with self._talk("emission") as bus:
                on = any(bus.laser.read(_EMISSION))
                if on and bus.laser.number(_STATUS) & _EMITS:
                    break
                waited_s = time.monotonic() - began_s
                if waited_s > (_EMISSION_WITHIN_S if on else _EMISSION_SHOWS_WITHIN_S):
                    raise DeviceError(
                        f"{self.name}.emission: turned on, and there is none after {waited_s:.1f} s; "
                        f"{self._report(bus)}"
                    )
            time.sleep(_POLL_S)
        self._start_feeding(stops)

    def _check_power(self, bus: Bus) -> None:
        """The laser keeps the power of its last user, who may have had other limits."""
        most = self.limits("power_fraction").maximum
        if most is None or most >= 1.0:
            return
        found = bus.laser.number(self._power_register(bus)) / STEPS
        if found > most:
            raise LimitError(
                f"{self.name}.emission: the laser's power is set to {found:.3f}, which is beyond the limit of "
                f"{most:g}; set power_fraction first. It stays off"
            )

    def _not_stopped(self, stops: int) -> None:
        if self._stops != stops:
            raise DeviceError(f"{self.name}.emission: stopped by safe() while it was being turned on")

    def _start_feeding(self, stops: int) -> None:
        with self._state:
            self._not_stopped(stops)
            if self._feeder is not None and self._feeder[0].is_alive():
                return
            stop = threading.Event()
            thread = threading.Thread(target=self._feed, args=(stop,), name=f"{self.name}-watchdog", daemon=True)
            self._feeder = thread, stop
            thread.start()

    def _stop_feeding(self) -> threading.Thread | None:
        with self._state:
            feeder, self._feeder = self._feeder, None
        if feeder is None:
            return None
        feeder[1].set()
        return feeder[0]

    def _feed(self, stop: threading.Event) -> None:
        """Keep the instrument's watchdog content while emission is on; see the module's text."""
        failures = 0
        while not stop.wait(self._watchdog_s / 4):
            if self._link is None or not self._link.connected:
                break
            try:
                with self._talk("watchdog") as bus:
                    on = any(bus.laser.read(_EMISSION))
                    said = "" if on else self._report(bus)
            except LabError as error:
                failures += 1
                log.warning("%s: the watchdog could not be fed: %s", self.name, error)
                if failures < 2 and self._link.connected:
                    continue
                break
            if not on:
                log.warning("%s: emission went off by itself: %s", self.name, said)
                return
            failures = 0
        if stop.is_set():
            return
        log.error("%s: the line is lost; emission off, and the watchdog is fed no more", self.name)
        with contextlib.suppress(LabError):
            self.safe()
        if self._link is not None:
            self._link.drop()  # so that whatever is said next begins with emission off

    # --- power and pulses -------------------------------------------------------------------------------------------

    def _read_power_fraction(self) -> float:
        with self._talk("power_fraction") as bus:
            steps = bus.laser.number(self._power_register(bus))
        if steps > STEPS:
            raise DeviceError(
                f"{self.name}.power_fraction: the instrument shows {steps / 10:.1f} %, which it cannot have; set it "
                "again, and if that does not help switch the laser off and on"
            )
        return steps / STEPS

    def _write_power_fraction(self, value: float) -> None:
        steps = self._steps(value)
        with self._talk("power_fraction") as bus:
            register = self._power_register(bus)
            bus.laser.write(register, steps.to_bytes(2, "little"))
            found = bus.laser.number(register)
        if found != steps:
            raise self._differs("power_fraction", f"{steps / STEPS}", f"{found / STEPS}")
        if self._feeder is not None:
            time.sleep(_POWER_SETTLES_S)

    def _steps(self, value: float) -> int:
        """Nearest step that the limits allow: a limit holds for the light, not only for what was asked."""
        steps = round(value * STEPS)
        limits = self.limits("power_fraction")
        if limits.maximum is not None and steps / STEPS > limits.maximum:
            steps = math.floor(value * STEPS)
        if limits.minimum is not None and steps / STEPS < limits.minimum:
            steps = math.ceil(value * STEPS)
        return steps

    def _power_register(self, bus: Bus) -> int:
        """Where the set-point is that now decides: an EXTREME in current mode does not heed its power register."""
        if self._fianium:
            return _POWER
        mode = bus.laser.number(_SETUP)
        if mode == 1:
            return _POWER
        if mode in (0, 4):
            return _CURRENT
        raise DeviceError(
            f"{self.name}.power_fraction: the laser is in mode {mode}, in which an external signal sets the power; "
            "choose constant power or constant current on its front panel"
        )

    def _read_pulse_picker(self) -> int:
        if not self._has_picker:
            return 1
        with self._talk("pulse_picker") as bus:
            found = bus.laser.number(_PULSE_PICKER)  # one byte below 256, two above
        if not 1 <= found <= self._most_pulses:
            raise DeviceError(
                f"{self.name}.pulse_picker: the instrument shows {found}, which it cannot have; set it again, and if "
                "that does not help switch the laser off and on"
            )
        return found

    def _write_pulse_picker(self, value: int) -> None:
        if not self._has_picker:
            if value != 1:
                raise LimitError(
                    f"{self.name}.pulse_picker = {value}: this laser has no pulse picker; only 1 is allowed"
                )
            return
        with self._talk("pulse_picker") as bus:
            bus.laser.write(_PULSE_PICKER, value.to_bytes(2, "little"))
            found = bus.laser.number(_PULSE_PICKER)
        if found != value:
            raise self._differs("pulse_picker", f"{value}", f"{found}")

    def _differs(self, what: str, asked: str, found: str) -> DeviceError:
        return DeviceError(
            f"{self.name}.{what} = {asked}: the instrument reads back {found}. Check that nobody sets it on the front "
            "panel, and set it again"
        )

    # --- band -------------------------------------------------------------------------------------------------------

    def _read_wavelength_min_m(self) -> float:
        return SOURCE_BAND_M[0] if self._varia_address is None else self._edge("wavelength_min_m", _LONG_WAVE_PASS)

    def _read_wavelength_max_m(self) -> float:
        return SOURCE_BAND_M[1] if self._varia_address is None else self._edge("wavelength_max_m", _SHORT_WAVE_PASS)

    def _write_wavelength_min_m(self, value: float) -> None:
        if self._varia_address is None:
            return  # the limits allow one value
        if value >= (longest_m := self.wavelength_max_m):
            raise LimitError(f"{self.name}.wavelength_min_m = {value:.12g} m: must lie below {longest_m:.12g}")
        self._move("wavelength_min_m", _LONG_WAVE_PASS, value)

    def _write_wavelength_max_m(self, value: float) -> None:
        if self._varia_address is None:
            return
        if value <= (shortest_m := self.wavelength_min_m):
            raise LimitError(f"{self.name}.wavelength_max_m = {value:.12g} m: must lie above {shortest_m:.12g}")
        self._move("wavelength_max_m", _SHORT_WAVE_PASS, value)

    def _edge(self, what: str, register: int) -> float:
        with self._talk(what) as bus:
            tenths = _varia(bus).number(register)
        if not 3000 <= tenths <= 24000:
            raise DeviceError(
                f"{self.name}.{what}: the VARIA shows {tenths / 10:.1f} nm, which it cannot have; set it again, and if "
                "that does not help switch it off and on"
            )
        return tenths / 1e10  # divided, so that 588.0 nm is the number that 588e-9 is

    def _move(self, what: str, register: int, value_m: float) -> None:
        """Move a filter and wait until it stands."""
        tenths = round(value_m * 1e10)
        limits = self.limits(what)
        if limits.maximum is not None and tenths / 1e10 > limits.maximum:
            tenths = math.floor(value_m * 1e10)
        if limits.minimum is not None and tenths / 1e10 < limits.minimum:
            tenths = math.ceil(value_m * 1e10)
        with self._talk(what) as bus:
            varia = _varia(bus)
            varia.write(register, tenths.to_bytes(2, "little"))
            found = varia.number(register)
        if found != tenths:
            raise self._differs(what, f"{tenths / 10:.1f} nm", f"{found / 10:.1f} nm")
        until_s = time.monotonic() + _FILTERS_WITHIN_S
        while True:
            with self._talk(what) as bus:
                if not _varia(bus).number(_STATUS) & _FILTERS_MOVE:
                    return
            if time.monotonic() > until_s:
                raise DeviceError(
                    f"{self.name}.{what} = {tenths / 10:.1f} nm: the VARIA's filters still move after "
                    f"{_FILTERS_WITHIN_S:g} s; switch it off and on"
                )
            time.sleep(_POLL_S)


def _varia(bus: Bus) -> Module:
    assert bus.varia is not None
    return bus.varia


def _closed(interlock: bytes) -> bool:
    return interlock[:1] == b"\x02"


def _interlock_text(interlock: bytes) -> str:
    state, cause = (*interlock, 0, 0)[:2]
    if cause == 255 or state == 0:
        return f"interlock open ({_INTERLOCK_CAUSES.get(cause, 'circuit open')}); close it and press reset"
    if state == 1:
        return "interlock closed and waiting for its reset; press reset, or turn the key off and on"
    return "interlock closed" if state == 2 else f"interlock reads 0x{cause:02X}{state:02X}"


def _vendor(device: str) -> Any:
    """pylablib's NKT module; it takes seconds to import, hence only when a laser is really opened."""
    try:
        from pylablib.devices import NKT  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigurationError(
            f"{device}: pylablib is missing ({error}); install it with: pip install 'labctl[hardware]'"
        ) from error
    return NKT


def _vendor_errors(device: str) -> tuple[type[BaseException], ...]:
    found: type[BaseException] = _vendor(device).InterbusError
    return (found,)

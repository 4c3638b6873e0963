"""What every emulated instrument is: state, timing and faults of the real one, below its driver, attached to a world.

The driver above is the one of the table and runs unmodified vendor-layer code; what is emulated is the wire, the screen
or the library it speaks to.
"""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from drivers.errors import ConfigurationError

CommonFault = Literal["mute", "late", "corrupt-crc", "interlock-open", "over-range", "port-loss", "firmware"]
"""mute: no answer. late: answers after the driver's timeout. corrupt-crc: answers with a wrong check sum, or else
garbled. interlock-open: emission is refused and goes off. over-range: a value beyond what the instrument takes or
shows. port-loss: the line is cut, and comes back when the fault is cleared. firmware: another firmware's answers."""

ScreenFault = Literal["gamma", "window", "wrong-size", "frozen"]
"""Of a screen only; see `simulators.emulators.screen`."""

Fault = CommonFault | ScreenFault

Mutation = Literal["scale", "stale", "ignore-setpoint", "dark", "late"]
"""Ways in which an instrument is wrong without saying so; a conformance suite must notice. scale: 10 % off. stale: the
last value or frame again. ignore-setpoint: set-points are confirmed and not acted on. dark: no light, or none seen.
late: answers correctly, a second too late for its specification."""


_SCREEN_LAG_NS = 25_000_000
"""A refresh and a half: no pattern is settled sooner."""
_MOST_LAG_S = 2.0


class EmulatorOptions(BaseModel):
    """What a bench file may say of an emulated instrument, besides the driver's own keys.

    fault, mutation: how it is broken from the beginning.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: Fault | None = None
    mutation: Mutation | None = None


class Emulator(ABC):
    """One instrument. `start` and `stop` may be called again; everything else from any thread.

    world: as devices get it, with ``parameters``, ``clock``, ``state`` and its operations, and nothing else. name: of
    the device, under which it is attached to the world.
    """

    Options: ClassVar[type[EmulatorOptions]] = EmulatorOptions
    supplies: ClassVar[frozenset[str]] = frozenset()
    """Options of the driver that `start` returns, so that a bench file need not give them."""
    faults: ClassVar[frozenset[str]] = frozenset()
    mutations: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, name: str, world: Any, options: EmulatorOptions | None = None) -> None:
        self.name = name
        self.world = world
        self.options = options or self.Options()
        self.fault: str | None = None
        self.mutation: str | None = None

    def serial_like(self, typical: str) -> str:
        """A serial number of the form of ``typical``: the digits at its end are drawn from the table's seed and the
        device's name, so that calibrations of one table do not hold on another, nor those of one device for its twin.
        """
        letters = typical.rstrip("0123456789")
        digits = len(typical) - len(letters)
        drawn_from = f"{getattr(self.world.parameters, 'seed', None)}/{self.name}/{typical}"
        drawn = int.from_bytes(hashlib.sha256(drawn_from.encode()).digest()[:8], "big")
        return f"{letters}{drawn % 10**digits:0{digits}d}"

    @abstractmethod
    def start(self) -> dict[str, Any]:
        """Power on. Returns the driver's options that lead to it, such as ``{"port": "/dev/pts/4"}``.

        Raises ConfigurationError, naming the package, if the system lacks something it needs.
        """

    @abstractmethod
    def stop(self) -> None:
        """Power off; nothing is left behind. Harmless when already off."""

    def await_panel(self) -> None:
        """Before light is measured: until an emulated screen was looked at since just now.

        What stands on a screen leaves the graphics card at its next refresh, whatever the processes here have to wait
        for. Returns at once if no screen is emulated, and in any case within two seconds.
        """
        state = self.world.state
        if "panel_seen_ns" not in (state.dtype.names or ()):
            return
        wanted_ns = self.world.clock.now_ns() - _SCREEN_LAG_NS
        until = time.monotonic() + _MOST_LAG_S
        while 0 < state["panel_seen_ns"][0] < wanted_ns and time.monotonic() < until:
            time.sleep(0.001)

    def inject(self, fault: str | None) -> None:
        """Break it in a way that is noticed, until another fault or None. ConfigurationError if it has no such one."""
        if fault is not None and fault not in self.faults:
            raise ConfigurationError(f"{self.name}: no fault {fault!r}; it has {', '.join(sorted(self.faults))}")
        self.fault = fault

    def mutate(self, mutation: str | None) -> None:
        """Make it wrong without saying so. ConfigurationError if that has no meaning for it."""
        if mutation is not None and mutation not in self.mutations:
            raise ConfigurationError(
                f"{self.name}: no mutation {mutation!r}; it has {', '.join(sorted(self.mutations))}"
            )
        self.mutation = mutation

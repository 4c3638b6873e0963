"""A driver on its emulated instrument, both in this process, on a rail that tells what light there is."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Device
from labctl import registry
from labctl.bench.load import load_bench
from simulators.emulators.base import Emulator
from simulators.worlds.rail import RailWorld

TIMEOUT_S = 0.3
"""Of every driver here: the answers of the fault "late" come later than that."""

OPEN_S = 3.0
"""Of drivers that give opening a timeout of its own: a window on a screen takes a while."""
DARK_WITHIN_S = 0.5
NAME = "subject"

_BENCH = """
[bench]
name = "faults"
world = "rail"
clock = "real"

[world]
noise = false
detector.tap_range = "1 mW"
slm = { rows = 24, columns = 48 }
optics = { first_row = 3, bands = 6, dispersion = 3e3 }
camera = { rows = 40, columns = 64, axis_row = 20, axis_column = 30 }

[devices.subject]
kind = "%s"
backend = "emulated"
driver = "%s"
"""

LATE_S = 1.5
"""How late answers are under that fault, at most."""

_QUICK = {"settle": "50 ms", "late": "1 s", "lateness": "1 s"}
"""Keys of emulated instruments, where they have them."""


def wait(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether it comes true in that time."""
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            return condition()
        time.sleep(0.005)
    return True


def drivers() -> tuple[str, ...]:
    """Every driver that has an emulated instrument."""
    return registry.names("labctl.emulators")


@cache
def kind_of(driver: str) -> str:
    """Of a driver."""
    return str(registry.load("labctl.drivers", driver).kind)


@cache
def faults_of(driver: str) -> frozenset[str]:
    """Of its emulated instrument."""
    return frozenset(registry.load("labctl.emulators", driver).faults)


class Bench:
    """The instrument, switched on; its driver, as often as one is wanted; and the rail. folder: for the bench file."""

    def __init__(self, driver: str, folder: Path) -> None:
        self.driver = driver
        self.is_laser = kind_of(driver) in ("pump", "supercontinuum")
        emulated, driven = registry.load("labctl.emulators", driver), registry.load("labctl.drivers", driver)
        keys = {key: value for key, value in _QUICK.items() if key in emulated.Options.model_fields}
        assert "timeout" in driven.Options.model_fields, f"{driver} has no timeout that could be set"
        keys["timeout"] = f"{TIMEOUT_S} s"
        self.has_open_within = "open_within" in driven.Options.model_fields
        if self.has_open_within:
            keys["open_within"] = f"{OPEN_S} s"
        path = folder / f"{driver}.toml"
        lines = [f'{key} = "{value}"' for key, value in keys.items()]
        path.write_text(_BENCH % (driven.kind, driver) + "\n".join(lines), encoding="utf-8")
        config = load_bench(path)
        self._config = config.devices[NAME]
        parameters: Any = config.world_parameters
        self.world = RailWorld(parameters, RailWorld.clock_of_kind("real"))
        self.world.warm_up()
        self.instrument: Emulator = self._config.emulator(NAME, self.world, self._config.emulator_options)
        self._leads: dict[str, Any] = self.instrument.start()

    def make(self) -> Device:
        """A driver, not open."""
        site: Any = None
        factory: Any = self._config.factory
        made: Device = factory.build(NAME, self._config.options_with(self._leads), site)
        return made

    def strike(self, fault: str | None, anew: bool = False) -> None:
        """Break the instrument, or mend it. anew: it is switched off and on, and drivers made before are of no use."""
        if anew:
            self.instrument.stop()
        self.instrument.inject(fault)
        if anew:
            self._leads = self.instrument.start()

    def stop(self) -> None:
        """Switch the instrument off."""
        self.instrument.inject(None)
        self.instrument.stop()

    # --- the truth --------------------------------------------------------------------------------------------------

    @property
    def light_w(self) -> float:
        """What all lasers on the rail emit now."""
        return float(self.world.source_power_w())

    def must_be_dark(self) -> None:
        """AssertionError unless no light leaves any laser, very soon at the latest."""
        assert wait(lambda: self.light_w == 0.0, DARK_WITHIN_S), f"light was left on: {self.light_w} W"

    @property
    def gray(self) -> NDArray[np.int64]:
        """Levels (rows, columns) that the panel was last sent."""
        levels = self.world.panel.phase * (256 / (2 * np.pi))
        return np.rint(levels).astype(np.int64)

    def shine(self, power_fraction: float) -> None:
        """Light for detectors and cameras, from a source that is no device here."""
        self.world.source.emission = power_fraction > 0
        self.world.source.power_fraction = power_fraction

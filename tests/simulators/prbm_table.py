"""A small photonic RBM table for tests: every effect of the full one, a thousandth of its pixels."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.clock import VirtualClock
from simulators.worlds.parts.gray_table import TiledGrayTable
from simulators.worlds.parts.panel import Panel
from simulators.worlds.prbm import PrbmParameters, PrbmWorld
from simulators.worlds.prbm.lab_probe import LabProbe
from simulators.worlds.prbm.optics import OpticsInTime, Window
from simulators.worlds.prbm.probe import Aperture, Illumination, Probe
from simulators.worlds.prbm.truth import hidden_table

# The dispersion is low, so that wavelengths differ from band to band by more than on the real table.
SMALL: dict[str, dict[str, Any]] = {
    "slm": {"rows": 24, "columns": 48},
    "beam": {"waist": "0.3 mm"},
    "optics": {"first_row": 3, "bands": 6, "dispersion": 3e3, "camera_attenuation": "100 %"},
    "camera": {"rows": 200, "columns": 300, "axis_row": 90, "axis_column": 140},
}


def parameters(**sections: Any) -> PrbmParameters:
    """The small table with keys of some sections replaced."""
    tables: dict[str, Any] = {name: dict(table) for name, table in SMALL.items()}
    for name, value in sections.items():
        tables[name] = tables.get(name, {}) | value if isinstance(value, dict) else value
    return PrbmParameters.model_validate(tables)


def lit_world(**sections: Any) -> PrbmWorld:
    """A small world in virtual time with its source at full power."""
    world = PrbmWorld(parameters(**sections), VirtualClock())
    world.source.emission = True
    world.source.power_fraction = 1.0
    return world


def on_pulse(world: PrbmWorld, act: Callable[[int], object]) -> None:
    """From now on, call ``act`` with the number of each pulse of the world's trigger line, from 1."""
    fire, numbers = world.fire_trigger, itertools.count(1)

    def fire_and_act() -> None:
        fire()
        act(next(numbers))

    setattr(world, "fire_trigger", fire_and_act)  # noqa: B010 - a method, replaced on this world only


class Bay:
    """A panel and one detector in its focal plane, without camera or clock around them."""

    def __init__(self, p: PrbmParameters, columns: int = 1, rows: int = 5, offset_m: float = 3e-6) -> None:
        self.p = p
        self.panel = Panel(p.slm)
        self.light = Illumination.of(p)
        self.aperture = Aperture(
            columns_m=(np.arange(columns) - (columns - 1) / 2) * p.camera.pitch + offset_m,
            rows_m=(np.arange(rows) - 1) * 40 * p.camera.pitch,
            width_m=p.camera.pitch,
            area_m2=p.camera.pitch**2,
        )
        self.probe = Probe(p, self.light, self.panel, self.aperture)
        self.full = np.ones(p.optics.bands)

    def random_gray(self, rng: np.random.Generator, rows: int, columns: int) -> NDArray[Any]:
        """Any gray levels the panel takes."""
        if self.p.slm.levels is None:
            return rng.uniform(0, 256, (rows, columns))
        return rng.integers(0, self.p.slm.levels, (rows, columns)).astype(np.uint8)

    def assert_fast_is_reference(
        self, start_s: float, duration_s: float, shares: NDArray[np.float64] | None = None
    ) -> None:
        """Both roads to the light of one exposure agree to 1e-9."""
        shares = self.full if shares is None else shares
        self.panel.rest(start_s)
        fast = self.probe.power(start_s, duration_s, shares)
        reference = self.probe.reference(start_s, duration_s, shares)
        np.testing.assert_allclose(fast, reference, rtol=1e-9, atol=1e-12 * reference.max())


class LabBay:
    """A panel with its hidden imperfections and one window of the focal plane, without camera or clock around them."""

    def __init__(self, p: PrbmParameters, x_m: Any = (3e-6,), y_m: Any = (0.0,), point: bool = False) -> None:
        self.p = p
        self.truth = hidden_table(p)
        self.panel = Panel(p.slm, TiledGrayTable(p, self.truth.panel))
        self.optics = OpticsInTime(p).at(0.0)
        x, y = np.meshgrid(np.asarray(x_m, float), np.asarray(y_m, float))
        pitch = p.camera.pitch
        self.window = Window(x, y, pitch, pitch**2, point)
        self.probe = LabProbe(self.optics, self.truth.panel, self.panel, self.window)
        self.full = np.ones(len(self.optics.samples_m))
        self.even = np.ones(p.optics.bands)

    def power(self, start_s: float = 0.0, duration_s: float = 1e-3, shares: Any = None) -> NDArray[np.float64]:
        """By the reference road, in one exposure."""
        self.panel.rest(start_s)
        return self.probe.reference(start_s, duration_s, self.full if shares is None else shares, self.even)

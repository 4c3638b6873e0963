"""What a seed planted in panel, camera and room of a table.

Drawn from the seed with noise by address (decision 4), so that one truth does not depend on which others are switched
on. Devices never see it: no operation of a world returns it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.physics.counter_random import noise_key, standard_normal, uniforms
from simulators.physics.gray_phase import bent_phase, soft_discs
from simulators.worlds.parts.hidden import CommonHidden
from simulators.worlds.parts.parameters import CameraParameters, SlmParameters

TILES = (3, 4)
"""Rows and columns of tiles into which the panel's look-up table error is divided."""

HOUR_S = 3600.0

DRIFT_STEP_S = 60.0
"""Optics follow the room's temperature in steps: 0.008 K, at which rows move by less than 0.01."""


@dataclass(frozen=True, eq=False)
class PanelTruth:
    """What the panel does to light.

    lut_gain, lut_bend: arguments of `simulators.physics.gray_phase.bent_phase`. tile_gain: `TILES`, added to lut_gain.
    lut_wavelength_m: 0 is the wavelength itself, everywhere. flicker_share: rms relative to the phase. crosstalk_px:
    sigma along the rows' order (y) and along a row (x). wavefront_modes: focus, astigmatism at 0 and 45 degrees, rad
    rms on a disc around the lit rectangle. dead, axis, front: reflectance relative to the pixels' and phase.
    front_tilt_m: where light from the glass lands in the focal plane, (rows, columns) from the zeroth order.
    dust: (spots, 4) row, column, radius in pixels, transmission of the amplitude.
    """

    lut_gain: float
    lut_bend: tuple[float, float]
    tile_gain: NDArray[np.float64]
    lut_wavelength_m: float
    flicker_share: float
    flicker_hz: float
    flicker_phase: float
    crosstalk_px: tuple[float, float]
    wavefront_modes: tuple[float, float, float]
    dead_reflectance: float
    dead_phase: float
    axis_reflectance: float
    axis_phase: float
    front_reflectance: float
    front_phase: float
    front_tilt_m: tuple[float, float]
    front_coherence: float
    dust: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SensorTruth:
    """What is not even about the camera's sensor.

    hot: (pixels, 3) row, column, electrons per second. blinking: (pixels, 4) row, column, electrons, share of exposures
    in which it is up. nonlinearity: e (1 + nonlinearity e / full well). kink: change of gain above kink_e. dust:
    (spots, 4) row, column, radius in pixels, transmission. The maps of response and offsets are
    `simulators.physics.scmos.fixed_pattern`'s.
    """

    prnu: float
    dsnu_e: float
    dsnu_columns_e: float
    hot: NDArray[np.float64]
    blinking: NDArray[np.float64]
    nonlinearity: float
    kink: float
    kink_e: float
    dust: NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class RoomTruth:
    """kelvin_per_hour, kelvin_period_s: of the room, `kelvin`; phase_per_kelvin: of the panel."""

    kelvin_per_hour: float
    kelvin_period_s: float
    phase_per_kelvin: float

    def kelvin(self, time_s: float) -> float:
        """Temperature of the room since bench time 0: it comes and goes within some hours."""
        swing = self.kelvin_per_hour / HOUR_S * self.kelvin_period_s / (2 * math.pi)
        return swing * math.sin(2 * math.pi * time_s / self.kelvin_period_s)


class Draws:
    """Random numbers of a seed by what they are for: the same name gives the same ones, whatever else is drawn."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def uniform(self, name: str, n: int = 1, low: float = -1.0, high: float = 1.0) -> NDArray[np.float64]:
        """Evenly spread between the two ends, (n,)."""
        key = noise_key(self._seed, "table", name)
        return low + (high - low) * np.array([uniforms(key, k, 0, 0, 0)[0] for k in range(n)])

    def one(self, name: str, low: float = -1.0, high: float = 1.0) -> float:
        """A single one of `uniform`."""
        return float(self.uniform(name, 1, low, high)[0])

    def sign(self, name: str) -> float:
        """1 or -1."""
        return 1.0 if self.one(name) > 0 else -1.0

    def drift(self, name: str, least: float = 0.5) -> float:
        """Of either sign and never small: a drift that is there."""
        return self.sign(f"{name} sign") * self.one(name, least, 1.0)

    def normal(self, name: str, n: int) -> NDArray[np.float64]:
        """Standard normal, (n,)."""
        key = noise_key(self._seed, "table", name)
        return np.array([standard_normal(key, k, 0, 0, 0) for k in range(n)])


def panel_truth(
    h: CommonHidden, draws: Draws, slm: SlmParameters, focal_length_m: float, lit_rows: tuple[int, int]
) -> PanelTruth:
    """Of a panel with a flat wavefront in light of its look-up table's wavelength. lit_rows: first, and how many."""
    stretch = draws.one("crosstalk stretch", 0.9, 1.15)
    spots = _spots("panel dust", h.dust, draws)
    spots[:, 0] = lit_rows[0] + lit_rows[1] * spots[:, 0]
    spots[:, 1] *= slm.columns
    wedge = draws.one("front wedge", 0.0, 1.0) * h.front_wedge
    direction = draws.one("front direction", 0.0, 2 * math.pi)
    landing = 2 * wedge * focal_length_m
    return PanelTruth(
        lut_gain=h.lut_error * draws.one("lut gain"),
        lut_bend=(h.lut_error * draws.one("lut bend 1"), h.lut_error * draws.one("lut bend 2")),
        tile_gain=h.lut_tile_error * draws.normal("lut tiles", TILES[0] * TILES[1]).reshape(TILES),
        lut_wavelength_m=0.0,
        flicker_share=h.flicker / math.pi,
        flicker_hz=draws.one("flicker frequency", 60.0, 300.0),
        flicker_phase=draws.one("flicker phase", 0.0, 2 * math.pi),
        crosstalk_px=(h.crosstalk / stretch, h.crosstalk * stretch),
        wavefront_modes=(0.0, 0.0, 0.0),
        dead_reflectance=h.dead_area,
        dead_phase=draws.one("dead phase", 0.0, 2 * math.pi),
        axis_reflectance=math.sin(h.axis_error) ** 2,
        axis_phase=draws.one("axis phase", 0.0, 2 * math.pi),
        front_reflectance=h.front_face / slm.reflectance,
        front_phase=draws.one("front phase", 0.0, 2 * math.pi),
        front_tilt_m=(landing * math.cos(direction), landing * math.sin(direction)),
        front_coherence=1.0,
        dust=spots,
    )


def _spots(name: str, most: float, draws: Draws) -> NDArray[np.float64]:
    """(spots, 4) of row and column as shares of the place, radius of 2 to 8 pixels and transmission of 0.3 to 0.9."""
    count = math.floor(most * draws.one(f"{name} count", 0.25, 1.0) + 0.5)
    spots = draws.uniform(name, 4 * count, 0.0, 1.0).reshape(count, 4)
    spots[:, 2] = 2 + 6 * spots[:, 2]
    spots[:, 3] = 0.3 + 0.6 * spots[:, 3]
    return spots


def sensor_truth(h: CommonHidden, draws: Draws, c: CameraParameters) -> SensorTruth:
    """Of a camera."""
    places = c.rows * c.columns
    hot = draws.uniform("hot pixels", 3 * math.ceil(h.hot_pixels * places), 0.0, 1.0).reshape(-1, 3)
    hot[:, :2] = np.floor(hot[:, :2] * (c.rows, c.columns))
    hot[:, 2] = 100.0 * 100.0 ** hot[:, 2]
    blinking = draws.uniform("blinking", 4 * math.ceil(h.blinking * places), 0.0, 1.0).reshape(-1, 4)
    blinking[:, :2] = np.floor(blinking[:, :2] * (c.rows, c.columns))
    blinking[:, 2] = 5.0 * 6.0 ** blinking[:, 2]
    blinking[:, 3] = 0.1 + 0.4 * blinking[:, 3]
    dust = _spots("sensor dust", h.dust, draws)
    dust[:, :2] *= (c.rows, c.columns)
    return SensorTruth(
        prnu=h.prnu,
        dsnu_e=h.dsnu,
        dsnu_columns_e=h.dsnu_columns,
        hot=hot,
        blinking=blinking,
        nonlinearity=h.nonlinearity * draws.drift("nonlinearity"),
        kink=h.gain_kink * draws.drift("gain kink"),
        kink_e=h.kink_electrons,
        dust=dust,
    )


class HasPanel(Protocol):
    """Parameters of a table."""

    @property
    def slm(self) -> SlmParameters:
        """Its panel's."""
        ...


def gray_phases(p: HasPanel, truth: PanelTruth, levels: NDArray[Any]) -> NDArray[np.float64]:
    """Phase (tiles down, tiles across, levels) that gray levels give at the look-up table's wavelength, rad.

    levels: of a turn of 256, or of as many as the panel has.
    """
    nominal = np.asarray(levels, np.float64) * (2 * math.pi / (p.slm.levels or 256))
    gains = truth.lut_gain + truth.tile_gain
    return bent_phase(nominal, gains[:, :, None], truth.lut_bend)


def tile_of(index: NDArray[np.integer[Any]], size: int, tiles: int) -> NDArray[np.int64]:
    """Which tile rows or columns of the panel belong to; size: of the panel."""
    return np.asarray(index, np.int64) * tiles // size


def dust_shade(rows: int, columns: int, spots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transmission (rows, columns) of `PanelTruth.dust` or `SensorTruth.dust`."""
    return soft_discs(rows, columns, spots[:, :2], spots[:, 2], spots[:, 3])

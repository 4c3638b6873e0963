"""The hidden table: what a seed planted, which calibrations must find from measurements alone.

Drawn from the seed with noise by address (decision 4), so that one truth does not depend on which others are switched
on, but for what the bench file states (`simulators.worlds.prbm.stated`). Devices never see it: no operation of the
world returns it. Tests and the world itself ask `hidden_table`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.physics.counter_random import noise_key, standard_normal, uniforms
from simulators.physics.gray_phase import bent_phase, soft_discs, wavefront
from simulators.physics.row_coupling import radius_for_ratio
from simulators.physics.source_light import octaves
from simulators.worlds.prbm.hidden import CommonHidden
from simulators.worlds.prbm.parameters import CameraParameters, PrbmParameters, SlmParameters
from simulators.worlds.prbm.stated import with_stated

TILES = (3, 4)
"""Rows and columns of tiles into which the panel's look-up table error is divided."""

HOUR_S = 3600.0
_TONES = 24
"""Of the slow noise between 0.1 and 10 Hz."""
SPECTRUM_TERMS = 4
"""Pairs of cosine and sine in `spectrum_shape`."""


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
class GeometryTruth:
    """Where things are.

    shift_px: (rows, columns) of the zeroth order on the camera, from (axis_row, axis_column). rotation_rad: of the
    focal plane's image, counted from rows to columns. scale: of that image, 1 is nominal. flip: columns mirrored.
    beam_shift_px: SLM columns. pointing_m_per_kelvin: (rows, columns) in the focal plane.
    """

    shift_px: tuple[float, float]
    rotation_rad: float
    scale: float
    flip: bool
    beam_shift_px: float
    pointing_m_per_kelvin: tuple[float, float]


@dataclass(frozen=True, eq=False)
class SpectrumTruth:
    """Which rows a wavelength lights, and how strongly.

    row_offset: rows by which the middle wavelength is off. row_slope: relative error of rows per wavelength about it.
    shape: (terms, 2) amplitudes of cosine and sine in `spectrum_shape`. coupling: G of neighbouring bands at the first
    and the last wavelength, in between by a straight line of the spot's radius; spot_radius_px: 1/e^2, at the same
    ends; 0 without coupling.
    """

    row_offset: float
    row_slope: float
    shape: NDArray[np.float64]
    coupling: tuple[float, float]
    spot_radius_px: tuple[float, float]
    tilt_per_hour: float
    rows_per_kelvin: float


@dataclass(frozen=True, eq=False)
class SourceTruth:
    """How the source's power depends on set-point and time.

    curve: emitted = s (1 + curve[0] (1 - s) + curve[1] (1 - s) (1 - 2 s)) of set-point s. slow_hz, slow_phases: tones,
    each of slow_amplitude. pulse_noise: of one band's slice in 16.7 ms.
    """

    curve: tuple[float, float]
    drift_per_hour: float
    warm_up: float
    warm_up_s: float
    slow_hz: NDArray[np.float64]
    slow_phases: NDArray[np.float64]
    slow_amplitude: float
    pulse_noise: float


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


@dataclass(frozen=True, eq=False)
class HiddenTable:
    """Everything planted. kelvin_per_hour, kelvin_period_s: of the room, `kelvin`; phase_per_kelvin: of the panel."""

    panel: PanelTruth
    geometry: GeometryTruth
    spectrum: SpectrumTruth
    source: SourceTruth
    sensor: SensorTruth
    kelvin_per_hour: float
    kelvin_period_s: float
    phase_per_kelvin: float

    def kelvin(self, time_s: float) -> float:
        """Temperature of the room since bench time 0: it comes and goes within some hours."""
        swing = self.kelvin_per_hour / HOUR_S * self.kelvin_period_s / (2 * math.pi)
        return swing * math.sin(2 * math.pi * time_s / self.kelvin_period_s)


class Draws:
    """Random numbers of a seed by what they are for."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def uniform(self, name: str, n: int = 1, low: float = -1.0, high: float = 1.0) -> NDArray[np.float64]:
        key = noise_key(self._seed, "table", name)
        return low + (high - low) * np.array([uniforms(key, k, 0, 0, 0)[0] for k in range(n)])

    def one(self, name: str, low: float = -1.0, high: float = 1.0) -> float:
        return float(self.uniform(name, 1, low, high)[0])

    def sign(self, name: str) -> float:
        return 1.0 if self.one(name) > 0 else -1.0

    def drift(self, name: str, least: float = 0.5) -> float:
        """Of either sign and never small: a drift that is there."""
        return self.sign(f"{name} sign") * self.one(name, least, 1.0)

    def normal(self, name: str, n: int) -> NDArray[np.float64]:
        key = noise_key(self._seed, "table", name)
        return np.array([standard_normal(key, k, 0, 0, 0) for k in range(n)])


@lru_cache(maxsize=32)
def hidden_table(p: PrbmParameters) -> HiddenTable:
    """The truth of a table with these parameters."""
    draws = Draws(p.seed)
    h = p.hidden
    drawn = HiddenTable(
        panel=_panel(p, draws),
        geometry=GeometryTruth(
            shift_px=(h.camera_shift * draws.one("camera rows"), h.camera_shift * draws.one("camera columns")),
            rotation_rad=h.camera_rotation * draws.one("camera rotation"),
            scale=1 + h.camera_scale * draws.one("camera scale"),
            flip=h.camera_flip,
            beam_shift_px=h.beam_shift * draws.one("beam shift"),
            pointing_m_per_kelvin=_pointing(p, draws),
        ),
        spectrum=_spectrum(p, draws),
        source=SourceTruth(
            curve=(h.power_curve * draws.one("power curve 1"), h.power_curve * draws.one("power curve 2")),
            drift_per_hour=h.power_drift * draws.drift("power drift"),
            warm_up=h.warm_up * draws.one("warm-up", 0.5, 1.0),
            warm_up_s=h.warm_up_time / 3.0,
            slow_hz=octaves(0.1, 10.0, _TONES, draws.uniform("slow tones", _TONES, 0.0, 1.0)),
            slow_phases=draws.uniform("slow phases", _TONES, 0.0, 2 * math.pi),
            slow_amplitude=h.slow_noise * math.sqrt(2 / _TONES),
            pulse_noise=h.pulse_noise,
        ),
        sensor=sensor_truth(p.hidden, draws, p.camera),
        kelvin_per_hour=h.temperature_drift * draws.drift("temperature"),
        kelvin_period_s=HOUR_S * draws.one("temperature period", 6.0, 10.0),
        phase_per_kelvin=h.phase_per_kelvin * draws.one("phase per kelvin", 0.7, 1.3),
    )
    return with_stated(drawn, h.stated)


def _panel(p: PrbmParameters, draws: Draws) -> PanelTruth:
    lit = (p.optics.first_row, p.optics.bands * p.optics.rows_per_wavelength)
    truth = panel_truth(p.hidden, draws, p.slm, p.optics.focal_length, lit)
    return replace(
        truth,
        lut_wavelength_m=p.hidden.lut_wavelength,
        wavefront_modes=_wavefront_modes(p, draws),
        front_coherence=p.hidden.front_coherence,
    )


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


def _wavefront_modes(p: PrbmParameters, draws: Draws) -> tuple[float, float, float]:
    """Focus and astigmatism in random proportions, together of the wanted rms over the lit rectangle."""
    wanted = p.hidden.aberration
    mix = draws.normal("aberration", 3)
    x_m, y_m = lit_rectangle(p)
    spread = float(wavefront(x_m, y_m, disc_radius(p), (mix[0], mix[1], mix[2])).std()) if wanted else 0.0
    scale = wanted / spread if spread > 0 else 0.0
    return float(mix[0] * scale), float(mix[1] * scale), float(mix[2] * scale)


def lit_rectangle(p: PrbmParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns (all) and rows (those that the spectrum lights nominally) from the middle of the lit part, m."""
    lit = p.optics.bands * p.optics.rows_per_wavelength
    columns, rows = (np.arange(n, dtype=np.float64) - (n - 1) / 2 for n in (p.slm.columns, lit))
    return columns * p.slm.pitch, rows * p.slm.pitch


def disc_radius(p: PrbmParameters) -> float:
    """Of the Zernike disc around the lit rectangle, m."""
    lit = p.optics.bands * p.optics.rows_per_wavelength
    return 0.5 * math.hypot(p.slm.columns, lit) * p.slm.pitch


def _pointing(p: PrbmParameters, draws: Draws) -> tuple[float, float]:
    reach = p.hidden.pointing_per_kelvin * p.optics.focal_length
    return reach * draws.drift("pointing rows", 0.2), reach * draws.drift("pointing columns", 0.2)


def _spectrum(p: PrbmParameters, draws: Draws) -> SpectrumTruth:
    h = p.hidden
    ends = tuple(h.coupling * (1 + h.coupling_spread * u) for u in draws.uniform("coupling", 2))
    radii = tuple(radius_for_ratio(g) if g > 0 else 0.0 for g in ends)
    terms = draws.normal("spectrum", 2 * SPECTRUM_TERMS).reshape(SPECTRUM_TERMS, 2)
    largest = np.abs(spectrum_shape(np.linspace(-1, 1, 201), terms)).max()
    return SpectrumTruth(
        row_offset=h.row_offset * draws.one("row offset"),
        row_slope=h.row_slope * draws.one("row slope"),
        shape=h.spectrum * terms / largest,
        coupling=(float(ends[0]), float(ends[1])),
        spot_radius_px=(float(radii[0]), float(radii[1])),
        tilt_per_hour=h.spectrum_drift * draws.drift("spectrum drift"),
        rows_per_kelvin=h.rows_per_kelvin * draws.drift("rows per kelvin", 0.2),
    )


def spectrum_shape(place: NDArray[np.floating[Any]], terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deviation of the spectrum from flat, place: -1 at the first wavelength to 1 at the last; terms: (terms, 2)."""
    out = np.zeros(np.shape(place))
    for k, (cosine, sine) in enumerate(terms, start=1):
        out += (cosine * np.cos(0.5 * math.pi * k * place) + sine * np.sin(0.5 * math.pi * k * place)) / k
    return out


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

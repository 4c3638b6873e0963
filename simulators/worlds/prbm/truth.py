"""The hidden table: what a seed planted, which calibrations must find from measurements alone.

Drawn from the seed with noise by address (decision 4), so that one truth does not depend on which others are switched
on, but for what the bench file states (`simulators.worlds.prbm.stated`). Devices never see it: no operation of the
world returns it. Tests and the world itself ask `hidden_table`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.gray_phase import wavefront
from simulators.physics.row_coupling import radius_for_ratio
from simulators.physics.source_light import octaves
from simulators.worlds.parts.truth import HOUR_S, Draws, PanelTruth, RoomTruth, SensorTruth, panel_truth, sensor_truth
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.stated import StatedTruths

_TONES = 24
"""Of the slow noise between 0.1 and 10 Hz."""
SPECTRUM_TERMS = 4
"""Pairs of cosine and sine in `spectrum_shape`."""


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


@dataclass(frozen=True, eq=False, kw_only=True)
class HiddenTable(RoomTruth):
    """Everything planted."""

    panel: PanelTruth
    geometry: GeometryTruth
    spectrum: SpectrumTruth
    source: SourceTruth
    sensor: SensorTruth


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
    return _with_stated(drawn, h.stated)


def _panel(p: PrbmParameters, draws: Draws) -> PanelTruth:
    lit = (p.optics.first_row, p.optics.bands * p.optics.rows_per_wavelength)
    truth = panel_truth(p.hidden, draws, p.slm, p.optics.focal_length, lit)
    return replace(
        truth,
        lut_wavelength_m=p.hidden.lut_wavelength,
        wavefront_modes=_wavefront_modes(p, draws),
        front_coherence=p.hidden.front_coherence,
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
    radii = tuple(_radius(g) for g in ends)
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


def _with_stated(drawn: HiddenTable, stated: StatedTruths) -> HiddenTable:
    """The truth with what is stated in place of what was drawn."""
    s = stated
    if not s:
        return drawn
    panel, geometry, spectrum, source, sensor = (
        drawn.panel, drawn.geometry, drawn.spectrum, drawn.source, drawn.sensor,
    )  # fmt: skip
    coupling = spectrum.coupling if s.coupling is None else s.coupling
    return replace(
        drawn,
        panel=replace(
            panel,
            lut_gain=_or(s.lut_gain, panel.lut_gain),
            lut_bend=panel.lut_bend if s.lut_bend is None else s.lut_bend,
            tile_gain=panel.tile_gain if s.tile_gain is None else np.array(s.tile_gain),
            wavefront_modes=panel.wavefront_modes if s.wavefront is None else s.wavefront,
        ),
        geometry=replace(
            geometry,
            shift_px=geometry.shift_px if s.camera_shift is None else s.camera_shift,
            rotation_rad=_or(s.camera_rotation, geometry.rotation_rad),
            scale=_or(s.camera_scale, geometry.scale),
        ),
        spectrum=replace(
            spectrum,
            row_offset=_or(s.row_offset, spectrum.row_offset),
            row_slope=_or(s.row_slope, spectrum.row_slope),
            shape=spectrum.shape if s.spectrum is None else np.array(s.spectrum),
            coupling=coupling,
            spot_radius_px=(_radius(coupling[0]), _radius(coupling[1])),
        ),
        source=replace(
            source,
            curve=source.curve if s.power_curve is None else s.power_curve,
            drift_per_hour=_or(s.power_drift, source.drift_per_hour),
            warm_up=_or(s.warm_up, source.warm_up),
        ),
        sensor=replace(
            sensor,
            nonlinearity=_or(s.nonlinearity, sensor.nonlinearity),
            kink=_or(s.gain_kink, sensor.kink),
        ),
    )


def _or(stated: float | None, drawn: float) -> float:
    return drawn if stated is None else stated


def _radius(coupling: float) -> float:
    return radius_for_ratio(coupling) if coupling > 0 else 0.0

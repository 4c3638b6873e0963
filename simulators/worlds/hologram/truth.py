"""The hidden hologram table: what a seed planted, which calibrations must find from measurements alone.

Drawn as `simulators.worlds.parts.truth` draws; no operation of the world returns it. Tests and the world itself ask
`hidden_table`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.physics.source_light import octaves
from simulators.physics.zernike import zernikes
from simulators.worlds.hologram.parameters import HologramParameters
from simulators.worlds.parts.truth import HOUR_S, Draws, PanelTruth, RoomTruth, SensorTruth, panel_truth, sensor_truth

ABERRATIONS = (4, 5, 6, 7, 8, 11)
"""Noll's indices of the planted ones: focus, astigmatism, coma, spherical."""

REFERENCE_ABERRATIONS = (4, 5, 6, 7, 8)
_TONES = 24
_COMMON_PATH = 1 / 30
"""Of the phase noise and drift of separate paths that is left in a common one."""


@dataclass(frozen=True, eq=False)
class GeometryTruth:
    """Where the camera sees the focal plane, as in `simulators.worlds.prbm.truth.GeometryTruth`."""

    shift_px: tuple[float, float]
    rotation_rad: float
    scale: float
    flip: bool
    pointing_m_per_kelvin: tuple[float, float]


@dataclass(frozen=True, eq=False)
class BeamTruth:
    """shift_m: (rows, columns) of the beam's middle from the panel's. waist_m: its 1/e^2 radius. wavefront: rad rms of
    each of `ABERRATIONS` on the disc around the panel."""

    shift_m: tuple[float, float]
    waist_m: float
    wavefront: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReferenceTruth:
    """carrier: (rows, columns) fringes per camera pixel, with R ~ exp(2 pi i (carrier . pixel) + wavefront + phase).
    wavefront: rad rms of each of `REFERENCE_ABERRATIONS` on the disc around the sensor. phase_rad: at time 0;
    drift_rad_per_s; tones of path_hz (tones,), path_phases, each of path_amplitude."""

    carrier: tuple[float, float]
    wavefront: NDArray[np.float64]
    phase_rad: float
    drift_rad_per_s: float
    path_hz: NDArray[np.float64]
    path_phases: NDArray[np.float64]
    path_amplitude: float


@dataclass(frozen=True, eq=False)
class LaserTruth:
    """How power depends on time, as in `simulators.worlds.prbm.truth.SourceTruth`; both arms have it."""

    drift_per_hour: float
    warm_up: float
    warm_up_s: float
    slow_hz: NDArray[np.float64]
    slow_phases: NDArray[np.float64]
    slow_amplitude: float


@dataclass(frozen=True, eq=False, kw_only=True)
class HiddenTable(RoomTruth):
    """Everything planted."""

    panel: PanelTruth
    geometry: GeometryTruth
    beam: BeamTruth
    reference: ReferenceTruth
    laser: LaserTruth
    sensor: SensorTruth


@lru_cache(maxsize=32)
def hidden_table(p: HologramParameters) -> HiddenTable:
    """The truth of a table with these parameters."""
    draws, h = Draws(p.seed), p.hidden
    reach = h.pointing_per_kelvin * p.optics.focal_length
    return HiddenTable(
        panel=panel_truth(h, draws, p.slm, p.optics.focal_length, (0, p.slm.rows)),
        geometry=GeometryTruth(
            shift_px=(h.camera_shift * draws.one("camera rows"), h.camera_shift * draws.one("camera columns")),
            rotation_rad=h.camera_rotation * draws.one("camera rotation"),
            scale=1 + h.camera_scale * draws.one("camera scale"),
            flip=h.camera_flip,
            pointing_m_per_kelvin=(
                reach * draws.drift("pointing rows", 0.2),
                reach * draws.drift("pointing columns", 0.2),
            ),
        ),
        beam=BeamTruth(
            shift_m=(h.beam_shift * draws.one("beam rows"), h.beam_shift * draws.one("beam columns")),
            waist_m=p.beam.waist * (1 + h.beam_spread * draws.one("beam spread")),
            wavefront=_of_rms(h.aberration, draws.normal("aberration", len(ABERRATIONS)), panel_modes(p)),
        ),
        reference=_reference(p, draws),
        laser=LaserTruth(
            drift_per_hour=h.power_drift * draws.drift("power drift"),
            warm_up=h.warm_up * draws.one("warm-up", 0.5, 1.0),
            warm_up_s=h.warm_up_time / 3.0,
            slow_hz=octaves(0.1, 10.0, _TONES, draws.uniform("slow tones", _TONES, 0.0, 1.0)),
            slow_phases=draws.uniform("slow phases", _TONES, 0.0, 2 * math.pi),
            slow_amplitude=h.slow_noise * math.sqrt(2 / _TONES),
        ),
        sensor=sensor_truth(h, draws, p.camera),
        kelvin_per_hour=h.temperature_drift * draws.drift("temperature"),
        kelvin_period_s=HOUR_S * draws.one("temperature period", 6.0, 10.0),
        phase_per_kelvin=h.phase_per_kelvin * draws.one("phase per kelvin", 0.7, 1.3),
    )


def with_common_path(table: HiddenTable) -> HiddenTable:
    """A table whose reference goes nearly the way of the other light: less noise and drift of the path."""
    r = table.reference
    calm = replace(r, drift_rad_per_s=r.drift_rad_per_s * _COMMON_PATH, path_amplitude=r.path_amplitude * _COMMON_PATH)
    return replace(table, reference=calm)


def _reference(p: HologramParameters, draws: Draws) -> ReferenceTruth:
    h, r, c = p.hidden, p.reference, p.camera
    off = (1 + h.reference_angle * draws.one("carrier rows"), 1 + h.reference_angle * draws.one("carrier columns"))
    # What counts is the shape on the sensor; a few hundred points of it are enough for its rms.
    rows, columns = (np.linspace(0, n - 1, min(n, 32)) for n in (c.rows, c.columns))
    return ReferenceTruth(
        carrier=(r.carrier_rows * off[0], r.carrier_columns * off[1]),
        wavefront=_of_rms(
            h.reference_wavefront,
            draws.normal("reference wavefront", len(REFERENCE_ABERRATIONS)),
            sensor_modes(p, rows, columns),
        ),
        phase_rad=draws.one("path phase", 0.0, 2 * math.pi),
        drift_rad_per_s=h.path_drift / 60 * draws.drift("path drift", 1 / 3),
        path_hz=octaves(10.0, 200.0, _TONES, draws.uniform("path tones", _TONES, 0.0, 1.0)),
        path_phases=draws.uniform("path phases", _TONES, 0.0, 2 * math.pi),
        path_amplitude=h.path_noise * math.sqrt(2 / _TONES),
    )


def _of_rms(wanted: float, mix: NDArray[np.float64], modes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Random proportions, together of the wanted rms over the points of modes (n, rows, columns)."""
    spread = float(np.tensordot(mix, modes, 1).std())
    return np.asarray(mix * (wanted / spread if spread > 0 else 0.0))


def panel_modes(p: HologramParameters) -> NDArray[np.float64]:
    """`ABERRATIONS` (n, rows, columns) at the panel's pixels, on the disc around it."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in (p.slm.rows, p.slm.columns))
    radius = 0.5 * math.hypot(p.slm.rows, p.slm.columns)
    return zernikes(ABERRATIONS, *np.meshgrid(columns / radius, rows / radius))


def sensor_modes(p: HologramParameters, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """`REFERENCE_ABERRATIONS` (n, rows, columns) at rows and columns of the sensor, on the disc around it."""
    c = p.camera
    radius = 0.5 * math.hypot(c.rows, c.columns)
    y, x = (rows - (c.rows - 1) / 2) / radius, (columns - (c.columns - 1) / 2) / radius
    return zernikes(REFERENCE_ABERRATIONS, *np.meshgrid(x, y))


def panel_wavefront(p: HologramParameters) -> NDArray[np.float64]:
    """Phase (rows, columns) that the table adds to the panel's, rad."""
    return np.asarray(np.tensordot(hidden_table(p).beam.wavefront, panel_modes(p), 1))


def reference_phase(
    p: HologramParameters, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Phase (rows, columns) of the reference on the camera at bench time 0, rad; carrier counted from the axis."""
    r, c = hidden_table(p).reference, p.camera
    carrier = r.carrier[0] * (rows - c.axis_row)[:, None] + r.carrier[1] * (columns - c.axis_column)[None, :]
    shape = np.tensordot(r.wavefront, sensor_modes(p, rows, columns), 1)
    return np.asarray(2 * math.pi * carrier + shape + r.phase_rad)

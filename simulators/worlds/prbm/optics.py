"""The table's optics with all that is hidden in them, at one time: what the roads to the light work on."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.far_field import PanelGeometry, Unmodulated
from simulators.physics.fringing import SUB_PIXELS, neighbour_weights, sub_pixel_centres
from simulators.physics.gray_phase import wavefront
from simulators.physics.row_coupling import coupling, coupling_reach, spot_amplitudes
from simulators.worlds.parts.truth import HOUR_S, dust_shade
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.probe import Aperture
from simulators.worlds.prbm.truth import HiddenTable, disc_radius, hidden_table, lit_rectangle, spectrum_shape

_SAMPLES_PER_ROW = 8
"""Wavelengths. A spot's products are smooth over a row; what is resolved here are the ends of a selected band."""


@dataclass(frozen=True, eq=False)
class Optics:
    """Panel rows first_row and following, from the light on them to the focal plane.

    wavelengths_m, kappa (rad per m and m), scale (phase per phase of the gray table), amplitude (root of what the
    panel and the lens let through, 1 / m): each (rows,). pupil: (rows, columns) field per pixel, squares adding up to
    what of a row's power falls on the panel. down, across: neighbour weights of the sub-pixels. samples_m,
    sample_watts: (n,) the spectrum at full power, spots: (rows, n) its amplitudes. slices: (rows,) which band's pulse
    noise a row shares. pointing_m: (rows, columns) where the zeroth order lands in the focal plane.
    """

    first_row: int
    wavelengths_m: NDArray[np.float64]
    kappa: NDArray[np.float64]
    scale: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    pupil: NDArray[np.complex128]
    panel: PanelGeometry
    down: NDArray[np.float64]
    across: NDArray[np.float64]
    unmodulated: Unmodulated
    samples_m: NDArray[np.float64]
    sample_watts: NDArray[np.float64]
    spots: NDArray[np.float64]
    reach: int
    slices: NDArray[np.int64]
    pointing_m: tuple[float, float]

    @property
    def rows(self) -> int:
        """How many rows of the panel."""
        return len(self.kappa)

    def coupling(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """C (rows, reach + 1), W, for shares (n,) of full power at ``samples_m``."""
        return coupling(self.spots, self.sample_watts * shares, self.reach)

    def part(self, first: int, end: int) -> Optics:
        """Rows ``first`` to ``end`` - 1 of these alone."""
        some = slice(first, end)
        return replace(
            self,
            first_row=self.first_row + first,
            wavelengths_m=self.wavelengths_m[some],
            kappa=self.kappa[some],
            scale=self.scale[some],
            amplitude=self.amplitude[some],
            pupil=self.pupil[some],
            panel=self.panel._replace(rows_m=self.panel.rows_m[some]),
            spots=self.spots[some],
            slices=self.slices[some],
        )

    def lit(self, phase: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of a panel image and one more at either end (itself at the panel's border): (rows + 2, columns)."""
        wanted = np.arange(self.first_row - 1, self.first_row + self.rows + 1)
        return phase[np.clip(wanted, 0, len(phase) - 1)]


class OpticsInTime:
    """The optics as a function of bench time: the panel's phase, the rows of the wavelengths and where light points
    follow the room's temperature."""

    def __init__(self, p: PrbmParameters) -> None:
        self._p = p
        self._truth = hidden_table(p)
        self._nominal = _nominal(p, self._truth)

    def at(self, time_s: float) -> Optics:
        """Optics at a bench time."""
        p, t, nominal = self._p, self._truth, self._nominal
        kelvin, hours = t.kelvin(time_s), time_s / HOUR_S
        tilt = t.spectrum.tilt_per_hour * hours * _place(p, nominal.samples_m)
        down, across = (kelvin * drift for drift in t.geometry.pointing_m_per_kelvin)
        return replace(
            nominal,
            scale=nominal.scale * (1 - t.phase_per_kelvin * kelvin),
            sample_watts=nominal.sample_watts * np.maximum(1 + tilt, 0),
            spots=_spots(p, t, nominal, kelvin),
            pointing_m=(down, across),
        )


def _nominal(p: PrbmParameters, t: HiddenTable) -> Optics:
    """At bench time 0; spots are added by `OpticsInTime.at`."""
    lit_first, lit = p.optics.first_row, p.optics.bands * p.optics.rows_per_wavelength
    radius = max(t.spectrum.spot_radius_px)
    beyond = 0
    if radius > 0 or t.spectrum.row_offset or t.spectrum.row_slope or t.spectrum.rows_per_kelvin:
        off = abs(t.spectrum.row_offset) + abs(t.spectrum.row_slope) * lit / 2 + 2 * abs(t.spectrum.rows_per_kelvin)
        beyond = math.ceil(off + 4 * radius)
    first, last = max(lit_first - beyond, 0), min(lit_first + lit + beyond, p.slm.rows)
    rows = np.arange(first, last)
    wavelengths = _row_wavelengths(p, t, rows)
    spread_m2 = wavelengths * p.optics.focal_length
    if p.optics.equal_bands:
        spread_m2 = np.full_like(spread_m2, spread_m2.mean())
    active_m = math.sqrt(p.slm.fill_factor) * p.slm.pitch
    through = math.sqrt(p.slm.reflectance * p.optics.transmission)
    blur = t.panel.crosstalk_px
    centres_px = sub_pixel_centres(SUB_PIXELS, active_m / p.slm.pitch)
    design_m = t.panel.lut_wavelength_m
    per_row = _SAMPLES_PER_ROW if radius > 0 else 1 / p.optics.rows_per_wavelength
    samples = _sample_wavelengths(p, round(lit * per_row))
    watts = p.source.density * p.band_width_m * p.optics.bands / len(samples) * p.beam.transmission
    columns_m, _ = lit_rectangle(p)
    return Optics(
        first_row=first,
        wavelengths_m=wavelengths,
        kappa=2 * math.pi / (wavelengths * p.optics.focal_length),
        scale=design_m / wavelengths if design_m else np.ones(len(rows)),
        amplitude=through * active_m**2 / (p.slm.pitch * spread_m2),
        pupil=_pupil(p, t, rows),
        panel=PanelGeometry(
            pitch_m=p.slm.pitch,
            active_m=active_m,
            columns_m=columns_m,
            rows_m=(rows.astype(np.float64) - lit_first - (lit - 1) / 2) * p.slm.pitch,
            centres_m=centres_px * p.slm.pitch,
        ),
        down=neighbour_weights(centres_px, blur[0]),
        across=neighbour_weights(centres_px, blur[1]),
        unmodulated=_unmodulated(t),
        samples_m=samples,
        sample_watts=watts * (1 + spectrum_shape(_place(p, samples), t.spectrum.shape)),
        spots=np.empty((0, 0)),
        reach=coupling_reach(radius) if radius > 0 else p.optics.rows_per_wavelength - 1,
        slices=np.clip((rows - lit_first) // p.optics.rows_per_wavelength, 0, p.optics.bands - 1),
        pointing_m=(0.0, 0.0),
    )


def _unmodulated(t: HiddenTable) -> Unmodulated:
    panel = t.panel
    return Unmodulated(
        dead=cmath.rect(math.sqrt(panel.dead_reflectance), panel.dead_phase),
        axis=cmath.rect(math.sqrt(panel.axis_reflectance), panel.axis_phase),
        front=cmath.rect(math.sqrt(panel.front_reflectance), panel.front_phase),
        coherence=panel.front_coherence,
        front_x_m=panel.front_tilt_m[1],
        front_y_m=panel.front_tilt_m[0],
    )


def _pupil(p: PrbmParameters, t: HiddenTable, rows: NDArray[np.int64]) -> NDArray[np.complex128]:
    """Beam across the panel, wavefront and dust."""
    edges = (np.arange(p.slm.columns + 1) - p.slm.columns / 2 - t.geometry.beam_shift_px) * p.slm.pitch
    if p.beam.waist == "uniform":
        fraction = np.full(p.slm.columns, 1.0 / p.slm.columns)
    else:
        fraction = 0.5 * np.diff([math.erf(math.sqrt(2) * x / float(p.beam.waist)) for x in edges])
    columns_m, lit_m = lit_rectangle(p)
    rows_m = (rows - p.optics.first_row) * p.slm.pitch + lit_m[0]
    shape = wavefront(columns_m, rows_m, disc_radius(p), t.panel.wavefront_modes)
    shade = dust_shade(p.slm.rows, p.slm.columns, t.panel.dust)[rows]
    return np.asarray(np.sqrt(fraction) * shade * np.exp(1j * shape))


def _sample_wavelengths(p: PrbmParameters, count: int) -> NDArray[np.float64]:
    band_m = p.band_width_m * p.optics.bands
    return np.asarray(p.optics.wavelength_first + (np.arange(count) + 0.5) * (band_m / count))


def _place(p: PrbmParameters, wavelengths_m: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """-1 at the first wavelength of the spectrum, 1 at the last."""
    half_m = p.band_width_m * p.optics.bands / 2
    return np.asarray((wavelengths_m - p.optics.wavelength_first) / half_m - 1)


def _row_wavelengths(p: PrbmParameters, t: HiddenTable, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Wavelength in the middle of each row; of its band, where bands are of one wavelength each."""
    o, s = p.optics, t.spectrum
    middle = o.bands * o.rows_per_wavelength / 2
    nominal = middle + (rows + 0.5 - o.first_row - middle - s.row_offset) / (1 + s.row_slope)
    if max(s.spot_radius_px) == 0:
        nominal = (np.floor(nominal / o.rows_per_wavelength) + 0.5) * o.rows_per_wavelength
    return np.asarray(o.wavelength_first + nominal * p.slm.pitch / o.dispersion)


def _spots(p: PrbmParameters, t: HiddenTable, nominal: Optics, kelvin: float) -> NDArray[np.float64]:
    """Amplitudes (rows, samples) of each wavelength on the rows."""
    o, s = p.optics, t.spectrum
    middle = o.bands * o.rows_per_wavelength / 2
    row = (nominal.samples_m - o.wavelength_first) * o.dispersion / p.slm.pitch
    centre = middle + s.row_offset + s.rows_per_kelvin * kelvin + (row - middle) * (1 + s.row_slope)
    centre += o.first_row - nominal.first_row
    first, last = s.spot_radius_px
    if max(first, last) > 0:
        return spot_amplitudes(centre, first + (last - first) * row / (2 * middle), nominal.rows)
    # Bands of one wavelength each light whole rows, evenly.
    amplitudes = np.zeros((nominal.rows, len(centre)))
    top = np.rint(centre - o.rows_per_wavelength / 2).astype(int)
    for r in range(o.rows_per_wavelength):
        inside = np.flatnonzero((top + r >= 0) & (top + r < nominal.rows))
        amplitudes[top[inside] + r, inside] = 1 / math.sqrt(o.rows_per_wavelength)
    return amplitudes


@dataclass(frozen=True)
class Window:
    """Detector pixels in the focal plane: centres x_m and y_m, each (rows, columns), from the optical axis.

    width_m: over which light is integrated along X. area_m2: of one pixel. point: detection at the centre instead.
    """

    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    width_m: float
    area_m2: float
    point: bool = False


def camera_window(p: PrbmParameters, pointing_m: tuple[float, float], region: tuple[int, int, int, int]) -> Window:
    """A region (row, column, rows, columns) of the camera where it really looks.

    With (u, v) columns and rows from the pixel that the zeroth order hits at bench time 0, in m on the sensor, light at
    (X, Y) of the focal plane arrives at scale R(rotation) (+-X, Y), X mirrored if the image is flipped.
    """
    c, g = p.camera, hidden_table(p).geometry
    row, column, rows, columns = region
    v = (np.arange(row, row + rows)[:, None] - c.axis_row - g.shift_px[0]) * c.pitch
    u = (np.arange(column, column + columns)[None, :] - c.axis_column - g.shift_px[1]) * c.pitch
    cos, sin = math.cos(g.rotation_rad), math.sin(g.rotation_rad)
    x = (cos * u + sin * v) / g.scale * (-1 if g.flip else 1)
    y = (cos * v - sin * u) / g.scale
    width_m = c.pitch / g.scale
    return Window(x - pointing_m[1], y - pointing_m[0], width_m, width_m**2, point=c.ideal)


def aperture_window(aperture: Aperture, pointing_m: tuple[float, float]) -> Window:
    """A detector that was aligned by hand at bench time 0."""
    x, y = np.meshgrid(aperture.columns_m - pointing_m[1], aperture.rows_m - pointing_m[0])
    return Window(x, y, aperture.width_m, aperture.area_m2, aperture.point)

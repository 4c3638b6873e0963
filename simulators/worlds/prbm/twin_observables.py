"""What calibrations of a photonic RBM's table would find, as functions of what is unknown of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.gray_phase import bent_phase, wavefront
from simulators.physics.row_coupling import coupling, neighbour_ratio, spot_amplitudes
from simulators.physics.source_light import warm
from simulators.worlds.parts.truth import HOUR_S, TILES
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.source import emitted
from simulators.worlds.prbm.truth import SPECTRUM_TERMS, disc_radius, lit_rectangle, spectrum_shape

Numbers = NDArray[np.float64]
Values = Mapping[str, float]
Predict = Callable[[Values], Any]

_LEVELS = (0.25, 0.5, 0.75, 1.0)
"""Of the range of gray levels, at which phases are compared: neighbouring levels of one smooth fit tell no more."""

_POINTS = 4
"""Of a power curve, for the same reason: it is a cubic."""


_SAMPLES = 8
"""Wavelengths per row of the panel, where bands of rows overlap."""


CORRELATED: Mapping[str, float] = {"cell_phase_rad": math.sqrt(2)}
"""By which uncertainties are widened where several numbers of a smooth fit are taken for independent ones."""


@dataclass(frozen=True)
class Found:
    """A calibration: values and their standard uncertainties as arrays by name, and its conditions."""

    values: Mapping[str, Any]
    errors: Mapping[str, Numbers]
    conditions: Values


def of(values: Values, name: str, *places: int) -> float:
    """A number of ``hidden.stated``."""
    return values["".join((f"hidden.stated.{name}", *(f":{k}" for k in places)))]


Told = Iterator[tuple[str, Any, Predict]]
"""Name of a value, which of its numbers are used (or what of them), and what they are made to be."""

ALL: Any = ...


def _photon_transfer(p: PrbmParameters, found: Found) -> Told:
    c = p.camera

    def range_e(v: Values) -> float:
        return float((2**c.bit_depth - 1 - v["camera.offset"]) * v["camera.electrons_per_count"])

    def full_well(v: Values) -> float:
        electrons = np.linspace(0, v["camera.full_well"], 4001)
        bent = electrons * (1 + of(v, "nonlinearity") * electrons / v["camera.full_well"])
        signal = bent + of(v, "gain_kink") * np.maximum(bent - p.hidden.kink_electrons, 0)
        return float(np.interp(min(range_e(v), signal[-1]), signal, electrons))

    yield "electrons_per_count", ALL, lambda v: v["camera.electrons_per_count"]
    yield "read_noise_median_e", ALL, lambda v: v["camera.read_noise"]
    yield "read_noise_rms_e", ALL, _rms_noise
    yield "full_well_e", ALL, full_well
    yield "nonlinearity", ALL, lambda v: of(v, "nonlinearity") * range_e(v) / v["camera.full_well"]
    yield "gain_change", ALL, lambda v: of(v, "gain_kink")


def _rms_noise(v: Values) -> float:
    return v["camera.read_noise"] * math.exp(v["camera.read_noise_spread"] ** 2)


def _dark(p: PrbmParameters, found: Found) -> Told:
    yield "offset_mean_counts", ALL, lambda v: v["camera.offset"]
    yield "dsnu_e", ALL, lambda v: v["hidden.dsnu"]
    yield "dsnu_columns_e", ALL, lambda v: v["hidden.dsnu_columns"]
    yield "dark_current_e_per_s", ALL, lambda v: v["camera.dark_current"]
    yield "read_noise_median_e", ALL, lambda v: v["camera.read_noise"]
    yield "read_noise_rms_e", ALL, _rms_noise


def _flat(p: PrbmParameters, found: Found) -> Told:
    yield "prnu", ALL, lambda v: v["hidden.prnu"]


def _power_curve(p: PrbmParameters, found: Found) -> Told:
    s = np.asarray(found.values["set_point"], np.float64)
    chosen = np.unique(np.linspace(0, len(s) - 1, min(_POINTS, len(s))).round().astype(int))
    time_s, place = found.conditions["time"], np.linspace(-1, 1, 801)

    def power(v: Values) -> Numbers:
        curve = of(v, "power_curve", 0), of(v, "power_curve", 1)
        in_time = warm(time_s, of(v, "warm_up"), v["hidden.warm_up_time"] / 3)
        in_time *= math.exp(of(v, "power_drift") * time_s / HOUR_S)
        even = 1 + float(spectrum_shape(place, _spectrum(v)).mean())
        full_w = v["source.density"] * p.band_width_m * p.optics.bands * even
        return np.array([full_w * emitted(float(x), curve) * in_time for x in s[chosen]])

    yield "emitted_w", chosen, power


def _power_stability(p: PrbmParameters, found: Found) -> Told:
    began_s = found.conditions["watch_began"]
    pulses = p.hidden.pulse_noise * math.sqrt(16.7e-3 / found.conditions["noise_integration"] / p.optics.bands)

    def missing(v: Values) -> float:
        return of(v, "warm_up") * math.exp(-3 * began_s / v["hidden.warm_up_time"])

    yield "warm_up_missing", ALL, missing
    if found.values["warm_up_missing"] != 0:  # else none was seen, and its time is no number
        yield "warm_up_time_s", ALL, lambda v: v["hidden.warm_up_time"] / 3
    yield "drift_per_hour", ALL, lambda v: of(v, "power_drift")
    yield "intensity_noise", ALL, lambda v: math.hypot(v["hidden.slow_noise"], pulses)


def _slm_timing(p: PrbmParameters, found: Found) -> Told:
    yield "rise_time_s", ALL, lambda v: v["slm.rise_time"]
    yield "fall_time_s", ALL, lambda v: v["slm.fall_time"]
    yield "latency_s", ALL, lambda v: v["slm.controller_latency"]
    yield "scan_time_s", ALL, lambda v: v["slm.scan_time"]
    yield "refresh_period_s", ALL, lambda v: 1 / v["slm.refresh_rate"]


def _phase_table(p: PrbmParameters, found: Found) -> Told:
    wavelength_m = np.asarray(found.values["cell_wavelength_m"], np.float64)
    levels = np.asarray(found.values["cell_phase_rad"]).shape[1]
    chosen = np.unique(np.rint(np.array(_LEVELS) * (levels - 1)).astype(int))
    nominal = chosen * (2 * math.pi / levels)
    row = p.optics.first_row + (wavelength_m - p.optics.wavelength_first) * p.optics.dispersion / p.slm.pitch
    down = np.clip(row / p.slm.rows * TILES[0], 0, TILES[0] - 1).astype(int)
    edges = np.asarray(found.values["column_edges"], np.float64)[
        np.asarray(found.values["cells"])[:, 1][:, None] + [0, 1]
    ]
    tiles = np.linspace(0, p.slm.columns, TILES[1] + 1)
    # Of each cell (n, tiles across), how much lies in each of the tiles.
    inside = np.minimum(edges[:, 1:], tiles[None, 1:]) - np.maximum(edges[:, :1], tiles[None, :-1])
    share = np.maximum(inside, 0) / np.diff(edges, axis=1)
    design = p.hidden.lut_wavelength or None
    seen = {(int(i), int(j)) for i, of_cell in zip(down, share, strict=True) for j in np.flatnonzero(of_cell)}

    def phases(v: Values) -> Numbers:
        gains = np.zeros(TILES)
        for i, j in seen:
            gains[i, j] = of(v, "tile_gain", i, j)
        gain = (share * gains[down]).sum(axis=1)
        bent = bent_phase(nominal[None, :], gain[:, None], (of(v, "lut_bend", 0), of(v, "lut_bend", 1)))
        return np.ravel(bent * ((design / wavelength_m)[:, None] if design else 1.0))

    yield "cell_phase_rad", np.ix_(np.arange(len(wavelength_m)), chosen), phases


def _wavefront(p: PrbmParameters, found: Found) -> Told:
    columns_m, lit_m = lit_rectangle(p)
    y = (np.asarray(found.values["row_px"], np.float64) - p.optics.first_row) * p.slm.pitch + lit_m[0]
    x = np.interp(np.asarray(found.values["column_px"], np.float64), np.arange(p.slm.columns), columns_m)
    flat = np.vander(x / np.abs(x).max(), 2)

    def bends(phase: Any) -> Numbers:
        """Of each row of blocks, without piston and tilt, which tell of the look-up table's tiles, too."""
        rows = np.reshape(np.asarray(phase, np.float64), (len(y), len(x)))
        return np.ravel(rows - rows @ np.linalg.pinv(flat).T @ flat.T)

    def phases(v: Values) -> Numbers:
        # Oblique astigmatism is nothing but tilts that differ from row to row.
        return bends(wavefront(x, y, disc_radius(p), (of(v, "wavefront", 0), of(v, "wavefront", 1), 0.0)))

    yield "phase_rad", bends, phases


def _slm_camera(p: PrbmParameters, found: Found) -> Told:
    row = float(found.values["row"])

    def column(v: Values) -> float:
        """Where X = 0 crosses the row."""
        below = row - p.camera.axis_row - of(v, "camera_shift", 0)
        return p.camera.axis_column + of(v, "camera_shift", 1) - math.tan(of(v, "camera_rotation")) * below

    yield "scale", ALL, lambda v: of(v, "camera_scale")
    yield "rotation", ALL, lambda v: of(v, "camera_rotation")
    yield "column", ALL, column


def _prbm_window(p: PrbmParameters, found: Found) -> Told:
    yield "row", ALL, lambda v: p.camera.axis_row + of(v, "camera_shift", 0)
    yield "column", ALL, lambda v: p.camera.axis_column + of(v, "camera_shift", 1)
    yield "tilt", ALL, lambda v: of(v, "camera_rotation")


def _spectral_rows(p: PrbmParameters, found: Found) -> Told:
    o = p.optics
    wavelength_m = np.asarray(found.values["wavelength_m"], np.float64)
    lit = o.bands * o.rows_per_wavelength
    rows_per_m = o.dispersion / p.slm.pitch
    row = (wavelength_m - o.wavelength_first) * rows_per_m
    wide = found.conditions.get("probe", 0.0) * rows_per_m
    within = row[:, None] + wide * (np.arange(16) + 0.5 - 8) / 16

    def centre(v: Values) -> Numbers:
        return np.asarray(o.first_row + lit / 2 + of(v, "row_offset") + (row - lit / 2) * (1 + of(v, "row_slope")))

    def power(v: Values) -> Numbers:
        light = (1 + spectrum_shape(2 * within / lit - 1, _spectrum(v))) * ((within > 0) & (within < lit))
        return np.asarray(light.mean(axis=1) / light.mean())

    def overlap(v: Values) -> Numbers:
        first, last = (float(np.interp(of(v, "coupling", k), *_radii())) for k in range(2))
        tops = np.asarray(found.values["pairs"], np.int64) * o.rows_per_wavelength
        place = lit / 2 + of(v, "row_offset"), 1 + of(v, "row_slope")
        return np.array(
            [_overlap(int(t), o.rows_per_wavelength, lit, place, (first, last), _spectrum(v)) for t in tops]
        )

    yield "row", ALL, centre
    yield "power", ALL, power
    yield "overlap", ALL, overlap


def _overlap(
    top: int, band_rows: int, lit: int, place: tuple[float, float], radii: tuple[float, float], spectrum: Numbers
) -> float:
    """2 G_AB / (G_AA + G_BB) of the band that begins at row ``top`` of the lit ones with the next, beside whatever
    light there is: at the ends of the spectrum there is less. place: row of the middle wavelength, and slope."""
    at_middle, slope = place
    reach = 5 * max(radii) + 1
    first, end = ((edge - at_middle) / slope + lit / 2 for edge in (top - reach, top + 2 * band_rows + reach))
    first, end = max(first, 0.0), min(end, float(lit))
    count = max(round((end - first) * _SAMPLES), 1)
    row = first + (np.arange(count) + 0.5) / count * (end - first)
    amplitudes = spot_amplitudes(
        at_middle + (row - lit / 2) * slope - top, radii[0] + (radii[1] - radii[0]) * row / lit, 2 * band_rows
    )
    shared = coupling(amplitudes, 1 + spectrum_shape(2 * row / lit - 1, spectrum), 2 * band_rows - 1)
    g = np.zeros((2, 2))
    for r, s in np.ndindex(2 * band_rows, 2 * band_rows):
        g[r // band_rows, s // band_rows] += shared[min(r, s), abs(r - s)]
    return float(2 * g[0, 1] / (g[0, 0] + g[1, 1]))


@cache
def _radii() -> tuple[Numbers, Numbers]:
    """Couplings, and the spot's radius that each comes from."""
    radii = np.linspace(0.1, 3.0, 146)
    return np.array([neighbour_ratio(float(radius)) for radius in radii]), radii


def _spectrum(v: Values) -> Numbers:
    return np.array([[of(v, "spectrum", k, side) for side in range(2)] for k in range(SPECTRUM_TERMS)])


KINDS: Mapping[str, Callable[[PrbmParameters, Found], Told]] = {
    "photon_transfer": _photon_transfer,
    "dark": _dark,
    "flat": _flat,
    "power_curve": _power_curve,
    "power_stability": _power_stability,
    "slm_timing": _slm_timing,
    "phase_table": _phase_table,
    "wavefront": _wavefront,
    "slm-camera": _slm_camera,
    "prbm-window": _prbm_window,
    "spectral-rows": _spectral_rows,
}

"""What calibrations of a table with given truths would find: the photonic RBM's side of `labctl twin fit`.

Registered under ``labctl.twins``. Each `Observable` is a value that some calibration found, with the function that a
perfect routine's result is of the unknowns; the fit itself knows nothing of this table. An unknown is a parameter of
the world, by its key below ``world``, or one number of a truth that a bench file may state (`hidden.stated`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.physics.gray_phase import bent_phase
from simulators.physics.row_coupling import coupling, neighbour_ratio, spot_amplitudes
from simulators.physics.source_light import warm
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.source import emitted
from simulators.worlds.prbm.truth import HOUR_S, SPECTRUM_TERMS, TILES, spectrum_shape

Numbers = NDArray[np.float64]
Values = Mapping[str, float]
Predict = Callable[[Values], Any]

_LEVELS = (0.25, 0.5, 0.75, 1.0)
"""Of the range of gray levels, at which phases are compared: neighbouring levels of one smooth fit tell no more."""

_POINTS = 4
"""Of a power curve, for the same reason: it is a cubic."""


_SAMPLES = 8
"""Wavelengths per row of the panel, where bands of rows overlap."""


@dataclass(frozen=True)
class Unknown:
    """key: of the world, without ``world.``, or that of a list in ``hidden.stated`` with the number's place. low, high:
    bounds. unit: as bench files write it, "" for plain numbers. spread: standard deviation that it has about ``start``
    without any data; 0 if only the bounds are known."""

    key: str
    start: float
    low: float
    high: float
    unit: str = ""
    spread: float = 0.0


@dataclass(frozen=True)
class Observable:
    """A value (n,) of a calibration with its standard uncertainty (n,), and what the world's unknowns make it."""

    kind: str
    name: str
    value: Numbers
    error: Numbers
    predict: Predict


class PrbmTwin:
    """The unknowns of a table whose other parameters are known, and what its calibrations tell of them."""

    def __init__(self, parameters: PrbmParameters) -> None:
        self.parameters = parameters

    def unknowns(self) -> list[Unknown]:
        """All of them; which are determined depends on the data."""
        return [*_plain(self.parameters), *_stated()]

    def observables(
        self, kind: str, values: Mapping[str, Any], errors: Mapping[str, Numbers], conditions: Values
    ) -> list[Observable]:
        """Of a calibration: its values and their standard uncertainties as arrays by name, and its conditions.

        Empty for a kind, or values, that this table cannot explain.
        """
        explain = _KINDS.get(kind)
        found = [] if explain is None else explain(self.parameters, values, conditions)
        told = []
        for name, chosen, predict in found:
            if name not in values or name not in errors:
                continue
            value, error = np.ravel(np.asarray(values[name], np.float64)[chosen]), np.ravel(errors[name][chosen])
            if value.size and np.isfinite(error).all() and (error > 0).all():
                told.append(Observable(kind, name, value, error, predict))
        return told

    def settings(self, found: Values) -> dict[str, object]:
        """Keys of a bench file, with ``world.``, and what to write there; found: the unknowns that data depend on."""
        units = {u.key: u.unit for u in self.unknowns()}
        out: dict[str, object] = {}
        lists: dict[str, dict[tuple[int, ...], float]] = {}
        for key, value in found.items():
            name, *places = key.removeprefix("hidden.stated.").split(":")
            if places:
                lists.setdefault(name, {})[tuple(map(int, places))] = value
            else:
                out[f"world.{key}"] = _written(value, units[key])
        return out | {f"world.hidden.stated.{k}": v for k, v in _lists(lists).items()}


# --- the unknowns -------------------------------------------------------------------------------------------------


def _plain(p: PrbmParameters) -> Iterator[Unknown]:
    """Parameters that are numbers of the bench file already."""
    for key, low, high, unit in (
        ("camera.electrons_per_count", 0.02, 50.0, ""),
        ("camera.read_noise", 0.0, 50.0, ""),
        ("camera.read_noise_spread", 0.0, 2.0, ""),
        ("camera.offset", 0.0, 10000.0, ""),
        ("camera.dark_current", 0.0, 100.0, "1/s"),
        ("source.density", 0.05 * p.source.density, 20 * p.source.density, "W/m"),
        ("slm.rise_time", 0.0, 1.0, "s"),
        ("slm.fall_time", 0.0, 1.0, "s"),
        ("slm.controller_latency", 0.0, 1.0, "s"),
        ("slm.scan_time", 0.0, 1.0, "s"),
        ("slm.refresh_rate", 0.8 * p.slm.refresh_rate, 1.25 * p.slm.refresh_rate, "Hz"),
        ("hidden.prnu", 0.0, 0.2, ""),
        ("hidden.dsnu", 0.0, 100.0, ""),
        ("hidden.dsnu_columns", 0.0, 100.0, ""),
        ("hidden.slow_noise", 0.0, 0.1, ""),
        ("hidden.warm_up_time", 30.0, 86400.0, "s"),
    ):
        section, name = key.split(".")
        yield Unknown(key, min(max(float(getattr(getattr(p, section), name)), low), high), low, high, unit)
    # Where the converter ends first it shows by the bend of the response alone, so it is as the data sheet has it.
    well = p.camera.full_well
    yield Unknown("camera.full_well", well, 0.5 * well, 2 * well, spread=0.05 * well)


def _stated() -> Iterator[Unknown]:
    """Truths that a bench file may state."""
    for name, start, low, high, unit in (
        ("camera_rotation", 0.0, -0.2, 0.2, "rad"),
        ("camera_scale", 1.0, 0.7, 1.4, ""),
        ("row_offset", 0.0, -50.0, 50.0, ""),
        ("row_slope", 0.0, -0.1, 0.1, ""),
        ("power_drift", 0.0, -0.5, 0.5, ""),
        ("warm_up", 0.01, 0.0, 0.5, ""),
        ("nonlinearity", 0.0, -0.1, 0.1, ""),
        ("gain_kink", 0.0, -0.1, 0.1, ""),
    ):
        yield Unknown(f"hidden.stated.{name}", start, low, high, unit)
    for k in range(2):
        yield Unknown(f"hidden.stated.camera_shift:{k}", 0.0, -500.0, 500.0)
        yield Unknown(f"hidden.stated.coupling:{k}", 0.25, 1e-3, 0.6)
        yield Unknown(f"hidden.stated.power_curve:{k}", 0.0, -0.5, 0.5)
        yield Unknown(f"hidden.stated.lut_bend:{k}", 0.0, -0.2, 0.2)
    for i, j in np.ndindex(TILES):
        yield Unknown(f"hidden.stated.tile_gain:{i}:{j}", 0.0, -0.3, 0.3)
    for k, side in np.ndindex(SPECTRUM_TERMS, 2):
        # More terms than bands are measured, as a rule: without data one is about as large as a spectrum is uneven.
        yield Unknown(f"hidden.stated.spectrum:{k}:{side}", 0.0, -1.0, 1.0, spread=0.2)


def _of(values: Values, name: str, *places: int) -> float:
    return values["".join((f"hidden.stated.{name}", *(f":{k}" for k in places)))]


def _written(value: float, unit: str) -> object:
    return f"{value:.9g} {unit}" if unit else float(f"{value:.9g}")


def _lists(lists: Mapping[str, Mapping[tuple[int, ...], float]]) -> dict[str, object]:
    """Lists of ``hidden.stated``; a place that no data depend on gets what is likeliest for it."""
    out: dict[str, object] = {}
    for name, found in lists.items():
        if name == "tile_gain":
            mean = float(np.mean(list(found.values())))
            tiles = [[found.get((i, j), mean) - mean for j in range(TILES[1])] for i in range(TILES[0])]
            out |= {"lut_gain": float(f"{mean:.9g}"), "tile_gain": [[float(f"{g:.9g}") for g in row] for row in tiles]}
        elif name == "spectrum":
            out[name] = [[float(f"{found.get((k, s), 0.0):.9g}") for s in range(2)] for k in range(SPECTRUM_TERMS)]
        else:
            only = next(iter(found.values())) if name == "coupling" else 0.0
            out[name] = [float(f"{found.get((k,), only):.9g}") for k in range(2)]
    return out


# --- what calibrations tell ---------------------------------------------------------------------------------------

Told = Iterator[tuple[str, Any, Predict]]
"""Name of a value, which of its numbers are used, and what they are made to be."""

ALL: Any = ...


def _photon_transfer(p: PrbmParameters, values: Mapping[str, Any], conditions: Values) -> Told:
    c = p.camera

    def range_e(v: Values) -> float:
        return float((2**c.bit_depth - 1 - v["camera.offset"]) * v["camera.electrons_per_count"])

    def full_well(v: Values) -> float:
        electrons = np.linspace(0, v["camera.full_well"], 4001)
        bent = electrons * (1 + _of(v, "nonlinearity") * electrons / v["camera.full_well"])
        signal = bent + _of(v, "gain_kink") * np.maximum(bent - p.hidden.kink_electrons, 0)
        return float(np.interp(min(range_e(v), signal[-1]), signal, electrons))

    yield "electrons_per_count", ALL, lambda v: v["camera.electrons_per_count"]
    yield "read_noise_median_e", ALL, lambda v: v["camera.read_noise"]
    yield "read_noise_rms_e", ALL, _rms_noise
    yield "full_well_e", ALL, full_well
    yield "nonlinearity", ALL, lambda v: _of(v, "nonlinearity") * range_e(v) / v["camera.full_well"]
    yield "gain_change", ALL, lambda v: _of(v, "gain_kink")


def _rms_noise(v: Values) -> float:
    return v["camera.read_noise"] * math.exp(v["camera.read_noise_spread"] ** 2)


def _dark(p: PrbmParameters, values: Mapping[str, Any], conditions: Values) -> Told:
    yield "offset_mean_counts", ALL, lambda v: v["camera.offset"]
    yield "dsnu_e", ALL, lambda v: v["hidden.dsnu"]
    yield "dsnu_columns_e", ALL, lambda v: v["hidden.dsnu_columns"]
    yield "dark_current_e_per_s", ALL, lambda v: v["camera.dark_current"]
    yield "read_noise_median_e", ALL, lambda v: v["camera.read_noise"]
    yield "read_noise_rms_e", ALL, _rms_noise


def _flat(p: PrbmParameters, values: Mapping[str, Any], conditions: Values) -> Told:
    yield "prnu", ALL, lambda v: v["hidden.prnu"]


def _power_curve(p: PrbmParameters, values: Mapping[str, Any], conditions: Values) -> Told:
    s = np.asarray(values["set_point"], np.float64)
    chosen = np.unique(np.linspace(0, len(s) - 1, min(_POINTS, len(s))).round().astype(int))
    time_s, place = conditions["time"], np.linspace(-1, 1, 801)

    def power(v: Values) -> Numbers:
        curve = _of(v, "power_curve", 0), _of(v, "power_curve", 1)
        in_time = warm(time_s, _of(v, "warm_up"), v["hidden.warm_up_time"] / 3)
        in_time *= math.exp(_of(v, "power_drift") * time_s / HOUR_S)
        even = 1 + float(spectrum_shape(place, _spectrum(v)).mean())
        full_w = v["source.density"] * p.band_width_m * p.optics.bands * even
        return np.array([full_w * emitted(float(x), curve) * in_time for x in s[chosen]])

    yield "emitted_w", chosen, power


def _power_stability(p: PrbmParameters, values: Mapping[str, Any], conditions: Values) -> Told:
    began_s = conditions["watch_began"]
    pulses = p.hidden.pulse_noise * math.sqrt(16.7e-3 / conditions["noise_integration"] / p.optics.bands)

    def missing(v: Values) -> float:
        return _of(v, "warm_up") * math.exp(-3 * began_s / v["hidden.warm_up_time"])

    yield "warm_up_missing", ALL, missing
    if values["warm_up_missing"] != 0:  # else none was seen, and its time is no number
        yield "warm_up_time_s", ALL, lambda v: v["hidden.warm_up_time"] / 3
    yield "drift_per_hour", ALL, lambda v: _of(v, "power_drift")
    yield "intensity_noise", ALL, lambda v: math.hypot(v["hidden.slow_noise"], pulses)


def _slm_timing(p: PrbmParameters, values: Mapping[str, Any], conditions: Values) -> Told:
    yield "rise_time_s", ALL, lambda v: v["slm.rise_time"]
    yield "fall_time_s", ALL, lambda v: v["slm.fall_time"]
    yield "latency_s", ALL, lambda v: v["slm.controller_latency"]
    yield "scan_time_s", ALL, lambda v: v["slm.scan_time"]
    yield "refresh_period_s", ALL, lambda v: 1 / v["slm.refresh_rate"]


def _phase_table(p: PrbmParameters, values: Mapping[str, Any], conditions: Values) -> Told:
    wavelength_m = np.asarray(values["cell_wavelength_m"], np.float64)
    levels = np.asarray(values["cell_phase_rad"]).shape[1]
    chosen = np.unique(np.rint(np.array(_LEVELS) * (levels - 1)).astype(int))
    nominal = chosen * (2 * math.pi / levels)
    row = p.optics.first_row + (wavelength_m - p.optics.wavelength_first) * p.optics.dispersion / p.slm.pitch
    down = np.clip(row / p.slm.rows * TILES[0], 0, TILES[0] - 1).astype(int)
    edges = np.asarray(values["column_edges"], np.float64)[np.asarray(values["cells"])[:, 1][:, None] + [0, 1]]
    tiles = np.linspace(0, p.slm.columns, TILES[1] + 1)
    # Of each cell (n, tiles across), how much lies in each of the tiles.
    inside = np.minimum(edges[:, 1:], tiles[None, 1:]) - np.maximum(edges[:, :1], tiles[None, :-1])
    share = np.maximum(inside, 0) / np.diff(edges, axis=1)
    design = p.hidden.lut_wavelength or None
    seen = {(int(i), int(j)) for i, of_cell in zip(down, share, strict=True) for j in np.flatnonzero(of_cell)}

    def phases(v: Values) -> Numbers:
        gains = np.zeros(TILES)
        for i, j in seen:
            gains[i, j] = _of(v, "tile_gain", i, j)
        gain = (share * gains[down]).sum(axis=1)
        bent = bent_phase(nominal[None, :], gain[:, None], (_of(v, "lut_bend", 0), _of(v, "lut_bend", 1)))
        return np.ravel(bent * ((design / wavelength_m)[:, None] if design else 1.0))

    yield "cell_phase_rad", np.ix_(np.arange(len(wavelength_m)), chosen), phases


def _slm_camera(p: PrbmParameters, values: Mapping[str, Any], conditions: Values) -> Told:
    row = float(values["row"])

    def column(v: Values) -> float:
        """Where X = 0 crosses the row."""
        below = row - p.camera.axis_row - _of(v, "camera_shift", 0)
        return p.camera.axis_column + _of(v, "camera_shift", 1) - math.tan(_of(v, "camera_rotation")) * below

    yield "scale", ALL, lambda v: _of(v, "camera_scale")
    yield "rotation", ALL, lambda v: _of(v, "camera_rotation")
    yield "column", ALL, column


def _prbm_window(p: PrbmParameters, values: Mapping[str, Any], conditions: Values) -> Told:
    yield "row", ALL, lambda v: p.camera.axis_row + _of(v, "camera_shift", 0)
    yield "column", ALL, lambda v: p.camera.axis_column + _of(v, "camera_shift", 1)
    yield "tilt", ALL, lambda v: _of(v, "camera_rotation")


def _spectral_rows(p: PrbmParameters, values: Mapping[str, Any], conditions: Values) -> Told:
    o = p.optics
    wavelength_m = np.asarray(values["wavelength_m"], np.float64)
    lit = o.bands * o.rows_per_wavelength
    rows_per_m = o.dispersion / p.slm.pitch
    row = (wavelength_m - o.wavelength_first) * rows_per_m
    wide = conditions.get("probe", 0.0) * rows_per_m
    within = row[:, None] + wide * (np.arange(16) + 0.5 - 8) / 16

    def centre(v: Values) -> Numbers:
        return np.asarray(o.first_row + lit / 2 + _of(v, "row_offset") + (row - lit / 2) * (1 + _of(v, "row_slope")))

    def power(v: Values) -> Numbers:
        light = (1 + spectrum_shape(2 * within / lit - 1, _spectrum(v))) * ((within > 0) & (within < lit))
        return np.asarray(light.mean(axis=1) / light.mean())

    def overlap(v: Values) -> Numbers:
        first, last = (float(np.interp(_of(v, "coupling", k), *_radii())) for k in range(2))
        tops = np.asarray(values["pairs"], np.int64) * o.rows_per_wavelength
        place = lit / 2 + _of(v, "row_offset"), 1 + _of(v, "row_slope")
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
    return np.array([[_of(v, "spectrum", k, side) for side in range(2)] for k in range(SPECTRUM_TERMS)])


_KINDS: Mapping[str, Callable[[PrbmParameters, Mapping[str, Any], Values], Told]] = {
    "photon_transfer": _photon_transfer,
    "dark": _dark,
    "flat": _flat,
    "power_curve": _power_curve,
    "power_stability": _power_stability,
    "slm_timing": _slm_timing,
    "phase_table": _phase_table,
    "slm-camera": _slm_camera,
    "prbm-window": _prbm_window,
    "spectral-rows": _spectral_rows,
}

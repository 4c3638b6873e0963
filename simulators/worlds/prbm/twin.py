"""What calibrations of a table with given truths would find: the photonic RBM's side of `labctl twin fit`.

Registered under ``labctl.twins``. Each `Observable` is a value that some calibration found, with the function that a
perfect routine's result is of the unknowns; the fit itself knows nothing of this table. An unknown is a parameter of
the world, by its key below ``world``, or one number of a truth that a bench file may state (`hidden.stated`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulators.worlds.parts.truth import TILES
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.prbm.truth import SPECTRUM_TERMS
from simulators.worlds.prbm.twin_observables import CORRELATED, KINDS, Found, Numbers, Predict, Values


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
        explain = KINDS.get(kind)
        told: list[Observable] = []
        if explain is None:
            return told
        for name, chosen, predict in explain(self.parameters, Found(values, errors, conditions)):
            if name not in values or name not in errors:
                continue
            whole = np.asarray(values[name], np.float64)
            if callable(chosen):
                value, error = chosen(whole), np.ravel(errors[name])
            else:
                value, error = np.ravel(whole[chosen]), np.ravel(errors[name][chosen])
            error = error * CORRELATED.get(name, 1.0)
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
    for k in range(2):
        yield Unknown(f"hidden.stated.wavefront:{k}", 0.0, -20.0, 20.0, spread=1.0)
    for i, j in np.ndindex(TILES):
        yield Unknown(f"hidden.stated.tile_gain:{i}:{j}", 0.0, -0.3, 0.3)
    for k, side in np.ndindex(SPECTRUM_TERMS, 2):
        # More terms than bands are measured, as a rule: without data one is about as large as a spectrum is uneven.
        yield Unknown(f"hidden.stated.spectrum:{k}:{side}", 0.0, -1.0, 1.0, spread=0.2)


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
        elif name == "wavefront":
            out[name] = [float(f"{found.get((k,), 0.0):.9g}") for k in range(3)]
        else:
            only = next(iter(found.values())) if name == "coupling" else 0.0
            out[name] = [float(f"{found.get((k,), only):.9g}") for k in range(2)]
    return out

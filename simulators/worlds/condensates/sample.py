"""The hidden sample: detuning, pump efficiency and coupling at every place of it, and where it has drifted to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.physics.counter_random import noise_key, standard_normal
from simulators.worlds.condensates.parameters import CondensateParameters
from simulators.worlds.parts.truth import HOUR_S, Draws

Array = NDArray[np.float64]

_WAVES = 48
"""Plane waves of which a random map consists."""
_MARGIN_M = 50e-6
"""Defects are drawn so far around the mesa, for the sample moves."""


@dataclass(frozen=True, eq=False)
class RandomMap:
    """A smooth random function of the place, of mean 0 and variance 1: waves (n, 2) rad/m, phases (n,)."""

    waves: Array
    phases: Array

    def at(self, places_m: Array) -> Array:
        """Values (sites,) at places (sites, 2)."""
        return np.asarray(np.cos(places_m @ self.waves.T + self.phases).sum(axis=1) * math.sqrt(2 / len(self.phases)))


@dataclass(frozen=True, eq=False)
class HiddenSample:
    """detuning, efficiency, coupling_phase, coupling_size: maps. defects: (n, 3) row and column on the sample, m, and
    relative change of g. wedge: (rows, columns) of g per metre. drift_m_per_s: (rows, columns)."""

    detuning: RandomMap
    efficiency: RandomMap
    coupling_phase: RandomMap
    coupling_size: RandomMap
    defects: Array
    wedge_per_m: tuple[float, float]
    drift_m_per_s: tuple[float, float]


@lru_cache(maxsize=32)
def hidden_sample(p: CondensateParameters) -> HiddenSample:
    """The truth of a table with these parameters."""
    draws, h, s = Draws(p.seed), p.hidden, p.sample
    turn = draws.one("wedge direction", 0, 2 * math.pi)
    way = draws.one("sample drift direction", 0, 2 * math.pi)
    sides = np.array([s.mesa.rows, s.mesa.columns]) * p.sample_pixel_m + 2 * _MARGIN_M
    count = round(h.defects * float(sides.prod()) / (math.pi * h.defect_size**2)) if h.defects else 0
    places = np.stack([draws.uniform(f"defect {axis}", count, -0.5, 0.5) for axis in ("rows", "columns")], axis=1)
    middle = np.array([s.mesa.row, s.mesa.column]) * p.sample_pixel_m
    size = draws.uniform("defect size", count, 0.2, 0.4) * np.sign(draws.uniform("defect sign", count))
    return HiddenSample(
        detuning=_map(draws, "detuning map", h.sample_correlation),
        efficiency=_map(draws, "efficiency map", h.sample_correlation),
        coupling_phase=_map(draws, "coupling phase", h.sample_correlation),
        coupling_size=_map(draws, "coupling size", h.sample_correlation),
        defects=np.column_stack([places * sides + middle, size]),
        wedge_per_m=(1e3 * h.wedge * math.cos(turn), 1e3 * h.wedge * math.sin(turn)),
        drift_m_per_s=(h.sample_drift / HOUR_S * math.cos(way), h.sample_drift / HOUR_S * math.sin(way)),
    )


def _map(draws: Draws, name: str, correlation_m: float) -> RandomMap:
    # Gaussian waves make the correlation exp(-d^2 / (2 correlation^2)).
    waves = np.stack([draws.normal(f"{name} {axis}", _WAVES) for axis in ("rows", "columns")], axis=1)
    return RandomMap(waves / correlation_m, draws.uniform(f"{name} phases", _WAVES, 0, 2 * math.pi))


def on_sample(p: CondensateParameters, places_px: Array, time_s: float) -> Array:
    """Places (sites, 2) on the sample, m, of camera pixels from the zeroth order's plan."""
    drift = np.array(hidden_sample(p).drift_m_per_s) * time_s
    return np.asarray(places_px * p.sample_pixel_m + drift)


def detunings(p: CondensateParameters, places_m: Array) -> Array:
    """g (sites,) at places (sites, 2) on the sample."""
    t, h = hidden_sample(p), p.hidden
    relative = h.detuning_spread * t.detuning.at(places_m) if h.detuning_spread else np.zeros(len(places_m))
    for row, column, size in t.defects:
        away = ((places_m - (row, column)) ** 2).sum(axis=1)
        relative = relative + size * np.exp(-away / (2 * (h.defect_size / 2) ** 2))
    middle = np.array([p.sample.mesa.row, p.sample.mesa.column]) * p.sample_pixel_m
    return np.asarray(p.sample.detuning * (1 + relative) + (places_m - middle) @ np.array(t.wedge_per_m))


def efficiencies(p: CondensateParameters, places_m: Array) -> Array:
    """How well the pump excites (sites,), relative to the mean."""
    spread = p.hidden.pump_spread
    found = 1 + spread * hidden_sample(p).efficiency.at(places_m) if spread else np.ones(len(places_m))
    return np.maximum(found, 0.1)


def coupling(p: CondensateParameters, pairs: NDArray[np.int64], places_m: Array) -> NDArray[np.complex128]:
    """J (pairs,) of sites at places (sites, 2) on the sample: falling and changing its sign with distance.

    J ~ e^(-d / l) cos(k d + phi) / sqrt(d); phi and a factor are smooth random maps of where the pair is.
    """
    s, h = p.sample, p.hidden
    first, second = places_m[pairs[:, 0]], places_m[pairs[:, 1]]
    distance = np.sqrt(((first - second) ** 2).sum(axis=1))
    phase, factor = np.zeros(len(pairs)), np.ones(len(pairs))
    if h.coupling_phase or h.coupling_spread:
        middles = (first + second) / 2
        truth = hidden_sample(p)
        phase = h.coupling_phase * truth.coupling_phase.at(middles)
        factor = 1 + h.coupling_spread * truth.coupling_size.at(middles)
    by_distance = np.sqrt(s.spacing / distance) * np.exp(-(distance - s.spacing) / s.decay_length)
    turned = np.cos(2 * math.pi * (distance - s.spacing) / s.period + phase)
    return np.asarray(s.coupling * np.exp(1j * s.coupling_angle) * factor * by_distance * turned)


def pulse_factors(p: CondensateParameters, exposure: int, count: int, first: int = 0) -> Array:
    """Power of pulses (count,) of one exposure relative to what is set."""
    if not (p.noise and p.pump.pulse_noise):
        return np.ones(count)
    key = noise_key(p.seed, "pump", "pulses")
    return 1 + p.pump.pulse_noise * np.array([standard_normal(key, exposure, first + k, 0, 0) for k in range(count)])

"""Closed forms of what a half sweep costs: today's table by its settings, and a machine of fast modulators.

A half sweep finds the n local fields of one layer given the n spins of the other, n x n couplings between them. By
convention it is 2 n^2 operations, one multiplication and one addition for each coupling, however it is done.

Light. A band's power P falls on n + 2 macro-pixels; on axis it adds up to u (c + h)^2 with u = P / (n + 2)^2 and
c = L / W_max (Eq. 1 of arXiv 2508.20472). What reaches the detector is therefore (c^2 + 1) / (n + 2)^2 of what was
launched. Shot noise of the signal (`protocols.prbm.assess.prediction.shot_noise`) says how much must be detected.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from protocols.prbm.assess.prediction import patterns_of
from protocols.prbm.light.encoding import Flips

PLANCK_J_S = 6.62607015e-34
LIGHT_M_S = 299_792_458.0

SCHEMES = ("single", "hadamard", "per-band")
"""How fields are told apart: one flip a pattern, coded flips, or each band on its own detector in two patterns."""


def operations(n: int) -> float:
    """Of a half sweep between two layers of n spins."""
    return 2.0 * n**2


def photon_j(wavelength_m: float) -> float:
    """Energy of a photon."""
    return PLANCK_J_S * LIGHT_M_S / wavelength_m


@dataclass(frozen=True)
class TableTiming:
    """Of today's table: each play begins with a whole new pattern, the others change a few pixels.

    turns: plays of each pass, for averages, both signs of the spins, and exposures that saturate.
    """

    settle_s: float
    base_settle_s: float
    exposure_s: float
    readout_s: float
    turns: float = 1.0

    def split(self, patterns: float, plays: float) -> dict[str, float]:
        """Seconds by cause."""
        return {
            "settling": plays * self.base_settle_s + (patterns - plays) * self.settle_s,
            "exposure": patterns * self.exposure_s,
            "readout": patterns * self.readout_s,
        }

    def half_sweep_s(self, n: int, flips: str, bands: int) -> float:
        """With all the passes that n outputs take."""
        passes = math.ceil(n / Flips.most(flips, bands))
        return self.turns * math.fsum(self.split(patterns_of(flips, n, bands), passes).values())


@dataclass(frozen=True)
class Machine:
    """Assumptions on a machine of fast modulators; what each means is said in `prbm.cost`'s parameters."""

    modulator_hz: float
    detector_s: float
    field_rms: float
    field_error: float
    light_efficiency: float
    wavelength_m: float
    source_w: float
    laser_efficiency: float
    modulator_j: float
    draw_s: float
    stage_s: float


def axial_share(n: int, c2: float) -> float:
    """Of a band's light, the part on the axis: n spins, auxiliary and output spin; c2 = mean square of L / W_max."""
    return (c2 + 1) / (n + 2) ** 2


@dataclass(frozen=True)
class Projection:
    """Of one half sweep. light_s: patterns by modulators and detector; electronics_s: decoding and drawing spins;
    source_limited_s: how long the source takes to give the light. electrons: in a mean pattern, on each detector.
    detected_j, launched_j: light; laser_j, modulators_j: electricity. bits: to resolve the shot noise of a pattern.
    """

    n: int
    scheme: str
    patterns: int
    light_s: float
    electronics_s: float
    source_limited_s: float
    electrons: float
    bits: float
    detected_j: float
    launched_j: float
    laser_j: float
    modulators_j: float

    @property
    def drawn_s(self) -> float:
        """Light as fast as modulators allow, then electronics."""
        return self.light_s + self.electronics_s

    @property
    def seconds(self) -> float:
        """All of it: light as fast as modulators and source allow, then electronics."""
        return max(self.light_s, self.source_limited_s) + self.electronics_s

    @property
    def electric_j(self) -> float:
        """Laser and modulators."""
        return self.laser_j + self.modulators_j


def largest_coupling(n: int, sd: float) -> float:
    """Expected W_max of n x n Gaussian couplings of standard deviation sd: the quantile that one of them exceeds."""
    return sd * float(norm.isf(min(0.5 / n**2, 0.25)))


def project(n: int, scheme: str, m: Machine) -> Projection:
    """A half sweep of n x n Gaussian couplings with local fields of m.field_rms, to m.field_error, in units of T.

    Electrons for a mean pattern follow from sigma_L = (W_max/4) I_tot sqrt(2/N_e) for single flips, and
    (W_max/2) I_tot / sqrt(n_p N_e) for n_p coded patterns; I_tot = sum over the detector's bands of (c^2 + 1).
    """
    wmax = largest_coupling(n, m.field_rms / math.sqrt(n))
    c2 = (m.field_rms / wmax) ** 2
    detectors = n if scheme == "per-band" else 1
    total = (n / detectors) * (c2 + 1)
    if scheme == "hadamard":
        patterns = patterns_of("hadamard", n, 2 * n)
        electrons = (wmax * total / (2 * m.field_error)) ** 2 / patterns
        stages = patterns * math.log2(patterns)
    else:
        patterns = 2 if scheme == "per-band" else n + 1
        electrons = (wmax * total / m.field_error) ** 2 / 8
        stages = 0.0
    detected_j = patterns * detectors * electrons * photon_j(m.wavelength_m)
    launched_j = detected_j / (axial_share(n, c2) * m.light_efficiency)
    # All macro-pixels for other given spins, then the flips: half of the output spins' a pattern, one, or all.
    flips = {"single": 2.0 * n, "hadamard": 0.5 * n * patterns, "per-band": float(n)}[scheme]
    return Projection(
        n=n,
        scheme=scheme,
        patterns=patterns,
        light_s=patterns * (1 / m.modulator_hz + m.detector_s),
        electronics_s=n * m.draw_s + stages * m.stage_s,
        source_limited_s=launched_j / m.source_w,
        electrons=electrons,
        bits=0.5 * math.log2(max(electrons, 1.0)),
        detected_j=detected_j,
        launched_j=launched_j,
        laser_j=launched_j / m.laser_efficiency,
        modulators_j=(float(n) * n + flips) * m.modulator_j,
    )


@dataclass(frozen=True)
class Crossing:
    """Where two costs are equal. n: the last time below the upper bound; None if the same one is less throughout.
    first_is_less_beyond: at the upper bound."""

    n: float | None
    first_is_less_beyond: bool


def crossing(
    first: Callable[[float], float], second: Callable[[float], float], smallest: float, largest: float
) -> Crossing:
    """Of two costs as functions of the number of spins."""

    def apart(log_n: float) -> float:
        return math.log(first(math.exp(log_n)) / second(math.exp(log_n)))

    at = np.linspace(math.log(largest), math.log(smallest), 401).tolist()
    beyond = apart(at[0]) < 0
    for high, low in itertools.pairwise(at):
        if (apart(low) < 0) != beyond:
            return Crossing(math.exp(float(brentq(apart, low, high))), beyond)
    return Crossing(None, beyond)

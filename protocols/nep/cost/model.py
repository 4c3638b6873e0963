"""Closed forms of what training a sheet costs: time from settling and from frames, energy from the polaritons' decay.

Units of the sheet: energies in E0, times in t0 = hbar / E0, lengths in a = sqrt(hbar² / (m E0)), densities in
n0 = g E0 / g_phys (near-equilibrium propagation, Eq. 13 and its outlook).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

HBAR_JS = 1.054571817e-34
ELECTRON_KG = 9.1093837e-31
CHARGE_C = 1.602176634e-19

MODES = ("settling", "modulator", "table")
"""The sheet alone, as the paper counts; a fast modulator and camera; panels of liquid crystal."""


@dataclass(frozen=True)
class Task:
    """samples an epoch, epochs, samples of an update. phases: steady states of a sample. nodes of the sheet. density:
    mean |psi|², pump: mean |P|², in units of the sheet."""

    samples: int
    epochs: int
    batch: int
    phases: int
    nodes: int
    density: float
    pump: float

    @property
    def states(self) -> int:
        """Steady states of a training."""
        return self.samples * self.epochs * self.phases

    @property
    def updates(self) -> int:
        """Potentials of a training."""
        return max(1, self.samples // self.batch) * self.epochs


@dataclass(frozen=True)
class Units:
    """energy_j E0, mass_kg of a polariton, interaction_jm2 g_phys; g and gamma as they are in Eq. (13)."""

    energy_j: float
    mass_kg: float
    interaction_jm2: float
    g: float
    gamma: float

    @property
    def time_s(self) -> float:
        """t0."""
        return HBAR_JS / self.energy_j

    @property
    def length_m(self) -> float:
        """a, between nodes."""
        return HBAR_JS / math.sqrt(self.mass_kg * self.energy_j)

    @property
    def density_m2(self) -> float:
        """n0, of |psi|² = 1; nan without nonlinearity."""
        return self.g * self.energy_j / self.interaction_jm2 if self.g > 0 else math.nan

    @property
    def lifetime_s(self) -> float:
        """Of a polariton: |psi|² decays by 2 gamma."""
        return self.time_s / (2 * self.gamma)


@dataclass(frozen=True)
class Bench:
    """What is assumed of a bench.

    settling_lifetimes: in units of 1/gamma, until a phase is measured. frames: that a phase is averaged over.
    modulator_s, table_s: between patterns. potential_s: until a new potential has settled, of the table; a modulator
    takes modulator_s. photon_j. coupling: share of the pump's light that becomes polaritons. shaping: share of a
    laser's light that reaches the sample. potential_w: light that makes the potential, while it is on.
    laser_efficiency: light from electricity. standing_w: electric power of modulators, cameras, computer, and cooling.
    """

    settling_lifetimes: float
    frames: int
    modulator_s: float
    table_s: float
    potential_s: float
    photon_j: float
    coupling: float
    shaping: float
    potential_w: float
    laser_efficiency: float
    standing_w: float


@dataclass(frozen=True)
class Spent:
    """sample_s, of all phases of a sample; training_s; light_j of both lasers; electric_j, all of it."""

    mode: str
    sample_s: float
    training_s: float
    light_j: float
    electric_j: float


def settling_s(units: Units, bench: Bench) -> float:
    """Of one phase."""
    return bench.settling_lifetimes * units.time_s / units.gamma


def decay_w(task: Task, units: Units, bench: Bench) -> float:
    """Light that the polaritons of the whole sheet lose, and that the pump must replace."""
    number = task.density * units.density_m2 * task.nodes * units.length_m**2
    return number * bench.photon_j / units.lifetime_s


def spent(mode: str, task: Task, units: Units, bench: Bench) -> Spent:
    """Of a training.

    settling: phases follow one another as soon as the sheet has settled; patterns, read-out and electronics take no
    time and no energy. modulator, table: every phase is ``frames`` patterns and exposures, a new potential takes its
    time besides, and all is on throughout.
    """
    settled = settling_s(units, bench)
    pump_w = decay_w(task, units, bench) / bench.coupling
    if mode == "settling":
        training_s = task.states * settled
        light_j = pump_w * training_s
        return Spent(mode, task.phases * settled, training_s, light_j, light_j)
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}; there are {', '.join(MODES)}")
    frame_s = max(bench.modulator_s if mode == "modulator" else bench.table_s, settled)
    potential_s = bench.modulator_s if mode == "modulator" else bench.potential_s
    sample_s = task.phases * bench.frames * frame_s
    training_s = task.samples * task.epochs * sample_s + task.updates * potential_s
    light_j = (pump_w / bench.shaping + bench.potential_w) * training_s
    return Spent(mode, sample_s, training_s, light_j, light_j / bench.laser_efficiency + bench.standing_w * training_s)

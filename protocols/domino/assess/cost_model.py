"""Closed forms of what a solution costs on a table: time from the loop's latency and the condensates' lifetime, energy
from the pump's power (arXiv 2405.17296, Supp. D), in each way to carry out Eqs (5) and (6)."""

from __future__ import annotations

import math
from dataclasses import dataclass

MODES = ("optoelectronic", "shot", "injection", "read", "optical")
"""The declared modes of the table; then optics that lock by themselves, with a frame for every answer, and without."""

_HBAR_JS = 1.054571817e-34
_ELECTRON_KG = 9.1093837e-31


@dataclass(frozen=True)
class Run:
    """A start: duration in units of time, steps of integration, windows between locks."""

    duration: float
    steps: int
    windows: int


@dataclass(frozen=True)
class Hardware:
    """What is assumed of a table.

    lifetime_s: of a polariton; the unit of time is twice that (rates are in halves of the loss). loop_s: latency, from
    a pattern written to the next. frame_s: between frames when patterns follow one another without waiting. site_w:
    light of the pump on a condensate. multiplier_w: light of the table without condensates. laser_efficiency: light
    from electricity. standing_w: electric power of panels, camera and computer. cooling_w: of the sample.
    """

    lifetime_s: float
    loop_s: float
    frame_s: float
    site_w: float
    multiplier_w: float
    laser_efficiency: float
    standing_w: float
    cooling_w: float

    @property
    def unit_s(self) -> float:
        """Of time t."""
        return 2 * self.lifetime_s


@dataclass(frozen=True)
class Spent:
    """start_s: of one start alone; solution_s: of all that a solution needs. lit_s: of these, with the pump on.
    light_j, of the pump; electric_j, all of it, for a solution."""

    mode: str
    start_s: float
    solution_s: float
    lit_s: float
    light_j: float
    electric_j: float


def spent(mode: str, nodes: int, run: Run, starts: float, a: Hardware) -> Spent:
    """Of a network of so many nodes, solved by so many starts (inf: never).

    optoelectronic: a frame for every step. While one start's frame is on its way around the loop, frames of others are
    taken. shot: a frame for every window, and the sample, which forgets, is pumped during windows only. injection: the
    same, but the sample holds a start's fields, so that it is pumped throughout, and starts follow one another.
    optical: the sample and its optics do it all in the time t that the equation takes, as Supp. D counts; read: the
    same, with one frame for every answer.
    """
    free_s = run.duration * a.unit_s
    if mode in ("optoelectronic", "shot"):
        rounds = run.steps if mode == "optoelectronic" else run.windows
        start_s, solution_s = rounds * a.loop_s, rounds * max(a.loop_s, starts * a.frame_s)
        lit_s = solution_s if mode == "optoelectronic" else starts * free_s
    elif mode == "injection":
        start_s = run.windows * a.loop_s
        solution_s = lit_s = starts * start_s
    elif mode in ("read", "optical"):
        start_s = free_s + (a.frame_s if mode == "read" else 0.0)
        solution_s, lit_s = starts * start_s, starts * free_s
    else:
        raise ValueError(f"mode {mode!r}; there are {', '.join(MODES)}")
    light_w, cooling_w = (a.multiplier_w, 0.0) if mode == "optoelectronic" else (a.site_w * nodes, a.cooling_w)
    light_j = light_w * lit_s
    electric_j = light_j / a.laser_efficiency + (a.standing_w + cooling_w) * solution_s
    return Spent(mode, start_s, solution_s, lit_s, light_j, electric_j)


def starts_for(success: float, confidence: float = 0.99) -> float:
    """Starts after which one has succeeded with this confidence: at least 1, inf if none ever does."""
    if success <= 0:
        return math.inf
    return max(1.0, math.log(1 - confidence) / math.log1p(-success)) if success < 1 else 1.0


def unit_by_mass_s(mass: float, length_m: float) -> float:
    """The unit of time m l^2 / hbar of Supp. D, for a mass in electron masses and a unit of length."""
    return mass * _ELECTRON_KG * length_m**2 / _HBAR_JS


def counted_j(edges: int, run: Run, starts: float, operation_j: float) -> float:
    """Of an electronic solver that spends energy on every link, both ways, at every step (Supp. D)."""
    return operation_j * 2 * edges * run.steps * starts

"""Checks of thermodynamic computers: units fluctuate as their energy says, programs are kept, readings tell the time.

Statistical checks look at means over all units and many repeats, wide enough for boards whose elements differ by some
per cent (false alarms below 1e-6 at 32 units and more).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from drivers.conformance.common import COMMON
from drivers.conformance.rig import Rig, Suite, expect, near, refused
from drivers.contract import ComputerRun, ComputerStage, LimitError

THERMODYNAMIC_COMPUTER = Suite("thermodynamic-computer", based_on=COMMON)

_LONG = 1.0
"""Units of time in which single units of J2 = J4 = 10 come to equilibrium thirty times over."""
_WITHIN = 0.06


def _stage(
    rig: Rig,
    couplings: NDArray[np.float64] | None = None,
    biases: NDArray[np.float64] | float = 0.0,
    biases_end: NDArray[np.float64] | None = None,
    duration: float = _LONG,
    read_at: tuple[float, ...] = (_LONG,),
) -> ComputerStage:
    units = rig.subject.units
    return ComputerStage(
        duration=duration,
        couplings=np.zeros((units, units)) if couplings is None else couplings,
        biases=np.full(units, biases) if np.isscalar(biases) else np.asarray(biases),
        biases_end=biases_end,
        read_at=np.array(read_at),
    )


def _program(rig: Rig, stage: Callable[[], ComputerStage]) -> None:
    rig.subject.program([stage()])


def _run(rig: Rig, stage: ComputerStage, repeats: int, start: NDArray[np.float64] | None = None) -> ComputerRun:
    rig.subject.program([stage])
    run: ComputerRun = rig.subject.run(repeats, start)
    return run


def _moments(J2: float, J4: float, b: float) -> tuple[float, float]:
    """<x> and <x^2> of a single unit, by quadrature."""
    x = np.linspace(-6, 6, 24001)
    energy = J2 * x**2 + J4 * x**4 + b * x
    weight = np.exp(-(energy - energy.min()))
    return float((x * weight).sum() / weight.sum()), float((x**2 * weight).sum() / weight.sum())


@THERMODYNAMIC_COMPUTER.check
def single_units_fluctuate_as_their_energy_says(rig: Rig) -> None:
    """The mean square without any bias is that of exp(-V)."""
    run = _run(rig, _stage(rig), 200)
    _, second = _moments(rig.subject.quadratic, rig.subject.quartic, 0.0)
    near("<x>", float(run.readings.mean()), 0.0, absolute=0.02)
    near("<x^2>", float((run.readings.astype(float) ** 2).mean()), second, relative=_WITHIN)


@THERMODYNAMIC_COMPUTER.check
def a_bias_pushes_against_its_sign(rig: Rig) -> None:
    """V has + b x, so that positive biases make x negative, by as much as exp(-V) says."""
    for bias in (6.0, -6.0):
        run = _run(rig, _stage(rig, biases=bias), 100)
        first, _ = _moments(rig.subject.quadratic, rig.subject.quartic, bias)
        near(f"<x> at a bias of {bias:g}", float(run.readings.mean()), first, relative=_WITHIN, absolute=0.01)


@THERMODYNAMIC_COMPUTER.check
def coupled_units_follow_one_another(rig: Rig) -> None:
    """Neighbours with a negative coupling are alike, with a positive one opposite, the others independent."""
    units = rig.subject.units
    J = np.zeros((units, units))
    rig.subject.coupling_range = 10.0
    sizes = np.where(np.arange(units // 2) % 2, 8.0, -8.0)
    for k, size in enumerate(sizes):
        J[2 * k, 2 * k + 1] = J[2 * k + 1, 2 * k] = size
    x = _run(rig, _stage(rig, J), 300).readings[:, 0].astype(float)
    pairs = np.array([np.corrcoef(x[:, 2 * k], x[:, 2 * k + 1])[0, 1] for k in range(units // 2)])
    others = np.array([np.corrcoef(x[:, 2 * k], x[:, 2 * k + 2])[0, 1] for k in range(units // 2 - 1)])
    expect(pairs[sizes < 0].mean() > 0.15, f"a coupling of -8 makes a correlation of {pairs[sizes < 0].mean():.3f}")
    expect(pairs[sizes > 0].mean() < -0.15, f"a coupling of 8 makes a correlation of {pairs[sizes > 0].mean():.3f}")
    near("correlation of units without a coupling", float(others.mean()), 0.0, absolute=0.08)


@THERMODYNAMIC_COMPUTER.check
def biases_change_evenly_within_a_stage(rig: Rig) -> None:
    """From the first to the last: half-way there is none where they end opposite."""
    units = rig.subject.units
    stage = _stage(rig, biases=8.0, biases_end=np.full(units, -8.0), duration=4.0, read_at=(1e-3, 2.0, 4.0))
    first, middle, last = _run(rig, stage, 60, np.full(units, -0.3)).readings.mean(axis=(0, 2))
    expect(first < -0.2, f"{first:.3f} at the beginning, under a bias of 8, from -0.3")
    near("<x> half-way", float(middle), 0.0, absolute=0.06)
    expect(last > 0.2, f"{last:.3f} at the end, under a bias of -8")


@THERMODYNAMIC_COMPUTER.check
def repeats_begin_where_they_are_told(rig: Rig) -> None:
    """Every one of them, and soon are elsewhere, each in its own way."""
    units = rig.subject.units
    start = np.linspace(-0.5, 0.5, units)
    x = _run(rig, _stage(rig, read_at=(0.0, _LONG)), 50, start).readings.astype(float)
    near("distance from the start, rms", float(np.sqrt(((x[:, 0] - start) ** 2).mean())), 0.0, absolute=0.05)
    end = x[:, 1]
    expect(float(np.abs(np.corrcoef(end[:25].ravel(), end[25:].ravel())[0, 1])) < 0.25, "repeats are alike")


@THERMODYNAMIC_COMPUTER.check
def stages_follow_one_another(rig: Rig) -> None:
    """A second stage goes on from where the first one ended, and times of reading count from the beginning."""
    rig.subject.program([_stage(rig, biases=8.0), _stage(rig, biases=-8.0, read_at=(0.0, _LONG))])
    run = rig.subject.run(20)
    expect(list(run.read_at) == [_LONG, _LONG, 2 * _LONG], f"read at {list(run.read_at)}")
    before, at_once, after = run.readings.mean(axis=(0, 2))
    near("<x> when the second stage begins", float(at_once), float(before), absolute=0.03)
    expect(before < -0.2 < 0.2 < after, f"{before:.3f} after the first stage, {after:.3f} after the second")


@THERMODYNAMIC_COMPUTER.check
def a_program_reads_back_as_it_was_rounded(rig: Rig) -> None:
    """To half a step, and it says the same again."""
    units, rng = rig.subject.units, np.random.default_rng(1)
    rig.subject.coupling_range = 2.0
    J = np.triu(rng.uniform(-2, 2, (units, units)), 1)
    stage = _stage(rig, J + J.T, rng.uniform(-5, 5, units))
    (kept,) = rig.subject.program([stage])
    for what, wanted, found, step in (
        ("coupling", stage.couplings, kept.couplings, rig.subject.coupling_step),
        ("bias", stage.biases, kept.biases, rig.subject.bias_step),
    ):
        away = float(np.abs(np.asarray(found) - wanted).max())
        expect(away <= step / 2 * (1 + 1e-9), f"a {what} was rounded by {away:.4g}, its step is {step:.4g}")
    (again,) = rig.subject.programmed()
    expect(np.array_equal(again.couplings, kept.couplings), "programmed couplings are not those that program returned")


@THERMODYNAMIC_COMPUTER.check
def what_does_not_fit_is_refused_and_the_program_kept(rig: Rig) -> None:
    """Couplings and biases beyond the range, shapes, signs of symmetry, times beyond the end."""
    units = rig.subject.units
    rig.subject.coupling_range = 1.0
    rig.subject.program([_stage(rig, biases=1.0)])
    zero = np.zeros((units, units))
    large, lopsided, own = zero.copy(), zero.copy(), zero.copy()
    large[0, 1] = large[1, 0] = 1.5
    lopsided[0, 1] = 0.5
    own[1, 1] = 0.5
    bad = {
        "a coupling beyond the range": lambda: _stage(rig, large),
        "a bias beyond the range": lambda: _stage(rig, biases=2 * rig.subject.bias_range),
        "a coupling of one direction": lambda: _stage(rig, lopsided),
        "a unit coupled to itself": lambda: _stage(rig, own),
        "couplings of another size": lambda: _stage(rig, np.zeros((units + 1, units + 1))),
        "a bias that is not finite": lambda: _stage(rig, biases=float("nan")),
        "a reading after the end": lambda: _stage(rig, read_at=(2 * _LONG,)),
        "a stage of no duration": lambda: _stage(rig, duration=0.0, read_at=()),
    }
    for what, stage in bad.items():
        refused(LimitError, partial(_program, rig, stage), what)
    (kept,) = rig.subject.programmed()
    near("the bias that was programmed before", float(np.mean(kept.biases)), 1.0, absolute=rig.subject.bias_step)


@THERMODYNAMIC_COMPUTER.check
def units_without_a_minimum_are_refused(rig: Rig) -> None:
    """Linear ones whose couplings make the energy indefinite; bistable ones are right."""
    subject, units = rig.subject, rig.subject.units
    before = subject.quadratic, subject.quartic
    try:
        subject.quadratic, subject.quartic = 1.0, 0.0
        subject.coupling_range = 4.0
        J = np.zeros((units, units))
        J[0, 1] = J[1, 0] = 3.0
        refused(LimitError, lambda: subject.program([_stage(rig, J)]), "linear units with an indefinite energy")
        subject.quadratic, subject.quartic = -4.0, 4.0
        subject.coupling_range = 4.0
        x = _run(rig, _stage(rig, J), 40).readings.astype(float)
        near("<x^2> of bistable units", float((x**2).mean()), _moments(-4.0, 4.0, 0.0)[1], relative=2 * _WITHIN)
    finally:
        subject.quadratic, subject.quartic = before


@THERMODYNAMIC_COMPUTER.check
def a_run_needs_a_program_and_repeats(rig: Rig) -> None:
    """Changing what units are drops the program; no repeat is refused, as is a start that cannot be held."""
    subject, units = rig.subject, rig.subject.units
    subject.program([_stage(rig)])
    refused(LimitError, lambda: subject.run(0), "a run of no repeats")
    refused(LimitError, lambda: subject.run(1, np.full(units, 10 * subject.reading_range)), "a start beyond the range")
    subject.quadratic = subject.quadratic
    refused(LimitError, lambda: subject.run(1), "a run without a program")


@THERMODYNAMIC_COMPUTER.check
def readings_are_numbers_of_the_converter(rig: Rig) -> None:
    """Multiples of its step, none beyond its range; those at its end are told."""
    subject = rig.subject
    run = _run(rig, _stage(rig), 20)
    if subject.reading_step:
        levels = run.readings.astype(float) / subject.reading_step
        expect(float(np.abs(levels - np.rint(levels)).max()) < 0.01, "readings lie between the converter's numbers")
    expect(float(np.abs(run.readings).max()) <= subject.reading_range * (1 + 1e-6), "a reading lies beyond the range")
    at_end = (np.abs(run.readings) >= subject.reading_range * (1 - 1e-6)).sum(axis=(1, 2))
    expect(np.array_equal(at_end, run.beyond), f"{at_end.sum()} readings at the end, {np.sum(run.beyond)} told")


@THERMODYNAMIC_COMPUTER.check
def runs_are_numbered_and_take_their_time(rig: Rig) -> None:
    """Of all repeats, one after the other."""
    subject = rig.subject
    subject.program([_stage(rig)])
    runs = [subject.run(30) for _ in range(3)]
    numbers = [run.run_id for run in runs]
    expect(numbers == sorted(set(numbers)), f"run ids {numbers}")
    near("time of 30 repeats", (runs[0].end_ns - runs[0].start_ns) / 1e9, 30 * subject.repeat_s, relative=0.05)
    expect(subject.repeat_s >= _LONG * subject.unit_time_s, "a repeat is shorter than its stage")
    expect(all(a.end_ns <= b.start_ns for a, b in itertools.pairwise(runs)), "runs overlap")
    expect(abs(runs[0].utc_start_ns - time.time_ns()) < 86_400e9, "utc_start_ns is not today")


@THERMODYNAMIC_COMPUTER.check
def a_held_computer_runs_again(rig: Rig) -> None:
    """Its program is kept."""
    rig.subject.program([_stage(rig)])
    rig.subject.hold()
    expect(rig.subject.run(2).readings.shape == (2, 1, rig.subject.units), "no readings after holding")

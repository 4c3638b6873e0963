"""Whether a routine knows how sure it is: its results on N hidden tables, each with the truth it does not see.

    def compare(table: Table) -> list[Quantity]:
        found = table.found["power_curve"]
        truth = table.hidden.source ...
        return [Quantity("power at half", found["emitted_w"][3], found.uncertainty("emitted_w")[3], truth)]

    measured = measured_on_hidden_tables("laser-power", compare, tmp_path, given=SMALL)
    measured.must_cover()
    assert measured.median_relative_error("power at half") < 0.01

A table is the bench with world.seed k, in this process; the routine is run as `labctl calibrate` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from labctl.bench.load import load_bench
from labctl.client import Calibration
from labctl.experiments.calibrate import Calibrated, calibrate
from labctl.experiments.execute import BENCH_KEYS
from simulators.worlds.hologram import HologramParameters
from simulators.worlds.hologram.truth import hidden_table as hidden_hologram_table
from simulators.worlds.prbm import PrbmParameters
from simulators.worlds.prbm.truth import hidden_table

TABLES, SOAK_TABLES = 8, 100
WITHIN = float(stats.norm.ppf(0.975))
"""Standard uncertainties to either side of an interval that covers 95 %."""

COVERED: list[Measured] = []
"""What was measured on `SOAK_TABLES` tables in this session; printed as one table at its end."""

FALSE_ALARM = 0.003
"""Chance that a right routine covers fewer of the tables than `least_covered`."""


@dataclass(frozen=True)
class Table:
    """One hidden table and what was found on it. found: calibrations by kind. hidden: what was planted, of the world of
    parameters, the photonic RBM's or the hologram table."""

    seed: int
    parameters: Any
    hidden: Any
    done: Calibrated

    @property
    def found(self) -> dict[str, Calibration]:
        """Calibrations by kind."""
        return {c.kind: c for c in self.done.calibrations}


@dataclass(frozen=True)
class Quantity:
    """A value with its stated standard uncertainty, beside its truth."""

    name: str
    value: float
    uncertainty: float
    truth: float

    @property
    def covered(self) -> bool:
        """Whether the truth lies in the stated 95 % interval."""
        return bool(abs(self.value - self.truth) <= WITHIN * self.uncertainty)


@dataclass
class Measured:
    """What was measured on all tables: by quantity, one entry per table."""

    routine: str
    quantities: dict[str, list[Quantity]] = field(default_factory=dict)

    def add(self, found: Iterable[Quantity]) -> None:
        """One table's."""
        for quantity in found:
            self.quantities.setdefault(quantity.name, []).append(quantity)

    def covered(self, name: str) -> int:
        """Tables on which the truth lies in the stated interval."""
        return sum(q.covered for q in self.quantities[name])

    def median_error(self, name: str) -> float:
        """Median over the tables of |value - truth|."""
        return float(np.median([abs(q.value - q.truth) for q in self.quantities[name]]))

    def median_relative_error(self, name: str) -> float:
        """The same relative to the truth."""
        return float(np.median([abs(q.value / q.truth - 1) for q in self.quantities[name]]))

    def must_cover(self) -> None:
        """Assert that every quantity is covered on as many tables as a right routine covers."""
        poor = [
            f"{name}: {self.covered(name)} of {len(found)}, {least_covered(len(found))} are needed; deviations in "
            f"standard uncertainties {', '.join(f'{_deviation(q):.1f}' for q in found)}"
            for name, found in self.quantities.items()
            if self.covered(name) < least_covered(len(found))
        ]
        assert not poor, f"{self.routine} is surer than it may be. " + "; ".join(poor)

    def report(self) -> str:
        """One line per quantity: how often the truth was covered, with the exact 95 % interval of that share."""
        return "\n".join(self._line(name, found) for name, found in self.quantities.items())

    def _line(self, name: str, found: list[Quantity]) -> str:
        n, k = len(found), self.covered(name)
        share = stats.binomtest(k, n).proportion_ci(0.95)
        return (
            f"{self.routine:<15}{name:<26}{k:>5} of {n:<5}{100 * share.low:5.1f} to {100 * share.high:5.1f} %"
            f"{self.median_error(name):>12.3g}{np.median([q.uncertainty for q in found]):>12.3g}"
        )


def least_covered(tables: int) -> int:
    """Of so many tables, below which a 95 % interval is no longer believed: 9 of 12."""
    return int(stats.binom.ppf(FALSE_ALARM, tables, 0.95))


def measured_on_hidden_tables(
    routine: str,
    compare: Callable[[Table], Iterable[Quantity]],
    out: Path,
    *,
    bench: str = "prbm-sim",
    given: Mapping[str, object] | Callable[[int], Mapping[str, object]] | None = None,
    tables: int = TABLES,
    first_seed: int = 100,
) -> Measured:
    """Run a routine, keeping nothing, on tables of the seeds from ``first_seed`` on.

    given: ``--set`` values of the routine and of the bench, as a rule a reduced one, or what gives them for a seed,
    where the truth is not one of the hidden ones. Run files go to ``out``.
    """
    measured = Measured(routine)
    for seed in range(first_seed, first_seed + tables):
        own = given(seed) if callable(given) else given
        with nullcontext() if seed == first_seed else undrawn():
            measured.add(compare(one_hidden_table(routine, out, seed, bench=bench, given=own)))
    if tables >= SOAK_TABLES:
        COVERED.append(measured)
    return measured


@contextmanager
def undrawn() -> Iterator[None]:
    """Pictures are empty files: of a third of a second each, those of the first table are enough."""

    def leave_empty(_: Figure, path: Path, **__: object) -> None:
        path.touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", leave_empty)
        yield


def one_hidden_table(
    routine: str, out: Path, seed: int, *, bench: str = "prbm-sim", given: Mapping[str, object] | None = None
) -> Table:
    """Run a routine, keeping nothing, on the table of one seed."""
    assignments = {**(given or {}), "world.seed": seed}
    config = load_bench(bench, {k: v for k, v in assignments.items() if k.startswith(BENCH_KEYS)})
    parameters = config.world_parameters
    assert isinstance(parameters, PrbmParameters | HologramParameters)
    done = calibrate(routine, bench, assignments, out=out, dry_run=True)
    of_hologram = isinstance(parameters, HologramParameters)
    hidden = hidden_hologram_table(parameters) if of_hologram else hidden_table(parameters)
    return Table(seed, parameters, hidden, done)


def _deviation(q: Quantity) -> float:
    return (q.value - q.truth) / q.uncertainty if q.uncertainty > 0 else float("inf")

"""Runs every check of a kind on a driver: on its simulated and its emulated instrument, near and over ipc."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drivers.errors import LabError
from labctl.conformance.stand import Case, Stand, all_cases, cases, own_folders, standing


@dataclass(frozen=True)
class Result:
    """What a check found: nothing, if ``broken`` is empty."""

    subject: str
    kind: str
    backend: str
    layout: str
    check: str
    broken: str
    seconds: float


def run(driver: str, mutation: str | None = None) -> list[Result]:
    """Every check on every backend and layout; with a mutation, up to the first that finds the broken instrument.

    Raises ConfigurationError if the driver cannot be checked, or the mutation has no meaning for its instrument.
    """
    if mutation is None:
        return run_cases(cases(driver))
    case = next(c for c in cases(driver) if c.backend == "emulated")
    with own_folders() as folder, standing(case, folder, mutation) as stand:
        return checked(stand, until_broken=True)


def run_cases(
    chosen: list[Case], told: Callable[[Case, list[Result]], Any] = lambda case, results: None
) -> list[Result]:
    """Every check of every case; ``told`` is called after each case."""
    results: list[Result] = []
    with own_folders() as folder:
        for case in chosen:
            with standing(case, folder) as stand:
                found = checked(stand)
            told(case, found)
            results += found
    return results


def run_all(told: Callable[[Case, list[Result]], Any] = lambda case, results: None) -> list[Result]:
    """Of every driver that has an emulated instrument."""
    return run_cases(all_cases(), told)


def checked(stand: Stand, *, until_broken: bool = False) -> list[Result]:
    """Every check of the kind, or up to the first that finds something."""
    case, results = stand.case, []
    for check in case.suite.checks:
        begun = time.monotonic()
        broken = ""
        try:
            stand.run(check)
        except (AssertionError, LabError) as error:
            broken = f"{type(error).__name__}: {error}"
        results.append(
            Result(case.subject, case.kind, case.backend, case.layout, check.name, broken, time.monotonic() - begun)
        )
        if broken and until_broken:
            break
    return results

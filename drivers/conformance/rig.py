"""What a check is given, and how it says what is wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

C = TypeVar("C", bound=Callable[..., None])


class Broken(AssertionError):
    """A promise of the contract is not kept; the message says which, with numbers."""


@dataclass(frozen=True)
class Rig:
    """The device under test and what stands around it.

    subject: the device. source: a supercontinuum laser whose light cameras and photodetectors see. meter: a
    photodetector that sees the light of a laser under test. watts_at_meter: power at a detector (the meter, or the
    subject if it is one) for what a laser is set to: (kind of laser, power setting) -> W. counts_per_second: mean
    counts above the offset that a camera collects in a second, for a power fraction of the source. offset_counts: of
    the camera in the dark. virtual: whether time is, so that nothing waits. camera: one that looks at the panel of an
    SLM under test through polarisers, pixel on pixel, and sees (1 + cos(phase)) / 2 of the light; else None. panel: an
    SLM in front of a camera under test, seen in the same way, sensor pixel (0, 0) on panel pixel (0, 0); else None.
    """

    subject: Any
    source: Any
    meter: Any
    watts_at_meter: Callable[[str, float], float]
    counts_per_second: Callable[[float], float]
    offset_counts: float
    virtual: bool
    camera: Any = None
    panel: Any = None

    @contextmanager
    def lit(self, power_fraction: float) -> Iterator[None]:
        """With the source on."""
        self.source.power_fraction = power_fraction
        self.source.emission = True
        try:
            yield
        finally:
            self.source.emission = False


@dataclass(frozen=True)
class Check:
    """One promise."""

    name: str
    doc: str
    run: Callable[[Rig], None]


class Suite:
    """Checks of one kind, in order."""

    def __init__(self, kind: str, *, based_on: Suite | None = None) -> None:
        self.kind = kind
        self.checks: list[Check] = list(based_on.checks) if based_on else []

    def check(self, function: C) -> C:
        """Add a check, named like its function."""
        doc = (function.__doc__ or "").strip().splitlines()[0]
        self.checks.append(Check(function.__name__, doc, function))
        return function


def expect(condition: bool, message: str) -> None:
    """Raise Broken unless the condition holds."""
    if not condition:
        raise Broken(message)


def near(what: str, found: float, wanted: float, *, relative: float = 0.0, absolute: float = 0.0) -> None:
    """Raise Broken unless a number is where it should be."""
    allowed = abs(wanted) * relative + absolute
    fits = math.isfinite(found) and abs(found - wanted) <= allowed
    expect(fits, f"{what}: {found:.6g}, wanted {wanted:.6g} +- {allowed:.2g}")


def refused(errors: type[BaseException] | tuple[type[BaseException], ...], act: Callable[[], object], what: str) -> str:
    """The message of the error that an act must raise. Raises Broken if it raises none, or another."""
    try:
        act()
    except errors as error:
        expect(len(str(error)) > 10, f"{what}: refused without saying why")
        return str(error)
    except Exception as error:
        raise Broken(f"{what}: {type(error).__name__} ({error}) instead of an error of the contract") from error
    raise Broken(f"{what}: was not refused")


def seconds(act: Callable[[], object]) -> float:
    """How long an act takes."""
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def in_time(what: str, act: Callable[[], object], within_s: float) -> None:
    """Raise Broken unless an act takes no longer than that, at least once in three times: machines stall."""
    taken_s: list[float] = []
    while len(taken_s) < 3:
        taken_s.append(seconds(act))
        if taken_s[-1] < within_s:
            return
    raise Broken(f"{what} took {min(taken_s):.2f} s, {within_s:.2f} s at most are right")

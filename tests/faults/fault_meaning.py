"""Which faults there are, and where one has no meaning: the one place that says so, with the reason."""

from __future__ import annotations

from typing import get_args

from fault_bench import drivers, faults_of, kind_of

from simulators.emulators.base import CommonFault, ScreenFault

FAULTS: tuple[str, ...] = get_args(CommonFault)
"""Of every instrument, unless they have no meaning for it."""

OF_A_SCREEN: tuple[str, ...] = get_args(ScreenFault)
"""What happens to screens only."""

EMITS_NOTHING = "it emits nothing, so it has no interlock"

NO_MEANING: dict[tuple[str, str], str] = {
    ("camera", "interlock-open"): EMITS_NOTHING,
    ("photodetector", "interlock-open"): EMITS_NOTHING,
    ("slm", "interlock-open"): EMITS_NOTHING,
    ("slm", "late"): "a screen answers nothing, and its cable is never late; an X server that answers late is `frozen`",
    ("slm", "corrupt-crc"): "pixels carry no check sum; what comes out wrong is `gamma`, `window` or `wrong-size`",
    ("slm", "over-range"): "levels beyond the panel's are refused before anything is sent (conformance)",
    ("slm", "firmware"): "no cable of a screen tells the panel's firmware",
}
"""By kind (or driver, which comes first) and fault: why the instrument cannot have it."""

UNSEEN: dict[tuple[str, str], str] = {
    ("slmsuite_screen", "mute"): "a panel that takes nothing over HDMI says nothing; only a camera tells",
    ("slmsuite_any", "mute"): "a panel that takes nothing over HDMI says nothing; only a camera tells",
    ("slmsuite_any", "gamma"): "slmsuite looks at no gamma ramp; `slmsuite_screen` does",
    ("slmsuite_any", "window"): "slmsuite does not see what lies over its window; `slmsuite_screen` does",
}
"""By driver and fault: why a driver goes on as if nothing were wrong. Any other that does fails its test."""


def why_not(driver: str, fault: str) -> str:
    """Why a fault has no meaning for a driver's instrument; "" if it has."""
    return NO_MEANING.get((driver, fault)) or NO_MEANING.get((kind_of(driver), fault), "")


def faults_for(driver: str) -> tuple[str, ...]:
    """Columns of the matrix in which the driver stands, in order."""
    return FAULTS + OF_A_SCREEN if kind_of(driver) == "slm" else FAULTS


def cells() -> list[tuple[str, str]]:
    """Every driver with every fault that has a meaning for it."""
    return [(driver, fault) for driver in drivers() for fault in faults_for(driver) if not why_not(driver, fault)]


def lasers() -> list[tuple[str, str]]:
    """Those of drivers of lasers."""
    return [(driver, fault) for driver, fault in cells() if kind_of(driver) in ("pump", "supercontinuum")]


def undeclared() -> list[str]:
    """Faults that an instrument neither has nor is said to be without, and those of which both is so."""
    found = []
    for driver in drivers():
        has = faults_of(driver)
        found += [f"{driver}: {f}: neither" for f in faults_for(driver) if f not in has and not why_not(driver, f)]
        found += [f"{driver}: {f}: both" for f in has if why_not(driver, f)]
        found += [f"{driver}: {f}: in no column" for f in has if f not in faults_for(driver)]
    return found

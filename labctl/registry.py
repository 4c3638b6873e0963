"""What is installed: kinds, drivers, worlds, protocols and the rest, found by name through entry points.

Our own parts and third-party ones register the same way, so `labctl` imports none of them by itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from drivers.errors import ConfigurationError

Group = Literal[
    "labctl.kinds",
    "labctl.drivers",
    "labctl.simulated",
    "labctl.emulators",
    "labctl.worlds",
    "labctl.twins",
    "labctl.fits",
    "labctl.alignments",
    "labctl.protocols",
    "labctl.figures",
    "labctl.papers",
    "labctl.tasks",
    "labctl.calibrations",
    "labctl.conformance",
    "labctl.ledger",
    "labctl.exporters",
]


def names(group: Group) -> tuple[str, ...]:
    """Names registered in ``group``, sorted. Nothing is imported."""
    return tuple(sorted({point.name for point in _registered()(group)}))


def load(group: Group, name: str) -> Any:
    """The object registered as ``name`` in ``group``, imported now.

    Raises ConfigurationError if the name is unknown, if two distributions register it, or if importing it
    fails.
    """
    points = [point for point in _registered()(group) if point.name == name]
    if not points:
        raise ConfigurationError(_unknown(group, name))
    if len(points) > 1:
        raise ConfigurationError(
            f'{group}: "{name}" is registered by {" and by ".join(_origin(point) for point in points)}; '
            "uninstall one of them"
        )
    point = points[0]
    try:
        return point.load()
    except Exception as error:  # someone else's module can fail in any way
        raise ConfigurationError(
            f'{group}: "{name}" cannot be imported from {_origin(point)}: {type(error).__name__}: {error}; '
            "reinstall that distribution or what it needs"
        ) from error


def suggestion(name: str, allowed: Iterable[str]) -> str:
    """``' (did you mean "x"?)'`` with the nearest allowed name, or nothing when none is near."""
    close = difflib.get_close_matches(name, list(allowed), n=1)
    return f' (did you mean "{close[0]}"?)' if close else ""


@cache
def _registered() -> Callable[[Group], tuple[EntryPoint, ...]]:
    """What there is in a group."""
    # Once for all groups: it reads the metadata of every installed distribution, in each process of a bench.
    everything = entry_points()
    return cache(lambda group: tuple(everything.select(group=group)))


def _origin(point: EntryPoint) -> str:
    distribution = f"distribution {point.dist.name} {point.dist.version}" if point.dist else "no distribution"
    return f"{distribution} ({point.value})"


_CALLED_BY: dict[Group, str] = {
    "labctl.protocols": "labctl run",
    "labctl.figures": "labctl figure",
    "labctl.calibrations": "labctl calibrate",
}


def _unknown(group: Group, name: str) -> str:
    registered = names(group)
    others = [f"`{call} {name}`" for other, call in _CALLED_BY.items() if group in _CALLED_BY and name in names(other)]
    if others:
        return f'{group}: "{name}" is unknown, it is registered elsewhere: call it by {" or ".join(others)}'
    if not registered:
        return (
            f'{group}: "{name}" is unknown and nothing at all is registered there; '
            "install labctl itself (make venv, or pip install -e .) or the package that provides it"
        )
    return f'{group}: "{name}" is unknown{suggestion(name, registered)}; registered: {", ".join(registered)}'

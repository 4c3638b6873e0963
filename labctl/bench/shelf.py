"""Calibrations as a client of the bench sees them: told and sent by its server, judged by the bench's devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drivers.contract import Identity
from drivers.errors import BusError, CalibrationError, ConfigurationError
from labctl import registry
from labctl.bench.config import BenchConfig
from labctl.bench.load import bench_argument
from labctl.store.calibration import Calibration, Header
from labctl.store.file import decode, header_fields
from labctl.store.log import Use, verdict_of
from labctl.store.store import InForce
from labctl.store.verdict import cure, objections, refusal, settings_needed

Ask = Callable[[str, Any], Any]
"""Sends a verb with its arguments to a server of the bench and returns the answer."""


@dataclass(frozen=True)
class Shelf:
    """What the bench's server tells. folder: where it keeps them, on its machine."""

    folder: Path
    in_force: tuple[InForce, ...]

    def find(self, need: str, bench: str) -> InForce | None:
        """The one in force for ``KIND`` or ``ROLE.KIND``. CalibrationError if several roles have the kind."""
        role, _, kind = need.rpartition(".")
        found = [f for f in self.in_force if f.use.kind == kind and role in ("", f.use.role)]
        if len(found) > 1:
            names = ", ".join(f"{f.use.role}.{kind}" for f in found)
            raise CalibrationError(f"bench {bench} has several calibrations {kind} in force: {names}; say which")
        return found[0] if found else None


def shelf_of(ask: Ask, bench: str) -> Shelf:
    """Ask the server."""
    answer = ask("calibrations", None)
    try:
        return Shelf(
            Path(answer["folder"]),
            tuple(
                InForce(
                    Use(
                        bench=bench,
                        **{key: entry[key] for key in ("role", "kind", "id", "who", "utc_ns", "note")},
                    ),
                    Header(**header_fields(entry["header"]), id=entry["id"]),
                    None if entry["verdict"] is None else verdict_of(entry["verdict"]),
                )
                for entry in answer["in_force"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BusError(f"the server of bench {bench} tells of calibrations in an unknown way: {error}") from None


def fetch(ask: Ask, calibration_id: str) -> Calibration:
    """A calibration as the server sends it, checked by its hash."""
    data = np.asarray(ask("calibration", calibration_id), np.uint8).tobytes()
    return decode(data, calibration_id, f"what the server sent as calibration {calibration_id[:12]}")


def must_hold(
    found: InForce | None,
    need: str,
    config: BenchConfig | None,
    bench: str,
    identity_of: Callable[[str], Identity | None],
    setting_of: Callable[[str], float | None],
) -> Header:
    """The header of a calibration that is needed. CalibrationError, with the cure, if it is missing, stale or foreign,
    has failed its last check, or was made with other settings.

    identity_of: a role's device, None if the bench has none. setting_of: value of ``ROLE.SETTING``, None where there is
    no such number.
    """
    argument = bench_argument(config) if config is not None else bench
    if found is None:
        raise CalibrationError(f"bench {bench}: no calibration {need} is in force; {_cure_of_missing(need, argument)}")
    accept = config.calibrations.accept if config is not None else ()
    role = found.use.role
    roles = {role if r == found.header.role else r for r in found.header.devices}
    known: Mapping[str, Identity] = {r: who for r in roles if (who := identity_of(r)) is not None}
    settings = {name: value for name in settings_needed(found.header, role) if (value := setting_of(name)) is not None}
    against = objections(found.header, known, role=role, verdict=found.verdict, settings=settings)
    why = refusal(against, accept)
    if why:
        what = cure(found.header.routine, argument, list(against))
        raise CalibrationError(f"bench {bench}: the calibration {found.header.title} {why}; {what}")
    return found.header


def makers(need: str) -> tuple[str, ...]:
    """Names of the registered routines that measure ``KIND`` or ``ROLE.KIND``."""
    role, _, kind = need.rpartition(".")
    found = []
    for name in registry.names("labctl.calibrations"):
        try:
            places: Iterable[tuple[str, str]] = registry.load("labctl.calibrations", name).places()
        except (ConfigurationError, AttributeError):  # one that cannot be imported is told when it is asked for
            continue
        if any(k == kind and role in ("", r) for r, k in places):
            found.append(name)
    return tuple(found)


def _cure_of_missing(need: str, bench: str) -> str:
    routines = makers(need)
    if not routines:
        known = ", ".join(registry.names("labctl.calibrations")) or "none"
        return f"no routine measures it (there are {known}): put one in force with `labctl calibrations use ID`"
    return " or ".join(cure(name, bench) for name in routines)

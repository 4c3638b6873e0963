"""Protocols, figures and calibration routines with their parameters, from the entry points."""

from __future__ import annotations

from typing import Any

from generated.fields import fields
from generated.markdown import doc, prose, table
from labctl import registry


def protocols() -> str:
    """One section a protocol."""
    return _sections("labctl.protocols", "labctl run")


def figures() -> str:
    """One section a figure, with the targets it is held to."""
    return _sections("labctl.figures", "labctl figure")


def calibrations() -> str:
    """One section a routine."""
    return _sections("labctl.calibrations", "labctl calibrate")


def _sections(group: registry.Group, command: str) -> str:
    parts = []
    for name in registry.names(group):
        found = registry.load(group, name)
        parts += [f"## {name}", prose(doc(found)), _needs(found, f"{command} {name}"), _targets(found)]
        parts.append(fields(found.Parameters) or "No parameters.")
    return "\n\n".join(part for part in parts if part)


def _needs(found: Any, command: str) -> str:
    told = [f"`{command}`", f"bench `{found.bench}`"]
    for what in ("roles", "alignments", "calibrations", "kinds", "requires"):
        names = getattr(found, what, ())
        if names:
            told.append(f"{what} {', '.join(f'`{one}`' for one in names)}")
    return "; ".join(told)


def _targets(found: Any) -> str:
    """Bounds at the published parameters; "" where there are none or they follow from files that are not here."""
    targets = getattr(found, "targets", None)
    if targets is None or any(field.is_required() for field in found.Parameters.model_fields.values()):
        return ""
    bounds = found().targets(found.Parameters())
    rows = [(f"`{name}`", _bound(limits, "min"), _bound(limits, "max")) for name, limits in (bounds or {}).items()]
    return table(("value", "at least", "at most"), rows)


def _bound(limits: Any, which: str) -> str:
    """One end, "" where there is none."""
    return f"{limits[which]:.6g}" if which in limits else ""

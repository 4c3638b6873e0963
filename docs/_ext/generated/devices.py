"""Settings and operations of every kind of device, and keys of drivers and emulators."""

from __future__ import annotations

import inspect
import re
from typing import Any

from generated.fields import fields
from generated.markdown import doc, first_paragraph, prose, table
from labctl import registry


def kinds() -> str:
    """One section a kind."""
    parts = []
    for name in registry.names("labctl.kinds"):
        kind = registry.load("labctl.kinds", name)
        parts += [f"## {name}", prose(doc(kind)), _settings(kind), _operations(kind), _calibrations(kind)]
    return "\n\n".join(part for part in parts if part)


def drivers() -> str:
    """One section a driver with the keys it takes beside the kind's settings."""
    return _options("labctl.drivers")


def emulators() -> str:
    """The same of emulated instruments."""
    return _options("labctl.emulators")


def _options(group: registry.Group) -> str:
    parts = []
    for name in registry.names(group):
        found = registry.load(group, name)
        model = getattr(found, "Options", None)
        kind = f" Kind: `{found.kind}`." if getattr(found, "kind", "") else ""
        parts += [
            f"### {name}",
            prose(first_paragraph(doc(found))) + kind,
            fields(model) if model else "No keys of its own.",
        ]
    return "\n\n".join(part for part in parts if part)


def _settings(kind: Any) -> str:
    rows = []
    for name, setting in kind.declared_settings().items():
        info = setting.info(setting.limits)
        low, high = info.limits.minimum, info.limits.maximum
        allowed = ", ".join(f"`{one}`" for one in info.choices or ())
        allowed = allowed or " to ".join(f"{one:g}" for one in (low, high) if one is not None)
        allowed = f"≥ {low:g}" if low is not None and high is None else allowed
        can = "read" if info.read_only else "read, write; true needs a lease" if info.needs_lease else "read, write"
        rows.append((f"`{name}`", info.value_type, info.unit or "", allowed, can, prose(info.doc)))
    return table(("setting", "type", "unit", "allowed", "may", "what"), rows)


def _operations(kind: Any) -> str:
    parts = []
    for name, observes in kind.declared_operations().items():
        method = getattr(kind, name)
        signature = inspect.signature(method)
        shown = signature.replace(parameters=list(signature.parameters.values())[1:])
        call = re.sub(r"(: |-> )'([^']*)'", r"\1\2", f"{name}{shown}")  # annotations are texts, not what is passed
        told = prose(doc(method)).replace("\n-", "\n\\-") or ""
        note = "observes: needs no control" if observes else "needs that nobody else has control"
        parts.append(f"```text\n{call}\n```\n\n{told} *({note}.)*")
    return "\n\n".join(parts)


def _calibrations(kind: Any) -> str:
    rows = [(f"`{name}`", prose(one.doc)) for name, one in kind.declared_calibrations().items()]
    return table(("calibration", "what"), rows)

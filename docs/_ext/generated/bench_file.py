"""Tables of a bench file from the models that check it."""

from __future__ import annotations

from pydantic import BaseModel

from generated.fields import fields
from generated.markdown import doc, first_paragraph, prose
from labctl import registry
from labctl.bench.interlocks import RULES
from labctl.bench.schema import (
    BenchTable,
    CalibrationsTable,
    DeviceTable,
    LimitTable,
    NetworkTable,
    RecoveryTable,
    ServerTable,
)

_TABLES: dict[str, type[BaseModel]] = {
    "[bench]": BenchTable,
    "[devices.NAME]": DeviceTable,
    "limits.KEY within a device": LimitTable,
    "[servers.NAME]": ServerTable,
    "[network]": NetworkTable,
    "[calibrations]": CalibrationsTable,
    "[recovery]": RecoveryTable,
}


def text() -> str:
    """The fixed tables."""
    parts = []
    for title, model in _TABLES.items():
        told = first_paragraph(doc(model))
        parts += [f"## {title}", prose(told), fields(model)]
    return "\n\n".join(parts)


def rules() -> str:
    """Keys of every kind of interlock."""
    return "\n\n".join(
        part
        for name, rule in RULES.items()
        for part in (f"### {name}", prose(first_paragraph(doc(rule))), fields(rule))
    )


def worlds() -> str:
    """Parameters of every registered world, and of every table of alignment."""
    parts = ["## Worlds"]
    for name in registry.names("labctl.worlds"):
        world = registry.load("labctl.worlds", name)
        parts += [f"### world {name}", prose(first_paragraph(doc(world))), fields(world.Parameters)]
    parts.append("## Alignments")
    for name in registry.names("labctl.alignments"):
        model = registry.load("labctl.alignments", name)
        parts += [f"### [alignment.{name}]", prose(first_paragraph(doc(model))), fields(model)]
    return "\n\n".join(parts)

"""One thing that was looked at: how it is, and what to do where it is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

State = Literal["ok", "note", "broken"]


class Finding(msgspec.Struct, frozen=True):
    """area: such as "folders". state: "ok"; "note" where something is missing that only some need, or is slow;
    "broken" where labctl does not work as it should. cure: a command or an act, "" if all is well."""

    area: str
    what: str
    state: State
    told: str
    cure: str = ""


Findings = Iterator[Finding]


def taken_apart(error: Exception) -> tuple[str, str]:
    """What an error of labctl's says is wrong, and the cure that follows after its last semicolon."""
    told, _, cure = str(error).rpartition("; ")
    return (told, cure) if told else (cure, "see docs/bus.md")

"""TOML that pages show is TOML, and what it says of devices, rules and tables is taken by `labctl check`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from labctl.bench.devices import device_config
from labctl.bench.interlocks import RULES
from labctl.bench.problems import Finding
from labctl.bench.schema import (
    BenchTable,
    CalibrationsTable,
    NetworkTable,
    RecoveryTable,
    ServerTable,
    validated,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^( *)```toml\n(?P<text>.*?)^\1```", re.MULTILINE | re.DOTALL)
_TABLES: dict[str, type[BaseModel]] = {
    "bench": BenchTable,
    "network": NetworkTable,
    "calibrations": CalibrationsTable,
    "recovery": RecoveryTable,
}
BLOCKS = [
    (f"{page.relative_to(DOCS)}:{text.count(chr(10), 0, block.start()) + 1}", block["text"])
    for page in sorted(DOCS.rglob("*.md"))
    if (text := page.read_text(encoding="utf-8"))
    for block in _BLOCK.finditer(text)
]


def findings_of(tables: dict[str, Any]) -> list[Finding]:
    """What would be wrong with these tables in a bench file that has all else."""
    found: list[Finding] = []
    for name, model in _TABLES.items():
        if name in tables:
            validated(model, tables[name], (name,), found)
    for name, table in tables.get("servers", {}).items():
        validated(ServerTable, table, ("servers", name), found)
    for name, table in tables.get("interlocks", {}).items():
        validated(RULES[table["rule"]], table, ("interlocks", name), found)
    for name, table in tables.get("devices", {}).items():
        if "kind" in table:  # else it is an overlay's
            device_config(name, table, found)
    return found


@pytest.mark.parametrize("text", [text for _, text in BLOCKS], ids=[where for where, _ in BLOCKS])
def test_what_a_page_shows_can_stand_in_a_file(text: str) -> None:
    found = findings_of(tomllib.loads(text))
    assert not found, "\n".join(f"{'.'.join(map(str, one.path))}: {one.found}" for one in found)


def test_a_wrong_key_is_found() -> None:
    assert findings_of(tomllib.loads('[devices.camera]\nkind = "camera"\nbackend = "simulated"\nexposur = "1 ms"'))

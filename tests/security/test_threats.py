"""docs/threats.md names a test for what it says is defended: they are there."""

from __future__ import annotations

import re
from pathlib import Path


def test_every_test_that_the_threat_model_names_is_there(repository: Path) -> None:
    page = (repository / "docs" / "threats.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 15
    missing = [
        f"{file}::{test}"
        for file, test in named
        if f"def {test}(" not in (repository / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_row_of_who_has_a_defence_and_a_test(repository: Path) -> None:
    page = (repository / "docs" / "threats.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|(.*)\|$", page.split("## Who")[1].split("## What")[0], re.MULTILINE)[2:]
    assert len(rows) > 10
    for row in rows:
        _, tries, by, test = (cell.strip() for cell in row.split("|"))
        assert tries
        assert by
        assert "`tests/" in test or "`make audit`" in test

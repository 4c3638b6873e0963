"""docs/dependencies.md lists every package that pyproject.toml names, as it names it, and no other."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_ROW = re.compile(r"^\| (?P<name>[\w.-]+) \| (?P<floor>[=><]=[\w.]+) \| (?P<rest>.+) \|$", re.MULTILINE)
_NEED = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)(?P<floor>.*)")
_REACH = {"native", "reads", "network", "runs", "-"}


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "dependencies.md").read_text(encoding="utf-8")


def needed(repository: Path) -> dict[str, str]:
    """Floors by name, of everything direct: runtime, extras, build."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    every = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    every += [text for extra in extras for text in extra]
    found: dict[str, str] = {}
    for text in every:
        match = _NEED.fullmatch(text)
        assert match is not None, text
        assert found.setdefault(match["name"], match["floor"]) == match["floor"], f"two floors of {match['name']}"
    return found


def test_every_direct_dependency_is_listed_once_with_its_floor_and_no_other(page: str, repository: Path) -> None:
    rows = [(row["name"], row["floor"]) for row in _ROW.finditer(page)]
    assert len(rows) == len(dict(rows))
    assert dict(rows) == needed(repository)


def test_every_line_says_licence_reason_reach_and_what_is_known(page: str) -> None:
    for row in _ROW.finditer(page):
        licence, why, reach, known = (cell.strip() for cell in row["rest"].split(" | "))
        assert licence
        assert why
        assert known, row["name"]
        assert set(reach.split(", ")) <= _REACH, row["name"]


def test_the_list_says_when_it_was_gone_through(page: str) -> None:
    match = re.search(r"gone through on \*\*(\d{4}-\d\d-\d\d)\*\*", page)
    assert match is not None
    assert date.fromisoformat(match[1]) >= date(2026, 11, 27)


def audit(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", repository / "scripts" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "nothing is known against 1 packages"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}, {"name": "b"}],
            1,
            "a 1: CVE-1, mended in 2",
        ),
        ([{"name": "a", "skip_reason": "not found"}], 0, "nothing was audited"),
        (
            [{"name": "a", "skip_reason": "x"}, {"name": "b", "version": "1", "vulns": []}],
            0,
            "1 of 2 packages could not",
        ),
    ],
    ids=["clean", "vulnerable", "no database", "some unknown"],
)
def test_the_audit_tells_clean_from_vulnerable_from_not_asked(
    packages: list[dict[str, Any]], status: int, said: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(repository).report(packages) == status
    assert said in capsys.readouterr().out

"""Command lines that pages show can be called: commands, options, names and parameters are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_lines import lines_of, problem

from labctl import registry

_NAME = re.compile(r"`((?:prbm|dyad|domino|nep|langevin|calibration)\.[a-z][A-Za-z0-9-]*)`")


def pages(repository: Path) -> list[Path]:
    return [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]


def module(repository: Path, name: str) -> bool:
    room, _, part = name.partition(".")
    return part == "py" or any((repository / room / path).exists() for path in (part, f"{part}.py"))


def test_every_command_line_can_be_called(repository: Path) -> None:
    wrong = [
        f"{page.relative_to(repository)}:{number}: {line}: {told}"
        for page in pages(repository)
        for number, line in lines_of(page)
        if (told := problem(line))
    ]
    assert not wrong, "\n".join(wrong)


def test_many_command_lines_are_found(repository: Path) -> None:
    assert sum(1 for page in pages(repository) for _ in lines_of(page)) > 300


def test_every_experiment_that_is_named_is_there(repository: Path) -> None:
    groups: tuple[registry.Group, ...] = ("labctl.protocols", "labctl.figures", "labctl.calibrations")
    known = {name for group in groups for name in registry.names(group)}
    wrong = [
        f"{page.relative_to(repository)}: {found[1]}"
        for page in pages(repository)
        for found in _NAME.finditer(page.read_text(encoding="utf-8"))
        if found[1] not in known and not module(repository, found[1])
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("labctl fly", "fly"),
        ("labctl run prbm.generat", "prbm.generat"),
        ("labctl run prbm.generate --bench prbm-simm", "prbm-simm"),
        ("labctl run prbm.generate --set image=3", "image"),
        ("labctl run prbm.generate --set images=many", "images"),
        ("labctl figure prbm.ising --sed 3", "--sed"),
        ("labctl figure prbm.ising --set L=8,12 temperature=2", "temperature"),
        ("labctl up mine", "mine"),
        ("labctl keys male alice", "male"),
        ("labctl conformance zyla", "zyla"),
        ("labctl calibrate slm-phas --bench prbm-lab", "slm-phas"),
    ],
)
def test_a_command_line_that_is_wrong_is_found(line: str, told: str) -> None:
    assert told in problem(line)

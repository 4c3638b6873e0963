"""Command lines that pages show can be called: commands, options, names and parameters are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_lines import lines_of, problem, root

from labctl import registry
from labctl.cli.examples import EXAMPLES

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


def test_every_command_says_what_it_does_its_exit_statuses_and_how_it_is_called() -> None:
    found = dict(commands(root()))
    assert found.keys() == EXAMPLES.keys()
    for name, command in found.items():
        told = command.get_help(command.context_class(command, info_name=name))
        assert "Exit status" in told, name
        assert "Examples:" in told, name
        assert all(parameter.help for parameter in command.params), name
        for example in EXAMPLES[name]:
            assert example in told
            assert example.startswith(f"labctl {name}")
            assert not problem(example), example


def test_lists_of_commands_tell_all_of_what_each_does() -> None:
    command = root()
    told = command.get_help(command.context_class(command, info_name="labctl"))
    assert "..." not in told.partition("Commands:")[2]


def commands(command: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Those that do something, by what is typed for them."""
    if not hasattr(command, "commands"):
        yield " ".join(names), command
        return
    for name, below in command.commands.items():
        yield from commands(below, (*names, name))


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

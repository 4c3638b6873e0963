"""Command lines of `labctl` on the pages, and what is wrong with them, by the commands and names that there are."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.bench.load import packaged_benches
from labctl.bench.overrides import parse_assignments
from labctl.cli.app import app

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
_INDENTED = re.compile(r"^    labctl .*$", re.MULTILINE)
_INLINE = re.compile(r"(?<!`)`(?P<text>labctl [^`]+)`(?!`)")
_COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/bin/)?(?P<line>labctl(?: .*)?)$")
_OF_A_BENCH = ("world.", "devices.", "bench.", "servers.", "interlocks.", "recovery.", "calibrations.", "network.")
_TAKES_EXPERIMENTS: dict[str, tuple[registry.Group, ...]] = {
    "run": ("labctl.protocols", "labctl.calibrations"),
    "figure": ("labctl.figures",),
    "sweep": ("labctl.figures", "labctl.protocols"),
    "calibrate": ("labctl.calibrations",),
}
_TAKES_A_BENCH_FILE = ("check", "up", "record", "emulate", "leco")


@dataclass
class Given:
    """A command line taken apart."""

    names: list[str]
    """`calibrations list`: the command, and the one below it."""
    positional: list[str] = field(default_factory=list)
    options: dict[str, list[str]] = field(default_factory=dict)


def lines_of(page: Path) -> Iterator[tuple[int, str]]:
    """Command lines with the numbers of their lines: in blocks without a language, and in backticks."""
    text = page.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        if fence["language"] not in ("", "text", "console", "sh"):
            continue
        first = text.count("\n", 0, fence.start("text")) + 1
        for number, line in enumerate(fence["text"].splitlines()):
            found = _COMMAND.match(line.strip())
            if found is not None and "──" not in line:  # which draws processes
                yield first + number, found["line"]
    outside = _FENCE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    for pattern, group in ((_INLINE, "text"), (_INDENTED, 0)):
        for found in pattern.finditer(outside):
            yield outside.count("\n", 0, found.start()) + 1, re.sub(r"\s+", " ", found[group]).strip()


def problem(line: str) -> str:
    """What is wrong with a command line; "" if nothing is."""
    words = [word for word in shlex.split(line, comments=True) if word not in ("&", "…", "...")][1:]
    command: Any = root()
    names: list[str] = []
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if placeholder(words[0]):
            return ""
        name = words.pop(0).rstrip(",;.")
        if name not in command.commands:
            return f"no command {name!r}"
        command, names = command.commands[name], [*names, name]
    given = Given(names)
    wrong = _take(command, words, given)
    return wrong or _unknown_names(given)


@functools.cache
def root() -> Any:
    """All commands."""
    return typer.main.get_command(app)


def placeholder(word: str) -> bool:
    """Whether it stands for something the reader puts there."""
    return "…" in word or word.isupper() or word.startswith(("[", "{", "PATH/"))


def _take(command: Any, words: list[str], given: Given) -> str:
    known = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}
    known |= dict.fromkeys(("--help", "--install-completion", "--show-completion"))
    last = ""
    while words:
        word = words.pop(0).strip("[]").rstrip(",;")
        name, equals, value = word.partition("=")
        if not word.startswith("-") or word == "-":
            # --set and its like take more of KEY=VALUE than one, of commands that take further ones.
            more = "=" in word and last == "--set" and any(option.name == "more" for option in command.params)
            given.options.setdefault("--set", []).append(word) if more else given.positional.append(word)
            continue
        if name not in known:
            return f"{' '.join(given.names)} has no option {name}"
        option, last = known[name], name
        if option is not None and not option.is_flag:
            if not equals and not words:
                return ""  # the option itself is told of, or its value stands for something
            given.options.setdefault(name, []).append(value if equals else words.pop(0).strip("[]"))
    return ""


def _unknown_names(given: Given) -> str:
    command = " ".join(given.names)
    for bench in given.options.get("--bench", []):
        if not _bench(bench):
            return f"no bench {bench!r}"
    first = given.positional[0] if given.positional else ""
    if command in _TAKES_A_BENCH_FILE and first and not _bench(first):
        return f"no bench {first!r}"
    if command == "conformance" and first and first not in registry.names("labctl.drivers") and not placeholder(first):
        return f"no driver {first!r}"
    groups = _TAKES_EXPERIMENTS.get(command)
    if groups is None or not first or placeholder(first):
        return ""
    wanted = [word for word in given.positional if "=" not in word] if command == "calibrate" else [first]
    for name in (name.rstrip(".") for name in wanted if not placeholder(name)):
        if not any(name in registry.names(group) for group in groups):
            return f"{command}: no {name!r}"
    given_to = next(registry.load(group, first) for group in groups if first in registry.names(group))
    return _unfit(given_to, given, command)


def _unfit(experiment: Any, given: Given, command: str) -> str:
    assigned = [text for text in given.options.get("--set", []) + given.positional[1:] if "…" not in text]
    keys = {text.partition("=")[0] for text in assigned if "=" in text and not text.isupper()}
    unknown = [k for k in keys if not k.startswith(_OF_A_BENCH) and k not in experiment.Parameters.model_fields]
    if unknown:
        return f"{experiment.__name__} has no parameter {', '.join(unknown)}"
    if command not in ("run", "figure"):  # a sweep's are lists and ranges
        return ""
    own = [text for text in assigned if "=" in text and not text.startswith(_OF_A_BENCH) and "MODEL" not in text]
    try:
        experiment.Parameters.model_validate(parse_assignments(own))
    except (ValidationError, ConfigurationError) as error:
        errors = error.errors() if isinstance(error, ValidationError) else []
        if errors and all(one["type"] == "missing" for one in errors):
            return ""
        return str(error)
    return ""


def _bench(name: str) -> bool:
    return name in packaged_benches() or name.endswith(".toml") or placeholder(name)

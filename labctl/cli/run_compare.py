"""`labctl repeat` and `labctl runs compare`."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError
from labctl.experiments.console import Console
from labctl.guard import FAILED
from labctl.plain import plain
from labctl.runfile.file import find_run
from labctl.runs.compare import DIFFERENT, IDENTICAL, Compared, Comparison, check_noise, compare
from labctl.runs.data import RunData
from labctl.runs.repeat import again, repeat

_TOLD = 12


def repeat_run(given: str, out: Path, into: Path | None, noise: list[str], as_json: bool) -> int:
    """Make a run again and compare it with what it was."""
    path = find_run(given, out)
    stated = _noise(noise)
    told = again(path)
    check_noise(RunData(path), stated)
    console = Console(quiet=as_json)
    console.say(f"again: {told.command.text or told.run.protocol}   with the bench file of the run")
    begun: list[Path] = []
    try:
        repeat(told, into or path.parent, console, begun.append)
    finally:
        if begun:
            console.say(f"run file: {begun[0]}")
    comparison = compare(RunData(path), RunData(begun[0]), stated)
    return _tell(comparison, as_json, {"command": told.command.text, "folder": told.command.folder})


def compare_runs(a: str, b: str, out: Path, noise: list[str], as_json: bool) -> int:
    """Compare two runs."""
    stated = _noise(noise)
    return _tell(compare(RunData(find_run(a, out)), RunData(find_run(b, out)), stated), as_json, {})


def _noise(given: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in given:
        name, equals, value = text.rpartition("=")
        try:
            number = float(value) if equals else math.nan
        except ValueError:
            number = math.nan
        if not name or not 0 <= number < math.inf:
            raise ConfigurationError(
                f"--noise {text}: write NAME=NUMBER with a standard deviation of 0 or more, as steps/frame=3 or "
                "'results/*=0.01'"
            )
        found[name if "/" in name else f"*/{name}"] = number
    return found


def _tell(comparison: Comparison, as_json: bool, more: dict[str, Any]) -> int:
    status = 0 if comparison.same else FAILED
    if as_json:
        told = {
            "a": str(comparison.a.path.absolute()),
            "b": str(comparison.b.path.absolute()),
            "verdict": comparison.verdict,
            "same": comparison.same,
            "setting": comparison.setting,
            "found": [vars(one) for one in comparison.found],
            **more,
        }
        print(json.dumps(plain(told)))  # noqa: T201
        return status
    for line in _lines(comparison):
        print(line)  # noqa: T201
    sys.stdout.flush()
    return status


def _lines(comparison: Comparison) -> list[str]:
    lines = [f"a {comparison.a.path}", f"b {comparison.b.path}"]
    setting = list(comparison.setting.items())
    lines += [f"  {name}: {_short(one)} | {_short(other)}" for name, (one, other) in setting[:_TOLD]]
    lines += [f"  … and {len(setting) - _TOLD} more that differ in how they were made"] if len(setting) > _TOLD else []
    same = [one.name for one in comparison.found if one.verdict == IDENTICAL]
    lines.append(f"identical: {', '.join(same) or 'nothing'}")
    width = max((len(one.name) for one in comparison.found if one.verdict != IDENTICAL), default=0)
    lines += [_line(one, width) for one in comparison.found if one.verdict != IDENTICAL]
    lines.append(f"{'✗' if comparison.verdict == DIFFERENT else '✓'} {comparison.verdict}")
    return lines


def _line(one: Compared, width: int) -> str:
    parts = [one.why] if one.why else []
    if one.largest is not None:
        parts.append(f"largest difference {one.largest:.3g}")
    if one.sigmas is not None and one.most is not None:
        parts.append(f"{one.sigmas:.2g} sd, {one.most:.2g} allowed")
    return f"  {one.name:{width}}  {one.verdict}: {'; '.join(parts)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"

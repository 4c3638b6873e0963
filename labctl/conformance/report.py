"""What conformance found, as a page of documentation: drivers by backends and layouts, and the checks of each kind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from labctl import registry
from labctl.conformance.runner import Result
from labctl.conformance.stand import LAYOUTS, mutations_of

_HEAD = """# Conformance

One suite per kind of device, the same on every backend: numbers, timing, errors and safe state, not signatures.
Written by `labctl conformance --report docs/conformance.md`; one driver is tried by `labctl conformance DRIVER`, and
`labctl conformance DRIVER --mutate scale` breaks the instrument underneath, which a check must find. Every driver runs
on an emulated instrument: no hardware was seen.

Checks passed, of all there are:
"""


def report(results: Iterable[Result]) -> str:
    """The page, in Markdown."""
    found: dict[tuple[str, str], dict[tuple[str, str], list[Result]]] = {}
    for result in results:
        columns = found.setdefault((result.kind, result.subject), {})
        columns.setdefault((result.backend, result.layout), []).append(result)
    lines = [
        f"| kind | driver | {' | '.join(LAYOUTS)} | mutations that are found |",
        "| --- | --- | " + "--- | " * (len(LAYOUTS) + 1),
    ]
    broken: list[str] = []
    for (kind, subject), columns in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] != item[0][0])):
        backend = next(iter(columns))[0]
        cells = [_cell(columns.get((backend, layout), [])) for layout in LAYOUTS]
        name = "simulated" if backend == "simulated" else f"`{subject}`"
        mutations = ", ".join(mutations_of(subject)) if backend == "emulated" else "–"
        lines.append(f"| {kind} | {name} | {' | '.join(cells)} | {mutations} |")
        broken += [
            f"- {name}, {layout}: `{result.check}`: {result.broken.splitlines()[0]}"
            for (_, layout), results_ in columns.items()
            for result in results_
            if result.broken
        ]
    if broken:
        lines += ["", "Not kept:", "", *broken]
    kinds = sorted({kind for kind, _ in found})
    return "\n".join([_HEAD, *lines, "", *_checks(kinds)])


def write(results: Iterable[Result], path: Path) -> None:
    """Write the page."""
    path.write_text(report(results), encoding="utf-8")


def _cell(results: list[Result]) -> str:
    return f"{sum(not r.broken for r in results)} of {len(results)}" if results else "–"


def _checks(kinds: list[str]) -> list[str]:
    """What each suite checks; what all of them share comes first."""
    suites = {kind: registry.load("labctl.conformance", kind).checks for kind in kinds}
    if not suites:
        return []
    everywhere = set.intersection(*({check.name for check in checks} for checks in suites.values()))
    first = next(iter(suites.values()))
    lines = ["## Of every device", "", *[_line(c.name, c.doc) for c in first if c.name in everywhere], ""]
    for kind, checks in suites.items():
        lines += [f"## Of every {kind}", "", *[_line(c.name, c.doc) for c in checks if c.name not in everywhere], ""]
    return lines


def _line(name: str, doc: str) -> str:
    words = name.replace("_s_", "'s ").replace("_", " ")
    begun = doc[:1] if doc[1:2].isupper() else doc[:1].lower()  # UTC stays UTC
    return f"- {words}: {begun}{doc[1:]}"

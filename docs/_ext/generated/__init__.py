"""Reference pages from the code: where a page says ``<!-- generated: NAME -->``, the text is made when it is built."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sphinx.application import Sphinx

from generated import bench_file, commands, devices, environment, experiments

_MARK = re.compile(r"^<!-- generated: (?P<name>[a-z-]+) -->$", re.MULTILINE)
_MAY_BE_MISSING = re.compile(r"^(?P<pattern>\w+\[\w\])\n", re.MULTILINE)
"""Of a table of contents: pages that a command writes, as a pattern that one page matches."""

MAKERS: dict[str, Callable[[], str]] = {
    "commands": commands.text,
    "bench-file": bench_file.text,
    "interlock-rules": bench_file.rules,
    "worlds": bench_file.worlds,
    "kinds": devices.kinds,
    "drivers": devices.drivers,
    "emulators": devices.emulators,
    "protocols": experiments.protocols,
    "figures": experiments.figures,
    "calibrations": experiments.calibrations,
    "errors": environment.errors,
    "exporters": environment.exporters,
    "variables": environment.variables,
}


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace every mark of a page by its text."""
    source[0] = _MARK.sub(lambda mark: MAKERS[mark["name"]](), source[0])
    if page == app.config.root_doc:
        source[0] = _MAY_BE_MISSING.sub(lambda found: found[0] if _there(app, found["pattern"]) else "", source[0])


def _there(app: Sphinx, pattern: str) -> bool:
    return any(app.srcdir.glob(f"{pattern}.md"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

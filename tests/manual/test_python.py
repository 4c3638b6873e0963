"""Python on the pages runs as it stands, page by page, one block after the other as a reader would type them.

What a block needs and the page does not show stands in a comment before it (`invisible-code-block`). There, ``closing``
is an ExitStack that is closed at the end of the page, and ``labctl(…)`` calls the command.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser

from labctl.cli.app import app

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^```python\n", re.MULTILINE)

COMPILED_ONLY = {
    # Takes minutes; tests/dyad/test_dyad_calibrate.py drives a small lattice so.
    ("dyad.md", "lattice = DyadLattice("),
    # Holds a lease of 2 s, too short for a machine that is busy; tests/neighbours/test_bluesky.py makes such scans.
    ("neighbours.md", "from bluesky import"),
    # Needs a Coordinator at LECO's own port; tests/neighbours/test_leco.py makes these calls.
    ("neighbours.md", "from pyleco.directors"),
}

WITH_PYTHON = sorted(
    os.path.relpath(page, DOCS)
    for page in (DOCS.parent / "README.md", *DOCS.rglob("*.md"))
    if _BLOCK.search(page.read_text(encoding="utf-8"))
)


def labctl(*arguments: str) -> None:
    """The command, in this process; it must end well."""
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        status = app(list(arguments), standalone_mode=False)
    assert not status, arguments


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(DOCS / page)
    ran = 0
    with contextlib.ExitStack() as closing:
        closing.callback(plt.close, "all")
        document.namespace.update(closing=closing, labctl=labctl)
        for example in document.examples():
            text = str(example.parsed)
            if any(page == where and text.lstrip().startswith(start) for where, start in COMPILED_ONLY):
                compile(text, page, "exec")
                continue
            example.evaluate()
            ran += 1
    assert ran or any(page == where for where, _ in COMPILED_ONLY)


def test_what_is_only_compiled_is_still_there() -> None:
    for page, start in COMPILED_ONLY:
        assert f"```python\n{start}" in (DOCS / page).read_text(encoding="utf-8")


def test_a_block_that_fails_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n```python\n1 / 0\n```\n", encoding="utf-8")
    document: Any = Sybil(parsers=[PythonCodeBlockParser()]).parse(page)
    with pytest.raises(ZeroDivisionError):
        next(iter(document.examples())).evaluate()

"""The manual is built without a warning, from the code as it is, and is read without a network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from labctl import registry

_LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["'](?P<where>(?:https?:)?//[^"']+)""")


@pytest.fixture(scope="module")
def manual(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("manual")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(out / "trees"),
         str(repository / "docs"), str(out / "html")],
        capture_output=True,
        text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_nothing_is_loaded_from_a_network(manual: Path) -> None:
    loaded = {
        f"{page.name}: {found['where']}"
        for page in manual.rglob("*.html")
        for found in _LOADED.finditer(page.read_text(encoding="utf-8"))
    }
    assert not loaded


def test_equations_need_no_script(manual: Path) -> None:
    page = (manual / "physics" / "dyad.html").read_text(encoding="utf-8")
    assert page.count("<math") > 20
    assert not re.search(r"<script[^>]*(?:mathjax|katex)", page, re.IGNORECASE)


def test_everything_registered_is_in_the_reference(manual: Path) -> None:
    groups: dict[registry.Group, str] = {
        "labctl.protocols": "protocols",
        "labctl.figures": "figures",
        "labctl.calibrations": "calibrations",
        "labctl.kinds": "device-kinds",
        "labctl.drivers": "drivers",
        "labctl.worlds": "worlds",
    }
    for group, page in groups.items():
        text = (manual / "reference" / f"{page}.html").read_text(encoding="utf-8")
        assert all(name in text for name in registry.names(group)), page


def test_it_can_be_searched(manual: Path) -> None:
    index = (manual / "searchindex.js").read_text(encoding="utf-8")
    assert all(word in index for word in ("exposure", "interlock", "hadamard"))

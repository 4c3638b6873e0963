"""A made-up paper is registered for all tests of a file; the command line, called in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command, command_line
from reproducible import installed


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, installed(tmp_path_factory.mktemp("site") / "site", patch):
        yield


@pytest.fixture
def labctl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Command]:
    """``labctl("reproduce", ...)``: exit status, standard output and error, in a folder of the test's own."""
    with command_line(monkeypatch, capsys, tmp_path) as command:
        yield command

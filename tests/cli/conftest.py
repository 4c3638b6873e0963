"""The command line, called in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command, command_line


@pytest.fixture
def labctl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Command]:
    """``labctl("run", ...)``: exit status, standard output and error. Runs go to a folder of the test's own."""
    with command_line(monkeypatch, capsys, tmp_path) as command:
        yield command

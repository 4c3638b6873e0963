"""The command line, called in this process."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from commands import Command, Done

from labctl.cli.app import main


@pytest.fixture
def labctl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> Iterator[Command]:
    """``labctl("run", ...)``: exit status, standard output and error. Runs go to a folder of the test's own."""
    handlers = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["labctl", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        code = stop.value.code
        return Done(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)

"""The fixture ``labctl`` of several folders of tests, and what it returns."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from labctl.cli.app import main


@dataclass
class Done:
    """A finished command."""

    status: int
    out: str
    err: str


Command = Callable[..., Done]
"""The command line, called in this process."""


@contextmanager
def command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> Iterator[Command]:
    """``labctl("run", ...)``: exit status, standard output and error. It is called in the folder."""
    handlers = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.chdir(folder)

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

"""Ctrl-C ends a run wherever it comes, also where Python drops the exception it raises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, signal, sys, weakref
from pathlib import Path
from labctl.guard import guarded
from labctl.experiments.recorder import Recorder

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell takes from what it runs in the background

class Thing:
    pass

def interrupted(_):
    os.kill(os.getpid(), signal.{signal})
    for _ in range(1000):  # the signal is handled in here, and what its handler raises is ignored
        pass

def command():
    with Recorder("lost", Path(sys.argv[1]), 0) as record:
        for step in record.steps(50, "steps"):
            step.save(number=step.index)
            if step.index == 7:
                thing = Thing()
                reference = weakref.ref(thing, interrupted)
                del thing
        print("ran to its end")

sys.exit(guarded(command))
"""


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
def test_an_interruption_that_python_drops_ends_the_run_at_its_next_step(tmp_path: Path, signal: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(signal=signal), str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert "Exception ignored" in done.stderr  # Python did drop it
    assert done.returncode == 130
    assert "ran to its end" not in done.stdout

"""Ctrl-C ends a run wherever it comes, also where Python drops the exception it raises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drivers.errors import BusError
from labctl.experiments import interruption

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


def interrupted_and_not_tidied_up() -> None:
    try:
        raise KeyboardInterrupt
    finally:
        try:
            raise OSError("the link is down")
        except OSError:
            raise BusError("slm.settle_s: no answer") from None


def test_an_interruption_prevails_over_what_then_cannot_be_tidied_up() -> None:
    with pytest.raises(KeyboardInterrupt), interruption.prevailing():
        interrupted_and_not_tidied_up()


def test_an_error_that_no_interruption_led_to_is_told() -> None:
    with pytest.raises(BusError), interruption.prevailing():
        raise BusError("slm.settle_s: no answer")

"""The shell completes commands, options and registered names."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["cal"], {"calibrate", "calibrations"}),
        (["run", "prbm.gen"], {"prbm.generate"}),
        (["figure", "dyad.steady"], {"dyad.steady-state"}),
        (["up", "prbm-l"], {"prbm-lab"}),
        (["stop", "--rea"], {"--reason"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_names_are_completed(typed: list[str], told: set[str]) -> None:
    words = ["labctl", *typed]
    asked = {"_LABCTL_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; sys.argv = ['labctl']; from labctl.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == told

"""What a person is told while an experiment runs."""

from __future__ import annotations

import pytest

from labctl.experiments.console import Console


def test_a_message_is_one_line_and_keeps_its_brackets(capfd: pytest.CaptureFixture[str]) -> None:
    text = "mend [alignment.domino] of " + 40 * "a/long/path/"
    console = Console()
    console.say(text)
    console.done(text)
    told, finished = capfd.readouterr().err.splitlines()
    assert told == "   " + text
    assert finished.startswith(f" ✓ {text} ")
    assert finished.endswith(" s")

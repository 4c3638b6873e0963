"""A bench that a script has for itself ends with the script, also one in the background, where Ctrl-C is ignored."""

from __future__ import annotations

import signal
import subprocess
import sys

import msgspec
from processes import PATIENCE_S

from labctl.bench.load import load_bench
from labctl.server import runtime


def _deaf() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_it_ends_when_its_script_is_gone() -> None:
    config = load_bench("langevin-sim")
    child = subprocess.Popen(
        [sys.executable, "-m", "labctl.server.apart"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=_deaf,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    task = [str(config.path), {}, config.text, config.overlay_text]
    child.stdin.write(msgspec.json.encode(task) + b"\n")
    child.stdin.flush()
    assert msgspec.json.decode(child.stdout.readline()) is True
    assert runtime.find(config.name) is not None
    try:
        child.communicate(timeout=PATIENCE_S)  # its standard input ends, as when a script is killed
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0
    assert runtime.find(config.name) is None

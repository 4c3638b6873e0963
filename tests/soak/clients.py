"""Clients as processes of their own, which a test may kill, stop or cut off."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0

EMITTER = """
import os, sys, time
from labctl import open_bench
from labctl.client import LabError
at = os.environ.get("SOAK_AT") or None
with open_bench(sys.argv[1], at=at) as bench:
    print("ready", flush=True)
    while order := sys.stdin.readline().strip():
        try:
            with bench.control("emitter"):
                bench.laser.emission = True
                print("on", time.monotonic_ns(), flush=True)
                until = time.monotonic() + 0.2
                while time.monotonic() < until:
                    bench.renew()
                    time.sleep(0.005)
                if order == "hang":
                    bench.renew()
                    print("hanging", time.monotonic_ns(), flush=True)
                    until = time.monotonic() + 1.5
                    while time.monotonic() < until:
                        pass
                while True:
                    bench.renew()
                    time.sleep(0.005)
        except LabError as error:
            print("lost", type(error).__name__, flush=True)
"""

FRAMES = """
import sys
from labctl import open_bench
from labctl.client import LeaseError
with open_bench(sys.argv[1]) as bench:
    camera = bench[sys.argv[2]]
    said = False
    while True:
        try:
            with bench.control("frames", devices=[sys.argv[2]]):
                while True:
                    frame = camera.trigger()
                    assert frame.data[-1, -1] == frame.frame_id & 0xFFFF
                    if not said:
                        said = print("ready", flush=True) or True
        except LeaseError:
            pass  # an emergency stop; this one goes on
"""

LOOKER = """
import sys
from labctl import open_bench
with open_bench(sys.argv[1]) as bench, bench.camera.stream() as stream:
    print("ready", flush=True)
    for item in stream:
        assert item.value.data[0, 0] == item.value.frame_id & 0xFFFF
"""


def start(source: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """A client; whoever starts it ends it."""
    return subprocess.Popen(
        [sys.executable, "-c", source, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        cwd=Path(__file__).resolve().parents[2],
    )


@contextlib.contextmanager
def client(source: str, *arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A client that does not outlive the block."""
    child = start(source, *arguments, **environment)
    try:
        yield child
    finally:
        end(child)


def end(child: subprocess.Popen[Any]) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGCONT)
        child.kill()
    child.communicate()


def say(child: subprocess.Popen[str], text: str) -> None:
    assert child.stdin is not None
    child.stdin.write(text + "\n")
    child.stdin.flush()


def heard(child: subprocess.Popen[str]) -> list[str]:
    """The next line, in words."""
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], PATIENCE_S)
    line = child.stdout.readline() if ready else ""
    if not line:
        child.kill()
        raise AssertionError(f"a client said nothing: {child.communicate()[1]}")
    return line.split()

"""What Windows lacks is taken away, as far as that can be done here: a simulated bench and its runs do without.

This is no test on Windows, of which nothing is known here: it keeps what stands in the way there from coming back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LACKING = """
import os, signal, sys
for module in ("fcntl", "grp", "pwd", "pty", "resource", "termios", "tty"):
    sys.modules[module] = None
for name in ("O_CLOEXEC", "O_NOFOLLOW", "fchmod", "fork", "getuid", "killpg", "mkfifo", "sched_getaffinity", "setsid"):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGSTOP", "SIGCONT", "SIGUSR1"):
    delattr(signal, name)
"""


def without_posix(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LACKING + code],
        cwd=folder,
        env={**os.environ, "LOGNAME": "somebody"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_simulated_bench_gives_frames_and_a_run_is_written_and_read(tmp_path: Path) -> None:
    code = """
import runpy
from labctl import open_bench
with open_bench("prbm-sim") as bench, bench.control("test"):
    bench.source.power_fraction = 0.001
    bench.source.emission = True
    print(bench.camera.trigger().data.max() > 1000)
for arguments in (["figure", "dyad.steady-state", "--json"], ["runs", "show", "latest", "--json"]):
    sys.argv = ["labctl", *arguments]
    try:
        runpy.run_module("labctl", run_name="__main__")
    except SystemExit as end:
        assert not end.code
"""
    light, figure, shown = without_posix(code, tmp_path).splitlines()
    assert light == "True"
    assert '"figure": "dyad.steady-state"' in figure
    assert '"status":"complete"' in shown

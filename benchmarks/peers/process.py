"""A peer's server as a process that cannot outlive its parent: it leaves when its standard input ends."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_START_S = 30.0
_STOP_S = 3.0


class ServerProcess:
    """`python -m MODULE server ARGUMENTS...`, running; `address` is what it announced."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Start the server and wait for its announcement; raises RuntimeError if none comes."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "server", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
        )
        assert self._process.stdout is not None
        try:
            ready, _, _ = select.select([self._process.stdout], [], [], _START_S)
            self.address = self._process.stdout.readline().decode().strip() if ready else ""
            if not self.address:
                raise RuntimeError(f"{module} server {' '.join(arguments)}: did not start")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process: by closing its input, and by a signal if that is not enough."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        for insist in (process.terminate, process.kill):
            try:
                process.wait(_STOP_S)
                break
            except subprocess.TimeoutExpired:
                insist()
        process.wait()
        process.stdout.close()


def socket_folder() -> Path:
    """In the server: a folder for its sockets that only this user can enter, removed when the server leaves."""
    folder = Path(tempfile.mkdtemp(prefix="labctl-bench-"))
    _folders.append(folder)
    return folder


def announce(address: str) -> None:
    """In the server, once it accepts connections: tell the parent where, and from now on leave when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us in its own time
    print(address, flush=True)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


_folders: list[Path] = []


def _leave_with_parent() -> None:
    while os.read(0, 4096):
        pass
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)

"""`labctl` commands of a trial, as processes: on the bench of the stage, with their own folder for runs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PATIENCE_S = 120.0


def command(*words: str) -> list[str]:
    """What to start."""
    return [sys.executable, "-m", "labctl", *words]


def done(*words: str, status: int = 0, environment: Mapping[str, str] | None = None) -> str:
    """A command run to its end; all that it said. AssertionError unless it ends with that exit status."""
    ran = subprocess.run(
        command(*words), capture_output=True, text=True, timeout=_PATIENCE_S, env={**os.environ, **(environment or {})}
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode == status, f"labctl {' '.join(words)} ended with {ran.returncode}, not {status}: {said}"
    assert "Traceback" not in said, said
    return said


def values(*words: str) -> dict[str, Any]:
    """Results of a run, which must be complete."""
    told: dict[str, Any] = json.loads(done(*words, "--json").splitlines()[0])
    found: dict[str, Any] = told["values"]
    return found


@contextlib.contextmanager
def started(words: list[str], environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the block; what it says on standard error can be read."""
    child = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.communicate()


def run_file(folder: Path) -> Path:
    """The only one in a folder."""
    found = sorted(folder.glob("*.h5"))
    assert len(found) == 1, f"{len(found)} run files in {folder}"
    return found[0]


def own_disk() -> list[str]:
    """What a shell is started by that can mount small disks of its own; empty if the system does not allow that."""
    if os.name != "posix" or shutil.which("unshare") is None:
        return []
    flags = ["-m"] if os.getuid() == 0 else ["--user", "--map-current-user", "--keep-caps", "-m"]
    words = ["unshare", *flags]
    tried = subprocess.run([*words, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return words if tried.returncode == 0 else []

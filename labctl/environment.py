"""Where and with what a run was made: versions, machine, git state."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

_PACKAGES = ("labctl", "numpy", "scipy", "numba", "pyzmq", "msgspec", "pydantic", "h5py", "scikit-learn", "mlxtend")


def versions() -> dict[str, str]:
    """Versions of Python, the system and the packages a result depends on."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    # Cached because every look reads the metadata of ten distributions; what is imported does not change any more.
    found = {"python": sys.version.split()[0], "system": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def release() -> str:
    """The package in one line: its version and, in a checkout, the commit and whether files were changed since."""
    state = git_state()
    where = f" ({state['commit'][:12]}{', changed' if state['changed'] == 'yes' else ''})" if state else ""
    return f"labctl {_versions()['labctl']}{where}"


def git_state() -> dict[str, str]:
    """Commit of the labctl source tree and whether it was changed; empty outside a checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return {}
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "changed": "yes" if changed else "no"}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()

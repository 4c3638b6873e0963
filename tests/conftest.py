"""What all tests share: a runtime folder of their own, so that no server of the user's is found or disturbed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Not pytest's tmp_path: a socket's path may be no longer than 107 bytes.
    with tempfile.TemporaryDirectory(prefix="labctl-test-") as folder:
        monkeypatch.setenv("LABCTL_RUNTIME", folder)
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout the tests belong to."""
    return Path(__file__).resolve().parent.parent

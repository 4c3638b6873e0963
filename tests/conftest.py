"""What all tests share: folders of their own for records, logs and keys, so that nothing of the user's is touched."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.bus import segments

# Made-up devices live in one folder, helpers for processes and made-up calibrations in others; tests need several.
sys.path += [str(Path(__file__).parent / folder) for folder in ("bus", "cli", "store", "experiments", "runs", "sweep")]

_OWN = {"LABCTL_RUNTIME": "run", "LABCTL_LOGS": "logs", "LABCTL_KEYS": "keys", "LABCTL_INTERLOCKS": "interlocks"}
_OF_THE_USER = ("LABCTL_AT", "LABCTL_KEY", "LABCTL_DEBUG", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Side by side (`pytest -n 2 --dist loadscope`), the tests of a file stay together, as they share what is set up;
    those of the conformance suite by the device on its stand."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            return test.rpartition("-")[0] if file.endswith("test_conformance.py") else file

    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Some thousand tests and the modules they came with are no garbage: no collection looks through them again."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was printed is told by one process to another, which takes text that can be encoded only."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Not pytest's tmp_path: a socket's path may be no longer than 107 bytes.
    with tempfile.TemporaryDirectory(prefix="labctl-test-", ignore_cleanup_errors=True) as folder:
        for variable, name in _OWN.items():
            place = Path(folder, name)
            place.mkdir(mode=0o700)
            monkeypatch.setenv(variable, str(place))
        monkeypatch.setenv("LABCTL_CALIBRATIONS", str(Path(folder, "calibrations")))  # made by whoever has some
        for variable in _OF_THE_USER:
            monkeypatch.delenv(variable, raising=False)
        yield


def _own_segments() -> set[str]:
    return {p.name for p in segments.folder().glob(f"labctl-*-{os.getpid()}-{segments.process_start(os.getpid())}-*")}


@pytest.fixture(autouse=True)
def _no_shared_memory_is_left() -> Iterator[None]:
    """Of this process; tests that start others look after theirs (`processes.segments_of`)."""
    before = _own_segments()
    yield
    assert _own_segments() <= before, "shared memory was left behind"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout the tests belong to."""
    return Path(__file__).resolve().parent.parent

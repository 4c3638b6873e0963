"""Devices on their stands, each opened once for all its checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from labctl.conformance.stand import Case, Stand, own_folders, standing


@pytest.fixture(scope="module", autouse=True)
def _own_folders() -> Iterator[Path]:
    """In place of those that every other test has for itself: a stand outlives a test."""
    with own_folders() as folder:
        yield folder


@pytest.fixture(autouse=True)
def _no_shared_memory_is_left() -> None:
    """A stand keeps its own until it is closed."""


@pytest.fixture(scope="module")
def stand_of(_own_folders: Path) -> Iterator[Callable[[Case], Stand]]:
    """The stand of a case. It stays open until another is asked for, so that tests in order open each once."""
    with ExitStack() as stack:
        now: list[Stand] = []

        def stand_of(case: Case) -> Stand:
            if not now or now[0].case != case:
                now.clear()
                stack.close()
                now.append(stack.enter_context(standing(case, _own_folders)))
            return now[0]

        yield stand_of

"""A made-up paper is registered for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from reproducible import installed


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, installed(tmp_path_factory.mktemp("site") / "site", patch):
        yield

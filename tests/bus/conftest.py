"""A laboratory of made-up devices for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes import Lab, bench_config, laboratory

from labctl.bench.client import Bench


@pytest.fixture
def lab() -> Iterator[Lab]:
    with laboratory(bench_config()) as made:
        yield made


@pytest.fixture
def bench(lab: Lab) -> Bench:
    return lab.bench()

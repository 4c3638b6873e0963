"""Proofs of the bus on a bench of processes: few trials in every test run, all of them with `make soak`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.table import Table, table


@pytest.fixture
def served() -> Iterator[Table]:
    """A bench of the benchmark's instruments that is up, in folders of its own, with a lease of 0.5 s."""
    with table("soak", lease_s=0.5) as made:
        made.up()
        yield made

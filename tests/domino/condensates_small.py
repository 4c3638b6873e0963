"""Small tables of four condensates, and everything wrong with them that is typical; a network that suits them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, open_bench
from protocols.domino.table.modes import TableOptics, rig_for, set_up_light
from protocols.domino.table.setting_up import SetUp

FOUR: dict[str, object] = {
    "world.slm.columns": 208,
    "world.coupling.columns": 208,
    "world.coupling.rows": 128,
    "world.oscillators.sites": 4,
    "world.oscillators.shots": 300,
    "alignment.domino.camera.row": 971.7,
    "bench.lease": "60 s",  # what is tested here is not how fast a busy machine answers
}

WEIGHTS = np.array([[0, 0.9, 0.7, 0], [0.9, 0, 0.5, 0.4], [0.7, 0.5, 0, 0], [0, 0.4, 0, 0]])


@dataclass(frozen=True)
class OnBench:
    """A table that is set up for `WEIGHTS`, its light on."""

    bench: Bench
    table: TableOptics
    found: SetUp


@contextmanager
def set_up_on(bench_file: str) -> Iterator[OnBench]:
    """Light on meanwhile."""
    with open_bench(bench_file, FOUR) as bench, bench.control("test"):
        rig = rig_for(bench, WEIGHTS)
        with rig.light():
            yield OnBench(bench, *set_up_light(rig, WEIGHTS, np.random.default_rng(0)))


def fields(count: int, seed: int) -> NDArray[np.complex128]:
    """Some of four nodes, (4, count)."""
    return np.random.default_rng(seed).random((4, count)).astype(np.complex128)

"""Steady states of 15 x 150 nodes by light, in batches, on the table of `benches/nep-mnist.toml`: rows of `nep`.

Everything that a training does with a table that is set up is timed: pumps to macro-pixels, a play through bus, device
server and drivers, the world's light and noise, frames to fields. Where things are and what panels do is taken from the
bench's plan, which is enough for speed; set-up takes as long as some thousand frames. Pumps are images of digits with
weights of their own, on one potential. World and encoding use as many threads as there are processors.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, open_bench
from protocols.images.sets import load_digits
from protocols.nep.images.inputs import encode
from protocols.nep.table.encoding import PhaseLaw
from protocols.nep.table.law import Windows
from protocols.nep.table.reading import Places, make_reader
from protocols.nep.table.response import Response, edges_of
from protocols.nep.table.rig import Rig
from protocols.nep.table.sheet import Table
from protocols.rig import emit

BENCH = "nep-mnist"
SAMPLES = 256
"""Of a batch."""

_TURNS = 7
_LARGEST = 0.3
"""Of |P|."""
_POWERS_W = {"pump": 0.006, "reference": 0.05, "reservoir": 0.9}
_PUMP_OF_T = 1.2
"""P of a macro-pixel of 1 with that power, about."""
_LIGHT = 0.6
"""Of full light: a potential of 0.04 E0 above the drive, about."""
_LEAK = 0.05


def rows() -> list[dict[str, Any]]:
    """One row, microseconds for a steady state; ratio: None, there is nothing to compare with.

    Also ``samples_per_s``, ``cpu_ms`` of all threads for a sample, ``threads``.
    """
    with open_bench(BENCH) as bench, bench.control("benchmark"):
        rig = Rig(bench)
        with rig.light():
            return [_row(_by_plan(rig, bench), digits(rig, np.random.default_rng(1)))]


def _by_plan(rig: Rig, bench: Bench) -> Table:
    """Reads and writes where the plan has things."""
    plan = rig.plan
    for role, power_w in _POWERS_W.items():
        laser: Any = getattr(bench, role)
        laser.power_w = power_w
        emit(laser)
    rig.show_potential(rig.potential.pattern(np.where(plan.walls, 0.0, _LIGHT)))
    roi = rig.look_at(1.4 * plan.camera.pitch)
    middle = plan.camera.row - roi.row, plan.camera.column - roi.column
    dark = np.concatenate([np.zeros((1, plan.places[1]), np.bool_), np.ones((1, plan.places[1]), np.bool_), plan.walls])
    reader = make_reader(
        Places(*middle, plan.camera.pitch, 0.0), plan.places, dark, (plan.carrier.row, plan.carrier.column),
        np.full((roi.rows, roi.columns), 1e4), 0.0, rig.alive,
    )  # fmt: skip
    rig.pump.law = PhaseLaw()
    table = Table(rig, reader, Windows(rig.pump.law, np.ones(plan.places[1], np.complex128), 0j, 0.0, 0.0))
    at = (~plan.walls).ravel().astype(np.complex128)
    table.response = Response(
        edges_of(plan.walls), plan.g, True, _PUMP_OF_T * at, 100.0 * at, 0 * at, 0 * at,
        np.full((at.size, 4), _LEAK, np.complex128), 0.0,
    )  # fmt: skip
    return table


def digits(rig: Rig, rng: np.random.Generator) -> NDArray[np.complex128]:
    """Pumps (samples, *shape) of the bench's sheet: each cell is fed the same image, with random weights."""
    plan = rig.plan
    images = load_digits().train.images[:SAMPLES]
    x = encode(images, plan.rows, "max").reshape(len(images), plan.rows, plan.columns)
    pumps = np.zeros((len(x), *plan.mesa), np.complex128)
    for cell in range(plan.cells):
        first = cell * (plan.columns + 1)
        pumps[:, :, first : first + plan.columns] = x * rng.uniform(-1, 1, x.shape[1:])
    return pumps * (_LARGEST / np.abs(pumps).max())


def _row(table: Table, pumps: NDArray[np.complex128]) -> dict[str, Any]:
    table.measure(pumps)
    times_us, cpu_s = np.empty(_TURNS), time.process_time()
    for turn in range(_TURNS):
        begun = time.perf_counter()
        seen = table.measure(pumps)
        times_us[turn] = (time.perf_counter() - begun) * 1e6 / len(pumps)
    cpu_s = time.process_time() - cpu_s
    if seen.full.any() or not np.isfinite(seen.psi).all():
        raise RuntimeError(f"{int(seen.full.sum())} of {len(pumps)} frames saturate, or fields are not finite")
    median_us = float(np.median(times_us))
    return {
        "name": "nep-table-steady-states",
        "median_us": median_us,
        "p99_us": float(np.percentile(times_us, 99)),
        "ratio": None,
        "samples_per_s": 1e6 / median_us,
        "cpu_ms": 1e3 * cpu_s / _TURNS / len(pumps),
        "threads": len(os.sched_getaffinity(0)),
    }

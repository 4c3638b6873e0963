"""Steady states of a polariton sheet: compiled Newton's method beside Runge-Kutta in time, compiled as well.

XOR's samples on the 9-node chain (g = gamma = 0.1, saturation), networks of random V and w, one thread. Runge-Kutta
goes on in steps of 0.1 until exp(-gamma t), what is left of a transient, is 1e-9, or for 5,000 steps. Both must agree
to 1e-8. Rows of digits on cells are `benchmarks/nep_images.py`'s, those of the table `benchmarks/nep_table.py`'s.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.nep.network import XOR_INPUTS, Network
from simulators.physics.sheet.equation import Sheet
from simulators.physics.sheet.gradients import descent
from simulators.physics.sheet.march import march
from simulators.physics.sheet.nudge import output_error, outputs_of
from simulators.physics.sheet.steady import steady_state

_NETWORKS, _BY_RK4, _TURNS = 500, 10, 11
_LEFT, _AGREE = 1e-9, 1e-8
_MORE = ("benchmarks.nep_images", "benchmarks.nep_table")


def rows() -> list[dict[str, Any]]:
    """Time for one steady state, or one exact gradient beside it; ratio = Runge-Kutta's time / this one's.

    Also ``median_ms``, and ``largest_difference`` from Runge-Kutta.
    """
    found = _chain()
    for module in _MORE:
        found += importlib.import_module(module).rows()
    return found


def _chain() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    sheet = Sheet((9,))
    network = Network(sheet, np.array([2, 6]), np.array([4]))
    samples = len(XOR_INPUTS)
    V = np.repeat(rng.uniform(0, 0.1, (_NETWORKS, 9)), samples, axis=0).astype(np.complex128)
    w = np.repeat(rng.uniform(-1, 1, (_NETWORKS, 2)), samples, axis=0)
    pumps = network.pumps(w, np.tile(np.array(XOR_INPUTS), (_NETWORKS, 1)))
    targets = np.tile([0.0, 1.0, 1.0, 0.0], _NETWORKS)[:, None]
    few = slice(0, _BY_RK4 * samples)
    duration = math.log(1 / _LEFT) / 0.1

    def newton() -> NDArray[np.complex128]:
        return steady_state(V, pumps, sheet).psi

    def gradient() -> object:
        psi = newton()
        return descent(psi, V, sheet, network.outputs, output_error(outputs_of(psi, network.outputs, sheet), targets))

    def in_time(duration: float) -> Callable[[], NDArray[np.complex128]]:
        return lambda: march(0.0, V[few], pumps[few], sheet, duration)

    difference = float(np.abs(newton()[few] - in_time(duration)()).max())
    if difference > _AGREE:
        raise RuntimeError(f"Newton's method and Runge-Kutta do not agree: {difference:.2g}, allowed: {_AGREE:g}")
    counts = (len(V), len(V), _BY_RK4 * samples, _BY_RK4 * samples)
    ours, both, theirs, longer = _timed([newton, gradient, in_time(duration), in_time(500.0)], counts)
    told = {"largest_difference": difference}
    return [
        _row("nep-xor-steady-state", ours, float(np.median(theirs / ours))) | told,
        _row("nep-xor-exact-gradient", both, float(np.median(theirs / both))),
        _row("nep-xor-rk4-numba", theirs, 1.0),
        _row("nep-xor-rk4-numba-5000-steps", longer, float(np.median(theirs / longer))),
    ]


def _timed(ways: list[Callable[[], object]], counts: tuple[int, ...]) -> NDArray[np.float64]:
    """Times for one state in microseconds (ways, turns), by turns."""
    for way in ways:
        way()
    times_us = np.empty((len(ways), _TURNS))
    for turn in range(_TURNS):
        for k, (way, count) in enumerate(zip(ways, counts, strict=True)):
            begun = time.perf_counter()
            way()
            times_us[k, turn] = (time.perf_counter() - begun) * 1e6 / count
    return times_us


def _row(name: str, times_us: NDArray[np.float64], ratio: float) -> dict[str, Any]:
    median_us = float(np.median(times_us))
    return {
        "name": name,
        "median_us": median_us,
        "p99_us": float(np.percentile(times_us, 99)),
        "ratio": ratio,
        "median_ms": median_us / 1e3,
    }

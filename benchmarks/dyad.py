"""Dyads a second on one core, from noise to orientation (T = 10, dt = 0.1), compiled and by numpy at its best.

Both are timed by turns in the same process, at the paper's parameters and from the same noise; numpy with the fastest
of several batch sizes. They must agree in every orientation, and in amplitudes to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.numpy_dyads import NumpyDyads
from simulators.physics.condensates.dyad_kernel import denser_second, evolve_dyads
from simulators.physics.condensates.equation import seeds

_DYADS = 16_384
_BATCHES = (256, 512, 1024, 2048, 4096)
_REPEATS = 21
_AMP, _DURATION, _DT = 0.01, 10.0, 0.1
_AT = {"gamma": 2.8, "g": 0.5, "xi": 5 / 3, "J": 0.55}


def rows() -> list[dict[str, Any]]:
    """Median time for 16,384 dyads; ratio = numpy's time / the kernel's.

    Also ``trials_per_s``, and how far the two agree: ``largest_difference`` of amplitudes, ``other_orientations``.
    """
    psi = seeds(_DYADS, 2, _AMP, np.random.default_rng(0))
    steps = round(_DURATION / _DT)

    def by_numpy(batch: int) -> Callable[[], NDArray[np.complex128]]:
        peer = NumpyDyads(**_AT, batch=batch)
        return lambda: peer.evolve(psi, _DURATION, steps)

    def compiled() -> NDArray[np.complex128]:
        return evolve_dyads(psi, **_AT, duration=_DURATION, dt=_DT)

    tried = {batch: float(np.median(_timed(3, [by_numpy(batch)])[0])) for batch in _BATCHES}
    batch = min(tried, key=lambda size: tried[size])
    ways = [compiled, by_numpy(batch)]
    ours, theirs = (way() for way in ways)
    compiled_us, numpy_us = _timed(_REPEATS, ways)
    agreement = {
        "largest_difference": float(np.abs(ours - theirs).max()),
        "other_orientations": int((denser_second(ours) != denser_second(theirs)).sum()),
    }
    if agreement["largest_difference"] > 1e-9 or agreement["other_orientations"]:
        raise RuntimeError(f"the compiled kernel and numpy do not agree: {agreement}")
    # Of neighbouring turns, so that a machine that is now faster, now slower, does not matter.
    ratio = float(np.median(numpy_us / compiled_us))
    return [
        _row(f"dyads-{_DYADS}", compiled_us, ratio) | agreement,
        _row(f"dyads-{_DYADS}-numpy-batch-{batch}", numpy_us, 1.0),
    ]


def _timed(turns: int, ways: list[Callable[[], NDArray[np.complex128]]]) -> NDArray[np.float64]:
    """Times in microseconds (ways, turns), by turns."""
    for way in ways:
        way()  # compiles, and fills caches
    times_us = np.empty((len(ways), turns))
    for turn in range(turns):
        for k, way in enumerate(ways):
            begun = time.perf_counter()
            way()
            times_us[k, turn] = (time.perf_counter() - begun) * 1e6
    return times_us


def _row(name: str, times_us: NDArray[np.float64], ratio: float) -> dict[str, Any]:
    median_us = float(np.median(times_us))
    return {
        "name": name,
        "median_us": median_us,
        "p99_us": float(np.percentile(times_us, 99)),
        "ratio": ratio,
        "trials_per_s": _DYADS / median_us * 1e6,
    }

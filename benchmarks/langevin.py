"""Seconds a trajectory of the paper's thermodynamic computer (784 + 512 units, t_f = 2.5, dt = 1e-3), and by numpy.

All are timed by turns in the same process, 256 trajectories together, on a computer trained on three digits as
`langevin.train` does by default; "random" is one whose couplings are no few patterns, so that the kernel multiplies by
all of them. numpy does not look at the numbers it multiplies by and is timed in `benchmarks.peers.numpy_langevin`'s
ways, from Eqs (1) and (12) as written down to one that is given the patterns the kernel finds by itself. Both have the
same BLAS; it is told which processor this is where it would take it for an older one (see `benchmarks.__main__`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from benchmarks.peers.numpy_langevin import as_written, in_place
from protocols.langevin.training.parameters import TrainParameters
from protocols.langevin.training.training import train_now
from simulators.physics.counter_random import noise_key
from simulators.physics.langevin.kernel import Couplings, evolve
from simulators.physics.langevin.potential import Units, moments
from simulators.physics.langevin.reference import Scheme, evolve_plainly

_VISIBLE, _TRAJECTORIES = 784, 256
_DT, _DURATION = 1e-3, 2.5
_STEPS = 20
"""That are timed; times are told for all of a trajectory's."""
_TURNS = 9
_J2 = _J4 = 10.0
_LONGER_DT = 2.5e-3

Array = NDArray[Any]
Way = Callable[[], object]


def rows() -> list[dict[str, Any]]:
    """median_us and p99_us of one trajectory; ratio = time of numpy in place / this one's, median of turns.

    Also ``ratio_as_written``, ``ratio_blocks`` and ``ratio_patterns`` to the other ways of numpy. Time is the
    processor's, which does not count what others do on the machine meanwhile; with two threads it cannot tell, and the
    ratio is that of the clock, to numpy in place whose products have two threads as well. ``patterns``: how many the
    couplings have, 0 where the kernel uses all of them. ``bias`` of ⟨x²⟩ of a single unit and its error,
    ``largest_difference`` of the kernel to plain steps in double precision with the same noise, after 1 step and after
    50, ``blas``.
    """
    J, mixed = _trained(), _random()
    n = len(J)
    units, b, key = Units.of(n, _J2, _J4), np.zeros(n), noise_key(0, "benchmark")
    digits, random = Couplings.of(J), Couplings.of(mixed)
    x = np.random.default_rng(0).normal(size=(_TRAJECTORIES, n)) * 0.2

    def kernel(couplings: Couplings, scheme: Scheme, dt: float, workers: int = 1) -> Way:
        return lambda: evolve(x, units, couplings, (b, b), _STEPS, dt, key, scheme=scheme, workers=workers)

    def numpy_(field: str, threads: int = 1) -> Way:
        def way() -> None:
            with threadpool_limits(threads, user_api="blas"):
                products(x)

        products = in_place(J, b, _J2, _J4, _DT, _STEPS, field, _VISIBLE, digits.left, digits.right)
        return way

    longer = f"averaged-dt-{_LONGER_DT:g}"
    ways: dict[str, Way] = {
        "euler": kernel(digits, "euler", _DT),
        "euler-2-workers": kernel(digits, "euler", _DT, 2),
        longer: kernel(digits, "averaged", _LONGER_DT),
        "random-euler": kernel(random, "euler", _DT),
        f"random-{longer}": kernel(random, "averaged", _LONGER_DT),
        "numpy-as-written": lambda: as_written(x, J, b, _J2, _J4, _DT, _STEPS),
        "numpy-in-place": numpy_("all"),
        "numpy-in-place-2-threads": numpy_("all", 2),
        "numpy-blocks": numpy_("blocks"),
        "numpy-patterns": numpy_("patterns"),
    }
    share = {w: _DURATION / (_LONGER_DT if longer in w else _DT) / _STEPS / _TRAJECTORIES for w in ways}
    clock, processor = _timed(ways)

    def ratio(way: str, to: str) -> float:
        two = "-2-" in way
        times = clock if two else processor
        other = f"{to}-2-threads" if two and to == "numpy-in-place" else to
        return float(np.median(times[other] * share[other] / (times[way] * share[way])))

    apart = {True: _apart(units, mixed, random, x, key), False: _apart(units, J, digits, x, key)}
    bias = {"euler": _bias("euler", _DT), "averaged": _bias("averaged", _LONGER_DT)}
    blas = ", ".join(sorted({str(i.get("architecture")) for i in threadpool_info() if i["user_api"] == "blas"}))
    return [
        {
            "name": f"langevin-{_VISIBLE}+{n - _VISIBLE}-{way}",
            "median_us": float(np.median(clock[way])) * share[way],
            "p99_us": float(np.percentile(clock[way], 99)) * share[way],
            "ratio": ratio(way, "numpy-in-place"),
            "ratio_as_written": ratio(way, "numpy-as-written"),
            "ratio_blocks": ratio(way, "numpy-blocks"),
            "ratio_patterns": ratio(way, "numpy-patterns"),
            "seconds_per_trajectory": float(np.median(clock[way])) * share[way] * 1e-6,
            "processor_seconds_per_trajectory": float(np.median(processor[way])) * share[way] * 1e-6,
            "patterns": random.left.shape[1] if "random" in way else digits.left.shape[1],
            "bias": bias["averaged" if "averaged" in way else "euler"],
            "largest_difference": None if "numpy" in way else apart["random" in way],
            "blas": blas,
        }
        for way in ways
    ]


def _trained() -> Array:
    return np.asarray(train_now(TrainParameters(classes=(0, 7, 9)), 0).J, np.float64)


def _random() -> Array:
    n = _VISIBLE + TrainParameters().hidden
    J = np.triu(np.random.default_rng(0).normal(size=(n, n)) * 0.1, 1)
    J[:_VISIBLE, :_VISIBLE] = 0
    return np.asarray(J + J.T)


def _apart(units: Units, J: Array, couplings: Couplings, x: Array, key: np.uint64) -> list[float]:
    """Of the kernel and plain steps, after 1 step and after 50; an error where these are not the same steps."""
    b = np.zeros(len(J))
    found = [
        float(
            np.abs(
                evolve(x[:8], units, couplings, (b, b), steps, _DT, key)[0]
                - evolve_plainly(x[:8], units, J, (b, b), steps, _DT, key)
            ).max()
        )
        for steps in (1, 50)
    ]
    if found[0] > 1e-6 or found[1] > 5e-5:
        raise RuntimeError(f"the compiled kernel and plain steps do not agree: {found} after 1 and 50 steps")
    return found


def _bias(scheme: Scheme, dt: float) -> list[float]:
    """Of ⟨x²⟩ of single units at equilibrium, relative, and its standard error."""
    n, count = 1000, 2000
    none, zero = Couplings.of(np.zeros((n, n))), np.zeros(n)
    seen = evolve(np.zeros((count, n)), Units.of(n, _J2, _J4), none, (zero, zero), round(0.6 / dt), dt,
                  noise_key(1, "benchmark"), scheme=scheme)[0].astype(np.float64) ** 2  # fmt: skip
    exact = moments(_J2, _J4, 0.0)[1]
    return [float(seen.mean()) / exact - 1, float(seen.std()) / seen.size**0.5 / exact]


def _timed(ways: dict[str, Way]) -> tuple[dict[str, Array], dict[str, Array]]:
    """By the clock and of the processor, in microseconds (turns,) of each way, by turns."""
    for way in ways.values():
        way()  # compiles, and fills caches
    times_us, spent_us = ({name: np.empty(_TURNS) for name in ways} for _ in range(2))
    for turn in range(_TURNS):
        for name, way in ways.items():
            begun, used = time.perf_counter(), time.process_time()
            way()
            times_us[name][turn] = (time.perf_counter() - begun) * 1e6
            spent_us[name][turn] = (time.process_time() - used) * 1e6
    return times_us, spent_us

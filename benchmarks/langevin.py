"""Seconds a trajectory of the paper's thermodynamic computer (784 + 512 units, t_f = 2.5, dt = 1e-3), and by numpy.

All are timed by turns in the same process, on the same couplings, 256 trajectories together. numpy is timed twice: Eqs
(1) and (12) as one writes them down for all trajectories at once in double precision, and its best, in place and with
x·x·x. Both have the same BLAS as the kernel; it is told which processor this is where it would take it for an older one
(see `benchmarks.__main__`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info  # type: ignore[import-untyped,unused-ignore]

from simulators.physics.counter_random import noise_key
from simulators.physics.langevin.kernel import Couplings, evolve
from simulators.physics.langevin.potential import Units, moments
from simulators.physics.langevin.reference import Scheme, evolve_plainly

_VISIBLE, _HIDDEN, _TRAJECTORIES = 784, 512, 256
_DT, _DURATION = 1e-3, 2.5
_STEPS = 20
"""That are timed; times are told for all of a trajectory's."""
_TURNS = 9
_J2 = _J4 = 10.0
_LONGER_DT = 2.5e-3


def rows() -> list[dict[str, Any]]:
    """median_us and p99_us of one trajectory; ratio = numpy's processor time (as written) / this one's.

    Processor time does not count what others do on the machine meanwhile; with two workers it cannot tell, and the
    ratio is that of the clock.

    Also ``seconds_per_trajectory``, ``ratio_best_numpy``, ``bias`` of ⟨x²⟩ of a single unit and its error, ``blas`` and
    ``largest_difference`` of the kernel to plain steps in double precision with the same noise.
    """
    n = _VISIBLE + _HIDDEN
    rng = np.random.default_rng(0)
    J = np.triu(rng.normal(size=(n, n)) * 0.1, 1)
    J[:_VISIBLE, :_VISIBLE] = 0
    J += J.T
    units, b, couplings = Units.of(n, _J2, _J4), np.zeros(n), Couplings.of(J)
    x = rng.normal(size=(_TRAJECTORIES, n)) * 0.2
    key = noise_key(0, "benchmark")

    def kernel(scheme: Scheme, dt: float, workers: int = 1) -> Callable[[], NDArray[Any]]:
        return lambda: evolve(x, units, couplings, (b, b), _STEPS, dt, key, scheme=scheme, workers=workers)

    apart = np.abs(
        evolve(x[:8], units, couplings, (b, b), 50, _DT, key)[0] - evolve_plainly(x[:8], units, J, (b, b), 50, _DT, key)
    ).max()
    if apart > 1e-4:
        raise RuntimeError(f"the compiled kernel and plain steps do not agree: {apart:g}")
    ways = {
        "euler": kernel("euler", _DT),
        "euler-2-workers": kernel("euler", _DT, 2),
        f"averaged-dt-{_LONGER_DT:g}": kernel("averaged", _LONGER_DT),
        "numpy": lambda: _as_written(x, J, b, rng),
        "numpy-in-place": lambda: _in_place(x, J, b, rng),
    }
    steps = {name: _DURATION / (_LONGER_DT if "averaged" in name else _DT) for name in ways}
    times, spent = _timed(list(ways.values()))
    share = {name: steps[name] / _STEPS / _TRAJECTORIES for name in ways}
    found = {name: row * share[name] for name, row in zip(ways, times, strict=True)}
    used = {name: row * share[name] for name, row in zip(ways, spent, strict=True)}

    def ratio(name: str, to: str) -> float:
        clock = found if "workers" in name else used
        return float(np.median(clock[to] / clock[name]))

    blas = ", ".join(sorted({str(i.get("architecture")) for i in threadpool_info() if i["user_api"] == "blas"}))
    bias = {"euler": _bias("euler", _DT), "averaged": _bias("averaged", _LONGER_DT)}
    return [
        {
            "name": f"langevin-{_VISIBLE}+{_HIDDEN}-{name}",
            "median_us": float(np.median(us)),
            "p99_us": float(np.percentile(us, 99)),
            "ratio": ratio(name, "numpy"),
            "ratio_best_numpy": ratio(name, "numpy-in-place"),
            "seconds_per_trajectory": float(np.median(us)) * 1e-6,
            "bias": bias["averaged" if "averaged" in name else "euler"],
            "largest_difference": float(apart),
            "blas": blas,
        }
        for name, us in found.items()
    ]


def _as_written(x: NDArray[Any], J: NDArray[Any], b: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    for _ in range(_STEPS):
        gradient = 2 * _J2 * x + 4 * _J4 * x**3 + b + x @ J
        x = x - gradient * _DT + np.sqrt(2 * _DT) * rng.standard_normal(x.shape)
    return x


def _in_place(x: NDArray[Any], J: NDArray[Any], b: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    x = x.copy()
    push, field, noise = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for _ in range(_STEPS):
        np.matmul(x, J, out=field)
        np.multiply(x, x, out=push)
        push *= 4 * _J4
        push += 2 * _J2
        push *= x
        push += field
        push += b
        push *= _DT
        rng.standard_normal(out=noise)
        noise *= np.sqrt(2 * _DT)
        x -= push
        x += noise
    return x


def _bias(scheme: Scheme, dt: float) -> list[float]:
    """Of ⟨x²⟩ of single units at equilibrium, relative, and its standard error."""
    n, count = 1000, 2000
    none, zero = Couplings.of(np.zeros((n, n))), np.zeros(n)
    seen = evolve(np.zeros((count, n)), Units.of(n, _J2, _J4), none, (zero, zero), round(0.6 / dt), dt,
                  noise_key(1, "benchmark"), scheme=scheme)[0].astype(np.float64) ** 2  # fmt: skip
    exact = moments(_J2, _J4, 0.0)[1]
    return [float(seen.mean()) / exact - 1, float(seen.std()) / seen.size**0.5 / exact]


def _timed(ways: list[Callable[[], NDArray[Any]]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By the clock and of the processor, in microseconds (ways, turns), by turns."""
    for way in ways:
        way()  # compiles, and fills caches
    times_us, spent_us = np.empty((len(ways), _TURNS)), np.empty((len(ways), _TURNS))
    for turn in range(_TURNS):
        for k, way in enumerate(ways):
            begun, used = time.perf_counter(), time.process_time()
            way()
            times_us[k, turn] = (time.perf_counter() - begun) * 1e6
            spent_us[k, turn] = (time.process_time() - used) * 1e6
    return times_us, spent_us

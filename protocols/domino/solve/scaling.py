"""`domino.scaling`: time to settle, and the cost of computing it, against the size of the network (Fig. 7)."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from labctl.client import Bench, Parameters, Recorder
from protocols.domino.arithmetic import Arithmetic, with_picture
from protocols.domino.ideal import IdealLoop
from protocols.domino.problem.networks import clique_network
from protocols.domino.solve.scaling_picture import draw_scaling
from simulators.physics.domino.locked_flow import flow, starts

Array = NDArray[np.float64]

_FAR = 200
"""Locks that are looked at, evenly in time."""


class ScalingParameters(Parameters):
    """Which sizes, how exactly."""

    nodes: tuple[int, ...] = Field((20, 40, 80, 160, 320), description="of networks that settle")
    density: float = Field(0.5, gt=0, le=1)
    networks: int = Field(5, ge=2, le=1000, description="of each size")
    starts: int = Field(10, ge=1, le=10000, description="of each network")
    gamma: float = Field(0.5, ge=0, le=100, allow_inf_nan=False)
    duration: float = Field(20.0, gt=0, le=1e4, description="after which a start counts as settled, or as never")
    within: float = Field(0.2, gt=0, lt=1, description="change of the largest share, of the largest, that is settled")
    updates: tuple[int, ...] = Field((50, 100, 200, 500, 1000, 2000), description="nodes of timed coupling updates")
    repeats: int = Field(7, ge=1, le=10**5, description="of each timed update")

    @field_validator("nodes", "updates")
    @classmethod
    def _sizes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < 2 or len(set(value)) != len(value) or not all(10 <= n <= 5000 for n in value):
            raise ValueError("two or more different sizes of 10 to 5000, for example 20,80,320")
        return value


class Scaling(Arithmetic):
    """How time to settle grows with N, and what an update of all couplings costs.

    A start has settled when the shares x / sum(x) of all nodes, averaged over a twentieth of the run, stay within
    `within` (of the largest share) of those at the end. Values: `nodes`, `settling_time` (median over starts, mean over
    networks) and `settling_err` (over networks), `exponent` and `exponent_err` of N^exponent; `settled`, the share of
    starts that settled before nine tenths of the duration; `update_nodes`, `update_us` (median time of W x for one
    start on one core), `update_exponent` (least squares of logarithms), `batched_us` (of 100 starts side by side, by
    start), and `batched_exponent`.
    """

    Parameters = ScalingParameters

    def targets(self, parameters: ScalingParameters) -> dict[str, dict[str, float]] | None:
        """Reproduced: 0.05 to 0.14; here more on either side, for five networks of each size tell it to about 0.07."""
        return {"exponent": {"min": -0.1, "max": 0.29}} if parameters == ScalingParameters() else None

    def run(self, bench: Bench, parameters: ScalingParameters, record: Recorder) -> dict[str, Any]:
        """Settle networks one by one, then time updates."""
        p = parameters
        for step in record.steps(len(p.nodes) * p.networks, "networks settle"):
            W = clique_network(p.nodes[step.index // p.networks], p.density, record.rng)
            times = settling_times(W, p, record.rng)
            step.save(settling=times)
            if record.checkpoint_due:
                record.checkpoint()
        alone, batched = [], []
        with threadpool_limits(1):
            for n in p.updates:
                alone.append(update_us(n, 1, p.repeats))
                batched.append(update_us(n, 100, p.repeats) / 100)
        return {"update_us": alone, "batched_us": batched}

    def conclude(self, results: dict[str, Any], parameters: ScalingParameters, record: Recorder) -> dict[str, Any]:
        """Exponents by least squares of logarithms, with the error of the networks' spread."""
        p = parameters
        saved = record.series("settling")
        assert saved is not None
        times = saved.reshape(len(p.nodes), p.networks, p.starts)
        by_network = np.median(times, axis=2)
        exponent, error = power_law(np.array(p.nodes), by_network)
        values = {
            "nodes": list(p.nodes),
            "settling_time": by_network.mean(axis=1).tolist(),
            "settling_err": (by_network.std(axis=1, ddof=1) / np.sqrt(p.networks)).tolist(),
            "exponent": exponent,
            "exponent_err": error,
            "settled": (times < 0.9 * p.duration).mean(axis=(1, 2)).tolist(),
            "update_nodes": list(p.updates),
            **results,
            "update_exponent": _slope(p.updates, results["update_us"]),
            "batched_exponent": _slope(p.updates, results["batched_us"]),
        }
        record.console.done(
            f"settling time grows as N^({exponent:.3f} ± {error:.3f}); a coupling update costs as "
            f"N^{values['update_exponent']:.2f}, {results['update_us'][-1]:.0f} us at N = {p.updates[-1]}"
        )
        with_picture(record, "scaling", lambda path: draw_scaling(path, p, values))
        return values


def settling_times(W: Array, p: ScalingParameters, rng: np.random.Generator) -> Array:
    """Time (starts,) after which shares stay where they end."""
    n = len(W)
    first, _ = IdealLoop.of(W, p.gamma, None, p.duration).stages
    window = first.h * first.every
    every = max(1, round(p.duration / window / _FAR))
    locks, kept, sums = [0], [], [np.zeros((n, p.starts))]

    def watch(t: float, x: Array) -> None:
        sums[0] += x / np.maximum(x.sum(axis=0), 1e-300)
        locks[0] += 1
        if locks[0] % every == 0:
            kept.append(sums[0] / every)
            sums[0] = np.zeros_like(sums[0])

    flow(W, starts(n, p.starts, rng), (first,), watch=watch)
    shares = np.array(kept)  # (looks, N, starts)
    wide = max(1, len(shares) // 20)
    end = shares[-wide:].mean(axis=0)
    total = np.cumsum(np.concatenate([np.zeros((1, *end.shape)), shares]), axis=0)
    smooth = (total[wide:] - total[:-wide]) / wide
    off = np.abs(smooth - end).max(axis=1) > p.within * end.max(axis=0)
    last = np.where(off.any(axis=0), len(off) - np.argmax(off[::-1], axis=0), 0)
    return np.asarray((last + 0.5) * every * window)


def update_us(nodes: int, count: int, repeats: int) -> float:
    """Median time of W x in microseconds, x (N, count)."""
    rng = np.random.default_rng(0)
    W, x = rng.random((nodes, nodes)), rng.random((nodes, count))
    out = np.empty_like(x)
    inner = max(1, round(2e6 / (nodes * nodes * count)))
    taken = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        for _ in range(inner):
            np.matmul(W, x, out=out)
        taken.append((time.perf_counter() - begun) / inner * 1e6)
    return float(np.median(taken[1:]))


def power_law(nodes: NDArray[np.int64], times: Array) -> tuple[float, float]:
    """Exponent of the mean of times (sizes, networks), and its error from the networks' spread."""
    mean = times.mean(axis=1)
    relative = times.std(axis=1, ddof=1) / np.sqrt(times.shape[1]) / mean
    x = np.log(nodes) - np.log(nodes).mean()
    weight = x / (x**2).sum()
    return float(weight @ np.log(mean)), float(np.sqrt((weight**2) @ (relative**2)))


def _slope(nodes: tuple[int, ...], us: list[float]) -> float:
    return float(np.polyfit(np.log(nodes), np.log(us), 1)[0])

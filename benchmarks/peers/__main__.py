"""`python -m benchmarks.peers`: round trips of every peer, interleaved, beside raw ipc, and the copies in memory."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from benchmarks.peers import NAMES, all_peers
from benchmarks.peers.memcpy import CAMERA_AND_PATTERN_BYTES, CAMERA_BYTES, cold_copy

_WARM_UP = 100


def main() -> None:
    """Print a table of medians, 99th percentiles and ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=50, help="calls of each peer in a round")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        calls = {peer.name: stack.enter_context(peer).call for peer in all_peers()}
        times_us = _interleaved(calls, chosen.rounds, chosen.calls)
    baseline = np.median(times_us[NAMES[0]], axis=1)
    print(f"{'':20} {'median us':>10} {'p99 us':>10} {'ratio':>7}")
    for name, found in times_us.items():
        # The ratio is taken in each round, so that the machine's drift from round to round cancels.
        _print_row(name, found, f"{np.median(np.median(found, axis=1) / baseline):7.2f}")
    copies = {f"memcpy-{size / 1e6:.0f}-MB": cold_copy(size) for size in (CAMERA_BYTES, CAMERA_AND_PATTERN_BYTES)}
    for name, found in _interleaved(copies, chosen.rounds, 10, warm_up=10).items():
        _print_row(name, found, "")


def _print_row(name: str, times_us: np.ndarray, ratio: str) -> None:
    print(f"{name:20} {np.median(times_us):10,.1f} {np.percentile(times_us, 99):10,.1f} {ratio}".rstrip())


def _interleaved(
    calls: dict[str, Callable[[], None]], rounds: int, repeats: int, warm_up: int = _WARM_UP
) -> dict[str, np.ndarray]:
    """Times in microseconds of each call, of shape (rounds, repeats)."""
    times_us = {name: np.empty((rounds, repeats)) for name in calls}
    for call in calls.values():
        for _ in range(warm_up):
            call()
    for turn in range(rounds):
        for name, call in calls.items():
            for k in range(repeats):
                begun = time.perf_counter()
                call()
                times_us[name][turn, k] = (time.perf_counter() - begun) * 1e6
    return times_us


if __name__ == "__main__":
    main()

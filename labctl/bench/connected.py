"""A bench that stays open from cell to cell, where a notebook has no room for ``with``."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Mapping
from pathlib import Path

from labctl.bench.client import Bench, open_bench
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench

_connected: dict[str, Bench] = {}


def connect(
    source: str | Path | BenchConfig,
    overrides: Mapping[str, object] | None = None,
    at: str | None = None,
    *,
    own: bool = False,
) -> Bench:
    """A bench as of `open_bench`, until ``bench.close()`` or the end of the program. The same bench once more, as by a
    cell that is run again, closes the one before.

    Control is not taken: between two cells nobody would renew it. Take it for as long as a cell measures, ``with
    bench.control("focus"):``; light goes off with it.
    """
    config = source if isinstance(source, BenchConfig) else load_bench(source, overrides or {})
    if config.name in _connected:
        _connected.pop(config.name).close()
    with contextlib.ExitStack() as stack:
        bench = stack.enter_context(open_bench(config, at=at, own=own))
        bench.closing = stack.pop_all()
    _connected[config.name] = bench
    return bench


@atexit.register
def _close_all() -> None:
    for bench in _connected.values():
        bench.close()

"""Laboratory control and hardware-in-the-loop software for optical computing.

from labctl import open_bench

with open_bench("prbm-sim") as bench, bench.control():
    bench.source.emission = True
    frame = bench.camera.trigger()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.bench.client import Bench, open_bench
    from labctl.runs.data import open_run_data
    from labctl.server.emergency import stop_benches

__all__ = ["Bench", "open_bench", "open_run_data", "stop_benches"]

_PLACES = {
    "Bench": "labctl.bench.client",
    "open_bench": "labctl.bench.client",
    "open_run_data": "labctl.runs.data",
    "stop_benches": "labctl.server.emergency",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: `labctl --help` must not load the bus.
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'labctl' has no attribute {name!r}")

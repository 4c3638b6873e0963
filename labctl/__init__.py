"""Laboratory control and hardware-in-the-loop software for optical computing.

from labctl import open_bench

with open_bench("prbm-sim", control="first light") as bench:
    bench.source.emission = True
    frame = bench.camera.snap()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.bench.client import Bench, open_bench
    from labctl.bench.connected import connect
    from labctl.runs.shown import open_run_data
    from labctl.runs.start import calibrate, figure, resume, run
    from labctl.server.emergency import stop_benches

__all__ = ["Bench", "calibrate", "connect", "figure", "open_bench", "open_run_data", "resume", "run", "stop_benches"]

_PLACES = {
    "Bench": "labctl.bench.client",
    "calibrate": "labctl.runs.start",
    "connect": "labctl.bench.connected",
    "figure": "labctl.runs.start",
    "open_bench": "labctl.bench.client",
    "open_run_data": "labctl.runs.shown",
    "resume": "labctl.runs.start",
    "run": "labctl.runs.start",
    "stop_benches": "labctl.server.emergency",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: `labctl --help` must not load the bus.
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'labctl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*(name for name in globals() if name.startswith("__")), *__all__]

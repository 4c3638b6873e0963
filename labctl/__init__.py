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

__all__ = ["Bench", "open_bench"]


def __getattr__(name: str) -> Any:
    # Imported on first use: `labctl --help` must not load the bus.
    if name in __all__:
        from labctl.bench import client

        return getattr(client, name)
    raise AttributeError(f"module 'labctl' has no attribute {name!r}")

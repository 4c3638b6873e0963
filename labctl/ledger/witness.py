"""Whether there is light on a simulated table, whoever believes what: read from the memory its world is set by.

In that memory a laser is a field ``emission`` or ``NAME_emission`` (see `simulators.worlds`), true while light leaves
it. Reading takes no call, so nothing that hangs delays it.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import zmq

from labctl import registry
from labctl.bench.config import BenchConfig
from labctl.bus.ring import Arena
from labctl.server.world import RemoteWorld

_EVERY_S = 0.001


class Witness:
    """Looks at the lasers of a world in another process about 1,000 times a second."""

    def __init__(self, config: BenchConfig, world_endpoint: str) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._arena = Arena()
        world_type = registry.load("labctl.worlds", str(config.world_name))
        assert config.world_parameters is not None
        self._world = RemoteWorld(
            world_type, config.world_parameters, config.clock, self._context, world_endpoint, self._arena, "witness"
        )
        self._lasers = [n for n in (self._world.state.dtype.names or ()) if n == "emission" or n.endswith("_emission")]
        self._changed_ns = time.monotonic_ns()
        self._lit = self.lit()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="labctl-witness", daemon=True)
        self._thread.start()

    def lit(self) -> list[str]:
        """Lasers that emit now."""
        return [name for name in self._lasers if self._world.state[name][0]]

    @property
    def sees(self) -> bool:
        """Whether the process lives whose memory this is."""
        return self._world.lives

    def strike(self, device: str, what: str) -> None:
        """A drill on a simulated device: what befalls it from now on, of `simulators.worlds.faults`; "" mends it."""
        self._world.strike(device, what)  # type: ignore[attr-defined]

    def dark_since_ns(self) -> int | None:
        """Since when there is no light at all (monotonic); None while there is."""
        return None if self._lit else self._changed_ns

    def monotonic_ns(self, bench_s: float) -> int:
        """When that was by the machine's clock: a time of the bench, in real time."""
        return time.monotonic_ns() - int(self._world.clock.now_ns()) + round(bench_s * 1e9)

    def _look(self) -> None:
        while not self._ended.is_set():
            lit = self.lit()
            if lit != self._lit:
                self._changed_ns = time.monotonic_ns()
                self._lit = lit
            time.sleep(_EVERY_S)

    def close(self) -> None:
        """Look away."""
        self._ended.set()
        self._thread.join()
        self._world.close()
        self._arena.close()
        self._context.destroy(linger=0)

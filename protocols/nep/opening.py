"""The loop that a protocol's parameters ask for: the equation alone, or light on the bench's table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labctl.client import Bench, ConfigurationError, Recorder
from protocols.nep.loop import IdealLoop, Loop
from protocols.nep.network import Network
from protocols.nep.phases import LoopParameters


@contextmanager
def opened_loop(p: LoopParameters, network: Network, bench: Bench, record: Recorder) -> Iterator[Loop]:
    """The loop that parameters ask for; one of light has control of the bench meanwhile.

    Raises ConfigurationError for imperfections of an equation where light has its own.
    """
    if p.loop == "ideal":
        noise = (p.density_noise, p.psi_noise) if p.noisy else (0.0, 0.0)
        yield IdealLoop(network.sheet, p.hidden_potential(record.seed), *noise, record.rng, p.averages)
        return
    if p.density_noise or p.psi_noise or p.disorder:
        raise ConfigurationError(
            "density_noise, psi_noise and disorder are of loop=ideal; a table has its own (world.* of the bench file)"
        )
    from protocols.nep.table.loop import opened  # who computes needs nothing of light
    from protocols.nep.table.warming import warm_up

    plan: Any = bench.alignment("nep")
    warm_up(plan)
    with bench.control(record.name, run=record.path.stem):
        yield opened(bench, network, p, record)

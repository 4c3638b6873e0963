"""Control passes from hand to hand without one holder's end disturbing the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from labctl.bench.client import Bench
from labctl.bench.load import load_bench
from labctl.client import LeaseError
from labctl.server.host import Host, running


@pytest.fixture
def host() -> Iterator[tuple[Host, zmq.Context[zmq.Socket[bytes]]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    config = load_bench("prbm-sim", {"bench.lease": "0.3 s"})
    try:
        with running(config, context) as made:
            yield made, context
    finally:
        context.term()


def expire(host: Host) -> None:
    """Let the lease in force lapse now, as if its time had passed."""
    book = host.servers["main"].book
    (lease,) = book._leases.values()
    lease.expires_ns = 0
    while book.status():  # until the watchdog has noticed
        pass


def test_a_holder_who_lost_the_lease_leaves_the_next_ones_light_on(host: tuple[Host, zmq.Context]) -> None:
    made, context = host
    first = Bench(made.config, context, made.entry())
    second = Bench(made.config, context, made.entry())
    try:
        with first.control("first"):
            first.source.emission = True
            expire(made)
            control = second.control("second")
            with control:
                second.source.emission = True
                with pytest.raises(LeaseError):
                    first.source.power_fraction = 0.1
                first._servers["main"].control.request("", "release", timeout_s=2.0)
                second.renew()
                assert second.source.emission
    finally:
        first.close()
        second.close()


def test_leaving_control_turns_the_light_off(host: tuple[Host, zmq.Context]) -> None:
    made, context = host
    bench = Bench(made.config, context, made.entry())
    try:
        with bench.control("only"):
            bench.source.emission = True
        assert not bench.source.emission
    finally:
        bench.close()


def test_a_device_can_be_made_safe_after_the_lease_is_lost(host: tuple[Host, zmq.Context]) -> None:
    made, context = host
    bench = Bench(made.config, context, made.entry())
    try:
        with bench.control("only"):
            bench.source.emission = True
            expire(made)
            bench.source.safe()
    finally:
        bench.close()

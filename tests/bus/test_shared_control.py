"""Leases on some devices of some servers, side by side; and why one was lost."""

# ruff: noqa: PT012 - leases are lost inside of `with bench.control():`, which is told of it too

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fakes import TWO_SERVERS, Lab, bench_config, laboratory, wait_until

from drivers.errors import BusError, LeaseError
from labctl.bench.client import Bench, NoSuchDevice
from labctl.server.leases import LONGEST_LEASE_S, LeaseBook

SHORT_S = 0.4


@pytest.fixture
def wide() -> Iterator[Lab]:
    """Lamp, spare and eye in one server, the relay in another."""
    with laboratory(bench_config(servers=TWO_SERVERS)) as made:
        yield made


@pytest.fixture
def short() -> Iterator[Lab]:
    with laboratory(bench_config(lease_s=SHORT_S, servers=TWO_SERVERS)) as made:
        yield made


def silent(bench: Bench) -> None:
    """From now on nothing but the bench's own calls renews its leases."""
    for server in bench._servers.values():
        server.calls._while_waiting = None
        server.calls.before_request = None


def loss(bench: Bench, act: Any) -> str:
    """What the holder is told when it goes on working, at the latest one patience later."""
    deadline = time.monotonic() + 20
    with pytest.raises(LeaseError) as caught:
        while time.monotonic() < deadline:
            act()
    return str(caught.value)


# --- side by side -----------------------------------------------------------------------------------------------


def test_two_clients_control_different_devices_of_the_same_and_of_other_servers(wide: Lab) -> None:
    first, second = wide.bench(), wide.bench()
    with first.control("first", ["lamp"]), second.control("second", ["spare", "eye"]):
        first.lamp.emission = True
        second.spare.emission = True
        with pytest.raises(LeaseError, match=r"spare\.power_w: controlled by second .*reading is allowed"):
            first.spare.power_w = 1.0
        with pytest.raises(LeaseError, match=r"lease is not on spare; name it in"):
            first.spare.emission = True
        assert first.spare.emission
    assert not wide.lamp.on


def test_leaving_makes_only_the_leases_own_devices_safe(wide: Lab) -> None:
    first, second = wide.bench(), wide.bench()
    with second.control("second", ["spare"]):
        second.spare.emission = True
        with first.control("first", ["lamp"]):
            first.lamp.emission = True
        assert not wide.lamp.on
        assert wide.host.devices["spare"].emission


def test_a_lapse_makes_only_the_leases_own_devices_safe(wide: Lab) -> None:
    first, second = wide.bench(), wide.bench()
    with second.control("second", ["spare"]):
        second.spare.emission = True
        with pytest.raises(LeaseError), first.control("first", ["lamp"], lease_s=0.3):
            first.lamp.emission = True
            wait_until(lambda: not wide.lamp.on)
            first.renew()
        assert second.spare.emission


def test_taking_some_devices_leaves_the_settings_of_others_alone(wide: Lab) -> None:
    wide.host.devices["spare"].power_w = 3.0
    with wide.bench().control("first", ["lamp"]):
        assert wide.host.devices["spare"].power_w == 3.0


def test_the_whole_bench_is_refused_while_somebody_has_one_device(wide: Lab) -> None:
    with (
        wide.bench().control("first", ["spare"]),
        pytest.raises(LeaseError, match=r"spare: controlled by first"),
        wide.bench().control("whole"),
    ):
        pass


def test_what_was_granted_before_a_refusal_is_given_back(wide: Lab) -> None:
    first, second = wide.bench(), wide.bench()
    with first.control("first", ["spare"]):
        with (
            pytest.raises(LeaseError, match=r"spare: controlled by first"),
            second.control("second", ["relay", "spare"]),
        ):
            pass
        assert wide.host.servers["b"].book.status() == []
        with second.control("second", ["lamp"]):
            second.lamp.emission = True


def test_control_of_a_composite_is_control_of_its_parts_in_whatever_servers(wide: Lab, lab: Lab) -> None:
    for made in (wide, lab):
        with made.bench().control("relay", ["relay"]) as bench:
            assert bench.relay.pass_on(3) == 3
            bench.lamp.emission = True
            with pytest.raises(LeaseError, match=r"lamp: controlled by relay"), made.bench().control("x", ["lamp"]):
                pass


def test_who_may_not_use_a_part_may_not_use_the_composite(lab: Lab) -> None:
    with lab.bench().control("first", ["lamp"]), pytest.raises(LeaseError, match=r"lamp: controlled by first"):
        lab.bench().relay.pass_on(3)


def test_another_thread_does_not_renew_for_a_loop_that_hangs(short: Lab) -> None:
    bench = short.bench()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            with contextlib.suppress(LeaseError):
                bench.lamp.hours  # noqa: B018 - reading is what it does
            time.sleep(0.01)

    reader = threading.Thread(target=read)
    with pytest.raises(LeaseError), bench.control("hangs"):
        bench.lamp.emission = True
        reader.start()
        wait_until(lambda: not short.lamp.on)
        bench.lamp.emission = True
    over.set()
    reader.join()


def test_a_lease_is_counted_from_when_a_request_was_sent() -> None:
    """Calls that wait behind others must not keep alive the lease of somebody who died meanwhile."""
    book = LeaseBook()
    book.acquire("t" * 16, "x", "", ["lamp"], 1.0)
    expires_ns = book._leases["t" * 16].expires_ns
    book.renew("t" * 16, time.monotonic_ns() - 10**9)
    assert book._leases["t" * 16].expires_ns == expires_ns
    book.renew("t" * 16, time.monotonic_ns() + 10**12)
    assert book._leases["t" * 16].expires_ns <= time.monotonic_ns() + 10**9


def test_a_bench_in_a_forked_process_says_so(wide: Lab) -> None:
    bench = wide.bench()
    for server in bench._servers.values():
        server.calls.side._pid += 1  # as the child sees it
    with pytest.raises(BusError, match=r"forked; open it here"):
        bench.lamp.hours  # noqa: B018 - reading is what it does


def test_of_many_who_want_the_same_devices_one_has_them_at_a_time(wide: Lab) -> None:
    inside, most, got = 0, 0, 0
    lock = threading.Lock()

    def contend() -> None:
        nonlocal inside, most, got
        bench = wide.bench()
        for _ in range(15):
            try:
                with bench.control("one of many", ["lamp", "relay"]):
                    with lock:
                        inside += 1
                        most, got = max(most, inside), got + 1
                    bench.lamp.look()
                    with lock:
                        inside -= 1
            except LeaseError:
                continue

    threads = [threading.Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, inside) == (1, 0)
    assert got >= 4
    assert all(server.book.status() == [] for server in wide.host.servers.values())


def test_an_observer_reads_everything_while_others_are_in_control(wide: Lab) -> None:
    observer = wide.bench()
    with wide.bench().control("first", ["lamp"]), wide.bench().control("second", ["eye", "spare"]):
        assert observer.snapshot()["lamp"]["power_w"] == 2.0
        assert observer.lamp.look() == 42


def test_a_free_device_may_be_set_without_a_lease_while_another_is_controlled(wide: Lab) -> None:
    observer = wide.bench()
    with wide.bench().control("first", ["lamp"]):
        observer.spare.power_w = 3.0
        assert observer.spare.power_w == 3.0


def test_a_device_that_is_not_there_cannot_be_controlled(wide: Lab) -> None:
    with pytest.raises(NoSuchDevice, match=r"sun"), wide.bench().control("x", ["lamp", "sun"]):
        pass
    assert wide.host.servers["a"].book.status() == []


def test_control_is_not_taken_twice_by_one_bench(bench: Bench) -> None:
    with bench.control(), pytest.raises(LeaseError, match=r"has control already"), bench.control():
        pass


def test_holder_run_and_devices_are_in_the_status(wide: Lab) -> None:
    bench = wide.bench()
    with bench.control("night run", ["spare", "lamp"], run="2026-001"):
        (lease,) = bench.status()["a"]["leases"]
        assert (lease["run"], lease["devices"], lease["ttl_s"]) == ("2026-001", ["lamp", "spare"], 10.0)
        assert lease["holder"].startswith("night run (")
        assert bench.status()["b"]["leases"] == []


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, LONGEST_LEASE_S + 1, float("inf"), float("nan")])
def test_a_lease_of_an_absurd_length_is_refused(ttl_s: float) -> None:
    with pytest.raises(LeaseError, match=r"more than 0 and at most 60 s"):
        LeaseBook().acquire("token", "test", "", ["lamp"], ttl_s)


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        [],
        {},
        {"token": "short", "devices": []},
        {"token": "x" * 32, "devices": "lamp"},
        {"token": "x" * 32, "devices": ["sun"]},
        {"token": "x" * 32, "devices": ["lamp"], "ttl_s": "long"},
    ],
    ids=str,
)
def test_a_malformed_wish_for_control_is_refused(lab: Lab, arguments: Any) -> None:
    with pytest.raises(BusError):
        lab.connection("control").request("", "acquire", arguments=arguments)
    assert lab.server.book.status() == []


# --- losing it --------------------------------------------------------------------------------------------------


def test_a_lease_lost_at_one_server_is_told_at_calls_to_another(short: Lab) -> None:
    bench = short.bench()
    told = ""
    with pytest.raises(LeaseError), bench.control():
        short.host.servers["b"].book.revoke("relays are being repaired")
        told = loss(bench, bench.lamp.look)
        bench.renew()
    assert "relays are being repaired" in told


def test_an_emergency_stop_says_who_and_why_to_whoever_had_control(wide: Lab) -> None:
    bench = wide.bench()
    with pytest.raises(LeaseError) as caught, bench.control():
        bench.lamp.emission = True
        wide.bench().stop("smoke")
        assert not wide.lamp.on
        bench.lamp.emission = True
    assert "emergency stop by " in str(caught.value)
    assert "(smoke)" in str(caught.value)
    assert "every device was made safe" in str(caught.value)
    assert not wide.lamp.on


def test_control_can_be_taken_anew_after_an_emergency_stop(wide: Lab) -> None:
    bench = wide.bench()
    with pytest.raises(LeaseError), bench.control():
        bench.stop()
        bench.lamp.emission = True
    with bench.control():
        bench.lamp.emission = True
        assert wide.lamp.on
    status = bench.status()["a"]
    assert (status["stopped"], "emergency stop" in status["stopped_by"]) == (1, True)


def test_a_lapse_says_what_the_control_loop_has_to_do(short: Lab) -> None:
    bench = short.bench()
    with pytest.raises(LeaseError, match=r"not renewed within 0\.4 s.*at least once per lease"), bench.control():
        bench.lamp.emission = True
        wait_until(lambda: not short.lamp.on)
        bench.renew()


def test_a_server_that_was_started_again_does_not_know_the_lease() -> None:
    with pytest.raises(LeaseError, match=r"started again since"):
        LeaseBook().renew("x" * 32)


def test_a_lost_lease_does_not_come_back() -> None:
    book = LeaseBook()
    book.acquire("token", "test", "", ["lamp"], 10.0)
    book.revoke("because")
    with pytest.raises(LeaseError, match=r"because.*take control again"):
        book.acquire("token", "test", "", ["lamp"], 10.0)


def test_why_leases_were_lost_is_not_remembered_without_end() -> None:
    book = LeaseBook()
    for k in range(2000):
        book.acquire(str(k), "test", "", ["lamp"], 10.0)
        book.revoke("because")
    assert len(book._lost) <= 256


# --- calls for another ------------------------------------------------------------------------------------------


def test_a_device_that_works_for_another_acts_in_its_callers_name(wide: Lab) -> None:
    bench, stranger = wide.bench(), wide.bench()
    with bench.control("the experiment"):
        assert bench.relay.pass_on(1) == 1
        with pytest.raises(LeaseError, match=r"the experiment"):
            stranger.relay.pass_on(1)
    assert stranger.relay.pass_on(2) == 2


def test_calls_made_for_a_silent_client_do_not_renew_its_lease(short: Lab) -> None:
    """Else a sequence being played would keep the light on although nobody is there any more."""
    bench = short.bench()
    with pytest.raises(LeaseError), bench.control():
        bench.lamp.emission = True
        silent(bench)
        with pytest.raises(LeaseError, match=r"not renewed"):
            bench.relay.keep_asking(10.0)
        wait_until(lambda: not short.lamp.on)
        bench.renew()


def test_a_client_that_waits_for_such_calls_keeps_its_lease(short: Lab) -> None:
    bench = short.bench()
    with bench.control():
        bench.lamp.emission = True
        assert bench.relay.keep_asking(4 * SHORT_S) > 3
        assert short.lamp.on

"""One controller at a time, whose silence turns the light off."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from fakes import Lab, Lamp, bench_config, laboratory, wait_until

from drivers.errors import BusError, LeaseError
from labctl.bench.client import Bench
from labctl.server import server
from labctl.server.leases import LeaseBook, Watchdog
from labctl.server.rescue import Hand, Rescue

SHORT_S = 0.3


@pytest.fixture
def short_lab() -> Iterator[Lab]:
    with laboratory(bench_config(lease_s=SHORT_S)) as made:
        yield made


# --- who may do what --------------------------------------------------------------------------------------------


def test_light_needs_a_lease(bench: Bench) -> None:
    with pytest.raises(LeaseError, match=r"lamp.emission needs a lease.*bench.control"):
        bench.lamp.emission = True


def test_light_may_be_turned_off_without_a_lease(bench: Bench) -> None:
    bench.lamp.emission = False


def test_a_second_controller_is_refused_with_the_holders_name(lab: Lab, bench: Bench) -> None:
    with bench.control("first experiment"), pytest.raises(LeaseError, match=r"controlled by first experiment .*pid"):
        lab.bench().control("second").__enter__()


def test_the_refused_controller_leaves_the_first_undisturbed(lab: Lab, bench: Bench) -> None:
    with bench.control():
        bench.lamp.emission = True
        with pytest.raises(LeaseError):
            lab.bench().control().__enter__()
        assert bench.lamp.emission


def test_control_passes_on_when_the_first_leaves(lab: Lab, bench: Bench) -> None:
    with bench.control():
        pass
    with lab.bench().control() as second:
        second.lamp.emission = True
        assert lab.lamp.on


def test_an_observer_may_read_while_another_has_control(lab: Lab, bench: Bench) -> None:
    observer = lab.bench()
    with bench.control():
        bench.lamp.power_w = 3.0
        assert observer.lamp.power_w == 3.0
        assert observer.lamp.look() == 42
        assert observer.snapshot()["lamp"]["power_w"] == 3.0


def test_a_mutating_call_of_an_observer_is_refused_with_the_holders_name(lab: Lab, bench: Bench) -> None:
    observer = lab.bench()
    with bench.control("the experiment"):
        lab.lamp.executed.clear()
        with pytest.raises(LeaseError, match=r"the experiment.*reading is allowed"):
            observer.lamp.power_w = 1.0
        with pytest.raises(LeaseError, match=r"the experiment"):
            observer.lamp.echo(1)
        with pytest.raises(LeaseError, match=r"needs a lease"):
            observer.lamp.emission = True
        assert lab.lamp.executed == []


def test_an_observer_may_make_everything_safe(lab: Lab, bench: Bench) -> None:
    with bench.control():
        bench.lamp.emission = True
        lab.bench().safe()
        assert not lab.lamp.on


def test_a_forged_lease_is_refused(lab: Lab, bench: Bench) -> None:
    forger = lab.bench()
    forger._servers["main"].set_lease("0" * 32)
    with bench.control(), pytest.raises(LeaseError):
        forger.lamp.emission = True


# --- leaving ----------------------------------------------------------------------------------------------------


def test_leaving_control_turns_the_light_off(lab: Lab, bench: Bench) -> None:
    with bench.control():
        bench.lamp.emission = True
    assert not lab.lamp.on


def test_an_error_inside_control_turns_the_light_off(lab: Lab, bench: Bench) -> None:
    def experiment() -> None:
        with bench.control():
            bench.lamp.emission = True
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        experiment()
    assert not lab.lamp.on


def test_leaving_control_makes_safe_while_an_operation_is_in_progress(lab: Lab, bench: Bench) -> None:
    with bench.control():
        bench.lamp.emission = True
        lab.lamp.busy.clear()
        running = threading.Thread(target=_ignoring_loss, args=(bench.lamp.slow, 1.0))
        running.start()
        lab.lamp.busy.wait(5)
    assert not lab.lamp.on
    assert running.is_alive()
    running.join()


def test_light_told_to_come_on_while_control_is_left_stays_off(lab: Lab, bench: Bench) -> None:
    lab.lamp.slow_to_light_s = 0.3
    with bench.control():
        lab.lamp.busy.clear()
        turning_on = threading.Thread(target=_ignoring_loss, args=(setattr, bench.lamp, "emission", True))
        turning_on.start()
        lab.lamp.busy.wait(5)
    turning_on.join()
    assert not lab.lamp.on


def test_a_release_ends_the_lease_before_it_makes_safe(lab: Lab, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a lane that turns the light on between the two would pass the check, and nobody would turn it off."""
    seen: list[object] = []
    make_safe = lab.server.make_safe

    def looked_at(names: Any = None) -> None:
        seen.append(lab.server.book.status())
        make_safe(names)

    with bench.control():
        monkeypatch.setattr(lab.server, "make_safe", looked_at)
    assert seen == [[]]


def test_closing_the_host_turns_the_light_off() -> None:
    with laboratory(bench_config()) as lab:
        bench = lab.bench()
        lab.take(bench)
        bench.lamp.emission = True
        lamp = lab.lamp
    assert not lamp.on


# --- lapse ------------------------------------------------------------------------------------------------------


def test_a_silent_controller_loses_the_light(short_lab: Lab) -> None:
    bench = short_lab.bench()
    short_lab.take(bench)
    bench.lamp.emission = True
    wait_until(lambda: not short_lab.lamp.on)
    wait_until(lambda: short_lab.server.status()["lapsed"] == 1)


def test_every_call_renews_the_lease(short_lab: Lab) -> None:
    bench = short_lab.bench()
    with bench.control():
        bench.lamp.emission = True
        end = time.monotonic() + 3 * SHORT_S
        while time.monotonic() < end:
            bench.lamp.look()
        assert short_lab.lamp.on


def test_renew_alone_keeps_the_lease(short_lab: Lab) -> None:
    bench = short_lab.bench()
    with bench.control():
        bench.lamp.emission = True
        end = time.monotonic() + 3 * SHORT_S
        while time.monotonic() < end:
            bench.renew()
            time.sleep(0.01)
        assert short_lab.lamp.on


def test_waiting_for_a_long_operation_renews_the_lease(short_lab: Lab) -> None:
    bench = short_lab.bench()
    with bench.control():
        bench.lamp.emission = True
        assert bench.lamp.slow(3 * SHORT_S) == "done"
        assert short_lab.lamp.on


def test_an_observers_calls_do_not_renew_the_lease(short_lab: Lab) -> None:
    bench, observer = short_lab.bench(), short_lab.bench()
    short_lab.take(bench)
    bench.lamp.emission = True
    wait_until(lambda: not observer.lamp.emission)


@pytest.mark.parametrize("call", ["read", "call", "set", "renew"])
def test_whoever_lost_the_lease_is_told_at_the_next_call(short_lab: Lab, call: str) -> None:
    bench = short_lab.bench()
    short_lab.take(bench)
    bench.lamp.emission = True
    wait_until(lambda: not short_lab.lamp.on)
    calls: dict[str, Any] = {
        "read": lambda: bench.lamp.power_w,
        "call": lambda: bench.lamp.look(),
        "set": lambda: setattr(bench.lamp, "emission", True),
        "renew": bench.renew,
    }
    with pytest.raises(LeaseError, match=r"not renewed within 0\.3 s"):
        calls[call]()
    assert not short_lab.lamp.on


def test_control_can_be_taken_again_after_a_lapse(short_lab: Lab) -> None:
    bench = short_lab.bench()
    with bench.control():
        bench.lamp.emission = True
        wait_until(lambda: not short_lab.lamp.on)
        with pytest.raises(LeaseError):
            bench.lamp.emission = True
    with bench.control():
        bench.lamp.emission = True
        assert short_lab.lamp.on


def test_light_that_comes_on_after_the_lapse_is_turned_off_again(short_lab: Lab) -> None:
    bench = short_lab.bench()
    short_lab.lamp.slow_to_light_s = 3 * SHORT_S
    short_lab.take(bench)
    bench._servers["main"].calls._while_waiting = None  # a client that does not renew while it waits
    with pytest.raises(LeaseError):
        bench.lamp.emission = True
    assert not short_lab.lamp.on


def test_a_session_starts_from_the_bench_files_settings(lab: Lab, bench: Bench) -> None:
    with bench.control():
        bench.lamp.power_w = 4.0
    with bench.control():
        assert bench.lamp.power_w == 2.0


def test_control_waits_for_a_call_from_before(lab: Lab, bench: Bench) -> None:
    running = threading.Thread(target=lab.bench().lamp.slow, args=(0.5,))
    running.start()
    lab.lamp.busy.wait(5)
    with bench.control():
        assert not lab.server.lock.locked()  # the call has ended
        bench.lamp.emission = True
        assert lab.lamp.on
    running.join()


def test_control_that_is_not_granted_in_time_is_not_granted_later(lab: Lab, bench: Bench) -> None:
    bench._servers["main"].calls.side.start_within_s = 0.2
    running = threading.Thread(target=lab.bench().lamp.slow, args=(0.8,))
    running.start()
    lab.lamp.busy.wait(5)
    with pytest.raises(BusError, match=r"server\.acquire expired"):
        bench.control().__enter__()
    running.join()
    assert bench.lamp.look() == 42  # behind the request for control, which has come too late
    assert lab.server.book.status() == []


def test_a_lease_given_back_while_its_devices_were_being_prepared_is_not_granted_after_all() -> None:
    book = LeaseBook()
    book.acquire("t" * 16, "x", "", ["lamp"], 60.0)
    book.release("t" * 16)
    with pytest.raises(LeaseError, match=r"given back"):
        book.start("t" * 16, 1.0)
    assert book.status() == []


# --- how fast, on the server's own clock ------------------------------------------------------------------------


def test_emission_goes_off_within_the_lease_and_100_ms() -> None:
    """From the last renewal to safe(), both read in the server: the median of the trials, and none far off."""
    book = LeaseBook()
    made_safe = threading.Event()
    at: list[int] = []

    def safe(devices: Iterable[str]) -> None:
        assert list(devices) == ["lamp"]
        at.append(time.monotonic_ns())
        made_safe.set()

    watchdog = Watchdog(book, safe)
    watchdog.start()
    delays = []
    try:
        for trial in range(7):
            made_safe.clear()
            book.acquire(f"token {trial}", "test", "", ["lamp"], 0.1)
            renewed = time.monotonic_ns()
            book.renew(f"token {trial}")
            assert made_safe.wait(10)
            delays.append((at[-1] - renewed) / 1e9)
    finally:
        watchdog.stop()
    assert min(delays) >= 0.1
    assert statistics.median(delays) <= 0.1 + 0.1
    assert max(delays) <= 0.1 + 1.0


def test_the_emitters_are_made_safe_although_another_device_fails(lab: Lab, bench: Bench, monkeypatch: Any) -> None:
    def broken() -> None:
        raise RuntimeError("cannot")

    monkeypatch.setattr(lab.host.devices["spare"], "safe", broken)
    monkeypatch.setattr(lab.host.devices["relay"], "safe", broken)
    with bench.control():
        bench.lamp.emission = True
    assert not lab.lamp.on


def _ignoring_loss(call: Any, *arguments: Any) -> None:
    with contextlib.suppress(LeaseError):
        call(*arguments)


def test_a_watchdog_that_could_not_act_acts_again() -> None:
    book, tried, done = LeaseBook(), [], threading.Event()

    def safe(devices: Iterable[str]) -> None:
        tried.append(set(devices))
        if len(tried) < 3:
            raise MemoryError
        done.set()

    watchdog = Watchdog(book, safe)
    watchdog.start()
    try:
        book.acquire("a token of the test", "test", "", ["lamp"], 0.05)
        assert done.wait(10)
    finally:
        watchdog.stop()
    assert tried == [{"lamp"}] * 3


def test_the_light_goes_off_in_a_process_that_can_start_no_thread_any_more(
    lab: Lab, bench: Bench, monkeypatch: Any
) -> None:
    def never_begins(thread: threading.Thread) -> None:
        threading.Event().wait()  # as one for which there is no memory

    with contextlib.suppress(LeaseError), bench.control("test"):
        bench.lamp.emission = True
        monkeypatch.setattr(threading.Thread, "start", never_begins)
        (server,) = [s for s in lab.host.servers.values() if "lamp" in s.devices]
        server.make_safe(["lamp"])
        assert not lab.lamp.on
        monkeypatch.undo()


def test_an_instrument_that_hangs_keeps_no_light_on_whose_lease_lapses_next(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    class Hangs:
        @property
        def on(self) -> bool:
            return True

        @on.setter
        def on(self, value: bool) -> None:
            go_on.wait()

    monkeypatch.setattr(server, "_SAFE_PATIENCE_S", 60.0)  # longer than is waited for here
    spare = lab.host.devices["spare"]
    assert isinstance(spare, Lamp)
    before, lab.lamp.filament, spare.on = lab.lamp.filament, Hangs(), True
    lab.server.book.acquire("1" * 16, "one", "", ["lamp"], 0.1)
    lab.server.book.acquire("2" * 16, "two", "", ["spare"], 0.3)
    try:
        wait_until(lambda: not spare.on)
        assert not go_on.is_set()
    finally:
        lab.lamp.filament = before
        go_on.set()


def test_a_hand_that_hangs_is_not_waited_for_and_works_again_later() -> None:
    begun, go_on, acts = threading.Event(), threading.Event(), []

    def act() -> None:
        begun.set()
        go_on.wait()
        acts.append(1)

    hand = Hand("lamp", act)
    assert hand.begin()
    assert begun.wait(10)
    assert not hand.begin(), "it is at it for somebody else"
    assert not hand.wait(0.01)
    assert not hand.begin(), "it hangs"
    go_on.set()
    wait_until(lambda: acts == [1])
    wait_until(hand.begin)
    assert hand.wait(10)
    assert acts == [1, 1]
    hand.end()


def test_an_instrument_that_hangs_takes_no_more_threads_however_often_it_is_asked() -> None:
    go_on, acts = threading.Event(), list[str]()

    def act(name: str) -> None:
        if name == "lamp":
            go_on.wait()
        acts.append(name)

    rescue, before = Rescue(act), threading.active_count()
    rescue.stand_ready(["lamp"])
    for _ in range(100):
        assert rescue.act(["lamp", "spare"], 0.001) in (["lamp"], ["lamp", "spare"])
    assert threading.active_count() - before < 40
    assert "lamp" not in acts
    go_on.set()
    wait_until(lambda: threading.active_count() == before + 1)
    assert rescue.act(["lamp"], 10) == []
    rescue.end()

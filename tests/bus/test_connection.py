"""A connection: several requests under way, answers nobody waits for any more, servers that come and go."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import zmq
from fakes import Lab, bench_config, ipc_places, laboratory, pixels, wait_until

from drivers.errors import BusError
from labctl.bench.client import Bench
from labctl.bus.connection import Connection
from labctl.server.host import running


@contextmanager
def busy(lab: Lab, seconds: float) -> Iterator[None]:
    """The server's calls wait for one of somebody else; when the block is left it has ended."""
    lab.lamp.busy.clear()
    other = lab.bench()
    thread = threading.Thread(target=other.lamp.slow, args=(seconds,))
    thread.start()
    assert lab.lamp.busy.wait(10)
    try:
        yield
    finally:
        thread.join()


# --- several under way ------------------------------------------------------------------------------------------


def test_many_calls_under_way_are_executed_in_order_and_each_gets_its_answer(lab: Lab, bench: Bench) -> None:
    lab.lamp.executed.clear()
    pending = [bench.lamp.echo.submit(k) for k in range(16)]
    assert [p.result() for p in pending] == list(range(16))
    assert lab.lamp.executed == ["echo"] * 16


def test_answers_may_be_fetched_in_any_order_with_calls_in_between(bench: Bench) -> None:
    first = [bench.lamp.echo.submit(k) for k in range(8)]
    assert bench.lamp.echo("between") == "between"
    power = bench.lamp.submit_get("power_w")
    assert bench.lamp.look() == 42
    assert [p.result() for p in reversed(first)] == list(reversed(range(8)))
    assert power.result() == 2.0


def test_an_error_among_calls_under_way_belongs_to_its_call(bench: Bench) -> None:
    good, bad, last = bench.lamp.echo.submit(1), bench.lamp.fail.submit(""), bench.lamp.echo.submit(2)
    assert last.result() == 2
    with pytest.raises(Exception, match=r"filament broken"):
        bad.result()
    assert good.result() == 1


@pytest.mark.parametrize("ipc", [False, True], ids=["inproc", "ipc"])
def test_arrays_under_way_do_not_mix(ipc: bool) -> None:
    with laboratory(bench_config(), ipc=ipc) as lab:
        bench = lab.bench()
        sent = [pixels(k, 200, 300) for k in range(12)]
        pending = [bench.lamp.echo.submit(array) for array in sent]
        for array, answer in zip(sent, pending, strict=True):
            np.testing.assert_array_equal(answer.result(), array)


def test_a_frame_comes_by_shared_memory_without_a_copy_by_the_server() -> None:
    with laboratory(bench_config(), ipc=True) as lab:
        bench = lab.bench()
        frames = [bench.eye.snap(200, 300) for _ in range(4)]
        assert len(lab.host.arena.borrowers()) == 1  # only places were sent, and nothing was given back yet
        assert lab.host.arena.refused == 0
        for k, frame in enumerate(frames):
            np.testing.assert_array_equal(frame.data, pixels(k, 200, 300))
            assert not frame.data.flags.writeable


def test_an_allocated_array_reaches_the_device_without_a_copy() -> None:
    with laboratory(bench_config(), ipc=True) as lab:
        bench = lab.bench()
        drawn = bench.lamp.allocate((300, 400), np.float64)
        drawn[...] = np.arange(120_000.0).reshape(300, 400)
        assert bench.arena.holds(drawn)
        np.testing.assert_array_equal(bench.lamp.echo(drawn), drawn)


def test_slots_of_a_client_that_said_goodbye_are_free_again() -> None:
    with laboratory(bench_config(), ipc=True) as lab:
        bench = lab.bench()
        frame = bench.eye.snap(200, 300)
        assert lab.host.arena.borrowers()
        del frame
        bench.close()
        wait_until(lambda: not lab.host.arena.borrowers())


def test_a_frame_that_is_kept_outlives_its_bench_untouched() -> None:
    with laboratory(bench_config(), ipc=True) as lab:
        bench = lab.bench()
        kept = bench.eye.snap(200, 300)
        bench.close()
        other = lab.bench()
        for _ in range(20):
            other.eye.snap(200, 300)
        np.testing.assert_array_equal(kept.data, pixels(0, 200, 300))


# --- abandoned calls --------------------------------------------------------------------------------------------


def test_the_answer_of_an_abandoned_call_is_not_taken_for_another(lab: Lab) -> None:
    connection = lab.connection(patience_s=0.05)
    assert connection.request("lamp", "call", "look", [[], {}]) == 42
    with pytest.raises(BusError, match=r"no answer from .* within 0\.05 s"):
        connection.request("lamp", "call", "slow", [[0.3], {}], timeout_s=0.05)
    assert connection.request("lamp", "call", "echo", [["mine"], {}]) == "mine"


def test_far_more_calls_under_way_than_queues_hold_are_all_answered() -> None:
    with laboratory(bench_config(), ipc=True) as lab:
        bench = lab.bench()
        under_way = [bench.lamp.echo.submit(k) for k in range(3000)]
        assert [pending.result() for pending in under_way] == list(range(3000))


def test_a_greeting_answered_too_late_is_not_taken_for_another_answer(lab: Lab) -> None:
    connection = lab.connection(patience_s=0.05)
    with busy(lab, 0.4), pytest.raises(BusError, match=r"no answer"):
        connection.request("lamp", "call", "look", [[], {}], timeout_s=0.1)
    for k in range(3):
        assert connection.request("lamp", "call", "echo", [[k], {}]) == k


def test_a_call_that_timed_out_is_not_begun_later(lab: Lab, bench: Bench) -> None:
    calls = bench._servers["main"].calls
    calls.set_patience(0.05)
    with busy(lab, 0.5), pytest.raises(BusError, match=r"within 0\.1 s"):
        calls.request("spare", "set", "power_w", 3.0, timeout_s=0.1)
    assert bench.spare.power_w == 1.0


def test_a_call_that_was_interrupted_is_cancelled_before_its_turn(lab: Lab, bench: Bench) -> None:
    """It would not have expired for seconds."""
    calls = bench._servers["main"].calls
    calls.set_patience(0.05)

    def interrupt(session: str, number: int) -> None:
        raise KeyboardInterrupt

    calls._while_waiting = interrupt
    with busy(lab, 0.5), pytest.raises(KeyboardInterrupt):
        calls.request("spare", "set", "power_w", 3.0)
    calls._while_waiting = None
    assert bench.spare.power_w == 1.0
    assert bench.lamp.echo(1) == 1


# --- servers that come and go -----------------------------------------------------------------------------------


def _answers(connection: Connection) -> bool:
    try:
        return bool(connection.request("lamp", "call", "look", [[], {}], timeout_s=2.0) == 42)
    except BusError:
        return False


def test_a_connection_reaches_the_server_that_was_started_anew_where_the_old_one_was() -> None:
    config = bench_config()
    context: zmq.Context[Any] = zmq.Context()
    places = ipc_places(config)
    connection = Connection(context, places["main"].local["calls"])
    connection.set_send_patience(0.2)
    try:
        with running(config, context, places):
            assert connection.request("lamp", "call", "look", [[], {}]) == 42
        # The end of a server is noticed a little after it; what is sent in between goes nowhere.
        wait_until(lambda: not connection._socket.poll(0, zmq.POLLOUT))
        with pytest.raises(BusError, match=r"nobody listens.*labctl up"):
            connection.request("lamp", "call", "look", [[], {}])
        connection.set_send_patience(10.0)
        with running(config, context, places):
            wait_until(lambda: _answers(connection))  # what is sent while the line is just being made may be lost
    finally:
        connection.close()
        context.term()


def test_a_server_started_anew_during_a_call_is_noticed_and_the_fate_of_the_call_is_called_unknown(
    lab: Lab, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench._servers["main"].calls.set_patience(0.05)
    bench._servers["main"].instance = "an earlier start"
    monkeypatch.setattr(lab.server.sessions, "whereabouts", lambda session, number: "unknown")
    with pytest.raises(BusError, match=r"main ended during a call and was started again.*is not known"):
        bench.lamp.slow(0.5)


def test_a_call_that_a_server_started_anew_has_taken_is_waited_for(lab: Lab, bench: Bench) -> None:
    bench._servers["main"].calls.set_patience(0.05)
    bench._servers["main"].instance = "an earlier start"
    assert bench.lamp.slow(0.5) == "done"


def test_closing_wakes_whoever_waits_in_another_thread(lab: Lab) -> None:
    connection = lab.connection(patience_s=0.05)
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            connection.request("lamp", "call", "slow", [[1.0], {}])
        except BusError as error:
            failures.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert lab.lamp.busy.wait(10)
    connection.close()
    waiting.join(10)
    assert [str(f) for f in failures] == ["lamp.slow: the connection was closed while waiting for the answer"]
    with pytest.raises(BusError, match=r"closed"):
        connection.request("lamp", "call", "look", [[], {}])


def test_several_threads_share_a_connection(bench: Bench) -> None:
    wrong: list[Any] = []

    def ask(which: int) -> None:
        wrong.extend(k for k in range(100) if bench.lamp.echo([which, k]) != [which, k])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_emergency_lane_is_not_kept_waiting_by_a_call(lab: Lab, bench: Bench) -> None:
    onlooker = lab.bench()
    with bench.control():
        bench.lamp.emission = True
        lab.lamp.busy.clear()
        playing = bench.lamp.slow.submit(1.0)
        assert lab.lamp.busy.wait(10)
        onlooker.safe()
        assert not lab.lamp.on
        assert lab.server.lock.locked()  # the call is still being served
        assert playing.result() == "done"

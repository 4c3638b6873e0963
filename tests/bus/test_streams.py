"""Streams: what is measured, for whoever listens; intact, reduced as asked, and with every loss told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zmq
from fakes import Lab, bench_config, frame, laboratory, pixels, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import ROI, FrameStack
from drivers.errors import BusError, LimitError
from labctl.bench.client import Bench
from labctl.bus.stream import Item, Numbering, Reduction, Stream, make_topic, parse_topic
from labctl.server.publisher import reduced

ROWS, COLUMNS = 200, 301
"""Large enough for shared memory."""


@pytest.fixture(params=[False, True], ids=["inproc", "ipc"])
def table(request: pytest.FixtureRequest) -> Iterator[tuple[Lab, Bench]]:
    with laboratory(bench_config(), ipc=request.param) as lab:
        yield lab, lab.bench()


def first_item(stream: Stream, bench: Bench) -> Item:
    """The first item: a subscription takes a moment to arrive, and what was measured before is not seen."""
    for _ in range(1000):
        bench.eye.snap(ROWS, COLUMNS)
        if stream._socket.poll(20):
            return stream.next()
    raise AssertionError("nothing came")


# --- numbers and losses -----------------------------------------------------------------------------------------


def test_a_subscriber_who_keeps_up_gets_every_frame_intact(table: tuple[Lab, Bench]) -> None:
    _, bench = table
    with bench.eye.stream(timeout_s=20) as stream:
        number = first_item(stream, bench).number
        for _ in range(40):  # more than there are slots, so they are used again and again
            taken = bench.eye.snap(ROWS, COLUMNS)
            item = stream.next()
            assert (item.number, item.lost) == (number + 1, 0)
            assert item.value.frame_id == taken.frame_id
            np.testing.assert_array_equal(item.value.data, pixels(taken.frame_id, ROWS, COLUMNS))
            number = item.number
        assert stream.lost == 0


def test_a_slow_subscriber_is_told_exactly_what_it_lost_and_gets_nothing_torn(table: tuple[Lab, Bench]) -> None:
    _, bench = table
    with bench.eye.stream(timeout_s=20) as stream:
        first = first_item(stream, bench)
        for _ in range(60):
            bench.eye.snap(ROWS, COLUMNS)
        lost_before, last, came = stream.lost, first, 0
        while stream._socket.poll(200):
            item = stream.next()
            assert item.number == last.number + item.lost + 1
            assert item.value.frame_id == last.value.frame_id + item.lost + 1
            np.testing.assert_array_equal(item.value.data, pixels(item.value.frame_id, ROWS, COLUMNS))
            last, came = item, came + 1
            if item.lost == 0 and came < 100:
                bench.eye.snap(ROWS, COLUMNS)
            if came > 40:
                break
        assert stream.lost > lost_before
        assert last.number == first.number + came + stream.lost


def test_frames_taken_by_one_thread_while_another_reads_are_never_torn() -> None:
    with laboratory(bench_config(), ipc=True) as lab:
        bench, taking = lab.bench(), lab.bench()
        with bench.eye.stream(timeout_s=20) as stream:
            last = first_item(stream, bench)
            ended = threading.Event()

            def take() -> None:
                for _ in range(300):
                    taking.eye.snap(ROWS, COLUMNS)
                ended.set()

            taker = threading.Thread(target=take)
            taker.start()
            came = 0
            while not ended.is_set() or stream._socket.poll(50):
                if not stream._socket.poll(50):
                    continue
                item = stream.next()
                assert item.value.frame_id == last.value.frame_id + item.lost + 1
                np.testing.assert_array_equal(item.value.data, pixels(item.value.frame_id, ROWS, COLUMNS))
                last, came = item, came + 1
            taker.join()
            assert came > 10


def test_a_frame_spoilt_before_it_was_copied_counts_as_lost() -> None:
    numbering = Numbering()
    assert [numbering.lost_before(n) for n in (5, 6, 9)] == [0, 0, 2]
    numbering.spoilt(10)
    numbering.spoilt(12)
    assert numbering.lost_before(13) == 3
    assert numbering.lost_before(14) == 0


def test_numbers_that_begin_anew_with_the_server_are_no_loss() -> None:
    numbering = Numbering()
    assert [numbering.lost_before(n) for n in (500, 1, 2)] == [0, 0, 0]


@given(st.lists(st.booleans(), max_size=60), st.data())
@settings(deadline=None)
def test_what_came_and_what_was_lost_add_up(arrived: list[bool], data: st.DataObject) -> None:
    numbering, came, lost, last = Numbering(), 0, 0, 0
    for number, comes in enumerate(arrived, 1):
        if number == 1 or (comes and not data.draw(st.booleans())):
            lost += numbering.lost_before(number)
            came, last = came + 1, number
        elif comes:
            numbering.spoilt(number)
    assert came + lost == last


# --- reductions -------------------------------------------------------------------------------------------------


def test_sums_over_windows_equal_numpys(table: tuple[Lab, Bench]) -> None:
    _, bench = table
    windows = [ROI(row=0, column=0, rows=7, columns=11), ROI(row=150, column=9, rows=50, columns=200)]
    with bench.eye.stream(windows=windows, timeout_s=20) as stream:
        item = first_item(stream, bench)
    image = pixels(item.value.frame_id, ROWS, COLUMNS).astype(np.float64)
    sums = [image[w.row : w.row + w.rows, w.column : w.column + w.columns].sum() for w in windows]
    np.testing.assert_array_equal(np.ravel(item.value.data), sums)


def test_a_binned_stream_is_the_mean_of_its_pixels(table: tuple[Lab, Bench]) -> None:
    _, bench = table
    with bench.eye.stream(bin=3, timeout_s=20) as stream:
        item = first_item(stream, bench)
    image = pixels(item.value.frame_id, ROWS, COLUMNS)[:198, :300].astype(np.float64)
    expected = image.reshape(66, 3, 100, 3).mean(axis=(1, 3))
    assert item.value.data.dtype == np.float32
    np.testing.assert_allclose(item.value.data, expected, rtol=1e-6)


def test_a_stream_without_images_tells_everything_else(table: tuple[Lab, Bench]) -> None:
    _, bench = table
    with bench.eye.stream(images=False, timeout_s=20) as stream:
        item = first_item(stream, bench)
        taken = bench.eye.snap(ROWS, COLUMNS)
        item = stream.next()
    assert item.value.data.size == 0
    assert (item.value.frame_id, item.value.roi) == (taken.frame_id, taken.roi)


def test_readings_are_streamed_whole(table: tuple[Lab, Bench]) -> None:
    _, bench = table
    with bench.eye.stream(bin=2, timeout_s=20) as stream:
        first_item(stream, bench)
        assert bench.eye.measure() == stream.next().value


def test_each_subscriber_has_its_own_reduction_and_numbers(table: tuple[Lab, Bench]) -> None:
    _, bench = table
    with bench.eye.stream(timeout_s=20) as whole, bench.eye.stream(bin=2, timeout_s=20) as binned:
        first_item(whole, bench)
        first_item(binned, bench)
        while whole._socket.poll(50):
            whole.next()
        while binned._socket.poll(50):
            binned.next()
        taken = bench.eye.snap(ROWS, COLUMNS)
        assert whole.next().value.data.shape == (ROWS, COLUMNS)
        assert binned.next().value.data.shape == (ROWS // 2, COLUMNS // 2)
        assert taken.data.shape == (ROWS, COLUMNS)


def test_an_observer_sees_what_the_one_in_control_measures(table: tuple[Lab, Bench]) -> None:
    lab, bench = table
    with bench.control(), lab.bench().eye.stream(timeout_s=20) as stream:
        assert first_item(stream, bench).value.data.shape == (ROWS, COLUMNS)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f4"])
@pytest.mark.parametrize("shape", [(6, 8), (3, 6, 8)], ids=["frame", "stack"])
def test_reductions_of_frames_and_stacks(dtype: str, shape: tuple[int, ...]) -> None:
    most = 16 * 65535 if dtype == "u4" else 200  # u4: frames of a camera that bins
    data = (np.random.default_rng(2).random(shape) * most).astype(dtype)
    value = frame(data, 1)
    sums = reduced(value, Reduction("windows", ((1, 2, 3, 4), (0, 0, 6, 8)))).data
    expected = np.stack([data[..., 1:4, 2:6].sum((-2, -1), np.float64), data.sum((-2, -1), np.float64)], -1)
    np.testing.assert_array_equal(np.squeeze(sums), np.squeeze(expected))
    binned = reduced(value, Reduction("bin", bin=2)).data
    blocks = data.reshape(*shape[:-2], 3, 2, 4, 2).astype(np.float64).mean(axis=(-3, -1))
    np.testing.assert_allclose(binned, blocks, rtol=1e-5)
    assert FrameStack is not None


# --- topics -----------------------------------------------------------------------------------------------------

NO_TOPICS = [
    b"",
    b"eye",
    b"eye\0",
    b"eye\0nonsense",
    b'eye\0{"kind":"everything"}',
    b'eye\0{"kind":"bin","bin":0}',
    b'eye\0{"kind":"bin","bin":100000}',
    b'eye\0{"kind":"windows"}',
    b'eye\0{"kind":"windows","windows":[[-1,0,1,1]]}',
    b'eye\0{"kind":"windows","windows":[[1,1]]}',
    b'eye\0{"kind":"whole","unheard":1}',
    b"\xff\xfe\0{}",
    b"eye\0" + b"[" * 900,
]


@pytest.mark.parametrize("topic", NO_TOPICS, ids=range(len(NO_TOPICS)))
def test_what_is_no_topic_is_refused(topic: bytes) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the publisher suppresses exactly these
        parse_topic(topic)
    import msgspec

    assert isinstance(caught.value, (ValueError, msgspec.MsgspecError))


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_random_topics_raise_nothing_unforeseen(topic: bytes) -> None:
    import msgspec

    try:
        parse_topic(topic)
    except (ValueError, msgspec.MsgspecError):
        return


def test_a_topic_says_what_was_asked_for() -> None:
    wanted = Reduction("windows", ((1, 2, 3, 4),))
    assert parse_topic(make_topic("eye", wanted)) == ("eye", wanted)


def test_more_windows_than_a_topic_holds_are_refused(bench: Bench) -> None:
    windows = [ROI(row=k, column=1000, rows=1000, columns=1000) for k in range(100)]
    with pytest.raises(LimitError, match=r"100 windows are more than one stream takes"):
        bench.eye.stream(windows=windows)


def test_malformed_subscriptions_are_counted_and_disturb_nobody(table: tuple[Lab, Bench]) -> None:
    lab, bench = table
    with lab.context.socket(zmq.SUB) as stranger:
        stranger.linger = 0
        stranger.connect(lab.endpoint("stream"))
        topics = [t for t in NO_TOPICS if t]
        for topic in topics:
            stranger.setsockopt(zmq.SUBSCRIBE, topic)

        def refused() -> bool:
            bench.eye.snap(4, 4)
            return lab.server.publisher.refused >= len(topics)

        wait_until(refused)
        with bench.eye.stream(timeout_s=20) as stream:
            assert first_item(stream, bench).value.data.shape == (ROWS, COLUMNS)


def test_a_window_outside_the_image_does_not_end_the_measurement(table: tuple[Lab, Bench]) -> None:
    _, bench = table
    outside = [ROI(row=10**6, column=10**6, rows=5, columns=5)]
    with bench.eye.stream(windows=outside, timeout_s=20) as stream:
        item = first_item(stream, bench)
        np.testing.assert_array_equal(np.ravel(item.value.data), [0.0])


# --- silence ----------------------------------------------------------------------------------------------------


def test_a_stream_on_which_nothing_comes_says_so(bench: Bench) -> None:
    with (
        bench.eye.stream(timeout_s=0.3) as stream,
        pytest.raises(BusError, match=r"nothing was measured within 0\.3 s"),
    ):
        stream.next()


def test_a_closed_stream_says_so(bench: Bench) -> None:
    stream = bench.eye.stream()
    stream.close()
    with pytest.raises(BusError, match=r"stream of eye: closed"):
        stream.next()


def test_nothing_is_published_while_nobody_listens(lab: Lab, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[Any] = []
    monkeypatch.setattr("labctl.server.publisher.reduced", lambda *a: worked.append(a) or a[0])
    for _ in range(5):
        bench.eye.snap(10, 10)
    assert worked == []


def test_a_stream_of_a_device_ends_with_its_last_subscriber(lab: Lab, bench: Bench) -> None:
    with bench.eye.stream(timeout_s=20) as stream:
        first_item(stream, bench)
        assert lab.server.publisher._topics[0]
    wait_until(lambda: bench.eye.snap(4, 4) and not lab.server.publisher._topics[0])

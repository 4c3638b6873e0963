"""Arrays in shared memory: seen without a copy, kept as long as anybody looks, never torn unnoticed."""

from __future__ import annotations

import errno
import gc
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.errors import BusError
from labctl.bus import segments
from labctl.bus.client_side import ClientSide
from labctl.bus.messages import Decoder, Encoder, Reply
from labctl.bus.ring import SMALLEST_SHARED_BYTES, Arena, OverwrittenError, Place, Reader
from labctl.bus.segments import Attachments, Segment
from labctl.bus.server_side import ServerSide

SHAPE = (300, 400)


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = Arena()
    yield made
    made.close()


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment(8192)
    yield made
    made.close()


def drawn(arena: Arena, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> NDArray[np.float64]:
    """An array of the arena's, with something in it."""
    array = arena.array(shape, np.float64)
    array[...] = np.random.default_rng(seed).random(shape)
    return array


def lent(arena: Arena, array: NDArray[Any]) -> Place:
    place = arena.lend(array, "reader")
    assert place is not None
    return place


def read(reader: Reader, place: Place, shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    return reader.array(place, np.dtype(np.float64), list(shape), 8 * int(np.prod(shape)))


def overwrite(arena: Arena, place: Place) -> None:
    """What a writer does that takes a slot although somebody reads it."""
    (ring,) = [r for r in arena._rings if r.segment.name == place.segment]
    ring._sequences[place.slot] += np.uint64(1)


# --- views ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u2", "f4", "f8", "?"])
def test_a_reader_sees_what_was_written(arena: Arena, dtype: str) -> None:
    array = arena.array((500, 601), dtype)
    array[...] = (np.random.default_rng(1).random((500, 601)) * 200).astype(dtype)
    seen = Reader().array(lent(arena, array), array.dtype, list(array.shape), array.nbytes)
    assert (seen.dtype, seen.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(seen, array)


def test_a_reader_sees_the_memory_itself_and_cannot_write_to_it(arena: Arena) -> None:
    array = drawn(arena)
    seen = read(Reader(), lent(arena, array))
    array[2, 3] = 42.0
    assert seen[2, 3] == 42.0
    with pytest.raises(ValueError, match="read-only"):
        seen[0, 0] = 1.0


def test_a_reader_keeps_its_array_after_the_owner_has_closed() -> None:
    arena = Arena()
    array = drawn(arena)
    expected, seen = array.copy(), read(Reader(), lent(arena, array))
    arena.close()
    del array
    np.testing.assert_array_equal(seen, expected)


# --- how long a slot is kept ------------------------------------------------------------------------------------

DERIVED: dict[str, Callable[[NDArray[Any]], Any]] = {
    "itself": lambda a: a,
    "slice": lambda a: a[3:5, ::7],
    "reshaped": lambda a: a.reshape(-1)[5:],
    "transposed": lambda a: a.T,
    "bytes": lambda a: a.view(np.uint8),
    "memoryview": lambda a: memoryview(a),
    "part of a memoryview": lambda a: memoryview(a.reshape(-1))[7:9],
    "from a buffer": lambda a: np.frombuffer(memoryview(a).cast("B"), np.uint8),
}


@pytest.mark.parametrize("kind", DERIVED)
def test_a_reader_gives_a_slot_back_when_the_last_view_is_gone(arena: Arena, kind: str) -> None:
    given_back: list[int] = []
    place = lent(arena, drawn(arena))
    reader = Reader(given_back.append)
    seen: Any = read(reader, place)
    derived = DERIVED[kind](seen)
    del seen
    gc.collect()
    assert given_back == []
    del derived
    gc.collect()
    assert given_back == [place.lent]


@pytest.mark.parametrize("kind", DERIVED)
def test_a_writer_does_not_take_a_slot_again_while_it_looks_at_it_itself(arena: Arena, kind: str) -> None:
    array: Any = drawn(arena)
    expected = array.tobytes()
    derived = DERIVED[kind](array)
    seen = DERIVED[kind](np.frombuffer(expected).reshape(SHAPE))
    del array
    others = _all_slots(arena)
    assert np.array_equal(np.asarray(derived), np.asarray(seen))
    del derived
    gc.collect()
    assert arena.take(SMALLEST_SHARED_BYTES * 10) is not None
    del others


def _all_slots(arena: Arena) -> list[NDArray[np.uint8]]:
    """Every slot that is free, overwritten."""
    taken = []
    while (found := arena.take(SMALLEST_SHARED_BYTES * 10)) is not None:
        found[...] = 255
        taken.append(found)
    return taken


def test_a_slot_lent_to_two_readers_is_free_when_both_gave_it_back(arena: Arena) -> None:
    array = drawn(arena)
    first, second = (lent(arena, array) for _ in range(2))
    del array
    full = len(_all_slots(arena))
    arena.give_back([first.lent])
    assert len(_all_slots(arena)) == full
    arena.give_back([second.lent])
    assert len(_all_slots(arena)) == full + 1


def test_numbers_that_were_never_lent_give_nothing_back(arena: Arena) -> None:
    place = lent(arena, drawn(arena))
    arena.give_back([place.lent + 1, 10**12, -1])
    assert arena.borrowers() == {"reader"}
    arena.give_back([place.lent, place.lent])
    assert arena.borrowers() == set()


def test_two_servers_do_not_lend_under_the_same_numbers() -> None:
    """A server that was started again must not take for its own what its predecessor had lent."""
    first = "import labctl.bus.ring as r; print(next(r._lend_numbers))"
    numbers = [subprocess.run([sys.executable, "-c", first], capture_output=True, text=True, check=True).stdout]
    numbers += [subprocess.run([sys.executable, "-c", first], capture_output=True, text=True, check=True).stdout]
    assert numbers[0] != numbers[1]


@pytest.fixture
def pair() -> Iterator[tuple[ClientSide, ServerSide, Arena]]:
    """A client and a server that share memory, greeted."""
    mine, theirs = Arena(), Arena()
    client, server = ClientSide(mine), ServerSide("test", None, theirs, shares_memory=True)
    client.welcome(server.receive(client.hello()))
    assert client.shares_memory
    yield client, server, theirs
    server.close()
    mine.close()
    theirs.close()


def taken(client: ClientSide, frames: Any) -> Any:
    found = client.take(frames)
    assert found is not None
    assert isinstance(found[1], Reply)
    return found[1].value


def test_an_array_kept_after_its_connection_is_given_back_by_a_later_one(
    pair: tuple[ClientSide, ServerSide, Arena],
) -> None:
    client, server, arena = pair
    request = server.receive(client.request("eye", "call", "snap")[1])
    value = taken(client, server.answer(request, np.arange(100_000.0)))
    client.close()
    later = ClientSide(Arena())
    later.welcome(server.receive(later.hello()))
    server.receive(later.request("eye", "get", "x")[1])
    assert arena.borrowers() == {client.session}
    del value
    server.receive(later.request("eye", "get", "x")[1])
    assert arena.borrowers() == set()


def test_an_array_changed_by_its_sender_during_the_call_is_an_error(pair: tuple[ClientSide, ServerSide, Arena]) -> None:
    client, server, _ = pair
    arena = client._arena
    assert arena is not None
    drawing = arena.array((100_000,), np.float64)
    request = server.receive(client.request("slm", "call", "write", drawing)[1])
    arena._rings[0]._sequences[:] += 1  # as if the sender had written there again
    found = client.take(server.answer(request, 1))
    assert found is not None
    assert isinstance(found[1], Reply)
    assert found[1].failure is not None
    assert "changed by its sender" in found[1].failure.message


def test_a_slot_is_given_back_with_the_next_request(pair: tuple[ClientSide, ServerSide, Arena]) -> None:
    client, server, arena = pair
    _, frames = client.request("eye", "call", "snap")
    request = server.receive(frames)
    answer = server.answer(request, np.arange(100_000.0))
    assert len(answer) == 1  # only its place is sent
    value = taken(client, answer)
    server.receive(client.request("eye", "get", "x")[1])
    assert arena.borrowers() == {client.session}
    del value
    server.receive(client.request("eye", "get", "x")[1])
    assert arena.borrowers() == set()


def test_what_a_client_lent_with_a_request_is_free_after_the_answer(pair: tuple[ClientSide, ServerSide, Arena]) -> None:
    client, server, _ = pair
    arena = client._arena
    assert arena is not None
    request = server.receive(client.request("slm", "call", "write", np.arange(100_000.0))[1])
    assert arena.borrowers() == {client.session}
    taken(client, server.answer(request, None))
    assert arena.borrowers() == set()


def test_an_answer_that_could_not_be_sent_frees_its_slot(pair: tuple[ClientSide, ServerSide, Arena]) -> None:
    client, server, arena = pair
    server.answer(server.receive(client.request("eye", "call", "snap")[1]), np.arange(100_000.0))
    server.undelivered()
    assert arena.borrowers() == set()


def test_when_all_slots_are_held_arrays_come_inside_the_message(arena: Arena) -> None:
    encoder, decoder = Encoder(arena), Decoder(Reader())
    sent = [np.full(SHAPE, float(k)) for k in range(20)]
    messages = [[bytes(f) for f in encoder.encode(Reply(k, array), "reader")] for k, array in enumerate(sent)]
    assert {len(frames) for frames in messages} == {1, 2}
    assert arena.refused > 0
    for array, frames in zip(sent, messages, strict=True):
        np.testing.assert_array_equal(decoder.reply(frames).value, array)


# --- torn arrays ------------------------------------------------------------------------------------------------


def test_a_slot_overwritten_before_it_is_read_is_an_error(arena: Arena) -> None:
    place = lent(arena, drawn(arena))
    overwrite(arena, place)
    reader = Reader()
    with pytest.raises(OverwrittenError, match=r"written again"):
        read(reader, place)
    assert reader.overwritten == 1


def test_a_slot_overwritten_while_it_is_copied_is_an_error(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    place = lent(arena, drawn(arena))
    reader = Reader()
    array = reader.array

    def slowly(*arguments: Any) -> Any:
        found = array(*arguments)
        overwrite(arena, place)
        return found

    monkeypatch.setattr(reader, "array", slowly)
    with pytest.raises(OverwrittenError):
        reader.copy(place, np.dtype(np.float64), list(SHAPE), 8 * SHAPE[0] * SHAPE[1])
    assert reader.overwritten >= 1


def test_a_slot_overwritten_while_it_is_used_is_counted(arena: Arena) -> None:
    place = lent(arena, drawn(arena))
    reader = Reader()
    seen = read(reader, place)
    assert reader.intact(place)
    overwrite(arena, place)
    assert not reader.intact(place)
    del seen
    gc.collect()
    assert reader.overwritten == 1


def test_an_overwritten_answer_is_a_bus_error_that_says_to_ask_again(arena: Arena) -> None:
    frames = Encoder(arena).encode(Reply(1, drawn(arena)), "reader")
    for ring in arena._rings:
        ring._sequences += np.uint64(1)
    with pytest.raises(BusError, match=r"written again.*ask again"):
        Decoder(Reader()).reply(frames)


# --- places that lie --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lie",
    [
        {"offset": 0},
        {"offset": -4096},
        {"offset": 4095},
        {"offset": 1 << 40},
        {"slot": -1},
        {"slot": 512},
    ],
    ids=str,
)
def test_a_place_outside_its_segment_is_refused(arena: Arena, lie: dict[str, int]) -> None:
    place = lent(arena, drawn(arena))
    with pytest.raises(ValueError, match=r"outside its shared memory"):
        read(Reader(), replace(place, **lie))


def test_an_array_that_reaches_beyond_the_end_of_its_segment_is_refused(arena: Arena) -> None:
    place = lent(arena, drawn(arena))
    with pytest.raises(ValueError, match=r"outside its shared memory"):
        read(Reader(), place, (1 << 20, 1 << 10))


def test_a_message_with_such_a_place_is_malformed(arena: Arena) -> None:
    place = lent(arena, drawn(arena))
    told = [place.segment, 1 << 40, place.slot, place.sequence, place.lent, "<f8", list(SHAPE)]
    frames = [msgspec.msgpack.encode([1, msgspec.msgpack.Ext(2, msgspec.msgpack.encode(told))])]
    with pytest.raises(BusError, match=r"malformed"):
        Decoder(Reader()).reply(frames)


def test_a_place_in_a_message_from_another_host_is_refused(arena: Arena) -> None:
    frames = Encoder(arena).encode(Reply(1, drawn(arena)), "reader")
    with pytest.raises(BusError, match=r"where none can be"):
        Decoder().reply(frames)


# --- segments ---------------------------------------------------------------------------------------------------


def test_a_segment_is_for_its_user_alone(segment: Segment) -> None:
    assert stat.S_IMODE((segments.folder() / segment.name).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "name", ["", "..", "../etc/passwd", "/etc/passwd", "psm_12345678", "labctl-1-2-3-4", "labctl-1-2-3-4-5/x", "a\0b"]
)
def test_a_name_that_is_no_segments_is_refused(name: str) -> None:
    with pytest.raises(BusError, match=r"names no shared memory of labctl's"):
        Attachments().memory(name)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604], ids=oct)
def test_a_segment_that_others_can_reach_is_not_trusted(segment: Segment, mode: int) -> None:
    (segments.folder() / segment.name).chmod(mode)
    with pytest.raises(BusError, match=r"not this user's alone"):
        Attachments().memory(segment.name)


def test_a_link_is_not_followed(segment: Segment) -> None:
    link = segments.folder() / f"{segment.name}9999"
    link.symlink_to(segments.folder() / segment.name)
    try:
        with pytest.raises(BusError, match=r"is gone"):
            Attachments().memory(link.name)
    finally:
        link.unlink()


def test_a_segment_that_is_gone_is_a_bus_error(segment: Segment) -> None:
    segment.close()
    with pytest.raises(BusError, match=r"is gone.*owner ended"):
        Attachments().memory(segment.name)


HOLDER = """
import sys
from labctl.bus.segments import Segment
segment = Segment(8192)
print(segment.name, flush=True)
sys.stdin.read()
"""


def _holder() -> tuple[subprocess.Popen[str], str]:
    child = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def test_a_sweep_removes_what_dead_processes_left_and_nothing_else(segment: Segment) -> None:
    (dead, left), (alive, kept) = _holder(), _holder()
    try:
        dead.send_signal(signal.SIGKILL)
        dead.wait()
        assert (segments.folder() / left).exists()
        assert not segments.owner_alive(left)
        segments.sweep()
        assert not (segments.folder() / left).exists()
        assert (segments.folder() / kept).exists()
        assert (segments.folder() / segment.name).exists()
    finally:
        for child in (dead, alive):
            child.communicate()


def test_a_process_that_ends_in_order_leaves_no_segment() -> None:
    child, name = _holder()
    child.communicate()
    assert not (segments.folder() / name).exists()


def test_attaching_to_a_segment_does_not_delete_it(segment: Segment) -> None:
    """As Python 3.11's own shared memory does when a process that merely attached ends."""
    code = f"from labctl.bus.segments import Attachments; Attachments().memory({segment.name!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (segments.folder() / segment.name).exists()


def test_when_memory_is_full_arrays_come_inside_the_message(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = set(segments.folder().iterdir())
    monkeypatch.setattr(os, "posix_fallocate", full)
    array = drawn(arena)
    frames = Encoder(arena).encode(Reply(1, array), "reader")
    assert len(frames) == 2
    np.testing.assert_array_equal(Decoder(Reader()).reply(frames).value, array)
    assert arena.refused > 0
    mine = f"-{os.getpid()}-"
    assert [p for p in set(segments.folder().iterdir()) - before if mine in p.name] == []

"""What is encoded is decoded again, and nothing but a message is decoded."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drivers.contract import ROI, DeviceDescription, Frame, Limits, Sequence, SettingInfo
from drivers.errors import BusError, ConfigurationError, DeviceError, DeviceTimeout, LimitError
from labctl.bench.problems import BenchFileError
from labctl.bus.failures import error_of, failure_of
from labctl.bus.messages import VERSION, Failure, Reply, Request, decode_reply, decode_request, encode
from labctl.bus.values import revive

NUMBERS = ["?", "i1", "u1", "<i2", ">i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", ">f4", "<f8", ">f8"]
dtypes = st.sampled_from(NUMBERS).map(np.dtype)
arrays = dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
)
keys = st.text(max_size=5).filter(lambda k: k != "type")
values = st.recursive(
    scalars | arrays, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)


def there_and_back(value: Any) -> Any:
    frames = [bytes(f) for f in encode(Reply(1, value))]
    return revive(decode_reply(frames).value)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) and type(a) is type(b)


@given(values)
@settings(deadline=None)
def test_any_nesting_of_values_and_arrays_comes_back_equal(value: Any) -> None:
    assert same(value, there_and_back(value))


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3)])
def test_an_array_keeps_dtype_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    assert same(array, there_and_back(array))


@pytest.mark.parametrize("order", ["transposed", "strided", "reversed", "broadcast", "fortran"])
def test_an_array_that_is_not_contiguous_comes_back_equal(order: str) -> None:
    base = np.arange(24.0).reshape(4, 6)
    array = {
        "transposed": base.T,
        "strided": base[::2, 1::3],
        "reversed": base[::-1, ::-1],
        "broadcast": np.broadcast_to(base[0], (3, 6)),
        "fortran": np.asfortranarray(base),
    }[order]
    assert np.array_equal(array, there_and_back(array))


def test_a_large_array_is_sent_without_a_copy() -> None:
    array = np.zeros((1080, 1920))
    _, frame = encode(Reply(1, array))
    assert isinstance(frame, memoryview)
    assert np.shares_memory(np.frombuffer(frame, np.uint8), array)


def test_numpy_scalars_arrive_as_plain_numbers() -> None:
    assert there_and_back([np.int64(3), np.float32(0.5), np.bool_(True)]) == [3, 0.5, True]


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array([1j]), np.array([1], "M8[s]")], ids=str)
def test_an_array_of_anything_but_numbers_is_refused(array: Any) -> None:
    with pytest.raises(BusError, match=r"cannot cross the bus"):
        encode(Reply(1, array))


@pytest.mark.parametrize("value", [object(), 2**80, 1j, "\udcff"], ids=["object", "2**80", "1j", "surrogate"])
def test_a_value_without_a_wire_form_is_refused(value: Any) -> None:
    with pytest.raises(BusError):
        encode(Reply(1, value))


def test_a_value_that_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(BusError):
        encode(Reply(1, circle))


# --- contract values --------------------------------------------------------------------------------------------


def test_a_frame_comes_back_with_its_pixels_and_region() -> None:
    frame = Frame(
        data=np.arange(6, dtype=np.uint16).reshape(2, 3),
        frame_id=1,
        start_ns=2,
        end_ns=3,
        utc_start_ns=4,
        exposure_s=0.1,
        roi=ROI(row=1, column=2, rows=2, columns=3),
        electrons_per_count=0.45,
        bit_depth=16,
        saturated=0,
        lost_before=0,
        pattern_id=7,
    )
    back = there_and_back(frame)
    assert isinstance(back, Frame)
    assert (back.roi, back.binning) == (frame.roi, 1)
    assert same(frame.data, back.data)


def test_a_binned_frame_comes_back_with_its_sums() -> None:
    frame = Frame(
        data=np.array([[4 * 65535, 7]], np.uint32),
        frame_id=1,
        start_ns=2,
        end_ns=3,
        utc_start_ns=4,
        exposure_s=0.1,
        roi=ROI(row=1, column=2, rows=2, columns=4),
        electrons_per_count=0.45,
        bit_depth=16,
        saturated=1,
        lost_before=0,
        pattern_id=7,
        binning=2,
    )
    back = there_and_back(frame)
    assert back.binning == 2
    assert same(frame.data, back.data)


def test_tuples_of_contract_values_are_tuples_again() -> None:
    sequence = Sequence(
        base=np.zeros((2, 2)),
        base_origin=(3, 4),
        patches=np.zeros((0, 1, 1)),
        patch_origins=np.zeros((0, 2), np.int32),
        offsets=np.array([0, 0], np.int32),
        indices=np.zeros(0, np.int32),
    )
    assert there_and_back(sequence).base_origin == (3, 4)


def test_values_inside_lists_and_maps_are_revived() -> None:
    roi = ROI(row=1, column=2, rows=3, columns=4)
    assert there_and_back({"a": [roi, [roi]], "b": {"c": roi}}) == {"a": [roi, [roi]], "b": {"c": roi}}


def test_a_description_comes_back_whole() -> None:
    info = SettingInfo(
        name="timing",
        value_type="str",
        unit=None,
        limits=Limits(minimum=0.0),
        choices=("a", "b"),
        read_only=False,
        needs_lease=False,
        doc="",
    )
    whole = DeviceDescription(name="d", kind="k", backend="real", doc="", settings=[info], operations=[])
    assert there_and_back(whole) == whole


@pytest.mark.parametrize(
    "value",
    [{"type": "ROI"}, {"type": "ROI", "row": 1, "unheard_of": 2}, {"type": "ROI", 1: 2}],
    ids=["fields missing", "unknown field", "number as a key"],
)
def test_a_map_that_pretends_to_be_a_contract_value_is_refused(value: Any) -> None:
    with pytest.raises(BusError, match=r"malformed ROI"):
        revive(value)


@pytest.mark.parametrize("tag", [[1], {"a": 1}, None, 3, "Unheard"], ids=repr)
def test_a_map_with_a_foreign_type_stays_a_map(tag: Any) -> None:
    assert revive({"type": tag, "a": 1}) == {"type": tag, "a": 1}


def test_values_nested_too_deeply_are_refused() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(BusError, match=r"deep"):
        revive(deep)


# --- malformed messages -----------------------------------------------------------------------------------------

GOOD = Request(VERSION, "client", 5, "camera", "call", "arm", [[np.arange(3.0)], {}], "", 0)


def place(frame: int, dtype: str, shape: list[int]) -> bytes:
    extension = msgspec.msgpack.Ext(1, msgspec.msgpack.encode([frame, dtype, shape]))
    return msgspec.msgpack.encode([1, extension])


@given(st.lists(st.binary(max_size=60), max_size=4))
@settings(deadline=None)
def test_random_bytes_are_a_bus_error_and_nothing_else(frames: list[bytes]) -> None:
    for decode in (decode_request, decode_reply):
        try:
            message: Any = decode(list(frames))
        except BusError:
            continue
        assert isinstance(message, (Request, Reply))


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_damaged_message_is_a_bus_error_or_another_valid_message(data: st.DataObject) -> None:
    frames = [bytearray(f) for f in encode(GOOD)]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(frames[0]) - 1))
        frames[0][at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(frames[0])))
    damaged = [bytes(frames[0][:cut] if data.draw(st.booleans()) else frames[0]), *map(bytes, frames[1:])]
    with contextlib.suppress(BusError):
        revive(decode_request(damaged).arguments)


@pytest.mark.parametrize(
    "header",
    [
        place(0, "<f8", [1]),
        place(2, "<f8", [1]),
        place(-1, "<f8", [1]),
        place(1, "<f8", [2]),
        place(1, "<f8", [-1, -1]),
        place(1, "<f8", [2**62, 2**62]),
        place(1, "<f8", [0, 2**63]),
        place(1, "O", [1]),
        place(1, "V8", [1]),
        place(1, "U2", [1]),
        place(1, "", [1]),
        place(1, "nonsense", [1]),
        place(1, "f8,i", [1]),
        msgspec.msgpack.encode([1, msgspec.msgpack.Ext(2, b"")]),
        msgspec.msgpack.encode([1, msgspec.msgpack.Ext(1, b"\xc1")]),
        msgspec.msgpack.encode({"number": 1}),
        msgspec.msgpack.encode([1]) + b"\x00",
        b"\x93\x01" + b"\x91" * 100_000,
        b"",
        bytes((1 << 22) + 1),
    ],
    ids=range(20),
)
def test_a_header_that_lies_is_a_bus_error(header: bytes) -> None:
    with pytest.raises(BusError, match=r"malformed|oversized"):
        decode_reply([header, bytes(8)])


def test_no_frames_at_all_are_a_bus_error() -> None:
    with pytest.raises(BusError, match=r"malformed"):
        decode_request([])


def test_another_version_is_refused_with_both_versions() -> None:
    other = Request(VERSION + 1, "client", 5, "", "ping", "", None, "", 0)
    with pytest.raises(BusError, match=f"version {VERSION + 1} .* {VERSION}"):
        decode_request(list(encode(other)))


# --- errors -----------------------------------------------------------------------------------------------------


def test_an_error_keeps_type_message_and_traceback() -> None:
    error = error_of(failure_of(LimitError("too bright"), "Traceback: driver.py line 3"))
    assert type(error) is LimitError
    assert str(error) == "too bright"
    assert "driver.py line 3" in (error.remote_traceback or "")
    assert any("driver.py line 3" in note for note in error.__notes__)


def test_an_unknown_subclass_travels_as_the_nearest_known_type() -> None:
    class Late(DeviceTimeout):
        pass

    assert type(error_of(failure_of(Late("x"), ""))) is DeviceTimeout
    assert type(error_of(failure_of(BenchFileError([]), ""))) is ConfigurationError


def test_a_foreign_exception_travels_as_a_device_error_with_its_name() -> None:
    error = error_of(failure_of(ZeroDivisionError("a bug"), ""))
    assert type(error) is DeviceError
    assert str(error) == "ZeroDivisionError: a bug"


def test_an_error_type_this_client_does_not_know_is_a_device_error() -> None:
    assert type(error_of(Failure("FutureError", "x", ""))) is DeviceError

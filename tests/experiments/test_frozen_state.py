"""Bytes of a frozen table may be anybody's: they run nothing, and what does not fit is told."""

from __future__ import annotations

import contextlib
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import ConfigurationError
from drivers.frozen import freeze, thaw
from labctl.client import Bench, open_bench

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_values_come_back(value: Any) -> None:
    assert thaw(freeze(value)) == value


@pytest.mark.parametrize("kind", ["?", "<i2", "<u4", "<i8", "<f4", "<f8", "<c8", "<c16"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (40, 50), (300, 200)])
def test_arrays_come_back(kind: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(1).integers(0, 9, shape).astype(kind)
    for array in (values, np.zeros_like(values), values[::-1] if shape else values):
        found = thaw(freeze({"x": [array]}))["x"][0]
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("value", [object(), b"raw", 1j, np.array([object()]), {1, 2}])
def test_what_is_not_plain_cannot_be_frozen(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be frozen"):
        freeze({"x": value})


@given(st.binary(max_size=200))
def test_any_bytes_are_values_or_an_error(data: bytes) -> None:
    for given_bytes in (data, bytes(freeze([1, "a"]))[:24] + data):
        with contextlib.suppress(ConfigurationError):
            thaw(np.frombuffer(given_bytes, np.uint8))


class Boom:
    """What pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("it ran",))


def test_a_pickle_is_no_frozen_state() -> None:
    with pytest.raises(ConfigurationError, match="spoilt"):
        thaw(np.frombuffer(pickle.dumps(Boom()), np.uint8))


@pytest.fixture(scope="module")
def bench() -> Any:
    small: dict[str, object] = {
        "world.slm.rows": 24,
        "world.slm.columns": 48,
        "world.optics.first_row": 3,
        "world.optics.bands": 6,
    }
    small["bench.lease"] = "60 s"
    with open_bench("prbm-sim", small) as opened, opened.control("test"):
        opened.source.emission = True
        opened.slm.write(np.random.default_rng(2).uniform(0, 6, (20, 40)))
        opened.camera.trigger()
        yield opened


def parts(bench: Bench) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the whole, and of its world."""
    data = bench.freeze()
    assert data is not None
    whole = thaw(data)
    return whole, thaw(whole["world"])


def with_world(whole: dict[str, Any], world: dict[str, Any]) -> np.ndarray[Any, Any]:
    return freeze(whole | {"world": freeze(world)})


def test_a_table_is_what_it_was_after_its_own_state(bench: Bench) -> None:
    before = bench.freeze()
    assert before is not None
    bench.slm.write(np.zeros((24, 48)))
    bench.thaw(before)
    again = bench.freeze()
    assert again is not None
    assert np.array_equal(before, again)
    assert bench.source.emission is True


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("panel", "phase"), np.zeros((3, 3))),
        (("panel", "places"), np.full((5, 2), 10**6, np.int32)),
        (("panel", "places"), np.full((5, 2), -1, np.int32)),
        (("panel", "motions"), np.zeros((1, 6))),
        (("panel", "sequence"), {"base": 1}),
        (("ports",), {}),
        (("slides",), [np.zeros(2, np.int32), np.full(3, 10**6, np.int32)]),
        (("clock", "state"), np.zeros(3, np.uint8)),
        (("clock", "now_ns"), -5),
        (("light", "probes"), [[["camera", 0, 0, 10**9, 10**9], {}]]),
        (("light", "probes"), [[["camera", 0, 0, 4, 4], {"lit": True, "sums": np.zeros(3)}]]),
        (("table",), "SheetWorld"),
        (("shares",), np.zeros(99999)),
    ],
)
def test_what_does_not_fit_the_table_is_told(bench: Bench, path: tuple[str, ...], wrong: Any) -> None:
    whole, world = parts(bench)
    inner = world
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = wrong
    with pytest.raises(ConfigurationError):
        bench.thaw(with_world(whole, world))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_spoilt_table_is_told_or_thawed_and_never_more(bench: Bench, data: st.DataObject) -> None:
    frozen = bench.freeze()
    assert frozen is not None
    spoilt = frozen.copy()
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ConfigurationError):
        bench.thaw(spoilt)
    bench.thaw(frozen)

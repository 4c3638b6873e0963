"""What may be varied, as it is written."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.client import ConfigurationError, LimitError
from labctl.sweep.axes import Axis, parse_axes


def only_axis(text: str) -> Axis:
    (axis,), single = parse_axes([text])
    assert single == {}
    return axis


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("0.1,0.2,5", (0.1, 0.2, 5)),
        ("3,", (3,)),
        ("1.8,2.8", (1.8, 2.8)),
        ("1e5,-2.5e-5", (1e5, -2.5e-5)),
        ("single,hadamard", ("single", "hadamard")),
        ("true,false,none", (True, False, None)),
        ('"1","2"', ("1", "2")),
        ("1:4:4", (1, 2, 3, 4)),
        ("4:1:4", (4, 3, 2, 1)),
        ("1:2:3", (1.0, 1.5, 2.0)),
        ("0:1.:3", (0.0, 0.5, 1.0)),
        ("-1e-1:.1:3", (-0.1, 0.0, 0.1)),
        ("1 ms,2.5 ms", ("1 ms", "2.5 ms")),
        ("5:20 ms:4", ("5 ms", "10 ms", "15 ms", "20 ms")),
        ("5ms:10ms:2", ("5 ms", "10 ms")),
        ("5ms,10ms", ("5 ms", "10 ms")),
        ("1 %:2 %:3", ("1.0 %", "1.5 %", "2.0 %")),
    ],
)
def test_an_axis_has_the_values_that_are_written(written: str, values: tuple[object, ...]) -> None:
    found = only_axis(f"x={written}")
    assert found.values == values
    assert [type(value) for value in found.values] == [type(value) for value in values]


def test_a_range_is_even_and_has_its_ends() -> None:
    found = only_axis("g=0.05:1:125").values
    np.testing.assert_array_equal(found, np.linspace(0.05, 1, 125))


def test_a_logarithmic_range_has_even_ratios_and_its_ends() -> None:
    found = np.array(only_axis("g=0.001:10:5:log").values)
    np.testing.assert_allclose(found, [1e-3, 1e-2, 1e-1, 1, 10], rtol=1e-14)
    assert (found[0], found[-1]) == (0.001, 10)


def test_coordinates_are_numbers_in_a_unit_or_text() -> None:
    exposures = only_axis("devices.camera.exposure=5:20 ms:4")
    assert exposures.unit == "ms"
    np.testing.assert_array_equal(exposures.coordinates(), [5, 10, 15, 20])
    assert only_axis("n=1,2").coordinates().dtype == int
    assert only_axis("x=1,b,none").coordinates().tolist() == ["1", "b", "none"]


def test_one_value_is_no_axis() -> None:
    axes, single = parse_axes(["xi=2", "g=1,2", "file=a:b", "sizes=[1,2]"])
    assert [axis.key for axis in axes] == ["g"]
    assert single == {"xi": 2, "file": "a:b", "sizes": [1, 2]}


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["g"], "no '='"),
        (["g=0:1"], "FROM:TO:COUNT"),
        (["g=0:1:0"], "2 values at least"),
        (["g=0:1:1"], "2 values at least"),
        (["g=1:1:3"], "two ends"),
        (["g=0:1:2.5"], "FROM:TO:COUNT"),
        (["g=0:1:5:lin"], "FROM:TO:COUNT"),
        (["g=0:1:5:log"], "above 0"),
        (["g=1e999:1:5"], "greatest number"),
        (["g=1 ms:1 s:5"], "one unit"),
        (["g=1,2,1.0"], "a value twice"),
        (["g=1,,2"], "empty place"),
        (["g=1,2", "g=3,4"], "given twice"),
        (["g=1", "g=3,4"], "given twice"),
    ],
    ids=str,
)
def test_what_is_no_axis_is_refused_with_what_to_write(texts: list[str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        parse_axes(texts)


def test_an_axis_longer_than_any_sweep_is_refused() -> None:
    with pytest.raises(LimitError, match="2000000 values, a sweep has 1000000"):
        parse_axes(["g=0:1:2000000"])

"""What a calibration may hold, and how it says what it cannot."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from samples import CAMERA, dark

from drivers.errors import LabError, LimitError
from labctl.store import Check, Measured


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "Dark map"}, "kind 'Dark map'"),
        ({"role": "camera2"}, "no identity of its device 'camera2'"),
        ({"bench": ""}, "bench ''"),
        ({"routine": "a\nb"}, "routine"),
        ({"values": {}}, "without a value"),
        ({"values": {"a b": Measured(1.0)}}, "value 'a b'"),
        ({"values": {"a": 1.0}}, r"Measured\(value, unit, uncertainty\) is needed"),
        ({"conditions": {"temperature": Measured(math.nan, "K")}}, "one finite number"),
        ({"conditions": {"temperature": Measured([1.0, 2.0], "K")}}, "one finite number"),
        ({"made": datetime(2026, 3, 1)}, "no time zone"),
        ({"parents": ("1a2b",)}, "64 hexadecimal digits"),
    ],
)
def test_what_cannot_be_kept_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(LimitError, match=told):
        dark(**changes)


@pytest.mark.parametrize(
    ("value", "unit", "uncertainty", "told"),
    [
        (np.zeros((2, 3)), "m", np.zeros((3, 2)), r"shape \(3, 2\) for values of \(2, 3\)"),
        (1.0, "m", -0.1, "cannot be negative"),
        ("much", "m", None, "numbers"),
        (1.0, "", None, "unit ''"),
        ([object()], "1", None, "numbers"),
    ],
)
def test_a_measured_value_that_makes_no_sense_is_refused(value: Any, unit: str, uncertainty: Any, told: str) -> None:
    with pytest.raises(LimitError, match=told):
        Measured(value, unit, uncertainty)


def test_values_are_numpy_arrays_by_name() -> None:
    c = dark(101.0)
    assert c["offset_counts"].shape == (8, 6)
    assert c.number("gain") == 0.45
    assert c.uncertainty("gain") == 0.004
    assert c.uncertainty("offset_counts").shape == (8, 6)
    assert np.isnan(c.uncertainty("rate_counts_per_s")).all()
    with pytest.raises(LimitError, match="no value 'ofset'; it has offset_counts"):
        c["ofset"]
    with pytest.raises(LimitError, match="single real number"):
        c.number("offset_counts")


@pytest.mark.parametrize(
    ("check", "passed"),
    [
        (Check(name="a", value=0.2, high=0.2), True),
        (Check(name="a", value=0.21, high=0.2), False),
        (Check(name="a", value=1.0, low=0.9, high=1.1), True),
        (Check(name="a", value=0.8, low=0.9), False),
        (Check(name="a", value=math.nan, high=1.0), False),
        (Check(name="a", value=math.inf), False),
    ],
)
def test_a_check_passes_within_its_bounds_and_never_undefined(check: Check, passed: bool) -> None:
    assert check.passed is passed
    assert check.name in str(check)


def test_errors_are_of_the_house() -> None:
    assert issubclass(LimitError, LabError)
    assert dark(devices={"camera": CAMERA}).title == "dark  of camera (camera.dark, 2026-03-01 10:00 UTC)"

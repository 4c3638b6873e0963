"""Differences in units of the uncertainties, and whether a calibration still holds."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from samples import CAMERA, dark

from drivers.contract import Identity
from labctl.store import Measured
from labctl.store.compare import Difference, compare
from labctl.store.verdict import cure, objections, refusal, same_device


def one(before: Any, after: Any) -> Difference:
    """How two values of one name differ."""
    (found,) = (d for d in compare(dark(values={"x": before}), dark(values={"x": after})) if d.name == "x")
    return found


def test_a_number_differs_by_its_combined_uncertainty() -> None:
    d = one(Measured(1.0, "m", 0.3), Measured(2.0, "m", 0.4))
    assert (d.before, d.after, d.largest) == (1.0, 2.0, 1.0)
    assert d.sigmas == pytest.approx(2.0)
    assert not d.noteworthy
    assert one(Measured(1.0, "m", 0.03), Measured(2.0, "m", 0.04)).noteworthy


def test_an_array_differs_by_its_worst_place_and_its_share() -> None:
    before, after = np.zeros((10, 10)), np.zeros((10, 10))
    after[2, 3], after[4, 4] = 1.0, -0.2
    d = one(Measured(before, "rad", 0.1), Measured(after, "rad", np.full((10, 10), 0.1)))
    assert d.sigmas == pytest.approx(1.0 / math.hypot(0.1, 0.1))
    assert d.largest == 1.0
    assert d.beyond == 0.01
    assert d.rms_sigmas == pytest.approx(math.sqrt(1.04 / 100) / math.hypot(0.1, 0.1))


@pytest.mark.parametrize(
    ("before", "after", "sigmas"),
    [
        (Measured(1.0, "m"), Measured(1.0, "m"), 0.0),
        (Measured(1.0, "m"), Measured(1.5, "m"), math.inf),
        (Measured(1 + 1j, "1", 0.1), Measured(1 + 1.2j, "1"), 2.0),
        (Measured([1.0, math.nan], "m", 0.1), Measured([1.1, math.nan], "m"), 1.0),
        (Measured(np.zeros((0, 2))), Measured(np.zeros((0, 2))), 0.0),
        (Measured([True, False]), Measured([True, True]), math.inf),
    ],
)
def test_values_without_uncertainty_and_without_meaning(before: Any, after: Any, sigmas: float) -> None:
    assert one(before, after).sigmas == pytest.approx(sigmas)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Measured(1.0, "m"), Measured(1.0, "mm"), "unit was m, is mm"),
        (Measured([1.0]), Measured([1.0, 2.0]), r"shape was \(1,\), is \(2,\)"),
    ],
)
def test_what_cannot_be_compared_says_why(before: Any, after: Any, told: str) -> None:
    import re

    d = one(before, after)
    assert d.noteworthy
    assert re.search(told, d.remark)


def test_what_came_and_went_and_conditions_are_listed_largest_first() -> None:
    before = dark(100.0, values={"a": Measured(1.0, "m", 1.0), "b": Measured(1.0, "m", 0.1), "gone": Measured(1)})
    after = dark(
        100.0,
        values={"a": Measured(2.0, "m"), "b": Measured(2.0, "m"), "new": Measured(1)},
        conditions={"exposure": Measured(1e-3, "s"), "temperature": Measured(274.15, "K", 0.1)},
    )
    found = compare(before, after)
    assert [d.name for d in found] == ["gone", "new", "b", "condition temperature", "a", "condition exposure"]
    assert [d.remark for d in found[:2]] == ["only before", "only after"]


# --- whether it holds ---------------------------------------------------------------------------------------------

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_a_calibration_is_stale_from_the_moment_on_that_it_says() -> None:
    c = dark(valid_until=NOW)
    assert objections(c, {"camera": CAMERA}, NOW) == {}
    assert objections(c, {"camera": CAMERA}, NOW - timedelta(days=30)) == {}
    found = objections(c, {"camera": CAMERA}, NOW + timedelta(hours=36))
    assert found == {"stale": "was valid until 2026-06-01 00:00 UTC, 1.5 d ago"}
    assert objections(dark(valid_until=None), {"camera": CAMERA}, NOW) == {}


def test_another_serial_number_is_another_device() -> None:
    other = Identity(model=CAMERA.model, serial="VSC-09999", firmware=CAMERA.firmware)
    found = objections(dark(), {"camera": other}, NOW)
    assert "VSC-01234" in found["foreign"]
    assert "VSC-09999" in found["foreign"]
    assert objections(dark(), {}, NOW) == {}  # a device that is not there is not judged


def test_every_device_counts_and_the_role_may_have_another_name() -> None:
    slm = Identity(model="PLUTO", serial="6010-1", firmware="")
    both = dark(devices={"camera": CAMERA, "slm": slm})
    assert objections(both, {"camera": CAMERA, "slm": slm}, NOW) == {}
    other = Identity(model="PLUTO", serial="6010-2", firmware="")
    assert "slm" in objections(both, {"camera": CAMERA, "slm": other}, NOW)["foreign"]
    assert "camera2" in objections(both, {"camera2": other, "slm": slm}, NOW, role="camera2")["foreign"]


@pytest.mark.parametrize(
    ("then", "today", "same"),
    [
        (("A", "1", "f"), ("A", "1", "g"), True),  # firmware may be updated
        (("A", "1", "f"), ("A", "2", "f"), False),
        (("A", "not told", "f"), ("A", "not told", "f"), True),
        (("A", "not told", "f"), ("B", "not told", "f"), False),
        (("A", "", "f"), ("B", "", "f"), False),
    ],
)
def test_devices_are_known_by_their_serial_number(then: Any, today: Any, same: bool) -> None:
    identities = [Identity(model=m, serial=s, firmware=f) for m, s, f in (then, today)]
    assert same_device(identities[0], identities[1]) is same


def test_what_the_bench_file_accepts_is_no_objection() -> None:
    found = objections(dark(valid_until=NOW), {}, NOW + timedelta(seconds=90))
    assert refusal(found, ()) == "is stale: it was valid until 2026-06-01 00:00 UTC, 1.5 min ago"
    assert refusal(found, ("stale",)) == ""
    assert "is stale" in refusal(found, ("foreign",))
    assert cure("camera.dark", "b.toml", ["stale"]) == (
        'measure it: `labctl calibrate camera.dark --bench b.toml`, or set accept = ["stale"] in [calibrations] of the '
        "bench file"
    )

"""Our values beside published ones: where errors come from, and what counts as the same."""

from __future__ import annotations

import math

import pytest

from labctl.client import Compared
from labctl.reproduce.compare import SIGMAS, number_at, row_of, with_error
from labctl.reproduce.mark import mark


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", 1.0),
        ("list[1]", 3.0),
        ("list[-1]", 3.0),
        ("rows[0][1]", 5.0),
        ("table.key", 6.0),
        ("r_at_0.94", 7.0),
        ("yes", 1.0),
        ("none", None),
        ("text", None),
        ("list[7]", None),
        ("absent", None),
        ("nan", None),
        ("a.b", None),
    ],
)
def test_values_are_found_by_name_place_and_key(path: str, found: float | None) -> None:
    values = {"a": 1, "list": [2, 3], "rows": [[4, 5]], "table": {"key": 6}, "r_at_0.94": 7, "yes": True}
    values |= {"none": None, "text": "8", "nan": math.nan}
    assert number_at(values, path) == found


def test_the_error_is_the_figures_own_where_it_is_measured_once() -> None:
    row = row_of(Compared("a[1]", 1.0), [{"a": [0, 1.5], "a_err": [0.1, 0.2]}], quick=False)
    assert (row.ours, row.error, row.error_from) == (1.5, 0.2, "as the figure states it")
    assert row.sigmas == pytest.approx(2.5)
    named = row_of(Compared("a[1]", 1.0, stated_error="b"), [{"a": [0, 1.5], "b": 0.25}], quick=False)
    assert named.error == 0.25
    assert row_of(Compared("a"), [{"a": 1}], quick=False).error is None


def test_the_error_is_that_of_the_mean_where_it_is_measured_again() -> None:
    row = row_of(Compared("a", 2.0), [{"a": 1.0}, {"a": 2.0}, {"a": 3.0}, {"a": 2.0}], quick=False)
    assert row.ours == 2.0
    assert row.error == pytest.approx(math.sqrt(2 / 3) / 2)
    assert "4 measurements" in row.error_from
    assert row_of(Compared("a"), [{"a": 1.0}, {"a": 1.0}], quick=False).error_from == "2 measurements are alike"


@pytest.mark.parametrize(
    ("ours", "ok"), [(1.0 + 0.1 + SIGMAS * 0.5 - 1e-9, True), (1.0 + 0.1 + SIGMAS * 0.5 + 1e-6, False)]
)
def test_a_value_may_differ_by_its_tolerance_and_four_standard_errors_of_both(ours: float, ok: bool) -> None:
    row = row_of(Compared("a", 1.0, 0.3, within=0.1), [{"a": ours, "a_err": 0.4}], quick=False)
    assert row.ok is ok
    assert ("missed" in row.verdict) is not ok


def test_without_a_tolerance_both_are_shown_and_nothing_is_judged() -> None:
    row = row_of(Compared("a", 1.0), [{"a": 9.0}], quick=False)
    assert row.ok is None
    assert row.difference == 8.0
    assert "not judged" in row.verdict


def test_a_quick_report_may_have_a_tolerance_of_its_own() -> None:
    compared = Compared("a", 1.0, within=0.1, quick=0.5)
    assert row_of(compared, [{"a": 1.4}], quick=True).ok
    assert row_of(compared, [{"a": 1.4}], quick=False).ok is False


def test_a_judged_value_that_is_not_there_is_missed() -> None:
    assert row_of(Compared("a", 1.0, within=0.1), [{"a": None}], quick=False).ok is False
    assert row_of(Compared("a", 1.0), [{}], quick=False).ok is None


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.04421, 0.00063, "1.04421 ± 0.00063"),
        (2953.4, 2.2, "2953.4 ± 2.2"),
        (2953.4, 71.0, "2953 ± 71"),
        (15945.0, 1700.0, "1.59e+04 ± 1.7e+03"),
        (0.0, 0.25, "0.00 ± 0.25"),
        (1.5, None, "1.5"),
        (None, None, "–"),
        (7.6e-07, None, "7.6e-07"),
        (7.6123e-07, 1.2e-09, "7.612e-07 ± 1.2e-09"),
    ],
)
def test_numbers_have_no_more_digits_than_their_errors_allow(value: float, error: float | None, text: str) -> None:
    assert with_error(value, error) == text


def test_a_drawing_shows_ours_on_the_side_it_is_off_to() -> None:
    def x(difference: float) -> float:
        row = {"difference": difference, "uncertainty": 0.1, "published_uncertainty": 0.1, "tolerance": 1.0, "ok": True}
        return float(mark(row).split('cx="')[1].split('"')[0])

    assert x(-0.5) < x(0.0) < x(0.5)
    far = {"difference": 99.0, "uncertainty": None, "published_uncertainty": None, "tolerance": 1.0, "ok": False}
    assert "<path" in mark(far)
    assert mark({"difference": None}) == ""

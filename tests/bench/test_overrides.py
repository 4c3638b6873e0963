"""Assignments of the command line become typed values."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ConfigurationError
from labctl.bench.overrides import parse_assignments


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("none", None),
        ("3", 3),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("on", "on"),
        ("off", "off"),
        ("abc", "abc"),
        ("5.2 mm", "5.2 mm"),
        ("", ""),
        ("a=b", "a=b"),
        ('"12"', "12"),
        ('"a, b"', "a, b"),
        ("0.5,1,2", [0.5, 1, 2]),
        ("[0.5, 1]", [0.5, 1]),
        ("1,", [1]),
        ("[]", []),
        ("a,true,null", ["a", True, None]),
        ("1.2.3", "1.2.3"),
    ],
)
def test_a_value_gets_the_type_it_is_written_as(text: str, value: object) -> None:
    read = parse_assignments([f"world.key={text}"])["world.key"]
    assert read == value
    assert type(read) is type(value)


def test_the_last_of_two_assignments_wins() -> None:
    assert parse_assignments(["a=1", "b=2", "a=3"]) == {"a": 3, "b": 2}


@pytest.mark.parametrize("text", ["", "name", "=3", " =3", ".a=3", "a.=3", "a..b=3", "a b=3"])
def test_what_is_no_assignment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match="for example") as caught:
        parse_assignments([text])
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["a=1,,2", "a=,", "a=[,]"])
def test_an_empty_place_in_a_list_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="empty place"):
        parse_assignments([text])


@given(st.text())
def test_no_text_gives_anything_but_a_configuration_error(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        parse_assignments([text, f"key={text}"])

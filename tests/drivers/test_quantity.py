"""Quantities of bench files: text with a unit to SI."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from drivers.quantity import _GRAMMAR, USUAL, Fraction, Metres, _by_pint, parse_quantity


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("5.2 mm", "m", 5.2e-3),
        ("5.2mm", "m", 5.2e-3),
        ("600 nm", "m", 600e-9),
        ("6.5 µm", "m", 6.5e-6),
        ("16.7 ms", "s", 16.7e-3),
        ("2.5 mW/nm", "W/m", 2.5e6),
        ("600 / mm", "1/m", 600e3),
        ("0.019 / s", "1/s", 0.019),
        ("10 fW/Hz**0.5", "W/Hz**0.5", 10e-15),
        ("60 Hz", "Hz", 60.0),
        ("21 degC", "K", 294.15),
        ("40 %", "1", 0.4),
        ("0.4", "1", 0.4),
        (0.4, "1", 0.4),
        (1, "1", 1.0),
        ("-3e-2 mm", "m", -3e-5),
    ],
)
def test_text_becomes_si(text: Any, unit: str, value: Any) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-12, abs=0.0)


@pytest.mark.parametrize(("text", "unit"), USUAL)
def test_usual_units_are_to_the_last_bit_what_pint_makes_of_them(text: str, unit: str) -> None:
    rng = np.random.default_rng(1)
    for number in (0.0, -3.7, 588.0, *rng.uniform(0, 1000, 200).round(3)):
        written = f"{number} {text}"
        matched = _GRAMMAR.fullmatch(written)
        assert matched is not None
        assert parse_quantity(written, unit) == _by_pint(written, matched, unit)


@pytest.mark.parametrize(
    ("value", "unit", "message"),
    [
        (5.2, "m", '5.2 has no unit; write for example "5.2 mm"'),
        (True, "1", "True is not a quantity"),
        (None, "m", "None is not a quantity"),
        ([1], "m", "is not a quantity"),
        ("5.2", "m", "wrong unit"),
        ("5.2 s", "m", "wrong unit .*a value in m is expected"),
        ("5,2 mm", "m", "one number and its unit"),
        ("9**9**9 m", "m", "one number and its unit"),
        ("5.2 furlung", "m", "has no known unit"),
        ("1e999 m", "m", "is not finite"),
        ("nan m", "m", "one number and its unit"),
        (float("nan"), "1", "has no unit"),
        ("", "m", "one number and its unit"),
        ("3 m", "1", "a fraction or percentage is expected"),
    ],
)
def test_an_error_names_the_value_and_an_example(value: Any, unit: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_quantity(value, unit)


class Beam(BaseModel):
    waist: Metres = 1e-3
    share: Fraction = 0.5


def test_a_model_reads_quantities() -> None:
    beam = Beam.model_validate({"waist": "5 mm", "share": "25 %"})
    assert (beam.waist, beam.share) == (5e-3, 0.25)


def test_a_default_is_in_si_already() -> None:
    assert Beam().waist == 1e-3


def test_a_model_refuses_a_bare_number_for_a_length() -> None:
    with pytest.raises(ValidationError, match="has no unit"):
        Beam.model_validate({"waist": 5.0})

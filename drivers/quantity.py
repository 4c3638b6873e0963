"""Physical quantities in configuration: text such as ``"5.2 mm"`` or ``"40 %"`` to SI numbers, with limits.

Bench files and world parameters are written by people, so a number with a dimension must carry its unit:
``beam.waist = "5.2 mm"``. Inside the code every value is a float in SI base units (metres, seconds, watts,
fractions).
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint  # a quarter of a second: only when a quantity is read

    # Temperatures in a bench file are read as absolute values, so "21 degC" is 294.15 K.
    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


def parse_quantity(value: object, unit: str) -> float:
    """SI number of ``value`` in ``unit``.

    ``value`` is text with a unit ("5.2 mm"); for ``unit`` "1" (a fraction) "40 %" and plain numbers are taken too.
    Raises ValueError that names the value, the unit expected and an example.
    """
    example = _EXAMPLES.get(unit, f"1 {unit}")
    if isinstance(value, bool) or value is None:
        raise ValueError(f'{value!r} is not a quantity; write for example "{example}"')
    if isinstance(value, (int, float)):
        if unit in ("1", "") and math.isfinite(value):
            return float(value)
        raise ValueError(f'{value!r} has no unit; write for example "{example}"')
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not a quantity; write for example "{example}"')
    text = value.strip()
    matched = _GRAMMAR.fullmatch(text)
    if matched is None:
        # pint would evaluate "9**9**9 m" and read "5,2 mm" as 52 mm; a bench file holds one number and one unit.
        raise ValueError(f'"{text}" is not a quantity, one number and its unit; write for example "{example}"')
    usual = USUAL.get((matched["unit"], unit))
    result = float(matched["number"]) * usual if usual is not None else _by_pint(text, matched, unit)
    if not math.isfinite(result):
        raise ValueError(f'"{text}" is not finite; write for example "{example}"')
    return result


def _by_pint(text: str, matched: re.Match[str], unit: str) -> float:
    import pint

    example = _EXAMPLES.get(unit, f"1 {unit}")
    number, unit_text = float(matched["number"]), matched["unit"].replace("%", "percent")
    if unit_text.lstrip().startswith("/"):
        unit_text = "1 " + unit_text
    try:
        wanted_unit = _registry().Unit("dimensionless" if unit == "1" else unit)
        return float(_registry().Quantity(number, unit_text or "dimensionless").to(wanted_unit).magnitude)
    except pint.DimensionalityError as error:
        wanted = "a fraction or percentage" if unit == "1" else f"a value in {unit}"
        raise ValueError(
            f'"{text}" has the wrong unit ({error.units1}); {wanted} is expected, for example "{example}"'
        ) from None
    except Exception as error:  # noqa: BLE001 - pint raises many types on malformed units
        raise ValueError(f'"{text}" has no known unit ({error}); write for example "{example}"') from None


_GRAMMAR = re.compile(
    r"(?P<number>[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?)\s*"
    r"(?P<unit>(%|1?[A-Za-zµμΩ°]*(\s*[*/]\s*[A-Za-zµμΩ°]+(\s*\*\*\s*-?(\d|0?\.5))?|\s*\*\*\s*-?(\d|0?\.5))*))"
)

USUAL: dict[tuple[str, str], float] = {
    ("%", "1"): 1e-2,
    ("m", "m"): 1.0,
    ("mm", "m"): 1e-3,
    ("um", "m"): 1e-6,
    ("nm", "m"): 1e-9,
    ("s", "s"): 1.0,
    ("ms", "s"): 1e-3,
    ("us", "s"): 1e-6,
    ("ns", "s"): 1e-9,
    ("h", "s"): 3600.0,
    ("W", "W"): 1.0,
    ("mW", "W"): 1e-3,
    ("W/s", "W/s"): 1.0,
    ("J", "J"): 1.0,
    ("kJ", "J"): 1e3,
    ("Hz", "Hz"): 1.0,
    ("rad", "rad"): 1.0,
}
"""What pint makes of (unit, SI unit), for those of nearly every bench: its loading would take each process of a bench
half a second."""

_EXAMPLES = {
    "m": "5.2 mm",
    "s": "16.7 ms",
    "W": "10 mW",
    "W/m": "1 mW/nm",
    "1/m": "600 / mm",
    "Hz": "60 Hz",
    "rad": "1 rad",
    "K": "21 degC",
    "1": "40 %",
    "W/Hz**0.5": "10 fW/Hz**0.5",
    "1/s": "0.02 / s",
    "J": "50 mJ",
    "W/s": "10 mW/s",
}


def _quantity(unit: str) -> Any:
    def read(value: object) -> float:
        # A float that is already SI passes when it comes from code (a default), which pydantic does not validate.
        return parse_quantity(value, unit)

    return Annotated[float, BeforeValidator(read), WithJsonSchema({"type": "string", "unit": unit})]


if TYPE_CHECKING:
    Metres = float
    Seconds = float
    Watts = float
    WattsPerMetre = float
    PerSecond = float
    Hertz = float
    Radians = float
    Fraction = float
    WattsPerRootHertz = float
    Joules = float
else:
    Metres = _quantity("m")
    Seconds = _quantity("s")
    Watts = _quantity("W")
    WattsPerMetre = _quantity("W/m")
    PerSecond = _quantity("1/s")
    Hertz = _quantity("Hz")
    Radians = _quantity("rad")
    Fraction = _quantity("1")
    WattsPerRootHertz = _quantity("W/Hz**0.5")
    Joules = _quantity("J")

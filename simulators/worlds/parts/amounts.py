"""Amounts of imperfections with their units, as a bench file may write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from drivers.quantity import parse_quantity


def _amount(unit: str) -> Any:
    def read(value: object) -> float:
        # Nothing has no unit, so 0 and false switch an imperfection off whatever it is measured in.
        off = value is False or value is None or (isinstance(value, (int, float)) and value == 0)
        return 0.0 if off else parse_quantity(value, unit)

    return Annotated[float, BeforeValidator(read), WithJsonSchema({"type": "string", "unit": unit})]


if TYPE_CHECKING:
    Share = float
    Number = float
    Angle = float
    Length = float
    Duration = float
    Temperature = float
else:
    Share = _amount("1")
    Number = _amount("")
    Angle = _amount("rad")
    Length = _amount("m")
    Duration = _amount("s")
    Temperature = _amount("K")

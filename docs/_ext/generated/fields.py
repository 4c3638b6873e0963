"""Fields of a pydantic model as a table, and below it the tables within it."""

from __future__ import annotations

import re
import typing
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from generated.markdown import prose, table
from labctl.bench.problems import show

_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥", "max_length": "length ≤"}
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "value", dict: "table"}


def fields(model: type[BaseModel], prefix: str = "", described: dict[str, str] | None = None) -> str:
    """Keys, what they take, defaults and meaning; keys of a table within it as ``table.key``.

    described: meaning by key where the model's docstring has it and the field does not.
    """
    return table(("key", "takes", "unless given", "what"), _rows(model, prefix, described or _told(model)))


def _rows(model: type[BaseModel], prefix: str, described: dict[str, str]) -> list[tuple[str, str, str, str]]:
    rows = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        inner = _model_of(field.annotation)
        told = field.description or described.get(name, "")
        if inner is not None and not field.is_required():
            rows += _rows(inner, f"{prefix}{key}.", _told(inner))
            continue
        rows.append((f"`{prefix}{key}`", _takes(field), _default(field), prose(told)))
    return rows


def _told(model: type[BaseModel]) -> dict[str, str]:
    """``name: text`` in the docstrings of the model and of those it stands on."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base is not BaseModel and issubclass(base, BaseModel):
            found |= _told_in(re.sub(r"\s+", " ", vars(base).get("__doc__") or ""), model)
    return found


def _told_in(text: str, model: type[BaseModel]) -> dict[str, str]:
    names = "|".join(re.escape(one) for one in model.model_fields)
    if not names:
        return {}
    parts = re.split(rf"(?:(?<=[.:;] )|(?<=^)|(?<=, ))({names})(?:, \w+)*: ", text)
    return {name: told.strip().rstrip(",;") for name, told in zip(parts[1::2], parts[2::2], strict=False)}


def _model_of(annotation: Any) -> type[BaseModel] | None:
    options = [one for one in (get_args(annotation) or (annotation,)) if one is not type(None)]
    only = options[0] if len(options) == 1 else None
    return only if isinstance(only, type) and issubclass(only, BaseModel) else None


def _takes(field: FieldInfo) -> str:
    unit = _unit(field.metadata) or _unit_within(field.annotation)
    words = "fraction or percentage" if unit == "1" else f"quantity in {unit}" if unit else _words(field.annotation)
    bounds = [f"{_BOUNDS[name]} {value:g}" if isinstance(value, float) else f"{_BOUNDS[name]} {value}"
              for item in field.metadata for name, value in _bounds(item)]  # fmt: skip
    return ", ".join([words, *bounds])


def _bounds(item: object) -> list[tuple[str, Any]]:
    return [(name, getattr(item, name)) for name in _BOUNDS if getattr(item, name, None) is not None]


def _unit(metadata: typing.Iterable[object]) -> str:
    for item in metadata:
        if isinstance(item, WithJsonSchema) and item.json_schema:
            return str(item.json_schema.get("unit", ""))
    return ""


def _unit_within(annotation: Any) -> str:
    for one in get_args(annotation):
        found = _unit(getattr(one, "__metadata__", ())) or (_unit_within(one) if get_args(one) else "")
        if found:
            return found
    return ""


def _words(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _words(inner[0])
    if origin is Literal:
        return ", ".join(f"`{show(one)}`" for one in inner)
    if origin in (tuple, list):
        return f"list of {_words(inner[0])}" if inner else "list"
    if origin is dict:
        return "table"
    if inner:
        return " or ".join(dict.fromkeys(_words(one) for one in inner if one is not type(None)))
    return str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default if field.default is not PydanticUndefined else field.get_default(call_default_factory=True)
    if value is None or value == {}:
        return ""
    if isinstance(value, tuple):
        value = list(value)
    unit = _unit(field.metadata) or _unit_within(field.annotation)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"`{value:g}{f' {unit}' if unit not in ('', '1') else ''}`" if isinstance(value, float) else f"`{value}`"
    return f"`{show(value)}`"

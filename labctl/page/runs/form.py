"""A form for a protocol's parameters, from the declarations that `--set` is checked against."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from drivers.errors import ConfigurationError
from labctl import registry
from labctl.bench.overrides import parse_assignments, spelt


@dataclass(frozen=True)
class Field:
    """One parameter. kind: "switch", "choice", "number" or "text". shown: its default as ``--set`` spells it, "" for
    none. bounds: what its declaration allows, in words."""

    name: str
    kind: str
    shown: str
    needed: bool
    doc: str
    choices: tuple[str, ...] = ()
    bounds: str = ""


@dataclass(frozen=True)
class Form:
    """A protocol's parameters, what it is, and the bench that it is made for."""

    protocol: str
    doc: str
    bench: str
    fields: tuple[Field, ...]
    model: type[BaseModel] = field(repr=False)

    def given(self, entered: Mapping[str, object]) -> dict[str, object]:
        """What was entered and is no default, read as after ``--set``. ConfigurationError for what cannot be read."""
        found: dict[str, object] = {}
        for one in self.fields:
            value = entered.get(one.name)
            text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value).strip()
            if text == one.shown:
                continue
            if not text:
                if one.needed:
                    raise ConfigurationError(f"{one.name} is needed{f': {one.doc}' if one.doc else ''}")
                continue
            found |= parse_assignments([f"{one.name}={text}"])
        return found

    def wrong(self, entered: Mapping[str, object]) -> dict[str, str]:
        """What is wrong with what was entered, by parameter, in the words of its declaration; what several do wrong
        together is not there, but told by `labctl.experiments.execute.check_parameters`."""
        found: dict[str, str] = {}
        given: dict[str, object] = {}
        for one in self.fields:
            try:
                given |= replace(self, fields=(one,)).given(entered)
            except ConfigurationError as error:
                found[one.name] = str(error)
        try:
            self.model.model_validate(given)
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                if problem["loc"]:
                    found.setdefault(str(problem["loc"][0]), problem["msg"].removeprefix("Value error, "))
        return found


def form_of(protocol: str) -> Form:
    """The form of a registered protocol. ConfigurationError if there is none."""
    made = registry.load("labctl.protocols", protocol)
    fields = tuple(_field(name, info) for name, info in made.Parameters.model_fields.items())
    return Form(protocol, inspect.getdoc(made) or "", made.bench, fields, made.Parameters)


def _field(name: str, info: FieldInfo) -> Field:
    needed = info.is_required()
    default = None if needed else info.get_default(call_default_factory=True)
    kind, choices = _kind(info.annotation)
    doc = info.description or ""
    return Field(name, kind, _spelt(name, default), needed, doc, choices, _bounds(info))


def _kind(annotation: Any) -> tuple[str, tuple[str, ...]]:
    if annotation is bool:
        return "switch", ()
    if typing.get_origin(annotation) is Literal:
        return "choice", tuple(str(choice) for choice in typing.get_args(annotation))
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return "choice", tuple(str(one.value) for one in annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [one for one in typing.get_args(annotation) if one is not type(None)]
        if len(rest) == 1 and _kind(rest[0])[0] == "number":
            return "number", ()
        return "text", ()
    return ("number", ()) if annotation in (int, float) else ("text", ())


def _spelt(name: str, default: Any) -> str:
    if default is None:
        return ""
    value = default.value if isinstance(default, Enum) else default
    if isinstance(value, str) and not value:
        return ""
    text = spelt(name, list(value) if isinstance(value, tuple) else value)
    return str(value) if text is None else text.partition("=")[2]


def _bounds(info: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "min_length": "at least",
             "max_length": "at most"}  # fmt: skip
    found = []
    for rule in info.metadata:
        for key, word in words.items():
            limit = getattr(rule, key, None)
            if limit is not None:
                found.append(f"{word} {limit}{' items' if key.endswith('length') else ''}")
    return ", ".join(found)

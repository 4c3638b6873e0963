"""The fixed part of a bench file as pydantic models, and how a model's errors become findings with a cure.

The rest of the file belongs to whoever is named in it: the world's ``Parameters``, a driver's ``Options``, a
kind's settings.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, WithJsonSchema, field_validator

from drivers.errors import ConfigurationError, LabError
from drivers.quantity import Seconds
from labctl import registry
from labctl.bench.problems import Finding, KeyPath, show, unknown_key

M = TypeVar("M", bound=BaseModel)

SECTIONS = ("bench", "world", "devices", "servers", "alignment", "network", "calibrations", "interlocks", "recovery")

BACKENDS = ("simulated", "emulated", "real", "replay")
"""Where a device's answers come from."""

DEVICE_NAME = r"[A-Za-z][A-Za-z0-9_-]*"

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f/\\]+$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BenchTable(_Table):
    """What a bench is called, and its time.

    name: in `labctl status`, logs and run files. world: the simulated table behind simulated and emulated devices.
    clock: "virtual" where nobody need wait, for simulated devices only; "real" else. lease: how long a lease lives
    unless its holder renews it.
    """

    name: Name
    world: str | None = None
    clock: Literal["virtual", "real"] = "virtual"
    lease: Annotated[Seconds, Field(ge=0.3, le=60)] = 2.0


class NetworkTable(_Table):
    """How other machines reach the bench.

    listen: address of this machine that is listened on. port: of the directory; those above it are the servers', 4
    each; 0 takes any free ones. advertise: what clients are told, if it is another name or address. keys: name of the
    key pair that proves who this bench is (`labctl keys make`).
    """

    listen: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]+$")]
    port: Annotated[int, Field(ge=0, le=65535)] = 5570
    advertise: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_\[\]-]+$")] | None = None
    keys: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")] = "server"


class CalibrationsTable(_Table):
    """Where calibrations are kept, and what is used though it would be refused.

    folder: relative to the bench file; else ``LABCTL_CALIBRATIONS``, else ``calibrations`` in the working directory.
    accept: "stale" for calibrations whose time is over, "foreign" for those of a device with another serial number,
    "drifted" for those that failed their last check, "unsuited" for those that were made with other settings.
    """

    folder: Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[^\x00-\x1f]+$")] | None = None
    accept: tuple[Literal["stale", "foreign", "drifted", "unsuited"], ...] = ()

    @field_validator("accept", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        if isinstance(value, str):
            return [value]
        if not isinstance(value, (list, tuple)):
            raise ValueError(f'{show(value)} is no list; write ["stale"], ["foreign"] or ["stale", "foreign"]')
        return value


class RecoveryTable(_Table):
    """What a run on the bench does by itself where a measurement fails.

    tries: how often in all a frame, a reading or a sequence is asked for that was lost or is not what was asked for.
    acknowledge_within: how long a run waits for a tripped interlock to be acknowledged, and then has its light on again
    and goes on; "0 s": it ends, to be resumed from its checkpoint.
    """

    tries: Annotated[int, Field(ge=1, le=100)] = 3
    acknowledge_within: Annotated[Seconds, Field(ge=0, le=1e6)] = 0.0


class DeviceTable(_Table):
    """The keys that every device has; its others are settings of the kind or options of the driver.

    kind: what it is for experiments. backend: what answers; real where it is left out of a device that is made of
    others. driver: by which an instrument, real or emulated, is driven; a simulated device needs none.
    limits: a table {min, max} by the setting's key in the file.
    """

    kind: str
    backend: Literal["simulated", "real", "emulated", "replay"] | None = None
    driver: str | None = None
    limits: dict[str, Any] = {}


class LimitTable(_Table):
    """Limits narrower than the instrument's own, quantities in the unit of the setting.

    min: smallest value. max: largest value.
    """

    min: Any = None
    max: Any = None


class ServerTable(_Table):
    """A process of its own for some devices.

    devices: their names. Each device lives in one process.
    """

    devices: Annotated[list[str], Field(min_length=1)]


def validated(model: type[M], table: Mapping[str, Any], path: KeyPath, findings: list[Finding]) -> M | None:
    """``table`` as ``model``; None after adding what is wrong to ``findings``, under ``path``."""
    lax = model.model_config.get("extra") not in ("forbid", "allow")
    unknown = [key for key in table if lax and key not in field_keys(model)]
    findings.extend(unknown_key((*path, key), field_keys(model)) for key in unknown)
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        errors = [dict(item) for item in error.errors(include_url=False)]
        findings.extend(_one_per_key(_finding(model, table, path, item) for item in errors))
    except LabError as error:
        findings.append(Finding(path, str(error)))
    except Exception as error:  # noqa: BLE001 - somebody's validator ran on what somebody typed
        findings.append(Finding(path, f"{model.__qualname__} cannot read this table ({type(error).__name__}: {error})"))
    return None


def registered(group: registry.Group, name: object, path: KeyPath, findings: list[Finding]) -> Any:
    """The object registered as ``name``; None after adding to ``findings`` why there is none."""
    if not isinstance(name, str):
        return None  # reported as a value of the wrong type by whoever read the table
    known = registry.names(group)
    if known and name not in known:
        what = group.removeprefix("labctl.").removesuffix("s")
        hint = registry.suggestion(name, known)
        findings.append(Finding(path, f"{show(name)} is no registered {what}{hint}", ", ".join(known)))
        return None
    try:
        return registry.load(group, name)
    except ConfigurationError as error:
        findings.append(Finding(path, str(error)))
        return None


def field_keys(model: type[BaseModel]) -> list[str]:
    """Keys that ``model`` reads, as they are written in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _one_per_key(findings: Iterable[Finding]) -> list[Finding]:
    """A union complains once per alternative: keep what was found once and join what is allowed."""
    kept: dict[KeyPath, Finding] = {}
    for finding in findings:
        first = kept.get(finding.path)
        choices = [first.allowed, finding.allowed] if first else [finding.allowed]
        allowed = ", or ".join(choice for choice in choices if choice)
        kept[finding.path] = Finding(finding.path, first.found if first else finding.found, allowed)
    return list(kept.values())


def _finding(model: type[BaseModel], table: Mapping[str, Any], path: KeyPath, error: dict[str, Any]) -> Finding:
    where = (*path, *_in_file(table, error))
    value, kind, context = error["input"], error["type"], error.get("ctx", {})
    parent = _annotation(model, error["loc"][:-1])[0]
    if kind == "missing":
        return Finding(where, "missing", _wanted(model, error["loc"]))
    if kind == "extra_forbidden":
        return unknown_key(where, field_keys(parent) if _is_model(parent) else ())
    if kind == "literal_error":
        expected = str(context["expected"]).replace("'", '"')
        choices = [word.strip('"') for word in expected.replace(" or ", ", ").split(", ")]
        hint = registry.suggestion(value, choices) if isinstance(value, str) else ""
        return Finding(where, f"{show(value)} is none of the choices{hint}", expected)
    if kind == "value_error":
        found, _, allowed = str(context.get("error", error["msg"])).partition("; ")
        allowed = allowed.removeprefix("write ")
        unit = _annotation(model, error["loc"])[1]
        if allowed.startswith("for example") and unit:
            allowed = f"{_QUANTITY.get(unit, f'a value in {unit}')}, {allowed}"
        return Finding(where, found, allowed)
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        unit = _annotation(model, error["loc"])[1]
        unit = "" if unit in ("", "1") else f" {unit}"
        return Finding(where, f"{show(value)} is out of range", f"{words} {context[key]:.12g}{unit}")
    plain = next((words for start, words in _TYPES.items() if kind.startswith(start)), None)
    message = str(error["msg"]).removeprefix("Input should be ").removeprefix("Assertion failed, ")
    return Finding(where, f"{show(value)} is not what this key takes", plain or message)


_QUANTITY = {"1": "a fraction or percentage"}
_TYPES = {"bool_": "true or false", "int_": "a whole number", "float_": "a number", "string_type": "text"}


_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def _in_file(table: object, error: Mapping[str, Any]) -> KeyPath:
    """Where the error is in the file: pydantic's location also names the alternatives of a union."""
    path: KeyPath = ()
    for part in error["loc"]:
        inside = isinstance(table, dict) and part in table
        inside = inside or (isinstance(table, list) and isinstance(part, int) and part < len(table))
        if inside:
            table = table[part]  # type: ignore[index]
            path = (*path, part)
    return (*path, error["loc"][-1]) if error["type"] == "missing" else path


def _wanted(model: type[BaseModel], location: KeyPath) -> str:
    """What a missing key should hold."""
    annotation, unit = _annotation(model, location)
    if unit:
        return _QUANTITY.get(unit, f"a value in {unit}")
    choices = typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()
    if choices:
        return ", ".join(show(choice) for choice in choices)
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(annotation, "a table" if _is_model(annotation) else "a value for this key")


def _annotation(model: type[BaseModel], location: KeyPath) -> tuple[Any, str]:
    """Type and unit of the field at ``location``; (None, "") where models do not tell."""
    annotation: Any = model
    unit = ""
    for part in location:
        if isinstance(part, int):
            inner = typing.get_args(annotation)
            annotation, unit = (inner[0] if inner else None), ""
            continue
        fields = {f.alias or n: f for n, f in annotation.model_fields.items()} if _is_model(annotation) else {}
        if part not in fields:
            return None, ""
        annotation = fields[part].annotation
        unit = _unit(fields[part].metadata)
        options = [option for option in typing.get_args(annotation) if option is not type(None)]
        if type(None) in typing.get_args(annotation) and len(options) == 1:
            annotation = options[0]
        if typing.get_origin(annotation) is Annotated:
            unit = unit or _unit(typing.get_args(annotation)[1:])
            annotation = typing.get_args(annotation)[0]
    return annotation, unit


def _unit(metadata: typing.Iterable[object]) -> str:
    for item in metadata:
        if isinstance(item, WithJsonSchema) and item.json_schema:
            return str(item.json_schema.get("unit", ""))
    return ""


def _is_model(annotation: object) -> typing.TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)

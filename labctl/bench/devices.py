"""One ``[devices.NAME]`` table against its kind and driver: backend, settings in SI, limits, options."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from pydantic import BaseModel

from drivers.quantity import parse_quantity
from drivers.settings import Configurable, Limits, SettingInfo, Value, setting
from labctl import registry
from labctl.bench.device import DeviceConfig
from labctl.bench.problems import Finding, KeyPath, show, unknown_key
from labctl.bench.schema import (
    BACKENDS,
    DeviceTable,
    LimitTable,
    field_keys,
    registered,
    validated,
)

_FIXED = tuple(DeviceTable.model_fields)


def device_config(name: str, table: Mapping[str, Any], findings: list[Finding]) -> DeviceConfig | None:
    """The device that ``table`` describes; None after adding to ``findings`` if no class can be found for
    it."""
    path: KeyPath = ("devices", name)
    before = len(findings)
    if "kind" not in table:
        findings.append(Finding((*path, "kind"), "missing", ", ".join(registry.names("labctl.kinds"))))
        return None
    fixed = validated(DeviceTable, {k: v for k, v in table.items() if k in _FIXED}, path, findings)
    kind = registered("labctl.kinds", table["kind"], (*path, "kind"), findings)
    if fixed is None or kind is None:
        return None
    if not _is_device(kind):
        findings.append(Finding((*path, "kind"), f"{show(fixed.kind)} is registered as something that is no device"))
        return None
    # A composite is real whatever it is made of, and usually there is one driver, named like its kind.
    composite = bool(getattr(kind, "composite", False))
    if fixed.backend == "replay":
        return _replayed(name, fixed, kind, table, findings, before)
    backend = fixed.backend or ("real" if composite else None)
    driver = fixed.driver or (fixed.kind if composite and backend == "real" else None)
    factory = _factory(fixed.kind, kind, backend, driver, path, findings)
    # With no class the kind still tells most of what is wrong with the other keys.
    keys = _option_keys(factory, driver)
    settings, limits, others = _settings_and_limits(factory or kind, table, fixed.limits, keys, path, findings)
    if factory is None or backend is None:
        return None
    if backend == "emulated":
        return _emulated(name, fixed.kind, str(driver), factory, settings, limits, others, findings, before)
    options = _options(factory, backend, driver, others, path, findings)
    if len(findings) > before:
        return None
    return DeviceConfig(name, fixed.kind, backend, driver, factory, options, settings, limits)


def _replayed(
    name: str,
    fixed: DeviceTable,
    kind: type[Configurable],
    table: Mapping[str, Any],
    findings: list[Finding],
    before: int,
) -> DeviceConfig | None:
    """A device from a record. Keys of the driver, simulation or emulator that it was are left standing, unread."""
    from labctl.record.device import Replayed  # it stands on this module

    path: KeyPath = ("devices", name)
    settings, limits, others = _settings_and_limits(
        kind, table, fixed.limits, _option_keys(None, fixed.driver), path, findings
    )
    own = field_keys(Replayed.Options)
    left, known = [key for key in others if key not in own], list(own)
    groups: tuple[registry.Group, ...] = ("labctl.drivers", "labctl.emulators", "labctl.simulated")
    for group, its_name in ((group, name) for group in groups for name in (fixed.driver, fixed.kind)):
        if left and its_name in registry.names(group):
            model = _options_model(registry.load(group, str(its_name)))
            known += field_keys(model) if model is not None else []
            left = [key for key in left if key not in known]
    findings.extend(unknown_key((*path, key), [*_FIXED, *known]) for key in left)
    options = validated(Replayed.Options, {k: v for k, v in others.items() if k in own}, path, findings)
    if len(findings) > before:
        return None
    return DeviceConfig(name, fixed.kind, "replay", fixed.driver, Replayed, options, settings, limits)


def _emulated(
    name: str,
    kind: str,
    driver: str,
    factory: type[Configurable],
    settings: dict[str, Any],
    limits: dict[str, Limits],
    others: Mapping[str, Any],
    findings: list[Finding],
    before: int,
) -> DeviceConfig | None:
    """A real driver on an emulated instrument: the file's keys are the driver's, the emulator's, or unknown."""
    path: KeyPath = ("devices", name)
    emulator = registered("labctl.emulators", driver, (*path, "driver"), findings)
    if emulator is None:
        return None
    own, theirs = _options_model(factory), _options_model(emulator)
    own_keys, their_keys = (field_keys(model) if model else [] for model in (own, theirs))
    settable = [s.info(s.limits).file_key for s in factory.declared_settings().values() if not s.read_only]
    unknown = [key for key in others if key not in own_keys and key not in their_keys]
    findings.extend(unknown_key((*path, key), [*_FIXED, *settable, *own_keys, *their_keys]) for key in unknown)
    given = {key: value for key, value in others.items() if key in own_keys}
    if own is not None:
        found: list[Finding] = []
        validated(own, given, path, found)
        # What leads to the instrument is told when the emulated one runs.
        supplied = {(*path, key) for key in emulator.supplies}
        findings.extend(f for f in found if not (f.path in supplied and f.path[-1] not in given))
    options = None
    if theirs is not None:
        options = validated(theirs, {k: v for k, v in others.items() if k in their_keys}, path, findings)
    if len(findings) > before:
        return None
    return DeviceConfig(name, kind, "emulated", driver, factory, None, settings, limits, emulator, options, given)


def _is_device(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, Configurable)


def _factory(
    kind_name: str,
    kind: type[Configurable],
    backend: str | None,
    driver: str | None,
    path: KeyPath,
    findings: list[Finding],
) -> type[Configurable] | None:
    implemented = ", ".join(f'"{name}"' for name in BACKENDS)
    if backend is None:
        findings.append(Finding((*path, "backend"), "missing", implemented))
        return None
    if backend not in BACKENDS:
        findings.append(Finding((*path, "backend"), f"{show(backend)} is not available yet", implemented))
        return None
    if backend == "simulated":
        found = _registered_simulation(kind_name, path, findings)
        key = "backend"
    elif driver is None:
        findings.append(Finding((*path, "driver"), "missing", ", ".join(registry.names("labctl.drivers"))))
        return None
    else:
        found = registered("labctl.drivers", driver, (*path, "driver"), findings)
        key = "driver"
    if found is None:
        return None
    if not (isinstance(found, type) and issubclass(found, kind)):
        what = getattr(found, "kind", "") or type(found).__name__
        findings.append(Finding((*path, key), f"{show(driver or backend)} drives a {what}", f"a {kind_name} driver"))
        return None
    return found


def _registered_simulation(kind: str, path: KeyPath, findings: list[Finding]) -> Any:
    if kind not in registry.names("labctl.simulated"):
        simulated = ", ".join(registry.names("labctl.simulated"))
        findings.append(
            Finding(
                (*path, "backend"),
                f"{show(kind)} has no simulated backend",
                f"simulated kinds are {simulated}",
            )
        )
        return None
    return registered("labctl.simulated", kind, (*path, "backend"), findings)


def _settings_and_limits(
    cls: type[Configurable],
    table: Mapping[str, Any],
    limit_tables: Mapping[str, Any],
    options: Collection[str],
    path: KeyPath,
    findings: list[Finding],
) -> tuple[dict[str, Any], dict[str, Limits], dict[str, Any]]:
    """Settings and limits in SI by the contract's names, and the keys that are neither.

    options: of the class, or of the driver that is named; what a device only tells, such as its range, may be one.
    """
    declared = {info.file_key: (s, info) for s in cls.declared_settings().values() for info in [s.info(s.limits)]}
    limits: dict[str, Limits] = {}
    rangeable = [key for key, (s, info) in declared.items() if s.value_type in (int, float) and not info.read_only]
    for key, limit_table in limit_tables.items():
        where = (*path, "limits", key)
        if key not in rangeable:
            findings.append(unknown_key(where, rangeable))
            continue
        read = _limits(declared[key][1], limit_table, where, findings)
        if read is not None:
            limits[declared[key][1].name] = read
    settings: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for key, value in table.items():
        if key in _FIXED:
            continue
        if key not in declared or (declared[key][1].read_only and key in options):
            others[key] = value
            continue
        found = _setting(*declared[key], value, limits, (*path, key), findings)
        if found is not None:
            settings[declared[key][1].name] = found
    return settings, limits, others


def _limits(info: SettingInfo, table: object, path: KeyPath, findings: list[Finding]) -> Limits | None:
    if not isinstance(table, dict):
        findings.append(Finding(path, f"{show(table)} is not a range", "{ min = ..., max = ... }, or one of them"))
        return None
    read = validated(LimitTable, table, path, findings)
    if read is None:
        return None
    if read.min is None and read.max is None:
        findings.append(Finding(path, "an empty range", "{ min = ..., max = ... }, or one of them"))
        return None
    ends: dict[str, float | None] = {"min": None, "max": None}
    for end, value in (("min", read.min), ("max", read.max)):
        if value is None:
            continue
        number = _number(info, value, (*path, end), findings)
        if number is None or not _within(info, number, value, info.limits, (*path, end), findings):
            return None
        ends[end] = number
    low, high = ends["min"], ends["max"]
    if low is not None and high is not None and low > high:
        findings.append(Finding(path, f"min {show(read.min)} lies above max {show(read.max)}", "min up to max"))
        return None
    return Limits(minimum=low, maximum=high)


def _setting(
    declared: setting[Any],
    info: SettingInfo,
    value: object,
    limits: Mapping[str, Limits],
    path: KeyPath,
    findings: list[Finding],
) -> Any:
    """``value`` as the contract wants it, or None after adding why not."""
    if info.read_only:
        findings.append(Finding(path, "read-only: the instrument tells it", "leave this key out"))
        return None
    if info.needs_lease:
        # Light comes on by an act of whoever holds the lease, never because a file was read.
        findings.append(Finding(path, "needs a lease and is not set by a bench file", "leave this key out"))
        return None
    if declared.value_type in (int, float):
        number = _number(info, value, path, findings)
        in_force = info.limits.tightened(limits.get(info.name, Limits()))
        fits = number is not None and _within(info, number, value, in_force, path, findings)
        return number if fits else None
    if issubclass(declared.value_type, Value):
        return _structure(declared.value_type, value, path, findings)
    if not isinstance(value, declared.value_type):
        wanted = {bool: "true or false", str: "text"}.get(declared.value_type, declared.value_type.__name__)
        findings.append(Finding(path, f"{show(value)} has the wrong type", _choices(info) or wanted))
        return None
    if info.choices is not None and value not in info.choices:
        hint = registry.suggestion(str(value), info.choices)
        findings.append(Finding(path, f"{show(value)} is none of the choices{hint}", _choices(info)))
        return None
    return value


def _number(info: SettingInfo, value: object, path: KeyPath, findings: list[Finding]) -> float | None:
    """SI number of ``value``, finite; None after adding why it is none."""
    whole = info.value_type == "int"
    if info.unit is None:
        fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not fits or (isinstance(value, float) and not math.isfinite(value)):
            allowed = "a whole number" if whole else "a finite number"
            findings.append(Finding(path, f"{show(value)} is not {allowed}", allowed + _range(info.limits, "")))
            return None
        return value if isinstance(value, int) and whole else float(value)  # type: ignore[arg-type]
    try:
        number = parse_quantity(value, info.unit)
    except (ValueError, OverflowError) as error:
        found, _, cure = str(error).partition("; ")
        example = cure[cure.find("for example") :] if "for example" in cure else cure
        wanted = "a fraction or percentage" if info.unit == "1" else f"a value in {info.unit}"
        within = _range(info.limits, info.unit).strip()
        wanted = within if within and info.unit != "1" else f"{wanted} {within}".strip()
        findings.append(Finding(path, found, f"{wanted}, {example}"))
        return None
    if not math.isfinite(number) or (whole and not number.is_integer()):
        found = "not a whole number" if math.isfinite(number) else "not finite"
        findings.append(Finding(path, f"{show(value)} is {found}", f"a value in {info.unit}"))
        return None
    return int(number) if whole else number


def _within(
    info: SettingInfo, number: float, value: object, limits: Limits, path: KeyPath, findings: list[Finding]
) -> bool:
    low, high = limits.minimum, limits.maximum
    if (low is None or number >= low) and (high is None or number <= high):
        return True
    findings.append(Finding(path, f"{show(value)} is out of range", _range(limits, info.unit or "").strip()))
    return False


def _range(limits: Limits, unit: str) -> str:
    suffix = f" {unit}" if unit not in ("", "1") else ""
    low, high = limits.minimum, limits.maximum
    if low is not None and high is not None:
        return f" {low:.12g} to {high:.12g}{suffix}"
    if low is not None:
        return f" at least {low:.12g}{suffix}"
    return f" at most {high:.12g}{suffix}" if high is not None else ""


def _choices(info: SettingInfo) -> str:
    return ", ".join(f'"{choice}"' for choice in info.choices or ())


def _structure(value_type: type[Value], value: object, path: KeyPath, findings: list[Finding]) -> Value | None:
    fields = value_type.__struct_fields__
    allowed = "{ " + ", ".join(f"{field} = ..." for field in fields) + " }"
    if not isinstance(value, dict):
        findings.append(Finding(path, f"{show(value)} is not a table", allowed))
        return None
    unknown = [key for key in value if key not in fields]
    findings.extend(unknown_key((*path, key), fields) for key in unknown)
    if unknown:
        return None
    try:
        return msgspec.convert(value, type=value_type)
    except msgspec.ValidationError as error:
        findings.append(Finding(path, str(error).replace("`", '"').replace("$.", ""), allowed))
        return None


def _options(
    factory: type[Configurable],
    backend: str,
    driver: str | None,
    others: Mapping[str, Any],
    path: KeyPath,
    findings: list[Finding],
) -> BaseModel | None:
    """The class's options from the keys that are no settings; whatever is left over is unknown."""
    model = _options_model(factory)
    own = field_keys(model) if model else []
    left = [key for key in others if key not in own]
    if left and backend == "simulated" and driver in registry.names("labctl.drivers"):
        left = _check_options_of_real_driver(driver, others, left, path, findings)
    settable = [s.info(s.limits) for s in factory.declared_settings().values()]
    keys = [info.file_key for info in settable if not (info.read_only or info.needs_lease)]
    findings.extend(unknown_key((*path, key), [*_FIXED, *keys, *own]) for key in left)
    if model is None:
        return None
    return validated(model, {key: value for key, value in others.items() if key in own}, path, findings)


def _check_options_of_real_driver(
    driver: str | None, others: Mapping[str, Any], left: Iterable[str], path: KeyPath, findings: list[Finding]
) -> list[str]:
    """What the named driver does not know either: changing only ``backend`` must turn simulation into the
    real bench."""
    model = _options_model(registered("labctl.drivers", driver or "", (*path, "driver"), findings))
    if model is None:
        return list(left)
    known = {key: others[key] for key in left if key in field_keys(model)}
    validated(model, known, path, findings)
    return [key for key in left if key not in known]


def _option_keys(factory: type[Configurable] | None, driver: str | None) -> set[str]:
    """Of a class, and of the real driver that is named beside a simulated backend."""
    named = registry.load("labctl.drivers", driver) if driver in registry.names("labctl.drivers") else None
    return {key for model in map(_options_model, (factory, named)) if model is not None for key in field_keys(model)}


def _options_model(factory: object) -> type[BaseModel] | None:
    model = getattr(factory, "Options", None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None

"""``[interlocks.NAME]`` tables against the devices of the bench: rules that can be watched, with quantities in SI."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from labctl import registry
from labctl.bench.config import BenchConfig
from labctl.bench.device import DeviceConfig
from labctl.bench.problems import Finding, KeyPath, show
from labctl.bench.schema import DEVICE_NAME, validated
from labctl.safety.device_rules import Armed, CameraPresent, PatternWritten, ReadingWithin, SettingWithin
from labctl.safety.laser_rules import Dose, Ramp, ReadBack
from labctl.safety.rules import Interlock, Rule, Watching

RULES: dict[str, type[Rule]] = {
    "armed": Armed,
    "camera": CameraPresent,
    "pattern": PatternWritten,
    "reading": ReadingWithin,
    "setting": SettingWithin,
    "read-back": ReadBack,
    "dose": Dose,
    "ramp": Ramp,
}


def interlocks_of(
    tables: Mapping[str, Any], devices: Mapping[str, DeviceConfig], named: Sequence[str], findings: list[Finding]
) -> dict[str, Interlock]:
    """Interlocks by name. named: every device of the file, also those that are wrong themselves."""
    found: dict[str, Interlock] = {}
    for name, table in tables.items():
        path = ("interlocks", name)
        if not re.fullmatch(DEVICE_NAME, name) or name == "record":
            findings.append(Finding(path, "not a name for an interlock", "letters, digits, - and _, but not record"))
        if not isinstance(table, dict):
            findings.append(Finding(path, f"{show(table)} is not a table", f"an [interlocks.{name}] table"))
            continue
        interlock = _interlock(name, table, path, devices, named, findings)
        if interlock is not None:
            found[name] = interlock
    _one_ramp_each(found, findings)
    return found


def _interlock(
    name: str,
    table: Mapping[str, Any],
    path: KeyPath,
    devices: Mapping[str, DeviceConfig],
    named: Sequence[str],
    findings: list[Finding],
) -> Interlock | None:
    kind = table.get("rule")
    if not isinstance(kind, str) or kind not in RULES:
        found = "missing" if "rule" not in table else f"{show(kind)} is no rule{registry.suggestion(str(kind), RULES)}"
        findings.append(Finding((*path, "rule"), found, ", ".join(RULES)))
        return None
    rule = validated(RULES[kind], table, path, findings)
    if rule is None:
        return None
    emitting = [device for device, config in devices.items() if _emits(config)]
    guards = _guards(rule, path, devices, named, emitting, findings)
    watched = getattr(rule, "device", None)
    if watched is not None and watched not in named:
        hint = registry.suggestion(str(watched), named)
        found = f"{show(watched)} is no device of this bench{hint}"
        findings.append(Finding((*path, "device"), found, ", ".join(named)))
        return None
    if guards is None or any(device not in devices for device in rule.watched(guards)):
        return None  # a device that is wrong has findings of its own
    resolved = rule.resolved(devices, guards)
    if isinstance(resolved, list):
        findings.extend(Finding((*path, o.key), o.found, o.allowed) for o in resolved)
        return None
    return Interlock(name, resolved, guards)


def _emits(device: DeviceConfig) -> bool:
    return any(s.needs_lease for s in device.factory.declared_settings().values())


def _guards(
    rule: Rule,
    path: KeyPath,
    devices: Mapping[str, DeviceConfig],
    named: Sequence[str],
    emitting: list[str],
    findings: list[Finding],
) -> tuple[str, ...] | None:
    if rule.guards is None:
        if not emitting and len(devices) == len(named):
            findings.append(Finding(path, "no device of this bench emits, so there is no light to turn off", ""))
        return tuple(emitting) or None
    wrong = False
    for index, guard in enumerate(rule.guards):
        if guard in emitting or (guard in named and guard not in devices):
            continue
        wrong = True
        where = (*path, "guards", index)
        if guard in devices:
            found = f"{show(guard)} is a {devices[guard].kind}, which has no emission to turn off"
        else:
            found = f"{show(guard)} is no device of this bench{registry.suggestion(guard, named)}"
        findings.append(Finding(where, found, ", ".join(emitting) or "a device that emits"))
    if wrong or any(guard not in devices for guard in rule.guards):
        return None
    return tuple(dict.fromkeys(rule.guards))


def _one_ramp_each(interlocks: Mapping[str, Interlock], findings: list[Finding]) -> None:
    ramped: dict[str, str] = {}
    for name, interlock in interlocks.items():
        for guard in interlock.guards if isinstance(interlock.rule, Ramp) else ():
            if guard in ramped:
                found = f"{guard} has the ramp {ramped[guard]} already"
                findings.append(Finding(("interlocks", name, "guards"), found, "one ramp for each laser"))
            ramped[guard] = name


def live_interlocks(config: BenchConfig) -> dict[str, Interlock]:
    """Those about devices that are there: what is played back from a record is asked nothing that is not in it."""
    played = {name for name, device in config.devices.items() if device.backend == "replay"}
    return {
        name: interlock
        for name, interlock in config.interlocks.items()
        if not played & {*interlock.guards, *interlock.rule.watched(interlock.guards)}
    }


def notes(config: BenchConfig) -> list[str]:
    """What is allowed and yet unwise, with file and line: watched devices that cannot be asked while others work."""
    home = {device: server for server, names in config.servers.items() for device in names}
    told: dict[str, str] = {}
    for name, interlock in config.interlocks.items():
        rule = interlock.rule
        if isinstance(rule, CameraPresent) and "within" not in rule.model_fields_set and config.clock == "real":
            told[name] = (
                f"{config.where('interlocks', name)}: while a sequence is played {rule.device} is not seen, and one "
                f"of more than {rule.within:g} s trips; set `within` above the longest"
            )
        if not isinstance(rule, (Watching, Dose, ReadBack)) or isinstance(rule, (CameraPresent, PatternWritten)):
            continue
        for device in rule.watched(interlock.guards):
            beside = [d for d in config.servers[home[device]] if d != device and d not in interlock.guards]
            if beside and device not in told and config.clock == "real":
                told[device] = (
                    f"{config.where('interlocks', name)}: {device} shares server {home[device]} with "
                    f"{', '.join(beside)}; while one of them is busy it cannot be asked, and light that is on for "
                    f"longer than {rule.within:g} s meanwhile trips. Give it a [servers.NAME] of its own, or a longer "
                    "`within`"
                )
    return list(told.values())

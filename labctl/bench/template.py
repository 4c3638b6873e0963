"""A bench file to begin from: another one's text under a new name, with comments on what else can be in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from drivers.errors import ConfigurationError
from drivers.settings import SettingInfo
from labctl import registry
from labctl.bench.config import BenchConfig
from labctl.bench.device import DeviceConfig
from labctl.bench.load import load_bench

_HEADING = """\
# Bench {name}, written by `labctl init` like {like}. What is behind a # is not in force.
#
#   labctl check {file}             what is wrong with this file, line by line
#   labctl up {file}                serve it; then `labctl status` from another terminal
#
# From the simulation to the table, one device after another: backend = "emulated" tries a real driver on an emulated
# instrument, backend = "real" the instrument itself. Both need clock = "real". What belongs to one machine only, such
# as ports, goes into {overlay} beside this file.

"""
_MORE = """
# --- what else can be here -------------------------------------------------------------------------------------------
#
# Devices in processes of their own (docs/bus.md). Without this all are in one, "main".
# [servers.main]
# devices = [{devices}]
#
# Rules that light must keep to (docs/interlocks.md).
# [interlocks.key]
# rule = "armed"                      # `labctl arm`, by a laser operator
# for = "8 h"
#
# What a run does by itself where a measurement fails (docs/resume.md).
# [recovery]
# tries = 3
# acknowledge_within = "0 s"
#
# Where calibrations are kept, relative to this file, and what is used though it would be refused.
# [calibrations]
# folder = "calibrations"
# accept = []                         # "stale", "foreign", "drifted", "unsuited"
#
# How other machines reach this bench; needs keys (docs/bus.md).
# [network]
# listen = "127.0.0.1"
# port = 5570
# keys = "server"
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TABLE = re.compile(r"^[ \t]*\[")
_COMMENT_AT = 36


def bench_like(file: Path, like: str) -> str:
    """The text of a bench file that `load_bench` accepts: ``like`` without its overlay, named after ``file``.

    Nothing is written. Raises ConfigurationError if ``file`` is no name for a bench, BenchFileError if ``like`` is
    wrong.
    """
    if file.suffix != ".toml" or not _NAME.fullmatch(file.stem) or file.name.endswith(".local.toml"):
        raise ConfigurationError(f"{file} is no name for a bench file; write NAME.toml, of letters, digits, . - and _")
    source = load_bench(like)
    text = _renamed(source.text, file.stem)
    plain = load_bench(file, texts=(text, ""))
    if plain.name != file.stem:
        raise ConfigurationError(f'{source.path}: its name was not found; write name = "..." under [bench]')
    lines = text.splitlines()
    for name, device in plain.devices.items():
        at = _end_of_table(lines, f"devices.{name}")
        if at is not None:
            lines[at:at] = _keys_of(device, _assigned(lines[:at]))
    heading = _HEADING.format(name=file.stem, like=like, file=file.name, overlay=f"{file.stem}.local.toml")
    more = _MORE.format(devices=", ".join(f'"{device}"' for device in plain.devices))
    whole = heading + "\n".join(lines) + "\n" + more
    _must_say_the_same(plain, load_bench(file, texts=(whole, "")), source.path)
    return whole


def _must_say_the_same(plain: BenchConfig, commented: BenchConfig, source: Path) -> None:
    if (plain.devices, plain.world_parameters) != (commented.devices, commented.world_parameters):
        raise ConfigurationError(f"{source}: comments cannot be added to it; begin from another bench with --like")


def _renamed(text: str, name: str) -> str:
    lines = text.splitlines()
    start = next((k for k, line in enumerate(lines) if line.split("#")[0].strip() == "[bench]"), None)
    if start is None:
        return text
    for k in range(start + 1, len(lines)):
        if _TABLE.match(lines[k]):
            break
        if re.match(r"\s*name\s*=", lines[k]):
            lines[k] = f'name = "{name}"'
            break
    return "\n".join(lines) + "\n"


def _end_of_table(lines: list[str], table: str) -> int | None:
    """The line after the last one that says something in a table; None if it is written in another way."""
    start = next((k for k, line in enumerate(lines) if line.split("#")[0].strip() == f"[{table}]"), None)
    if start is None:
        return None
    last = start
    for k in range(start + 1, len(lines)):
        if _TABLE.match(lines[k]):
            break
        if lines[k].strip() and not lines[k].lstrip().startswith("#"):
            last = k
    return last + 1


def _assigned(lines: list[str]) -> set[str]:
    """Keys of the table that the lines end with."""
    found = set()
    for line in reversed(lines):
        if _TABLE.match(line):
            break
        found.add(line.split("=")[0].strip())
    return found


def _keys_of(device: DeviceConfig, assigned: set[str]) -> list[str]:
    """Comments: settings that the file may give and does not, limits, drivers for the real thing."""
    kind: Any = registry.load("labctl.kinds", device.kind)
    infos = [setting.info(setting.limits) for setting in kind.declared_settings().values()]
    lines = [_setting_line(i) for i in infos if not i.read_only and not i.needs_lease and i.file_key not in assigned]
    numbers = [i for i in infos if i.value_type == "float" and not i.read_only]
    if numbers and not any(key.startswith("limits") for key in assigned):
        lines.append(_line(f"limits.{numbers[0].file_key} = {{ max = … }}", "narrower than the instrument's own"))
    drivers = [name for name in registry.names("labctl.drivers") if _drives(name, kind)]
    if drivers and not getattr(kind, "composite", False):
        lines.append(_line(f'driver = "{drivers[0]}"', f"for real and emulated ones; there are {', '.join(drivers)}"))
    return lines


def _drives(name: str, kind: type) -> bool:
    try:
        driver = registry.load("labctl.drivers", name)
    except ConfigurationError:
        return False  # somebody else's, which cannot be imported here
    return isinstance(driver, type) and issubclass(driver, kind)


def _setting_line(info: SettingInfo) -> str:
    low, high = info.limits.minimum, info.limits.maximum
    allowed = ", ".join(info.choices or ())
    if low is not None or high is not None:
        allowed = f"{'' if low is None else f'from {low:g} '}{'' if high is None else f'to {high:g}'}".strip()
        allowed += f" {info.unit}" if info.unit not in (None, "1") else ""
    return _line(f"{info.file_key} = …", f"{info.doc.rstrip('.')}{f'; {allowed}' if allowed else ''}")


def _line(key: str, comment: str) -> str:
    return f"{f'# {key}':{_COMMENT_AT - 1}} # {comment}"

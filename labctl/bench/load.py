"""From a bench file to a `BenchConfig`, or to one error that lists everything wrong with it, line by line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from labctl import registry
from labctl.bench.config import BenchConfig
from labctl.bench.device import DeviceConfig
from labctl.bench.devices import device_config
from labctl.bench.interlocks import interlocks_of
from labctl.bench.problems import BenchFileError, Finding, Problem, show, unknown_key
from labctl.bench.schema import (
    DEVICE_NAME,
    SECTIONS,
    BenchTable,
    CalibrationsTable,
    NetworkTable,
    RecoveryTable,
    ServerTable,
    registered,
    validated,
)
from labctl.bench.sources import is_there, read_sources, shown_path

_NOTHING: Mapping[str, object] = {}


def load_bench(
    source: str | Path, overrides: Mapping[str, object] = _NOTHING, texts: tuple[str, str] | None = None
) -> BenchConfig:
    """Read and check a bench file.

    Parameters
    ----------
    source: path of the file, or the bare name of a packaged bench ("prbm-sim").
    overrides: values by dotted key ("devices.camera.exposure": "5 ms"), laid over the file and its overlay
        ``<stem>.local.toml`` last.
    texts: what the file and its overlay held when somebody else read them, to be taken instead of the files.

    Raises BenchFileError with every problem found, each with file, line, key, and what is allowed.
    """
    path = _find(source)
    if texts is None and path.stem in packaged_benches() and not path.exists():
        packaged = f'"{path.stem}", which comes with labctl'
        raise BenchFileError(
            [Problem(shown_path(path), None, "", "no such file", f"a bench file (.toml), or {packaged}")]
        )
    sources = read_sources(path, overrides, texts)
    findings: list[Finding] = []
    tables = _sections(sources.data, findings)
    # A bench table that cannot be read leaves its own problems behind; the rest is checked as far as it goes.
    bench = validated(BenchTable, tables["bench"], ("bench",), findings)
    world_name, world_parameters = _world(tables["bench"], tables["world"], findings)
    devices = _devices(tables["devices"], findings)
    _check_faults(world_parameters, list(tables["devices"]), findings)
    _check_backends(tables, findings)
    servers = _servers(tables["servers"], list(tables["devices"]), findings)
    alignment = _alignment(tables["alignment"], findings)
    network = validated(NetworkTable, tables["network"], ("network",), findings) if "network" in sources.data else None
    calibrations = validated(CalibrationsTable, tables["calibrations"], ("calibrations",), findings)
    recovery = validated(RecoveryTable, tables["recovery"], ("recovery",), findings)
    interlocks = interlocks_of(tables["interlocks"], devices, list(tables["devices"]), findings)
    problems = sources.in_order([*sources.problems, *(sources.located(finding) for finding in findings)])
    if problems or bench is None or calibrations is None or recovery is None:
        raise BenchFileError(problems)
    return BenchConfig(
        name=bench.name,
        path=path,
        text=sources.base.text,
        overlay_text=sources.overlay.text if sources.overlay else "",
        world_name=world_name,
        world_parameters=world_parameters,
        clock=bench.clock,
        lease_s=bench.lease,
        devices=devices,
        servers=servers,
        alignment=alignment,
        network=network,
        calibrations=calibrations,
        overrides=dict(overrides),
        interlocks=interlocks,
        recovery=recovery,
    )


def packaged_benches() -> dict[str, Path]:
    """Bench files that come with labctl, by name."""
    package = Path(str(files("labctl")))
    # Inside an installed wheel they lie in the package; in a checkout beside it.
    for folder in (package / "benches", package.parent / "benches"):
        if folder.is_dir():
            return {p.stem: p for p in sorted(folder.glob("*.toml")) if not p.name.endswith(".local.toml")}
    return {}


def bench_argument(config: BenchConfig) -> str:
    """How ``--bench`` names a bench, for messages."""
    if packaged_benches().get(config.path.stem) == config.path:
        return config.path.stem
    return shown_path(config.path)


def _find(source: str | Path) -> Path:
    if isinstance(source, Path) or "/" in source or "\\" in source or source.endswith(".toml"):
        return Path(source)
    benches = packaged_benches()
    if source in benches:
        return benches[source]
    if source and is_there(Path(source)):
        return Path(source)
    known = ", ".join(benches) or "none are packaged"
    beside = f"{source}.toml"
    hint = f' (did you mean "{beside}"?)' if source and is_there(Path(beside)) else registry.suggestion(source, benches)
    raise BenchFileError(
        [
            Problem(
                source or '""',
                None,
                "",
                f"no such bench{hint}",
                f"a path ending in .toml, or a packaged bench: {known}",
            )
        ]
    )


def _sections(data: Mapping[str, Any], findings: list[Finding]) -> dict[str, dict[str, Any]]:
    """The file's top-level tables, empty where missing or no table."""
    tables: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for section, table in data.items():
        if section not in SECTIONS:
            findings.append(unknown_key((section,), SECTIONS))
        elif not isinstance(table, dict):
            findings.append(Finding((section,), f"{show(table)} is not a table", f"a [{section}] table"))
        else:
            tables[section] = table
    if "devices" not in data or data["devices"] == {}:
        findings.append(Finding(("devices",), "missing", "at least one [devices.NAME] table"))
    return tables


def _world(
    bench: Mapping[str, Any], table: Mapping[str, Any], findings: list[Finding]
) -> tuple[str | None, BaseModel | None]:
    name = bench.get("world")
    if name is None:
        if table:
            worlds = ", ".join(registry.names("labctl.worlds"))
            findings.append(Finding(("bench", "world"), "missing, but there is a [world] table", worlds))
        return None, None
    world = registered("labctl.worlds", name, ("bench", "world"), findings)
    if world is None:
        return None, None
    model = getattr(world, "Parameters", None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        findings.append(Finding(("bench", "world"), f"{show(name)} has no Parameters model", "a registered world"))
        return None, None
    return str(name), validated(model, table, ("world",), findings)


def _devices(tables: Mapping[str, Any], findings: list[Finding]) -> dict[str, DeviceConfig]:
    devices: dict[str, DeviceConfig] = {}
    for name, table in tables.items():
        if not re.fullmatch(DEVICE_NAME, name):
            findings.append(Finding(("devices", name), "not a name for a device", "letters, digits, - and _"))
        if not isinstance(table, dict):
            findings.append(Finding(("devices", name), f"{show(table)} is not a table", f"a [devices.{name}] table"))
            continue
        device = device_config(name, table, findings)
        if device is not None:
            devices[name] = device
    return devices


def _is_composite(kind: object) -> bool:
    known = isinstance(kind, str) and kind in registry.names("labctl.kinds")
    return known and bool(getattr(registry.load("labctl.kinds", str(kind)), "composite", False))


def _check_faults(world: BaseModel | None, devices: list[str], findings: list[Finding]) -> None:
    """Faults that are planted must meet something: a run with a name misspelt would pass as one that bore them."""
    for index, fault in enumerate(getattr(world, "faults", ())):
        if fault.device not in devices:
            hint = registry.suggestion(fault.device, devices)
            findings.append(
                Finding(
                    ("world", "faults", index),
                    f"{show(fault.device)} is no device of this bench{hint}",
                    ", ".join(devices),
                )
            )


def _check_backends(tables: Mapping[str, dict[str, Any]], findings: list[Finding]) -> None:
    """Virtual time needs every instrument simulated, or recorded, and what is simulated needs a world."""
    instruments = {
        name: table.get("backend")
        for name, table in tables["devices"].items()
        if isinstance(table, dict) and not _is_composite(table.get("kind"))
    }
    # A backend that is missing or misspelt has its own finding.
    outside = [name for name, backend in instruments.items() if backend in ("real", "emulated")]
    if outside and tables["bench"].get("clock", "virtual") == "virtual":
        findings.append(
            Finding(
                ("bench", "clock"),
                f'"virtual" time, but not simulated: {", ".join(outside)}',
                'clock = "real", or backend = "simulated" for every device',
            )
        )
    simulated = [name for name, backend in instruments.items() if backend == "simulated"]
    if simulated and tables["bench"].get("world") is None and not tables["world"]:
        worlds = ", ".join(registry.names("labctl.worlds"))
        findings.append(Finding(("bench", "world"), f"missing, but simulated: {', '.join(simulated)}", worlds))


def _servers(tables: Mapping[str, Any], devices: list[str], findings: list[Finding]) -> dict[str, tuple[str, ...]]:
    if not tables:
        return {"main": tuple(devices)}
    servers: dict[str, tuple[str, ...]] = {}
    home: dict[str, str] = {}
    for name, table in tables.items():
        path = ("servers", name)
        if not re.fullmatch(DEVICE_NAME, name):
            findings.append(Finding(path, "not a name for a server", "letters, digits, - and _"))
        if not isinstance(table, dict):
            findings.append(Finding(path, f"{show(table)} is not a table", f"a [servers.{name}] table"))
            continue
        server = validated(ServerTable, table, path, findings)
        if server is None:
            continue
        servers[name] = tuple(server.devices)
        for index, device in enumerate(server.devices):
            where = (*path, "devices", index)
            if device not in devices:
                hint = registry.suggestion(device, devices)
                findings.append(Finding(where, f"{show(device)} is no device of this bench{hint}", ", ".join(devices)))
            elif device in home:
                findings.append(
                    Finding(where, f"{show(device)} is already in server {show(home[device])}", "one server each")
                )
            else:
                home[device] = name
    homeless = [device for device in devices if device not in home]
    if homeless and len(servers) == len(tables):
        findings.append(Finding(("servers",), f"no server has {', '.join(homeless)}", "every device in one server"))
    return servers


def _alignment(tables: Mapping[str, Any], findings: list[Finding]) -> dict[str, BaseModel]:
    alignment: dict[str, BaseModel] = {}
    for name, table in tables.items():
        path = ("alignment", name)
        if not isinstance(table, dict):
            findings.append(Finding(path, f"{show(table)} is not a table", f"an [alignment.{name}] table"))
            continue
        model = registered("labctl.alignments", name, path, findings)
        if model is None:
            continue
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            findings.append(Finding(path, f"{show(name)} is registered as something that is no model"))
            continue
        checked = validated(model, table, path, findings)
        if checked is not None:
            alignment[name] = checked
    return alignment

"""What a checked bench file says, in SI units and under the contract's names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec
from pydantic import BaseModel

from labctl.bench.device import DeviceConfig
from labctl.bench.lines import key_lines, line_of
from labctl.bench.schema import CalibrationsTable, NetworkTable, RecoveryTable
from labctl.safety.rules import Interlock


@dataclass(frozen=True)
class BenchConfig:
    """A bench: its devices, how they are shared among servers, and the world they stand in.

    text and overlay_text: the files as read (the overlay is "" if there is none). world_name and
    world_parameters are None on a bench without a world. lease_s: how long a lease lives unless renewed.
    servers: device names by server. network: how other machines reach it, None if they cannot. calibrations: where
    they are kept, and what is accepted of them. overrides: what was set on top of the files, by dotted key. interlocks:
    rules that light must keep to, by name. recovery: what a run does by itself where a measurement fails.
    """

    name: str
    path: Path
    text: str
    world_name: str | None
    world_parameters: BaseModel | None
    clock: Literal["virtual", "real"]
    lease_s: float
    devices: dict[str, DeviceConfig]
    servers: dict[str, tuple[str, ...]]
    alignment: dict[str, BaseModel]
    network: NetworkTable | None = None
    calibrations: CalibrationsTable = field(default_factory=CalibrationsTable)
    overrides: dict[str, object] = field(default_factory=dict)
    overlay_text: str = ""
    interlocks: dict[str, Interlock] = field(default_factory=dict)
    recovery: RecoveryTable = field(default_factory=RecoveryTable)

    def where(self, *path: str) -> str:
        """File and line of a key, for messages: ``benches/x.toml:12: devices.camera.exposure``."""
        key = ".".join(path)
        if key in self.overrides:
            return f"--set {key}"
        line = line_of(key_lines(self.text), path)
        return f"{self.path}{f':{line}' if line else ''}: {key}"

    @property
    def calibrations_folder(self) -> Path:
        """Where this bench's calibrations lie; absolute."""
        from labctl.store.folder import store_folder  # with it comes HDF5, which a check of the file does not need

        given = self.calibrations.folder
        if given is None or "calibrations.folder" in self.overrides:
            return store_folder(given)
        return store_folder(self.path.absolute().parent / given)

    @property
    def emulated(self) -> tuple[DeviceConfig, ...]:
        """Devices whose instruments are emulated."""
        return tuple(device for device in self.devices.values() if device.emulator is not None)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ when anything the bench does by its configuration differs.

        Comments, order, spelling of quantities and the file's place do not count.
        """
        effective = {
            "name": self.name,
            "world": [self.world_name, self.world_parameters],
            "clock": self.clock,
            "lease_s": self.lease_s,
            "devices": {
                name: {
                    "kind": device.kind,
                    "backend": device.backend,
                    "driver": device.driver,
                    "class": f"{device.factory.__module__}:{device.factory.__qualname__}",
                    "options": device.options,
                    "given": device.given,
                    "emulator_options": device.emulator_options,
                    "settings": device.settings,
                    "limits": device.limits,
                }
                for name, device in self.devices.items()
            },
            "servers": {name: sorted(devices) for name, devices in self.servers.items()},
            "alignment": self.alignment,
            "calibrations": self.calibrations,
        }
        if self.interlocks:
            effective["interlocks"] = {n: [sorted(i.guards), i.rule] for n, i in self.interlocks.items()}
        return hashlib.sha256(json.dumps(_plain(effective), sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """``value`` in JSON's types, the same in every process: sets have no order of their own, objects no
    address."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=json.dumps)
    return str(value)

"""A device that is there as its record describes it. What it is asked is answered by its server's `Replay`."""

from __future__ import annotations

from typing import Any, Protocol, cast

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from drivers.contract import Device, DeviceDescription, Identity
from drivers.errors import ConfigurationError, DeviceError
from drivers.settings import Limits
from drivers.site import Site
from labctl.bench.device import DeviceConfig
from labctl.plain import plain
from labctl.record.record import Record


class _Site(Protocol):
    def record(self, path: str) -> Record: ...


class Replayed(Device):
    """In place of a device whose traffic was recorded. file: the record, from the bench file's folder. run: which of
    the recorded runs is answered; else whichever client asked the same first."""

    backend = "replay"

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

        file: str = Field(min_length=1, description="A record made by `labctl record`, from the bench file's folder.")
        run: str = Field("", description="Name of the recorded run that is followed.")

    def __init__(self, name: str, record: Record, run: str) -> None:
        super().__init__(name)
        self.record = record
        self.run = run
        if name not in record.devices:
            there = ", ".join(record.devices) or "none: no server wrote in it"
            raise ConfigurationError(
                f"{record.path} has no device {name}; it has {there}. A record that was cut off lacks some"
            )
        if run and run not in record.runs:
            raise ConfigurationError(f"{record.path} has no run {run}; it has {', '.join(record.runs) or 'none'}")

    @classmethod
    def build(cls, name: str, options: BaseModel | None, site: Site) -> Replayed:
        """From its record, which the site knows."""
        assert isinstance(options, cls.Options)
        return cls(name, cast(_Site, site).record(options.file), options.run)

    def must_be(self, config: DeviceConfig) -> None:
        """ConfigurationError if the bench file says another device, or other settings, than were recorded."""
        kind = self.describe().kind
        if kind != config.kind:
            raise ConfigurationError(f"{self.record.path} has a {kind} of this name, the bench file a {config.kind}")
        recorded: dict[str, Any] = self.record.about.get("settings", {}).get(self.name, {})
        for name, value in config.settings.items():
            if plain(value) != recorded.get(name):
                was = recorded.get(name, "what the instrument had")
                raise ConfigurationError(
                    f"{name} = {plain(value)}, and {self.record.path} was made with {was}: what would have been "
                    "measured is not known. Leave the setting as it was"
                )

    def describe(self) -> DeviceDescription:
        """As it was recorded, but for the backend."""
        return msgspec.structs.replace(self.record.devices[self.name], backend="replay")

    def identity(self) -> Identity:
        """Known to the record alone."""
        raise DeviceError(f"{self.name}: a replayed device is answered for by its server")

    def safe(self) -> None:
        """There is nothing to be made safe."""

    def _read_calibration_ids(self) -> dict[str, str]:
        return {}

    def snapshot(self) -> dict[str, Any]:
        """Known to the record alone."""
        return {}

    def limits(self, setting_name: str) -> Limits:
        """As they were recorded."""
        return next((s.limits for s in self.describe().settings if s.name == setting_name), Limits())

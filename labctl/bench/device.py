"""What a checked bench file says of one device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from drivers.settings import Configurable, Limits


@dataclass(frozen=True)
class DeviceConfig:
    """One device of the bench.

    backend: "simulated", "emulated", "real" or "replay". driver: its registered name, None if there is none. factory:
    the class to instantiate. options: the class's own parameters, None if it has none, or if some of them are known
    only when its emulated instrument runs. settings: SI values by the contract's setting name. limits: what the bench
    file allows, by setting name, in SI. emulator, emulator_options: class and parameters of the emulated instrument.
    given: the file's keys for the driver, as they are written there.
    """

    name: str
    kind: str
    backend: str
    driver: str | None
    factory: type[Configurable]
    options: BaseModel | None
    settings: dict[str, Any]
    limits: dict[str, Limits]
    emulator: Any = None
    emulator_options: BaseModel | None = None
    given: dict[str, Any] = field(default_factory=dict)

    def options_with(self, connection: Mapping[str, Any]) -> BaseModel | None:
        """The driver's parameters, with those that lead to its emulated instrument. Raises pydantic.ValidationError."""
        model = getattr(self.factory, "Options", None)
        if self.emulator is None or not (isinstance(model, type) and issubclass(model, BaseModel)):
            return self.options
        return model.model_validate({**self.given, **connection})

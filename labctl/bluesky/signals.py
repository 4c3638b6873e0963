"""A setting of a device as a Bluesky signal: read, moved, located, checked; with unit, limits and choices."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from drivers.contract import ROI, LimitError, SettingInfo
from drivers.errors import ConfigurationError
from labctl.bluesky.control import Control
from labctl.bluesky.status import Done

Reading = dict[str, Any]
DataKey = dict[str, Any]

_DTYPES = {"float": "number", "int": "integer", "bool": "boolean", "str": "string", "ROI": "array"}


class Part:
    """What signals and devices have in common: a name, a parent, and that pauses are heard of."""

    def __init__(self, control: Control, name: str, parent: Any) -> None:
        self._control = control
        self.name = name
        self.parent = parent

    async def pause(self) -> None:
        """The RunEngine pauses: light off."""
        await self._control.pause()

    async def stop(self, success: bool = True) -> None:
        """Called of what was moved or flown when a plan pauses or ends, before it is cleaned up after: light off."""
        await self._control.darken()

    async def resume(self) -> None:
        """It goes on: light as before."""
        await self._control.resume()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} of bench {self._control.bench.name!r}>"


class ReadOnlySetting(Part):
    """A setting that plans read. A ROI is [row, column, rows, columns]; values without a place in events are JSON."""

    def __init__(self, control: Control, role: str, info: SettingInfo, parent: Any) -> None:
        super().__init__(control, f"{role}_{info.name}", parent)
        self._role = role
        self._info = info
        self._set_point: Any = None
        self.__doc__ = info.doc

    @property
    def units(self) -> str | None:
        """SI unit; None for what has none."""
        return None if self._info.unit == "1" else self._info.unit

    @property
    def limits(self) -> tuple[float | None, float | None]:
        """Smallest and largest value that the bench allows."""
        return self._info.limits.minimum, self._info.limits.maximum

    @property
    def hints(self) -> dict[str, Any]:
        """What a plot shows of it."""
        return {"fields": [self.name] if self._info.value_type in ("float", "int") else []}

    async def read(self) -> dict[str, Reading]:
        """The value as the instrument reads it back now."""
        value = await self._control.ask(lambda: getattr(self._control.bench[self._role], self._info.name))
        return {self.name: {"value": told(value), "timestamp": time.time()}}

    async def describe(self) -> dict[str, DataKey]:
        """Its data key."""
        return {self.name: self.data_key()}

    def data_key(self) -> DataKey:
        """Type, unit, limits and choices, as event-model has them."""
        info, low, high = self._info, *self.limits
        key: DataKey = {
            "source": f"labctl://{self._control.bench.name}/{self._role}/{info.name}",
            "dtype": _DTYPES.get(info.value_type, "string"),
            "shape": [4] if info.value_type == "ROI" else [],
        }
        if self.units is not None:
            key["units"] = self.units
        if low is not None or high is not None:
            key["limits"] = {"control": {"low": low, "high": high}}
        if info.choices is not None:
            key["choices"] = list(info.choices)
        return key


class Setting(ReadOnlySetting):
    """A setting that plans may move, too."""

    def set(self, value: Any) -> Done:
        """Write it; the instrument's own read-back is what `read` gives. Errors of the call are the status's."""
        wanted = self._meant(value)
        self._set_point = told(wanted)
        lit = f"{self._role}.{self._info.name}"

        def write() -> None:
            setattr(self._control.bench[self._role], self._info.name, wanted)
            if self._info.needs_lease:
                (self._control.lit.add if wanted else self._control.lit.discard)(lit)

        return Done(self._control.submit(write))

    async def locate(self) -> dict[str, Any]:
        """Where it was told to be, by this object, and where it is."""
        now = (await self.read())[self.name]["value"]
        return {"setpoint": now if self._set_point is None else self._set_point, "readback": now}

    def check_value(self, value: Any) -> None:
        """Raise LimitError if it cannot be written; nothing is. The server has the last word."""
        wanted, (low, high) = self._meant(value), self.limits
        where = f"{self._role}.{self._info.name} = {wanted!r}"
        if self._info.choices is not None and wanted not in self._info.choices:
            raise LimitError(f"{where}: choose one of {', '.join(self._info.choices)}")
        number = isinstance(wanted, (int, float)) and not isinstance(wanted, bool)
        if number and ((low is not None and wanted < low) or (high is not None and wanted > high)):
            raise LimitError(f"{where} {self.units or ''} is outside {low} to {high}; choose one within")

    def _meant(self, value: Any) -> Any:
        """A plan's value as the setting takes it: plans count in numpy's numbers."""
        if hasattr(value, "tolist"):
            value = value.tolist()
        match self._info.value_type:
            case "ROI" if not isinstance(value, ROI):
                row, column, rows, columns = value
                return ROI(row=int(row), column=int(column), rows=int(rows), columns=int(columns))
            case "int" if isinstance(value, float) and value.is_integer():
                return int(value)  # linspace gives floats
            case "bool" if value in (0, 1):
                return bool(value)
        return value


def told(value: Any) -> Any:
    """A value as events hold it."""
    if isinstance(value, ROI):
        return [value.row, value.column, value.rows, value.columns]
    if isinstance(value, Mapping):
        return json.dumps(dict(value), sort_keys=True)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ConfigurationError(f"a {type(value).__name__} has no place in an event; read it from the bench")

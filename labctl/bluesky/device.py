"""What devices of all kinds have in Bluesky: settings, a configuration; and what those have that measure or fly."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

from drivers.contract import LeaseError, LimitError
from labctl.bluesky.control import Control
from labctl.bluesky.signals import DataKey, Part, Reading, ReadOnlySetting, Setting, told
from labctl.bluesky.status import Done
from labctl.bus.proxy import DeviceProxy


class Device(Part):
    """Settings are attributes, and its configuration in a run; operations are those of `proxy`."""

    images = True

    def __init__(self, control: Control, proxy: DeviceProxy, parent: Any) -> None:
        super().__init__(control, proxy.name, parent)
        self.proxy = proxy
        self.settings: dict[str, ReadOnlySetting] = {}
        for info in proxy.description.settings:
            made = ReadOnlySetting if info.read_only else Setting
            self.settings[info.name] = made(control, proxy.name, info, self)

    def __getattr__(self, name: str) -> Any:
        settings: dict[str, ReadOnlySetting] = self.__dict__.get("settings", {})
        if name not in settings:
            raise AttributeError(f"{self.__dict__.get('name')} has no {name!r}; its settings are {', '.join(settings)}")
        return settings[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.settings]

    @property
    def hints(self) -> dict[str, Any]:
        """What a plot shows of it."""
        return {"fields": []}

    async def read(self) -> dict[str, Reading]:
        """What the last `trigger` measured; nothing for a device that measures nothing."""
        return {}

    async def describe(self) -> dict[str, DataKey]:
        """Its data keys."""
        return {}

    async def read_configuration(self) -> dict[str, Reading]:
        """Every setting as read back now."""
        now, snapshot = time.time(), await self._control.ask(self.proxy.snapshot)
        return {s.name: {"value": told(snapshot[key]), "timestamp": now} for key, s in self.settings.items()}

    async def describe_configuration(self) -> dict[str, DataKey]:
        """Their data keys."""
        return {s.name: s.data_key() for s in self.settings.values()}

    def _key(self, what: str, dtype: str = "number", units: str | None = None, **more: Any) -> DataKey:
        key = {"source": f"labctl://{self._control.bench.name}/{self.name}/{what}", "dtype": dtype, "shape": [], **more}
        return key if units is None else {**key, "units": units}


class Measuring(Device, ABC):
    """A device with something to trigger."""

    _last: dict[str, Reading] | None = None

    def trigger(self) -> Done:
        """Measure once; `read` gives what came of it."""

        def measure() -> None:
            self._last = self._measured()

        return Done(self._control.submit(measure))

    async def read(self) -> dict[str, Reading]:
        """What the last `trigger` measured. LeaseError if nothing was: a plan triggers before it reads."""
        if self._last is None:
            raise LeaseError(f"{self.name}: nothing was measured yet; trigger it before, as bps.trigger_and_read does")
        return self._last

    @abstractmethod
    def _measured(self) -> dict[str, Reading]:
        """Readings by signal, of one measurement made now; in the thread that has control."""


class Flying(Device):
    """One call that measures much, while the plan does something else: kickoff, complete, collect."""

    _flight: Done | None = None
    _prepared: Callable[[], list[dict[str, Any]]] | None = None

    def kickoff(self) -> Done:
        """Begin what `prepare` said; done at once."""
        if self._prepared is None:
            raise LimitError(f"{self.name}: it is not known what to measure; yield from bps.prepare({self.name}, …)")
        future = self._control.submit(self._prepared)
        self._flight, self._collected = Done(future), future
        return Done(self._control.submit(lambda: None))

    def complete(self) -> Done:
        """Done when everything is measured."""
        if self._flight is None:
            raise LimitError(f"{self.name}: it was not kicked off")
        return self._flight

    def collect(self) -> Iterator[dict[str, Any]]:
        """One event for each thing that was measured; none yet while it is being measured, as an aborted plan asks."""
        if self._collected.done():
            yield from self._collected.result()


def event(data: dict[str, Any], when: float) -> dict[str, Any]:
    """Bluesky's partial event of values that were measured at UTC ``when`` (s)."""
    return {"time": when, "data": data, "timestamps": dict.fromkeys(data, when)}

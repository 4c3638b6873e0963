"""Kinds of devices in Bluesky: what each reads, moves, triggers and flies."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from drivers.contract import ROI, Laser, SequenceResult
from labctl import registry
from labctl.bluesky.control import Control
from labctl.bluesky.device import Device, Flying, Measuring, event
from labctl.bluesky.signals import DataKey, Reading, Setting
from labctl.bluesky.status import Done
from labctl.bus.proxy import DeviceProxy


class Camera(Measuring, Flying):
    """`trigger` exposes once. ``images``: whether images are in events, or only what follows from them.

    `prepare` takes the number of frames of a burst, which is flown.
    """

    _flown_shape: list[int] = []  # noqa: RUF012 - replaced, never changed

    def prepare(self, frames: int) -> Done:
        """A burst of so many frames comes next."""
        self._prepared = functools.partial(self._burst, frames)

        def look() -> None:
            self._flown_shape = self._shape()

        return Done(self._control.submit(look))

    def _shape(self) -> list[int]:
        roi, binning = self.proxy.roi, self.proxy.binning
        return [roi.rows // binning, roi.columns // binning]

    @property
    def hints(self) -> dict[str, Any]:
        """The sum over a frame."""
        return {"fields": [f"{self.name}_total"]}

    async def describe(self) -> dict[str, DataKey]:
        """image: counts; total: their sum; peak: the largest; saturated: pixels; lost: frames before this one."""
        keys = self._keys()
        return self._with_image(keys, await self._control.ask(self._shape)) if self.images else keys

    def _keys(self) -> dict[str, DataKey]:
        name = self.name
        return {
            f"{name}_total": self._key("total", units="counts"),
            f"{name}_peak": self._key("peak", units="counts"),
            f"{name}_saturated": self._key("saturated", "integer"),
            f"{name}_lost": self._key("lost", "integer"),
        }

    async def describe_collect(self) -> dict[str, dict[str, DataKey]]:
        """The same, of each frame of a burst. The camera, which may be in the middle of it, is not asked."""
        return {self.name: self._with_image(self._keys(), self._flown_shape) if self.images else self._keys()}

    def _with_image(self, keys: dict[str, DataKey], shape: list[int]) -> dict[str, DataKey]:
        return keys | {f"{self.name}_image": self._key("image", "array", "counts", shape=shape, dims=["row", "column"])}

    def _measured(self) -> dict[str, Reading]:
        frame = self.proxy.trigger()
        data = self._told(frame.data, frame.saturated, frame.lost_before)
        return {key: {"value": value, "timestamp": frame.utc_start_ns / 1e9} for key, value in data.items()}

    def _burst(self, frames: int) -> list[dict[str, Any]]:
        stack = self.proxy.burst(frames)
        times = stack.utc_start_ns / 1e9 + (stack.start_ns - stack.start_ns[0]) / 1e9
        rows = zip(stack.data, stack.saturated, stack.lost_before, times, strict=True)
        return [event(self._told(*row[:3]), float(row[3])) for row in rows]

    def _told(self, data: Any, saturated: int, lost: int) -> dict[str, Any]:
        name = self.name
        told = {f"{name}_total": float(data.sum(dtype=np.float64)), f"{name}_peak": float(data.max())}
        told |= {f"{name}_saturated": int(saturated), f"{name}_lost": int(lost)}
        # What is kept is copied: images lie in memory that the server lends.
        return told | ({f"{name}_image": data.copy()} if self.images else {})


class Photodetector(Measuring):
    """`trigger` takes one reading."""

    @property
    def hints(self) -> dict[str, Any]:
        """The power."""
        return {"fields": [f"{self.name}_power"]}

    async def describe(self) -> dict[str, DataKey]:
        """power and its standard deviation, W; whether it was saturated."""
        return {
            f"{self.name}_power": self._key("power", units="W"),
            f"{self.name}_standard_power": self._key("standard_power", units="W"),
            f"{self.name}_saturated": self._key("saturated", "boolean"),
        }

    def _measured(self) -> dict[str, Reading]:
        reading = self.proxy.measure()
        values = {"power": reading.power_w, "standard_power": reading.standard_power_w, "saturated": reading.saturated}
        when = reading.utc_start_ns / 1e9
        return {f"{self.name}_{key}": {"value": value, "timestamp": when} for key, value in values.items()}


class SLM(Device):
    """Moved to a pattern of phases; reads the pattern's id."""

    _pattern: int = -1

    def set(self, phase: Any) -> Done:
        """Show phase (rows, columns; rad) from the panel's first pixel on; done when it is stable."""
        pattern = np.asarray(phase, dtype=np.float64)

        def show() -> None:
            self._pattern = int(self.proxy.write(pattern))
            self.proxy.settle()

        return Done(self._control.submit(show))

    async def read(self) -> dict[str, Reading]:
        """Id of the pattern that a plan showed last; -1 before."""
        return {f"{self.name}_pattern": {"value": self._pattern, "timestamp": time.time()}}

    async def describe(self) -> dict[str, DataKey]:
        """Its data key."""
        return {f"{self.name}_pattern": self._key("pattern", "integer")}


class LaserDevice(Device):
    """Moved to a set-point; reads that and whether there is light. Light is ``emission``."""

    def __init__(self, control: Control, proxy: DeviceProxy, parent: Any) -> None:
        super().__init__(control, proxy, parent)
        kind: type[Laser] = registry.load("labctl.kinds", proxy.kind)
        point = self.settings[kind.set_point_setting]
        assert isinstance(point, Setting)
        self._point = point

    @property
    def hints(self) -> dict[str, Any]:
        """The set-point."""
        return self._point.hints

    def set(self, value: float) -> Done:
        """Change the set-point."""
        return self._point.set(value)

    def check_value(self, value: float) -> None:
        """Raise LimitError if it cannot be set."""
        self._point.check_value(value)

    async def locate(self) -> dict[str, Any]:
        """Set-point and read-back."""
        return await self._point.locate()

    async def read(self) -> dict[str, Reading]:
        """Set-point and emission."""
        return {**await self._point.read(), **await self.settings["emission"].read()}

    async def describe(self) -> dict[str, DataKey]:
        """Their data keys."""
        return {**await self._point.describe(), **await self.settings["emission"].describe()}


class Sequencer(Flying):
    """Plays a sequence, which is flown: `prepare` takes ``(sequence, windows)``, or with more of `play` as a dict."""

    def prepare(self, value: tuple[Any, Sequence[ROI]] | dict[str, Any]) -> Done:
        """This sequence comes next."""
        named = value if isinstance(value, dict) else {"sequence": value[0], "windows": list(value[1])}
        self._prepared = functools.partial(self._play, named)
        self._windows = len(named["windows"]) or 1
        return Done(self._control.submit(lambda: None))

    async def describe_collect(self) -> dict[str, dict[str, DataKey]]:
        """signal: sums over the windows, or W of a photodetector; peak: the largest count of a frame."""
        keys = {
            f"{self.name}_signal": self._key("signal", "array", shape=[getattr(self, "_windows", None)]),
            f"{self.name}_peak": self._key("peak"),
            f"{self.name}_saturated": self._key("saturated", "integer"),
        }
        return {self.name: keys}

    def _play(self, named: dict[str, Any]) -> list[dict[str, Any]]:
        result: SequenceResult = self.proxy.play(**named)
        times = result.utc_start_ns / 1e9 + (result.start_ns - result.start_ns[0]) / 1e9
        events = []
        for k, when in enumerate(times):
            told = {f"{self.name}_signal": result.signal[k].copy(), f"{self.name}_peak": float(result.peak[k])}
            events.append(event({**told, f"{self.name}_saturated": int(result.saturated[k])}, float(when)))
        return events


_KINDS: dict[str, type[Device]] = {
    "camera": Camera,
    "photodetector": Photodetector,
    "slm": SLM,
    "sequencer": Sequencer,
}


def device(control: Control, proxy: DeviceProxy, parent: Any) -> Device:
    """A proxy as the Bluesky device that its kind makes of it; one of an unknown kind has its settings only."""
    kind = registry.load("labctl.kinds", proxy.kind)
    made = LaserDevice if issubclass(kind, Laser) else _KINDS.get(proxy.kind, Device)
    return made(control, proxy, parent)

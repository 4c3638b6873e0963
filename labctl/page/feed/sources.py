"""Where pictures come from: the stream of a camera or sequencer, whoever has it measure; an SLM's own memory.

Streams are read out of shared memory, the newest item only. An SLM tells what it shows when it is asked, by an
operation that observes; it is asked once a second, and not while its server is serving a call, so that a running loop
does not wait for it.
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Frame, FrameStack, SequenceResult
from drivers.errors import BusError, LabError
from labctl.bench.client import Bench
from labctl.bus.roles import Role
from labctl.bus.stream import Stream
from labctl.page.feed.picture import factor_for, gray, histogram, render
from labctl.page.link.link import Link

_PANEL_EVERY_S = 1.0
_PATIENCE_S = 0.5
_ASK_SCALE_EVERY_S = 3.0
_HISTOGRAM_EVERY_S = 0.25


class Source(ABC):
    """Reads a device; `message` may be called in other threads meanwhile."""

    @abstractmethod
    async def read(self) -> bool:
        """Wait, for a while, for something new; whether there is. Raises LabError."""

    @abstractmethod
    def message(self, most: int, stretch: bool, number: int) -> bytes | None:
        """What was read last, for a browser; None if it has no image."""

    @abstractmethod
    async def close(self) -> None:
        """Nobody looks any more."""

    def note(self) -> dict[str, object]:
        """What to say without an image."""
        return {}


class FrameSource(Source):
    """Frames of a camera, or of a sequencer that was asked to return them."""

    def __init__(self, device: str, link: Link) -> None:
        self._device = device
        self._link = link
        self._of: Bench | None = None
        self._stream: Stream | None = None
        self._item: tuple[Any, int, float] | None = None
        self._full_scale = math.inf
        self._asked_s = -math.inf
        self._histogram: tuple[float, dict[str, object]] = (-math.inf, {})

    async def read(self) -> bool:
        bench = await self._link.bench_for(Role.OBSERVER)
        if bench is not self._of:
            await self.close()
            self._stream = await self._link.in_thread(lambda: bench[self._device].stream(timeout_s=_PATIENCE_S))
            self._of = bench
        stream = self._stream
        assert stream is not None
        if time.monotonic() - self._asked_s > _ASK_SCALE_EVERY_S:
            self._asked_s = time.monotonic()
            await self._ask_full_scale()
        return await self._link.in_thread(lambda: self._take(stream))

    def _take(self, stream: Stream) -> bool:
        try:
            item = stream.latest()
        except BusError as error:
            if "nothing was measured" in str(error):
                return False
            raise
        self._item = item.value, item.lost, time.time()
        return True

    async def _ask_full_scale(self) -> None:
        """The camera's own; of a sequencer, that of its camera."""
        observer = self._link.observer
        if observer is None:
            return
        camera = self._device
        if self._link.state.devices.get(self._device, {}).get("kind") != "camera":
            parts = (await observer.describe(self._device)).parts
            cameras = [part for part in parts if self._link.state.devices.get(part, {}).get("kind") == "camera"]
            if not cameras:
                return
            camera = cameras[0]
        try:
            self._full_scale = float(await observer.get(camera, "full_scale_counts"))
        except LabError:
            self._full_scale = self._full_scale if math.isfinite(self._full_scale) else math.inf

    def message(self, most: int, stretch: bool, number: int) -> bytes | None:
        if self._item is None:
            return None
        value, lost, seen_s = self._item
        image = _last_image(value)
        if image is None:
            return None
        full_scale = self._full_scale
        picture = render(image, factor_for(image.shape[0], image.shape[1], most), full_scale, stretch=stretch)
        if time.monotonic() - self._histogram[0] > _HISTOGRAM_EVERY_S:
            self._histogram = time.monotonic(), histogram(image, full_scale)
        about = {"number": number, "lost": lost, "seen_s": seen_s, "histogram": self._histogram[1], **_about(value)}
        return picture.message({**about, "image_rows": image.shape[0], "image_columns": image.shape[1],
                                "peak": picture.brightest, "marked": picture.saturated})  # fmt: skip

    def note(self) -> dict[str, object]:
        if self._item is None:
            return {"note": "nothing was measured since somebody looked here"}
        value, _, seen_s = self._item
        if _last_image(value) is None:
            return {"note": "this sequence returned sums, not images", "seen_s": seen_s, **_about(value)}
        return {}

    async def close(self) -> None:
        stream, self._stream, self._of = self._stream, None, None
        if stream is not None:
            await self._link.in_thread(stream.close)


def _last_image(value: Any) -> NDArray[Any] | None:
    """The last image (rows, columns) of what was measured; None if there is none."""
    images = value.frames if isinstance(value, SequenceResult) else value.data
    if images is None or images.size == 0:
        return None
    image: NDArray[Any] = images if images.ndim == 2 else images[-1]
    return image


def _about(value: Frame | FrameStack | SequenceResult) -> dict[str, object]:
    """What the browser shows beside the image."""
    saturated = np.atleast_1d(value.saturated)
    about: dict[str, object] = {
        "exposure_s": value.exposure_s,
        "saturated": int(saturated[-1]) if saturated.size else 0,
        "utc_s": value.utc_start_ns / 1e9,
    }
    if isinstance(value, Frame):
        about |= {"frame_id": value.frame_id, "pattern_id": value.pattern_id, "lost_before": value.lost_before}
    if isinstance(value, (Frame, FrameStack)):
        roi = value.roi
        about |= {"roi": [roi.row, roi.column, roi.rows, roi.columns], "binning": value.binning}
    else:
        about |= {"patterns": len(value.pattern_ids), "lost_before": value.lost}
    return about


class PanelSource(Source):
    """Gray levels of an SLM."""

    def __init__(self, device: str, link: Link) -> None:
        self._device = device
        self._link = link
        self._levels = 0
        self._panel: NDArray[Any] | None = None
        self._seen_s = 0.0
        self._read_s = -math.inf

    async def read(self) -> bool:
        wait_s = self._read_s + _PANEL_EVERY_S - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(min(wait_s, _PATIENCE_S))
            return False
        observer = self._link.observer
        if observer is None:
            raise BusError(self._link.state.trouble)
        server = self._link.state.devices.get(self._device, {}).get("server", "")
        if server in self._link.state.busy and time.monotonic() - self._read_s < 10 * _PANEL_EVERY_S:
            await asyncio.sleep(0.1)
            return False
        self._read_s = time.monotonic()
        if not self._levels:
            self._levels = int(await observer.get(self._device, "levels"))
        shown = np.asarray(await observer.call(self._device, "read_back"))
        self._panel, self._seen_s = shown.copy(), time.time()  # what the server lent is given back at once
        return True

    def message(self, most: int, stretch: bool, number: int) -> bytes | None:
        panel = self._panel
        if panel is None:
            return None
        levels = self._levels
        factor = factor_for(panel.shape[0], panel.shape[1], most)
        if levels < 2:  # a continuous panel tells radians
            picture = gray(np.mod(panel, 2 * np.pi) * (255 / (2 * np.pi)), factor, 256)
        else:
            picture = gray(panel, factor, levels)
        return picture.message(
            {"number": number, "seen_s": self._seen_s, "image_rows": panel.shape[0], "image_columns": panel.shape[1],
             "levels": levels, "shown": int(np.unique(panel[::4, ::4]).size)}
        )  # fmt: skip

    async def close(self) -> None:
        self._panel, self._levels = None, 0

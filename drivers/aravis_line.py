"""One connection to a GigE Vision camera: the thread that speaks to it, its stream, and the count of its frames."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from drivers import aravis
from drivers.aravis_library import AravisError
from drivers.aside import Aside

T = TypeVar("T")

GRACE_S = 0.5
"""For bringing the camera to a defined state after the timeout."""
_LAST_NUMBER = 0xFFFF
"""After it, frames are numbered from 1 again."""


class Instant(NamedTuple):
    """The camera's clock read once: its time, the driver's clock after that, and how long the reading took."""

    clock_ns: int
    at_ns: int
    took_ns: int


class Line:
    """One connection, as `SequenceCamera` sees it: one camera, the thread that speaks to it, at most one stream."""

    def __init__(self, name: str, left_s: Callable[[], float]) -> None:
        self._aside = Aside(f"{name} Aravis")
        self._left_s = left_s
        self._camera: aravis.Camera | None = None
        self.stream: aravis.Stream | None = None
        self.source = ""
        self.has_clock = False
        self.most_frames = 0
        """After how many frames, at most, the camera can be told to stop by itself; 0 if it cannot."""
        self.last_number: int | None = None
        self.unnumbered = 0

    def open(self, make: Callable[[], aravis.Camera]) -> None:
        """Connect."""

        def connect() -> None:
            self._camera = make()

        self._aside.ask(connect, self._left_s())

    def ask(self, act: Callable[[aravis.Camera], T]) -> T:
        """What a camera answers. Raises TimeoutError, AravisError, ConnectionError."""
        camera = self._camera
        if camera is None or not camera.obeys():
            raise ConnectionError("control of the camera was lost: its heartbeat stayed away")
        return self._aside.ask(lambda: act(camera), self._left_s())

    def lost(self) -> bool:
        """Whether the camera is known to be gone."""
        return self._camera is not None and not self._camera.obeys()

    def leave(self) -> bool:
        """Disconnect, as soon as the library returns from what it is waiting for; whether that has happened."""
        self._aside.leave(self._close)
        return self.left(0.0 if self._aside.hangs else GRACE_S)

    def left(self, within_s: float) -> bool:
        """Whether it is disconnected, by then."""
        return self._aside.left(within_s)

    def _close(self) -> None:
        with contextlib.suppress(OSError, AravisError):
            if self.stream is not None and self._camera is not None and self._camera.obeys():
                self._camera.stop()
        self._drop_stream()
        if self._camera is not None:
            self._camera.close()

    def _drop_stream(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()

    # --- what SequenceCamera asks -----------------------------------------------------------------------------------

    def get_detector_size(self) -> tuple[int, int]:
        """Columns and rows of what can be read out."""

        def size(camera: aravis.Camera) -> tuple[int, int]:
            camera.put_region(aravis.Region(0, 0, 0, 0))  # only the corner: limits of the size depend on it
            (c_low, c_high, c_step), (r_low, r_high, r_step) = camera.steps("Width"), camera.steps("Height")
            return c_high - (c_high - c_low) % c_step, r_high - (r_high - r_low) % r_step

        return self.ask(size)

    def get_exposure(self) -> float:
        """Exposure time, s."""
        return self.ask(aravis.Camera.exposure_s)

    def set_exposure(self, exposure_s: float) -> None:
        """Set it, s."""
        self.ask(lambda camera: camera.put_exposure_s(exposure_s))

    def acquisition_in_progress(self) -> bool:
        """Whether a trigger would be answered."""
        return self.stream is not None and not self.lost()

    def stop_acquisition(self) -> None:
        """Answer no more triggers; the stream's port is closed, so that nothing that is under way can come in."""

        def stop(camera: aravis.Camera) -> None:
            try:
                camera.stop()
            finally:
                self._drop_stream()

        if self.stream is not None:
            self.ask(stop)

    # --- frames -----------------------------------------------------------------------------------------------------

    def begin(
        self, camera: aravis.Camera, source: str, buffers: int, patience: aravis.Patience, frames: int | None
    ) -> None:
        """Start a stream whose frames answer this trigger; after ``frames``, more do nothing, if the camera can."""
        if self.source != source:
            camera.put_trigger(source)
            self.source = source
        if self.most_frames:
            counted = frames is not None and frames <= self.most_frames
            camera.put("AcquisitionMode", "MultiFrame" if counted else "Continuous")
            if frames is not None and counted:
                camera.put("AcquisitionFrameCount", frames)
        self.last_number, self.unnumbered = None, 0
        self.stream = camera.stream(buffers, patience)
        camera.start()

    def missing_before(self, buffer: aravis.Buffer) -> int:
        """Frames that the camera numbered between the last one and this, and of which nothing came."""
        if not buffer.number:
            self.unnumbered += 1  # it lost even its leader; the gap that it leaves is not another frame
            return 0
        last, self.last_number = self.last_number, buffer.number
        known, self.unnumbered = self.unnumbered, 0
        if last is None:
            return 0
        gap = (buffer.number - last - 1) % _LAST_NUMBER
        return max(gap - known, 0) if gap < _LAST_NUMBER // 2 else 0


def ends(address: str) -> tuple[str, str]:
    """Address of the camera and our own on the network that leads to it. Raises OSError."""
    where = socket.getaddrinfo(address, 3956, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(where)  # nothing is sent
        return str(where[0]), str(probe.getsockname()[0])


def on_steps(first: int, count: int, sizes: tuple[int, int, int], step: int) -> tuple[int, int] | None:
    """The smallest range, (first, count), that holds the given one and that a sensor can read; None if there is none.

    sizes: least and largest count, and its step. step: of the place.
    """
    least, most, size_step = sizes
    for begin in range(first - first % step, -1, -step):
        size = least + max(-(-(first + count - begin - least) // size_step), 0) * size_step
        if begin + size <= most:
            return begin, size
    return None

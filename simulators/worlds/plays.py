"""Worlds that work out many exposures' light together: plays of sequences in groups, and frames that may be lost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulators.physics.counter_random import noise_key, uniforms
from simulators.physics.processors import processors
from simulators.slide_show import Pace
from simulators.worlds.faults import Kind
from simulators.worlds.parts.sensor import Region
from simulators.worlds.ports import CameraPort, DetectorPort
from simulators.worlds.table import TableWorld

AT_ONCE = 64
"""Exposures of a sequence whose light is worked out together."""


class Frames(Protocol):
    """Frames (rows, columns), which are used once; threads may ask for different ones at the same time."""

    def __getitem__(self, k: int, /) -> Any:
        """The k-th."""
        ...


Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> list[Result]:
    """Of each item, in their order. ``work`` spends its time in kernels, which let other threads run."""
    if threads <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


class PlayedWorld(TableWorld):
    """A table that notes what its panels show in each exposure, and works out the light of some exposures at once.

    threads: among which exposures are divided, as many as there are processors. Results do not depend on it: noise is
    addressed by exposure and pixel.
    """

    threads = processors()

    @abstractmethod
    def _exposure(self, number: int, start_ns: int, exposure_s: float) -> Any:
        """What is shown in an exposure that begins now, with its ``number``, ``start_s`` and ``duration_s``."""

    @abstractmethod
    def _electrons(self, region: Region, exposures: list[Any]) -> Frames:
        """Mean photoelectrons of exposures before dark current and noise of the camera."""

    def mean_electrons(
        self, start_ns: int, exposure_s: float, row: int, column: int, rows: int, columns: int, number: int = 0
    ) -> NDArray[np.float64]:
        """Photoelectrons (rows, columns) expected in an exposure, before dark current and noise of the camera.

        number: of the exposure, in which a sample may have noise of its own.
        """
        exposure = self._exposure(number, start_ns, exposure_s)
        return np.asarray(self._electrons((row, column, rows, columns), [exposure])[0])

    def _electrons_in(self, number: int, start_ns: int, exposure_s: float, region: Region) -> NDArray[np.float64]:
        return self.mean_electrons(start_ns, exposure_s, *region, number)

    def expose_all(
        self,
        device: str,
        numbers: NDArray[np.int64],
        start_ns: NDArray[np.int64],
        exposure_s: float,
        region: Region,
        out: NDArray[Any],
    ) -> NDArray[np.int64]:
        """All light at once; see `TableWorld.expose_all`."""
        exposures = [self._exposure(int(n), int(s), exposure_s) for n, s in zip(numbers, start_ns, strict=True)]
        return self._read_out(device, region, exposures, out)

    def _read_out(self, device: str, region: Region, exposures: list[Any], out: NDArray[Any]) -> NDArray[np.int64]:
        electrons = self._electrons(region, exposures)

        def read(k: int) -> int:
            number, duration_s = exposures[k].number, exposures[k].duration_s
            return self._sensor.expose(device, number, duration_s, region, electrons[k], out[k])[1]

        first = [read(k) for k in range(len(exposures))[:1]]  # after which maps of the sensor are known
        return np.array(first + side_by_side(read, range(1, len(exposures)), self.threads), np.int64)

    # --- sequences ------------------------------------------------------------------------------------------------

    def _play_burst(self, stop: NDArray[np.uint8], pace: Pace, stable_ns: NDArray[np.int64]) -> int:
        """Patterns 1 and following with one camera armed: shown one by one, their light worked out in groups."""
        port = self._lone_camera()
        if port is None or port.armed < len(stable_ns) - 1:
            return 1
        if self._faults.may_meet(port.device, port.number, port.number + len(stable_ns)):
            return 1  # a frame that is repeated, or late, is made one by one
        roi = port.roi
        region = (roi.row, roi.column, roi.rows, roi.columns)
        k = 1
        while k < len(stable_ns) and not stop[0]:
            exposures: list[Any] = []
            while k < len(stable_ns) and not stop[0] and len(exposures) < AT_ONCE:
                stable_ns[k] = self.step(k) + pace.settle_ns
                self.clock.sleep_until(int(stable_ns[k]))
                if self._armed(port):
                    port.armed -= 1
                    number, now_ns = port.next_number(), self.clock.now_ns()
                    if self._befalls(port.device, number) != "lost":
                        exposures.append(self._exposure(number, now_ns, port.exposure_ns * 1e-9))
                self.clock.sleep_until(int(stable_ns[k]) + pace.dwell_ns)
                k += 1
            self._keep(port, region, exposures)
        return k

    def _lone_camera(self) -> CameraPort | None:
        armed = [d for d in self._ports.values() if isinstance(d, DetectorPort) and self._armed(d)]
        return armed[0] if len(armed) == 1 and isinstance(armed[0], CameraPort) else None

    def _keep(self, port: CameraPort, region: Region, exposures: list[Any]) -> None:
        """Put a camera's frames into its memory."""
        into = slice(port.taken, port.taken + len(exposures))
        port.numbers[into] = [e.number for e in exposures]
        port.start_ns[into] = [round(e.start_s * 1e9) for e in exposures]
        port.saturated[into] = self._read_out(port.device, region, exposures, port.data[into])
        port.taken += len(exposures)

    def _befalls(self, device: str, number: int) -> Kind | None:
        share = self.parameters.lost_frames
        key = noise_key(self.parameters.seed, device, "lost")
        if share > 0 and uniforms(key, number, 0, 0, 0)[0] < share:
            return "lost"
        return super()._befalls(device, number)

"""The camera's sensor: from the light that falls on a region of it to counts, pixel by pixel as it was made."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.physics.counter_random import noise_key, normal_map
from simulators.physics.scmos import blink, digitise, digitise_uneven, fixed_pattern
from simulators.worlds.parts.hidden import CommonHidden
from simulators.worlds.parts.parameters import CameraParameters
from simulators.worlds.parts.truth import SensorTruth, dust_shade

_MOST_REGIONS = 4

Region = tuple[int, int, int, int]
"""Row, column, rows, columns."""


class Uneven(NamedTuple):
    """A region of the sensor where pixels differ: arguments of `digitise_uneven` and `blink`."""

    response: NDArray[np.float64]
    offsets_e: NDArray[np.float64]
    dark_rate: NDArray[np.float64]
    blinking: NDArray[np.float64]
    blink_key: np.uint64
    nonlinearity: float
    kink: float
    kink_e: float


class SensorTable(Protocol):
    """Parameters of a table with a camera."""

    @property
    def seed(self) -> int:
        """Of its noise."""
        ...

    @property
    def noise(self) -> bool:
        """Whether there is any."""
        ...

    @property
    def camera(self) -> CameraParameters:
        """The camera's."""
        ...

    @property
    def hidden(self) -> CommonHidden:
        """What is planted."""
        ...


class CameraSensor:
    """The sensors of the cameras on one table, each with maps of its own, found by the camera's name."""

    def __init__(self, p: SensorTable, truth: SensorTruth) -> None:
        self._p = p
        self._truth = truth
        self._read_noise: OrderedDict[Any, NDArray[np.float64]] = OrderedDict()
        self._uneven: OrderedDict[Any, Uneven] = OrderedDict()

    def expose(
        self,
        device: str,
        number: int,
        exposure_s: float,
        region: Region,
        electrons: NDArray[np.float64],
        out: NDArray[Any] | None = None,
    ) -> tuple[NDArray[Any], int, float]:
        """Counts (rows, columns), saturated pixels and the largest count for mean photoelectrons of the same shape.

        The counts are written into ``out`` if it is given: uint16, float64 of an ideal camera.
        """
        p, c = self._p, self._p.camera
        if c.ideal:
            if out is not None:
                out[:] = electrons
            return electrons, 0, float(electrons.max())
        counts = np.empty(electrons.shape, np.uint16) if out is None else out
        row, column = region[:2]
        shot, read = noise_key(p.seed, device, "shot"), noise_key(p.seed, device, "read")
        read_noise = self.read_noise(device, region)
        common = (c.electrons_per_count, c.offset, c.full_well, 2**c.bit_depth - 1, p.noise, counts)
        if not p.hidden.sensor:
            electrons += c.dark_current * exposure_s
            saturated, peak = digitise(electrons, read_noise, row, column, number, shot, read, *common)
            return counts, saturated, float(peak)
        u = self.uneven(device, region)
        dark_e = u.dark_rate * exposure_s
        blinking = u.blinking if p.noise else u.blinking[:0]
        offsets_e = u.offsets_e.copy()  # other exposures may be read out at the same time
        blink(offsets_e, blinking, u.blink_key, number, 1.0)
        saturated, peak = digitise_uneven(
            electrons,
            u.response,
            dark_e,
            offsets_e,
            u.nonlinearity,
            u.kink,
            u.kink_e,
            read_noise,
            row,
            column,
            number,
            shot,
            read,
            *common,
        )
        return counts, saturated, float(peak)

    def read_noise(self, device: str, region: Region) -> NDArray[np.float64]:
        """Read noise (rows, columns) of each pixel, electrons."""
        c, key = self._p.camera, (device, *region)
        if key not in self._read_noise:
            z = normal_map(noise_key(self._p.seed, device, "read noise map"), *region)
            _keep(self._read_noise, key, c.read_noise * np.exp(c.read_noise_spread * z))
        return self._read_noise[key]

    def uneven(self, device: str, region: Region) -> Uneven:
        """What is planted in a region."""
        key = (device, *region)
        if key not in self._uneven:
            _keep(self._uneven, key, self._made(device, region))
        return self._uneven[key]

    def _made(self, device: str, region: Region) -> Uneven:
        p, truth = self._p, self._truth
        response, offsets = fixed_pattern(
            noise_key(p.seed, device, "pixels"),
            noise_key(p.seed, device, "columns"),
            truth.prnu,
            truth.dsnu_e,
            truth.dsnu_columns_e,
            *region,
        )
        row, column, rows, columns = region
        dust = truth.dust.copy()
        dust[:, :2] -= (row, column)
        response *= dust_shade(rows, columns, dust)
        dark_rate = np.full((rows, columns), p.camera.dark_current)
        hot = _inside(truth.hot, region)
        dark_rate[hot[:, 0].astype(int) - row, hot[:, 1].astype(int) - column] += hot[:, 2]
        blinking = _inside(truth.blinking, region)
        here = blinking[:, :2] - (row, column)
        return Uneven(
            response=response,
            offsets_e=offsets,
            dark_rate=dark_rate,
            blinking=np.ascontiguousarray(np.hstack([here, blinking[:, 2:], blinking[:, :2]])),
            blink_key=noise_key(p.seed, device, "blinking"),
            nonlinearity=truth.nonlinearity,
            kink=truth.kink,
            kink_e=truth.kink_e,
        )


def _inside(pixels: NDArray[np.float64], region: Region) -> NDArray[np.float64]:
    row, column, rows, columns = region
    down, across = pixels[:, 0] - row, pixels[:, 1] - column
    return pixels[(down >= 0) & (down < rows) & (across >= 0) & (across < columns)]


def _keep(maps: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    maps[key] = value
    if len(maps) > _MOST_REGIONS:
        maps.popitem(last=False)

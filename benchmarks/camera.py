"""A Zyla through `andor_sdk3` on the emulated SDK3 library: how fast frames answer triggers, against the stated bounds.

The instrument's process makes the pixels (without random numbers: those would be what is measured) while it exposes and
reads out. Each row is measured twice: with the driver in this process, and over the whole road, proxy, lease, wire,
device server and back. Its ratio is the median time of a frame to the bound: 25 ms (40 frames a second) where exposure
and read-out take 20 ms and so limit the camera to 50, 20 ms at 5 ms exposure. Below 1 the bound is kept. pylablib's own
``snap``, which starts an acquisition for each frame, stands beside. Whole frames of 11 MB, whose pixels alone take the
instrument's process longer to make than the bounds allow, come last.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from drivers.andor_sdk3 import AndorSDK3
from drivers.contract import ROI
from labctl.bench.config import BenchConfig
from labctl.bench.load import load_bench
from labctl.client import open_bench
from labctl.conformance.stand import own_folders
from labctl.server.supervisor import supervised

_FRAMES = 300
_SNAPS = 10
_WARM_UP = 5
_REGION = ROI(row=824, column=1024, rows=512, columns=512)
_WHOLE = ROI(row=0, column=0, rows=2160, columns=2560)
_LIMITED_S = 1 / 50
_EXPOSURE_S = 5e-3
_BOUND_50FPS_US = 1e6 / 40
_BOUND_TRIGGER_US = 20e3

_BENCH = """
[bench]
name = "camera-benchmark"
world = "rail"
clock = "real"
lease = "10 s"

[world]
noise = false

[devices.camera]
kind = "camera"
backend = "emulated"
driver = "andor_sdk3"
"""


def rows() -> list[dict[str, Any]]:
    """Times of a frame."""
    with _bench() as config:
        with supervised(config, instruments_only=True) as instruments:
            camera = _driver(config, instruments.connections["camera"])
            camera.open()
            try:
                found = _frames(camera, "driver")
            finally:
                camera.close()
            found.append(_snaps(camera))
        with supervised(config), open_bench(config) as bench, bench.control("benchmark"):
            over_ipc = _frames(bench.camera, "ipc")
    return sorted([*found, *over_ipc], key=lambda row: "whole" in row["name"])


def _frames(camera: Any, road: str) -> list[dict[str, Any]]:
    found = []
    for size, region in (("512", _REGION), ("whole", _WHOLE)):
        camera.roi = region
        camera.exposure_s = _LIMITED_S - camera.readout_s
        found.append(_row(f"frame-50fps-{size}-{road}", _times_us(camera.trigger, _FRAMES), _BOUND_50FPS_US))
        camera.exposure_s = _EXPOSURE_S
        found.append(_row(f"trigger-5ms-{size}-{road}", _times_us(camera.trigger, _FRAMES), _BOUND_TRIGGER_US))
    return found


def _snaps(camera: AndorSDK3) -> dict[str, Any]:
    from pylablib.devices.Andor import AndorSDK3Camera

    vendors = AndorSDK3Camera(camera._options.index)
    try:
        vendors.set_exposure(_EXPOSURE_S)
        vendors.set_roi(_REGION.column, _REGION.column + _REGION.columns, _REGION.row, _REGION.row + _REGION.rows)
        return _row("snap-5ms-512-pylablib", _times_us(vendors.snap, _SNAPS), _BOUND_TRIGGER_US)
    finally:
        vendors.close()


def _times_us(act: Callable[[], object], repeats: int) -> np.ndarray[Any, Any]:
    times = []
    for _ in range(_WARM_UP + repeats):
        begun = time.perf_counter()
        act()
        times.append((time.perf_counter() - begun) * 1e6)
    return np.array(times[_WARM_UP:])


def _row(name: str, times_us: np.ndarray[Any, Any], bound_us: float) -> dict[str, Any]:
    median_us = float(np.median(times_us))
    return {
        "name": name,
        "median_us": median_us,
        "p99_us": float(np.percentile(times_us, 99)),
        "ratio": median_us / bound_us,
    }


def _driver(config: BenchConfig, connection: dict[str, Any]) -> AndorSDK3:
    device = config.devices["camera"]
    camera = device.factory.build(device.name, device.options_with(connection), None)  # type: ignore[attr-defined]
    assert isinstance(camera, AndorSDK3)
    return camera


@contextlib.contextmanager
def _bench() -> Iterator[BenchConfig]:
    """A bench in folders of its own for sockets and logs."""
    with own_folders() as folder:
        path = folder / "camera.toml"
        path.write_text(_BENCH)
        yield load_bench(path)

"""What all tables freeze: bench time, controls of the lights, devices on the table, the loaded sequence.

Light is left off by what thaws: whoever goes on turns it on by the same way as ever, with its lease and its interlocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import ROI
from drivers.frozen import owned, unlike
from simulators.clock import VirtualClock
from simulators.worlds.ports import CameraPort, DetectorPort, Exposed, LastFrame, PhotodetectorPort, Port


def frozen_clock(clock: VirtualClock, state: NDArray[Any]) -> dict[str, Any]:
    """Bench time, and the shared state (1,)."""
    return {"now_ns": clock.now_ns(), "state": np.frombuffer(state.tobytes(), np.uint8)}


def thaw_clock(clock: VirtualClock, state: NDArray[Any], kept: Any) -> None:
    """Go on from there, with every light off. Raises ConfigurationError if it is of another table."""
    now_ns, told = int(kept["now_ns"]), owned(kept["state"], np.uint8, 1)
    if now_ns < 0 or len(told) != state.dtype.itemsize:
        raise unlike(f"{len(told)} bytes of shared state in place of {state.dtype.itemsize}")
    was = told.view(state.dtype)
    for name in state.dtype.names or ():
        if name.endswith("emission"):
            was[name] = False
    state[:] = was
    clock.set_to(now_ns)


def frozen_ports(ports: dict[str, Port]) -> dict[str, Any]:
    """Devices on a table by name."""
    return {name: _frozen(port) for name, port in ports.items()}


def thaw_ports(ports: dict[str, Port], kept: Any) -> None:
    """Of the same devices, which must be on the table. Raises ConfigurationError if they are others."""
    if list(kept) != list(ports):
        raise unlike(f"devices {', '.join(map(str, kept))} in place of {', '.join(ports)}")
    for name, port in ports.items():
        _thaw(port, kept[name])


def _frozen(port: Port) -> dict[str, Any]:
    kept: dict[str, Any] = {"kind": type(port).__name__}
    if isinstance(port, DetectorPort):
        kept |= {"number": port.number, "armed": port.armed}
    if isinstance(port, PhotodetectorPort):
        kept |= {"integration_ns": port.integration_ns, "readings": [list(r) for r in port.readings]}
        kept["last"] = port.last and list(port.last)
    if isinstance(port, CameraPort):
        roi = port.roi
        kept |= {
            "exposure_ns": port.exposure_ns,
            "roi": [roi.row, roi.column, roi.rows, roi.columns],
            "frames": len(port.data),
            "data": port.data[: port.taken],
            "numbers": port.numbers[: port.taken],
            "start_ns": port.start_ns[: port.taken],
            "saturated": port.saturated[: port.taken],
            "last": port.last and list(port.last),
            "late": port.late and list(port.late),
        }
    return kept


def _thaw(port: Port, kept: Any) -> None:
    if kept["kind"] != type(port).__name__:
        raise unlike(f"{port.device}: a {kept['kind']!r:.40} in place of a {type(port).__name__}")
    if isinstance(port, DetectorPort):
        port.number, port.armed = int(kept["number"]), int(kept["armed"])
    if isinstance(port, PhotodetectorPort):
        port.integration_ns = int(kept["integration_ns"])
        port.readings = [Exposed(*reading) for reading in kept["readings"]]
        port.last = kept["last"] and Exposed(*kept["last"])
    if isinstance(port, CameraPort):
        _thaw_camera(port, kept)


def _thaw_camera(port: CameraPort, kept: Any) -> None:
    data, frames = kept["data"], int(kept["frames"])
    if not isinstance(data, np.ndarray) or data.ndim != 3 or not len(data) <= frames <= 1 << 20:
        raise unlike(f"{port.device}: {frames} frames armed for")
    taken, shape = len(data), data.shape[1:]
    armed, port.armed = port.armed, 0
    port.arm(frames, int(kept["exposure_ns"]), ROI(0, 0, *shape), data.dtype)
    port.roi = ROI(*kept["roi"])
    if frames and (port.roi.rows, port.roi.columns) != shape:
        raise unlike(f"{port.device}: frames of {shape} of a region {port.roi}")
    port.armed, port.taken, port.data[:taken] = min(armed, frames - taken), taken, data
    for name in ("numbers", "start_ns", "saturated"):
        told = owned(kept[name], np.int64, 1)
        if len(told) != taken:
            raise unlike(f"{port.device}: {len(told)} {name} of {taken} frames")
        getattr(port, name)[:taken] = told
    port.last, port.late = _frame(kept["last"]), _frame(kept["late"])


def _frame(kept: Any) -> LastFrame | None:
    if kept is None:
        return None
    data, number, start_ns, saturated = kept
    return LastFrame(owned(data, data.dtype, 2), int(number), int(start_ns), int(saturated))

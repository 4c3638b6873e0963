"""Frozen devices of one server, and the world they share: what a checkpoint keeps of a simulated table.

A world offers the operations ``freeze`` and ``thaw``, devices `drivers.contract.Device.frozen` and ``thaw``; where one
of them does not, or time is real, there is nothing to keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Device
from drivers.frozen import freeze, spoilt_told, thaw, unlike

Bytes = NDArray[np.uint8]


def freezable(world: Any) -> bool:
    """Whether a world, if there is one, can be frozen."""
    return world is not None and world.clock.virtual and hasattr(world, "freeze") and hasattr(world, "thaw")


def freeze_devices(devices: Mapping[str, Device]) -> Bytes | None:
    """All devices of a server, with those that emit; None if one of them cannot be frozen."""
    kept: dict[str, Any] = {}
    lit = []
    for name, device in devices.items():
        kept[name] = device.frozen()
        if kept[name] is None:
            return None
        if "emission" in device.declared_settings() and getattr(device, "emission"):  # noqa: B009 - those that have it
            lit.append(name)
    return freeze({"devices": kept, "lit": lit})


def thaw_devices(devices: Mapping[str, Device], data: Bytes) -> list[str]:
    """Bring them back; those that emitted then, which are dark now. Raises ConfigurationError for others' bytes."""
    with spoilt_told():
        kept = thaw(data)
        if list(kept["devices"]) != list(devices):
            raise unlike(f"devices {', '.join(map(str, kept['devices']))} in place of {', '.join(devices)}")
        for name, device in devices.items():
            device.thaw(kept["devices"][name])
        return [name for name in kept["lit"] if name in devices]


def freeze_world(world: Any) -> Bytes | None:
    """The world's bytes, this process's own."""
    found = world.freeze()
    return None if found is None else np.array(found, np.uint8)

"""What rigs of all tables share: the alignment a bench must have, lasers that emit, a camera's counts in the dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel

from labctl.client import Bench, CalibrationError, ConfigurationError

P = TypeVar("P", bound=BaseModel)

LEAST_W = 1e-4
"""From which powers are looked for where a laser has no lowest one."""
_DARK_FRAMES = 16


@dataclass(frozen=True)
class Camera:
    """What it gives without light: counts, their rms noise in electrons; electrons per count; the largest count."""

    offset: float
    read_e: float
    gain: float
    full_scale: float


def alignment_of(bench: Bench, name: str, kind: type[P], roles: Sequence[str], table: str, example: str) -> P:
    """``[alignment.NAME]`` of a bench that has such a table; ConfigurationError for others.

    roles: devices that it is made of. table, example: what it is, and a bench file that has one, for the error.
    """
    missing = [role for role in roles if role not in bench.devices]
    if missing:
        raise ConfigurationError(
            f"bench {bench.name} has no {', '.join(missing)}: loop=table needs {table}, such as {example}"
        )
    plan = bench.alignment(name)
    assert isinstance(plan, kind)
    return plan


def in_the_dark(camera: Any) -> Camera:
    """A bench's camera where it looks and as it exposes, with all light off."""
    frames = camera.burst(_DARK_FRAMES).data.astype(np.float64)
    gain = float(camera.electrons_per_count)
    spread = float(np.sqrt(frames.var(axis=0, ddof=1).mean()))
    return Camera(float(frames.mean()), spread * gain, gain, float(camera.full_scale_counts))


def emit(laser: Any) -> None:
    """Raises CalibrationError if it does not."""
    laser.emission = True
    if not laser.emission:
        raise CalibrationError(f"{laser.name} was told to emit and reads back off: check its interlock and its shutter")


def power_limits(laser: Any) -> tuple[float, float]:
    """Powers that may be set, W: `LEAST_W` or more, and 1 where there is no highest."""
    limits = laser.limits("power_w")
    return max(limits.minimum or 0.0, LEAST_W), limits.maximum or 1.0

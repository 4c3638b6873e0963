"""The single detector that may take the camera's place: a photodiode behind a slit at the zeroth order."""

from __future__ import annotations

from typing import Any

from labctl.client import Bench, ConfigurationError


def slit_detector(bench: Bench) -> Any:
    """The photodetector that the bench's sequencer plays on. ConfigurationError, with the cure, if it has none."""
    devices = bench.config.devices
    of = getattr(devices["sequencer"].options, "photodetector", None) if "sequencer" in devices else None
    if of is None:
        raise ConfigurationError(
            f"bench {bench.name} has no slit detector: add a photodetector at the zeroth order to {bench.config.path}, "
            "[devices.slit_detector] of kind photodetector, and name it in [devices.sequencer] as photodetector = "
            '"slit_detector"; or set readout=camera'
        )
    return bench[of]

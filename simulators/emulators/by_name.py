"""Emulated instruments below the drivers that take a vendor's class by its name.

They are those of the drivers that know the class; only what leads to them is told in the words of the other driver.
"""

from __future__ import annotations

import math
from typing import Any

from simulators.emulators.screen import Screen
from simulators.emulators.sdk3 import SDK3Camera


class ScreenByName(Screen):
    """The emulated screen, for slmsuite's own class of SLMs that are one."""

    supplies = frozenset({"slm_class", "keywords", "x_display", "x_authority", "pitch"})

    def start(self) -> dict[str, Any]:
        """Start the server; see the base class."""
        options = super().start()
        pitch_um = self._pitch_m * 1e6
        return {
            "slm_class": "slmsuite.hardware.slms.screenmirrored.ScreenMirrored",
            "keywords": {
                "display_number": options["display"],
                "bitdepth": 8,
                "pitch_um": [pitch_um, pitch_um],
                "gpu": False,
            },
            **{key: options[key] for key in ("x_display", "x_authority", "pitch")},
        }


class SDK3ByName(SDK3Camera):
    """The emulated SDK3 camera, for pylablib's own class."""

    supplies = frozenset(
        {
            *("camera", "arguments", "library", "attributes"),
            *("pixel_pitch", "bit_depth", "electrons_per_count", "full_scale_counts"),
        }
    )

    def start(self) -> dict[str, Any]:
        """Power on; see the base class."""
        options = super().start()
        camera = self.world.parameters.camera
        per_count = 1.0 if camera.ideal else float(camera.electrons_per_count)
        offset = 0.0 if camera.ideal else float(camera.offset)
        return {
            "camera": "Andor.AndorSDK3Camera",
            "arguments": {"idx": options["index"]},
            "library": options["library"],
            "attributes": {
                "SimplePreAmpGainControl": "16-bit (low noise & high well capacity)",
                "PixelEncoding": "Mono16",
                "SpuriousNoiseFilter": False,
                "StaticBlemishCorrection": False,
            },
            "pixel_pitch": f"{camera.pitch:.9g} m",
            "bit_depth": camera.bit_depth,
            "electrons_per_count": per_count,
            "full_scale_counts": min(2**camera.bit_depth - 1, math.floor(offset + camera.full_well / per_count)),
        }

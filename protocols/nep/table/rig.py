"""The sheet's devices, as the protocol drives them: light, the potential, and plays of pumps with their frames."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import ROI, Bench, CalibrationError, ConfigurationError, DeviceTimeout, FrameError, SequenceResult
from protocols.nep.table.alignment import NepAlignment
from protocols.nep.table.encoding import Phases, PotentialMacros, PumpMacros
from protocols.rig import Camera, alignment_of, emit, in_the_dark, power_limits

Array = NDArray[np.float64]

ROLES = ("slm", "potential", "camera", "pump", "reference", "reservoir", "sequencer")
REFERENCE_FILL = 0.12
"""Of full scale, that the reference has alone: half a photon of noise is left to a field, and room to fringes."""
_DARK_FRAMES = 16
_PLAYED_AGAIN = 5
_FEW = 8


class Rig:
    """A bench with ``[alignment.nep]``, under control. Raises ConfigurationError where it is none."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.plan = bench, plan_of(bench)
        slm, potential = bench.slm, bench.potential
        self.pump = PumpMacros(self.plan, int(slm.rows), int(slm.columns), int(slm.levels))
        self.potential = PotentialMacros(self.plan, int(potential.rows), int(potential.columns), int(potential.levels))
        self.plays = 0
        self._seen_s = 0.0

    # --- light ------------------------------------------------------------------------------------------------------

    @contextmanager
    def light(self) -> Iterator[None]:
        """Whatever is switched on meanwhile is off afterwards."""
        try:
            yield
        finally:
            for laser in (self.bench.pump, self.bench.reference, self.bench.reservoir):
                laser.emission = False

    def look_at(self, margin: float) -> ROI:
        """All places, by plan, and so many pixels around them."""
        camera, plan = self.bench.camera, self.plan.camera
        half = [0.5 * n * plan.pitch + margin for n in self.plan.places]
        first = [max(0, math.floor(at - h)) for at, h in zip((plan.row, plan.column), half, strict=True)]
        most = int(camera.rows), int(camera.columns)
        last = [min(n, math.ceil(at + h)) for at, h, n in zip((plan.row, plan.column), half, most, strict=True)]
        camera.binning = 1
        camera.roi = ROI(row=first[0], column=first[1], rows=last[0] - first[0], columns=last[1] - first[1])
        found: ROI = camera.roi
        return found

    def look_in(self, row: int, column: int, rows: int, columns: int) -> None:
        """At a region of the sensor, as far as it is on it."""
        camera = self.bench.camera
        rows, columns = min(rows, int(camera.rows) - row), min(columns, int(camera.columns) - column)
        camera.roi = ROI(row=row, column=column, rows=rows, columns=columns)

    def dark(self) -> Camera:
        """The camera's own counts where it looks, with the light off."""
        bench = self.bench
        bench.pump.emission = bench.reference.emission = False
        return in_the_dark(bench.camera)

    def meter_reference(self, camera: Camera) -> Array:
        """Set the reference's power to `REFERENCE_FILL`; counts (rows, columns) that it gives alone, offset taken off.

        Raises CalibrationError where that is not to be had.
        """
        reference = self.bench.reference
        lowest, most = power_limits(reference)
        reference.power_w = power = math.sqrt(lowest * most)
        emit(reference)
        full = camera.full_scale if math.isfinite(camera.full_scale) else 65535.0
        wanted = REFERENCE_FILL * (full - camera.offset)
        for _ in range(10):
            seen = float(self.bench.camera.burst(2).data.mean()) - camera.offset
            if 0.8 * wanted < seen < 1.25 * wanted or (power >= most and seen > 0.1 * wanted):
                frames = self.bench.camera.burst(_DARK_FRAMES).data.astype(np.float64)
                return np.asarray(frames.mean(axis=0) - camera.offset)
            if power >= most:
                break
            reference.power_w = power = min(max(power * min(wanted / max(seen, 1e-3 * wanted), 100.0), lowest), most)
        raise CalibrationError(
            f"no power of the reference from {lowest:.3g} to {most:.3g} W gives {REFERENCE_FILL:.0%} of the camera's "
            "full scale: is it blocked, does it miss the camera, is the filter too strong or the exposure too short?"
        )

    def alive(self) -> None:
        """Keep the lease while something is worked out that takes seconds."""
        now = time.monotonic()
        if now - self._seen_s > 0.5:
            self._seen_s = now
            _ = self.bench.camera.exposure_s

    # --- panels and frames ------------------------------------------------------------------------------------------

    def show_potential(self, pattern: Phases) -> None:
        """Phases (rows, columns) of the whole panel; returns once they are stable."""
        self.bench.potential.write(pattern)
        self.bench.potential.settle()

    def play(self, patterns: Phases) -> SequenceResult | None:
        """Frames of patterns (patterns, rows, columns) of the pump, one after the other; None if one is lost."""
        try:
            result: SequenceResult = self.bench.sequencer.play(self.pump.sequence(patterns), [], frames=True)
        except (DeviceTimeout, FrameError):
            self.bench.recovered("play that lost a frame")
            return None
        self.plays += 1
        if result.frames is None or len(result.frames) != len(patterns):
            return None
        return result

    def frames(self, patterns: Phases) -> NDArray[Any]:
        """The same (patterns, rows, columns), played again where a frame is lost; none may be saturated.

        Raises CalibrationError where frames are lost time and again, or a pixel saturates.
        """
        frames, full = self.frames_and_full(patterns)
        if full.any():
            raise CalibrationError(
                f"{int(full.sum())} of {len(full)} frames saturate: expose for a shorter time, put a filter before the "
                "camera, or pump less"
            )
        return frames

    def frames_and_full(self, patterns: Phases) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The same, and which of them have a pixel that saturates (patterns,)."""
        most = int(self.bench.slm.sequence_memory) or len(patterns)
        result = self.play(patterns) if len(patterns) <= most else None
        if result is None and len(patterns) > _FEW:
            half = len(patterns) // 2
            parts = [self.frames_and_full(patterns[:half]), self.frames_and_full(patterns[half:])]
            return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        for _ in range(_PLAYED_AGAIN):
            if result is not None:
                break
            result = self.play(patterns)
        if result is None:
            raise CalibrationError(
                f"{_PLAYED_AGAIN + 1} plays of {len(patterns)} pumps each lost a frame: look at the camera's trigger "
                "and link"
            )
        return np.asarray(result.frames), np.asarray(result.saturated > 0)

    def meter(self, patterns: Phases, fill: float) -> None:
        """Set the pump's power such that the brightest pixel of these patterns' frames has so much of full scale.

        Raises CalibrationError where no power does.
        """
        pump = self.bench.pump
        lowest, most = power_limits(pump)
        scale = float(self.bench.camera.full_scale_counts)
        power = min(float(pump.power_w) or math.sqrt(lowest * most), most)
        emit(pump)
        if not math.isfinite(scale):
            return
        for _ in range(14):
            pump.power_w = power
            result = self.play(patterns)
            if result is None:
                continue
            full, peak = bool((result.saturated > 0).any()), float(result.peak.max()) / scale
            if not full and (0.8 * fill <= peak <= 1.1 * fill or power >= most):
                return
            if power <= lowest and (full or peak > fill):
                break
            power = min(max(power * (0.4 if full else min((fill / peak) ** 1.3, 6.0)), lowest), most)
        raise CalibrationError(
            f"no power of the pump from {lowest:.3g} to {most:.3g} W gives frames of {fill:.0%} of full scale: lower "
            "the reference's power, expose for a shorter time, put a filter before the camera; does something blink?"
        )


def plan_of(bench: Bench) -> NepAlignment:
    """Of a bench that has a sheet; ConfigurationError for others."""
    return alignment_of(bench, "nep", NepAlignment, ROLES, "a polariton sheet", "benches/nep-sim.toml")


def set_power(laser: Any, power_w: float, why: str) -> None:
    """And emit. Raises ConfigurationError where the laser cannot."""
    lowest, most = power_limits(laser)
    if not power_w <= most:
        raise ConfigurationError(f"{laser.name}: {power_w:.3g} W are needed {why}, and {most:.3g} W are allowed")
    laser.power_w = max(power_w, lowest)
    emit(laser)

"""The multiplier's devices, as the protocol drives them: light, couplings, and plays of vectors with their frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.client import ROI, Bench, CalibrationError, ConfigurationError, DeviceTimeout, FrameError, SequenceResult
from protocols.domino.table.alignment import DominoAlignment
from protocols.domino.table.encoding import Couplings, Panel, Strip
from protocols.rig import Camera, alignment_of, emit, in_the_dark, power_limits

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

ROLES = ("slm", "coupler", "camera", "pump", "reference", "sequencer")
FILL = 0.75
"""Of the camera's full scale, that the brightest pixel is to have."""
REFERENCE_FILL = 0.12
"""What the reference has alone: half a photon of noise is left to a field, and most of the scale to fringes."""
_DARK_COLUMNS = 8
_METERED = 24
_PLAYED_AGAIN = 5
_FEW = 8


@dataclass(frozen=True, eq=False)
class Played:
    """frames: (vectors, rows, columns) counts. full: (vectors,) whether a pixel saturates. peak: (vectors,) counts."""

    frames: NDArray[Any]
    full: NDArray[np.bool_]
    peak: Array

    def followed_by(self, other: Played) -> Played:
        """Both, as one."""
        pairs = ((self.frames, other.frames), (self.full, other.full), (self.peak, other.peak))
        return Played(*(np.concatenate(pair) for pair in pairs))


class Rig:
    """A bench with ``[alignment.domino]``, under control, set up for so many nodes.

    Raises ConfigurationError where it is no multiplier, or where so many nodes do not fit.
    """

    def __init__(self, bench: Bench, nodes: int, bands: int) -> None:
        plan = plan_of(bench)
        self.bench, self.plan, self.nodes, self.bands = bench, plan, nodes, bands
        slm, coupler = (Panel(int(d.rows), int(d.columns), int(d.levels)) for d in (bench.slm, bench.coupler))
        most = plan.most_nodes(slm, coupler)
        if nodes > most:
            raise ConfigurationError(
                f"{nodes} nodes, and {most} fit the panels of bench {bench.name}: choose a smaller network, smaller "
                "macro-pixels in [alignment.domino], or larger panels"
            )
        wide, high, left, above = 1, 1, 0, 0
        if plan.mode == "optoelectronic":  # condensates stand where they are
            wide, high = most // nodes, plan.most_bands(coupler) // bands
            left, above = (most - nodes * wide) // 2, (plan.most_bands(coupler) - bands * high) // 2
        self.strip = Strip(plan, slm, nodes, wide, left)
        self.couplings = Couplings(plan, coupler, (bands, nodes), (high, wide), (above, left))
        self.pitch = plan.camera.pitch * high
        """Camera rows from band to band, by plan."""
        self.first_row = plan.camera.row + plan.camera.pitch * (above + (high - 1) / 2)
        """Camera row of the first band's middle, by plan."""

    # --- light ------------------------------------------------------------------------------------------------------

    def look_about(self, aside: int = 0) -> None:
        """At some columns of where the bands are to be, or so many to one side."""
        rows = sorted(self.first_row + self.pitch * band for band in (0, self.bands - 1))
        column = math.floor(self.plan.camera.column) + aside
        self.look_at(math.floor(rows[0]), column, math.ceil(rows[1] - rows[0]) + 1, _DARK_COLUMNS)

    def dark(self) -> Camera:
        """The camera's own counts where it looks, with the light off."""
        return in_the_dark(self.bench.camera)

    @contextmanager
    def light(self) -> Iterator[None]:
        """Whatever is switched on meanwhile is off afterwards, and the exposure as it was."""
        bench = self.bench
        exposure_s = float(bench.camera.exposure_s)
        try:
            yield
        finally:
            bench.pump.emission = False
            bench.reference.emission = False
            bench.camera.exposure_s = exposure_s

    def expose_for(self, exposure_s: float) -> Camera:
        """Look for so long at a time: the reference as bright as fringes are best, and the pump on; see `meter`.

        Returns what the camera gives without light. Errors as `meter`.
        """
        bench = self.bench
        bench.pump.emission = False
        bench.reference.emission = False
        bench.camera.exposure_s = exposure_s
        camera = self.dark()
        self._meter_reference(camera)
        emit(bench.pump)
        return camera

    def _meter_reference(self, camera: Camera) -> None:
        reference = self.bench.reference
        lowest, most = power_limits(reference)
        reference.power_w = power = math.sqrt(lowest * most)
        emit(reference)
        if not math.isfinite(camera.full_scale):
            return
        wanted = REFERENCE_FILL * (camera.full_scale - camera.offset)
        for _ in range(8):
            seen = float(self.bench.camera.burst(2).data.mean()) - camera.offset
            if 0.8 * wanted < seen < 1.25 * wanted:
                return
            if power >= most and seen < 0.1 * wanted:
                raise CalibrationError(
                    f"no light of the reference: {seen:.3g} counts at its highest power, {most:.3g} W; is it blocked, "
                    "or does it miss the camera?"
                )
            if power >= most and seen < wanted:
                return
            reference.power_w = power = min(max(power * min(wanted / max(seen, 1e-3 * wanted), 100.0), lowest), most)
        raise CalibrationError(
            f"no power of the reference from {lowest:.3g} to {most:.3g} W gives {REFERENCE_FILL:.0%} of the camera's "
            "full scale: change its filter or the exposure"
        )

    def meter(self, patterns: NDArray[np.float32], camera: Camera, fill: float = FILL) -> None:
        """Set the pump's power such that the brightest pixel of these patterns' frames has so much of full scale.

        Raises CalibrationError where that is not to be had, and where the reference alone is too bright.
        """
        pump = self.bench.pump
        lowest, most = power_limits(pump)
        chosen = patterns[:_METERED]
        wanted = fill * camera.full_scale if math.isfinite(camera.full_scale) else math.inf
        power = min(float(pump.power_w) or math.sqrt(lowest * most), most)
        if not math.isfinite(wanted):
            return  # an ideal detector takes everything
        for _ in range(12):
            pump.power_w = power
            result = self.play(chosen)
            if result is None:
                continue
            peak = float(result.peak.max())
            if not result.full.any() and 0.85 * wanted <= peak <= 1.1 * wanted:
                return
            if not result.full.any() and power >= most:
                return  # all there is
            # A pixel's counts are between linear in the power, and linear in its root, of fringes.
            factor = 0.4 if result.full.any() else min(8.0, (wanted / max(peak - camera.offset, 1.0)) ** 1.3)
            if power <= lowest and factor < 1:
                raise CalibrationError(
                    f"the camera saturates at the pump's lowest power, {lowest:.3g} W: lower the reference's, expose "
                    "for a shorter time, or put a filter before the camera"
                )
            power = min(max(power * factor, lowest), most)
        raise CalibrationError(
            f"no power of the pump gives frames of {fill:.0%} of full scale: does something blink, or saturate?"
        )

    # --- panels and frames ------------------------------------------------------------------------------------------

    def couple(self, T: Complex) -> None:
        """Show macro-pixels T (bands, nodes), and wait until they are stable."""
        self.show_couplings(self.couplings.pattern(T))

    def show_couplings(self, phases: NDArray[np.float32]) -> None:
        """The same of phases (rows, columns) of the whole panel."""
        self.bench.coupler.write(phases)
        self.bench.coupler.settle()

    def look_at(self, row: int, column: int, rows: int, columns: int) -> None:
        """Region of the camera, as far as it is on the sensor."""
        camera = self.bench.camera
        first = max(0, row), max(0, column)
        last = min(int(camera.rows), row + rows), min(int(camera.columns), column + columns)
        if last[0] - first[0] < 2 or last[1] - first[1] < 1:
            raise CalibrationError(
                f"camera rows {row} to {row + rows}, columns {column} to {column + columns} are not on its "
                f"{camera.rows}x{camera.columns} pixels: mend [alignment.domino]"
            )
        camera.binning = 1
        camera.roi = ROI(row=first[0], column=first[1], rows=last[0] - first[0], columns=last[1] - first[1])

    def play(self, patterns: NDArray[np.float32]) -> Played | None:
        """Frames of vectors (vectors, rows, columns), one after the other; None if one of them is lost."""
        try:
            result: SequenceResult = self.bench.sequencer.play(self.strip.sequence(patterns), [], frames=True)
        except (DeviceTimeout, FrameError):
            self.bench.recovered("play that lost a frame")
            return None
        if result.frames is None or len(result.frames) != len(patterns):
            return None
        return Played(result.frames, result.saturated > 0, result.peak)

    def must_play(self, patterns: NDArray[np.float32]) -> Played:
        """The same, in smaller and smaller plays where frames are lost.

        Raises CalibrationError if that happens time and again.
        """
        found = self.play(patterns)
        if found is not None:
            return found
        if len(patterns) > _FEW:
            half = len(patterns) // 2
            return self.must_play(patterns[:half]).followed_by(self.must_play(patterns[half:]))
        for _ in range(_PLAYED_AGAIN):
            found = self.play(patterns)
            if found is not None:
                return found
        raise CalibrationError(
            f"{_PLAYED_AGAIN + 1} plays of {len(patterns)} vectors each lost a frame: look at the camera's trigger and "
            "link"
        )


def plan_of(bench: Bench) -> DominoAlignment:
    """Of a bench that is a multiplier; ConfigurationError for others."""
    return alignment_of(
        bench, "domino", DominoAlignment, ROLES, "a vector-matrix multiplier", "benches/domino-sim.toml"
    )

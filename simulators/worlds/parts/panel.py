"""The SLM of the table: gray levels written at some time become phases that arrive with latency and relax."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.physics.compiled import kernel
from simulators.physics.fourier_plane import set_patches
from simulators.physics.liquid_crystal import (
    draw_moving,
    drop_settled,
    fastest_motion,
    largest_motion,
    set_targets,
)
from simulators.physics.window_motion import Motion
from simulators.worlds.parts.gray_table import GrayTable
from simulators.worlds.parts.panel_sequence import MOST_AT_ONCE, LoadedSequence, Patterns, patch_changes, uncovered
from simulators.worlds.parts.parameters import SlmParameters

NOTICEABLE_RAD = 0.02
"""Below this, the square of a motion is less than the quadrature's own error."""


class Crystal(NamedTuple):
    """The panel's state and response."""

    phase: NDArray[np.float64]
    slots: NDArray[np.int32]
    places: NDArray[np.int32]
    motions: NDArray[np.float64]
    table: NDArray[np.complex128]
    refresh_period_s: float
    controller_s: float
    scan_s_per_row: float
    tau_on_s: float
    tau_off_s: float
    settled_rad: float


class PhaseListener(Protocol):
    """Something that keeps sums of the panel's target phases and is told before they change."""

    def region_changes(self, old: NDArray[np.float64], new: NDArray[np.float64], row: int, column: int) -> None:
        """A region's targets change from ``old`` to ``new``, rad."""
        ...

    def patches_change(
        self, panel_phase: NDArray[np.float64], origins: NDArray[np.int32], values: NDArray[np.float64]
    ) -> None:
        """Small patches at ``origins`` change from ``panel_phase`` to ``values``, rad."""
        ...


@kernel
def refresh_time_s(time_ns: int, period_s: float, controller_s: float) -> float:
    """When the first row begins to change: the graphics card hands a pattern over at its next refresh."""
    return math.ceil(time_ns * 1e-9 / period_s - 1e-9) * period_s + controller_s


class Panel:
    """State of the liquid crystal.

    Everything it knows it was told as gray levels (rows, columns): integers of 0 to levels - 1, or real numbers of
    0 to 256 for a continuous panel. ``table`` says which phases these are.
    """

    def __init__(self, parameters: SlmParameters, table: GrayTable | None = None) -> None:
        self._p = parameters
        self._table = table or GrayTable(parameters)
        self.phase = np.zeros((parameters.rows, parameters.columns))
        levels = np.arange(parameters.levels or 0)[None, :]
        self.phasors = np.exp(1j * GrayTable(parameters).phases(levels, 0, 0))[0]
        self._slots = np.full((parameters.rows, parameters.columns), -1, np.int32)
        self.places = np.empty((4096, 2), np.int32)
        self.motions = np.empty((4096, 6))
        self.moving = 0
        self.listeners: list[PhaseListener] = []
        self._sequence: LoadedSequence | None = None

    @property
    def _instant(self) -> bool:
        return self._p.rise_time == 0 and self._p.fall_time == 0

    def radians(self, gray: NDArray[Any], row: int = 0, column: int = 0) -> NDArray[np.float64]:
        """Phase (rows, columns) of gray levels with their corner at (row, column), rad."""
        return self._table.phases(gray, row, column)

    def write(self, gray: NDArray[Any], row: int, column: int, time_ns: int) -> None:
        """Gray levels (rows, columns) arrive at the panel's input at ``time_ns``, corner at (row, column)."""
        self._sequence = None
        self._write_phase(self.radians(gray, row, column), row, column, time_ns)

    def _write_phase(self, new: NDArray[np.float64], row: int, column: int, time_ns: int) -> None:
        if self._p.stuck:
            return
        rows, columns = new.shape
        region = self.phase[row : row + rows, column : column + columns]
        for listener in self.listeners:
            listener.region_changes(region, new, row, column)
        if not self._instant:
            self._make_room(new.size)
            self.moving = set_targets(
                region, new, row, column, *self._timing(time_ns), self._slots, self.places, self.motions, self.moving
            )
        region[:] = new

    def load(
        self,
        base: NDArray[Any],
        base_origin: tuple[int, int],
        patches: NDArray[Any],
        origins: NDArray[np.int32],
    ) -> None:
        """Keep a base and patches of gray levels, to be stepped through by `step`."""
        few = patches.size <= MOST_AT_ONCE
        self._sequence = LoadedSequence(
            self.radians(base, *base_origin),
            base_origin,
            self._table.patch_phases(patches, origins) if few else patches,
            np.array(origins, np.int32),
            None if few else self._table,
        )

    def step(self, wanted: NDArray[np.int32], time_ns: int) -> None:
        """Show the loaded base with the wanted patches over it, changing only the pixels that differ."""
        s = self._sequence
        if s is None:
            raise RuntimeError("no sequence is loaded")
        if self._p.stuck:
            return
        if not s.begun:
            row, column = s.base_origin
            self._write_phase(s.base, row, column, time_ns)
            s.keep_ground(self.phase)
        undrawn, drawn = patch_changes(s.active, wanted)
        if s.overlap:
            # What was drawn must be gone before something else is drawn in its place, but where it is all covered.
            undrawn = uncovered(s.origins, undrawn, drawn)
            self._change_patches(*s.changes(undrawn, drawn[:0]), time_ns)
            self._change_patches(*s.changes(undrawn[:0], drawn), time_ns)
        else:
            self._change_patches(*s.changes(undrawn, drawn), time_ns)

    def _change_patches(self, origins: NDArray[np.int32], values: NDArray[np.float64], time_ns: int) -> None:
        """Write patches (n, rows, columns) of phase that do not overlap one another."""
        if not len(origins):
            return
        for listener in self.listeners:
            listener.patches_change(self.phase, origins, values)
        if self._instant:
            height, width = values.shape[1:]
            for (r, c), value in zip(origins, values, strict=True):
                self.phase[r : r + height, c : c + width] = value
            return
        self._make_room(values.size)
        self.moving = set_patches(
            self.phase, origins, values, *self._timing(time_ns), self._slots, self.places, self.motions, self.moving
        )

    # --- for the compiled burst -------------------------------------------------------------------------------------

    def patterns(self, offsets: NDArray[np.int32], indices: NDArray[np.int32]) -> Patterns | None:
        """The loaded sequence once its first pattern was shown; None for a panel that answers at once."""
        s = self._sequence
        if s is None or self._instant:
            return None
        under = s.under
        if under is None:
            return None
        return Patterns(offsets, indices, s.origins, s.patches, under, s.active, s.overlap)

    def crystal(self, pixels: int) -> Crystal:
        """State and response, with room for ``pixels`` more in motion."""
        self._make_room(pixels)
        p = self._p
        return Crystal(
            phase=self.phase,
            slots=self._slots,
            places=self.places,
            motions=self.motions,
            table=self.phasors,
            refresh_period_s=1.0 / p.refresh_rate,
            controller_s=p.controller_latency,
            scan_s_per_row=p.scan_time / p.rows,
            tau_on_s=p.rise_time,
            tau_off_s=p.fall_time,
            settled_rad=p.settled_phase,
        )

    def rest(self, time_s: float) -> None:
        """Forget pixels that have reached their target by ``time_s``."""
        if self.moving:
            self.moving = drop_settled(
                time_s,
                self._p.settled_phase,
                self._p.rise_time,
                self._p.fall_time,
                self._slots,
                self.places,
                self.motions,
                self.moving,
            )

    def fastest_motion_s(self, time_s: float) -> float:
        """Time constant that integration over an exposure from ``time_s`` on must resolve."""
        p = self._p
        return fastest_motion(time_s, NOTICEABLE_RAD, p.rise_time, p.fall_time, self.motions, self.moving)

    def largest_motion(self, time_s: float) -> float:
        """How far the pixel that is farthest from its target is from it at ``time_s``, rad."""
        return largest_motion(time_s, self._p.rise_time, self._p.fall_time, self.motions, self.moving)

    def motion(self, times_s: NDArray[np.float64], weights: NDArray[np.float64]) -> Motion:
        """What moves, and the instants of an exposure."""
        p = self._p
        return Motion(self._slots, self.places, self.motions, self.moving, times_s, weights, p.rise_time, p.fall_time)

    def phase_image(self, time_s: float) -> NDArray[np.float64]:
        """Phase of every pixel at ``time_s``, rad: the plain way, for the reference path."""
        image = self.phase.copy()
        draw_moving(image, time_s, self._p.rise_time, self._p.fall_time, self.places, self.motions, self.moving)
        return image

    def _timing(self, time_ns: int) -> tuple[float, float, float, float]:
        p = self._p
        refresh_s = refresh_time_s(time_ns, 1.0 / p.refresh_rate, p.controller_latency)
        return refresh_s, p.scan_time / p.rows, p.rise_time, p.fall_time

    def _make_room(self, pixels: int) -> None:
        needed = self.moving + pixels
        if needed > len(self.motions):
            size = max(needed, 2 * len(self.motions))
            self.places = np.concatenate([self.places, np.empty((size - len(self.places), 2), np.int32)])
            self.motions = np.concatenate([self.motions, np.empty((size - len(self.motions), 6))])

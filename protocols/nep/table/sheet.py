"""The sheet as it was found on its table: potentials and pumps are written in its units, and fields read in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labctl.client import ConfigurationError
from protocols.nep.table.encoding import FULL, Phases
from protocols.nep.table.law import STEADY, Windows
from protocols.nep.table.lifting import Lift
from protocols.nep.table.reading import Reader
from protocols.nep.table.response import Response
from protocols.nep.table.rig import Rig
from simulators.physics.sheet.equation import Sheet

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


DIM = 0.7
"""Of the median |c|, below which a node is behind dust."""


class Seen(NamedTuple):
    """psi (samples, rows, columns) of the mesa; full: (samples,) whose frames have a pixel that saturates."""

    psi: Complex
    full: NDArray[np.bool_]


class Table:
    """Set up by `setting_up.set_up`, which finds ``response`` and ``lift``. D: (rows, columns) that is written."""

    response: Response
    lift: Lift
    D: Complex

    def __init__(self, rig: Rig, reader: Reader, windows: Windows) -> None:
        self.rig, self.reader, self.windows = rig, reader, windows
        self.light: Array | None = None
        self.frames = 0

    def sheet(self, gamma: float) -> Sheet:
        """Of the plan, with this loss."""
        return self.rig.plan.sheet(gamma)

    def on_sheet(self, values: Complex) -> Complex:
        """(..., rows, columns) as the sheet's shape."""
        return values[..., 0, :] if self.rig.plan.rows == 1 else values

    @property
    def D_on_sheet(self) -> Complex:
        """D that was written last, in the sheet's shape."""
        return self.on_sheet(self.D)

    def brighter(self, factor: float) -> None:
        """The pump's amplitude was changed by this factor."""
        self.response = replace(self.response, c=self.response.c * factor)
        self.windows = replace(self.windows, expected=self.windows.expected * factor)

    def detuned_by(self, off: float) -> None:
        """Potentials without light are found to be so much higher than they were thought to be."""
        self.lift = replace(self.lift, ground=self.lift.ground + off)

    def lighter(self, more: Complex) -> None:
        """Nodes are found to be pumped by so much more (rows, columns) than was written."""
        c = self.response.c
        stray = np.divide(more.ravel(), c, out=np.zeros_like(c), where=c != 0)
        self.response = replace(self.response, background=self.response.background + stray)

    def state(self) -> dict[str, Any]:
        """What it has learnt, and what is written, since it was set up: for a checkpoint."""
        light = np.empty(0) if self.light is None else self.light
        return {
            "table_background": self.response.background,
            "table_ground": self.lift.ground,
            "table_light": light,
            "table_D": self.D,
            "table_frames": self.frames,
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Go on from `state`, on a table that goes on from there, too."""
        self.response = replace(self.response, background=np.array(kept["table_background"]))
        self.lift = replace(self.lift, ground=np.array(kept["table_ground"]))
        light = np.array(kept["table_light"])
        self.light = light if light.size else None
        self.D, self.frames = np.array(kept["table_D"]), int(kept["table_frames"])

    # --- writing ----------------------------------------------------------------------------------------------------

    def write_potential(self, V: Array) -> Array:
        """Potential V (rows, columns) above the drive, as near as it can be; Re D (rows, columns) of what was written.

        Light is never negative: V is at least what the drive's detuning takes off.
        """
        light = self.lift.light_for(V)
        if self.light is None or not np.array_equal(light, self.light):
            self.rig.show_potential(self.rig.potential.pattern(light))
            self.light = light
        self.D = self.lift.lifted(light)
        return np.asarray(self.D.real)

    def patterns(self, P: Complex, turn: int = 0) -> Phases:
        """Of pumps (samples, rows, columns) of nodes; nodes behind dust get what they can. turn: see `PumpMacros`.

        Raises ConfigurationError where another one is too strong.
        """
        T = self.steady_with(self.response.macros(P.reshape(len(P), -1)).reshape(P.shape))
        size = np.abs(T.real) + np.abs(T.imag)
        if size.max() > FULL:
            amplitude = np.abs(self.response.c).reshape(P.shape[1:])
            dim = amplitude < DIM * np.median(amplitude[amplitude > 0])
            strong = (size[:, 2:] > FULL) & ~dim
            if strong.any():
                most = float(np.abs(P[strong]).max())
                raise ConfigurationError(
                    f"a pump of |P| = {most:.3g} is stronger than the table writes ({most * FULL / size.max():.3g}): "
                    "choose smaller weights or rates, or more in [alignment.nep] pump_most"
                )
            T *= np.minimum(1.0, FULL / np.maximum(size, 1e-9))
        return self.rig.pump.patterns(T, turn)

    def steady_with(self, T: Complex) -> Complex:
        """Macro-pixels (samples, down, across) of all places: steady windows, and T (samples, rows, columns)."""
        out = np.zeros((len(T), *self.rig.plan.places), np.complex128)
        out[:, 0], out[:, 2:] = STEADY, T
        return out

    # --- reading ----------------------------------------------------------------------------------------------------

    def fields(self, patterns: Phases) -> Complex:
        """Of nodes (patterns, rows, columns), as bright and in the phase that windows had at first."""
        return self._even(self.reader.fields(self.rig.frames(patterns)))

    def fields_and_full(self, patterns: Phases) -> tuple[Complex, NDArray[np.bool_]]:
        """The same, and which frames have a pixel that saturates."""
        frames, full = self.rig.frames_and_full(patterns)
        return self._even(self.reader.fields(frames)), full

    def measure(self, P: Complex) -> Seen:
        """Steady states of pumps (samples, rows, columns), a frame each."""
        frames, full = self.rig.frames_and_full(self.patterns(P))
        self.frames += len(frames)
        fields = self._even(self.reader.fields(frames))
        return Seen(self.response.psi(fields.reshape(len(P), -1)).reshape(P.shape), full)

    def _even(self, fields: Complex) -> Complex:
        return np.asarray(fields[:, 2:] / self.windows.factor(fields[:, 0])[:, None, None])

"""The loop around the optics: many starts side by side, a frame of each in every step (arXiv 2405.17296, Eqs 5, 6).

    psi <- psi + h [(gamma - |Psi|^2) Psi + v],   v = W psi and Psi = sum_k psi_k as the light has them,
    every tau:  psi <- |psi|

The common field (gamma - |Psi|^2) Psi is one number for all sites of a start. The stiff total is taken implicitly, as
in `locked_flow`, from which a step differs by what is measured: v and Psi are those of ``latency`` frames before, with
their noise; and where a frame is lost, those that were known last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.domino.table.measured import Measured, Optics
from simulators.physics.domino.locked_flow import Stage

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Bools = NDArray[np.bool_]

UNUSABLE_SHARE = 0.1
"""Of a start's frames lost or not locked, above which the start counts as unlocked."""
UNUSABLE_RUN = 20
"""The same of frames in a row: four windows between locks."""


@dataclass(frozen=True, eq=False)
class Ended:
    """Of some starts. x: (N, starts) amplitudes. flips: (N, starts) share of the locks read at which a sign had turned.

    lost, unlocked_frames: (starts,) frames that did not come, and those whose light was not what was written. unlocked:
    (starts,) whether these were so many that a start is none. phase_rms, visibility: (starts,) over its frames.
    """

    x: Array
    flips: Array
    lost: NDArray[np.int64]
    unlocked_frames: NDArray[np.int64]
    unlocked: Bools
    phase_rms: Array
    visibility: Array

    def support(self, most_flips: float) -> Bools:
        """Nodes (N, starts) that kept their sign, of starts that stayed locked; none of others."""
        return np.asarray((self.flips <= most_flips) & (self.x > 0) & ~self.unlocked)


class Loop:
    """Starts x (N, starts) on their way through stages. `advance` takes one frame of each; `frames` in all."""

    def __init__(self, x: Array, stages: tuple[Stage, ...], latency: int) -> None:
        self.psi: Complex = np.array(x, np.complex128)
        self._steps = [
            (stage.h, float(gain), (k + 1) % stage.every == 0 or k == stage.steps - 1, k >= stage.steps - stage.read)
            for stage in stages
            for k, gain in enumerate(np.linspace(*stage.gamma, stage.steps))
        ]
        self._latency = latency
        self.frames = len(self._steps) + latency
        n, count = x.shape
        self._waiting: deque[tuple[Complex, Complex, Bools]] = deque()
        self._v: Complex = np.zeros((n, count), np.complex128)
        self._excess: Complex = np.zeros(count, np.complex128)
        self._known: Bools = np.zeros(count, np.bool_)
        self._flips, self._reads = np.zeros((n, count)), 0
        self._lost, self._unlocked, self._run = (np.zeros(count, np.int64) for _ in range(3))
        self._longest = np.zeros(count, np.int64)
        self._phase_var, self._visibility = np.zeros(count), np.zeros(count)
        self._frame = 0

    def advance(self, optics: Optics) -> Measured:
        """Show the fields, read the frames, and take the step that they, or those of before, allow."""
        found = optics.measure(self.psi)
        self._count(found)
        usable = found.came & found.locked
        self._waiting.append((found.v, found.total - self.psi.sum(axis=0), usable))
        self._frame += 1
        if len(self._waiting) > self._latency:
            v, excess, good = self._waiting.popleft()
            self._v = np.where(good, v, self._v)
            self._excess = np.where(good, excess, self._excess)
            self._known |= good
            self._step(*self._steps[self._frame - 1 - self._latency])
        return found

    def _step(self, h: float, gamma: float, lock: bool, read: bool) -> None:
        self.psi = np.where(self._known, stepped(self.psi, self._v, self._excess, h, gamma), self.psi)
        if not lock:
            return
        if read:
            self._flips += self.psi.real < 0
            self._reads += 1
        self.psi = np.abs(self.psi).astype(np.complex128)

    def _count(self, found: Measured) -> None:
        lost, astray = ~found.came, found.came & ~found.locked
        self._lost += lost
        self._unlocked += astray
        self._run = np.where(lost | astray, self._run + 1, 0)
        self._longest = np.maximum(self._longest, self._run)
        self._phase_var += np.where(found.came, found.phase_var, 0.0)
        self._visibility += np.where(found.came, found.visibility, 0.0)

    def ended(self) -> Ended:
        """After all frames."""
        came = np.maximum(self._frame - self._lost, 1)
        unusable = self._lost + self._unlocked
        return Ended(
            x=np.abs(self.psi),
            flips=self._flips / max(self._reads, 1),
            lost=self._lost,
            unlocked_frames=self._unlocked,
            unlocked=(unusable > UNUSABLE_SHARE * self._frame) | (self._longest > UNUSABLE_RUN),
            phase_rms=np.sqrt(np.maximum(self._phase_var / came, 0.0)),
            visibility=self._visibility / came,
        )

    # --- for checkpoints --------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """From which `restore` goes on."""
        held = list(self._waiting)
        n, count = self.psi.shape
        return {
            "loop_psi": self.psi,
            "loop_v": self._v,
            "loop_excess": self._excess,
            "loop_known": self._known,
            "loop_flips": self._flips,
            "loop_numbers": np.stack([self._lost, self._unlocked, self._run, self._longest]),
            "loop_sums": np.stack([self._phase_var, self._visibility]),
            "loop_counts": np.array([self._frame, self._reads]),
            "loop_held_v": np.array([v for v, _, _ in held], np.complex128).reshape(len(held), n, count),
            "loop_held_excess": np.array([e for _, e, _ in held], np.complex128).reshape(len(held), count),
            "loop_held_good": np.array([g for _, _, g in held], np.bool_).reshape(len(held), count),
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Where a `state` was."""
        self.psi, self._v, self._excess = kept["loop_psi"], kept["loop_v"], kept["loop_excess"]
        self._known, self._flips = kept["loop_known"], kept["loop_flips"]
        self._lost, self._unlocked, self._run, self._longest = kept["loop_numbers"].copy()
        self._phase_var, self._visibility = kept["loop_sums"].copy()
        self._frame, self._reads = (int(k) for k in kept["loop_counts"])
        held = zip(kept["loop_held_v"], kept["loop_held_excess"], kept["loop_held_good"], strict=True)
        self._waiting = deque(held)


def stepped(psi: Complex, v: Complex, excess: Complex, h: float, gamma: float) -> Complex:
    """Fields (N, starts) after a step h of Eq. (5), the total taken implicitly.

    v: (N, starts) W psi. excess: (starts,) by how much the light's total exceeds that of psi. With R = Psi + h sum(v),
    h N |S|^2 S + (1 - h N gamma) S = R; S, the total after the step, has the phase of R, and every site takes the same
    share (S - R) / N.
    """
    n = len(psi)
    drive = psi.sum(axis=0) + excess + h * v.sum(axis=0)
    size = np.abs(drive)
    a, b = h * n, 1.0 - h * n * gamma
    S = np.maximum(size, 1e-3)
    for _ in range(60):
        change = (a * S**3 + b * S - size) / np.maximum(3 * a * S**2 + b, 1e-9)
        S = S - change
        if np.all(np.abs(change) < 1e-13 * (1.0 + np.abs(S))):
            break
    turned = np.where(size > 0, drive / np.where(size > 0, size, 1.0), 1.0)
    return np.asarray(psi + h * v + (S * turned - drive) / n)


def run_through(x: Array, stages: tuple[Stage, ...], latency: int, optics: Optics) -> Ended:
    """All frames of starts x (N, starts), one after the other."""
    loop = Loop(x, stages, latency)
    for _ in range(loop.frames):
        loop.advance(optics)
    return loop.ended()

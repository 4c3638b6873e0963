"""What a bench's mode decides: how light is set up, what a frame is, and how a run is cut into steps."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.client import Bench, ConfigurationError
from protocols.domino.table.bands import Bands
from protocols.domino.table.condensates.injection_setup import set_up_injection
from protocols.domino.table.condensates.shot_setup import set_up_shot
from protocols.domino.table.measured import Measured
from protocols.domino.table.rig import Rig, plan_of
from protocols.domino.table.setting_up import SetUp, set_up
from simulators.physics.domino.locked_flow import Stage

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

READ_WINDOWS = 100
"""Locks of mode "shot" that are read in the end, as of the ideal loop."""


class TableOptics(Protocol):
    """Light that is set up. jitter_rad: noise that is written on every node's phase (rms), another in each frame."""

    jitter_rad: float

    def measure(self, psi: Complex) -> Measured:
        """See `Optics`."""

    def exact(self, psi: Complex) -> Complex:
        """v (N, starts) of fields (N, starts), had light no errors."""


class WithoutErrors:
    """What the same light would be without errors, as `Optics`."""

    def __init__(self, optics: TableOptics) -> None:
        self._optics = optics

    def measure(self, psi: Complex) -> Measured:
        """Of fields (N, starts)."""
        count = psi.shape[1]
        sure = np.ones(count, np.bool_)
        return Measured(self._optics.exact(psi), psi.sum(axis=0), sure, sure, np.zeros(count), np.ones(count))


def rig_for(bench: Bench, W: Array) -> Rig:
    """For couplings W (N, N). Errors as `Rig`; ConfigurationError where condensates would couple to themselves."""
    mode = plan_of(bench).mode
    if mode == "optoelectronic":
        return Rig(bench, len(W), Bands(W).count)
    if np.diag(W).any():
        raise ConfigurationError(
            f"bench {bench.name} has mode {mode!r}, in which a node's coupling to itself is not told from its own "
            "light: leave out weights=node, or take an optoelectronic bench, such as benches/domino-sim.toml"
        )
    return Rig(bench, len(W), len(W))


def set_up_light(rig: Rig, W: Array, rng: np.random.Generator) -> tuple[TableOptics, SetUp]:
    """As the bench's mode wants it, within `Rig.light`. Raises CalibrationError where it cannot be."""
    match rig.plan.mode:
        case "shot":
            return set_up_shot(rig, W, rng)
        case "injection":
            return set_up_injection(rig, W, rng)
        case _:
            return set_up(rig, W, rng)


def stages_on(stages: tuple[Stage, ...], window: float | None, windows: int) -> tuple[Stage, ...]:
    """Steps of a run, which are ``stages`` but where light itself evolves for a window. windows: as many of these."""
    if window is None:
        return stages
    return (Stage(windows, window, 1, stages[0].gamma, min(READ_WINDOWS, windows)),)


def windows_of(stages: tuple[Stage, ...], window: float | None) -> int:
    """So many windows last as long as the first of stages, and are then read."""
    return 0 if window is None else round(stages[0].steps * stages[0].h / window) + READ_WINDOWS

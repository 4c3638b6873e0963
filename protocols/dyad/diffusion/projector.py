"""The projector over a lattice: which of its pixels lie on which dyad, and exposures that add both lights.

Each dyad has a block of projector pixels on its second site. What is read is the difference of the second site and the
first one: the image is on one of them, and what the pump does to both cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labctl.client import Bench, CalibrationError, LimitError
from protocols.dyad.table.lattice import DyadLattice

Array = npt.NDArray[np.float64]
Expose = Callable[[int], Array]
"""Frames to differences (frames, n) of sites, electrons."""

PROJECTOR_ROLES = ("projector", "lamp")

_DARK = 60
_STRIPE = 4
"""Projector pixels of a stripe by which places are found."""
_FAR_PX = 1.0
"""Projector pixels that places may lie off one affine map, rms."""
_HALF_HIGH = 5
"""Half the height of a block, projector pixels."""


class LitLattice(DyadLattice):
    """A lattice that is exposed for long, pump and lamp as they are."""

    @contextmanager
    def exposing(self, exposure_s: float) -> Iterator[Expose]:
        """Free-running pump pulses in exposures of this length; dark is measured first, pump and lamp off."""
        camera, pump = self._bench.camera, self._bench.pump
        before_s = float(camera.exposure_s)
        self._bench.lamp.emission = False
        pump.modulation = "pulsed"
        camera.exposure_s = exposure_s
        pump.power_w = self.power_w
        try:
            dark = self._dark_sums(_DARK)

            def sites(frames: int) -> Array:
                return self._burst(frames, dark)[0] * self._gain

            self._sites = sites
            yield lambda frames: np.asarray(np.diff(sites(frames), axis=2)[..., 0])
        finally:
            camera.exposure_s = before_s
            pump.modulation = "external"

    def both_sites(self, frames: int) -> Array:
        """Electrons (frames, n, 2), within `exposing`."""
        return self._sites(frames)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Of each dyad the projector pixels on its second site: rows and columns from, to (n, 4), and the panel's size.

    levels: gray levels of a turn; 0 if the panel takes any phase.
    """

    edges: npt.NDArray[np.int64]
    panel: tuple[int, int]
    residual_px: float
    levels: int = 0

    def pattern(self, light: Array) -> Array:
        """Phases (rows, columns) that give blocks these shares (n,) of the lamp's light, 0 to 1; dark elsewhere.

        A gray level is 1.2 % of the light, which is too coarse: of a block's pixels, scattered over it, so many are a
        level above that their mean is right.
        """
        phase = np.zeros(self.panel)
        order = np.random.default_rng(0)  # any will do, and the same one makes the same pattern
        for (top, bottom, left, right), share in zip(self.edges, light, strict=True):
            wanted = 2 * math.asin(math.sqrt(float(share)))
            if not self.levels:
                phase[top:bottom, left:right] = wanted
                continue
            step = 2 * math.pi / self.levels
            low = min(math.floor(wanted / step + 1e-9), math.ceil(math.pi / step) - 1)
            below, above = (math.sin((low + k) * step / 2) ** 2 for k in (0, 1))
            pixels = (bottom - top) * (right - left)
            raised = round(pixels * (share - below) / (above - below))
            block = np.full(pixels, low * step)
            block[order.permutation(pixels)[:raised]] += step
            phase[top:bottom, left:right] = block.reshape(bottom - top, right - left)
        return phase


def show(bench: Bench, phase: Array) -> None:
    """Write a pattern, and wait until it is there."""
    bench.projector.write(phase)
    bench.projector.settle()


def lamp(bench: Bench, power_w: float) -> float:
    """The lamp at a power, or the next one that it has; off at 0. Returns the power as it is read back, W.

    LimitError beyond what it may give.
    """
    if power_w:
        limits = bench.lamp.limits("power_w")
        most = limits.maximum if limits.maximum is not None else math.inf
        if power_w > most:
            raise LimitError(
                f"the lamp would need {power_w:.3g} W, its limit is {most:.3g} W: choose a longer exposure_s, in which "
                "its light grows faster than the noise, fewer steps, or a brighter lamp"
            )
        bench.lamp.power_w = power_w
        power_w = float(bench.lamp.power_w)
    bench.lamp.emission = bool(power_w)
    return power_w


def find_blocks(bench: Bench, lattice: LitLattice, power_w: float) -> Blocks:
    """Stripes across the panel, then down it, and which dyads they light. The pump is off, within `exposing`.

    Raises CalibrationError where that is no affine map of the camera, or a block would leave the panel.
    """
    panel = (int(bench.projector.rows), int(bench.projector.columns))
    lamp(bench, power_w)
    found = np.stack([_along(bench, lattice, panel, axis) for axis in (0, 1)], axis=-1)
    lamp(bench, 0.0)
    seen = lattice.places.reshape(-1, 2)
    known = np.column_stack([np.ones(len(seen)), seen])
    affine, *_ = np.linalg.lstsq(known, found.reshape(-1, 2), rcond=None)
    places = (known @ affine).reshape(-1, 2, 2)
    residual = float(np.sqrt(((places - found) ** 2).mean()))
    if residual > _FAR_PX:
        raise CalibrationError(
            f"the projector's stripes light the dyads {residual:.2g} of its pixels off an affine map; at most "
            f"{_FAR_PX:g} is allowed: focus it, raise the lamp's power, or look for what blocks it"
        )
    half = np.array([_HALF_HIGH, np.abs(places[:, 1, 1] - places[:, 0, 1]).mean() / 2])
    low = np.rint(places[:, 1] - half + 0.5).astype(np.int64)
    high = np.rint(places[:, 1] + half + 0.5).astype(np.int64)
    if low.min() < 0 or np.any(high > panel):
        raise CalibrationError("the projector's image does not cover the lattice: move it, or choose fewer dyads")
    edges = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=1)
    return Blocks(edges, panel, residual, int(bench.projector.levels))


def _along(bench: Bench, lattice: LitLattice, panel: tuple[int, int], axis: int) -> Array:
    """Row, or column, of the projector (n, 2) whose light falls on each site."""
    begins = np.arange(0, panel[axis], _STRIPE)
    light = []
    for begin in begins:
        pattern = np.zeros(panel)
        across = [slice(None), slice(None)]
        across[axis] = slice(begin, begin + _STRIPE)
        pattern[tuple(across)] = math.pi
        show(bench, pattern)
        light.append(lattice.both_sites(1)[0])
    answer = np.stack(light)
    brightest = answer.argmax(axis=0)
    middle = begins + (_STRIPE - 1) / 2
    # The centre of what is about the brightest stripe; the other site's light, told apart by weights, does not count.
    near = np.abs(np.arange(len(begins))[:, None, None] - brightest) <= 2
    weight = np.where(near, np.maximum(answer, 0.0), 0.0)
    return np.asarray((weight * middle[:, None, None]).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-9))

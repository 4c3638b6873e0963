"""The pump's spots on the camera: where the plan has them, where they are, and how they are made equally bright.

The pump is continuous and so weak that nothing condenses; the camera sees the spots themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from calibration.spot_lattice import Lattice, located
from calibration.spot_search import find_light
from calibration.superpixels import Shown, Spot
from calibration.wavefront_fit import panel_phase
from calibration.wavefront_layouts import hologram_station
from labctl.client import Bench, CalibrationError
from protocols.dyad.table.alignment import DyadAlignment
from protocols.dyad.table.flattening import MODES, flattened, shapes
from protocols.dyad.table.hologram import SpotHologram

Array = NDArray[np.float64]

SEARCH_PX = 45
"""Camera pixels either way within which the lattice's middle must be."""
FIRST_W = 2e-4
"""Power of the pump when all of it goes to one spot."""
LOOK_W = 2e-3
"""Power of the pump when the lattice is looked at."""
IRREGULAR = 1
"""Units by which each dyad is moved off the lattice, at random but always alike. Spots of a regular lattice beat with
one another into few ghosts, which lie on the lattice, too, and condense; this spreads them over more places, where they
are three times as dim."""
EVEN_ENOUGH = 0.008
"""Rms of the spots' powers at which they are not made more even: orientations tell the rest."""
_ASTRAY_PX = 3
"""How far from its place in the lattice a spot may excite most."""
_MOST_ROUNDS = 5
_FRAMES = 4
_SHARPENED = 9
"""Dyads, those in the middle, whose spots are made sharp."""
_GLANCED = 2
"""Frames at each step on the way to sharp spots."""
_SCALE_LIMIT = 0.05


@dataclass(frozen=True, eq=False)
class PlannedSpots:
    """m = 2 n spots, those of a dyad side by side. size: of the transform, SLM pixels. units: (m, 2) rows and columns
    from the zeroth order, lambda f / size. places: (m, 2) camera pixels from the lattice's centre. unit_px: a unit on
    the camera. shape: rows and columns of dyads."""

    size: int
    units: Array
    places: Array
    unit_px: float
    shape: tuple[int, int]

    @property
    def dyads(self) -> Array:
        """Middles (n, 2) of the dyads, camera pixels from the lattice's centre."""
        return np.asarray(self.places.reshape(-1, 2, 2).mean(axis=1))


def planned_spots(bench: Bench, plan: DyadAlignment) -> PlannedSpots:
    """The lattice of the bench file, in units of the hologram's transform and on the camera."""
    slm, camera = bench.slm, bench.camera
    hologram: Any = bench.alignment("hologram")
    size = 2 * 2 ** math.ceil(math.log2(max(slm.rows, slm.columns)))
    wavelength_focal = float(bench.pump.wavelength_m) * hologram.focal_length * 1e-3
    unit_px = wavelength_focal / (size * float(slm.pixel_pitch_m) * float(camera.pixel_pitch_m))
    i, j, side = np.meshgrid(
        np.arange(plan.rows) - (plan.rows - 1) / 2,
        np.arange(plan.columns) - (plan.columns - 1) / 2,
        np.array([-0.5, 0.5]),
        indexing="ij",
    )
    steps = np.stack([i * plan.pitch.row, j * plan.pitch.column + side * plan.separation], axis=-1).reshape(-1, 2)
    moved = np.random.default_rng(plan.rows * plan.columns).integers(-IRREGULAR, IRREGULAR + 1, (len(steps) // 2, 2))
    steps += np.repeat(moved, 2, axis=0)
    centre = np.array([plan.centre.row, plan.centre.column])
    # Whole units, and whole differences between them: all dyads are alike.
    offset = np.rint(centre / unit_px + steps[0]) - steps[0]
    units = offset + steps
    return PlannedSpots(size, units, units * unit_px - centre, unit_px, (plan.rows, plan.columns))


@dataclass(frozen=True, eq=False)
class FoundSpots:
    """places: (m, 2) camera pixels. powers: (m,) relative, that make the spots even. uneven: (rounds,) rms of the
    spots' powers before each round of the camera's feedback. residual_px: rms distance from a lattice. aberration:
    (modes,) amplitudes of `flattening.MODES`, rad rms, that make the spots sharp, besides a wavefront in force."""

    places: Array
    powers: Array
    uneven: Array
    residual_px: float
    aberration: Array


def find_spots(bench: Bench, plan: DyadAlignment, planned: PlannedSpots, hologram: SpotHologram) -> FoundSpots:
    """Look where one spot arrives, then the lattice; make the spots sharp, then even. The pump is dark afterwards.

    Raises CalibrationError that names the likely cause where light is not where it must be.
    """
    slm, camera, pump = bench.slm, bench.camera, bench.pump
    centre = (plan.centre.row, plan.centre.column)
    at = replace(hologram_station(bench, (1, 1), 4, FIRST_W, centre))
    flat = wavefront(bench)
    spot = Spot(camera, at.switch)
    pump.modulation = "cw"
    modes = shapes((int(slm.rows), int(slm.columns)))
    aberration = np.zeros(len(MODES))

    def show(relative: Array, aberration: Array) -> Array:
        phase = hologram.phase(relative)
        slm.write(np.mod(phase - flat - np.tensordot(aberration, modes, 1), 2 * math.pi))
        slm.settle()
        return phase

    with at.switch.light(FIRST_W):
        place, _ = find_light(at, SEARCH_PX, Shown(slm, at.layout), spot)
        relative = np.ones(len(planned.units))
        phase = show(relative, aberration)
        half_dyad = max(3, math.floor(0.45 * min(plan.pitch.row, plan.pitch.column) * planned.unit_px))
        half = max(2, math.floor(0.42 * plan.separation * planned.unit_px))
        spot.look(place[0], place[1], *_region(planned, half_dyad))
        at.switch.power = LOOK_W
        spot.meter(0.4, 0.001, "of the spots")
        corner = np.array([spot.roi.row, spot.roi.column])
        image = spot.take(_FRAMES)
        lattice = _located(image, planned, np.array(place) - corner, half_dyad, half)
        width_px = plan.mode * plan.separation * planned.unit_px
        if plan.flatten:
            at_px = lattice.places + corner
            near = np.argsort(np.abs(planned.dyads).max(axis=1), kind="stable")[:_SHARPENED]
            some = at_px.reshape(-1, 2, 2)[near].reshape(-1, 2)
            low, high = some.min(axis=0) - half_dyad, some.max(axis=0) + half_dyad
            middle, size = (low + high) / 2, 2 * np.ceil((high - low) / 2).astype(int) + 1
            spot.look(round(middle[0]), round(middle[1]), int(size[0]), int(size[1]))
            seen = some - (spot.roi.row, spot.roi.column)

            def sharpness(added: Array) -> float:
                show(relative, added)
                image = spot.take(_GLANCED)
                return float(pumping(image, seen, width_px).sum() / image.sum())

            aberration = flattened(sharpness)
            phase = show(relative, aberration)
            spot.look(place[0], place[1], *_region(planned, half_dyad))
            lattice = _located(spot.take(_FRAMES), planned, np.array(place) - corner, half_dyad, half)
        uneven = []
        best: tuple[float, Array] = (math.inf, relative)
        for _ in range(_MOST_ROUNDS):
            found = pumping(spot.take(_FRAMES), lattice.places, width_px)
            spread = float(found.std() / found.mean())
            uneven.append(spread)
            best = min(best, (spread, relative), key=lambda pair: pair[0])
            if spread < EVEN_ENOUGH:
                break
            if len(uneven) == 1:  # most of it is the beam's shape, which no spot is to blame for
                hologram.learn_beam(phase, found, bench.renew)
            else:
                # A spot that is hardly there asks for more, but not for everything.
                relative = relative * np.clip(found.mean() / np.maximum(found, 1e-9), 0.5, 2.0)
                relative /= relative.mean()
            show(relative, aberration)
    return FoundSpots(lattice.places + corner, best[1], np.array(uneven), lattice.residual_px, aberration)


def pumping(image: Array, places: Array, sigma_px: float) -> Array:
    """What spots near places (m, 2) of an image (rows, columns) excite, (m,): their light, weighted by the distance
    from where that is the most.

    A condensate stands where the pump excites it most, and sees what is within its mode; an aberrated spot has much of
    its light elsewhere, and so have its neighbours, whose light interferes with its own.
    """
    excited = 2 * math.pi * sigma_px**2 * gaussian_filter(image, sigma_px, mode="constant")
    found = np.empty(len(places))
    for k, (row, column) in enumerate(np.rint(places).astype(int)):
        near = excited[
            max(row - _ASTRAY_PX, 0) : row + _ASTRAY_PX + 1, max(column - _ASTRAY_PX, 0) : column + _ASTRAY_PX + 1
        ]
        found[k] = near.max()
    return found


def wavefront(bench: Bench) -> Array | float:
    """The table's aberrations (SLM rows, columns), rad, that are taken out of every pattern; 0 if none is in force."""
    if bench.calibrations().find("slm.wavefront", bench.name) is None:
        return 0.0
    pixels = (np.arange(n, dtype=np.float64) for n in (bench.slm.rows, bench.slm.columns))
    return panel_phase(bench.calibration("slm.wavefront"), *pixels)


def _region(planned: PlannedSpots, half_px: int) -> tuple[int, int]:
    """Rows and columns of the camera that hold the lattice, turned a little and of another scale."""
    reach = np.abs(planned.places).max(axis=0)
    reach = reach * (1 + _SCALE_LIMIT) + 0.03 * reach[::-1] + 2 * half_px
    return 2 * math.ceil(reach[0]) + 1, 2 * math.ceil(reach[1]) + 1


def _located(image: Array, planned: PlannedSpots, middle: Array, half_dyad: int, half: int) -> Lattice:
    """First by whole dyads, whose boxes are large; then spot by spot."""
    limit = max(1.5, 0.3 * half_dyad)
    dyads = planned.dyads + middle
    matrix, shift = np.eye(2), middle
    if len(dyads) > 2:
        for _ in range(3):
            found = located(image, dyads, half_dyad, limit)
            # A dyad at the edge of its box tells of less than the whole way.
            matrix, shift = found.matrix @ matrix, found.matrix @ (shift - dyads.mean(axis=0)) + found.shift
            dyads = found.places
        if np.linalg.det(matrix) < 0:
            raise CalibrationError(
                "the lattice is mirrored: an image is flipped, by a mirror more or less than planned"
            )
        scale = math.sqrt(abs(float(np.linalg.det(matrix))))
        if abs(scale - 1) > _SCALE_LIMIT:
            raise CalibrationError(
                f"the lattice has {scale:.3f} times the size that is planned: another lens; check the focal length"
            )
    expected = planned.places @ matrix.T + shift
    return located(image, expected, half, max(1.0, 0.25 * half))

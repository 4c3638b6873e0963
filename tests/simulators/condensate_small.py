"""A condensate table with a small panel and few dyads, and holograms for it made without any client."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import ROI
from simulators.clock import VirtualClock
from simulators.worlds.condensates import CondensateParameters, CondensateWorld
from simulators.worlds.hologram.truth import panel_wavefront
from simulators.worlds.pumps import MODULATIONS

UNITS = 512
"""Of the hologram's transform: twice the panel."""
ROWS, COLUMNS, ROW_STEP, COLUMN_STEP, APART = 2, 3, 14, 21, 7
CENTRE = (-100, 130)
"""Camera pixels from the zeroth order."""
REGION = ROI(row=1080 - 100 - 40, column=1280 + 130 - 64, rows=80, columns=128)

SMALL: dict[str, Any] = {
    "slm": {"rows": 256, "columns": 256},
    "beam": {"waist": "0.8 mm"},
    "optics": {"focal_length": "50 mm"},
    "sample": {"mesa": {"row": -100, "column": 130, "rows": 120, "columns": 170}},
}


def small_table(**changes: Any) -> CondensateWorld:
    """A table with the camera and the SLM on it, in virtual time."""
    given = dict(SMALL)
    for section, values in changes.items():
        given[section] = given[section] | values if isinstance(values, dict) and section in given else values
    world = CondensateWorld(CondensateParameters.model_validate(given), VirtualClock())
    world.begin("test")
    world.attach("slm", "slm")
    world.attach("camera", "camera")
    return world


def unit_px(world: CondensateWorld) -> float:
    """A unit of the transform on the camera."""
    p = world.parameters
    return p.wavelength_focal_m2 / (UNITS * p.slm.pitch * p.camera.pitch)


def pair_units(
    world: CondensateWorld, rows: int = ROWS, columns: int = COLUMNS, column_step: int = COLUMN_STEP, apart: int = APART
) -> NDArray[np.float64]:
    """Spots (2 rows columns, 2) of a lattice of dyads around `CENTRE`, in units of the transform."""
    middle = np.rint(np.array(CENTRE) / unit_px(world))
    return np.array(
        [
            middle + np.array([(i - rows // 2) * ROW_STEP, (j - columns // 2) * column_step + k * apart])
            for i in range(rows)
            for j in range(columns)
            for k in (0, 1)
        ]
    )


def hologram(
    world: CondensateWorld, units: NDArray[np.float64], rounds: int = 25, amplitudes: NDArray[np.float64] | None = None
) -> NDArray[np.uint8]:
    """Gray levels (rows, columns) that send light of amplitudes (n,), even if not given, to spots at units (n, 2).

    Aberrations are known; what the panel's gray levels and the spots' places between pixels change is not.
    """
    wanted = np.ones(len(units)) if amplitudes is None else amplitudes
    p = world.parameters
    n, rng = p.slm.rows, np.random.default_rng(1)
    at = tuple(np.mod(units.T, UNITS).astype(int))
    inside = slice((UNITS - n) // 2, (UNITS + n) // 2)
    x = (np.arange(n) - (n - 1) / 2) * p.slm.pitch
    beam = np.exp(-(x[:, None] ** 2 + x[None, :] ** 2) / p.beam.waist**2)
    phase, weight = rng.uniform(0, 2 * math.pi, len(units)), wanted.copy()
    angle = np.zeros((n, n))
    for _ in range(rounds):
        far = np.zeros((UNITS, UNITS), complex)
        far[at] = weight * np.exp(1j * phase)
        angle = np.angle(np.fft.fftshift(np.fft.ifft2(far))[inside, inside])
        near = np.zeros((UNITS, UNITS), complex)
        near[inside, inside] = beam * np.exp(1j * angle)
        spots = np.fft.fft2(np.fft.ifftshift(near))[at]
        phase = np.angle(spots)
        reached = np.abs(spots) / wanted
        weight *= reached.mean() / reached
    return np.mod(np.rint((angle - panel_wavefront(p)) / (2 * math.pi) * 256), 256).astype(np.uint8)


def show_ratios(world: CondensateWorld, units: NDArray[np.float64], ratio: float = 1.0) -> None:
    """Pairs whose second site is pumped ``ratio`` times as strongly as the first, as the world's own truth has it.

    A hologram alone leaves them some per cent uneven, and which of them depends on the last bits of its transforms.
    """
    wanted = np.tile([1.0, ratio], len(units) // 2)
    amplitudes = np.sqrt(wanted)
    for _ in range(8):
        show(world, hologram(world, units, amplitudes=amplitudes))
        sites = world.sites(world.clock.now_ns() * 1e-9)
        reached = sites.pumping[0] / wanted
        amplitudes = amplitudes * np.sqrt(reached.mean() / reached)


def show(world: CondensateWorld, gray: NDArray[np.uint8]) -> None:
    """Write, and wait until the panel is at rest."""
    at_ns = world.write(gray, 0, 0)
    world.clock.sleep_until(at_ns + 500_000_000)


def pump(world: CondensateWorld, modulation: str, power_w: float) -> None:
    """The pump on."""
    world.state["pump_modulation"] = MODULATIONS.index(modulation)
    world.state["pump_power_w"] = power_w
    world.state["pump_emission"] = power_w > 0


def power_for(world: CondensateWorld, gamma: float) -> float:
    """Power of the laser at which the sites are pumped so on the average."""
    return gamma / float(world.sites(world.clock.now_ns() * 1e-9).pumping[0].mean())


def frames(world: CondensateWorld, count: int, exposure_s: float = 2e-3, region: ROI = REGION) -> NDArray[Any]:
    """A burst (count, rows, columns)."""
    dtype = np.float64 if world.parameters.camera.ideal else np.uint16
    out = np.empty((count, region.rows, region.columns), dtype)
    numbers, _, _ = world.burst("camera", round(exposure_s * 1e9), 1_000_000, region, out)
    assert len(numbers) == count
    return out


def at_sites(world: CondensateWorld, images: NDArray[Any], half: int = 4) -> NDArray[np.float64]:
    """Sums (frames, sites) of images around each site."""
    places = world.sites(world.clock.now_ns() * 1e-9).places
    corner = np.rint(places).astype(int) - (REGION.row, REGION.column) - half
    side = 2 * half + 1
    return np.stack([images[:, r : r + side, c : c + side].sum(axis=(1, 2)) for r, c in corner], axis=1).astype(float)

"""A small multiplier in virtual time, its macro-pixels, and its bands read as complex numbers, without any client."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import ROI
from simulators.clock import VirtualClock
from simulators.worlds.multiplier import MultiplierParameters, MultiplierWorld

NODES = 5
WIDTH, FIRST_COLUMN = 16, 24
BAND, FIRST_ROW = 8, 4
COLUMNS, ROWS = 128, 96
PITCH = 2 * 8 / 6.5
"""Camera rows of a row of couplings."""

SMALL: dict[str, Any] = {"slm": {"columns": COLUMNS}, "coupling": {"rows": ROWS, "columns": COLUMNS}}
EVEN: dict[str, Any] = {
    "ideal": True,
    "beam": {"waist": "1 m"},
    "optics": {"spread": "1 m"},
    "reference": {"waist": "1 m"},
}
"""The table of the equations, in light that is the same everywhere."""


def table(**changes: Any) -> MultiplierWorld:
    """A table with both panels and the camera on it, both arms emitting."""
    given = dict(SMALL)
    for section, values in changes.items():
        given[section] = given[section] | values if isinstance(values, dict) and section in given else values
    world = MultiplierWorld(MultiplierParameters.model_validate(given), VirtualClock())
    world.begin("test")
    for device, what in (("slm", "slm"), ("coupler", "coupling"), ("camera", "camera")):
        world.attach(device, what)
    light(world, 0.1, 0.1)
    return world


def light(world: MultiplierWorld, pump_w: float, reference_w: float) -> None:
    """What both arms emit."""
    for port, power_w in (("pump", pump_w), ("reference", reference_w)):
        world.state[f"{port}_emission"], world.state[f"{port}_power_w"] = power_w > 0, power_w


def levels(world: MultiplierWorld, phase: NDArray[np.float64]) -> NDArray[Any]:
    """Gray levels as the panels were delivered."""
    turns = np.mod(phase / (2 * math.pi), 1.0)
    if world.parameters.slm.levels is None:
        return np.asarray(turns * 256)
    return np.asarray(np.rint(turns * 256) % 256, np.uint8)


def strip_phase(psi: NDArray[np.complex128]) -> NDArray[np.float64]:
    """A vector as theta +- arccos of its amplitude, column by column; nothing outside its macro-pixels."""
    node = (np.arange(COLUMNS) - FIRST_COLUMN) // WIDTH
    there = (node >= 0) & (node < len(psi))
    value = np.where(there, psi[np.clip(node, 0, len(psi) - 1)], 0)
    phase = np.angle(value) + np.arccos(np.abs(value)) * (-1.0) ** np.arange(COLUMNS)
    return np.tile(phase, (4, 1))


def coupling_phase(M: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bands of couplings (bands, nodes), of 0 to 1, which alternate by pairs of columns and by rows."""
    node, band = (np.arange(COLUMNS) - FIRST_COLUMN) // WIDTH, (np.arange(ROWS) - FIRST_ROW) // BAND
    inside = ((band >= 0) & (band < len(M)))[:, None] & ((node >= 0) & (node < M.shape[1]))[None, :]
    value = np.where(inside, M[np.clip(band, 0, len(M) - 1)][:, np.clip(node, 0, M.shape[1] - 1)], 0)
    sign = (-1.0) ** (np.arange(ROWS)[:, None] + np.arange(COLUMNS)[None, :] // 2)
    return np.asarray(np.arccos(value) * sign)


def show(world: MultiplierWorld, psi: NDArray[np.complex128], M: NDArray[np.float64]) -> None:
    """Write both panels, and wait until they are at rest."""
    world.write(levels(world, strip_phase(psi)), 0, 0)
    world.couple(levels(world, coupling_phase(M)), 0, 0)
    world.clock.sleep_until(world.clock.now_ns() + 500_000_000)


def region(columns: int = 1) -> ROI:
    """Camera rows of all couplings, around the line of zero frequency."""
    rows = round(ROWS * PITCH)
    return ROI(row=1080 - rows // 2, column=1280 - columns // 2, rows=rows, columns=columns)


def picture(world: MultiplierWorld, roi: ROI | None = None, exposure_s: float = 1e-3) -> NDArray[np.float64]:
    """Electrons (rows, columns) expected now."""
    roi = roi or region()
    return world.mean_electrons(world.clock.now_ns(), exposure_s, roi.row, roi.column, roi.rows, roi.columns)


def fringes(world: MultiplierWorld) -> NDArray[np.float64]:
    """Electrons (rows,) of E R* alone, in the middle column."""
    both = picture(world)
    pump_w, reference_w = world.pump_power_w("pump"), world.pump_power_w("reference")
    light(world, pump_w, 0.0)
    alone = picture(world)
    light(world, 0.0, reference_w)
    other = picture(world)
    light(world, pump_w, reference_w)
    return np.asarray((both - alone - other)[:, 0])


def bands(world: MultiplierWorld, count: int, margin: float = 1.5) -> NDArray[np.complex128]:
    """Complex fields (count,) of bands: fringes 2 Re(E R*) fitted inside each, in units of their own."""
    term, rows = fringes(world), region().row + np.arange(region().rows)
    at = (rows - 1080) / PITCH + (ROWS - 1) / 2  # rows of couplings
    waves = np.exp(-2j * math.pi * world.parameters.reference.carrier_rows * (rows - 1080))
    found = np.empty(count, np.complex128)
    for b in range(count):
        first = FIRST_ROW + b * BAND - 0.5
        inside = (at > first + margin) & (at < first + BAND - margin)
        design = np.stack([waves[inside].real, -waves[inside].imag], axis=1)
        real, imaginary = np.linalg.lstsq(design, term[inside], rcond=None)[0]
        found[b] = complex(real, imaginary)
    return found


def scaled(found: NDArray[np.complex128], wanted: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Measured fields times the one factor that brings them closest to the wanted ones."""
    return np.asarray(found * (np.vdot(found, wanted) / np.vdot(found, found)))

"""What one macro-pixel is worth in a slit of the camera, by the equations of the table and what is hidden in it.

Fields add up along the plain road (`simulators.physics.far_field`); nothing here knows how the routine measures.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labctl.client import Calibration
from simulators.physics.far_field import intensity, row_fields, square
from simulators.physics.fourier_plane import NODES_PER_PIXEL, gauss_legendre
from simulators.physics.fringing import blurred
from simulators.worlds.parts.truth import TILES, gray_phases, tile_of
from simulators.worlds.prbm import PrbmParameters
from simulators.worlds.prbm.optics import Optics, OpticsInTime, camera_window
from simulators.worlds.prbm.source import SourceInTime
from simulators.worlds.prbm.truth import hidden_table

PLANCK_J_S, LIGHT_M_S = 6.62607015e-34, 299792458.0
ZERO, PI = 0, 128
"""Gray levels that the panel is sent for phases 0 and pi."""

_STRIPE, TURN = 8, 255


class MacroPixel(NamedTuple):
    """unit_counts_per_s: of one band whose field is one macro-pixel. bias: of a local field, in macro-pixels."""

    unit_counts_per_s: float
    bias: float


class _Table:
    """The table at the time of a calibration, seen through its slit; parts are sets of panel columns."""

    def __init__(self, p: PrbmParameters, power_fraction: float, found: Calibration) -> None:
        self.p = p
        time_s = float(found.conditions["time"].number)
        self.optics: Optics = OpticsInTime(p).at(time_s)
        quiet = SourceInTime(p.model_copy(update={"noise": False}))
        share = quiet.emitted(power_fraction) * quiet.common(time_s, 0.0)
        self._coupling = self.optics.coupling(np.full(len(self.optics.samples_m), share))
        self._region = (
            int(found.conditions["slit_row"].number),
            int(found.conditions["slit_column"].number),
            int(found.number("slit_rows")),
            int(found.number("slit_columns")),
        )
        panel = hidden_table(p).panel
        down = tile_of(np.arange(p.slm.rows), p.slm.rows, TILES[0])[:, None]
        across = tile_of(np.arange(p.slm.columns), p.slm.columns, TILES[1])[None, :]
        self._phase_of = gray_phases(p, panel, np.arange(256))[down, across]
        per_joule = p.camera.quantum_efficiency * p.mean_wavelength_m / (PLANCK_J_S * LIGHT_M_S)
        self._counts = p.optics.camera_attenuation * per_joule / p.camera.electrons_per_count

    def counts_per_s(self, gray: NDArray[np.int64]) -> float:
        """Of the slit, above dark, for gray levels (rows, columns) of the panel."""
        phase = np.take_along_axis(self._phase_of, gray[:, :, None], axis=2)[:, :, 0]
        o = self.optics
        inner = blurred(o.lit(phase), o.down, o.across)[1:-1]
        phasors = np.exp(1j * o.scale[:, None, None, None] * inner)
        return self._over_slit(
            lambda x, y: sum(
                intensity(o.amplitude * part, y, o.kappa, self.p.slm.pitch, self._coupling)
                for part in row_fields(x, y, o.kappa, o.pupil, phasors, o.panel, o.unmodulated)
            )
        )

    def product(self, rows: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
        """Counts per second of 2 Re(E F*) / 2, E and F the fields that two sets of columns turn with their sign."""
        o = self.optics
        turned = (1 - np.exp(1j * o.scale[:, None] * self._phase_of[o.first_row :][: o.rows, :, PI])) / 2
        inside = np.isin(np.arange(o.rows) + o.first_row, rows)[:, None]

        def of(x: float, y: float) -> float:
            kx, ky = o.kappa * x, o.kappa * y
            pixel = square(kx, ky, o.panel.active_m) * o.amplitude
            field = o.pupil * turned * inside * np.exp(-1j * np.outer(kx, o.panel.columns_m)) * pixel[:, None]
            e, f = field[:, one].sum(axis=1), field[:, other].sum(axis=1)
            both, apart = (intensity(e + s * f, y, o.kappa, self.p.slm.pitch, self._coupling) for s in (1, -1))
            return (both - apart) / 4

        return self._over_slit(of)

    def _over_slit(self, light: object) -> float:
        window = camera_window(self.p, self.optics.pointing_m, self._region)
        nodes, weights = gauss_legendre(NODES_PER_PIXEL)
        total = 0.0
        for place in np.ndindex(*window.x_m.shape):
            for node, weight in zip(0.5 * window.width_m * nodes, weights, strict=True):
                total += weight * light(window.x_m[place] + node, window.y_m[place] + node * 0)  # type: ignore[operator]
        return total * window.area_m2 * self._counts


def macro_pixel(p: PrbmParameters, power_fraction: float, found: Calibration, blocks: int) -> MacroPixel:
    """True unit and bias for the slit of a ``prbm-window`` calibration, of a panel without crosstalk and flicker.

    Of ``blocks`` equal ones of the strip, in all bands, the middle one is the output spin and the others the inputs.
    """
    table, o = _Table(p, power_fraction, found), p.optics
    spins, width = int(found.conditions["spins"].number), int(found.conditions["pixels_per_spin"].number)
    size = (spins + 2) // blocks
    first = p.slm.columns // 2 - (spins + 2) * width // 2 + (spins + 2 - blocks * size) // 2 * width
    strip = np.arange(blocks * size * width)
    in_middle = strip // (size * width) == blocks // 2
    output, inputs = first + strip[in_middle], first + strip[~in_middle]

    rows = np.arange(o.first_row, o.first_row + o.bands * o.rows_per_wavelength)
    unit = table.product(rows, output, inputs) / (size * size * (blocks - 1) * o.bands)

    def signal(v: int, h: int) -> float:
        gray = np.tile(np.array([ZERO, PI, TURN, PI])[np.arange(p.slm.columns) // _STRIPE % 4], (p.slm.rows, 1))
        gray[rows[:, None], inputs] = ZERO if v > 0 else PI
        gray[rows[:, None], output] = ZERO if h > 0 else PI
        return table.counts_per_s(gray)

    contrasts = [signal(v, 1) - signal(v, -1) for v in (1, -1)]
    bias = sum(contrasts) / (8 * unit * size * o.bands)
    assert math.isfinite(bias)
    return MacroPixel(unit, bias)

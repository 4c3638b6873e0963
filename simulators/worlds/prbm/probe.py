"""What a detector in the focal plane sees: geometry of its pixels, and the fast and the plain road to its light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.frozen import fill
from simulators.physics.fourier_plane import (
    NODES_PER_PIXEL,
    add_patches,
    add_region,
    carrier_table,
    column_sums_chirp,
    column_sums_direct,
    column_sums_flat,
    line_power,
    pixel_nodes,
    square_pixel_envelope,
)
from simulators.worlds.parts.exposure import exposure_instants
from simulators.worlds.parts.panel import Panel
from simulators.worlds.prbm.parameters import PrbmParameters

WIDEST_FAST_COLUMNS = 64
"""Above this many camera columns a frame is transformed as a whole; below, running sums are cheaper."""

_LARGEST_TABLE = 6_000_000
"""Entries of a detector's table of carriers, 16 bytes each; wider detectors work them out."""

_WHOLE = np.ones(1)


@dataclass(frozen=True)
class Illumination:
    """How bands light the panel. Bands add incoherently, rows of one band coherently.

    wavelengths_m: (bands,) at the centre of each band. band_power_w: (bands,) reaching the panel at full source power.
    amplitude: (panel columns,) root of the fraction of a row's power that falls on each pixel.
    """

    wavelengths_m: NDArray[np.floating[Any]]
    band_power_w: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    first_row: int
    rows_per_band: int

    @classmethod
    def of(cls, p: PrbmParameters) -> Illumination:
        """From the table's parameters: linear dispersion, flat spectrum, Gaussian beam clipped by the panel."""
        pitch = p.slm.pitch
        edges = (np.arange(p.slm.columns + 1) - p.slm.columns / 2) * pitch
        if p.beam.waist == "uniform":
            fraction = np.full(p.slm.columns, 1.0 / p.slm.columns)
        else:
            fraction = 0.5 * np.diff([math.erf(math.sqrt(2) * x / float(p.beam.waist)) for x in edges])
        power = p.source.density * p.band_width_m * p.beam.transmission
        return cls(
            wavelengths_m=p.wavelengths_m,
            band_power_w=np.full(p.optics.bands, power),
            amplitude=np.sqrt(fraction),
            first_row=p.optics.first_row,
            rows_per_band=p.optics.rows_per_wavelength,
        )


@dataclass(frozen=True)
class Aperture:
    """Detector pixels in the focal plane, relative to the optical axis.

    columns_m: centres of the pixel columns. rows_m: points along the line, one per pixel row. area_m2: of one pixel.
    point: detection at the very centre of each instead of integration across it.
    """

    columns_m: NDArray[np.floating[Any]]
    rows_m: NDArray[np.floating[Any]]
    width_m: float
    area_m2: float
    point: bool = False


class Sums(NamedTuple):
    """A probe's running sums and geometry, as `simulators.physics.fourier_plane.line_power` wants them."""

    sums: NDArray[np.complex128]
    changed: NDArray[np.bool_]
    settled_terms: NDArray[np.complex128]
    settled_line: NDArray[np.float64]
    row_weights: NDArray[np.float64]
    cosines: NDArray[np.float64]
    sines: NDArray[np.float64]
    nodes_per_pixel: int
    column_weights: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    kappa_pitch: NDArray[np.float64]
    carriers: NDArray[np.complex128]
    lit_first_row: int
    rows_per_band: int


class Probe:
    """Light on one aperture.

    Keeps column sums of the panel's targets up to date through every write (fast road); `reference` transforms the
    whole pattern instead and shares nothing with it but the geometry and the pixels' motion.
    """

    def __init__(self, p: PrbmParameters, light: Illumination, panel: Panel, aperture: Aperture) -> None:
        self._p = p
        self._light = light
        self._panel = panel
        self.fast = len(aperture.columns_m) <= WIDEST_FAST_COLUMNS
        order = 1 if aperture.point else NODES_PER_PIXEL
        self._order = order
        self._resolved = (-1.0, -1.0)
        self._elapsed_s = self._instant_weights = _WHOLE
        self._aperture = aperture
        nodes, node_weights = pixel_nodes(aperture.columns_m, aperture.width_m, order)
        self._nodes_m = nodes.ravel()
        kappa = 2 * math.pi / (light.wavelengths_m * p.optics.focal_length)  # rad per m and m
        self._kappa = kappa
        pixel_m = math.sqrt(p.slm.fill_factor) * p.slm.pitch
        self._column_weights = (
            np.tile(node_weights, len(aperture.columns_m))[None, :]
            * square_pixel_envelope(np.outer(kappa, self._nodes_m), pixel_m) ** 2
        )
        # Irradiance of a pixel of power P on the panel: (P / pitch^2) (aperture area / (lambda f))^2, then power on a
        # detector pixel. The active area enters twice: it lets less light through and spreads it over a wider angle.
        spread_m2 = light.wavelengths_m * p.optics.focal_length
        if p.optics.equal_bands:
            spread_m2 = np.full_like(spread_m2, spread_m2.mean())
        on_axis = (pixel_m**2 / (p.slm.pitch * spread_m2)) ** 2
        scale = light.band_power_w / light.rows_per_band * p.slm.reflectance * p.optics.transmission
        kappa_y = np.outer(kappa, aperture.rows_m)
        self._row_weights = (scale * on_axis * aperture.area_m2)[:, None] * square_pixel_envelope(kappa_y, pixel_m) ** 2
        steps = np.arange(light.rows_per_band)[None, :, None] * kappa_y[:, None, :] * p.slm.pitch
        self._cosines, self._sines = np.cos(steps), np.sin(steps)
        self._kappa_pitch = np.outer(kappa, self._nodes_m) * p.slm.pitch
        if self.fast:
            narrow = self._kappa_pitch.size * p.slm.columns <= _LARGEST_TABLE
            self._carriers = carrier_table(self._kappa_pitch, p.slm.columns if narrow else 0)
            lit_rows = p.optics.bands * light.rows_per_band
            self._sums = np.zeros((lit_rows, len(self._nodes_m)), np.complex128)
            self._changed = np.ones(p.optics.bands, np.bool_)
            columns = len(aperture.columns_m)
            self._settled_terms = np.zeros((p.optics.bands, columns, light.rows_per_band), np.complex128)
            self._settled_line = np.zeros((columns, len(aperture.rows_m)))
            self._shares = np.empty(0)
            self._lit_weights = self._row_weights
            lit = panel.phase[light.first_row : light.first_row + lit_rows]
            # The sums of the panel at rest at phase 0 are known in closed form; the rest is a change from it.
            flat = np.zeros_like(lit)
            self._sums += np.repeat(self._flat_sums(), light.rows_per_band, axis=0)
            self.region_changes(flat, lit, light.first_row, 0)
            panel.listeners.append(self)

    def close(self) -> None:
        """Stop following the panel."""
        if self in self._panel.listeners:
            self._panel.listeners.remove(self)

    def _flat_sums(self) -> NDArray[np.complex128]:
        return column_sums_flat(self._light.amplitude, self._kappa_pitch)

    # --- following the panel --------------------------------------------------------------------------------------

    def region_changes(self, old: NDArray[np.float64], new: NDArray[np.float64], row: int, column: int) -> None:
        """Take over a region's change of targets, rad."""
        light = self._light
        add_region(
            self._sums,
            old,
            new,
            row,
            column,
            light.first_row,
            light.rows_per_band,
            light.amplitude,
            self._kappa_pitch,
            self._carriers,
            self._panel.phasors,
            self._changed,
        )

    def patches_change(
        self, panel_phase: NDArray[np.float64], origins: NDArray[np.int32], values: NDArray[np.float64]
    ) -> None:
        """Take over small changes, rad."""
        light = self._light
        add_patches(
            self._sums,
            panel_phase,
            origins,
            values,
            light.first_row,
            light.rows_per_band,
            light.amplitude,
            self._kappa_pitch,
            self._carriers,
            self._panel.phasors,
            self._changed,
        )

    # --- frozen state ---------------------------------------------------------------------------------------------

    def frozen(self, shares: NDArray[np.float64]) -> dict[str, Any] | None:
        """Sums, which keep the rounding of all changes; None of a wide probe, which has none. shares: of now."""
        if not self.fast:
            return None
        return {
            "sums": self._sums,
            "changed": self._changed,
            "terms": self._settled_terms,
            "line": self._settled_line,
            "lit": self._shares is shares,
        }

    def thaw(self, kept: Any, shares: NDArray[np.float64]) -> None:
        """Go on from `frozen`, on a panel that was thawed before."""
        if not self.fast:
            return
        self._light_with(shares if kept["lit"] else np.zeros_like(shares))
        for into, name in (
            (self._sums, "sums"),
            (self._changed, "changed"),
            (self._settled_terms, "terms"),
            (self._settled_line, "line"),
        ):
            fill(into, kept[name])

    # --- light ----------------------------------------------------------------------------------------------------

    def power(self, start_s: float, duration_s: float, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean power (rows, columns) on each detector pixel during an exposure, W; shares: (bands,) of full power."""
        if not self.fast or self._p.path == "reference":
            return self.reference(start_s, duration_s, shares)
        self._light_with(shares)
        times, weights = self._instants(start_s, duration_s)
        line = line_power(
            self._sums,
            self._changed,
            self._settled_terms,
            self._settled_line,
            self._lit_weights,
            self._cosines,
            self._sines,
            self._order,
            self._column_weights,
            self._light.amplitude,
            self._kappa_pitch,
            self._carriers,
            self._panel.phasors,
            self._light.first_row,
            self._panel.places,
            self._panel.motions,
            self._panel.moving,
            times,
            weights,
            self._p.slm.rise_time,
            self._p.slm.fall_time,
        )
        return line.T

    def _light_with(self, shares: NDArray[np.float64]) -> None:
        if shares is not self._shares:
            self._shares = shares
            self._lit_weights = self._row_weights * shares[:, None]
            self._changed[:] = True

    def running_sums(self, shares: NDArray[np.float64]) -> Sums:
        """What the compiled burst works on and keeps up to date; shares: (bands,) of full power."""
        self._light_with(shares)
        return Sums(
            sums=self._sums,
            changed=self._changed,
            settled_terms=self._settled_terms,
            settled_line=self._settled_line,
            row_weights=self._lit_weights,
            cosines=self._cosines,
            sines=self._sines,
            nodes_per_pixel=self._order,
            column_weights=self._column_weights,
            amplitude=self._light.amplitude,
            kappa_pitch=self._kappa_pitch,
            carriers=self._carriers,
            lit_first_row=self._light.first_row,
            rows_per_band=self._light.rows_per_band,
        )

    def reference(self, start_s: float, duration_s: float, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same by transforming the whole pattern, at every instant of the exposure."""
        light = self._light
        bands, rows_per_band = len(light.wavelengths_m), light.rows_per_band
        columns = len(self._aperture.columns_m)
        # <F_(r+d) F_r*> of every band at every camera column, averaged over the exposure
        products = np.zeros((rows_per_band, bands, columns), np.complex128)
        for time_s, time_weight in zip(*self._instants(start_s, duration_s), strict=True):
            phase = self._panel.phase_image(time_s)
            for band in range(bands):
                first = light.first_row + band * rows_per_band
                field = light.amplitude * np.exp(1j * phase[first : first + rows_per_band])
                sums = self._transform(field, self._kappa[band])
                for d in range(rows_per_band):
                    pairs = (sums[d:] * sums[: rows_per_band - d].conj()).sum(axis=0) * self._column_weights[band]
                    products[d, band] += time_weight * pairs.reshape(columns, self._order).sum(axis=1)
        # the line of each band, added up over the bands
        weights = (self._row_weights * shares[:, None]).T
        power = weights @ products[0].real
        for d in range(1, rows_per_band):
            power += 2 * (weights * self._cosines[:, d].T) @ products[d].real
            power += 2 * (weights * self._sines[:, d].T) @ products[d].imag
        return np.asarray(power)

    def _transform(self, field: NDArray[np.complex128], kappa: float) -> NDArray[np.complex128]:
        p = self._p
        if self.fast:
            return column_sums_direct(field, kappa * self._nodes_m, np.arange(p.slm.columns) * p.slm.pitch)
        columns = self._aperture.columns_m
        nodes = self._nodes_m.reshape(len(columns), self._order)
        step = columns[1] - columns[0]
        out = [
            column_sums_chirp(field, kappa * nodes[0, k], kappa * step, len(columns), p.slm.pitch)
            for k in range(self._order)
        ]
        return np.stack(out, axis=-1).reshape(len(field), -1)

    def _instants(self, start_s: float, duration_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gauss-Legendre instants of an exposure and their weights; one is enough when nothing moves."""
        if not self._panel.moving:
            return np.array([start_s]), _WHOLE
        fastest_s = self._panel.fastest_motion_s(start_s)
        if (duration_s, fastest_s) != self._resolved:
            self._resolved = (duration_s, fastest_s)
            self._elapsed_s, self._instant_weights = exposure_instants(duration_s, fastest_s)
        return start_s + self._elapsed_s, self._instant_weights

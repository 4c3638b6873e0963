"""Light in the focal plane: the fast road against the plain one, and the plain one against independent transforms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prbm_table import Bay, lit_world, parameters

from simulators.physics.fourier_plane import column_sums_direct, column_sums_flat, gauss_legendre
from simulators.worlds.parts.panel import Panel
from simulators.worlds.prbm import PrbmParameters
from simulators.worlds.prbm.probe import Aperture, Illumination, Probe

EXPOSURE_S = 16.7e-3
AT_REST_S = 10.0
INSTANT = {"rise_time": "0 s", "fall_time": "0 s"}


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def bay_with(rows_per_wavelength: int = 2, columns: int = 1, levels: int | None = 256, **sections: Any) -> Bay:
    optics = {"rows_per_wavelength": rows_per_wavelength} | sections.pop("optics", {})
    slm = {"levels": levels} | sections.pop("slm", {})
    return Bay(parameters(optics=optics, slm=slm, **sections), columns=columns)


GEOMETRIES = [(1, 1, 256), (2, 1, 256), (2, 3, None), (3, 3, 256), (3, 1, None)]


def test_sums_of_a_flat_panel_are_the_plain_ones() -> None:
    rng = np.random.default_rng(0)
    amplitude, kappa_pitch = rng.uniform(0, 1, 1920), rng.uniform(-3, 3, (4, 6))
    plain = column_sums_direct(amplitude[None, :].astype(np.complex128), kappa_pitch.ravel(), np.arange(1920))
    np.testing.assert_allclose(column_sums_flat(amplitude, kappa_pitch), plain.reshape(4, 6), rtol=0, atol=1e-8)


# --- fast road = reference --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows_per_wavelength", "columns", "levels"), GEOMETRIES)
@pytest.mark.parametrize("wait_s", [AT_REST_S, 3e-3, 12e-3, 30e-3])
def test_whole_random_panels(rows_per_wavelength: int, columns: int, levels: int | None, wait_s: float) -> None:
    bay = bay_with(rows_per_wavelength, columns, levels)
    rng = np.random.default_rng(1)
    time_s = 0.0
    for _ in range(4):
        bay.panel.write(bay.random_gray(rng, 24, 48), 0, 0, ns(time_s))
        bay.assert_fast_is_reference(time_s + wait_s, EXPOSURE_S)
        time_s += wait_s + EXPOSURE_S


@pytest.mark.parametrize(("rows_per_wavelength", "columns", "levels"), GEOMETRIES)
@pytest.mark.parametrize("wait_s", [AT_REST_S, 12e-3])
def test_random_partial_rewrites(rows_per_wavelength: int, columns: int, levels: int | None, wait_s: float) -> None:
    bay = bay_with(rows_per_wavelength, columns, levels)
    rng = np.random.default_rng(2)
    time_s = 0.0
    for _ in range(25):
        row, column = int(rng.integers(24)), int(rng.integers(48))
        rows, columns_ = int(rng.integers(1, 25 - row)), int(rng.integers(1, 49 - column))
        bay.panel.write(bay.random_gray(rng, rows, columns_), row, column, ns(time_s))
        bay.assert_fast_is_reference(time_s + wait_s, EXPOSURE_S)
        time_s += wait_s + EXPOSURE_S


@pytest.mark.parametrize(("rows_per_wavelength", "columns", "levels"), GEOMETRIES)
@pytest.mark.parametrize("wait_s", [AT_REST_S, 12e-3])
@pytest.mark.parametrize("same_place", [False, True], ids=["apart", "several per place"])
def test_random_sequences_of_patches(
    rows_per_wavelength: int, columns: int, levels: int | None, wait_s: float, same_place: bool
) -> None:
    bay = bay_with(rows_per_wavelength, columns, levels)
    rng = np.random.default_rng(3)
    places = [(r, c) for r in range(2, 22, 3) for c in range(4, 44, 5)]
    origins = np.array(places * (2 if same_place else 1), np.int32)
    patches = np.stack([bay.random_gray(rng, 2, 4) for _ in origins])
    bay.panel.write(bay.random_gray(rng, 24, 48), 0, 0, 0)
    bay.panel.load(bay.random_gray(rng, 22, 44), (1, 2), patches, origins)
    time_s = AT_REST_S
    for k in range(15):
        # At most one patch of each place; every fifth step shows the bare base.
        shown = np.flatnonzero(rng.random(len(places)) < 0.3) if k % 5 else np.empty(0, int)
        wanted = shown + len(places) * rng.integers(0, len(origins) // len(places), len(shown))
        bay.panel.step(wanted.astype(np.int32), ns(time_s))
        bay.assert_fast_is_reference(time_s + wait_s, EXPOSURE_S)
        time_s += wait_s + EXPOSURE_S


@pytest.mark.parametrize("wait_s", [AT_REST_S, 12e-3])
def test_changes_of_the_source_in_between(wait_s: float) -> None:
    bay = bay_with(columns=3)
    rng = np.random.default_rng(4)
    time_s = 0.0
    for k in range(12):
        shares = rng.random(6) * (rng.random(6) < 0.7)
        bay.panel.write(bay.random_gray(rng, 5, 9), 2 * k % 19, 3 * k % 39, ns(time_s))
        bay.assert_fast_is_reference(time_s + wait_s, EXPOSURE_S, shares)
        time_s += wait_s + EXPOSURE_S


def test_two_detectors_on_one_panel() -> None:
    bay = bay_with(columns=3)
    rng = np.random.default_rng(5)
    bay.panel.write(bay.random_gray(rng, 24, 48), 0, 0, 0)
    late = Bay(bay.p)
    late.panel, late.probe = bay.panel, Probe(bay.p, bay.light, bay.panel, late.aperture)
    bay.panel.write(bay.random_gray(rng, 10, 20), 5, 5, ns(1.0))
    for watcher in (bay, late):
        watcher.assert_fast_is_reference(1.02, EXPOSURE_S)


def test_a_closed_detector_follows_no_more() -> None:
    bay = bay_with()
    bay.probe.close()
    bay.probe.close()
    assert bay.panel.listeners == []


def test_an_instant_panel() -> None:
    bay = bay_with(slm=INSTANT)
    rng = np.random.default_rng(6)
    for k in range(5):
        bay.panel.write(bay.random_gray(rng, 12, 20), 2 * k, 3 * k, ns(0.1 * k))
        bay.assert_fast_is_reference(0.1 * k, EXPOSURE_S)
    assert bay.panel.moving == 0


@pytest.mark.parametrize("instant", ["rise_time", "fall_time"])
def test_a_panel_that_is_instant_one_way(instant: str) -> None:
    bay = bay_with(slm={instant: "0 s"})
    rng = np.random.default_rng(7)
    for k in range(4):
        bay.panel.write(bay.random_gray(rng, 24, 48), 0, 0, ns(0.06 * k))
        bay.assert_fast_is_reference(0.06 * k + 30e-3, EXPOSURE_S)


def test_rounding_does_not_pile_up_over_thousands_of_patterns() -> None:
    bay = bay_with()
    rng = np.random.default_rng(8)
    patches = np.stack([bay.random_gray(rng, 2, 2) for _ in range(60)])
    origins = np.array([(3 + 2 * (k % 6), 4 * (k // 6)) for k in range(60)], np.int32)
    bay.panel.load(bay.random_gray(rng, 12, 48), (3, 0), patches, origins)
    for k in range(4000):
        bay.panel.step(np.flatnonzero(rng.random(60) < 0.5).astype(np.int32), ns(k))
        bay.panel.rest(k + 0.9)
        bay.probe.power(k + 0.9, EXPOSURE_S, bay.full)
    bay.assert_fast_is_reference(4000.0, EXPOSURE_S)


def test_dispersed_bands_count_with_their_own_wavelength() -> None:
    # Two bands of the same pattern: the fringe of the longer wavelength is wider.
    bay = bay_with(optics={"dispersion": 300.0})
    assert np.ptp(bay.light.wavelengths_m) > 200e-9
    bay.panel.write(bay.random_gray(np.random.default_rng(9), 24, 48), 0, 0, 0)
    bay.assert_fast_is_reference(AT_REST_S, EXPOSURE_S)


# --- wide and narrow regions ------------------------------------------------------------------------------------------


def test_a_wide_region_sees_what_a_narrow_one_sees() -> None:
    world = lit_world()
    world.panel.write(np.random.default_rng(1).integers(0, 256, (24, 48)).astype(np.uint8), 0, 0, 0)
    wide = world.mean_electrons(ns(AT_REST_S), 1e-3, 60, 20, 50, 250)
    narrow = world.mean_electrons(ns(AT_REST_S), 1e-3, 80, 130, 10, 20)
    np.testing.assert_allclose(wide[20:30, 110:130], narrow, rtol=1e-9, atol=1e-12 * wide.max())


def test_a_wide_region_sees_the_panel_in_motion() -> None:
    world = lit_world()
    world.panel.write(np.random.default_rng(1).integers(0, 256, (24, 48)).astype(np.uint8), 0, 0, 0)
    wide = world.mean_electrons(ns(30e-3), 5e-3, 60, 20, 50, 250)
    narrow = world.mean_electrons(ns(30e-3), 5e-3, 80, 130, 10, 20)
    np.testing.assert_allclose(wide[20:30, 110:130], narrow, rtol=1e-9, atol=1e-12 * wide.max())


@pytest.mark.parametrize("wait_s", [AT_REST_S, 30e-3])
def test_the_reference_path_gives_the_same_electrons(wait_s: float) -> None:
    worlds = [lit_world(path=path) for path in ("auto", "reference")]
    images = []
    for world in worlds:
        world.panel.write(np.random.default_rng(1).integers(0, 256, (24, 48)).astype(np.uint8), 0, 0, 0)
        images.append(world.mean_electrons(ns(wait_s), 5e-3, 80, 135, 10, 11))
    np.testing.assert_allclose(images[0], images[1], rtol=1e-9)


# --- integration over a pixel -----------------------------------------------------------------------------------------


def full_width() -> tuple[PrbmParameters, Panel]:
    """One band of a panel of the real width, lit evenly: the finest fringes there are."""
    p = parameters(
        slm={"rows": 2, "columns": 1920, "rise_time": "0 s", "fall_time": "0 s"},
        beam={"waist": "uniform"},
        optics={"first_row": 0, "bands": 1},
    )
    panel = Panel(p.slm)
    panel.write(np.random.default_rng(2).integers(0, 256, (2, 1920)).astype(np.uint8), 0, 0, 0)
    return p, panel


def test_integration_across_a_pixel_has_converged_on_the_full_width() -> None:
    p, panel = full_width()
    pixel_m, light, full = p.camera.pitch, Illumination.of(p), np.ones(1)
    whole = Probe(p, light, panel, Aperture(np.zeros(1), np.zeros(1), pixel_m, pixel_m**2)).power(0.0, 1.0, full)
    nodes, weights = gauss_legendre(40)
    points = Aperture(0.5 * pixel_m * nodes, np.zeros(1), pixel_m, pixel_m**2, point=True)
    fine = Probe(p, light, panel, points).power(0.0, 1.0, full)[0] @ weights
    assert whole[0, 0] == pytest.approx(fine, rel=2e-6, abs=0.0)


def test_a_pixel_of_the_full_width_is_not_its_centre() -> None:
    # The check above would be empty if the light did not vary within a pixel.
    p, panel = full_width()
    pixel_m, light, full = p.camera.pitch, Illumination.of(p), np.ones(1)
    zero = np.zeros(1)
    whole = Probe(p, light, panel, Aperture(zero, zero, pixel_m, pixel_m**2)).power(0.0, 1.0, full)[0, 0]
    centre = Probe(p, light, panel, Aperture(zero, zero, pixel_m, pixel_m**2, point=True)).power(0.0, 1.0, full)[0, 0]
    assert abs(centre / whole - 1) > 0.05


@pytest.mark.parametrize("row_m", [0.0, 100e-6, 1e-3])
def test_the_line_is_even_along_a_pixel_of_two_rows(row_m: float) -> None:
    # Detection is at a pixel's centre along Y: good to 1e-4 of the light on the axis for bands of two rows.
    p = parameters(slm=INSTANT, optics={"bands": 1})
    panel, light, full = Panel(p.slm), Illumination.of(p), np.ones(1)
    panel.write(np.random.default_rng(3).integers(0, 256, (24, 48)).astype(np.uint8), 0, 0, 0)
    nodes, weights = gauss_legendre(12)
    rows_m = np.concatenate([[row_m], row_m + 0.5 * p.camera.pitch * nodes, np.linspace(-3e-3, 3e-3, 200)])
    line = Probe(p, light, panel, Aperture(np.zeros(1), rows_m, p.camera.pitch, 1e-12)).power(0.0, 1.0, full)[:, 0]
    assert abs(line[0] - line[1:13] @ weights) < 1e-4 * line.max()


# --- the reference against independent transforms ---------------------------------------------------------------------


def one_band_by_fft(
    p: PrbmParameters, phase: NDArray[np.float64], orders_x: NDArray[np.int64], orders_y: NDArray[np.int64], size: int
) -> tuple[Aperture, NDArray[np.float64]]:
    """Irradiance of the first band at X = k lambda f / (size pitch), from a padded two-dimensional FFT, W/m^2."""
    light = Illumination.of(p)
    spread = light.wavelengths_m[0] * p.optics.focal_length
    first, rows = light.first_row, light.rows_per_band
    power_w = light.band_power_w[0] / rows * p.slm.reflectance * p.optics.transmission * light.amplitude**2
    field = np.sqrt(power_w / p.slm.pitch**2) * np.exp(1j * phase[first : first + rows])
    spectrum = np.fft.fft2(field, s=(size, size))[np.ix_(orders_y % size, orders_x % size)]
    pixel_m = math.sqrt(p.slm.fill_factor) * p.slm.pitch
    x_m, y_m = (orders * spread / (size * p.slm.pitch) for orders in (orders_x, orders_y))
    one = pixel_m**2 / spread * np.outer(np.sinc(pixel_m * y_m / spread), np.sinc(pixel_m * x_m / spread))
    aperture = Aperture(columns_m=x_m, rows_m=y_m, width_m=0.0, area_m2=1.0, point=True)
    return aperture, np.abs(one * spectrum) ** 2


@pytest.mark.parametrize("rows_per_wavelength", [1, 2, 3])
def test_one_band_is_the_fourier_transform_of_its_pixels(rows_per_wavelength: int) -> None:
    p = parameters(optics={"bands": 1, "rows_per_wavelength": rows_per_wavelength})
    panel = Panel(p.slm)
    panel.write(np.random.default_rng(4).integers(0, 256, (24, 48)).astype(np.uint8), 0, 0, 0)
    panel.rest(AT_REST_S)
    aperture, expected = one_band_by_fft(p, panel.phase, np.arange(-30, 31), np.arange(-90, 91, 3), 128)
    probe = Probe(p, Illumination.of(p), panel, aperture)
    tolerance = {"rtol": 1e-9, "atol": 1e-12 * expected.max()}
    np.testing.assert_allclose(probe.reference(AT_REST_S, 1.0, np.ones(1)), expected, **tolerance)
    np.testing.assert_allclose(probe.power(AT_REST_S, 1.0, np.ones(1)), expected, **tolerance)


def brute_force_electrons(p: PrbmParameters, phase: NDArray[np.float64], row: int, column: int) -> float:
    """Photoelectrons per second of one camera pixel, from the double sum over a fine grid within the pixel."""
    c, o, s = p.camera, p.optics, p.slm
    pixel_m = math.sqrt(s.fill_factor) * s.pitch
    offsets = (np.arange(60) + 0.5) / 60 - 0.5
    x_m = (column - c.axis_column + offsets) * c.pitch
    y_m = (row - c.axis_row + offsets) * c.pitch
    edges = (np.arange(s.columns + 1) - s.columns / 2) * s.pitch
    total_w, band_wavelength_m = 0.0, o.rows_per_wavelength * s.pitch / o.dispersion
    wavelengths = o.wavelength_first + (np.arange(o.bands) + 0.5) * band_wavelength_m
    for band, wavelength in enumerate(wavelengths):
        spread = wavelength * o.focal_length
        band_w = p.source.density * band_wavelength_m * p.beam.transmission * s.reflectance * o.transmission
        field = np.zeros((60, 60), complex)
        for r in range(o.rows_per_wavelength):
            for c_ in range(s.columns):
                lit = 0.5 * (
                    math.erf(math.sqrt(2) * edges[c_ + 1] / float(p.beam.waist))
                    - math.erf(math.sqrt(2) * edges[c_] / float(p.beam.waist))
                )
                amplitude = math.sqrt(band_w / o.rows_per_wavelength * lit) / s.pitch
                angle = phase[o.first_row + band * o.rows_per_wavelength + r, c_]
                tilt = 2 * np.pi / spread * s.pitch * (c_ * x_m[None, :] + r * y_m[:, None])
                field += amplitude * np.exp(1j * (angle - tilt))
        field *= pixel_m**2 / spread
        field *= np.sinc(pixel_m * x_m / spread)[None, :] * np.sinc(pixel_m * y_m / spread)[:, None]
        total_w += float((np.abs(field) ** 2).mean()) * c.pitch**2
    photon_j = 6.62607015e-34 * 299792458.0 / wavelengths.mean()
    return total_w * o.camera_attenuation * c.quantum_efficiency / photon_j


@pytest.mark.parametrize(("row", "column"), [(90, 140), (80, 147), (150, 121)])
def test_electrons_are_those_of_the_double_sum_over_pixels_and_bands(row: int, column: int) -> None:
    world = lit_world(slm=INSTANT, camera={"pitch": "13 um"})
    world.panel.write(np.random.default_rng(5).integers(0, 256, (24, 48)).astype(np.uint8), 0, 0, 0)
    electrons = float(world.mean_electrons(0, 1.0, row, column, 1, 1)[0, 0])
    # The grid of 60 x 60 points and detection on the pixel's middle row are each good to 1e-3.
    assert electrons == pytest.approx(brute_force_electrons(world.parameters, world.panel.phase, row, column), rel=2e-3)


# --- energy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill_factor", ["100 %", "93 %", "50 %"])
@pytest.mark.parametrize("pattern", ["flat", "random", "grating"])
def test_all_orders_together_carry_what_the_active_area_reflects(fill_factor: str, pattern: str) -> None:
    # optical-table.md, check 2. The irradiance is band-limited to the panel's autocorrelation, so a sum over points at
    # half its fringe is the integral; the orders beyond +-M hold at most 2 / (pi^2 a M) of it in each direction.
    p = parameters(
        slm={"fill_factor": fill_factor, "columns": 16} | INSTANT,
        beam={"waist": "uniform"},
        optics={"bands": 1},
    )
    panel, light = Panel(p.slm), Illumination.of(p)
    gray = {
        "flat": np.zeros((24, 16)),
        "random": np.random.default_rng(6).integers(0, 256, (24, 16)),
        "grating": np.broadcast_to([0, 128], (24, 8, 2)).reshape(24, 16),
    }[pattern]
    panel.write(gray.astype(np.uint8), 0, 0, 0)
    order_m = light.wavelengths_m[0] * p.optics.focal_length / p.slm.pitch
    orders, per_order_x, per_order_y = 40, 40, 5
    x_m = (np.arange(2 * orders * per_order_x) / per_order_x - orders) * order_m
    y_m = (np.arange(2 * orders * per_order_y) / per_order_y - orders) * order_m
    area_m2 = order_m**2 / (per_order_x * per_order_y)
    probe = Probe(p, light, panel, Aperture(x_m, y_m, 0.0, area_m2, point=True))
    collected = float(probe.power(0.0, 1.0, np.ones(1)).sum())
    reflected = light.band_power_w[0] * p.slm.fill_factor * p.slm.reflectance * p.optics.transmission
    tail = 2 * 2 / (math.pi**2 * math.sqrt(p.slm.fill_factor) * orders)
    assert 1 - tail < collected / reflected < 1 + 1e-9


# --- gratings ---------------------------------------------------------------------------------------------------------


def order_of_grating(gray: NDArray[Any], order: float) -> float:
    """Irradiance at ``order`` (in units of lambda f / pitch) relative to that of a flat panel on the axis."""
    p = parameters(slm=INSTANT, beam={"waist": "uniform"}, optics={"bands": 1})
    light, full, area = Illumination.of(p), np.ones(1), p.camera.pitch**2
    order_m = light.wavelengths_m[0] * p.optics.focal_length / p.slm.pitch
    at_order = Aperture(np.array([order * order_m]), np.zeros(1), 1e-9, area, point=True)
    on_axis = Aperture(np.zeros(1), np.zeros(1), 1e-9, area, point=True)
    flat = Panel(p.slm)
    written = Panel(p.slm)
    written.write(np.broadcast_to(gray, (24, 48)), 0, 0, 0)
    there = Probe(p, light, written, at_order).power(0.0, 1.0, full)[0, 0]
    return float(there / Probe(p, light, flat, on_axis).power(0.0, 1.0, full)[0, 0])


BINARY = np.tile([0, 128], 24).astype(np.uint8)
PIXEL = math.sqrt(0.93)


def test_a_binary_grating_of_depth_pi_sends_nothing_to_the_axis() -> None:
    assert order_of_grating(BINARY, 0) < 1e-20


@pytest.mark.parametrize("order", [0.5, -0.5, 1.5])
def test_a_binary_grating_of_depth_pi_sends_all_to_its_odd_orders(order: float) -> None:
    assert order_of_grating(BINARY, order) == pytest.approx(np.sinc(PIXEL * order) ** 2, rel=1e-9)


@pytest.mark.parametrize("depth", [32, 64, 100])
def test_a_shallow_binary_grating_keeps_the_squared_cosine_of_half_its_depth(depth: int) -> None:
    left = order_of_grating(np.tile([0, depth], 24).astype(np.uint8), 0)
    assert left == pytest.approx(math.cos(math.pi * depth / 256) ** 2, rel=1e-9)


def test_a_blaze_sends_all_to_one_order() -> None:
    blaze = np.tile(np.arange(0, 256, 64), 12).astype(np.uint8)
    assert order_of_grating(blaze, 0.25) == pytest.approx(np.sinc(PIXEL * 0.25) ** 2, rel=1e-9)
    assert order_of_grating(blaze, 0) < 1e-20
    assert order_of_grating(blaze, -0.25) < 1e-20


def test_a_checkerboard_of_angles_leaves_their_cosine_on_the_axis() -> None:
    # Eq. (1) of arXiv 2508.20472: phi = c arccos(w) sends the amplitude w to the axis.
    angle = round(math.acos(0.3) * 256 / (2 * math.pi))
    checker = np.tile([angle, 256 - angle], 24).astype(np.uint8)
    assert order_of_grating(checker, 0) == pytest.approx(math.cos(2 * math.pi * angle / 256) ** 2, rel=1e-9)

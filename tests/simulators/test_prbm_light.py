"""How much light reaches the detectors of the photonic RBM: closed forms, proportionalities, the light budget."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prbm_table import lit_world, parameters
from pydantic import ValidationError

from simulators.clock import VirtualClock
from simulators.worlds.prbm import PrbmParameters, PrbmWorld
from simulators.worlds.prbm.probe import Illumination

PHOTON_J_M = 6.62607015e-34 * 299792458.0
INSTANT = {"rise_time": "0 s", "fall_time": "0 s"}
AXIS = (90, 140, 1, 1)
SLIT = (75, 140, 31, 1)


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def random_gray(seed: int, rows: int = 24, columns: int = 48) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns)).astype(np.uint8)


def moving_world(**sections: Any) -> PrbmWorld:
    """A panel at rest on one random pattern, sent another at 10 s: a refresh, since 10 s is 600 of them."""
    world = lit_world(slm={"settled_phase": 0.0} | sections.pop("slm", {}), **sections)
    world.panel.write(random_gray(1), 0, 0, 0)
    world.panel.write(random_gray(2), 0, 0, ns(10.0))
    return world


# --- closed forms on the axis -----------------------------------------------------------------------------------------


def flat_irradiance(p: PrbmParameters, wavelengths_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each band on the axis, an even panel lit evenly, W/m^2: (P n / pitch^2) (active area / (lambda f))^2.

    P is a band's power on the panel and n its pixels: power P / n per pixel, n fields in phase.
    """
    band_m = p.optics.rows_per_wavelength * p.slm.pitch / p.optics.dispersion
    power_w = p.source.density * band_m * p.beam.transmission * p.slm.reflectance * p.optics.transmission
    pixels = p.optics.rows_per_wavelength * p.slm.columns
    active_m2 = p.slm.fill_factor * p.slm.pitch**2
    irradiance: NDArray[np.float64] = (
        power_w * pixels / p.slm.pitch**2 * (active_m2 / (wavelengths_m * p.optics.focal_length)) ** 2
    )
    return irradiance


@pytest.mark.parametrize("rows_per_wavelength", [1, 2, 3])
def test_an_even_panel_lights_the_axis_as_its_closed_form(rows_per_wavelength: int) -> None:
    world = lit_world(
        slm=INSTANT,
        beam={"waist": "uniform"},
        optics={"rows_per_wavelength": rows_per_wavelength},
        camera={"ideal": True},
    )
    p, wavelengths = world.parameters, world.light.wavelengths_m
    power_w = flat_irradiance(p, wavelengths).sum() * p.camera.pitch**2
    expected = power_w * 2e-3 * p.camera.quantum_efficiency * wavelengths.mean() / PHOTON_J_M
    assert world.mean_electrons(0, 2e-3, *AXIS)[0, 0] == pytest.approx(expected, rel=1e-9)


def test_slit_power_of_an_even_panel_is_the_sum_along_the_line() -> None:
    quiet = {"slit_nep": "0 W/Hz**0.5", "slit_range": "1 W"}
    world = lit_world(slm=INSTANT, beam={"waist": "uniform"}, detector=quiet)
    p, wavelengths = world.parameters, world.light.wavelengths_m
    rows_m = (np.arange(31) - 15) * p.camera.pitch
    half_turn = math.pi * rows_m / (wavelengths[:, None] * p.optics.focal_length)
    pixel_m = math.sqrt(p.slm.fill_factor) * p.slm.pitch
    # Along the line: two rows, cos^2, and one pixel, sinc^2.
    line = np.cos(half_turn * p.slm.pitch) ** 2 * np.sinc(half_turn * pixel_m / math.pi) ** 2
    # Across the slit: 48 columns, averaged over its 6.5 um.
    x_m = ((np.arange(2000) + 0.5) / 2000 - 0.5) * p.camera.pitch
    quarter = math.pi * x_m / (wavelengths[:, None] * p.optics.focal_length)
    across = (np.sin(48 * quarter * p.slm.pitch) / (48 * np.sin(quarter * p.slm.pitch))) ** 2
    across *= np.sinc(quarter * pixel_m / math.pi) ** 2
    irradiance = flat_irradiance(p, wavelengths)
    expected = p.optics.slit_share * p.camera.pitch**2 * (irradiance * line.sum(axis=1) * across.mean(axis=1)).sum()
    # Shot noise of a reading that takes 1e12 s is far below the tolerance.
    assert world.slit_power("slit", 0, 0, 1e12)[0] == pytest.approx(expected, rel=1e-6, abs=0.0)


def test_slit_and_camera_window_see_the_same_light() -> None:
    world = lit_world(detector={"slit_nep": "0 W/Hz**0.5", "slit_range": "1 W"}, slm=INSTANT)
    world.panel.write(random_gray(3), 0, 0, 0)
    p = world.parameters
    electrons = world.mean_electrons(0, 1e-3, *SLIT).sum()
    watts = electrons * PHOTON_J_M / world.light.wavelengths_m.mean() / (p.camera.quantum_efficiency * 1e-3)
    reading, sigma_w, _ = world.slit_power("slit", 0, 0, 1e12)
    assert reading == pytest.approx(watts / p.optics.camera_attenuation * p.optics.slit_share, rel=1e-6, abs=0.0)
    assert sigma_w < 1e-7 * reading


def test_each_band_counts_as_one_over_its_wavelength_squared() -> None:
    world = lit_world(slm=INSTANT, optics={"dispersion": 300.0})
    light = []
    for wavelength in world.light.wavelengths_m:
        world.source.wavelength_min_m, world.source.wavelength_max_m = wavelength - 1e-9, wavelength + 1e-9
        light.append(world.mean_electrons(0, 1e-3, *AXIS)[0, 0])
    scaled = np.array(light) * world.light.wavelengths_m**2
    # A camera pixel is not a point: the finest fringe of the panel is 300 um, so 4e-4 of its light is missing.
    np.testing.assert_allclose(scaled / scaled[0], 1.0, rtol=1e-3)
    assert np.ptp(light) / np.mean(light) > 0.3


def test_equal_bands_are_equally_bright_on_the_axis() -> None:
    world = lit_world(slm=INSTANT, optics={"dispersion": 300.0, "equal_bands": True}, camera={"ideal": True})
    light = []
    for wavelength in world.light.wavelengths_m:
        world.source.wavelength_min_m, world.source.wavelength_max_m = wavelength - 1e-9, wavelength + 1e-9
        light.append(world.mean_electrons(0, 1e-3, *AXIS)[0, 0])
    np.testing.assert_allclose(light, light[0], rtol=1e-12)


def test_bands_add_incoherently() -> None:
    world = lit_world(slm=INSTANT)
    world.panel.write(random_gray(3), 0, 0, 0)
    together = world.mean_electrons(0, 1e-3, *SLIT)
    alone = np.zeros_like(together)
    for wavelength in world.light.wavelengths_m:
        world.source.wavelength_min_m, world.source.wavelength_max_m = wavelength - 1e-10, wavelength + 1e-10
        alone += world.mean_electrons(0, 1e-3, *SLIT)
    np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_rows_of_one_band_add_coherently() -> None:
    # Half a turn between the two rows of a band: nothing on the axis.
    world = lit_world(slm=INSTANT, camera={"ideal": True})
    rows = np.arange(24)[:, None] - world.parameters.optics.first_row
    world.panel.write(np.broadcast_to(128 * (rows % 2), (24, 48)).astype(np.uint8), 0, 0, 0)
    flat = lit_world(slm=INSTANT, camera={"ideal": True}).mean_electrons(0, 1e-3, *AXIS)
    assert world.mean_electrons(0, 1e-3, *AXIS)[0, 0] < 1e-20 * flat[0, 0]


def test_the_ideal_table_shows_the_energy_of_the_equations() -> None:
    # E_j = i A (L_j / W_max + h_j) per macro-pixel, bands incoherent: I / I_flat = sum_j |c_j + h_j|^2 / sum_j n^2.
    p = parameters(ideal=True, slm={"levels": None, "columns": 40})
    world = PrbmWorld(p, VirtualClock())
    world.source.emission, world.source.power_fraction = True, 1.0
    rng = np.random.default_rng(4)
    weights, v, h = rng.uniform(-1, 1, (6, 19)), rng.choice([-1, 1], 19), rng.choice([-1, 1], 6)
    flat = world.mean_electrons(0, 1e-3, *AXIS)[0, 0]
    angle = np.zeros((24, 40))
    for j in range(6):
        spin = np.append(0.5 * np.pi * v, 0.5 * np.pi * h[j])
        tilt = np.append(np.arccos(weights[j]), 0.0)
        for r in range(2):
            checker = np.array([1, -1]) if r == 0 else np.array([-1, 1])
            angle[3 + 2 * j + r] = (spin[:, None] + tilt[:, None] * checker).ravel()
    world.panel.write(np.mod(angle, 2 * np.pi) * 256 / (2 * np.pi), 0, 0, 0)
    c = weights @ v + h
    expected = (c**2).sum() / (6 * 20**2)
    assert world.mean_electrons(0, 1e-3, *AXIS)[0, 0] / flat == pytest.approx(expected, rel=1e-9)


# --- proportionalities ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.001, 0.25, 0.8])
def test_light_is_proportional_to_the_power_of_the_source(fraction: float) -> None:
    world = moving_world()
    full = world.mean_electrons(ns(10.03), 5e-3, *SLIT)
    world.source.power_fraction = fraction
    np.testing.assert_allclose(world.mean_electrons(ns(10.03), 5e-3, *SLIT), fraction * full, rtol=1e-12)


@pytest.mark.parametrize("every", [2, 40])
def test_the_pulse_picker_lets_one_pulse_in_so_many_through(every: int) -> None:
    world = moving_world()
    full = world.mean_electrons(ns(10.03), 5e-3, *SLIT)
    world.source.pulse_picker = every
    np.testing.assert_allclose(world.mean_electrons(ns(10.03), 5e-3, *SLIT), full / every, rtol=1e-12)


def test_electrons_are_proportional_to_the_exposure_at_rest() -> None:
    world = moving_world()
    np.testing.assert_allclose(
        world.mean_electrons(ns(20.0), 30e-3, *SLIT), 30 * world.mean_electrons(ns(20.0), 1e-3, *SLIT), rtol=1e-12
    )


@pytest.mark.parametrize("what", ["emission off", "no power", "beam blocked", "outside the band"])
def test_without_light_there_are_exactly_no_electrons(what: str) -> None:
    world = moving_world(beam={"blocked": what == "beam blocked"})
    if what == "emission off":
        world.source.emission = False
    if what == "no power":
        world.source.power_fraction = 0.0
    if what == "outside the band":
        world.source.wavelength_min_m, world.source.wavelength_max_m = 700e-9, 800e-9
    assert (world.mean_electrons(ns(10.03), 5e-3, *SLIT) == 0).all()


def test_light_comes_back_after_the_band_was_moved_away() -> None:
    world = moving_world()
    before = world.mean_electrons(ns(20.0), 5e-3, *SLIT)
    world.source.wavelength_min_m = 700e-9
    world.mean_electrons(ns(20.0), 5e-3, *SLIT)
    world.source.wavelength_min_m = 400e-9
    np.testing.assert_allclose(world.mean_electrons(ns(20.0), 5e-3, *SLIT), before, rtol=1e-12)


def test_the_tap_takes_its_share_of_the_source_even_when_the_beam_is_blocked() -> None:
    world = lit_world(beam={"blocked": True}, detector={"tap_nep": "0 W/Hz**0.5", "tap_range": "1 W"})
    p = world.parameters
    band_m = 6 * 2 * p.slm.pitch / p.optics.dispersion
    power_w, _, _ = world.tap_power("tap", 0, 0, 1e6)
    assert power_w == pytest.approx(p.source.density * band_m * p.optics.tap_share, rel=1e-6, abs=0.0)


def test_the_tap_sees_nothing_without_emission() -> None:
    world = lit_world(detector={"tap_nep": "0 W/Hz**0.5"})
    world.source.emission = False
    assert world.tap_power("tap", 0, 0, 1e-3)[0] == 0.0


def test_the_beam_is_gaussian_and_clipped_by_the_panel() -> None:
    light = Illumination.of(parameters(beam={"waist": "0.3 mm"}))
    fraction = light.amplitude**2
    assert fraction.sum() == pytest.approx(math.erf(math.sqrt(2) * 24 * 8e-6 / 0.3e-3), rel=1e-12)
    np.testing.assert_allclose(fraction, fraction[::-1], rtol=1e-12)
    x_m = (np.arange(48) - 23.5) * 8e-6
    np.testing.assert_allclose(fraction / fraction.max(), np.exp(-2 * (x_m / 0.3e-3) ** 2), rtol=2e-3)


def test_dispersion_spreads_the_bands_over_the_rows() -> None:
    # optical-table.md, table A: 180 um/nm, 23 nm = 4.14 mm = 518 rows = 259 bands of 2.
    light = Illumination.of(PrbmParameters())
    np.testing.assert_allclose(np.diff(light.wavelengths_m), 16e-6 / 180e3, rtol=1e-6)
    assert light.wavelengths_m[[0, -1]] == pytest.approx([588e-9, 611e-9], abs=0.1e-9)


# --- exposures of a panel in motion -----------------------------------------------------------------------------------


def in_pieces(start_s: float, duration_s: float, pieces: int) -> NDArray[np.float64]:
    world = moving_world()
    edges = [ns(start_s + duration_s * k / pieces) for k in range(pieces + 1)]
    return np.sum([world.mean_electrons(a, (b - a) * 1e-9, *SLIT) for a, b in itertools.pairwise(edges)], axis=0)


@pytest.mark.parametrize("wait_s", [0.035, 0.045, 0.060, 0.075])
@pytest.mark.parametrize("duration_s", [1e-3, 16.7e-3, 100e-3])
def test_two_half_exposures_add_up_to_a_whole_one(wait_s: float, duration_s: float) -> None:
    whole = moving_world().mean_electrons(ns(10 + wait_s), duration_s, *SLIT)
    np.testing.assert_allclose(in_pieces(10 + wait_s, duration_s, 2), whole, rtol=1e-6)


@pytest.mark.parametrize("wait_s", [0.035, 0.075])
def test_integration_over_an_exposure_has_converged_once_every_row_has_started(wait_s: float) -> None:
    # Latency 8 ms and the last lit row's share of the scan: from 20 ms on nothing starts any more.
    whole = moving_world().mean_electrons(ns(10 + wait_s), 16.7e-3, *SLIT)
    np.testing.assert_allclose(in_pieces(10 + wait_s, 16.7e-3, 64), whole, rtol=1e-6)


@pytest.mark.parametrize("wait_s", [0.0, 0.005, 0.010, 0.015])
def test_an_exposure_into_which_the_refresh_falls_is_good_to_a_few_per_cent(wait_s: float) -> None:
    # The start of each row is a kink within the exposure, which Gauss-Legendre nodes do not know of.
    whole = moving_world().mean_electrons(ns(10 + wait_s), 16.7e-3, *SLIT).sum()
    assert in_pieces(10 + wait_s, 16.7e-3, 64).sum() == pytest.approx(whole, rel=0.05)


def test_one_millisecond_frames_see_the_top_rows_change_first() -> None:
    # optical-table.md, mistake 6. Only the band of one wavelength is lit; the upper one has begun, the lower one not.
    changes = []
    for band in (0, 5):
        world = moving_world(slm={"scan_time": "100 ms", "controller_latency": "0 s"})
        wavelength = world.light.wavelengths_m[band]
        world.source.wavelength_min_m, world.source.wavelength_max_m = wavelength - 1e-9, wavelength + 1e-9
        before, after = (world.mean_electrons(ns(t), 1e-3, *SLIT).sum() for t in (9.99, 10.045))
        changes.append(abs(after / before - 1))
    assert changes[0] > 0.01
    assert changes[1] == 0.0


def test_the_panel_rises_faster_than_it_falls() -> None:
    # Of a grating of depth pi, the zeroth order disappears with the rise and returns with the fall time.
    grating = np.broadcast_to(np.tile([0, 128], 24), (24, 48)).astype(np.uint8)
    flat = np.zeros((24, 48), np.uint8)
    settings = {"scan_time": "0 s", "controller_latency": "0 s", "settled_phase": 0.0}
    world = lit_world(slm=settings, camera={"ideal": True}, beam={"waist": "uniform"})
    full = world.mean_electrons(0, 1e-6, *AXIS)[0, 0]
    world.panel.write(grating, 0, 0, 0)
    rising = world.mean_electrons(ns(8e-3), 1e-6, *AXIS)[0, 0] / full
    world.panel.write(flat, 0, 0, ns(10.0))
    falling = world.mean_electrons(ns(10.008), 1e-6, *AXIS)[0, 0] / full
    # Half of the pixels at phase phi: |1 + e^(i phi)|^2 / 4 = cos^2(phi / 2).
    assert rising == pytest.approx(math.cos(math.pi / 2 * (1 - math.exp(-8 / 6))) ** 2, rel=1e-3)
    assert falling == pytest.approx(math.cos(math.pi / 2 * math.exp(-8 / 15)) ** 2, rel=1e-3)


# --- the light budget of the full table -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoded() -> tuple[PrbmWorld, float]:
    """The full table at 40 %, W of deviation 0.1 for 196 x 196 spins of 2 pixels, all else dark; its I_tot.

    I_tot = sum_j (c_j + 1)^2 in units of one macro-pixel's field squared; attenuation of the camera removed.
    """
    world = PrbmWorld(
        PrbmParameters.model_validate({"optics": {"camera_attenuation": "100 %"}, "slm": INSTANT}), VirtualClock()
    )
    world.source.emission, world.source.power_fraction = True, 0.4
    world.source.wavelength_max_m = world.light.wavelengths_m[195] + 1e-12
    rng = np.random.default_rng(7)
    weights = rng.normal(0, 0.1, (196, 196))
    v = rng.choice([-1, 1], 196)
    w_max = np.abs(weights).max()
    angle = np.zeros((1080, 1920))
    for j in range(196):
        spin = np.append(0.5 * np.pi * v, [0.5 * np.pi] * 2)
        tilt = np.append(np.arccos(weights[j] / w_max), [np.pi / 2, 0.0])
        for r in range(2):
            checker = np.array([1, -1]) * (1 if r == 0 else -1)
            angle[281 + 2 * j + r] = np.pi * ((np.arange(1920) + r) % 2)  # sends nothing to the axis
            angle[281 + 2 * j + r, 762:1158] = (spin[:, None] + tilt[:, None] * checker).ravel()
    levels = np.rint(np.mod(angle, 2 * np.pi) * 256 / (2 * np.pi)).astype(int) % 256
    world.panel.write(levels.astype(np.uint8), 0, 0, 0)
    return world, float(((weights @ v / w_max + 1) ** 2).sum())


def test_a_random_machine_has_the_intensity_of_the_table(encoded: tuple[PrbmWorld, float]) -> None:
    # physics/prbm.md: L rms 1.4 and W_max about 0.45, so c rms is about 3 and I_tot about 2000 for 196 bands.
    assert 1000 < encoded[1] < 4000


def test_light_on_the_strip_is_half_a_milliwatt(encoded: tuple[PrbmWorld, float]) -> None:
    # optical-table.md, table A: 23 mW x 0.5 x 0.7 x 0.8 x 0.62 x 0.86 x 0.15 (3.2 mm strip) = 0.5 mW, of all 259 bands.
    world, _ = encoded
    p, light = world.parameters, world.light
    strip = (light.amplitude[762:1158] ** 2).sum()
    on_strip = 0.4 * light.band_power_w.sum() * strip * p.slm.reflectance * p.slm.fill_factor * p.optics.transmission
    assert on_strip == pytest.approx(0.5e-3, rel=0.1)


def test_a_slit_of_31_pixels_takes_billions_of_electrons_a_second(encoded: tuple[PrbmWorld, float]) -> None:
    # optical-table.md, table A: 1.6e9 e/s on 1 x 31 px; an order-of-magnitude estimate, held to a factor of 3.
    world, _ = encoded
    rate = world.mean_electrons(0, 1.0, 1065, 1280, 31, 1).sum()
    assert 1.6e9 / 3 < rate < 1.6e9 * 3


def test_the_zeroth_order_holds_four_parts_in_ten_thousand_of_the_light(encoded: tuple[PrbmWorld, float]) -> None:
    # optical-table.md, table A: 4e-4 of the 0.5 mW on the strip, held to a factor of 3. By hand: the peak irradiance
    # times the area of the order, (lambda f / strip) x (lambda f / two rows), as measured on the axis.
    world, _ = encoded
    p = world.parameters
    photons = world.mean_electrons(0, 1.0, 1080, 1280, 1, 1)[0, 0] / p.camera.quantum_efficiency
    wavelength = world.light.wavelengths_m[:196].mean()
    irradiance = photons * PHOTON_J_M / wavelength / p.camera.pitch**2
    spread = wavelength * p.optics.focal_length
    order_w = irradiance * spread / (396 * 8e-6) * spread / (2 * 8e-6)
    assert 4e-4 / 3 < order_w / 0.5e-3 < 4e-4 * 3


def test_the_axis_shows_the_intensity_of_the_machine(encoded: tuple[PrbmWorld, float]) -> None:
    # Against the equation's I_tot: one macro-pixel's field is that of 2 x 2 pixels at the middle of the beam.
    world, intensity = encoded
    p, light = world.parameters, world.light
    electrons = world.mean_electrons(0, 1.0, 1080, 1280, 1, 1)[0, 0]
    pixel_w = 0.4 * light.band_power_w[0] / 2 * light.amplitude[960] ** 2 * p.slm.reflectance * p.optics.transmission
    spread = light.wavelengths_m[:196].mean() * p.optics.focal_length
    irradiance = pixel_w / p.slm.pitch**2 * (p.slm.fill_factor * p.slm.pitch**2 / spread) ** 2 * 4**2
    expected = irradiance * intensity * p.camera.pitch**2 * p.camera.quantum_efficiency
    expected *= light.wavelengths_m.mean() / PHOTON_J_M
    # 8 bit, a pixel of finite width and a beam of finite waist: 5 % together.
    assert electrons == pytest.approx(expected, rel=0.05)


# --- parameters -------------------------------------------------------------------------------------------------------


def test_bands_must_fit_the_panel() -> None:
    with pytest.raises(ValidationError, match="bands end at row 25, the panel has 24 rows"):
        parameters(optics={"bands": 11})


def test_the_axis_must_lie_on_the_sensor() -> None:
    with pytest.raises(ValidationError, match="outside the sensor"):
        parameters(camera={"axis_row": 200})


def test_the_ideal_table_keeps_the_gray_levels_it_was_given() -> None:
    p = parameters(ideal=True, slm={"levels": 16, "fill_factor": "50 %"})
    assert (p.slm.levels, p.slm.fill_factor, p.slm.rise_time, p.camera.ideal) == (16, 1.0, 0.0, True)

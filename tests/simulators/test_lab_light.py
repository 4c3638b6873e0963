"""What a real table does to light (optical-table.md, sections 1 to 3 and 5): the plain road against closed forms.

`test_lab_roads` proves the fast roads equal to this one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prbm_table import Bay, LabBay, lit_world, parameters

from simulators.physics.fringing import SUB_PIXELS, blurred, neighbour_weights, sub_pixel_centres
from simulators.physics.gray_phase import bent_phase
from simulators.physics.row_coupling import coupling as coupling_of
from simulators.physics.row_coupling import neighbour_ratio, radius_for_ratio, spot_amplitudes
from simulators.worlds.parts.exposure import flicker_in
from simulators.worlds.parts.truth import gray_phases
from simulators.worlds.prbm.optics import OpticsInTime, aperture_window, camera_window
from simulators.worlds.prbm.truth import hidden_table, lit_rectangle, spectrum_shape

INSTANT = {"rise_time": "0 s", "fall_time": "0 s"}
EVEN = {"waist": "uniform"}
TURN = 2 * math.pi


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def bay(hidden: Any, point: bool = True, x_m: Any = (0.0,), y_m: Any = (0.0,), **sections: Any) -> LabBay:
    slm = INSTANT | sections.pop("slm", {})
    return LabBay(parameters(hidden=hidden, slm=slm, **sections), x_m, y_m, point)


# --- nothing hidden ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows_per_wavelength", [1, 2, 3])
@pytest.mark.parametrize("wait_s", [10.0, 30e-3])
def test_without_imperfections_the_lab_road_is_the_plain_one(rows_per_wavelength: int, wait_s: float) -> None:
    p = parameters(optics={"rows_per_wavelength": rows_per_wavelength})
    plain, lab = Bay(p, columns=3), LabBay(p)
    lab.probe._window = aperture_window(plain.aperture, (0.0, 0.0))
    gray = plain.random_gray(np.random.default_rng(1), 24, 48)
    for one in (plain, lab):
        one.panel.write(gray, 0, 0, 0)
        one.panel.rest(wait_s)
    expected = plain.probe.reference(wait_s, 16.7e-3, plain.full)
    np.testing.assert_allclose(lab.power(wait_s, 16.7e-3), expected, rtol=1e-12)


# --- fringing fields --------------------------------------------------------------------------------------------------


def left_on_axis(pattern: NDArray[Any], sigma_px: float) -> float:
    """Amplitude F_0 of the zeroth order of a pattern of depth pi, periodic in 8 pixels, on whole pixels."""
    weights = neighbour_weights(sub_pixel_centres(SUB_PIXELS, 1.0), sigma_px)
    phase = blurred(np.pi * np.tile(pattern, (4, 4)), weights, weights)[8:24, :, 8:24]
    return float(abs(np.exp(1j * phase).mean()))


ROWS, COLUMNS = np.indices((8, 8))
CROSSTALK = [
    ("checker of 1 px", (ROWS + COLUMNS) % 2, 0.53, 0.67),
    ("checker of 2 px", (ROWS // 2 + COLUMNS // 2) % 2, 0.29, 0.38),
    ("stripes of 1 px", COLUMNS % 2, 0.32, 0.42),
    ("stripes of 4 px", COLUMNS // 4 % 2, 0.08, 0.11),
]


@pytest.mark.parametrize(("pattern", "at_015", "at_020"), [row[1:] for row in CROSSTALK], ids=[r[0] for r in CROSSTALK])
def test_crosstalk_leaves_on_the_axis_what_table_a_says(pattern: NDArray[Any], at_015: float, at_020: float) -> None:
    # Four sub-pixels per pixel resolve a flank of 0.15 pixels to 3 %.
    assert left_on_axis(pattern, 0.15) == pytest.approx(at_015, rel=0.05)
    assert left_on_axis(pattern, 0.20) == pytest.approx(at_020, rel=0.05)


def test_a_grating_of_two_pixels_leaks_the_square_of_that() -> None:
    # optical-table.md, check 3, on the table: period 2 px, depth pi, order 0.
    sigma = 0.15
    grating = np.broadcast_to(np.tile([0, 128], 24), (24, 48)).astype(np.uint8)
    hidden = {"crosstalk": sigma, "lut_wavelength": 0}
    world = bay(hidden, beam=EVEN, slm={"fill_factor": "100 %"})
    across = hidden_table(world.p).panel.crosstalk_px[1]
    flat = world.power()[0, 0]
    world.panel.write(grating, 0, 0, 0)
    expected = left_on_axis(COLUMNS % 2, across) ** 2
    # The two columns at the border have one neighbour outside; 2 of 48.
    assert world.power()[0, 0] / flat == pytest.approx(expected, rel=0.1)
    assert expected > 0.08


def test_without_crosstalk_it_leaks_nothing() -> None:
    world = bay({"aberration": 0, "beam_shift": 1e-9}, beam=EVEN)
    flat = world.power()[0, 0]
    world.panel.write(np.broadcast_to(np.tile([0, 128], 24), (24, 48)).astype(np.uint8), 0, 0, 0)
    assert world.power()[0, 0] < 1e-20 * flat


def test_crosstalk_acts_on_the_wrapped_phase() -> None:
    # 255 and 0 differ by a 256th of a turn for light, and by all but that for the blur.
    world = bay({"crosstalk": 0.17, "lut_wavelength": 0}, beam=EVEN)
    flat = world.power()[0, 0]
    wrapped = np.broadcast_to(np.tile([0, 255], 24), (24, 48)).astype(np.uint8)
    world.panel.write(wrapped, 0, 0, 0)
    assert world.power()[0, 0] < 0.8 * flat


def test_weights_of_neighbours_add_up_and_mirror() -> None:
    weights = neighbour_weights(sub_pixel_centres(4, 0.96), 0.17)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-15)
    np.testing.assert_array_equal(neighbour_weights(sub_pixel_centres(4, 1.0), 0.0), [[0, 1, 0]] * 4)


# --- look-up table ----------------------------------------------------------------------------------------------------


def test_gray_levels_give_the_planted_phases_tile_by_tile() -> None:
    world = bay({"lut_error": "5 %", "lut_tile_error": "2 %"})
    gray = np.random.default_rng(2).integers(0, 256, (24, 48)).astype(np.uint8)
    world.panel.write(gray, 0, 0, 0)
    table = gray_phases(world.p, world.truth.panel, np.arange(256))
    for row, column in ((0, 0), (9, 13), (23, 47), (16, 24)):
        expected = table[row * 3 // 24, column * 4 // 48, gray[row, column]]
        assert world.panel.phase[row, column] == pytest.approx(expected, rel=1e-12)
    assert np.unique(table[:, :, 200]).size == 12


def test_patches_get_the_phases_of_where_they_stand() -> None:
    world = bay({"lut_tile_error": "2 %"})
    patches = np.full((2, 2, 3), 100, np.uint8)
    origins = np.array([[3, 10], [15, 30]], np.int32)
    world.panel.load(np.zeros((20, 40), np.uint8), (2, 2), patches, origins)
    world.panel.step(np.array([0, 1], np.int32), 0)
    shown = world.panel.phase.copy()
    world.panel.write(np.full((24, 48), 100, np.uint8), 0, 0, 0)
    for row, column in origins:
        at = np.s_[row : row + 2, column : column + 3]
        np.testing.assert_array_equal(shown[at], world.panel.phase[at])


def test_a_continuous_panel_has_the_same_error() -> None:
    fine, coarse = (bay({"lut_error": "5 %", "lut_tile_error": "2 %"}, slm={"levels": n}) for n in (None, 256))
    fine.panel.write(np.full((24, 48), 77.0), 0, 0, 0)
    coarse.panel.write(np.full((24, 48), 77, np.uint8), 0, 0, 0)
    np.testing.assert_allclose(fine.panel.phase, coarse.panel.phase, rtol=1e-12)


def test_the_error_is_smooth_and_of_the_wanted_size() -> None:
    phase = np.linspace(0, TURN, 257)
    error = bent_phase(phase, 0.05, (0.05, -0.05)) - phase
    assert error[0] == 0
    assert error[-1] == pytest.approx(0.05 * TURN)
    assert np.abs(np.diff(error, 2)).max() < 1e-3
    middle = bent_phase(phase, 0.0, (0.05, 0.0)) - phase
    assert middle.max() == pytest.approx(0.025 * TURN)


@pytest.mark.parametrize(("wavelength_m", "off_rad"), [(588e-9, 0.126), (611e-9, -0.113)])
def test_a_table_for_600_nm_is_off_at_the_ends_of_the_spectrum(wavelength_m: float, off_rad: float) -> None:
    # optical-table.md, section 1: by 0.13 rad in 2 pi.
    p = parameters(hidden={"lut_wavelength": "600 nm"}, optics={"wavelength_first": f"{wavelength_m} m"})
    optics = OpticsInTime(p.model_copy(update={"optics": p.optics.model_copy(update={"dispersion": 180e3})})).at(0.0)
    assert TURN * (optics.scale[0] - 1) == pytest.approx(off_rad, abs=0.003)


def test_light_sees_the_phase_scaled_by_its_wavelength() -> None:
    # Two rows of one band in opposition at the table's wavelength are not so at another.
    p = parameters(
        slm=INSTANT,
        beam=EVEN,
        hidden={"lut_wavelength": "500 nm"},
        optics={"bands": 1, "wavelength_first": "600 nm", "dispersion": 1e9},
    )
    world = LabBay(p, (0.0,), point=True)
    flat = world.power()[0, 0]
    rows = np.arange(24)[:, None] - p.optics.first_row
    world.panel.write(np.broadcast_to(128 * (rows % 2), (24, 48)).astype(np.uint8), 0, 0, 0)
    assert world.power()[0, 0] / flat == pytest.approx(math.cos(math.pi / 2 * 5 / 6) ** 2, rel=1e-6)


# --- coupling of bands ------------------------------------------------------------------------------------------------


def test_the_published_spot_couples_neighbours_by_a_quarter() -> None:
    # optical-table.md, table A: 0.25; 0.49 if 13.5 um is the full width at half maximum; 0.036 over a guard row.
    assert neighbour_ratio(6.75 / 8) == pytest.approx(0.25, abs=0.005)
    assert neighbour_ratio(13.5 / math.sqrt(2 * math.log(2)) / 8) == pytest.approx(0.49, abs=0.01)
    rows = np.arange(0, 40, 1 / 32)
    c = coupling_of(spot_amplitudes(rows, 6.75 / 8, 40), np.full(len(rows), 1 / 32), 6)[20]
    own = 2 * c[0] + 2 * c[1]
    assert (2 * c[3] + c[2] + c[4]) / own == pytest.approx(0.036, abs=0.001)


@pytest.mark.parametrize("ratio", [0.05, 0.175, 0.25, 0.325, 0.6])
def test_a_spot_of_any_coupling_is_found(ratio: float) -> None:
    assert neighbour_ratio(radius_for_ratio(ratio)) == pytest.approx(ratio, rel=1e-6)


def test_coupling_takes_no_light_away() -> None:
    plain, coupled = bay({"spectrum": 1e-9}), bay({"coupling": 0.25})
    total_w = plain.optics.coupling(plain.full)[:, 0].sum()
    assert coupled.optics.coupling(coupled.full)[:, 0].sum() == pytest.approx(total_w, rel=1e-9)


def two_bands(hidden: Any) -> tuple[LabBay, list[float]]:
    """Light on the axis of two bands alone, for phases of the second of 0 to 2 pi; everything else sends none there."""
    world = bay(
        hidden, beam=EVEN, slm={"columns": 40, "levels": None, "rows": 40}, optics={"first_row": 3, "bands": 17}
    )
    seen = []
    for step in range(8):
        gray = np.broadcast_to(np.tile([0.0, 128.0], 20), (40, 40)).copy()
        gray[17:19] = 0.0
        gray[19:21] = 256.0 * step / 8
        world.panel.write(gray, 0, 0, 0)
        seen.append(float(world.power()[0, 0]))
    return world, seen


def visibility(seen: list[float]) -> float:
    """Of a sinusoid over a whole period."""
    return float(2 * abs(np.fft.fft(seen)[1]) / sum(seen))


def test_neighbouring_bands_interfere() -> None:
    # optical-table.md, check 1: in and out of phase, visibility G_12 / G_11 of equal bands.
    world, seen = two_bands({"coupling": 0.25, "coupling_spread": 0, "lut_wavelength": 0})
    ratio = world.truth.spectrum.coupling[0]
    assert visibility(seen) == pytest.approx(ratio, abs=0.01)
    assert seen[0] > 1.5 * seen[4]


def test_bands_of_single_wavelengths_do_not() -> None:
    _, seen = two_bands({"spectrum": 1e-9})
    assert visibility(seen) < 1e-9


def measured_fields(world: LabBay, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Local fields c_j in macro-pixels and a quarter of what a flip of h_j changes the light on the axis by."""
    bands, n = weights.shape
    first = world.p.optics.first_row

    def shown(h: NDArray[Any]) -> float:
        gray = np.broadcast_to(np.tile([0.0, 128.0], (2 * n + 2) // 2), (world.p.slm.rows, 2 * n + 2)).copy()
        tilt = np.arccos(weights)
        for j in range(bands):
            angle = np.append(np.repeat(0.0, 2 * n), np.repeat(np.pi * (h[j] < 0), 2))
            angle[: 2 * n] = np.repeat(tilt[j], 2) * np.tile([1, -1], n)
            gray[first + 2 * j : first + 2 * j + 2] = np.mod(angle, TURN) * 256 / TURN
        world.panel.write(gray, 0, 0, 0)
        return float(world.power()[0, 0])

    up = np.ones(bands)
    whole = shown(up)
    changes = np.array([whole - shown(np.where(np.arange(bands) == j, -1, 1)) for j in range(bands)])
    return weights.sum(axis=1), changes / 4


def test_ignored_coupling_costs_six_per_cent_of_the_correlation() -> None:
    # optical-table.md, table A: r = 0.94. 120 bands: r scatters by (1 - r^2) / sqrt(120) = 0.01.
    bands, n = 120, 30
    world = bay(
        {"coupling": 0.25, "coupling_spread": 0, "lut_wavelength": 0},
        beam=EVEN,
        slm={"rows": 2 * bands + 20, "columns": 2 * n + 2, "levels": None},
        optics={"first_row": 10, "bands": bands, "dispersion": 180e3},
    )
    rng = np.random.default_rng(3)
    weights = np.clip(rng.normal(0, 0.5, (bands, n)), -1, 1)
    c, seen = measured_fields(world, weights)
    r = np.corrcoef(c, seen)[0, 1]
    assert r == pytest.approx(0.94, abs=0.03)
    # The cure: dI_j / 4 = G_jj c_j + sum_k G_jk E_k, E_k = c_k + 1, solved for c.
    rows = world.optics.coupling(world.full)
    band = 10 - world.optics.first_row + 2 * np.arange(bands)
    g = np.zeros((bands, bands))
    for j in range(bands):
        for k in range(max(j - 2, 0), min(j + 3, bands)):
            for a in range(2):
                for b in range(2):
                    one, other = sorted((band[j] + a, band[k] + b))
                    if other - one < rows.shape[1]:
                        g[j, k] += rows[one, other - one]
    scale = np.linalg.lstsq((g @ (c + 1) - np.diag(g))[:, None], seen, rcond=None)[0][0]
    solved = np.linalg.solve(g, seen / scale + np.diag(g)) - 1
    assert np.corrcoef(c, solved)[0, 1] > 0.9999


# --- which rows a wavelength lights, and how strongly -----------------------------------------------------------------


def test_rows_of_a_wavelength_are_off_by_the_planted_offset_and_slope() -> None:
    # A band selected at the source lights rows about its own centre.
    world = bay("typical", optics={"bands": 40, "first_row": 20, "dispersion": 180e3}, slm={"rows": 140})
    truth = world.truth.spectrum
    for wanted in (0.2, 0.5, 0.8):
        samples = world.optics.samples_m
        centre = samples[0] + wanted * np.ptp(samples)
        c = world.optics.coupling((np.abs(samples - centre) < 0.15e-9).astype(float))[:, 0]
        rows = world.optics.first_row + 0.5 + np.arange(world.optics.rows)
        nominal = 20 + 80 * wanted
        expected = 60 + truth.row_offset + (nominal - 60) * (1 + truth.row_slope)
        assert (c * rows).sum() / c.sum() == pytest.approx(expected, abs=0.1)


def test_the_spectrum_is_as_uneven_as_planted() -> None:
    world = bay({"spectrum": "30 %"}, optics={"bands": 259, "first_row": 1}, slm={"rows": 520})
    place = np.linspace(-1, 1, 2001)
    assert np.abs(spectrum_shape(place, world.truth.spectrum.shape)).max() == pytest.approx(0.3, rel=1e-2)
    relative = world.optics.sample_watts / parameters().source.density / world.p.band_width_m / 0.28
    assert np.abs(relative - 1).max() == pytest.approx(0.3, rel=0.02)


def test_light_beyond_the_panel_is_lost() -> None:
    world = bay({"row_offset": 50, "coupling": 0.25}, seed=6)
    shares = world.optics.coupling(world.full)[:, 0].sum() / world.optics.sample_watts.sum()
    assert shares < 0.99


# --- unmodulated light ------------------------------------------------------------------------------------------------


def test_the_dead_area_adds_its_own_field() -> None:
    world = bay({"dead_area": "50 %"}, beam=EVEN, optics={"bands": 1})
    panel = world.truth.panel
    extra = math.sqrt(0.5) * (1 / 0.93 - 1) * np.exp(1j * panel.dead_phase)
    plain = bay({"beam_shift": 1e-9}, beam=EVEN, optics={"bands": 1}).power()[0, 0]
    assert world.power()[0, 0] / plain == pytest.approx(abs(1 + extra) ** 2, rel=1e-9)
    # Where the pixels send nothing, it alone is left.
    world.panel.write(np.broadcast_to(np.tile([0, 128], 24), (24, 48)).astype(np.uint8), 0, 0, 0)
    assert world.power()[0, 0] / plain == pytest.approx(abs(extra) ** 2, rel=1e-9)


def test_a_dead_area_biases_local_fields_and_the_symmetric_difference_cures_it() -> None:
    # prbm.md: 1/2 [dI(v, aux) - dI(-v, -aux)] is exact.
    world = bay({"dead_area": "100 %"}, beam=EVEN, slm={"columns": 42, "levels": None}, optics={"bands": 1})
    phase = world.truth.panel.dead_phase
    weights = np.clip(np.random.default_rng(5).normal(0, 0.4, 20), -1, 1)
    c = weights.sum()

    def change(sign: int) -> float:
        seen = []
        for h in (0.0, 128.0):
            tilt = np.repeat(np.arccos(weights), 2) * np.tile([1, -1], 20)
            angle = np.append(tilt * 256 / TURN + (0 if sign > 0 else 128), [h, h])
            world.panel.write(np.broadcast_to(np.mod(angle, 256), (24, 42)), 0, 0, 0)
            seen.append(float(world.power()[0, 0]))
        return seen[0] - seen[1]

    unit = bay({"beam_shift": 1e-9}, beam=EVEN, slm={"columns": 42}, optics={"bands": 1}).power()[0, 0] / 21**2
    bias = 21 * (1 / 0.93 - 1) * math.cos(phase)
    assert change(1) / 4 / unit == pytest.approx(c + bias, rel=1e-6)
    assert (change(1) - change(-1)) / 8 / unit == pytest.approx(c, rel=1e-6)


def test_light_from_the_glass_lands_where_its_wedge_sends_it() -> None:
    hidden = {"front_face": "1 %", "front_coherence": 0, "front_wedge": "1 mrad"}
    sections: dict[str, Any] = {"beam": EVEN, "optics": {"bands": 1}}
    grating = np.broadcast_to(np.tile([0, 128], 24), (24, 48)).astype(np.uint8)
    panel = bay(hidden, **sections).truth.panel
    down, across = panel.front_tilt_m
    world = bay(hidden, x_m=(across,), y_m=(down,), **sections)
    world.panel.write(grating, 0, 0, 0)
    flat = bay({"beam_shift": 1e-9}, **sections).power()[0, 0]
    dark = bay({"beam_shift": 1e-9}, x_m=(across,), y_m=(down,), **sections)
    dark.panel.write(grating, 0, 0, 0)
    # 1 % of the light against the pixels' 65 %, over the whole area instead of the active one.
    glass = (world.power()[0, 0] - dark.power()[0, 0]) / flat
    assert glass == pytest.approx(0.01 / 0.65 / 0.93**2, rel=0.01)


def test_a_polariser_off_by_a_degree_leaves_three_in_ten_thousand() -> None:
    assert hidden_table(parameters(hidden={"axis_error": "1 deg"})).panel.axis_reflectance == pytest.approx(
        3e-4, rel=0.02
    )
    world = bay({"axis_error": "1 deg"}, beam=EVEN, optics={"bands": 1})
    flat = bay({"beam_shift": 1e-9}, beam=EVEN, optics={"bands": 1}).power()[0, 0]
    world.panel.write(np.broadcast_to(np.tile([0, 128], 24), (24, 48)).astype(np.uint8), 0, 0, 0)
    assert world.power()[0, 0] / flat == pytest.approx(math.sin(math.radians(1)) ** 2, rel=1e-6)


# --- wavefront, dust, beam --------------------------------------------------------------------------------------------


def test_the_wavefront_has_the_planted_spread_over_the_lit_rows() -> None:
    for seed in range(5):
        large: dict[str, Any] = {"slm": {"rows": 1080, "columns": 480}, "optics": {"bands": 259}, "beam": EVEN}
        world = bay({"aberration": "1 rad"}, seed=seed, **large)
        columns, rows = lit_rectangle(world.p)
        shape = np.unwrap(np.angle(world.optics.pupil), axis=1)
        shape = np.unwrap(shape - shape[:1, :1], axis=0)
        assert shape.shape == (len(rows), len(columns))
        assert shape.std() == pytest.approx(1.0, rel=1e-6)


def test_a_wavefront_of_one_radian_costs_light_on_the_axis_and_the_opposite_phase_gives_it_back() -> None:
    sections: dict[str, Any] = {"slm": {"levels": None, "columns": 200}, "optics": {"bands": 1}, "beam": EVEN}
    world, plain = bay({"aberration": "1 rad"}, **sections), bay({"beam_shift": 1e-9}, **sections)
    perfect = plain.power()[0, 0]
    assert world.power()[0, 0] < 0.7 * perfect
    gray = np.zeros((24, 200))
    gray[3:5] = np.mod(-np.angle(world.optics.pupil), TURN) * 256 / TURN
    world.panel.write(gray, 0, 0, 0)
    assert world.power()[0, 0] == pytest.approx(perfect, rel=1e-9)


def test_dust_takes_light_and_adds_no_phase() -> None:
    world = bay({"dust": 40}, slm={"columns": 400})
    fraction = np.abs(world.optics.pupil) ** 2
    assert np.abs(world.optics.pupil.imag).max() == 0
    assert fraction.sum() < bay({"beam_shift": 1e-9}, slm={"columns": 400}).optics.pupil.real.__pow__(2).sum()


def test_the_beam_is_off_the_middle_of_the_panel() -> None:
    world = bay({"beam_shift": 20}, slm={"columns": 400})
    fraction = np.abs(world.optics.pupil[0]) ** 2
    middle = (fraction * (np.arange(400) - 199.5)).sum() / fraction.sum()
    assert middle == pytest.approx(world.truth.geometry.beam_shift_px, abs=0.05)


# --- where the camera looks -------------------------------------------------------------------------------------------

SENSOR = (0, 0, 200, 300)


def test_the_zeroth_order_lands_off_the_plan_by_the_planted_shift() -> None:
    p = parameters(hidden={"camera_shift": 20, "camera_rotation": "1 deg", "camera_scale": "2 %"})
    window = camera_window(p, (0.0, 0.0), SENSOR)
    distance = np.hypot(window.x_m, window.y_m)
    row, column = np.unravel_index(distance.argmin(), distance.shape)
    down, across = hidden_table(p).geometry.shift_px
    assert row - 90 == pytest.approx(down, abs=0.51)
    assert column - 140 == pytest.approx(across, abs=0.51)


@pytest.mark.parametrize("flip", [False, True])
def test_the_focal_plane_is_turned_scaled_and_mirrored_on_the_sensor(flip: bool) -> None:
    p = parameters(hidden={"camera_rotation": "1 deg", "camera_scale": "2 %", "camera_flip": flip})
    g = hidden_table(p).geometry
    window = camera_window(p, (0.0, 0.0), SENSOR)
    v, u = (np.indices((200, 300)) - np.array([90, 140])[:, None, None]) * p.camera.pitch
    seen = (u + 1j * v) / g.scale * np.exp(-1j * g.rotation_rad)
    np.testing.assert_allclose(window.x_m, -seen.real if flip else seen.real, atol=1e-12)
    np.testing.assert_allclose(window.y_m, seen.imag, atol=1e-12)
    assert window.width_m == pytest.approx(p.camera.pitch / g.scale)


def test_a_camera_that_is_in_place_looks_where_the_plan_says() -> None:
    plain, lab = lit_world(slm=INSTANT), lit_world(slm=INSTANT, hidden={"beam_shift": 1e-9})
    gray = np.random.default_rng(1).integers(0, 256, (24, 48)).astype(np.uint8)
    for world in (plain, lab):
        world.panel.write(gray, 0, 0, 0)
    expected = plain.mean_electrons(0, 1e-3, 80, 135, 7, 3)
    np.testing.assert_allclose(lab.mean_electrons(0, 1e-3, 80, 135, 7, 3), expected, rtol=1e-4)


# --- flicker ----------------------------------------------------------------------------------------------------------


def flickering(**hidden: Any) -> LabBay:
    world = bay({"flicker": "0.05 rad", "lut_wavelength": 0} | hidden, beam=EVEN, slm={"columns": 24})
    gray = np.random.default_rng(6).integers(0, 256, (24, 24)).astype(np.uint8)
    world.panel.write(gray, 0, 0, 0)
    return world


def by_brute_force(world: LabBay, start_s: float, duration_s: float, instants: int = 200) -> float:
    """Mean light on the axis over an exposure, by working it out at many instants of the flicker."""
    panel, total = world.truth.panel, 0.0
    calm = bay({"lut_wavelength": 0, "beam_shift": 1e-9}, beam=EVEN, slm={"columns": 24})
    for k in range(instants):
        time_s = start_s + duration_s * (k + 0.5) / instants
        swing = math.sqrt(2) * panel.flicker_share
        state = swing * math.sin(TURN * panel.flicker_hz * time_s + panel.flicker_phase)
        calm.panel.phase[:] = world.panel.phase * (1 + state)
        total += float(calm.power()[0, 0]) / instants
    return total


@pytest.mark.parametrize(("start_s", "periods"), [(0.0, 1.0), (0.3, 2.0), (0.1, 0.37), (0.7, 3.5), (0.2, 1e-3)])
def test_three_states_stand_for_the_whole_flicker(start_s: float, periods: float) -> None:
    world = flickering()
    duration_s = periods / world.truth.panel.flicker_hz
    expected = by_brute_force(world, start_s, duration_s)
    assert world.power(start_s, duration_s)[0, 0] == pytest.approx(
        expected, rel=1e-6 if periods in (1.0, 2.0) else 5e-4
    )


def test_an_exposure_that_is_not_whole_periods_aliases() -> None:
    world = flickering()
    period_s = 1 / world.truth.panel.flicker_hz
    starts = np.arange(0.0, 1.0, 1 / 17)
    whole, part = ([float(world.power(t, n * period_s)[0, 0]) for t in starts] for n in (2.0, 1.3))
    assert np.ptp(whole) < 1e-9 * np.mean(whole)
    assert np.ptp(part) > 1e-4 * np.mean(part)


def test_flicker_is_proportional_to_phase() -> None:
    world = bay({"flicker": "0.05 rad"})
    assert world.truth.panel.flicker_share * math.pi == pytest.approx(0.05)
    assert 60 <= world.truth.panel.flicker_hz <= 300
    states, weights = flicker_in(world.truth.panel, 0.0, 1 / world.truth.panel.flicker_hz)
    assert math.sqrt((weights * states**2).sum()) * math.pi == pytest.approx(0.05)
    assert weights.sum() == pytest.approx(1.0)


# --- drift ------------------------------------------------------------------------------------------------------------


def test_the_room_warms_and_the_table_follows() -> None:
    # optical-table.md, section 3: phase -0.3 %/K, pointing 1-5 urad/K, 0.2-1 row/K, 0.5 K/h.
    p = parameters(hidden="typical")
    t, optics = hidden_table(p), OpticsInTime(p)
    start, later = optics.at(0.0), optics.at(3600.0)
    kelvin = t.kelvin(3600.0)
    assert 0.1 < abs(kelvin) < 0.5
    assert t.kelvin(0.0) == 0.0
    np.testing.assert_allclose(later.scale / start.scale - 1, -t.phase_per_kelvin * kelvin, rtol=1e-9)
    assert 0.002 < t.phase_per_kelvin < 0.004
    pointing = np.array(later.pointing_m) / kelvin / p.optics.focal_length
    assert (np.abs(pointing) >= 1e-6).all()
    assert (np.abs(pointing) <= 5e-6).all()
    assert 0.2 <= abs(t.spectrum.rows_per_kelvin) <= 1

    def centre_row(o: Any) -> float:
        c = o.coupling(np.abs(o.samples_m - o.samples_m[len(o.samples_m) // 2]) < 1e-9)[:, 0]
        return float((c * np.arange(o.rows)).sum() / c.sum())

    assert centre_row(later) - centre_row(start) == pytest.approx(t.spectrum.rows_per_kelvin * kelvin, abs=0.03)


def test_drift_is_seen_over_bench_time() -> None:
    hidden = {"preset": "typical", "slow_noise": 0, "pulse_noise": 0, "flicker": 0, "warm_up": 0, "power_drift": 0}
    world = lit_world(hidden=hidden, slm=INSTANT)
    world.panel.write(np.random.default_rng(1).integers(0, 256, (24, 48)).astype(np.uint8), 0, 0, 0)
    row, column = (
        round(a + s) for a, s in zip((90, 140), hidden_table(world.parameters).geometry.shift_px, strict=True)
    )
    seen = [world.mean_electrons(ns(3600.0 * h), 1e-3, row, column, 3, 1).sum() for h in (0, 0.5 / 3600, 1, 2)]
    assert seen[1] == seen[0]
    assert abs(seen[2] / seen[0] - 1) > 1e-3
    assert abs(seen[3] / seen[2] - 1) > 1e-4

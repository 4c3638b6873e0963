"""The fast roads from a real panel to its detectors against the plain one, which `test_lab_light` proves.

Narrow windows expand and interpolate, each step to a few 1e-6 of the amplitude; wide views transform and interpolate in
single precision. So roads agree to 3e-5 of the light.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prbm_table import LabBay, lit_world, parameters

from simulators.clock import VirtualClock
from simulators.worlds.prbm import PrbmParameters, PrbmWorld
from simulators.worlds.prbm.hidden import HiddenParameters
from simulators.worlds.prbm.lab_probe import LabProbe
from simulators.worlds.prbm.optics import camera_window
from simulators.worlds.prbm.truth import hidden_table

EXPOSURE_S = 16.7e-3
AT_REST_S = 10.0
INSTANT = {"rise_time": "0 s", "fall_time": "0 s"}
REGION = (84, 139, 13, 2)
AGREES = 3e-5


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def gray(rng: np.random.Generator, rows: int = 24, columns: int = 48) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (rows, columns)).astype(np.uint8)


def bay(hidden: Any = "typical", region: tuple[int, int, int, int] = REGION, **sections: Any) -> LabBay:
    """A small table and what a region of its camera looks at, near the zeroth order."""
    p = parameters(hidden=hidden, **({"optics": {"dispersion": 180e3}} | sections))
    made = LabBay(p)
    made.probe.close()
    row, column = (round(shift) for shift in hidden_table(p).geometry.shift_px)
    made.window = camera_window(p, (0.0, 0.0), (region[0] + row, region[1] + column, *region[2:]))
    made.probe = LabProbe(made.optics, made.truth.panel, made.panel, made.window)
    return made


def assert_roads_agree(made: LabBay, start_s: float, duration_s: float = EXPOSURE_S, shares: Any = None) -> None:
    made.panel.rest(start_s)
    lit = (made.full if shares is None else shares), made.even
    plain = made.probe.reference(start_s, duration_s, *lit)
    np.testing.assert_allclose(made.probe.power(start_s, duration_s, *lit), plain, rtol=0, atol=AGREES * plain.max())


# --- narrow windows ---------------------------------------------------------------------------------------------------

ALONE = [
    {"lut_error": "5 %", "lut_tile_error": "2 %"},
    {"lut_wavelength": "600 nm"},
    {"flicker": "0.15 rad"},
    {"crosstalk": 0.25},
    {"aberration": "1 rad", "dust": 20, "beam_shift": 20},
    {"dead_area": "100 %", "axis_error": "2 deg"},
    {"front_face": "1 %"},
    {"camera_shift": 20, "camera_rotation": "3 deg", "camera_scale": "2 %", "camera_flip": True},
    {"row_offset": 3, "row_slope": "5 %", "spectrum": "30 %"},
    {"coupling": 0.5},
]


@pytest.mark.parametrize("hidden", [*ALONE, "typical"], ids=[next(iter(h)) for h in ALONE] + ["typical"])
@pytest.mark.parametrize("wait_s", [AT_REST_S, 12e-3, 60e-3])
def test_each_imperfection_and_all_together(hidden: Any, wait_s: float) -> None:
    made = bay(hidden)
    rng = np.random.default_rng(1)
    for k in range(2):
        made.panel.write(gray(rng), 0, 0, ns(20.0 * k))
        assert_roads_agree(made, 20.0 * k + wait_s)


@pytest.mark.parametrize(
    "region",
    [(90, 140, 1, 1), (75, 140, 31, 1), (90, 137, 1, 7), (60, 140, 61, 1), (86, 100, 5, 83), (40, 130, 91, 21)],
)
@pytest.mark.parametrize("point", [False, True])
def test_windows_of_any_shape(region: tuple[int, int, int, int], point: bool) -> None:
    made = bay(region=region, camera={"ideal": point})
    made.panel.write(gray(np.random.default_rng(2)), 0, 0, 0)
    assert made.probe.narrow
    assert_roads_agree(made, AT_REST_S)


@pytest.mark.parametrize("region", [(84, 20, 1, 260), (0, 139, 260, 1)], ids=["wide", "high"])
@pytest.mark.parametrize("wait_s", [AT_REST_S, 12e-3])
def test_windows_too_large_for_running_sums(region: tuple[int, int, int, int], wait_s: float) -> None:
    made = bay(region=region, camera={"rows": 2000, "columns": 2000})
    rng = np.random.default_rng(2)
    assert not made.probe.narrow
    for k in range(2):
        made.panel.write(gray(rng), 0, 0, ns(20.0 * k))
        assert_roads_agree(made, 20.0 * k + wait_s)


@pytest.mark.parametrize("hidden", ALONE, ids=[next(iter(h)) for h in ALONE])
def test_wide_views_of_each_imperfection(hidden: Any) -> None:
    made = bay(hidden, region=(84, 20, 1, 200))
    made.panel.write(gray(np.random.default_rng(1)), 0, 0, 0)
    made.probe.close()
    made.probe.narrow = False
    assert_roads_agree(made, AT_REST_S)


def test_a_wide_view_of_a_whole_panel_shows_what_a_small_window_in_it_does() -> None:
    world = PrbmWorld(PrbmParameters(hidden=HiddenParameters.model_validate("typical"), noise=False), VirtualClock())
    world.source.emission, world.source.power_fraction = True, 1e-3
    world.panel.write(np.random.default_rng(11).integers(0, 256, (1080, 1920)).astype(np.uint8), 0, 0, 0)
    row, column = 1070, 1330
    wide = world.mean_electrons(ns(AT_REST_S), EXPOSURE_S, row - 150, column - 100, 250, 140)
    small = world.mean_electrons(ns(AT_REST_S), EXPOSURE_S, row, column, 15, 3)
    np.testing.assert_allclose(wide[150:165, 100:103], small, rtol=0, atol=AGREES * wide.max())


@pytest.mark.parametrize("x_px", [-300.0, 0.0, 577.0])
@pytest.mark.parametrize("y_px", [0.0, 250.0])
def test_windows_far_from_the_axis(x_px: float, y_px: float) -> None:
    # The first order of a blaze along x of four pixels lies 577 camera pixels from the zeroth.
    made = bay(region=(84 + round(y_px), 139 + round(x_px), 13, 1), camera={"rows": 2000, "columns": 2000})
    made.panel.write(np.broadcast_to(np.tile([0, 64, 128, 192], 12), (24, 48)).astype(np.uint8), 0, 0, 0)
    assert_roads_agree(made, AT_REST_S)


@pytest.mark.parametrize("rows_per_wavelength", [1, 2, 3])
@pytest.mark.parametrize("coupling", [0, 0.25])
def test_bands_of_any_width(rows_per_wavelength: int, coupling: float) -> None:
    optics = {"rows_per_wavelength": rows_per_wavelength, "dispersion": 180e3}
    made = bay({"preset": "typical", "coupling": coupling}, optics=optics)
    made.panel.write(gray(np.random.default_rng(3)), 0, 0, 0)
    assert_roads_agree(made, AT_REST_S)


@pytest.mark.parametrize("wait_s", [AT_REST_S, 12e-3])
def test_random_partial_rewrites(wait_s: float) -> None:
    made = bay()
    rng = np.random.default_rng(4)
    time_s = 0.0
    for _ in range(12):
        row, column = int(rng.integers(24)), int(rng.integers(48))
        rows, columns = int(rng.integers(1, 25 - row)), int(rng.integers(1, 49 - column))
        made.panel.write(gray(rng, rows, columns), row, column, ns(time_s))
        assert_roads_agree(made, time_s + wait_s)
        time_s += wait_s + EXPOSURE_S


@pytest.mark.parametrize("wait_s", [AT_REST_S, 30e-3])
@pytest.mark.parametrize("same_place", [False, True], ids=["apart", "several per place"])
def test_random_sequences_of_patches(wait_s: float, same_place: bool) -> None:
    made = bay()
    rng = np.random.default_rng(5)
    # Side by side, so that patches are each other's neighbours, and to the panel's border.
    places = [(r, c) for r in range(0, 24, 2) for c in range(0, 48, 4)]
    origins = np.array(places * (2 if same_place else 1), np.int32)
    patches = np.stack([gray(rng, 2, 4) for _ in origins])
    made.panel.load(gray(rng), (0, 0), patches, origins)
    time_s = AT_REST_S
    for k in range(8):
        shown = np.flatnonzero(rng.random(len(places)) < 0.3) if k % 4 else np.empty(0, int)
        wanted = shown + len(places) * rng.integers(0, len(origins) // len(places), len(shown))
        made.panel.step(wanted.astype(np.int32), ns(time_s))
        assert_roads_agree(made, time_s + wait_s)
        time_s += wait_s + EXPOSURE_S


def test_changes_of_the_source_and_its_noise_in_between() -> None:
    made = bay()
    rng = np.random.default_rng(6)
    for k in range(6):
        shares = rng.random(len(made.full)) * (rng.random(len(made.full)) < 0.7)
        made.even = 1 + 0.1 * rng.normal(size=6)
        made.panel.write(gray(rng, 5, 9), 2 * k, 3 * k, ns(k))
        assert_roads_agree(made, k + 0.05, shares=shares)


def test_an_instant_panel() -> None:
    made = bay(slm=INSTANT)
    rng = np.random.default_rng(7)
    for k in range(3):
        made.panel.write(gray(rng, 12, 20), 2 * k, 3 * k, ns(0.1 * k))
        assert_roads_agree(made, 0.1 * k)


def test_a_continuous_panel() -> None:
    made = bay(slm={"levels": None})
    made.panel.write(np.random.default_rng(8).uniform(0, 256, (24, 48)), 0, 0, 0)
    assert_roads_agree(made, AT_REST_S)


def test_rounding_does_not_pile_up_over_thousands_of_patterns() -> None:
    made = bay()
    rng = np.random.default_rng(9)
    patches = np.stack([gray(rng, 2, 2) for _ in range(60)])
    origins = np.array([(3 + 2 * (k % 6), 4 * (k // 6)) for k in range(60)], np.int32)
    made.panel.load(gray(rng, 12, 48), (3, 0), patches, origins)
    for k in range(2000):
        made.panel.step(np.flatnonzero(rng.random(60) < 0.5).astype(np.int32), ns(k))
        made.panel.rest(k + 0.9)
        made.probe.power(k + 0.9, EXPOSURE_S, made.full, made.even)
    assert_roads_agree(made, 2000.0)


def test_the_world_takes_either_road() -> None:
    images = []
    for path in ("auto", "reference"):
        world = lit_world(path=path, hidden="typical", noise=False)
        world.panel.write(gray(np.random.default_rng(10)), 0, 0, 0)
        images.append(world.mean_electrons(ns(30e-3), 5e-3, 90, 135, 10, 1))
    np.testing.assert_allclose(images[0], images[1], rtol=1e-4)


def test_a_closed_detector_follows_no_more() -> None:
    made = bay()
    assert made.probe in made.panel.listeners
    made.probe.close()
    made.probe.close()
    assert made.probe not in made.panel.listeners


def test_what_the_house_plan_calls_typical_is_what_is_tested() -> None:
    assert all(
        HiddenParameters.model_validate("typical").model_dump()[name]
        for hidden in ALONE
        for name in hidden
        if name != "camera_flip"
    )

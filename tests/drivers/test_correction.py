"""What calibrations do to gray levels, frames and set-points, and that without one nothing changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from drivers.contract import ROI, Frame
from drivers.correction import (
    PHASE_POINTS,
    CorrectedFrame,
    Dark,
    Flat,
    FrameCorrection,
    HotPixels,
    LevelFinder,
    PhaseTable,
    PowerCurve,
    correct,
    filled,
    nearest_levels,
)
from drivers.errors import CalibrationError, LimitError
from drivers.phase import gray_levels
from labctl.bus.messages import Reply, decode_reply, encode
from labctl.bus.values import revive
from simulators.devices.camera import SimulatedCamera
from simulators.devices.pump import SimulatedPump
from simulators.devices.slm import SimulatedSLM
from simulators.worlds.prbm import PrbmWorld
from simulators.worlds.prbm.parameters import PrbmParameters
from simulators.worlds.rail import RailWorld

ROWS, COLUMNS, LEVELS = 40, 60, 256


@pytest.fixture
def world() -> PrbmWorld:
    parameters = PrbmParameters.model_validate(
        {
            "noise": False,
            "slm": {"rows": ROWS, "columns": COLUMNS},
            "optics": {"bands": 4, "first_row": 8},
            "camera": {"rows": 30, "columns": 50, "axis_row": 15, "axis_column": 25},
        }
    )
    return PrbmWorld(parameters, PrbmWorld.clock_of_kind("virtual"))


@pytest.fixture
def slm(world: PrbmWorld) -> SimulatedSLM:
    made = SimulatedSLM("slm", world)
    made.open()
    return made


@pytest.fixture
def camera(world: PrbmWorld) -> SimulatedCamera:
    made = SimulatedCamera("camera", world)
    made.open()
    return made


def table(bands: int = 3, tiles: int = 2, span_turns: float = 1.7, seed: int = 3) -> PhaseTable:
    """Cells of their own slope and bend, over more than one turn, as panels have."""
    rng = np.random.default_rng(seed)
    gray = np.linspace(0, 1, LEVELS)
    slope = 2 * math.pi * span_turns * rng.uniform(0.8, 1.2, (bands, tiles, 1))
    bend = rng.uniform(-0.5, 0.5, (bands, tiles, 1))
    return PhaseTable(
        row_edges=np.array([0, *sorted(rng.choice(np.arange(1, ROWS), bands - 1, replace=False)), ROWS]),
        column_edges=np.linspace(0, COLUMNS, tiles + 1).astype(int),
        phase_rad=slope * gray + bend * np.sin(2 * math.pi * gray) + rng.uniform(-9, 9, (bands, tiles, 1)),
        calibration_id="a" * 64,
    )


def distance(a: Any, b: Any) -> Any:
    """On the circle, rad."""
    return np.abs(np.angle(np.exp(1j * (np.asarray(a) - np.asarray(b)))))


def cell_phases(t: PhaseTable) -> np.ndarray:
    """(ROWS, COLUMNS, LEVELS): phase of every level at every pixel, spelt out."""
    rows = np.repeat(np.arange(len(t.row_edges) - 1), np.diff(t.row_edges))
    columns = np.repeat(np.arange(len(t.column_edges) - 1), np.diff(t.column_edges))
    return t.phase_rad[rows][:, columns]


# --- SLM ----------------------------------------------------------------------------------------------------------


def test_every_pixel_shows_the_level_whose_measured_phase_is_nearest(slm: SimulatedSLM) -> None:
    t = table()
    slm.phase_table = t
    wanted = np.random.default_rng(0).uniform(-20, 20, (ROWS, COLUMNS))
    slm.write(wanted)
    off = distance(cell_phases(t), wanted[..., None])
    shown = np.take_along_axis(off, slm.read_back()[..., None].astype(int), axis=2)[..., 0]
    np.testing.assert_allclose(shown, off.min(axis=2), atol=4e-4)  # phases are looked up on 16384 points


def test_a_region_and_a_sequence_use_the_cells_they_lie_in(slm: SimulatedSLM) -> None:
    from drivers.contract import Sequence

    t = table(bands=4, tiles=3)
    slm.phase_table = t
    rng = np.random.default_rng(1)
    wanted = rng.uniform(0, 2 * math.pi, (ROWS, COLUMNS))
    slm.write(wanted)
    whole = slm.read_back().copy()
    finder = LevelFinder(t)
    np.testing.assert_array_equal(finder.levels(wanted[5:25, 7:50], 5, 7), whole[5:25, 7:50])
    slm.write(np.zeros((ROWS, COLUMNS)))
    slm.write(wanted[5:25, 7:50], 5, 7, False)
    np.testing.assert_array_equal(slm.read_back()[5:25, 7:50], whole[5:25, 7:50])
    origins = np.array([[0, 0], [18, 31], [36, 55]], np.int32)
    patches = np.stack([wanted[r : r + 4, c : c + 5] for r, c in origins])
    slm.load(
        Sequence(
            base=np.zeros((ROWS, COLUMNS)),
            base_origin=(0, 0),
            patches=patches,
            patch_origins=origins,
            offsets=np.array([0, 3], np.int32),
            indices=np.arange(3, dtype=np.int32),
        )
    )
    slm.run(1e-3)
    for r, c in origins:
        np.testing.assert_array_equal(slm.read_back()[r : r + 4, c : c + 5], whole[r : r + 4, c : c + 5])


def test_an_even_table_gives_the_nominal_levels(slm: SimulatedSLM) -> None:
    ramp = np.arange(LEVELS) * (2 * math.pi / LEVELS)
    even = PhaseTable(row_edges=np.array([0, ROWS]), column_edges=np.array([0, COLUMNS]), phase_rad=ramp[None, None, :])
    wanted = np.random.default_rng(2).uniform(-9, 9, (ROWS, COLUMNS))
    slm.write(wanted)
    nominal = slm.read_back().copy()
    slm.phase_table = even
    slm.write(wanted)
    step = np.mod(slm.read_back().astype(int) - nominal, LEVELS)
    assert np.isin(step, [0, 1, LEVELS - 1]).all()
    assert (step != 0).mean() < 0.02  # at the middle between two levels either is nearest, to within 0.2 mrad


def test_without_a_table_levels_are_nominal_and_gray_is_never_touched(slm: SimulatedSLM) -> None:
    wanted = np.random.default_rng(2).uniform(-9, 9, (ROWS, COLUMNS))
    slm.phase_table = table()
    gray = np.random.default_rng(4).integers(0, 256, (ROWS, COLUMNS)).astype(np.uint8)
    slm.write_gray(gray)
    np.testing.assert_array_equal(slm.read_back(), gray)
    slm.phase_table = None
    slm.write(wanted)
    np.testing.assert_array_equal(slm.read_back(), gray_levels(wanted, LEVELS))


def test_levels_without_a_phase_are_never_shown(slm: SimulatedSLM) -> None:
    t = table(span_turns=2.5)
    phase = np.where(np.arange(LEVELS) % 3 == 0, np.nan, t.phase_rad)
    slm.phase_table = PhaseTable(row_edges=t.row_edges, column_edges=t.column_edges, phase_rad=phase)
    wanted = np.random.default_rng(8).uniform(-20, 20, (ROWS, COLUMNS))
    slm.write(wanted)
    shown = slm.read_back().astype(int)
    assert not (shown % 3 == 0).any()
    off = distance(cell_phases(PhaseTable(row_edges=t.row_edges, column_edges=t.column_edges, phase_rad=phase)),
                   wanted[..., None])  # fmt: skip
    np.testing.assert_allclose(
        np.take_along_axis(off, shown[..., None], axis=2)[..., 0], np.nanmin(off, axis=2), atol=4e-4
    )


def test_of_levels_with_the_same_phase_the_lowest_is_shown() -> None:
    found = nearest_levels(np.arange(8) * (2 * math.pi / 4))  # two turns in eight levels
    assert set(found.tolist()) == {0, 1, 2, 3}


def test_levels_of_sixteen_bits_are_found_too() -> None:
    phase = np.linspace(0, 4 * math.pi, 1024, endpoint=False)
    found = nearest_levels(phase)
    assert found.dtype == np.uint16
    wanted = np.arange(PHASE_POINTS) * 2 * math.pi / PHASE_POINTS
    assert distance(phase[found], wanted).max() <= 2 * math.pi / 1024 + 1e-9


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"row_edges": np.array([0, 20, ROWS + 1])}, "row_edges must rise from 0 to 40"),
        ({"column_edges": np.array([1, COLUMNS])}, "column_edges must rise from 0 to 60"),
        ({"phase_rad": np.zeros((2, 1, 128))}, r"phases of shape \(2, 1, 128\)"),
        ({"phase_rad": np.full((2, 1, LEVELS), np.nan)}, "two levels or more need a finite phase"),
        ({"phase_rad": np.full((2, 1, LEVELS), np.inf)}, "two levels or more need a finite phase"),
    ],
)
def test_a_table_that_does_not_fit_the_panel_is_refused(slm: SimulatedSLM, wrong: dict[str, Any], told: str) -> None:
    fits = {
        "row_edges": np.array([0, 20, ROWS]),
        "column_edges": np.array([0, COLUMNS]),
        "phase_rad": np.zeros((2, 1, LEVELS)),
    }
    before = PhaseTable(**fits)
    slm.phase_table = before
    with pytest.raises(CalibrationError, match=told):
        slm.phase_table = PhaseTable(**(fits | wrong))
    assert slm.phase_table is before


def test_a_continuous_panel_needs_no_table() -> None:
    parameters = PrbmParameters.model_validate({"slm": {"levels": None}})
    slm = SimulatedSLM("slm", PrbmWorld(parameters, PrbmWorld.clock_of_kind("virtual")))
    slm.open()
    with pytest.raises(CalibrationError, match="continuous"):
        slm.phase_table = table()


# --- the declaration ----------------------------------------------------------------------------------------------


def test_ids_of_what_is_in_force_are_a_setting(slm: SimulatedSLM, camera: SimulatedCamera) -> None:
    assert (slm.calibration_ids, camera.calibration_ids) == ({}, {})
    slm.phase_table = table()
    assert slm.snapshot()["calibration_ids"] == {"phase_table": "a" * 64}
    slm.phase_table = None
    assert slm.calibration_ids == {}
    assert set(camera.declared_calibrations()) == {"dark", "flat", "hot_pixels"}
    assert set(slm.declared_calibrations()) == {"phase_table"}


def test_what_is_refused_is_an_error_where_it_is_needed_and_only_there(
    slm: SimulatedSLM, camera: SimulatedCamera
) -> None:
    slm.phase_table = table()
    slm.refuse_calibration("phase_table", "slm: the phase table is stale; measure it")
    with pytest.raises(CalibrationError, match="stale; measure"):
        slm.write(np.zeros((ROWS, COLUMNS)))
    slm.write_gray(np.zeros((ROWS, COLUMNS), np.uint8))
    assert slm.calibration_ids == {}
    slm.phase_table = table()
    slm.write(np.zeros((ROWS, COLUMNS)))
    camera.refuse_calibration("dark", "camera: the dark is foreign")
    camera.trigger()
    with pytest.raises(CalibrationError, match="foreign"):
        camera.correction()


def test_a_value_of_another_type_is_refused(camera: SimulatedCamera) -> None:
    with pytest.raises(CalibrationError, match=r"camera\.dark = PowerCurve: a Dark is needed"):
        camera.dark = PowerCurve(set_point=np.arange(2.0), emitted_w=np.arange(2.0))  # type: ignore[assignment]


# --- camera -------------------------------------------------------------------------------------------------------


def maps(rows: int = 30, columns: int = 50) -> tuple[Dark, Flat, HotPixels]:
    rng = np.random.default_rng(5)
    dark = Dark(
        offset_counts=rng.normal(100, 2, (rows, columns)),
        rate_counts_per_s=rng.uniform(0, 50, (rows, columns)),
        calibration_id="d" * 64,
    )
    flat = Flat(response=rng.normal(1, 0.01, (rows, columns)), calibration_id="f" * 64, saturation_counts=60000.0)
    return dark, flat, HotPixels(pixels=np.array([[3, 4], [12, 20], [29, 49]]), calibration_id="0" * 64)


def frame(data: np.ndarray, roi: ROI, exposure_s: float = 0.5) -> Frame:
    return Frame(
        data=data, frame_id=1, start_ns=0, end_ns=1, utc_start_ns=0, exposure_s=exposure_s, roi=roi,
        electrons_per_count=0.45, bit_depth=16, saturated=0, lost_before=0, pattern_id=1,
    )  # fmt: skip


def test_corrected_counts_are_raw_less_dark_by_flat(camera: SimulatedCamera) -> None:
    dark, flat, hot = maps()
    camera.dark, camera.flat, camera.hot_pixels = dark, flat, hot
    camera.roi = roi = ROI(row=10, column=15, rows=8, columns=9)
    light = np.random.default_rng(6).uniform(0, 50000, (8, 9))
    part = (slice(10, 18), slice(15, 24))
    raw = dark.offset_counts[part] + 0.5 * dark.rate_counts_per_s[part] + light * flat.response[part]
    raw[0, 0] = 60000.0
    corrected = correct(frame(raw, roi), camera.correction())
    np.testing.assert_allclose(corrected.counts.ravel()[1:], light.ravel()[1:], rtol=1e-9)
    assert np.argwhere(corrected.saturated).tolist() == [[0, 0]]
    assert np.argwhere(corrected.hot).tolist() == [[2, 5]]  # pixel 12, 20 of the sensor
    assert corrected.calibration_ids == {"dark": "d" * 64, "flat": "f" * 64, "hot_pixels": "0" * 64}


def test_frames_are_what_the_camera_read(camera: SimulatedCamera) -> None:
    before = camera.trigger().data.copy()
    camera.dark, camera.flat, camera.hot_pixels = maps()
    np.testing.assert_array_equal(camera.trigger().data, before)  # the world of these tests has no noise


def test_without_a_flat_the_response_is_even(camera: SimulatedCamera) -> None:
    camera.dark = Dark(offset_counts=np.full((30, 50), 7.0), rate_counts_per_s=np.array([[2.0]]))
    roi = ROI(row=0, column=0, rows=30, columns=50)
    corrected = correct(frame(np.full((30, 50), 100.0), roi), camera.correction())
    np.testing.assert_array_equal(corrected.counts, 92.0)
    assert not corrected.hot.any()
    assert correct(frame(np.full((30, 50), 65535.0), roi), camera.correction()).saturated.all()


def test_a_stack_is_corrected_frame_by_frame(camera: SimulatedCamera) -> None:
    camera.dark, camera.flat, _ = maps()
    camera.arm(2)
    one = frame(np.full((30, 50), 900.0), ROI(row=0, column=0, rows=30, columns=50))
    both = correct(Frame(**{f: getattr(one, f) for f in one.__struct_fields__ if f != "data"},
                         data=np.full((2, 30, 50), 900.0)), camera.correction())  # fmt: skip
    assert both.counts.shape == both.saturated.shape == (2, 30, 50)
    np.testing.assert_array_equal(both.counts[1], correct(one, camera.correction()).counts)


def test_hot_pixels_are_filled_from_their_neighbours_for_sums() -> None:
    rng = np.random.default_rng(9)
    counts = rng.uniform(0, 100, (3, 5, 6))
    hot = np.zeros((5, 6), np.bool_)
    hot[0, 0] = hot[2, 3] = hot[2, 4] = True
    none = np.zeros((3, 5, 6), np.bool_)
    done = filled(CorrectedFrame(counts=counts, saturated=none, hot=hot, calibration_ids={}))
    np.testing.assert_array_equal(done[:, ~hot], counts[:, ~hot])
    np.testing.assert_allclose(done[:, 0, 0], (counts[:, 0, 1] + counts[:, 1, 0] + counts[:, 1, 1]) / 3)
    around = counts[:, 1:4, 2:5].reshape(3, 9)[:, [0, 1, 2, 3, 6, 7, 8]]  # without itself and its hot neighbour
    np.testing.assert_allclose(done[:, 2, 3], around.mean(axis=1))
    with pytest.raises(CalibrationError, match="all its neighbours are hot"):
        filled(CorrectedFrame(counts=counts, saturated=none, hot=np.ones((5, 6), np.bool_), calibration_ids={}))


def test_a_correction_says_what_is_missing(camera: SimulatedCamera) -> None:
    with pytest.raises(CalibrationError, match="no dark is in force"):
        camera.correction()
    camera.dark = Dark(offset_counts=np.zeros((10, 10)), rate_counts_per_s=np.zeros((1, 1)), row=5, column=5)
    with pytest.raises(CalibrationError, match=r"covers rows 5 to 14.*region of interest is rows 0 to 29"):
        camera.correction()
    camera.roi = ROI(row=6, column=6, rows=4, columns=4)
    correction = camera.correction()
    with pytest.raises(LimitError, match="ask the camera for `correction"):
        correct(frame(np.zeros((4, 4)), ROI(row=7, column=6, rows=4, columns=4)), correction)


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("dark", Dark(offset_counts=np.zeros((31, 50)), rate_counts_per_s=np.zeros((1, 1))), "does not lie on"),
        ("dark", Dark(offset_counts=np.zeros((3, 5)), rate_counts_per_s=np.zeros((5, 3))), "dark current of shape"),
        ("dark", Dark(offset_counts=np.full((3, 5), np.nan), rate_counts_per_s=np.zeros((1, 1))), "not finite"),
        ("flat", Flat(response=np.zeros((3, 5))), "mark dead pixels"),
        ("hot_pixels", HotPixels(pixels=np.array([[30, 0]])), "outside the sensor"),
        ("hot_pixels", HotPixels(pixels=np.array([3, 0])), "is needed"),
    ],
)
def test_maps_that_do_not_fit_the_sensor_are_refused(camera: SimulatedCamera, kind: str, value: Any, told: str) -> None:
    with pytest.raises(CalibrationError, match=rf"camera\.{kind}.*{told}"):
        setattr(camera, kind, value)
    assert camera.calibration_ids == {}


def test_a_correction_crosses_the_bus(camera: SimulatedCamera) -> None:
    camera.dark, camera.flat, camera.hot_pixels = maps()
    sent = camera.correction()
    came = revive(decode_reply(encode(Reply(1, sent))).value)
    assert isinstance(came, FrameCorrection)
    np.testing.assert_array_equal(came.dark_counts, sent.dark_counts)
    np.testing.assert_array_equal(came.hot, sent.hot)
    assert came.calibration_ids == sent.calibration_ids


# --- laser --------------------------------------------------------------------------------------------------------


def test_a_power_curve_is_read_in_both_directions() -> None:
    world = RailWorld(RailWorld.Parameters(), RailWorld.clock_of_kind("virtual"))
    pump = SimulatedPump("pump", world)
    pump.open()
    with pytest.raises(CalibrationError, match="no power curve"):
        pump.emitted_w()
    pump.power_curve = PowerCurve(set_point=np.array([1.0, 2.0, 4.0]), emitted_w=np.array([0.8, 1.9, 3.5]))
    pump.power_w = 3.0
    assert pump.emitted_w() == pytest.approx(2.7)
    assert pump.set_point_for(2.7) == pytest.approx(3.0)
    with pytest.raises(LimitError, match=r"outside the measured 0\.8 to 3\.5"):
        pump.set_point_for(4.0)
    with pytest.raises(CalibrationError, match="powers must be two or more"):
        pump.power_curve = PowerCurve(set_point=np.array([1.0, 2.0]), emitted_w=np.array([2.0, 1.0]))
    assert pump.power_w == 3.0  # the set-point is the caller's

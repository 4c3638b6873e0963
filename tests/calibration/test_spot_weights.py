"""Spots become even with the camera in the loop, as even as they are said to be, or the cause is named."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hologram_small import BENCH, SMALL
from interval_coverage import SOAK_TABLES, Measured, Quantity, Table, measured_on_hidden_tables

from calibration.spot_hologram import SpotPattern
from calibration.spot_lattice import located, powers
from calibration.spot_weights import uniformity
from labctl.bench.load import load_bench
from labctl.client import CalibrationError, ConfigurationError, open_bench
from labctl.experiments.calibrate import calibrate
from labctl.experiments.execute import BENCH_KEYS
from labctl.store import Calibration, Store
from labctl.store import Measured as Value
from simulators.worlds.hologram import HologramParameters, HologramWorld
from simulators.worlds.hologram.truth import panel_wavefront

NAME = "spot-weights"
# Pixels of the camera are larger: a spot of so small a panel is wide enough.
TABLE = {
    **SMALL,
    "world.camera.pitch": "13 um", "world.camera.rows": 1080, "world.camera.columns": 1280,
    "world.camera.axis_row": 540, "world.camera.axis_column": 640,
    "alignment.hologram.zeroth_order.row": 540, "alignment.hologram.zeroth_order.column": 640,
    "alignment.hologram.spot.row": -100, "alignment.hologram.spot.column": 140,
    "world.hidden.aberration": "0.5 rad",
}  # fmt: skip
SPOTS = {
    "rows": 2, "columns": 3, "pitch": 6, "frames": 1, "search_px": 40, "prepared": 10, "verified": 4,
}  # fmt: skip


def wave_known(seed: int, store: Store) -> dict[str, object]:
    """Put the true wavefront of a table in force, which spots stand on; what is given for its spots."""
    given = {**TABLE, **SPOTS, "world.seed": seed}
    config = load_bench(BENCH, {k: v for k, v in given.items() if k.startswith(BENCH_KEYS)})
    assert isinstance(config.world_parameters, HologramParameters)
    blocks = np.arange(4.0, 64, 8)
    with open_bench(config) as bench:
        slm = bench.slm.identity()
    made = Calibration(
        kind="wavefront",
        routine="wavefront",
        bench=config.name,
        role="slm",
        devices={"slm": slm},
        values={
            "row_px": Value(blocks, "px"),
            "column_px": Value(blocks, "px"),
            "phase_rad": Value(panel_wavefront(config.world_parameters)[4::8, 4::8], "rad", 0.02),
        },
    )
    store.use(store.add(made))
    return {**TABLE, **SPOTS}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(tmp_path / "calibrations"))
    return Store(tmp_path / "calibrations")


def true_uniformity(p: HologramParameters, phase: np.ndarray, places: np.ndarray, half_px: int) -> float:
    """Of the light that a pattern sends to the spots, on a perfect sensor."""
    world = HologramWorld(p, HologramWorld.clock_of_kind("virtual"))
    world.state["pump_emission"], world.state["pump_power_w"] = True, 0.1
    world.write((np.rint(phase * 256 / (2 * math.pi)).astype(int) % 256).astype(np.uint8), 0, 0)
    world.clock.sleep_until(1_000_000_000)
    first = np.floor(places.min(axis=0)).astype(int) - 2 * half_px
    rows, columns = np.ceil(places.max(axis=0)).astype(int) + 2 * half_px - first
    light = world.mean_electrons(world.clock.now_ns(), 0.1, *first, rows, columns)
    return uniformity(powers(light, places - first, half_px))


def _compare(table: Table) -> list[Quantity]:
    found = table.found[NAME]
    half = (int(found.number("box_px")) - 1) // 2
    true = true_uniformity(table.parameters, found["phase_rad"], found["places"], half)
    assert found.number("iterations") <= 20
    return [Quantity("uniformity", found.number("uniformity"), float(found.uncertainty("uniformity")), true)]


def _found_on(tables: int, out: Path, store: Store) -> Measured:
    def given(seed: int) -> dict[str, object]:
        return wave_known(seed, store)

    return measured_on_hidden_tables(NAME, _compare, out, bench=BENCH, given=given, tables=tables)


@pytest.mark.timeout(600)
def test_spots_are_as_even_as_is_said_and_wanted(tmp_path: Path, store: Store) -> None:
    measured = _found_on(20, tmp_path, store)
    measured.must_cover()
    assert np.median([q.truth for q in measured.quantities["uniformity"]]) <= 0.01


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_coverage_on_a_hundred_tables(tmp_path: Path, store: Store) -> None:
    measured = _found_on(SOAK_TABLES, tmp_path, store)
    print(measured.report())  # noqa: T201
    measured.must_cover()


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"world.beam.blocked": True}, "beam blocks"),
        ({"world.pump.tripped": True}, "open interlock"),
        ({"world.optics.camera_attenuation": "100 %"}, "lower the source's power"),
        ({"world.optics.focal_length": "0.22 m"}, "focal length|another lens"),
        ({"world.hidden.camera_flip": True}, "mirrored"),
        ({"world.slm.stuck": True}, "the SLM does not show"),
        ({"rows": 12, "columns": 12}, "leaves the camera"),
    ],
    ids=["beam blocked", "laser off", "camera saturated", "another lens", "mirrored", "SLM stuck", "too large"],
)
def test_bad_light_is_named_and_nothing_is_kept(
    given: dict[str, object], cause: str, tmp_path: Path, store: Store
) -> None:
    spots = wave_known(7, store)
    before = list(store.uses())
    with pytest.raises(CalibrationError, match=cause):
        calibrate(NAME, BENCH, {**spots, **given}, out=tmp_path / "runs")
    assert list(store.uses()) == before


@pytest.mark.usefixtures("store")
def test_without_the_tables_wavefront_it_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="labctl calibrate wavefront"):
        calibrate(NAME, BENCH, {**TABLE, **SPOTS}, out=tmp_path / "runs")


def _image(places: np.ndarray, light: np.ndarray) -> np.ndarray:
    rows, columns = np.indices((160, 160))
    image = np.random.default_rng(1).normal(0, 1, rows.shape)
    for (row, column), height in zip(places, light, strict=True):
        image += height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 2.5**2))
    return image


GRID = np.array([[30 + 25 * i, 30 + 25 * j] for i in range(5) for j in range(5)], float)


def test_a_lattice_is_located_where_it_is() -> None:
    turn = 1.02 * np.array([[math.cos(0.02), -math.sin(0.02)], [math.sin(0.02), math.cos(0.02)]])
    true = (GRID - GRID.mean(axis=0)) @ turn.T + GRID.mean(axis=0) + [2.3, -1.4]
    found = located(_image(true, np.full(25, 1000.0)), GRID, 10, 1.0)
    np.testing.assert_allclose(found.places, true, atol=0.1)
    np.testing.assert_allclose(found.matrix, turn, atol=2e-3)
    assert found.scale == pytest.approx(1.02, abs=1e-3)


@pytest.mark.parametrize(
    ("missing", "cause"),
    [
        (GRID[:, 1] < 65, "covers part of the Fourier plane"),
        (np.hypot(*(GRID - 80).T) > 40, "another lens or a stop"),
        (np.arange(25) % 2 == 0, "the SLM does not show"),
    ],
    ids=["on one side", "far out", "here and there"],
)
def test_half_the_spots_missing_is_told(missing: np.ndarray, cause: str) -> None:
    with pytest.raises(CalibrationError, match=f"spots are missing.*{cause}"):
        located(_image(GRID, np.where(missing, 0.0, 1000.0)), GRID, 10, 1.0)


def test_a_pattern_follows_what_was_measured() -> None:
    units = np.array([[-10, 12], [-10, 22], [2, 12]], float)
    pattern = SpotPattern((32, 32), 64, units, np.random.default_rng(2))
    pattern.prepare(20)
    place = np.arange(32) - 15.5

    def light(phase: np.ndarray) -> np.ndarray:
        wave = np.exp(1j * phase)
        turns = [np.exp(-2j * np.pi * (r * place[:, None] + c * place) / 64) for r, c in units]
        return np.abs([(wave * turn).sum() for turn in turns]) ** 2

    response = np.array([1.0, 0.7, 1.2])  # of the table: what the computer does not know
    seen: list[float] = []

    def measured(phase: np.ndarray) -> np.ndarray | None:
        power = light(phase) * response
        seen.append(uniformity(power))
        return None if seen[-1] < 0.005 else power

    pattern.feed_back(20, measured)
    assert seen[0] > 0.1
    assert seen[-1] < 0.005
    with pytest.raises(ConfigurationError, match="nearer centre"):
        SpotPattern((32, 32), 64, units + 40, np.random.default_rng(2))

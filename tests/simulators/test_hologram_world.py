"""The hologram table: spots where a blaze sends them, aberrations that a pattern cures, a reference that interferes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.bench.load import load_bench
from labctl.client import LimitError, open_bench
from labctl.server.world import operations_of
from simulators.worlds.hologram import HologramParameters, HologramWorld
from simulators.worlds.hologram.light import path_factor
from simulators.worlds.hologram.truth import hidden_table, panel_wavefront, reference_phase

N = 64
SMALL = {"slm": {"rows": N, "columns": N}, "beam": {"waist": "0.3 mm"}}


class Table:
    """A world with its lights on."""

    def __init__(self, pump_w: float = 0.01, reference_w: float = 0.0, **given: Any) -> None:
        self.p = HologramParameters.model_validate({**SMALL, **given})
        self.world = HologramWorld(self.p, HologramWorld.clock_of_kind("virtual"))
        self.switch(pump_w, reference_w)

    def switch(self, pump_w: float, reference_w: float) -> None:
        for port, watts in (("pump", pump_w), ("reference", reference_w)):
            self.world.state[f"{port}_emission"], self.world.state[f"{port}_power_w"] = watts > 0, watts

    def show(self, phase: np.ndarray) -> None:
        gray = np.rint(phase * 256 / (2 * math.pi)).astype(np.int64) % 256
        self.world.write(gray.astype(np.uint8), 0, 0)
        self.world.clock.sleep_until(self.world.clock.now_ns() + 500_000_000)

    def light(self, row: int, column: int, rows: int, columns: int, exposure_s: float = 1e-3) -> np.ndarray:
        return self.world.mean_electrons(self.world.clock.now_ns(), exposure_s, row, column, rows, columns)


def blaze(row_px: float, column_px: float, p: HologramParameters) -> np.ndarray:
    """Phase that sends light to a camera pixel counted from the zeroth order."""
    per_px = p.kappa * p.camera.pitch * p.slm.pitch
    y, x = (np.arange(n) - (n - 1) / 2 for n in (p.slm.rows, p.slm.columns))
    return per_px * (row_px * y[:, None] + column_px * x[None, :])


def centre(light: np.ndarray) -> np.ndarray:
    light = np.where(light > 0.2 * light.max(), light, 0)
    rows, columns = np.indices(light.shape)
    return np.array([(rows * light).sum(), (columns * light).sum()]) / light.sum()


def test_a_blaze_sends_light_to_its_pixel_where_the_camera_is_turned_shifted_and_scaled() -> None:
    for hidden in ("none", {"camera_shift": 20, "camera_rotation": "1 deg", "camera_scale": "2 %"}):
        table = Table(hidden=hidden)
        g = hidden_table(table.p).geometry
        table.show(blaze(60, -110, table.p))
        turn = g.scale * np.array([[math.cos(g.rotation_rad), math.sin(g.rotation_rad)],
                                   [-math.sin(g.rotation_rad), math.cos(g.rotation_rad)]])  # fmt: skip
        wanted = np.array([1080, 1280]) + g.shift_px + turn @ np.array([60, -110])
        first = np.round(wanted).astype(int) - 60
        found = first + centre(table.light(*first, 121, 121))
        np.testing.assert_allclose(found, wanted, atol=0.15)


def test_aberrations_blur_the_spot_as_their_rms_says_and_their_conjugate_cures_it() -> None:
    table = Table(hidden={"aberration": "0.5 rad"})
    peaks = []
    for cure in (0.0, 1.0):
        table.show(blaze(60, 60, table.p) - cure * panel_wavefront(table.p))
        peaks.append(table.light(1080 + 40, 1280 + 40, 41, 41).max())
    flat = Table()
    flat.show(blaze(60, 60, flat.p))
    best = flat.light(1080 + 40, 1280 + 40, 41, 41).max()
    assert panel_wavefront(table.p).std() == pytest.approx(0.5, rel=1e-6)
    assert peaks[1] == pytest.approx(best, rel=0.01)
    assert 0.6 < peaks[0] / best < 0.95  # exp(-0.25) of an even beam; this one is brightest where waves are flat


def test_light_ends_where_the_panel_sends_none_and_where_the_beam_is_blocked() -> None:
    table = Table()
    table.show(blaze(60, 60, table.p))
    total = table.light(1080 - 200, 1280 - 200, 401, 401).sum()
    assert table.light(1080 + 20, 1280 + 20, 81, 81).sum() > 0.8 * total
    assert Table(beam={"blocked": True}).light(1060, 1260, 41, 41).max() == 0


@pytest.mark.parametrize("given", [{}, {"hidden": "typical"}], ids=["plain", "with everything hidden"])
def test_rows_that_change_are_worked_out_anew_and_no_others(given: dict[str, Any]) -> None:
    rng = np.random.default_rng(4)
    table, fresh = Table(**given), Table(**given)
    pattern = rng.uniform(0, 6.2, (N, N))
    table.show(pattern)
    table.light(1100, 1300, 20, 20)
    pattern[20:23, 10:30] = 1.0
    gray = np.rint(pattern * 256 / (2 * math.pi)).astype(np.int64) % 256
    table.world.write(gray[20:23, 10:30].astype(np.uint8), 20, 10)
    table.world.clock.sleep_until(1_000_000_000)
    fresh.show(pattern)
    fresh.world.clock.sleep_until(1_000_000_000)
    once = fresh.light(1100, 1300, 20, 20)
    np.testing.assert_allclose(table.light(1100, 1300, 20, 20), once, rtol=1e-3, atol=1e-4 * once.max())


def test_a_panel_in_motion_is_seen_in_motion() -> None:
    table = Table()
    table.show(blaze(60, 60, table.p))
    window = (1080 + 40, 1280 + 40, 41, 41)
    before = table.light(*window).sum()
    start_ns = table.world.clock.now_ns()
    table.world.write(np.zeros((N, N), np.uint8), 0, 0)
    lights = []
    for wait_ms in (0, 40, 300):
        table.world.clock.sleep_until(start_ns + wait_ms * 1_000_000)
        lights.append(table.light(*window).sum())
    assert lights[0] == pytest.approx(before, rel=1e-3)  # it has not arrived yet
    assert 0.002 * before < lights[1] < 0.9 * before
    assert lights[2] < 0.02 * before


def test_the_reference_makes_fringes_of_its_carrier_only_together_with_the_pump() -> None:
    table = Table(pump_w=0.02, reference_w=0.02)
    spread = np.random.default_rng(5).uniform(0, 6.2, (N, N))
    table.show(spread)
    window = (1200, 1400, 64, 64)
    both = table.light(*window)
    table.switch(0.02, 0)
    pump = table.light(*window)
    table.switch(0, 0.02)
    reference = table.light(*window)
    fringes = both - pump - reference
    assert np.abs(fringes).max() > 0.3 * reference.max()
    spectrum = np.abs(np.fft.fft2(fringes * np.hanning(64)[:, None] * np.hanning(64)))
    row, column = np.unravel_index(spectrum[:32].argmax(), (32, 64))
    assert (row / 64, (column if column < 32 else column - 64) / 64) == pytest.approx((0.12, 0.16), abs=0.05)
    assert np.ptp(reference) < 0.2 * reference.max()


def test_fringes_have_the_references_phase() -> None:
    table = Table(pump_w=1e-6, reference_w=0.02, hidden={"reference_wavefront": "3 rad", "reference_angle": "5 %"})
    one = np.zeros((N, N))  # a single pixel in the middle that differs by pi: a point whose wave is even on the camera
    window, rows, columns = (1150, 1320, 24, 24), 1150.0 + np.arange(24), 1320.0 + np.arange(24)
    frames = []
    for sign in (0.0, math.pi):
        one[31, 31] = sign
        table.show(one)
        frames.append(table.light(*window))
        truth = reference_phase(table.p, rows, columns)
    # A pixel half a pitch from the middle has a phase that rises by kappa X pitch / 2 on the camera.
    k = table.p.kappa * table.p.camera.pitch * table.p.slm.pitch / 2
    own = k * ((rows - 1080)[:, None] + (columns - 1280)[None, :])
    contrast = (frames[0] - frames[1]) / 2
    model = np.cos(own - truth)
    assert np.corrcoef(contrast.ravel(), model.ravel())[0, 1] > 0.98


def test_separate_paths_jitter_and_drift_as_planted() -> None:
    p = HologramParameters.model_validate({**SMALL, "hidden": {"path_noise": "0.035 rad", "path_drift": 0.3}})
    truth = hidden_table(p)
    times = np.arange(400) * 0.0137
    phase = np.unwrap(np.angle([path_factor(truth, t, 1e-4, noise=True) for t in times]))
    line = np.polyfit(times, phase, 1)
    assert 0.1 / 60 <= abs(truth.reference.drift_rad_per_s) <= 0.3 / 60
    assert (phase - np.polyval(line, times)).std() == pytest.approx(0.035, rel=0.15)
    assert abs(path_factor(truth, 0.0, 1.0, noise=True)) == pytest.approx(math.exp(-(0.035**2) / 2), abs=1e-3)


def test_no_operation_tells_the_truth_and_presets_are_all_or_nothing() -> None:
    assert not [name for name in operations_of(HologramWorld) if "truth" in name or "hidden" in name]
    none, typical = (HologramParameters.model_validate({"hidden": h}).hidden for h in ("none", "typical"))
    assert [none.panel, none.sensor, none.source] == [False] * 3
    assert [typical.panel, typical.sensor, typical.source] == [True] * 3
    assert typical.aberration == 1.0


def test_the_bench_has_two_arms_and_refuses_a_third(repository: Path) -> None:
    file = repository / "benches" / "hologram-lab.toml"
    small = {"world.slm.rows": N, "world.slm.columns": N, "world.beam.waist": "0.3 mm"}
    with open_bench(load_bench(file, small)) as bench, bench.control():
        assert bench.pump.wavelength_m == bench.reference.wavelength_m == 785e-9
        bench.reference.power_w = 0.5
        bench.reference.emission = True
        assert not bench.pump.emission
        bench.camera.exposure_s = 0.05
        assert bench.camera.trigger().data.mean() > 200
        with pytest.raises(LimitError, match=r"500 mW|0\.5"):
            bench.pump.power_w = 0.6
    with (
        pytest.raises(LimitError, match="pump, reference"),
        open_bench(load_bench(file, {**small, "devices.reference.port": "probe"})),
    ):
        pass

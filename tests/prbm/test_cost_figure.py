"""`prbm.cost`: what a sample takes, here and by what is projected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.linalg import hadamard

from labctl.client import ConfigurationError
from labctl.experiments.execute import execute
from protocols.prbm.assess.cost_model import (
    SCHEMES,
    Crossing,
    Machine,
    TableTiming,
    axial_share,
    crossing,
    largest_coupling,
    operations,
    project,
)
from protocols.prbm.assess.cpu_speed import HalfSweepTime, decode, half_sweep, measure_half_sweeps
from protocols.prbm.assess.prediction import shot_noise
from protocols.prbm.light.alignment import PrbmAlignment
from protocols.prbm.light.encoding import LayerEncoding, Strip
from protocols.prbm.light.layers import Layer

SMALL = {"N": 40, "samples": 1, "iterations": 3, "cpu_sizes": (32, 64), "cpu_try_s": 1e-3, "batch": 8, "largest": 1000}


def figure(tmp_path: Path, **assignments: Any) -> Mapping[str, Any]:
    given = {k.replace("__", "."): v for k, v in (SMALL | assignments).items()}
    return execute("labctl.figures", "prbm.cost", assignments=given, out=tmp_path).values


def machine(**changes: Any) -> Machine:
    usual: dict[str, Any] = {
        "modulator_hz": 1e9,
        "detector_s": 0.0,
        "field_rms": 1.4,
        "field_error": 0.1,
        "light_efficiency": 1.0,
        "wavelength_m": 600e-9,
        "source_w": 1.0,
        "laser_efficiency": 0.1,
        "modulator_j": 22e-15,
        "draw_s": 1e-8,
        "stage_s": 1e-9,
    }
    return Machine(**(usual | changes))


@pytest.mark.parametrize("settings", [{}, {"flips": "single"}, {"readout": "photodetector"}])
def test_settings_explain_the_time_on_the_table(tmp_path: Path, settings: dict[str, Any]) -> None:
    values = figure(tmp_path, **settings)
    assert values["accounted"] == pytest.approx(1, abs=1e-3)
    assert math.fsum(values["split"].values()) == pytest.approx(values["bench_s"])
    per_pass = 41 if settings.get("flips") == "single" else 64
    assert values["patterns"] == pytest.approx(2 * 3 * per_pass, abs=2 * per_pass)  # some may have been played again


def test_layers_of_several_passes_are_accounted_for(tmp_path: Path) -> None:
    values = figure(tmp_path, world__optics__bands=20, alignment__prbm__bands=20)
    assert values["accounted"] == pytest.approx(1, abs=1e-3)


def test_energy_and_speed_follow_from_time_and_powers(tmp_path: Path) -> None:
    values = figure(tmp_path, laser_w=10, slm_w=2, camera_w=3)
    assert values["electric_j"] == pytest.approx(15 * values["bench_s"])
    assert values["operations"] == 2 * 3 * 2 * 40**2
    assert values["table_operations_per_s"] == pytest.approx(values["operations"] / values["bench_s"])
    assert values["slower_than_cpu"] == pytest.approx(values["bench_s"] / values["cpu_s"])
    assert values["slower_than_cpu"] > 1e3  # honest: half a minute beside less than a millisecond
    assert values["assumptions"]["laser_w"]["value"] == 10
    assert all(entry["means"] for name, entry in values["assumptions"].items() if name != "others")


def test_light_that_is_counted_is_what_the_source_gives_less_what_is_lost(tmp_path: Path) -> None:
    camera, diode = figure(tmp_path), figure(tmp_path, readout="photodetector")
    # By the tap: 40 % of 2.5 mW/nm over 23 nm.
    assert camera["source_j"] / camera["bench_s"] == pytest.approx(0.4 * 2.5e6 * 23.0e-9, rel=0.02)
    # The table's plan: the slit has 0.5 of the light and the camera 0.028, with quantum efficiency 0.58.
    ratio = diode["light_efficiency"] / camera["light_efficiency"]
    assert ratio == pytest.approx(0.5 / (0.028 * 0.58), rel=0.05)


def test_photodetector_without_one_on_the_bench_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no slit detector"):
        figure(tmp_path, readout="photodetector", devices__sequencer__photodetector=None)


def test_projection_by_modulators_alone_is_the_papers_200_tera_operations() -> None:
    found = project(100_000, "single", machine())
    assert operations(100_000) / found.light_s == pytest.approx(2e14, rel=1e-4)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_projected_electrons_give_the_error_that_was_allowed(scheme: str) -> None:
    n, sigma = 300, 0.07
    m = machine(field_error=sigma)
    electrons = project(n, scheme, m).electrons
    wmax = largest_coupling(n, m.field_rms / math.sqrt(n))
    flips, outputs = ("hadamard", n) if scheme == "hadamard" else ("single", 1 if scheme == "per-band" else n)
    noise = wmax * shot_noise(flips, outputs, 2 * n, m.field_rms / wmax, electrons)
    assert noise == pytest.approx(sigma, rel=1e-9)


def test_share_of_light_on_the_axis_is_that_of_encoded_phases() -> None:
    rng = np.random.default_rng(2)
    n = 60
    alignment = PrbmAlignment(
        first_row=0, rows_per_band=2, bands=n, wavelength_first=588.0, wavelength_per_band=0.0889, centre_column=200,
        zeroth_order={"row": 10, "column": 10},
    )  # fmt: skip
    layer = Layer.dense(rng.normal(0, 0.1, (n, n)), np.zeros(n))
    encoding = LayerEncoding(layer, alignment, Strip.on(alignment, 400, n, 2), flips="single")
    spins = rng.choice(np.array([-1, 1], np.int8), n)
    base = np.asarray(encoding.sequence(encoding.passes[0], spins).base)
    on_axis = np.abs(np.exp(1j * base).reshape(n, -1).mean(axis=1)) ** 2
    c = layer.local_fields(spins) / encoding.wmax
    np.testing.assert_allclose(on_axis, (c + 1) ** 2 / (n + 2) ** 2, atol=1e-12)
    # On average over fields of either sign.
    either = 0.5 * np.mean((c + 1) ** 2 + (c - 1) ** 2)
    assert either / (n + 2) ** 2 == pytest.approx(axial_share(n, float((c**2).mean())))


def test_more_spins_need_light_as_their_fourth_power_or_third_by_detectors_for_each_band() -> None:
    m = machine()
    for scheme, power in (("hadamard", 4), ("per-band", 3)):
        few, many = (project(n, scheme, m).launched_j for n in (2048, 32768))
        assert math.log(many / few) / math.log(16) == pytest.approx(power, abs=0.02)


def test_crossing_is_the_last_and_says_which_is_less_beyond() -> None:
    found = crossing(lambda n: 1e3 * n, lambda n: n**2, 10, 1e6)
    assert found.n == pytest.approx(1e3)
    assert found.first_is_less_beyond
    assert crossing(lambda n: n, lambda n: 2 * n, 10, 1e6) == Crossing(None, True)
    bump = crossing(lambda n: 1.0, lambda n: 2.0 if 1e2 < n < 1e4 else 0.5, 10, 1e6)
    assert bump.n == pytest.approx(1e4)
    assert not bump.first_is_less_beyond


def test_table_timing_counts_passes() -> None:
    timing = TableTiming(settle_s=0.1, base_settle_s=1.0, exposure_s=0.01, readout_s=0.0)
    assert timing.half_sweep_s(100, "single", 259) == pytest.approx(1.0 + 100 * 0.1 + 101 * 0.01)
    assert timing.half_sweep_s(300, "single", 259) == pytest.approx(2 * 1.0 + 300 * 0.1 + 302 * 0.01)
    both_signs = replace(timing, turns=2.0)
    assert both_signs.half_sweep_s(100, "hadamard", 259) == pytest.approx(2 * (1.0 + 127 * 0.1 + 128 * 0.01))


def test_fast_decoding_is_the_product_with_a_hadamard_matrix() -> None:
    intensities = np.random.default_rng(0).normal(size=64).astype(np.float32)
    np.testing.assert_allclose(decode(intensities), hadamard(64).T @ intensities, rtol=1e-4, atol=1e-4)


def test_half_sweep_of_the_processor_draws_by_the_boltzmann_law() -> None:
    # 40,000 draws: frequencies within 5 standard deviations, false alarm 6e-7 for each of two.
    rng = np.random.default_rng(3)
    weights = np.array([[0.3, -0.8]], np.float32)
    spins = half_sweep(np.ones((40_000, 1), np.float32), weights, np.array([0.1, 0.0], np.float32), rng)
    expected = 1 / (1 + np.exp(-2 * np.array([0.4, -0.8])))
    error = np.sqrt(expected * (1 - expected) / 40_000)
    assert (np.abs((spins > 0).mean(axis=0) - expected) < 5 * error).all()


def test_processor_times_are_of_every_size_and_grow_beyond_as_squares() -> None:
    rows = measure_half_sweeps((16, 64), 4, np.random.default_rng(0), 1e-3)
    assert [row.n for row in rows] == [16, 64]
    assert all(row.product_s > 0 and row.batch_s > 0 for row in rows)
    time_s = HalfSweepTime([100, 1000], [1e-5, 1e-3], draw_s=1e-7)
    assert time_s(1000) == pytest.approx(1e-3)
    assert time_s(316.2278) == pytest.approx(1e-4, rel=1e-4)
    assert time_s(1e5) == pytest.approx((1e-3 - 1e-4) * 1e4 + 1e-2)

"""What settings are predicted to cost: against the sheet's numbers, and against what the table then does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.client import open_bench
from labctl.experiments.execute import execute
from protocols.prbm.assess.plan import Candidate, suggested
from protocols.prbm.assess.prediction import (
    Lens,
    defocus,
    level_noise,
    patterns_of,
    shot_noise,
    visibility,
    window_error,
)
from protocols.prbm.light.layers import rbm_layers
from protocols.prbm.light.readout import ReadoutParameters
from protocols.prbm.light.sampling import Agreement
from protocols.prbm.light.table import Table
from protocols.prbm.model import RBM


def figure(name: str, tmp_path: Path, **assignments: Any) -> Mapping[str, Any]:
    return execute("labctl.figures", name, assignments=assignments, out=tmp_path).values


def couplings(n: int, seed: int = 0) -> Any:
    weights = np.random.default_rng(seed).normal(0, 0.1, (n, n))
    return weights / np.abs(weights).max()


def test_shot_noise_is_that_of_the_physics_sheet() -> None:
    """N = 196, W of standard deviation 0.1, 80 % of a 30 ke well: rms of L, from the sheet's own table."""
    largest, c_rms, well = 0.4, 1.4 / 0.4, 0.8 * 30e3
    for flips, electrons, expected in (
        ("single", well, 2.4),
        ("single", 31 * well, 0.41),
        ("single", 31 * 16 * well, 0.11),
        ("hadamard", 31 * well, 0.037),
    ):
        assert largest * shot_noise(flips, 196, 259, c_rms, electrons) == pytest.approx(expected, rel=0.06)


def test_rounding_to_256_levels_is_that_of_the_physics_sheet() -> None:
    assert level_noise(couplings(36), 256, dithered=False) == pytest.approx(0.0405, rel=0.06)
    assert level_noise(couplings(36), None) == 0


def test_wide_windows_and_ends_of_the_strip_see_far_spins_less() -> None:
    centre = [window_error(couplings(196), visibility(196, 2, "centre", w, Lens())) for w in (1, 3, 5)]
    assert centre == sorted(centre)
    end = window_error(couplings(196), visibility(196, 2, "end", 3, Lens()))
    assert end > 3 * centre[1]
    assert visibility(20, 2, "centre", 1, Lens()).min() > 0.9995


def test_a_parabola_has_the_rms_that_is_asked_for() -> None:
    assert defocus(101, 0.6).std() == pytest.approx(0.6)
    assert not defocus(101, 0.0).any()


def test_patterns_are_counted_as_they_are_shown() -> None:
    assert patterns_of("single", 196, 259) == 197
    assert patterns_of("hadamard", 196, 259) == 256
    assert patterns_of("hadamard", 784, 259) == 3 * 256 + 32
    assert patterns_of("single", 300, 259) == 260 + 42


def test_errors_of_the_table_are_as_predicted(tmp_path: Path) -> None:
    values = figure("prbm.noise", tmp_path, N=60, repeats=3, vary=("levels", "slit", "defocus_rad"))
    # Of 20 settings; single flips share the noise of one frame, which three measurements leave uncertain by 30 %.
    assert values["ratio"] == pytest.approx(1.0, abs=0.15)
    assert values["ratio_spread"] < 2.2


def test_the_plan_keeps_its_promise(tmp_path: Path) -> None:
    values = figure("prbm.plan", tmp_path, N=60, error=0.05)
    assert values["reachable"]
    assert values["rms_measured"] == pytest.approx(values["rms_predicted"], rel=0.3)
    assert values["time_measured_s"] == pytest.approx(
        values["time_per_sample_s"], rel=0.25
    )  # the exposure is let be within 20 %


def test_an_error_out_of_reach_is_told_with_the_best_there_is(tmp_path: Path) -> None:
    values = figure("prbm.plan", tmp_path, N=20, error=1e-6, repeats=1)
    assert not values["reachable"]
    assert values["rms_predicted"] == min(c["rms"] for c in values["candidates"])


def test_few_spins_are_not_promised_more_light_than_the_longest_exposure_gives(tmp_path: Path) -> None:
    values = figure("prbm.plan", tmp_path, N=10, error=0.5, repeats=2)
    assert max(c["exposure_s"] for c in values["candidates"]) <= 1.0
    assert values["time_ratio"] == pytest.approx(1, abs=0.15)


def test_the_quickest_that_is_good_enough_is_suggested() -> None:
    def of(rms: float, seconds: float) -> Candidate:
        return Candidate("single", 31, 1, 1, rms, 100, 0.01, seconds)

    assert suggested([of(0.05, 100), of(0.08, 50), of(0.2, 10)], 0.1).seconds == 50
    assert suggested([of(0.5, 100), of(0.8, 50)], 0.1).rms == 0.5


def test_averaging_on_the_plans_table_lowers_the_noise_as_promised() -> None:
    rng = np.random.default_rng(1)
    layers = rbm_layers(RBM(rng.normal(0, 0.3, (12, 30)), np.zeros(12), np.zeros(30)))
    spins = np.ones(12, np.int8)
    found = {}
    with open_bench("prbm-sim", {"world.slm.levels": None}) as bench, bench.control("test"):
        for averages in (1, 9):
            p = ReadoutParameters(averages=averages, slit=3, fill=0.1, reference_repeats=100)
            table = Table(bench, layers, p)
            encoding, agreement = table.encode(layers["hidden"]), Agreement()
            for _ in range(6):
                measured = table.measure(encoding, spins)
                agreement.add(layers["hidden"].local_fields(spins), measured.fields)
            found[averages] = agreement.rms, float(measured.predicted_noise.mean())
    assert found[1][1] / found[9][1] == pytest.approx(3, rel=0.1)
    assert found[1][0] / found[9][0] == pytest.approx(3, rel=0.3)  # 180 fields: 8 % each, and the unit's own error

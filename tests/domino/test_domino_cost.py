"""`domino.cost`: closed forms of what modes cost, and small networks that are solved and priced."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labctl.client import ConfigurationError
from labctl.experiments.execute import execute
from protocols.domino.assess.cost import priced
from protocols.domino.assess.cost_model import MODES, Hardware, Run, counted_j, spent, starts_for, unit_by_mass_s
from protocols.domino.assess.cost_parameters import CostParameters

RUN = Run(duration=10.0, steps=800, windows=400)
TABLE = Hardware(
    lifetime_s=5e-12, loop_s=0.06, frame_s=0.03, site_w=3e-3, multiplier_w=1e-3, laser_efficiency=0.1,
    standing_w=100, cooling_w=1000,
)  # fmt: skip


def test_a_start_takes_a_round_of_the_loop_for_every_step_or_every_window() -> None:
    assert spent("optoelectronic", 50, RUN, 1, TABLE).start_s == pytest.approx(48)
    for mode in ("shot", "injection"):
        assert spent(mode, 50, RUN, 1, TABLE).start_s == pytest.approx(24)


def test_starts_side_by_side_fill_the_loop_and_then_take_a_frame_each() -> None:
    for mode, rounds in (("optoelectronic", 800), ("shot", 400)):
        assert spent(mode, 50, RUN, 2, TABLE).solution_s == pytest.approx(rounds * 0.06)
        assert spent(mode, 50, RUN, 10, TABLE).solution_s == pytest.approx(rounds * 0.3)
    assert spent("injection", 50, RUN, 10, TABLE).solution_s == pytest.approx(10 * 400 * 0.06)


def test_optics_alone_take_the_time_of_the_equation_in_units_of_two_lifetimes() -> None:
    alone, read = (spent(mode, 50, RUN, 3, TABLE) for mode in ("optical", "read"))
    assert alone.solution_s == pytest.approx(3 * 10 * 1e-11)
    assert read.solution_s == pytest.approx(3 * (1e-10 + 0.03))
    assert alone.light_j == read.light_j == pytest.approx(50 * 3e-3 * 3e-10)


def test_the_pump_is_on_throughout_by_injection_and_in_windows_only_by_shots() -> None:
    shot, injection = (spent(mode, 50, RUN, 4, TABLE) for mode in ("shot", "injection"))
    assert shot.light_j == pytest.approx(50 * 3e-3 * 4 * 1e-10)
    assert injection.light_j == pytest.approx(50 * 3e-3 * 4 * 24)
    assert injection.electric_j == pytest.approx(injection.light_j / 0.1 + 1100 * 4 * 24)


def test_without_condensates_nothing_is_cooled_or_pumped() -> None:
    here = spent("optoelectronic", 50, RUN, 1, TABLE)
    assert here == spent("optoelectronic", 50, RUN, 1, replace(TABLE, cooling_w=0, site_w=1))
    assert here.electric_j == pytest.approx((1e-3 / 0.1 + 100) * 48)


def test_starts_needed_are_those_of_the_confidence() -> None:
    assert starts_for(0.5) == pytest.approx(math.log(0.01) / math.log(0.5))
    assert starts_for(0.5, 0.9) == pytest.approx(math.log(0.1) / math.log(0.5))
    assert starts_for(1.0) == starts_for(0.999) == 1
    assert starts_for(0.0) == math.inf


def test_units_and_operations_as_supp_d_has_them() -> None:
    assert unit_by_mass_s(5e-5, 5e-6) == pytest.approx(1.08e-11, rel=0.01)
    assert counted_j(600, RUN, 5, 1e-12) == pytest.approx(1200 * 800 * 5 * 1e-12)


def test_what_is_never_solved_costs_nothing_that_could_be_told() -> None:
    kept = ("success", "start_s", "exact_s", "proved", "edges", "steps", "windows", "total")
    series = {name: np.ones((2, 3)) for name in kept}
    series["success"] = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 0.5]])
    v = priced(series, CostParameters(nodes=(20, 30)))
    assert v["unsolved"] == [1, 2]
    assert v["starts_needed"] == [pytest.approx(math.log(0.01) / math.log(0.5)), None]
    assert all(v["electric_j"][mode][1] is None and v["electric_j"][mode][0] > 0 for mode in MODES)
    assert v["cpu_s"][1] is None


def test_small_networks_are_solved_priced_and_drawn(tmp_path: Path) -> None:
    given = {"nodes": "20,30", "networks": 2, "starts": 50, "loop_s": 0.1, "cooler_w": 0}
    v = execute("labctl.figures", "domino.cost", assignments=given, seed=1, out=tmp_path).values
    assert v["unproved"] == [0, 0]
    assert v["start_s"]["optoelectronic"] == pytest.approx(np.array(v["steps"]) * 0.1)
    assert v["start_s"]["shot"] == pytest.approx(np.array(v["windows"]) * 0.1)
    assert all(x > 0 for x in v["cpu_s"])
    assert v["slower"]["read"] == pytest.approx(np.array(v["solution_s"]["read"]) / np.array(v["cpu_s"]))
    assert v["assumptions"]["loop_s"]["value"] == 0.1
    assert v["assumptions"]["cooler_w"]["value"] == 0
    assert len(list(tmp_path.glob("*cost.png"))) == 1


def test_sizes_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="one or more different sizes"):
        execute("labctl.figures", "domino.cost", assignments={"nodes": "5"}, out=tmp_path)

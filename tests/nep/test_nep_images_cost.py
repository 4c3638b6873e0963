"""`nep.cost`: the sheet's units, and what a training is priced at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from digit_files import write_digits

from labctl.client import ConfigurationError
from labctl.experiments.execute import execute
from protocols.nep.cost.model import Task, decay_w, settling_s, spent
from protocols.nep.cost.parameters import CostParameters

P = CostParameters()
TASK = Task(10000, 20, 100, 2, 2250, 0.6, 0.04)


def test_units_are_those_of_the_sheet() -> None:
    assert P.units.time_s == pytest.approx(0.66e-12, rel=0.01)
    assert P.units.length_m == pytest.approx(1.23e-6, rel=0.01)
    assert P.units.density_m2 == pytest.approx(40e12, rel=1e-6)
    assert P.units.lifetime_s == pytest.approx(0.66e-12 / 0.14, rel=0.01)


def test_the_sheet_alone_trains_in_the_time_of_the_paper() -> None:
    """0.1 to 10 ms, by its own count of settling and nothing else."""
    told = spent("settling", TASK, P.units, P.hardware)
    assert told.training_s == pytest.approx(TASK.states * settling_s(P.units, P.hardware))
    assert 1e-4 < told.training_s < 1e-2


def test_what_polaritons_lose_is_their_number_times_a_photon_a_lifetime() -> None:
    number = 0.6 * 40 * 2250 * 1.2296**2
    assert decay_w(TASK, P.units, P.hardware) == pytest.approx(number * 2.3234e-19 / 4.7015e-12, rel=1e-3)


def test_a_table_takes_its_frames_and_its_potentials() -> None:
    told = spent("table", TASK, P.units, replace(P.hardware, frames=3))
    assert told.sample_s == pytest.approx(2 * 3 * 0.037)
    assert told.training_s == pytest.approx(200000 * told.sample_s + 2000 * 0.02)
    assert told.electric_j > P.hardware.standing_w * told.training_s


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("cost")
    digits = write_digits(out / "mnist")
    given = {"data": str(digits), "timed": 100, "timed_epochs": 2, "rule": "conjugate"}
    return execute("labctl.figures", "nep.cost", assignments=given, out=out / "runs").values


def test_this_processor_is_timed_and_a_bench_is_priced_beside_it(priced: dict[str, Any]) -> None:
    v = priced
    assert v["cpu_s"] == pytest.approx(v["cpu_sample_s"] * 200000)
    assert v["rk4_sample_s"] > 10 * v["cpu_sample_s"] > 0
    for mode in ("settling", "modulator", "table"):
        assert v["slower"][mode] == pytest.approx(v["training_s"][mode] / v["cpu_s"])
        assert v["hungrier"][mode] == pytest.approx(v["electric_j"][mode] / v["cpu_j"])
    assert v["training_s"]["settling"] < v["training_s"]["modulator"] < v["training_s"]["table"]


def test_every_assumption_is_told_with_its_meaning(priced: dict[str, Any]) -> None:
    told = priced["assumptions"]
    measured = {"data", "rule", "samples", "epochs", "batch", "timed", "timed_epochs", "g", "gamma"}
    assert set(told) - {"others"} == set(CostParameters.model_fields) - measured
    assert all(entry["means"] for name, entry in told.items() if name != "others")


@pytest.mark.parametrize(("given", "says"), [({"samples": 15}, "a multiple of 10"), ({"g": 0}, "greater than 0")])
def test_what_cannot_be_priced_is_refused(given: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=says):
        execute("labctl.figures", "nep.cost", assignments=given, out=tmp_path)

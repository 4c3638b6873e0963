"""`dyad.cost`: closed forms of what is to come, and the experiment on a small table."""

from __future__ import annotations

from pathlib import Path

import pytest
from sensing_small import write_small

from labctl.experiments.execute import execute
from protocols.dyad.assess.cost_model import Lattice, Today, project

TODAY = Today(n=100, frame_s=2e-3, pump_w=0.5, pixels=70_000)
ASSUMED = Lattice(
    pulse_s=2e-9, repetition_hz=1e6, pixel_rate=5e8, pixels=25, diode_j=1e-14, laser_efficiency=0.1, standing_w=200
)


def test_a_camera_s_bits_are_limited_by_its_pixels_however_many_dyads_there_are() -> None:
    few, many = (project(n, "camera", TODAY, ASSUMED, 100) for n in (10_000, 10**7))
    assert few.bits_per_s == pytest.approx(many.bits_per_s) == pytest.approx(5e8 / 25)


def test_pulses_alone_give_a_bit_of_every_dyad_each() -> None:
    assert project(10**7, "light", TODAY, ASSUMED, 100).bits_per_s == pytest.approx(1e13)


def test_power_is_what_runs_anyhow_and_the_light_of_all_pulses() -> None:
    found = project(10**7, "diodes", TODAY, ASSUMED, 100)
    light_w = 0.5 * 1e5 * 2e-9 * 1e6
    assert found.peak_w == pytest.approx(5e4)
    assert found.electric_w == pytest.approx(200 + light_w / 0.1 + 1e-14 * 1e13)
    assert found.j_per_bit == pytest.approx(found.electric_w / 1e13)


def test_an_image_takes_as_many_pulses_as_it_has_events() -> None:
    assert project(1000, "diodes", TODAY, ASSUMED, 100).images_per_s == pytest.approx(1e4)


@pytest.mark.timeout(200)
def test_what_a_small_table_costs_is_explained_by_its_settings(tmp_path: Path) -> None:
    given = {"frames": "250", "images": "2", "cpu_try_s": "0.01", "largest": "1000", "bench.lease": "60 s"}
    values = execute("labctl.figures", "dyad.cost", write_small(tmp_path, 1, 2), given, 1, tmp_path).values
    assert values["accounted"] == pytest.approx(1, abs=0.01)
    assert values["bits_per_s"] == pytest.approx(2 / values["frame_s"])
    assert 1 / 60 < values["image_s"] < 1 / 50
    assert values["fair"] is False
    assert values["cpu_bits_per_s"] > values["bits_per_s"]

"""A figure is held to what was published only on the bench and parameters it was published for."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.experiments.execute import execute
from labctl.experiments.experiment import meets


def test_the_published_figure_has_targets_and_meets_them(tmp_path: Path) -> None:
    outcome = execute("labctl.figures", "prbm.local-fields", assignments={"world.seed": 12}, out=tmp_path)
    assert outcome.targets is not None
    assert outcome.ok is True


@pytest.mark.parametrize("change", [{"N": 30}, {"world.slm.levels": 16}, {"world.camera.read_noise": 0.0}])
def test_away_from_the_published_parameters_there_is_no_verdict(tmp_path: Path, change: dict[str, object]) -> None:
    outcome = execute("labctl.figures", "prbm.local-fields", assignments=change, out=tmp_path)
    assert outcome.targets is None
    assert outcome.ok is None


def test_a_missing_or_undefined_value_misses_its_target() -> None:
    assert not meets({}, {"rms": {"max": 1.0}})
    assert not meets({"rms": float("nan")}, {"rms": {"max": 1.0}})
    assert meets({"rms": 0.5}, {"rms": {"max": 1.0, "min": 0.0}})


@pytest.mark.timeout(900)
def test_digits_generated_by_light_are_recognised_diverse_and_fairly_shared(tmp_path: Path) -> None:
    """24 images; the share test's false alarm is 1e-3, its seed fixed."""
    outcome = execute("labctl.figures", "prbm.digits", assignments={"images": 24}, out=tmp_path)
    assert outcome.targets is not None
    assert outcome.ok is True, outcome.values
    assert outcome.values["recognised_random"] < 0.05
    assert outcome.values["recognised_held_out"] > 0.9
    assert outcome.run_file.exists()

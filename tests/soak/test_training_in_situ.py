"""Training in situ comes within 2 % of training by arithmetic: the whole promise, in minutes of simulated light."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.experiments.execute import execute


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_machine_trained_by_light_is_as_likely_to_make_its_images(tmp_path: Path, seed: int) -> None:
    outcome = execute("labctl.figures", "prbm.train", None, {}, seed=seed, out=tmp_path)
    assert outcome.ok

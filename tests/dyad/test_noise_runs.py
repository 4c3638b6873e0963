"""Bits, noise images and diffusion on a small table, from the lattice to the values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sensing_small import CENTRE, write_small

from labctl.client import ConfigurationError, open_run
from labctl.experiments.execute import Outcome, execute
from protocols.dyad.noise.noise import load_noise

QUICK = {"precision": 0.05, "most": 600, "bench.lease": "60 s"}


def measured(tmp_path: Path, name: str, rows: int = 2, columns: int = 2, **given: object) -> Outcome:
    bench = write_small(tmp_path, rows, columns)
    return execute("labctl.figures", name, bench, QUICK | given, seed=3, out=tmp_path / "runs")


@pytest.fixture(scope="module")
def bits(tmp_path_factory) -> Outcome:
    folder = tmp_path_factory.mktemp("bits")
    return measured(folder, "dyad.bits", 2, 3, bits=10_000, battery=False)


def test_bits_of_a_calibrated_lattice_have_more_entropy_than_before(bits):
    v = bits.values
    assert v["min_entropy_before"] < 0.5 < v["min_entropy"]
    assert v["p1_worst"] < 0.25 < v["p1_worst_before"]


def test_debiased_bits_are_fair(bits):
    """10,000 bits: z below 3.9, false alarm 1e-4."""
    with open_run(bits.run_file) as file:
        fair = np.unpackbits(file["data/bits"][()])[:10_000]
    assert abs(2 * int(fair.sum()) - 10_000) / 100 < 3.9


def test_the_rate_of_bits_is_that_of_frames_on_the_table(bits):
    with open_run(bits.run_file) as file:
        frame_s = float(np.median(file["steps/frame_s"][()]))
    assert bits.values["rate_hz"] == pytest.approx((6 - bits.values["left_out"]) / frame_s)
    assert bits.values["rate_debiased_hz"] == pytest.approx(bits.values["rate_hz"] * bits.values["yield"])


def test_too_few_bits_for_the_battery_are_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(ConfigurationError, match="battery=false"):
        measured(tmp_path, "dyad.bits", bits=20_000)


def test_integrated_noise_is_as_large_as_single_condensations_say(tmp_path):
    """40 images of 4 pixels: their deviation is known to 6 %, that of 400 condensations to 2 %."""
    outcome = measured(tmp_path, "dyad.noise", images=40, sets=99)
    assert outcome.values["std_ratio"] == pytest.approx(1.0, abs=0.25)
    assert outcome.values["condensations"] == pytest.approx(100, rel=0.1)  # 1/60 s at 6 kHz
    noise = load_noise(outcome.run_file)
    assert noise.shape == (40, 2, 2)
    assert noise.std(axis=0, ddof=1) == pytest.approx(np.ones((2, 2)))


def test_binomial_noise_has_the_steps_of_its_dyads(tmp_path):
    outcome = measured(tmp_path, "dyad.noise", method="binomial", dyads=2, images=40, sets=99)
    with open_run(outcome.run_file) as file:
        assert set(np.unique(file["steps/images"][()])) == {-2.0, 0.0, 2.0}
    assert outcome.values["std_ratio"] == pytest.approx(1.0, abs=0.25)


def test_more_dyads_than_there_are_cannot_be_added_up(tmp_path):
    with pytest.raises(ConfigurationError, match="the lattice has 4"):
        measured(tmp_path, "dyad.noise", method="binomial", dyads=5)


def test_images_are_diffused_by_light_as_the_schedule_says(tmp_path):
    """3 steps of 60 images of 4 pixels: every deviation below 4 standard errors, false alarm 4e-4."""
    outcome = measured(
        tmp_path,
        "dyad.diffuse",
        images=60,
        steps=3,
        noise_frames=200,
        models=0,
        **{"world.projector.row": CENTRE[0], "world.projector.column": CENTRE[1]},
    )
    v = outcome.values
    assert v["variance_worst"] < 4
    assert v["signal_worst"] < 4
    assert v["clipped"] < 0.01
    assert v["projector_residual_px"] < 0.5

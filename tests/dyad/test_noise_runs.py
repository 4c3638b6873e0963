"""Bits, noise images and diffusion on a small table, from the lattice to the values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sensing_small import CENTRE, fair_small

from labctl.client import ConfigurationError, open_run
from labctl.experiments.execute import Outcome, execute
from protocols.dyad.noise.noise import load_noise


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A bench file of 2 x 2 dyads, and the folder with its calibration."""
    with fair_small(tmp_path_factory.mktemp("small"), 2, 2) as made:
        yield made


@pytest.fixture(autouse=True)
def _in_force(small: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(small[1]))


def measured(small: tuple[Path, Path], name: str, **given: object) -> Outcome:
    return execute(
        "labctl.figures", name, small[0], {"bench.lease": "60 s"} | given, seed=3, out=small[1].parent / "runs"
    )


@pytest.fixture(scope="module")
def bits(small: tuple[Path, Path]) -> Outcome:
    return measured(small, "dyad.bits", bits=10_000, battery=False)


def test_bits_of_a_calibrated_lattice_have_more_entropy_than_before(bits):
    v = bits.values
    assert v["min_entropy_before"] < 0.5 < v["min_entropy"]
    assert v["p1_worst"] < 0.25 < v["p1_worst_before"]


def test_debiased_bits_are_fair(bits):
    """10,000 bits: z below 3.9, false alarm 1e-4."""
    with open_run(bits.run_file) as file:
        fair = np.unpackbits(file["data/bits"][()])[:10_000]
    assert abs(2 * int(fair.sum()) - 10_000) / 100 < 3.9


def test_bits_before_calibration_are_fewer_once_debiased_and_fairer_where_there_are_enough_to_tell(bits):
    v = bits.values
    assert abs(v["before_z"]) > 10
    assert v["yield_before"] < 0.95 * v["yield"]
    fair = v["min_entropy_debiased_before"]
    assert fair is None or fair > v["min_entropy_before"]


def test_the_rate_of_bits_is_that_of_frames_on_the_table(bits):
    with open_run(bits.run_file) as file:
        frame_s = float(np.median(file["steps/frame_s"][()]))
    assert bits.values["rate_hz"] == pytest.approx((4 - bits.values["left_out"]) / frame_s)
    assert bits.values["rate_debiased_hz"] == pytest.approx(bits.values["rate_hz"] * bits.values["yield"])


def test_too_few_bits_for_the_battery_are_refused_before_anything_is_measured(small):
    with pytest.raises(ConfigurationError, match="battery=false"):
        measured(small, "dyad.bits", bits=20_000)


def test_integrated_noise_is_as_large_as_single_condensations_say(small):
    """20 images of 4 pixels: their deviation is known to 8 %, that of 400 condensations to 2 %; three times that."""
    outcome = measured(small, "dyad.noise", images=20, sets=99)
    assert outcome.values["std_ratio"] == pytest.approx(1.0, abs=0.25)
    assert outcome.values["condensations"] == pytest.approx(100, rel=0.1)  # 1/60 s at 6 kHz
    noise = load_noise(outcome.run_file)
    assert noise.shape == (20, 2, 2)
    assert noise.std(axis=0, ddof=1) == pytest.approx(np.ones((2, 2)))


def test_binomial_noise_has_the_steps_of_its_dyads(small):
    outcome = measured(small, "dyad.noise", method="binomial", dyads=2, images=40, sets=99)
    with open_run(outcome.run_file) as file:
        assert set(np.unique(file["steps/images"][()])) == {-2.0, 0.0, 2.0}
    assert outcome.values["std_ratio"] == pytest.approx(1.0, abs=0.25)


def test_more_dyads_than_there_are_cannot_be_added_up(small):
    with pytest.raises(ConfigurationError, match="the lattice has 4"):
        measured(small, "dyad.noise", method="binomial", dyads=5)


def test_images_are_diffused_by_light_as_the_schedule_says(small):
    """3 steps of 40 images of 4 pixels: every deviation below 4 standard errors, false alarm 4e-4."""
    outcome = measured(
        small,
        "dyad.diffuse",
        images=40,
        steps=3,
        noise_frames=100,
        models=0,
        **{"world.projector.row": CENTRE[0], "world.projector.column": CENTRE[1]},
    )
    v = outcome.values
    assert v["variance_worst"] < 4
    assert v["signal_worst"] < 4
    assert v["clipped"] < 0.01
    assert v["projector_residual_px"] < 0.5

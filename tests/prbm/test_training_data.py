"""What is trained on: bars and stripes, files of spins, images by class; and what of it is refused."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest

from labctl.client import ConfigurationError
from protocols.images.sets import DATA_VARIABLE
from protocols.prbm.model import RBM
from protocols.prbm.training.contrastive import IN_SITU_SETTINGS, PAPER_SETTINGS
from protocols.prbm.training.data import TrainingData, bars_and_stripes, training_data
from protocols.prbm.training.learning import Judge, evaluation_epochs, while_renewing
from protocols.prbm.training.parameters import TrainParameters
from protocols.prbm.training.train import check_together, compared, independent_log_likelihood


@pytest.mark.parametrize("side", [2, 3, 4])
def test_bars_and_stripes_are_all_images_of_equal_rows_or_equal_columns(side):
    images = bars_and_stripes(side)
    assert images.shape == (2 * 2**side - 2, side * side)
    assert len(np.unique(images, axis=0)) == len(images)
    square = images.reshape(-1, side, side)
    rows, columns = ((np.diff(square, axis=k) == 0).all(axis=(1, 2)) for k in (1, 2))
    assert (rows | columns).all()


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_spins_are_read_from_a_file(tmp_path, name):
    spins = bars_and_stripes(3).astype(float)
    if name.endswith("z"):
        np.savez(tmp_path / name, spins=spins, held_out=spins[:2])
    else:
        np.save(tmp_path / name, spins)
    data = training_data(str(tmp_path / name), (), None, 14)
    np.testing.assert_array_equal(data.spins, spins)
    assert (data.spins.dtype, data.shape, data.origin) == (np.int8, (3, 3), str(tmp_path / name))
    assert (data.held_out is None) == name.endswith("y")


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"spins": np.zeros((3, 4))}, r"spins of shape \(3, 4\), type float64; allowed: \(n, N_v\) of -1 and \+1"),
        ({"spins": np.ones(4)}, r"spins of shape \(4,\)"),
        ({"images": np.ones((3, 4))}, "holds images; allowed: spins, and held_out"),
        ({"spins": np.ones((3, 4)), "held_out": np.ones((3, 5))}, "held_out has 5 spins an image, spins has 4"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path, found, says):
    np.savez(tmp_path / "a.npz", **found)
    with pytest.raises(ConfigurationError, match=says):
        training_data(str(tmp_path / "a.npz"), (), None, 14)


def test_what_is_no_file_of_arrays_is_refused(tmp_path):
    Path(tmp_path / "a.npy").write_text("spins")
    with pytest.raises(ConfigurationError, match="cannot be read as spins"):
        training_data(str(tmp_path / "a.npy"), (), None, 14)


def test_images_are_a_thousand_in_all_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    data = training_data(None, (4, 7, 9), None, 7)
    assert data.spins.shape == (1000, 49)
    assert data.held_out is not None
    assert training_data(None, (4, 7, 9), 30, 14).spins.shape == (90, 196)


def test_settings_are_the_papers_or_those_of_chains_by_light():
    assert TrainParameters().settings(0) == PAPER_SETTINGS
    assert TrainParameters(sampler="photonic").settings(0) == IN_SITU_SETTINGS


def test_what_is_set_departs_from_the_recipe():
    p = TrainParameters(k=3, persistent="on", learning_rate=0.01, momentum=0.2, fields="on", chains=7, hidden=9)
    s = p.settings(5)
    assert (s.gibbs_steps, s.negative_start, s.learning_rate, s.momentum) == (3, "persistent", 0.01, 0.2)
    assert (s.fields, s.chains, s.n_hidden, s.seed, s.epochs) == (True, 7, 9, 5, PAPER_SETTINGS.epochs)
    assert s.final_learning_rate == 0.01  # the paper's rate is constant
    falling = TrainParameters(sampler="photonic", learning_rate=0.04, persistent="off").settings(0)
    assert (falling.final_learning_rate, falling.negative_start, falling.n_chains) == (0.0, "data", falling.batch_size)


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ({"chains": 10, "together": 4}, "chains: 10; allowed: a multiple of together=4"),
        ({"chains": 10, "positive": "photonic", "batch": 25}, "batch: 25; allowed: a multiple of together=10"),
    ],
)
def test_chains_that_make_no_whole_groups_are_refused(way, says):
    p = TrainParameters(sampler="photonic", **way)
    with pytest.raises(ConfigurationError, match=says):
        check_together(p, p.settings(0))


def test_the_machine_is_judged_after_its_last_epoch_and_often_at_first():
    epochs = evaluation_epochs(2000, 12)
    assert len(epochs) == 12
    assert (epochs[0], epochs[-1]) == (1, 2000)
    assert (np.diff(epochs) > 0).all()
    assert evaluation_epochs(1, 12).tolist() == [1]


def test_a_machine_without_couplings_is_judged_by_the_means_of_the_data():
    spins = np.ones((40, 3), np.int8)
    spins[:10, 0] = -1
    spins[:20, 1] = -1
    spins[:30, 2] = -1
    data = TrainingData(spins, spins[:1], (1, 3), "")
    fields = np.arctanh(spins.mean(axis=0))
    standing = Judge(data, 1.0, 0, 10, 10).standing(RBM(np.zeros((3, 2)), fields, np.zeros(2)))
    expected = 2 * (0.25 * math.log(0.25) + 0.75 * math.log(0.75)) + math.log(0.5)
    assert standing.log_likelihood == pytest.approx(expected)
    assert standing.error == 0.0
    assert independent_log_likelihood(data) == pytest.approx(expected)
    assert math.isnan(standing.held_out_error)  # of one image


def test_a_machine_without_fields_is_annealed_from_where_its_negatives_are_as_near():
    """One hidden spin ties all visible ones together, up or down; 22 do nothing, so that Z is not enumerated. Runs
    from the means of images that are all up would miss ln 2. 4.5 standard errors: false alarm below 1e-3."""
    W = np.zeros((30, 23))
    W[:, 0] = 1.2
    data = TrainingData(np.ones((20, 30), np.int8), None, (5, 6), "")
    standing = Judge(data, 1.0, 0, 1000, 200).standing(RBM(W, np.zeros(30), np.zeros(23)))
    exact = 30 * 1.2 - math.log(2) - 30 * math.log(2 * math.cosh(1.2))
    assert 0 < standing.error < math.log(2) / 9
    assert abs(standing.log_likelihood - exact) < 4.5 * standing.error
    assert math.isnan(standing.held_out)


def test_control_is_renewed_while_work_is_done():
    renewed, enough = [], threading.Event()

    def renew():
        renewed.append(1)
        enough.set()

    assert while_renewing(renew, lambda: enough.wait(60)) is True
    assert renewed

    def fails():
        raise TimeoutError("of the work itself")

    with pytest.raises(TimeoutError, match="of the work itself"):
        while_renewing(lambda: None, fails)


def test_training_in_situ_is_compared_with_the_mean_of_seeds():
    values = compared(-9.9, np.array([-10.0, -10.2]), -12.1)
    assert values["log_likelihood_exact_training"] == pytest.approx(-10.1)
    assert values["relative_difference"] == pytest.approx(0.2 / 10.1)
    assert values["share_of_gain"] == pytest.approx(2.2 / 2.0)

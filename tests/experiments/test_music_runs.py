"""prbm.music from ABC files to MIDI: by light, by arithmetic, and going on where it was stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from resumable import contents, only_run

from labctl.client import ConfigurationError
from labctl.experiments.execute import Outcome, execute, resume
from protocols.prbm.light.sampling import ExactSampler
from protocols.prbm.music.midi import read_midi

SMALL = {
    "epochs": 3,
    "batches": 6,
    "learning_rate": 0.01,
    "units": 8,
    "gibbs_steps": 2,
    "judged": 3,
    "likelihood_steps": 1,
}


@pytest.fixture(scope="module")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty short tunes over chords, no two alike, and a cache of what is read of them."""
    folder = tmp_path_factory.mktemp("tunes")
    letters = "CDEFGABc"
    for k in range(40):
        melody = " ".join(letters[(k + step * (1 + k // 8)) % 8] for step in range(8))
        (folder / f"{k}.abc").write_text(f'X:1\nT:Tune {k}\nM:4/4\nL:1/8\nK:C\n"C"{melody}|"G"D2 B,2 G4|\n')
    return folder


@pytest.fixture(autouse=True)
def _cache(tunes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tunes / "cache"))


def music(tunes: Path, out: Path, **given: object) -> Outcome:
    settings = {**SMALL, "data": str(tunes), "steps": 4, "iterations": 3, **given}
    return execute("labctl.protocols", "prbm.music", None, settings, seed=5, out=out)


def test_pieces_are_played_by_light_and_written_as_midi(tunes: Path, tmp_path: Path) -> None:
    done = music(tunes, tmp_path)
    run = contents(done.run_file)
    assert run["data/pieces"].shape == (2, 4, 88)
    assert run["steps/hidden"].shape == (4, 2, 96)
    np.testing.assert_array_equal(run["data/pieces"], run["steps/visible"].swapaxes(0, 1))
    for file, piece in zip(done.values["midi"], run["data/pieces"], strict=True):
        np.testing.assert_array_equal(read_midi(Path(file)), piece)
    assert done.values["r"] > 0.99
    assert done.values["slope"] == pytest.approx(1.0, abs=0.03)
    assert done.values["field_spins"]["visible"] > 1
    assert done.values["log_likelihood_epochs"] == [0, 1, 2, 3]
    # The same music and random numbers every time: the gain is 3 standard errors here.
    assert done.values["log_likelihood_gain"] > 2 * done.values["log_likelihood_gain_err"]
    again = music(tunes, tmp_path / "again", model=done.values["model"], sampler="exact", steps=2)
    assert again.values["log_likelihood"] == done.values["log_likelihood"][-1:]
    ids = run["steps/pattern_ids"]
    assert np.all(np.diff(ids[:, 0]) > 0)
    assert np.all(run["steps/exposure_s"] > 0)
    for name in ("roll", "histograms"):
        assert done.run_file.with_name(f"{done.run_file.stem}-{name}.png").stat().st_size > 10_000


def test_a_stopped_piece_goes_on_as_if_it_had_not_been(
    tunes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = music(tunes, tmp_path / "whole", sampler="exact")
    with monkeypatch.context() as here:
        stop_after(here, 15)  # of six half sweeps for each quaver
        with pytest.raises(KeyboardInterrupt):
            music(tunes, tmp_path / "out", sampler="exact")
    with monkeypatch.context() as here:
        here.setattr("protocols.prbm.music.music.train", no_training)
        again = resume(only_run(tmp_path / "out"))
    one, other = contents(whole.run_file), contents(again.run_file)
    for name in one.keys() - {"results/midi", "results/model"}:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert whole.values["log_likelihood"] == again.values["log_likelihood"]
    assert not again.run_file.with_suffix(".checkpoint").exists()


def stop_after(patch: pytest.MonkeyPatch, half_sweeps: int) -> None:
    sample, left = ExactSampler.sample, [half_sweeps]

    def sample_or_stop(
        self: ExactSampler, layer: str, given: NDArray[np.int8], rng: np.random.Generator
    ) -> NDArray[np.int8]:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return sample(self, layer, given, rng)

    patch.setattr(ExactSampler, "sample", sample_or_stop)


def no_training(*arguments: object) -> None:
    raise AssertionError("the model is in the run file")


def test_a_model_for_other_keys_is_refused(tunes: Path, tmp_path: Path) -> None:
    from protocols.prbm.music.model import RnnRbm, shapes_of

    RnnRbm(*(np.zeros(shape) for shape in shapes_of(12, 4, 3))).save(tmp_path / "small.npz")
    with pytest.raises(ConfigurationError, match=r"small.npz: 12 visible spins; a piano has 88 keys"):
        music(tunes, tmp_path, model=str(tmp_path / "small.npz"))

"""Runs are compared by array and result: the same bits, within the noise that is stated, or different."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from drivers.errors import ConfigurationError
from labctl.experiments.recorder import Recorder
from labctl.runs.compare import FALSE_ALARM, compare
from labctl.runs.data import RunData

TRUE = np.linspace(1.0, 2.0, 200)


def made(folder: Path, seed: int, results: dict[str, Any] | None = None, steps: int = 3, sd: float = 0.1) -> RunData:
    """A run of noisy series, with the error of one of them beside it."""
    rng = np.random.default_rng(seed)
    with Recorder("t.noisy", folder, 0) as record:
        record.save("fixed", TRUE)
        for step in record.steps(steps, "measuring"):
            step.save(power=TRUE + sd * rng.normal(size=200), power_err=np.full(200, sd), bare=rng.normal(), number=1)
        record.finish(results or {})
    return RunData(record.path)


def verdicts(a: RunData, b: RunData, **noise: float) -> dict[str, str]:
    return {one.name: one.verdict for one in compare(a, b, {k.replace("__", "/"): v for k, v in noise.items()}).found}


def test_the_same_bits_are_identical_nan_and_texts_too(tmp_path: Path) -> None:
    results = {
        "nan": float("nan"),
        "text": "calm",
        "list": [1, 2.5],
        "table": {"deep": [1, 2], "word": "x"},
        "none": None,
    }
    found = compare(made(tmp_path, 1, results), made(tmp_path, 1, results))
    assert {one.verdict for one in found.found} == {"identical"}
    assert (found.verdict, found.setting) == ("identical", {})
    assert {"results/table.deep", "results/nan", "data/fixed", "steps/power"} <= {one.name for one in found.found}


def test_what_has_its_error_beside_it_is_within_noise_and_what_has_none_is_different(tmp_path: Path) -> None:
    # Gaussian noise as stated: 1e-4 of false alarm for each array, seeds fixed.
    found = verdicts(made(tmp_path, 1), made(tmp_path, 2))
    assert found == {
        "data/fixed": "identical", "steps/number": "identical", "steps/power_err": "identical",
        "steps/power": "within noise", "steps/bare": "different",
    }  # fmt: skip
    assert verdicts(made(tmp_path, 1), made(tmp_path, 2), steps__bare=1.0)["steps/bare"] == "within noise"
    assert verdicts(made(tmp_path, 1), made(tmp_path, 2), steps__power=0.01)["steps/power"] == "different"


def test_one_number_in_600_that_is_off_is_found(tmp_path: Path) -> None:
    a = made(tmp_path, 1, {"mean": 1.0, "mean_err": 0.1})
    b = made(tmp_path, 2, {"mean": 1.9, "mean_err": 0.11})
    found = {one.name: one for one in compare(a, b).found}
    assert (found["results/mean"].verdict, found["results/mean_err"].verdict) == ("different", "different")
    assert found["results/mean"].sigmas == pytest.approx(0.9 / np.hypot(0.1, 0.11))
    c = made(tmp_path, 1, {"dark": {"gain": {"value": 1.0, "uncertainty": 0.1}}})
    d = made(tmp_path, 2, {"dark": {"gain": {"value": 1.2, "uncertainty": 0.1}}})
    assert verdicts(c, d)["results/dark.gain.value"] == "within noise"
    near = made(tmp_path, 2, {"mean": 1.2, "mean_err": 0.11})
    assert verdicts(a, near)["results/mean_err"] == "within noise"


def test_false_alarms_are_as_rare_as_stated(tmp_path: Path) -> None:
    """400 pairs of single numbers at a bound of 1e-4: more than 2 alarms come once in 10^5 trials; seed fixed."""
    rng = np.random.default_rng(5)
    values = {f"x{k}": v for k, v in enumerate(rng.normal(size=400))}
    others = {f"x{k}": v for k, v in enumerate(rng.normal(size=400))}
    found = compare(made(tmp_path, 1, values), made(tmp_path, 1, others), {"results/*": 1.0})
    assert FALSE_ALARM == 1e-4
    assert sum(one.verdict == "different" for one in found.found) <= 2


def test_other_shapes_types_names_and_texts_differ_but_not_places_and_machine_times(tmp_path: Path) -> None:
    a = made(tmp_path, 1, {"seconds": 1.0, "picture": "runs/a.png", "word": "calm", "n": 1, "gone": 1.0})
    b = made(tmp_path, 1, {"seconds": 2.0, "picture": "/tmp/b.png", "word": "wild", "n": 1.0}, steps=2)
    found = verdicts(a, b)
    assert {name for name, verdict in found.items() if verdict == "not compared"} == {
        "results/seconds",
        "results/picture",
    }
    assert {"results/word", "results/gone", "steps/power"} <= {n for n, v in found.items() if v == "different"}
    assert found["results/n"] == "different"


def test_of_a_run_that_was_interrupted_the_steps_that_both_have_are_compared(tmp_path: Path) -> None:
    whole, other = made(tmp_path, 1, {"mean": 1.0}), made(tmp_path, 1, {}, steps=2)
    with h5py.File(other.path, "a") as file:
        file.attrs["status"] = "interrupted"
    found = compare(whole, RunData(other.path))
    assert found.same
    assert {one.name: one.verdict for one in found.found}["results/mean"] == "not compared"
    assert found.setting == {"status": ("complete", "interrupted")}


def test_the_time_of_a_bench_in_real_time_is_not_compared_that_of_a_virtual_one_is(tmp_path: Path) -> None:
    for clock, verdict in (("real", "not compared"), ("virtual", "different")):
        runs = []
        for seed in (1, 2):
            with Recorder("t.timed", tmp_path, seed) as record:
                record.setup(bench="small", bench_file=f'[bench]\nclock = "{clock}"\n')
                record.finish({"bench_time_s": float(seed)})
            runs.append(RunData(record.path))
        assert verdicts(*runs) == {"results/bench_time_s": verdict}


def test_noise_of_nothing_is_told(tmp_path: Path) -> None:
    a = made(tmp_path, 1)
    with pytest.raises(ConfigurationError, match=r"steps/pwr.*steps/power"):
        compare(a, a, {"steps/pwr": 1.0})

"""The points of a sweep, and what is refused before any is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sweepable import wave

from labctl.client import ConfigurationError, LimitError
from labctl.sweep import Plan, plan_of, sweep


def seeds(plan: Plan) -> list[int]:
    return [plan.seed_of(i) for i in range(plan.size)]


def test_every_value_of_one_axis_meets_every_value_of_the_others_the_last_one_fastest() -> None:
    plan = wave("g=1,2", "J=3,4,5", word="b")
    assert plan.dimensions == ("g", "J")
    assert plan.shape == (2, 3)
    assert [plan.given(i) for i in (0, 1, 3)] == [
        {"word": "b", "g": 1, "J": 3},
        {"word": "b", "g": 1, "J": 4},
        {"word": "b", "g": 2, "J": 3},
    ]


def test_zipped_axes_go_side_by_side() -> None:
    plan = wave("g=1,2,3", "J=3,4,5", together=True)
    assert plan.dimensions == ("point",)
    assert plan.shape == (3,)
    assert plan.given(2) == {"g": 3, "J": 5}


def test_repeats_are_the_last_axis_and_have_other_seeds() -> None:
    plan = wave("g=1,2", repeats=3)
    assert plan.dimensions == ("g", "repeat")
    assert plan.shape == (2, 3)
    assert plan.given(0) == plan.given(2) == {"g": 1}
    assert len(set(seeds(plan))) == 6


def test_a_point_has_the_same_seed_in_every_sweep_that_has_it() -> None:
    coarse, fine = wave("g=1,2", "J=3,4"), wave("J=2:4:9", "g=1:2:3", repeats=2)
    for i in range(coarse.size):
        (j,) = [j for j in range(fine.size) if fine.swept(j) == coarse.swept(i) and fine.place(j)[-1] == 0]
        assert fine.seed_of(j) == coarse.seed_of(i)
    assert len(set(seeds(fine))) == fine.size


def test_another_seed_of_the_sweep_is_another_seed_of_every_point() -> None:
    assert not set(seeds(wave("g=1,2,3"))) & set(seeds(wave("g=1,2,3", seed=1)))


def test_a_plan_is_the_same_after_it_was_written_down() -> None:
    plan = wave("g=0.1:0.7:7", "word=a,b", J=0.3, repeats=2, seed=5)
    again = Plan.from_json(plan.as_json())
    assert again.differences(plan) == []
    assert again.as_json() == plan.as_json()
    assert seeds(again) == seeds(plan)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"varied": ["J=1,2"]}, "along"),
        ({"varied": ["g=1,2,3"]}, "of shape"),
        ({"varied": ["g=1,3"]}, "other values of g"),
        ({"J": 0.5}, "J=(not given), not 0.5"),
        ({"seed": 3}, "--seed 0, not 3"),
        ({"repeats": 2}, "--repeat 1, not 2"),
    ],
)
def test_differences_of_plans_are_told(other: dict[str, object], told: str) -> None:
    changed = dict(other)
    varied = changed.pop("varied", ["g=1,2"])
    assert isinstance(varied, list)
    assert any(told in words for words in wave("g=1,2").differences(wave(*varied, **changed)))


@pytest.mark.parametrize(
    ("name", "varied", "options", "told"),
    [
        ("t.wav", ["g=1,2"], {}, 'did you mean "t.wave"'),
        ("camera.dark", ["n=1,2"], {}, "labctl calibrate"),
        ("t.wave", ["g=1"], {}, "nothing is varied"),
        ("t.wave", ["h=1,2"], {}, "no such parameter"),
        ("t.wave", ["g=-1,-2"], {}, "greater than 0"),
        ("t.wave", ["g=1,2"], {"assignments": {"g": 1}}, "given both"),
        ("t.wave", ["g=1,2"], {"assignments": {"h": 1}}, "no such parameter"),
        ("t.wave", ["g=1,2", "J=1,2,3"], {"together": True}, "g 2, J 3"),
        ("t.wave", ["world.sed=1,2"], {}, "did you mean"),
        ("t.table", ["n=1,2"], {"bench": "nowhere"}, "no such bench"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(
    name: str, varied: list[str], options: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        plan_of(name, varied, **options)  # type: ignore[arg-type]


def test_more_points_than_a_file_takes_are_refused() -> None:
    with pytest.raises(LimitError, match="1210000 points are more than the 1000000"):
        wave("g=1:2:1100", "J=1:2:1100")


def test_an_experiment_without_devices_has_no_bench_unless_one_is_named(noisy_bench: Path) -> None:
    assert wave("g=1,2").bench is None
    assert wave("g=1,2", bench=noisy_bench).bench == str(noisy_bench)
    assert wave("world.seed=1,2").bench == "prbm-sim"


def test_a_repeat_on_a_simulated_bench_is_another_draw_of_its_table(noisy_bench: Path) -> None:
    plan = plan_of("t.table", ["n=1,2"], bench=noisy_bench, repeats=3)
    drawn = [plan.given(i).get("world.seed", 7) for i in range(plan.size)]
    assert drawn[0] == drawn[3] == 7
    assert drawn[1:3] == drawn[4:6]
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("workers", [2, None])
def test_real_instruments_are_not_shared_by_workers(tmp_path: Path, workers: int | None) -> None:
    plan = plan_of("t.table", ["n=1,2"], bench="prbm-emulated")
    with pytest.raises(ConfigurationError, match=r"slm of bench prbm-emulated is emulated.*--workers 1"):
        sweep(plan, tmp_path / "a.h5", workers=workers, dask=None if workers else "tcp://127.0.0.1:1")


def test_a_bench_on_another_machine_is_not_shared_by_workers(
    tmp_path: Path, noisy_bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of("t.table", ["n=1,2"], bench=noisy_bench)
    monkeypatch.setenv("LABCTL_AT", "elsewhere")
    with pytest.raises(ConfigurationError, match="LABCTL_AT=elsewhere"):
        sweep(plan, tmp_path / "a.h5", workers=2)


def test_what_is_told_of_a_point_measures_it_again() -> None:
    plan = wave("g=0.1:0.7:7", "word=a,1 b", J=0.3)
    told = plan.again(13)
    assert told[:2] == ["figure", "t.wave"]
    assert told[2:] == ["--set", "J=0.3", "--set", "g=0.7", "--set", "word=1 b", "--seed", str(plan.seed_of(13))]
    np.testing.assert_equal(plan.place(13), (6, 1))

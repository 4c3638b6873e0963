"""`dyad.sense` on a small table: the probe is found and measured, a map is of the sample, a run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensing_small import fair_small, least_probe_share, site_under_probe, strength, write_small

from labctl.client import Bench, ConfigurationError, open_run
from labctl.experiments.execute import Outcome, execute, resume
from protocols.dyad.sensing import counting
from protocols.dyad.sensing.decision import pump_equivalent

DETECT: dict[str, Any] = {
    "probe_w": (0.01, 0.03), "trials": (50, 150), "repeats": 6, "reference": 800, "slope_trials": 1500,
}  # fmt: skip


def sense(bench: Path, out: Path, **given: Any) -> Outcome:
    return execute("labctl.figures", "dyad.sense", bench, given, seed=1, out=out)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A bench file of 2 x 3 dyads, and the folder with its calibration."""
    with fair_small(tmp_path_factory.mktemp("small"), 2, 3) as made:
        yield made


@pytest.fixture
def bench(small: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its calibration is in force."""
    monkeypatch.setenv("LABCTL_CALIBRATIONS", str(small[1]))
    return small[0]


def test_the_dyad_under_the_probe_is_found_and_its_change_of_g_measured(bench: Path, tmp_path: Path) -> None:
    """Within 2.5 of the errors that are told: 1 per W where the probe is, and a little less where it misses."""
    done = sense(bench, tmp_path, **DETECT)
    v = done.values
    with open_run(done.run_file) as file:
        places = np.asarray(file["data/places"][()])
    assert np.ravel_multi_index(v["target"], (2, 3)) == site_under_probe(bench, places.reshape(-1, 2)) // 2
    truth = (1 + least_probe_share(bench)) / 2
    assert abs(v["dg_per_w"] - truth) < 2.5 * v["dg_per_w_err"]
    assert v["dg_per_w_err"] < 0.6 * v["dg_per_w"]
    assert v["detection"][1][1] == 1.0
    assert v["located"][1][1] == 1.0
    assert v["dyad_false_alarm_measured"][1] < 0.06  # of some 90 decisions
    assert v["smallest_dg"][0] > v["smallest_dg"][1]
    assert done.run_file.with_name(f"{done.run_file.stem}-sense.png").exists()


def test_a_map_is_of_the_sample(bench: Path, tmp_path: Path) -> None:
    """Six dyads at six places: what is found goes with the truth, by a correlation of 0.5 at least."""
    done = sense(bench, tmp_path, mode="map", down=2, map_precision=0.1, map_most=200)
    v = done.values
    truth = strength(bench, np.asarray(v["place_px"]), pump_equivalent(0.5, 0.55))
    assert v["differences"] == 36
    assert 40 <= v["places"] <= 48
    assert np.corrcoef(truth, v["dg_rel"])[0, 1] > 0.5
    assert 0.05 < v["spread"] < 0.3
    assert done.run_file.with_name(f"{done.run_file.stem}-map.png").exists()


@pytest.mark.parametrize("table_goes_on", [True, False])
def test_a_run_that_was_stopped_goes_on_with_a_reference_of_its_own_unless_its_table_does(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table_goes_on: bool
) -> None:
    if not table_goes_on:
        monkeypatch.setattr(Bench, "freeze", lambda self: None)
    given = DETECT | {"probe_w": (0.05,), "trials": (60,), "repeats": 4, "reference": 300, "slope_trials": 300}
    with_probe, done = counting._with_probe, 0

    def stop(*arguments: Any) -> Any:
        nonlocal done
        if done == 5:
            raise KeyboardInterrupt
        done += 1
        return with_probe(*arguments)

    with monkeypatch.context() as here:
        here.setattr(counting, "_with_probe", stop)
        with pytest.raises(KeyboardInterrupt):
            sense(bench, tmp_path, **given)
    again = resume(next(tmp_path.glob("*.h5")))
    with open_run(again.run_file) as file:
        np.testing.assert_array_equal(file["steps/part"][()], [0, 0, 0, 0] if table_goes_on else [0, 0, 1, 1])
    assert again.values["detection"][0][0] > 0.5


def test_a_bench_without_a_probe_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[devices.probe\]"):
        sense(write_small(tmp_path, probe=False), tmp_path)


def test_a_probe_that_is_not_so_strong_is_told_before_anything_is_measured(bench: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"limit of probe\.power_w is 0\.2 W"):
        sense(bench, tmp_path, probe_w=(0.1, 0.3))

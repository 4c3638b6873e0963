"""What is measured at a point, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from sweepable import wave

from labctl.experiments.execute import execute
from labctl.sweep import Sweep, open_sweep, plan_of, sweep
from labctl.sweep.tables import FAILED, MEASURED


def measured(name: str, varied: list[str], out: Path, **options: object) -> Sweep:
    plan = plan_of(name, varied, **options)  # type: ignore[arg-type]
    assert sweep(plan, out, workers=1).path == out
    return open_sweep(out)


def test_a_point_has_the_values_of_the_experiment_run_alone(tmp_path: Path, out: Path) -> None:
    plan = wave("g=1,2", "J=3,4", word="b")
    sweep(plan, out, workers=1)
    found = open_sweep(out)
    for index in range(plan.size):
        alone = execute("labctl.figures", "t.wave", None, plan.given(index), plan.seed_of(index), tmp_path / "runs")
        assert found["height"][plan.place(index)] == alone.values["height"]
        assert found["product"][plan.place(index)] == alone.values["product"]
        np.testing.assert_array_equal(found["start"][plan.place(index)], alone.values["start"])
    assert found["letters"].tolist() == [["b", "b"], ["b", "b"]]
    assert found.status == "complete"


def test_a_point_on_a_bench_has_the_values_of_the_experiment_run_alone(
    tmp_path: Path, out: Path, noisy_bench: Path
) -> None:
    plan = plan_of("t.table", ["n=1,2", "devices.camera.exposure=4:400 ms:2"], bench=noisy_bench, repeats=2)
    sweep(plan, out, workers=1)
    found = open_sweep(out)
    np.testing.assert_allclose(found["exposure_s"][0, :, 0], [4e-3, 0.4], rtol=1e-2)
    for index in (0, 5):
        alone = execute("labctl.figures", "t.table", noisy_bench, plan.given(index), plan.seed_of(index), tmp_path)
        assert found["sum"][plan.place(index)] == alone.values["sum"]
    assert len(np.unique(found["sum"])) == 4  # by exposure and by the table's draw, and not by n


def test_results_do_not_depend_on_the_order_of_the_points(out: Path) -> None:
    forward = measured("t.wave", ["g=1,2,3"], out)
    backward = measured("t.wave", ["g=3,2,1"], out.with_name("backward.h5"))
    np.testing.assert_array_equal(forward["height"], backward["height"][::-1])


def test_values_of_all_kinds_become_arrays_over_the_axes(out: Path) -> None:
    found = measured("t.kinds", ["n=1,2,3"], out)
    assert found["whole"].tolist() == [1, 2, 3]
    assert found["whole"].dtype == np.int64
    assert found["fraction"].tolist() == [0.5, 1, 1.5]
    assert found["even"].tolist() == [False, True, False]
    assert found["even"].dtype == bool
    assert found["numpy"].tolist() == [1.0, 2.0, 3.0]
    assert found["complex"].tolist() == [1 + 1j, 2 + 1j, 3 + 1j]
    assert found["matrix"].shape == (3, 2, 3)
    np.testing.assert_array_equal(found["ragged"], [[0.5, np.nan, np.nan], [0.5, 0.5, np.nan], [0.5, 0.5, 0.5]])
    assert found["text"].tolist() == [f"{'x' * n}\N{REPLACEMENT CHARACTER}" for n in (1, 2, 3)]
    assert found["nested.a"].tolist() == [1, 2, 3]
    assert found["nested.b.c"].tolist() == ["c", "c", "c"]
    assert json.loads(found["rows"][1]) == [{"n": 2}, {"n": None}]
    assert np.isnan(found["undefined"]).all()
    np.testing.assert_array_equal(found["rare"], [np.nan, np.nan, 3])


def test_the_file_has_the_arrays_with_named_dimensions(out: Path) -> None:
    measured("t.wave", ["g=1,2,3", "J=1,2"], out)
    with h5py.File(out) as file:
        product = file["values/product"]
        np.testing.assert_array_equal(product[()], np.outer([1, 2, 3], [1, 2]))
        assert [dimension.label for dimension in product.dims] == ["g", "J"]
        np.testing.assert_array_equal(product.dims[0][0][()], [1, 2, 3])
        assert file["axes/g"].attrs["description"] == "detuning"
        assert (file["points/status"][()] == MEASURED).all()
        assert json.loads(file["parts/0"].attrs["versions"])["numpy"] == np.__version__
        assert file.attrs["status"] == "complete"


def test_a_sweep_is_read_as_labelled_data(out: Path) -> None:
    found = measured("t.wave", ["g=1,2,3", "J=1,2"], out).to_xarray()
    assert found["product"].sel(g=3, J=2).item() == 6
    assert found["start"].dims == ("g", "J", "start_0")
    zipped = measured("t.wave", ["g=1,2", "J=3,4"], out.with_name("b.h5"), together=True).to_xarray()
    assert zipped["product"].dims == ("point",)
    assert zipped["J"].values.tolist() == [3, 4]


def test_a_point_that_fails_stops_no_other_and_says_why(out: Path) -> None:
    plan = wave("g=1,2,3", "J=1,2", bad_above=1.5)
    outcome = sweep(plan, out, workers=1)
    found = open_sweep(out)
    assert found.status == "complete, with failures"
    assert found.tables.status.tolist() == [[MEASURED] * 2, [FAILED] * 2, [FAILED] * 2]
    np.testing.assert_array_equal(found["product"], [[1, 2], [np.nan] * 2, [np.nan] * 2])
    assert sorted(outcome.failures) == [2, 3, 4, 5]
    assert str(found.failures[2]) == "CalibrationError: g = 2.0 is above 1.5"
    assert "in run" in found.failures[2].traceback


def test_points_whose_parameters_do_not_fit_together_have_failed(out: Path) -> None:
    outcome = sweep(wave("g=1,9", "J=0,2"), out, workers=1)
    assert list(outcome.failures) == [3]
    assert "at most 10" in str(outcome.failures[3])
    assert outcome.measured == 3


def test_an_experiment_that_asks_for_a_device_without_having_said_so_is_told(out: Path) -> None:
    outcome = sweep(plan_of("t.curious", ["n=1,2"]), out, workers=1)
    assert "t.curious names no roles" in outcome.failures[0].message
    assert "bench.slm" in outcome.failures[0].message


@pytest.mark.parametrize("name", ["product", "height"])
def test_a_value_that_is_not_there_is_an_error_that_lists_those_that_are(out: Path, name: str) -> None:
    found = measured("t.wave", ["g=1,2"], out)
    assert found[name].shape == (2,)
    with pytest.raises(Exception, match=f"no value 'depth'.*{name}"):
        found["depth"]

"""A Dask cluster measures what processes of this machine do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sweepable import registered, wave

from labctl.client import BusError, ConfigurationError
from labctl.sweep import open_sweep, plan_of, sweep


@pytest.fixture(scope="module")
def cluster(_registered: None) -> Iterator[str]:
    """Address of a cluster with two worker processes, which gives a point up after its worker's first death."""
    import dask
    import distributed

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as started,
    ):
        yield str(started.scheduler_address)


def test_results_are_those_of_this_machine_bit_for_bit(cluster: str, out: Path, noisy_bench: Path) -> None:
    for name, plan in {
        "wave": wave("g=0.1:0.9:9", "J=1,2,3"),
        "table": plan_of("t.table", ["devices.camera.exposure=2:4 ms:4"], bench=noisy_bench, repeats=2),
    }.items():
        here, there = (out.with_name(f"{name}-{where}.h5") for where in ("here", "there"))
        sweep(plan, here, workers=1)
        assert sweep(plan, there, dask=cluster).failures == {}
        one, other = open_sweep(here), open_sweep(there)
        assert one.status == other.status == "complete"
        assert one.values.keys() == other.values.keys()
        for value in one.values:
            np.testing.assert_array_equal(one[value], other[value])


def test_a_sweep_goes_on_elsewhere(cluster: str, out: Path) -> None:
    plan = wave("g=1,2,3,4", bad_above=2.5)
    sweep(plan, out, workers=1)
    assert sweep(plan, out, dask=cluster, retry_failed=True).measured == 2


def test_a_point_that_ends_its_worker_is_told_and_the_others_are_measured(
    cluster: str, tmp_path: Path, out: Path
) -> None:
    outcome = sweep(wave("g=1,2,3,4,5", tally=str(tmp_path / "tally"), deadly_g=2), out, dask=cluster)
    assert list(outcome.failures) == [1]
    np.testing.assert_array_equal(open_sweep(out)["product"], [0.5, np.nan, 1.5, 2, 2.5])


def test_a_worker_without_the_experiment_is_told(
    cluster: str, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = "[labctl.figures]\nt.only-here = sweepable:Wave\n"
    with registered(tmp_path / "site", monkeypatch, "here", points):
        plan = plan_of("t.only-here", ["g=1,2"])
        with pytest.raises(ConfigurationError, match=r'worker tcp.*"t\.only-here" is unknown'):
            sweep(plan, out, dask=cluster)


@pytest.mark.parametrize(
    ("address", "error", "told"),
    [("tcp://127.0.0.1:1", BusError, "dask scheduler"), ("nonsense://x", ConfigurationError, "tcp://HOST:8786")],
)
def test_a_cluster_that_is_not_there_is_told(
    out: Path, address: str, error: type[Exception], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.sweep.cluster._PATIENCE_S", 0.5)
    with pytest.raises(error, match=told):
        sweep(wave("g=1,2"), out, dask=address)


def test_workers_and_a_cluster_are_not_asked_for_together(out: Path) -> None:
    with pytest.raises(ConfigurationError, match="give one of them"):
        sweep(wave("g=1,2"), out, workers=2, dask="tcp://127.0.0.1:1")

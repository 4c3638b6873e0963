"""Protocols from a script: the same run as by the command line, with arrays, pictures and words where it ends early."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from resumable import assert_same, contents, stopped

import labctl
from labctl.client import ConfigurationError
from labctl.experiments.execute import execute


@pytest.mark.usefixtures("walks")
def test_a_script_and_the_command_line_make_the_same_run(small_bench: Path, out: Path) -> None:
    run = labctl.run("t.walk", small_bench, seed=5, out=out / "a", there=4, size=7, set={"world.seed": 3})
    asked = {"there": 4, "size": 7, "world.seed": 3}
    outcome = execute("labctl.protocols", "t.walk", small_bench, asked, 5, out / "b")
    assert_same(run.path, outcome.run_file)
    assert run.values.keys() == outcome.values.keys()
    assert (run.told["bench_overrides"], run.status) == ({"world.seed": 3}, "complete")


@pytest.mark.usefixtures("walks")
def test_a_run_gives_arrays_and_pictures(small_bench: Path, out: Path) -> None:
    run = labctl.run("t.walk", small_bench, out=out, there=4, size=7)
    position = run.to_xarray()["position"]
    np.testing.assert_array_equal(position.values, contents(run.path)["steps/position"])
    assert run.plot("position", to=out / "plot.png")._repr_png_() == (out / "plot.png").read_bytes()
    with pytest.raises(ConfigurationError, match=r"positoin.*position"):
        run.plot("positoin")


@pytest.mark.usefixtures("walks")
def test_a_figure_knows_its_target(small_bench: Path, out: Path) -> None:
    figure = labctl.figure("t.seen", small_bench, out=out, there=4, size=7)
    assert figure.targets is None  # of another bench than its own
    assert figure.ok is None


@pytest.mark.usefixtures("walks")
def test_a_run_on_an_open_bench_uses_it_as_it_is(small_bench: Path, out: Path) -> None:
    with labctl.open_bench(small_bench, {"world.seed": 3}) as bench:
        run = labctl.run("t.walk", bench, out=out, there=4, size=7)
        assert run.told["bench_overrides"] == {"world.seed": 3}
        assert bench.camera.binning == 1  # still open
        with pytest.raises(ConfigurationError, match=r"world\.noise: bench small is open already"):
            labctl.run("t.walk", bench, out=out, set={"world.noise": True})


@pytest.mark.usefixtures("walks")
def test_bad_parameters_are_all_told(small_bench: Path, out: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)size=many.*their.*did you mean there"):
        labctl.run("t.walk", small_bench, out=out, their=3, size="many")
    assert not out.exists()


@pytest.mark.usefixtures("walks")
def test_a_run_that_was_interrupted_says_how_to_go_on_and_does(
    small_bench: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with stopped(monkeypatch, "there 2"):
        labctl.run("t.walk", small_bench, seed=5, out=out, there=4, size=7)
    path = next(out.glob("*.h5"))
    assert f"labctl.resume('{path}')" in capfd.readouterr().err.replace("\n", "")
    resumed = labctl.resume("latest", out, quiet=True)
    assert capfd.readouterr().err == ""
    assert_same(resumed.path, labctl.run("t.walk", small_bench, seed=5, out=out / "b", there=4, size=7).path)

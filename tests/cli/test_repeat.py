"""`labctl repeat` makes a run again, with the command that `labctl runs show` tells, and compares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
from commands import Command
from resumable import installed
from table import write_bench


@pytest.fixture
def small_bench(tmp_path: Path) -> Path:
    return write_bench(tmp_path)


@pytest.fixture
def ran(small_bench: Path, labctl: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run of a made-up protocol with parameters and a seed, begun where its bench lies."""
    with installed(tmp_path / "site", monkeypatch):
        done = labctl("run", "t.walk", "--bench", small_bench.name, "--seed", 7, "--set", "there=5", "back=2", "--json")
        assert done.status == 0, done.err
        yield tmp_path / json.loads(done.out)["run_file"]


def test_a_run_on_a_simulated_table_is_repeated_bit_for_bit_from_anywhere(
    ran: Path, labctl: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    done = labctl("repeat", ran, "--json")
    told = json.loads(done.out)
    assert (done.status, told["verdict"], told["same"], told["setting"]) == (0, "identical", True, {})
    assert Path(told["b"]) != ran
    assert Path(told["b"]).parent == ran.parent
    assert {"steps/position", "data/start"} <= {one["name"] for one in told["found"] if one["verdict"] == "identical"}
    shown = json.loads(labctl("runs", "show", ran, "--json").out)
    assert told["command"] == shown["repeat"]["text"]


def test_the_bench_is_as_it_was_whatever_has_become_of_its_file(
    ran: Path, labctl: Command, small_bench: Path, tmp_path: Path
) -> None:
    small_bench.write_text("no bench any more")
    assert labctl("repeat", ran, "--into", tmp_path / "again").status == 0
    small_bench.unlink()
    assert labctl("repeat", ran, "--into", tmp_path / "again").status == 0
    assert len(list((tmp_path / "again").glob("*.h5"))) == 2


def test_what_has_become_different_ends_with_status_1(ran: Path, labctl: Command) -> None:
    with h5py.File(ran, "a") as file:
        file["data/start"][3] += 1e-9
    done = labctl("repeat", ran)
    assert done.status == 1
    assert "data/start  different: no noise is stated for it; largest difference 1e-09" in done.out
    assert labctl("repeat", ran, "--noise", "data/start=1e-9").status == 0


@pytest.mark.parametrize(
    ("noise", "told"),
    [*((noise, "NAME=NUMBER") for noise in ("start", "start=", "start=-1", "start=nan", "=1")), ("strat=1", "it has")],
)
def test_noise_that_is_none_is_told_before_anything_is_measured(
    ran: Path, labctl: Command, noise: str, told: str
) -> None:
    done = labctl("repeat", ran, "--noise", noise)
    assert done.status == 2
    assert told in done.err
    assert len(list(ran.parent.glob("*.h5"))) == 1


def test_what_cannot_be_repeated_is_told(ran: Path, labctl: Command) -> None:
    with h5py.File(ran, "a") as file:
        del file["setup/group"]
        file["setup/group"] = ""
    done = labctl("repeat", ran)
    assert done.status == 2
    assert "part of a larger command" in done.err
    assert labctl("repeat", "nothing").status == 2

"""`labctl init` writes bench files that `labctl check` accepts, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command

from labctl.bench.load import load_bench, packaged_benches


@pytest.mark.parametrize("like", sorted(packaged_benches()))
def test_a_file_like_any_packaged_bench_is_right_and_says_the_same(labctl: Command, tmp_path: Path, like: str) -> None:
    done = labctl("init", "mine.toml", "--like", like)
    assert (done.status, done.err) == (0, "")
    mine, other = load_bench(Path("mine.toml")), load_bench(like)
    assert mine.name == "mine"
    assert (mine.devices, mine.world_parameters, mine.servers) == (other.devices, other.world_parameters, other.servers)
    assert "# [recovery]" in mine.text


def test_without_a_word_it_is_a_commented_bench_that_check_accepts(labctl: Command, tmp_path: Path) -> None:
    assert labctl("init").status == 0
    text = (tmp_path / "bench.toml").read_text(encoding="utf-8")
    assert "# binning = …" in text
    assert "from 1 to 16" in text
    assert "andor_sdk3" in text
    done = labctl("check", "bench.toml")
    assert (done.status, done.err) == (0, "")


def test_nothing_is_overwritten_and_names_are_checked(labctl: Command, tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text("precious")
    for arguments, told in (
        ((), "is kept"),
        (("x.txt",), "NAME.toml"),
        (("a.toml", "--like", "prbm-simm"), "prbm-sim"),
    ):
        done = labctl("init", *arguments)
        assert done.status == 2
        assert told in done.err
    assert (tmp_path / "bench.toml").read_text() == "precious"
    assert not (tmp_path / "a.toml").exists()

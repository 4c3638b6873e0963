"""`labctl check` tells file, line, what is wrong and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Command


@pytest.fixture
def bench_text(repository: Path) -> str:
    return (repository / "benches" / "prbm-sim.toml").read_text(encoding="utf-8")


def test_a_right_file_has_no_problems(labctl: Command) -> None:
    done = labctl("check", "prbm-sim")
    assert (done.status, done.err) == (0, "")
    assert "6 devices, virtual time: no problems" in done.out


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ('exposure = "16.7 ms"', 'exposur = "16.7 ms"', ["devices.camera.exposur", "exposure"]),
        ('exposure = "16.7 ms"', 'exposure = "16.7 mm"', ["devices.camera.exposure", "a value in s"]),
        ('power = "40 %"', 'power = "70 %"', ["devices.source.power", "0.4"]),
        ("seed = 7", 'seed = "seven"', ["world.seed", "a whole number"]),
        ('world = "prbm"', 'world = "prbn"', ["bench.world", "prbm"]),
        ('kind = "camera"', 'kind = "camra"', ["devices.camera.kind", "camera"]),
    ],
    ids=["unknown key", "wrong unit", "out of range", "wrong type", "unknown world", "unknown kind"],
)
def test_a_problem_is_told_with_file_line_and_cure(
    labctl: Command, bench_text: str, tmp_path: Path, right: str, wrong: str, told: list[str]
) -> None:
    text = bench_text.replace(right, wrong, 1)
    (tmp_path / "bench.toml").write_text(text, encoding="utf-8")
    line = 1 + text[: text.index(wrong)].count("\n")
    done = labctl("check", "bench.toml")
    assert done.status == 2
    assert f"bench.toml:{line}: " in done.err
    assert all(word in done.err for word in told)
    assert "Traceback" not in done.err


def test_every_problem_is_told_at_once(labctl: Command, bench_text: str, tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    wrong = bench_text.replace("seed = 7", "sed = 7").replace('settle = "75 ms"', 'settle = "-1 s"')
    path.write_text(wrong, encoding="utf-8")
    done = labctl("check", path)
    assert "world.sed" in done.err
    assert "devices.slm.settle" in done.err


@pytest.mark.parametrize("name", ["nowhere.toml", "nowhere", ".", ""])
def test_a_missing_file_is_told(labctl: Command, name: str) -> None:
    done = labctl("check", name)
    assert done.status == 2
    assert done.err.startswith("labctl: ")
    assert "Traceback" not in done.err


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[bench", b"a = 1\n\x00", b"[devices]\n"], ids=repr)
def test_a_file_that_is_no_bench_is_told(labctl: Command, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bench.toml"
    path.write_bytes(content)
    done = labctl("check", path)
    assert done.status == 2
    assert path.name in done.err
    assert "Traceback" not in done.err


def test_an_assignment_is_checked_like_the_file(labctl: Command) -> None:
    done = labctl("check", "prbm-sim", "--set", "world.slm.levels=1")
    assert done.status == 2
    assert "--set world.slm.levels" in done.err


def test_a_fault_meets_a_device_that_is_there(labctl: Command) -> None:
    done = labctl("check", "prbm-sim", "--set", "world.faults=[lost camera 5, stuck sml 3]")
    assert done.status == 2
    assert 'world.faults[1]: "sml" is no device of this bench (did you mean "slm"?)' in done.err

"""Types of devices are written from the contract: those kept are current, and mypy finds slips by them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import Command

from labctl.bench.load import load_bench
from labctl.stubs import bench_text, kinds_text

GOOD = """
import numpy as np
from prbm_emulated_bench import open_bench

with open_bench(control="types") as bench:
    pattern: int = bench.slm.write(np.zeros((8, 8)), row=3)
    frame = bench.camera.snap()
    counts: float = float(frame.data.mean())
    frame = bench.camera.trigger.submit(pattern_id=pattern).result()
    bench.camera.exposure_s = 1e-3
    zero: float = bench.power_tap.zero()
    passed: dict[str, str] = bench.slm.self_checks()
"""
SLIPS = {
    'bench.camera.exposure_s = "long"': "expression has type",
    "bench.camera.rows = 3": "read-only",
    "bench.slm.write(1)": "incompatible type",
    "bench.camera.trigger(patern_id=1)": "did you mean",
    "bench.camera.exposur_s = 3.0": "has no attribute",
    "bench.slm.wrte()": "has no attribute",
    "bench.source.zero()": "has no attribute",
}


def test_the_kinds_that_are_kept_are_those_of_the_contract(repository: Path) -> None:
    assert (repository / "labctl/kinds.py").read_text(encoding="utf-8") == kinds_text(), (
        "write it again: labctl stubs --kinds --to labctl/kinds.py"
    )


def test_mypy_accepts_a_script_with_them_and_finds_slips(
    labctl: Command, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert labctl("stubs", "prbm-emulated").status == 0
    slips = "from prbm_emulated_bench import open_bench\nwith open_bench() as bench:\n"
    (tmp_path / "good.py").write_text(GOOD, encoding="utf-8")
    (tmp_path / "slips.py").write_text(slips + "".join(f"    {slip}\n" for slip in SLIPS), encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", str(repository / "pyproject.toml"),
         "--cache-dir", str(repository / ".mypy_cache"), "good.py", "slips.py"],
        capture_output=True, text=True, cwd=tmp_path, timeout=240,
    ).stdout  # fmt: skip
    errors = [line for line in told.splitlines() if " error: " in line]
    assert not [line for line in errors if not line.startswith("slips.py:")], told
    for number, (slip, expected) in enumerate(SLIPS.items(), 3):
        assert any(line.startswith(f"slips.py:{number}:") and expected in line for line in errors), (slip, told)


@pytest.mark.parametrize(
    "bench", ["prbm-sim", "nep-sim", "domino-sim", "dyad-emulated", "langevin-sim", "hologram-lab"]
)
def test_modules_of_benches_can_be_imported(bench: str) -> None:
    names: dict[str, object] = {}
    exec(compile(bench_text(load_bench(bench), bench), f"{bench}.py", "exec"), names)
    assert "open_bench" in names


def test_any_name_of_a_bench_or_a_role_gives_a_module(
    labctl: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    device = 'kind = "thermodynamic-computer"\nbackend = "simulated"\n'
    roles = "".join(f"[devices.{role}]\n{device}" for role in ("class", "my-computer", "fine"))
    (tmp_path / "odd.toml").write_text(f'[bench]\nname = "3-odd"\nworld = "thermodynamic"\n{roles}', encoding="utf-8")
    assert labctl("stubs", "odd.toml").status == 0
    text = (tmp_path / "_3_odd_bench.py").read_text(encoding="utf-8")
    compile(text, "odd", "exec")
    assert "class Bench3Odd(Bench)" in text
    assert "    fine: ThermodynamicComputer" in text


def test_what_cannot_be_written_is_said(labctl: Command, tmp_path: Path) -> None:
    for wrong in (["stubs"], ["stubs", "prbm-sim", "--kinds"], ["stubs", "prbm-sim", "--to", "no module.py"]):
        assert labctl(*wrong).status == 2
    assert labctl("stubs", "prbm-sim", "--to", str(tmp_path / "none" / "there.py")).status == 2

"""Kernels on disk: which of them may still be used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HELPER = """
from simulators.physics.compiled import inline

FACTOR = {factor}

@inline
def helper(x):
    return x + {summand}
"""
MIDDLE = """
from helper import FACTOR, helper
from simulators.physics.compiled import kernel

@kernel
def twice(x):
    return FACTOR * helper(x)
"""
OUTER = """
from simulators.physics.compiled import kernel
from middle import twice

@kernel
def outer(x):
    return twice(x)

print(outer(1.0), len(outer.stats.cache_hits))
"""


def _run(folder: Path) -> tuple[float, int]:
    """What the outer kernel gives, and how many kernels came from disk, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])])}
    done = subprocess.run(
        [sys.executable, folder / "outer.py"], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    value, hits = done.stdout.split()
    return float(value), int(hits)


def test_a_kernel_is_compiled_anew_when_what_it_calls_or_takes_from_another_file_has_changed(tmp_path: Path) -> None:
    (tmp_path / "middle.py").write_text(MIDDLE)
    (tmp_path / "outer.py").write_text(OUTER)
    (tmp_path / "helper.py").write_text(HELPER.format(factor=2, summand=1))
    assert _run(tmp_path) == (4.0, 0)
    assert _run(tmp_path) == (4.0, 1)
    (tmp_path / "helper.py").write_text(HELPER.format(factor=3, summand=10))
    assert _run(tmp_path) == (33.0, 0)


TAKES_A_PAIR = """
from simulators.physics.compiled import kernel
from {module} import Pair

@kernel
def outer(pair):
    return pair.first + pair.second

print(outer(Pair(1.0, 2.0)), len(outer.stats.cache_hits))
"""


def test_a_kernel_is_compiled_anew_when_a_type_it_takes_has_moved_to_another_file(tmp_path: Path) -> None:
    pair = "from typing import NamedTuple\n\nclass Pair(NamedTuple):\n    first: float\n    second: float\n"
    (tmp_path / "here.py").write_text(pair)
    (tmp_path / "outer.py").write_text(TAKES_A_PAIR.format(module="here"))
    assert _run(tmp_path) == (3.0, 0)
    assert _run(tmp_path) == (3.0, 1)
    (tmp_path / "here.py").rename(tmp_path / "there.py")
    (tmp_path / "outer.py").write_text(TAKES_A_PAIR.format(module="there"))
    assert _run(tmp_path) == (3.0, 0)


FUSED = """
outer(2.0)
code = "".join({name}.inspect_llvm().values())
print(float("contract" in code), len(outer.stats.cache_hits))
"""
"""Whether sums and products in the machine's code of a kernel may be fused."""


def test_a_kernel_is_compiled_anew_when_it_is_to_be_compiled_in_another_way(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text(
        "from chosen import kernel\n\n@kernel\ndef outer(x):\n    return x * x + x\n" + FUSED.format(name="outer")
    )
    (tmp_path / "chosen.py").write_text("from simulators.physics.compiled import reordering_kernel as kernel\n")
    assert _run(tmp_path) == (1.0, 0)
    assert _run(tmp_path)[1] == 1  # of a kernel from the disk the code is not told
    (tmp_path / "chosen.py").write_text("from simulators.physics.compiled import kernel\n")
    assert _run(tmp_path) == (0.0, 0)


def test_a_kernel_rounds_alike_whoever_calls_it_first(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text(
        "from simulators.physics.compiled import kernel, reordering_kernel\n\n"
        "@kernel\ndef exact(x):\n    return x * x + x\n\n"
        "@reordering_kernel\ndef outer(x):\n    return exact(x)\n" + FUSED.format(name="exact")
    )
    assert _run(tmp_path) == (0.0, 0)

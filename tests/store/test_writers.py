"""Many processes at one store, and processes that are killed while they write."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from samples import dark

from labctl.store import Store

HERE = str(Path(__file__).parent)

_WRITER = """
import sys
sys.path.insert(0, {here!r})
from samples import dark
from labctl.store import Store
store, number, count = Store(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for k in range(count):
    made = store.add(dark(1000.0 * number + k if k % 2 else float(k), bench=f"table-{{k % 2}}"))
    store.use(made, note=f"writer {{number}}")
    assert store.get(made).id == made
    store.list()
"""

_KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
from samples import dark
from labctl.store import Store
import labctl.store.store as module
store = Store(sys.argv[1])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module.os, {at!r}, die)
store.add(dark(200.0))
"""


def start(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def go(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()


def test_writers_do_not_disturb_one_another(tmp_path: Path) -> None:
    path, writers, count = tmp_path / "calibrations", 4, 10
    processes = [start(_WRITER.format(here=HERE), path, n, count) for n in range(writers)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        go(process)
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors.decode()
    store = Store(path)
    # Odd numbers are each writer's own; even ones all of them bring, and they are kept once.
    assert len(store.list()) == writers * count // 2 + count // 2
    assert len(store.uses()) == writers * count
    assert {u.note for u in store.uses()} == {f"writer {n}" for n in range(writers)}
    assert store.damaged() == {}
    assert list((path / "incoming").iterdir()) == []
    last = store.uses("table-1")[-1]
    found = store.in_force("table-1", "camera", "dark")
    assert found is not None
    assert found.id == last.id


@pytest.mark.parametrize("at", ["fsync", "chmod", "replace"])
def test_a_writer_that_is_killed_leaves_no_half_calibration(tmp_path: Path, at: str) -> None:
    store = Store(tmp_path / "calibrations")
    before = store.add(dark(100.0))
    store.use(before)
    killed = start(_KILLED.format(here=HERE, at=at), store.path)
    _, errors = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, errors.decode()
    assert [r.id for r in store.list()] == [before]
    assert store.damaged() == {}
    assert (store.in_force("table-1", "camera", "dark") or dark()).id == before
    again = store.add(dark(200.0))  # who comes next is not hindered
    assert store.get(again)["offset_counts"][0, 0] == 200.0


def test_a_writer_killed_at_any_moment_leaves_whole_files_only(tmp_path: Path) -> None:
    path = tmp_path / "calibrations"
    for n, delay_s in enumerate((0.0, 0.013, 0.05)):
        process = start(_WRITER.format(here=HERE), path, n, 10_000)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        go(process)
        deadline = time.monotonic() + 120
        while not list(path.glob("uses/*.json")) and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(delay_s)
        process.kill()
        process.communicate(timeout=60)
        store = Store(path)
        assert store.damaged() == {}
        assert store.list()
        for record in store.list():
            assert store.get(record.id).id == record.id
        assert store.all_in_force("table-0")

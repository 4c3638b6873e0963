"""The catalogue of runs: it knows what the files say, whatever happens to it, and no run is harmed by it."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import folders
import pytest

from labctl.experiments.recorder import Recorder
from labctl.runfile.catalogue import NAME, Catalogue

_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
_NO_LOCKS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
static int refused(int what) { return what == F_SETLK || what == F_SETLKW || what == F_GETLK; }
#define REPLACED(name) int name(int handle, int what, ...) { \\
    va_list more; va_start(more, what); void *given = va_arg(more, void *); va_end(more); \\
    if (refused(what)) { errno = ENOLCK; return -1; } \\
    return ((int (*)(int, int, ...))dlsym(RTLD_NEXT, #name))(handle, what, given); }
REPLACED(fcntl)
REPLACED(fcntl64)
"""
_RUN_AND_LIST = """
import os, resource, sys; from pathlib import Path
import folders; from labctl.runfile.catalogue import Catalogue
if sys.argv[2]:
    exec(sys.argv[2])
print(len(Catalogue(Path(sys.argv[1])).runs()))
path = folders.run(Path(sys.argv[1]), steps=0)
print(sum(run.file == path.name and run.status == "complete" for run in Catalogue(Path(sys.argv[1])).runs()))
"""


def _rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / NAME)) as connection:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


def _in_another_process(folder: Path, first: str = "", **more: str) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), **more}
    return folders.python(_RUN_AND_LIST, folder, first, env=environment).split()


def test_a_run_is_in_the_catalogue_from_its_beginning_and_as_it_ended(tmp_path: Path) -> None:
    record = Recorder("t.fails", tmp_path, 5)
    (begun,) = Catalogue(tmp_path).runs()
    record.__exit__(ValueError, ValueError("the lamp burnt out"), None)
    (ended,) = Catalogue(tmp_path).runs()
    assert (begun.status, ended.status, ended.why) == ("running", "failed", "ValueError: the lamp burnt out")
    assert (ended.protocol, ended.seed, _rows(tmp_path)) == ("t.fails", 5, 1)


def test_only_files_that_differ_are_read(folder: Path) -> None:
    read: list[int] = []
    assert len(Catalogue(folder).runs(read.append)) == 12
    assert read == []
    next(folder.glob("*.h5")).unlink()
    folders.run(folder)
    os.utime(next(folder.glob("*.h5")), ns=(0, 1))
    assert len(Catalogue(folder).runs(read.append)) == 12
    assert read == [1]


def test_a_lost_catalogue_is_made_again(folder: Path) -> None:
    before = Catalogue(folder).runs()
    (folder / NAME).unlink()
    assert Catalogue(folder).runs() == before
    assert _rows(folder) == 12


def test_whatever_bytes_are_flipped_the_list_is_right_and_the_damage_told(folder: Path) -> None:
    true = Catalogue(folder).runs()
    sound = (folder / NAME).read_bytes()
    draw = random.Random(7)
    told = 0
    for trial in range(30):
        spoilt = bytearray(sound)
        for place in draw.sample(range(len(sound) if trial % 2 else 100), 1 + trial % 20):
            spoilt[place] ^= 1 << draw.randrange(8)
        (folder / NAME).write_bytes(spoilt)
        catalogue = Catalogue(folder)
        assert catalogue.runs() == true, trial
        told += bool(catalogue.messages)
        if catalogue.messages:
            assert _rows(folder) == 12
            (aside,) = folder.glob(f"{NAME}.damaged-*")
            assert aside.read_bytes()[:10_000_000] == bytes(spoilt)
            aside.unlink()
        for journal in ("-wal", "-shm"):
            (folder / f"{NAME}{journal}").unlink(missing_ok=True)
    assert told >= 10


@pytest.mark.parametrize("size", [0, 10, 5000])
def test_a_catalogue_cut_off_or_of_another_kind_is_made_again(folder: Path, size: int) -> None:
    true = Catalogue(folder).runs()
    os.truncate(folder / NAME, size)
    folders.run(folder, seed=99)
    assert [run.seed for run in Catalogue(folder).runs()] == [run.seed for run in true] + [99]
    assert _rows(folder) == 13


def test_a_lock_held_by_another_process_keeps_no_run_and_no_list(folder: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder / NAME)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        folders.run(folder, seed=99)
        assert len(Catalogue(folder).runs()) == 13
    finally:
        holder.communicate()
    assert _rows(folder) < 13
    assert Catalogue(folder).runs()[-1].seed == 99
    assert _rows(folder) == 13


def test_a_folder_whose_locks_do_not_work_is_read_file_by_file(folder: Path, tmp_path: Path) -> None:
    source, library = tmp_path / "nolocks.c", tmp_path / "nolocks.so"
    source.write_text(_NO_LOCKS)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    (folder / NAME).unlink()
    assert _in_another_process(folder, LD_PRELOAD=str(library)) == ["12", "1"]
    assert not (folder / NAME).exists() or _rows(folder) == 0


def test_a_full_disk_keeps_no_run_and_no_list(folder: Path) -> None:
    # No file may become as long as SQLite's shared memory, a run file of these may.
    limit = 30_000
    first = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {resource.RLIM_INFINITY}))"
    assert _in_another_process(folder, first) == ["12", "1"]
    assert len(Catalogue(folder).runs()) == 13


def test_a_folder_that_cannot_be_written_is_listed_from_its_catalogue(folder: Path) -> None:
    Catalogue(folder).runs()
    code = (
        "import os, sys; from pathlib import Path; from labctl.runfile.catalogue import Catalogue\n"
        "if os.getuid() == 0: os.setuid(65534)\n"  # whom modes are no hindrance to becomes nobody
        "read = []; print(len(Catalogue(Path(sys.argv[1])).runs(read.append)), len(read))"
    )
    modes = {
        path: path.stat().st_mode
        for path in (folder, *folder.parents)
        if path.stat().st_uid == os.getuid() and path.name.startswith(("runs", "test_", "pytest-", "popen-"))
    }
    for path, mode in modes.items():
        path.chmod(0o555 if path == folder else mode | 0o055)
    try:
        assert folders.python(code, folder).split() == ["12", "0"]
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_something_else_in_the_place_of_the_catalogue_harms_nothing(folder: Path) -> None:
    (folder / NAME).unlink()
    (folder / NAME).mkdir()
    folders.run(folder)
    assert len(Catalogue(folder).runs()) == 13
    shutil.rmtree(folder / NAME)


def test_two_processes_enter_their_runs_while_a_third_lists(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; import folders; folders.runs(Path(sys.argv[1]), 15)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    writers = [subprocess.Popen([sys.executable, "-c", code, tmp_path], env=environment) for _ in range(2)]
    catalogue = Catalogue(tmp_path)
    while any(writer.poll() is None for writer in writers):
        catalogue.runs()
    assert [writer.returncode for writer in writers] == [0, 0]
    found = catalogue.runs()
    assert sorted(run.seed for run in found) == sorted([*range(15)] * 2)
    assert {run.status for run in found} == {"complete"}
    assert (_rows(tmp_path), catalogue.messages) == (30, [])
    assert found == folders.by_reading(tmp_path)

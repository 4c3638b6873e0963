"""Whatever the umask is, nobody else reads what is secret or writes what is ours; folders of somebody else's are
refused."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import up
from table import write_bench

from drivers.errors import ConfigurationError
from labctl.bus import security
from labctl.client import open_bench
from labctl.private import private_folder, write_private
from labctl.record.session import recording
from labctl.safety import record as interlocks
from labctl.server import logs, runtime

FOLDERS = {
    "LABCTL_RUNTIME": runtime.folder,
    "LABCTL_LOGS": logs.folder,
    "LABCTL_INTERLOCKS": interlocks.folder,
    "LABCTL_KEYS": lambda: security.make("some"),
}


@pytest.fixture
def wide_open() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def everything(folder: Path) -> dict[Path, int]:
    return {path.relative_to(folder): mode(path) for path in folder.rglob("*") if not path.is_symlink()}


@pytest.mark.usefixtures("wide_open")
def test_with_umask_000_a_bench_a_run_and_its_records_are_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    own = Path(os.environ["LABCTL_RUNTIME"]).parent / "made"
    for variable in FOLDERS:
        monkeypatch.setenv(variable, str(own / variable.lower() / "deep"))
    security.make("mine")
    security.allow("mine", str(security.folder() / "mine.key"), "operator")
    bench = write_bench(tmp_path)
    series = ["-m", "labctl", "run", "bench.series", "--bench", str(bench), "--set", "count=2", "camera=camera"]
    with up(str(bench)):
        with open_bench(bench) as table, recording(table, tmp_path / "record"), table.control():
            table.camera.arm()
        done = subprocess.run([sys.executable, *series], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        private = everything(own)
        shared = list(Path("/dev/shm").glob(f"labctl-{os.getuid()}-*"))
        assert {mode(path) for path in shared} == {0o600}
    names = {path.name for path in private}
    assert {"small.host", "mine.key", "mine.key_secret", "allowed.toml"} <= names
    assert any(name.endswith(".jsonl") for name in names)
    assert any(name.endswith(".calls") for name in names)
    assert {path: bits for path, bits in private.items() if bits & 0o077} == {}
    assert mode(own) == 0o700
    assert mode(tmp_path / "record") == 0o600
    made = everything(tmp_path / "runs")
    assert {path.suffix for path in made} >= {".h5", ".sqlite"}
    assert {path: oct(bits) for path, bits in made.items() if bits & 0o002} == {}


def test_a_run_file_that_its_owner_closed_stays_closed_when_it_is_changed(tmp_path: Path) -> None:
    from labctl.runfile import file as runfile

    path, lock = runfile.begin(tmp_path, "t.x")
    with runfile.changing(path) as file:
        file.attrs["labctl_run"] = 1
    path.chmod(0o600)
    with runfile.changing(path) as file:
        file.attrs["more"] = 1
    lock.release()
    assert mode(path) == 0o600


# --- folders of others ----------------------------------------------------------------------------------------------


def somebody_elses(folder: Path) -> Path:
    """A folder that is not this user's; the superuser gives one away, others take one of the superuser's."""
    if os.getuid() != 0:
        return Path("/usr")
    folder.mkdir(mode=0o777)
    os.chown(folder, 54321, -1)
    return folder


@pytest.mark.parametrize("variable", FOLDERS)
def test_a_folder_that_others_can_write_or_have_made_is_refused_with_the_cure(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    below = open_to_all / "mine"
    below.mkdir(mode=0o700)
    given_away = somebody_elses(tmp_path / "theirs")
    for place, why in (
        (open_to_all, r"others can write in it|entered by others"),
        (below, f"others can write in {open_to_all}"),
        (given_away, r"belongs to user"),
    ):
        monkeypatch.setenv(variable, str(place))
        with pytest.raises(ConfigurationError, match=f"(?s)(?:{why}).*set {variable} to a folder of your own"):
            FOLDERS[variable]()


def test_the_runtime_folder_in_tmp_is_refused_if_somebody_else_was_there_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.delenv("LABCTL_RUNTIME")
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    own = shared / f"labctl-{os.getuid()}"
    assert runtime.folder() == own
    assert mode(own) == 0o700
    own.rmdir()
    own.symlink_to(somebody_elses(tmp_path / "theirs"))
    with pytest.raises(ConfigurationError, match=r"belongs to user"):
        runtime.folder()
    own.unlink()
    own.symlink_to(own)
    with pytest.raises(ConfigurationError, match=r"link without end"):
        runtime.folder()
    own.unlink()
    own.write_text("a file")
    with pytest.raises(ConfigurationError, match=r"is no folder"):
        runtime.folder()


def test_a_link_that_somebody_else_has_put_there_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(good)
    assert private_folder(link, "folder", "cure") == link  # one's own link is one's own business
    if os.getuid() == 0:
        os.lchown(link, 54321, -1)
        with pytest.raises(ConfigurationError, match=r"a link that user 54321 has put there; cure"):
            private_folder(link, "folder", "cure")


def test_a_list_of_clients_that_others_can_write_lets_nobody_in() -> None:
    security.allow("x", "0" * 40, "operator")
    path = security.folder() / security.ALLOWED
    assert mode(path) == 0o600
    path.chmod(0o666)
    with pytest.raises(ConfigurationError, match=r"others can write it \(mode 0666\).*chmod 600"):
        security.admitted()


def test_a_private_file_does_not_follow_a_link_and_appears_whole(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_text("precious")
    path.symlink_to(victim)
    write_private(path, b"new")
    assert (victim.read_text(), path.read_bytes(), path.is_symlink()) == ("precious", b"new", False)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []

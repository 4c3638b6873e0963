"""`labctl record` and `replay`: benches in other processes, killed and started again while they are recorded."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import fakes
import pytest
from processes import LABCTL, finish, labctl_process, observer, process, up, wait_until

from drivers.errors import BusError
from labctl import registry
from labctl.bench.client import open_bench
from labctl.record.record import Record


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A bench file of made-up devices, in two servers."""
    fakes.install(tmp_path / "site", monkeypatch)
    yield fakes.write_bench(tmp_path / "lamps.toml", tmp_path / "filament")
    registry._registered.cache_clear()


def _recording(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0 and len(Record(file).server_of) == 4


def _ended(child: object) -> dict[str, object]:
    child.send_signal(signal.SIGINT)  # type: ignore[attr-defined]
    status, out, err = finish(child)  # type: ignore[arg-type]
    assert status == 0, err
    found: dict[str, object] = json.loads(out)
    return found


def _session(bench: Path) -> list[object]:
    with open_bench(bench) as table, table.control("a test", run="first"):
        frame = table.eye.snap(300, 400)
        return [frame.data.tobytes(), table.relay.pass_on([1, 2]), table.lamp.power_w]


def test_a_bench_that_is_up_is_recorded_and_served_back_in_another_folder(bench: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.record"
    with up(bench), labctl_process("record", bench, "--to", file, "--json") as child:
        wait_until(lambda: _recording(file))
        seen = _session(bench)
        told = _ended(child)
    assert told["runs"] == ["first"]
    assert told["ended"] == {"lamps": "closed", "relays": "closed"}
    elsewhere = tmp_path / "desk"
    elsewhere.mkdir()
    moved = file.rename(elsewhere / "s.record")
    with process(*LABCTL, "replay", str(moved), "--json") as replay:
        status, out, err = finish(replay)
    assert status == 0, err
    assert _session(Path(json.loads(out)["bench_file"])) == seen


def test_what_a_killed_server_kept_is_there_and_its_successor_is_recorded(bench: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.record"
    with labctl_process("record", bench, "--to", file, "--json") as child:
        wait_until(lambda: _recording(file))
        _session(bench)
        wait_until(lambda: any(e.name == "snap" for e in Record(file).entries["lamps"]))
        with observer("lamps") as seen:
            before = seen.pids()["lamps"]
            assert before is not None
            os.kill(before, signal.SIGKILL)
            wait_until(lambda: seen.pids()["lamps"] not in (None, before))
        record = Record(file)
        frames = [record.answer(e) for e in record.entries["lamps"] if e.name == "snap"]
        assert len(frames) == 1
        assert frames[0].value["data"].shape == (300, 400)
        wait_until(lambda: sum(bool(told) for told in _states()) == 2)
        _session(bench)
        _ended(child)
    assert sum(e.name == "snap" for e in Record(file).entries["lamps"]) == 2
    assert len(Record(file).runs) == 1


def _states() -> list[object]:
    """What each server records; nothing while one of them is being started."""
    with observer("lamps") as seen:
        try:
            return [state["recording"] for state in seen.states().values()]
        except BusError:
            return []


def test_a_killed_recorder_leaves_the_bench_up_and_a_record_that_is_read(bench: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.record"
    with up(bench), labctl_process("record", bench, "--to", file) as child:
        wait_until(lambda: _recording(file))
        child.kill()
        child.wait()
        wait_until(lambda: [bool(told and told["ended"]) for told in _states()] == [True, True])  # type: ignore[index]
        _session(bench)
    assert "gone" in Record(file).ended["lamps"]


def test_where_no_record_can_be_written_no_bench_is_brought_up(bench: Path, tmp_path: Path) -> None:
    with process(*LABCTL, "record", str(bench), "--to", str(tmp_path / "nowhere" / "a.record")) as recorder:
        status, _, err = finish(recorder)
    assert status == 2
    assert "choose another --to" in err
    assert "is up" not in err

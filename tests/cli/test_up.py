"""A bench served by `labctl up`: found, attached to, protected, and left safe."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from commands import Command
from processes import (
    Served,
    finish,
    labctl_process,
    leftovers,
    observer,
    only_run,
    segments_of,
    up,
    up_in_its_own_folder,
    wait_until,
)

from drivers.errors import BusError
from labctl import open_bench
from labctl.bus import segments
from labctl.client import ROI, open_run
from labctl.server import runtime

GENERATE = ["run", "prbm.generate", "--json", "--seed", "4", "--set", "epochs=2", "--set", "images=1",
            "--set", "iterations=2", "--set", "per_class=20"]  # fmt: skip
SERIES = ("visible", "hidden", "pattern_ids", "exposure_s")


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Served]:
    with up_in_its_own_folder("prbm-sim") as made:
        yield made


@pytest.fixture
def served(shared_server: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A bench that is up, for tests that leave it up."""
    monkeypatch.setenv("LABCTL_RUNTIME", shared_server.folder)
    return shared_server


def steps(folder: Path) -> dict[str, np.ndarray]:
    with open_run(only_run(folder)) as file:
        return {name: file["steps"][name][:] for name in SERIES}


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    for name in SERIES:
        assert np.array_equal(a[name], b[name]), name


# --- the same results -------------------------------------------------------------------------------------------


def test_a_run_gives_the_same_spins_over_ipc_as_in_one_process_and_every_time(
    labctl: Command, tmp_path: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        done = labctl(*GENERATE, "--out", tmp_path / name)
        assert done.status == 0, done.err
    with observer() as looking:
        assert looking.state()["counts"]["handled"] > 20
    with tempfile.TemporaryDirectory(prefix="labctl-test-") as nobody_up:
        monkeypatch.setenv("LABCTL_RUNTIME", nobody_up)
        assert labctl(*GENERATE, "--out", tmp_path / "inproc").status == 0
    assert_same(steps(tmp_path / "inproc"), steps(tmp_path / "first"))
    assert_same(steps(tmp_path / "first"), steps(tmp_path / "second"))


def test_a_run_after_a_session_that_changed_everything_gives_the_same_spins(
    labctl: Command, tmp_path: Path, served: Served
) -> None:
    assert labctl(*GENERATE, "--out", tmp_path / "clean").status == 0
    with open_bench("prbm-sim") as bench, bench.control():
        bench.source.emission = True
        bench.source.power_fraction = 0.1
        bench.source.wavelength_min_m = 500e-9
        bench.source.pulse_picker = 3
        bench.camera.exposure_s = 0.5
        bench.camera.roi = ROI(row=1000, column=1000, rows=2, columns=3)
        bench.slm.settle_s = 0.2
        bench.slm.write(np.ones((10, 10)))
        bench.slit_detector.integration_s = 1.0
        bench.camera.trigger()
    assert labctl(*GENERATE, "--out", tmp_path / "after").status == 0
    assert_same(steps(tmp_path / "clean"), steps(tmp_path / "after"))


def test_servers_of_their_own_give_the_same_spins(labctl: Command, tmp_path: Path, repository: Path) -> None:
    text = (repository / "benches" / "prbm-sim.toml").read_text(encoding="utf-8")
    split = tmp_path / "split.toml"
    split.write_text(
        text
        + '\n[servers.panel]\ndevices = ["slm"]\n'
        + '\n[servers.light]\ndevices = ["source", "power_tap"]\n'
        + '\n[servers.detectors]\ndevices = ["camera", "slit_detector", "sequencer"]\n',
        encoding="utf-8",
    )
    assert labctl(*GENERATE, "--out", tmp_path / "one").status == 0
    assert labctl(*GENERATE, "--bench", split, "--out", tmp_path / "threads").status == 0
    with up(split), observer() as looking:
        pids = looking.pids()
        assert set(pids) == {"world", "directory", "panel", "light", "detectors"}
        done = labctl(*GENERATE, "--bench", split, "--out", tmp_path / "processes")
        assert done.status == 0, done.err
        assert all(state["counts"]["handled"] > 0 for state in looking.states().values())
    assert len(set(pids.values())) == 5
    assert_same(steps(tmp_path / "one"), steps(tmp_path / "threads"))
    assert_same(steps(tmp_path / "one"), steps(tmp_path / "processes"))


# --- being found ------------------------------------------------------------------------------------------------


def test_status_without_a_server_says_how_to_start_one(labctl: Command) -> None:
    done = labctl("status")
    assert done.status == 0
    assert "labctl up" in done.out


def test_status_shows_a_served_bench(labctl: Command, served: Served) -> None:
    (state,) = json.loads(labctl("status", "--json").out)
    assert (state["bench"], state["pid"], state["kind"], state["ready"]) == ("prbm-sim", served.pid, "up", True)
    assert set(state["processes"]) == {"world", "directory", "main"}
    main = state["servers"]["main"]
    assert (main["leases"], main["heard_s"] < 30) == ([], True)
    assert main["devices"]["source"] == {"kind": "supercontinuum", "backend": "simulated", "emission": False}
    shown = labctl("status").out
    assert f"prbm-sim (pid {served.pid})" in shown
    assert "nobody in control" in shown


def test_a_bench_that_is_up_is_not_served_twice(labctl: Command, served: Served) -> None:
    done = labctl("up", "prbm-sim")
    assert done.status == 2
    assert f"up already (pid {served.pid})" in done.err


def test_a_run_with_another_configuration_than_the_server_is_refused(
    labctl: Command, tmp_path: Path, served: Served
) -> None:
    done = labctl(*GENERATE, "--set", "world.seed=8", "--out", tmp_path)
    assert done.status == 2
    assert "another configuration" in done.err


def test_a_run_on_a_bench_that_another_controls_is_refused_with_the_holders_name(
    labctl: Command, tmp_path: Path, served: Served
) -> None:
    with open_bench("prbm-sim") as bench, bench.control("the night run"):
        # The directory hears of it with the server's next heartbeat.
        wait_until(lambda: bench.renew() or "controlled by the night run" in labctl("status").out)
        done = labctl(*GENERATE, "--out", tmp_path)
    assert done.status == 1
    assert "controlled by the night run" in done.err


def test_the_runtime_folder_and_its_files_are_for_the_user_alone(served: Served) -> None:
    folder = Path(served.folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "prbm-sim.host").stat().st_mode) == 0o600
    sockets = [f for f in folder.iterdir() if f.is_socket()]
    assert {f.name.removeprefix(f"prbm-sim-{served.pid}") for f in sockets} == {
        ".directory", ".world", "-main.calls", "-main.control", "-main.stop", "-main.stream"
    }  # fmt: skip
    assert {stat.S_IMODE(f.stat().st_mode) for f in sockets} == {0o600}


def test_a_runtime_folder_that_others_may_enter_is_refused(
    labctl: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setenv("LABCTL_RUNTIME", str(tmp_path))
    done = labctl("status")
    assert done.status == 2
    assert "can be entered by others" in done.err


def test_a_new_runtime_folder_has_mode_0700(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_RUNTIME", str(tmp_path / "new"))
    assert stat.S_IMODE(runtime.folder().stat().st_mode) == 0o700


def test_a_runtime_folder_too_deep_for_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_RUNTIME", str(tmp_path / ("d" * 90)))
    with pytest.raises(BusError, match="too long for a socket"):
        runtime.base_endpoint("prbm-sim")


@pytest.mark.parametrize("kind", ["up", "script"])
def test_the_word_of_a_dead_host_is_swept_away(kind: str) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    record = runtime.HostEntry("prbm-sim", dead.pid, "0" * 16, "x", 0, kind=kind)
    runtime.announce(record)
    (runtime.folder() / f"prbm-sim-{dead.pid}-main.control").touch()
    assert runtime.all_hosts() == []
    assert leftovers() == []


def test_a_supervisor_that_was_killed_takes_everything_with_it_and_a_new_one_can_start() -> None:
    with up("prbm-sim") as server:
        with observer() as looking:
            pids = looking.pids()
        assert set(pids) == {"world", "directory", "main"}
        server.kill()
        server.wait()
        wait_until(lambda: not any(segments.process_alive(pid) for pid in pids.values() if pid))
    assert (leftovers(), segments_of(pids.values())) == ([], [])
    with up("prbm-sim") as second:
        found = runtime.find("prbm-sim")
        assert found is not None
        assert found.pid == second.pid


@pytest.mark.parametrize("content", [b"", b"{", b'{"bench": 1}', b"\xff"], ids=repr)
def test_a_record_that_cannot_be_read_counts_as_none(content: bytes) -> None:
    (runtime.folder() / "prbm-sim.host").write_bytes(content)
    assert runtime.all_hosts() == []


def test_a_directory_that_hangs_is_reported_by_status_and_passed_by_an_emergency_stop(labctl: Command) -> None:
    with up("prbm-sim"), observer() as looking:
        directory = looking.pids()["directory"]
        assert directory is not None
        os.kill(directory, signal.SIGSTOP)
        try:
            (state,) = json.loads(labctl("status", "--json").out)
            assert "no answer" in state["error"] or "nobody listens" in state["error"]
            assert labctl("stop").status == 0
        finally:
            os.kill(directory, signal.SIGCONT)


# --- the end of a server ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
def test_a_server_that_is_told_to_end_goes_in_order(number: signal.Signals) -> None:
    with up("prbm-sim") as server:
        with observer() as looking:
            pids = [server.pid, *looking.pids().values()]
        server.send_signal(number)
        code, _, err = finish(server)
    assert code == 130
    assert "every device was made safe" in err
    assert "Traceback" not in err
    assert (leftovers(), segments_of(pids)) == ([], [])


@pytest.mark.parametrize("victim", ["supervisor", "main", "world"])
def test_a_process_that_is_killed_ends_the_run_with_an_error(labctl: Command, tmp_path: Path, victim: str) -> None:
    with up("prbm-sim") as server:

        def kill() -> None:
            with observer() as looking, contextlib.suppress(BusError):
                pid = looking.pids().get(victim)
                wait_until(lambda: looking.state()["counts"]["handled"] > 60)
                os.kill(pid or server.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        done = labctl(*GENERATE, "--set", "images=2000", "--out", tmp_path)
        killer.join()
        with open_run(only_run(tmp_path)) as file:
            told = file.attrs["status"]
    assert (done.status, done.out) == (1, "")
    assert "Traceback" not in done.err
    # The first to tell may be the sequence that was stopped when everything was made safe.
    stopped = told.startswith("failed: DeviceError") and "stopped by safe()" in told
    assert stopped or told.startswith(("failed: BusError", "failed: LeaseError")), told


# --- the end of a run -------------------------------------------------------------------------------------------


def test_ctrl_c_leaves_the_bench_safe_and_the_run_readable(tmp_path: Path, served: Served) -> None:
    with observer() as looking:
        lapsed = looking.state()["lapsed"]
    with labctl_process(*GENERATE, "--set", "images=2000", "--out", tmp_path) as run:
        _wait_for_steps(tmp_path)
        run.send_signal(signal.SIGINT)
        code, out, err = finish(run)
        assert (code, out) == (130, "")
        assert "every device that it controlled was made safe" in err
        with observer() as looking:
            state = looking.state()
            assert state["devices"]["source"]["emission"] is False
            assert (state["leases"], state["lapsed"]) == ([], lapsed)
    with open_run(only_run(tmp_path)) as file:
        assert file.attrs["status"].strip() == "interrupted"
        assert len(file["steps/visible"]) >= 2
        assert len({len(series) for series in file["steps"].values()}) == 1


def test_a_run_that_is_killed_keeps_every_flushed_step(tmp_path: Path, served: Served) -> None:
    with observer() as looking:
        lapsed = looking.state()["lapsed"]
    with labctl_process(*GENERATE, "--set", "images=2000", "--out", tmp_path) as run:
        seen = _wait_for_steps(tmp_path)
        run.kill()
        run.wait()
        with open_run(only_run(tmp_path)) as file:
            assert file.attrs["status"].strip() == "running"
            assert min(len(series) for series in file["steps"].values()) >= seen
            assert set(np.unique(file["steps/visible"][:seen])) <= {-1, 1}
        with observer() as looking:
            wait_until(lambda: looking.emission() is False and looking.state()["lapsed"] > lapsed)
            assert looking.state()["lapsed"] == lapsed + 1


def test_a_run_that_is_killed_before_its_first_step_is_readable(tmp_path: Path) -> None:
    with labctl_process(*GENERATE, "--set", "epochs=100000", "--out", tmp_path) as run:
        wait_until(lambda: any(tmp_path.glob("*.h5")) and _has(only_run(tmp_path), "setup/parameters"))
        run.kill()
        run.wait()
    with open_run(only_run(tmp_path)) as file:
        assert "prbm-sim" in file["setup/bench_file"].asstr()[()]


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    with labctl_process("figure", "--list") as child:
        assert child.stdout is not None
        child.stdout.close()
        child.stdout = None
        code = child.wait(60)
        assert child.stderr is not None
        assert (code, child.stderr.read()) == (0, "")


def _has(path: Path, name: str) -> bool:
    try:
        with h5py.File(path, "r", locking=False) as file:
            return name in file
    except OSError:
        return False


def _wait_for_steps(folder: Path, count: int = 2) -> int:
    """Steps that a reader beside the run sees, at least ``count``."""
    seen = 0

    def enough() -> bool:
        nonlocal seen
        try:
            with h5py.File(only_run(folder), "r", libver="latest", swmr=True, locking=False) as file:
                seen = min((len(series) for series in file["steps"].values()), default=0)
        except (OSError, ValueError, KeyError, RuntimeError):
            return False  # not there yet, or just being opened by the run
        return seen >= count

    wait_until(enough)
    return seen

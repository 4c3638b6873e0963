"""A bench served by `labctl up`: found, attached to, protected, and left safe."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Command
from processes import Observer, finish, labctl_process, leftovers, observer, only_run, script, up, wait_until

from drivers.errors import BusError
from labctl import open_bench
from labctl.client import ROI, open_run
from labctl.server import runtime

GENERATE = ["run", "prbm.generate", "--json", "--seed", "4", "--set", "epochs=2", "--set", "images=1",
            "--set", "iterations=2", "--set", "per_class=20"]  # fmt: skip
SERIES = ("visible", "hidden", "pattern_ids", "exposure_s")

EMITTER = """
import time
from labctl import open_bench
with open_bench("prbm-sim") as bench, bench.control("emitter"):
    bench.source.emission = True
    print("on", flush=True)
    while True:
        bench.renew()
        time.sleep(0.02)
"""


def steps(folder: Path) -> dict[str, np.ndarray]:
    with open_run(only_run(folder)) as file:
        return {name: file["steps"][name][:] for name in SERIES}


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    for name in SERIES:
        assert np.array_equal(a[name], b[name]), name


# --- the same results -------------------------------------------------------------------------------------------


def test_a_run_gives_the_same_spins_over_ipc_as_in_one_process_and_every_time(labctl: Command, tmp_path: Path) -> None:
    assert labctl(*GENERATE, "--out", tmp_path / "inproc").status == 0
    with up("prbm-sim"):
        for name in ("first", "second"):
            done = labctl(*GENERATE, "--out", tmp_path / name)
            assert done.status == 0, done.err
        with observer() as looking:
            assert looking.state()["servers"]["main"]["handled"] > 20
    assert_same(steps(tmp_path / "inproc"), steps(tmp_path / "first"))
    assert_same(steps(tmp_path / "first"), steps(tmp_path / "second"))


def test_a_run_after_a_session_that_changed_everything_gives_the_same_spins(labctl: Command, tmp_path: Path) -> None:
    with up("prbm-sim"):
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


def test_servers_of_their_own_for_slm_and_camera_give_the_same_spins(
    labctl: Command, tmp_path: Path, repository: Path
) -> None:
    text = (repository / "benches" / "prbm-sim.toml").read_text(encoding="utf-8")
    split = tmp_path / "split.toml"
    split.write_text(
        text
        + '\n[servers.light]\ndevices = ["slm", "source", "power_tap"]\n'
        + '[servers.detectors]\ndevices = ["camera", "slit_detector", "sequencer"]\n',
        encoding="utf-8",
    )
    assert labctl(*GENERATE, "--out", tmp_path / "one").status == 0
    done = labctl(*GENERATE, "--bench", split, "--out", tmp_path / "two")
    assert done.status == 0, done.err
    assert_same(steps(tmp_path / "one"), steps(tmp_path / "two"))


# --- being found ------------------------------------------------------------------------------------------------


def test_status_without_a_server_says_how_to_start_one(labctl: Command) -> None:
    done = labctl("status")
    assert done.status == 0
    assert "labctl up" in done.out


def test_a_served_bench_is_shown_attached_to_and_guarded(labctl: Command, tmp_path: Path) -> None:
    """One server for several questions, since each costs a process."""
    with up("prbm-sim") as server:
        (state,) = json.loads(labctl("status", "--json").out)
        assert (state["bench"], state["pid"], state["lease"]) == ("prbm-sim", server.pid, None)
        assert state["devices"]["source"] == {
            "kind": "supercontinuum", "backend": "simulated", "server": "main", "emission": False
        }  # fmt: skip

        shown = labctl("status").out
        assert f"prbm-sim (pid {server.pid})" in shown
        assert "nobody in control" in shown

        twice = labctl("up", "prbm-sim")
        assert twice.status == 2
        assert f"up already (pid {server.pid})" in twice.err

        other = labctl("run", "prbm.generate", "--set", "world.seed=8", "--out", tmp_path)
        assert other.status == 2
        assert "another configuration" in other.err

        with open_bench("prbm-sim") as bench, bench.control("the night run"):
            assert "controlled by the night run" in labctl("status").out
            refused = labctl(*GENERATE, "--out", tmp_path)
            assert refused.status == 1
            assert "controlled by the night run" in refused.err


def test_the_runtime_folder_and_its_files_are_for_the_user_alone() -> None:
    with up("prbm-sim"):
        folder = Path(os.environ["LABCTL_RUNTIME"])
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "prbm-sim.host").stat().st_mode) == 0o600
        assert len([f for f in folder.iterdir() if f.is_socket()]) == 2


def test_a_runtime_folder_that_others_may_enter_is_refused(
    labctl: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setenv("LABCTL_RUNTIME", str(tmp_path))
    done = labctl("status")
    assert done.status == 1
    assert "can be entered by others" in done.err


def test_a_new_runtime_folder_has_mode_0700(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_RUNTIME", str(tmp_path / "new"))
    assert stat.S_IMODE(runtime.folder().stat().st_mode) == 0o700


def test_a_runtime_folder_too_deep_for_a_socket_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_RUNTIME", str(tmp_path / ("d" * 90)))
    with pytest.raises(BusError, match="too long for a socket"):
        runtime.base_endpoint("prbm-sim")


def test_the_word_of_a_dead_host_is_swept_away() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    record = runtime.HostRecord("prbm-sim", dead.pid, "ipc:///nowhere", "0" * 16, "x", 0)
    runtime.announce(record)
    (runtime.folder() / f"prbm-sim-{dead.pid}.control").touch()
    assert runtime.find("prbm-sim") is None
    assert leftovers() == []


def test_a_host_that_was_killed_is_swept_away_and_a_new_one_can_start() -> None:
    with up("prbm-sim") as server:
        server.kill()
        server.wait()
        assert len(leftovers()) == 3
    with up("prbm-sim") as second:
        found = runtime.find("prbm-sim")
        assert found is not None
        assert found.pid == second.pid


@pytest.mark.parametrize("content", [b"", b"{", b'{"bench": 1}', b"\xff"], ids=repr)
def test_a_record_that_cannot_be_read_counts_as_none(content: bytes) -> None:
    (runtime.folder() / "prbm-sim.host").write_bytes(content)
    assert runtime.all_hosts() == []


def test_a_host_that_hangs_is_reported_by_status(labctl: Command) -> None:
    with up("prbm-sim") as server:
        server.send_signal(signal.SIGSTOP)
        (state,) = json.loads(labctl("status", "--json").out)
        server.send_signal(signal.SIGCONT)
    assert "no answer" in state["error"]


# --- the end of a server ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
def test_a_server_that_is_told_to_end_goes_in_order(number: signal.Signals) -> None:
    with up("prbm-sim") as server, script(EMITTER) as client:
        wait_until(lambda: leftovers() != [])
        with observer() as looking:
            wait_until(lambda: looking.emission() is True)
        server.send_signal(number)
        code, _, err = finish(server)
        assert code == 130
        assert "every device was made safe" in err
        assert "Traceback" not in err
        assert leftovers() == []
        code, _, err = finish(client)
        assert code == 1
        assert "BusError" in err


def test_a_server_that_is_killed_ends_the_run_with_an_error(tmp_path: Path) -> None:
    with up("prbm-sim") as server, labctl_process(*GENERATE, "--set", "images=2000", "--out", tmp_path) as run:
        _wait_for_steps(tmp_path)
        server.kill()
        code, out, err = finish(run)
    assert (code, out) == (1, "")
    assert "labctl up" in err or "no answer" in err
    assert "Traceback" not in err
    with open_run(only_run(tmp_path)) as file:
        assert file.attrs["status"].startswith("failed: BusError")


# --- the end of a run -------------------------------------------------------------------------------------------


def test_ctrl_c_leaves_the_bench_safe_and_the_run_readable(tmp_path: Path) -> None:
    with up("prbm-sim"), labctl_process(*GENERATE, "--set", "images=2000", "--out", tmp_path) as run:
        _wait_for_steps(tmp_path)
        run.send_signal(signal.SIGINT)
        code, out, err = finish(run)
        assert (code, out) == (130, "")
        assert "every device was made safe" in err
        with observer() as looking:
            state = looking.state()
            assert state["devices"]["source"]["emission"] is False
            assert (state["lease"], state["lapsed"]) == (None, 0)
    with open_run(only_run(tmp_path)) as file:
        assert file.attrs["status"].strip() == "interrupted"
        assert len(file["steps/visible"]) >= 2
        assert len({len(series) for series in file["steps"].values()}) == 1


def test_a_run_that_is_killed_keeps_every_flushed_step(tmp_path: Path) -> None:
    with up("prbm-sim"), labctl_process(*GENERATE, "--set", "images=2000", "--out", tmp_path) as run:
        seen = _wait_for_steps(tmp_path)
        run.kill()
        run.wait()
        with open_run(only_run(tmp_path)) as file:
            assert file.attrs["status"].strip() == "running"
            assert min(len(series) for series in file["steps"].values()) >= seen
            assert set(np.unique(file["steps/visible"][:seen])) <= {-1, 1}
        with observer() as looking:
            wait_until(lambda: looking.emission() is False)
            assert looking.state()["lapsed"] == 1


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
            with h5py.File(only_run(folder), "r", libver="latest", swmr=True) as file:
                seen = min((len(series) for series in file["steps"].values()), default=0)
        except (OSError, ValueError, KeyError, RuntimeError):
            return False  # not there yet, or just being opened by the run
        return seen >= count

    wait_until(enough)
    return seen


__all__ = ["Observer"]

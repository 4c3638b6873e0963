"""A bench of made-up devices in processes of its own: whoever dies, the light goes off and the bench comes back.

The lamp's light is looked at from outside, in its file.
"""

# ruff: noqa: PT012 - leases are lost inside of `with bench.control():`, which is told of it too

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zmq
from fakes import Filament, install, pixels, write_bench
from processes import (
    LABCTL,
    Observer,
    Served,
    finish,
    labctl_process,
    leftovers,
    next_line,
    observer,
    script,
    segments_of,
    up,
    wait_until,
)

from drivers.errors import BusError, LabError, LeaseError
from labctl import open_bench, registry
from labctl.bench.load import load_bench
from labctl.bus import segments
from labctl.server import runtime
from labctl.server.emergency import stop_benches, within_script

EMITTER = """
import sys, time
from labctl import open_bench
with open_bench(sys.argv[1]) as bench, bench.control("emitter"):
    bench.lamp.emission = True
    print("on", flush=True)
    while True:
        bench.renew()
        time.sleep(0.02)
"""


@dataclass(frozen=True)
class Site:
    """A bench file and what its lamp does."""

    bench: Path
    filament: Filament


@pytest.fixture(scope="module", autouse=True)
def _made_up_devices_are_installed() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        install(Path(folder), patch)
        yield
    registry._registered.cache_clear()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    record = tmp_path / "filament"
    return Site(write_bench(tmp_path / "lamps.toml", record), Filament(record))


@pytest.fixture(scope="module")
def shared(_made_up_devices_are_installed: None) -> Iterator[tuple[Served, Site]]:
    with tempfile.TemporaryDirectory(prefix="labctl-test-") as folder, pytest.MonkeyPatch.context() as patch:
        for variable in ("LABCTL_RUNTIME", "LABCTL_LOGS"):
            patch.setenv(variable, folder + "/" + variable)
        record = Path(folder, "filament")
        made = Site(write_bench(Path(folder, "lamps.toml"), record), Filament(record))
        with up(made.bench) as child:
            yield Served(child.pid, folder), made


@pytest.fixture
def served(shared: tuple[Served, Site], monkeypatch: pytest.MonkeyPatch) -> Site:
    """A bench that is up, for tests that leave it up."""
    for variable in ("LABCTL_RUNTIME", "LABCTL_LOGS"):
        monkeypatch.setenv(variable, shared[0].folder + "/" + variable)
    return shared[1]


def labctl_now(*arguments: object) -> tuple[int, str, str]:
    """A command from another terminal."""
    with labctl_process(*arguments) as child:
        return finish(child)


def lit_emitter(site: Site) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """A client in a process of its own that has the light on."""

    @contextlib.contextmanager
    def lit() -> Iterator[subprocess.Popen[str]]:
        with script(EMITTER, str(site.bench)) as client:
            assert next_line(client) == "on"
            assert site.filament.on
            yield client

    return lit()


def kill(looking: Observer, name: str) -> int:
    """SIGKILL for a process of the bench."""
    pid = looking.pids()[name]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_until_back(looking: Observer, name: str, killed: int) -> None:
    def back() -> bool:
        try:
            state = looking.directory()
        except BusError:
            return False
        told = state["processes"].get(name)
        every = state["processes"].values()
        return bool(told and told["pid"] not in (None, killed) and all(p["ready"] for p in every))

    wait_until(back, poll_s=0.05)


def all_pids(looking: Observer) -> set[int]:
    return {pid for pid in looking.pids().values() if pid is not None}


# --- the same bench, further away -------------------------------------------------------------------------------


def test_frames_cross_processes_intact(served: Site) -> None:
    with open_bench(served.bench) as bench:
        kept = [bench.eye.snap(300, 400) for _ in range(12)]  # more than there are slots
        for frame in kept:
            np.testing.assert_array_equal(frame.data, pixels(frame.frame_id, 300, 400))
        drawn = bench.lamp.allocate((300, 400), np.float64)
        drawn[...] = np.random.default_rng(3).random((300, 400))
        np.testing.assert_array_equal(bench.relay.pass_on(drawn), drawn)


def test_a_stream_of_another_process_is_intact(served: Site) -> None:
    with open_bench(served.bench) as bench, bench.eye.stream(timeout_s=20) as stream:
        wait_until(lambda: bench.eye.snap(300, 400) and stream._socket.poll(20))
        for _ in range(30):
            bench.eye.snap(300, 400)
            item = stream.next()
            np.testing.assert_array_equal(item.value.data, pixels(item.value.frame_id, 300, 400))


def test_slots_held_by_a_client_that_was_killed_are_free_again(served: Site) -> None:
    hoarder = """
import sys
from labctl import open_bench
with open_bench(sys.argv[1]) as bench:
    kept = [bench.eye.snap(600, 700) for _ in range(20)]
    print("full", flush=True)
    sys.stdin.read()
"""
    with observer("lamps") as looking:

        def refused() -> int:
            return int(looking.states()["lamps"]["without_shared_memory"])

        with script(hoarder, str(served.bench)) as client:
            assert next_line(client) == "full"
            full = refused()
            assert full > 0
            client.kill()
            client.wait()
        with open_bench(served.bench) as bench:
            before = refused()  # asking for the state takes back what dead clients hold
            frames = [bench.eye.snap(600, 700) for _ in range(3)]
            assert refused() == before
        assert len(frames) == 3


def test_each_server_is_a_process_and_the_directory_hears_from_it(served: Site) -> None:
    with observer("lamps") as looking:
        state = looking.directory()
        assert set(state["processes"]) == {"directory", "lamps", "relays"}
        assert len({told["pid"] for told in state["processes"].values()}) == 3
        for name, server in state["servers"].items():
            assert server["pid"] == state["processes"][name]["pid"]
            assert server["heard_s"] < 30
        assert set(state["servers"]["lamps"]["devices"]) == {"lamp", "spare", "eye"}


# --- emergency stop ---------------------------------------------------------------------------------------------


def test_an_emergency_stop_from_another_process_turns_the_light_off_and_gives_its_reason(served: Site) -> None:
    with lit_emitter(served) as client:
        code, out, _ = labctl_now("stop", "lamps", "--reason", "smoke", "--json")
        assert not served.filament.on
        assert code == 0
        (servers,) = json.loads(out).values()
        assert set(servers) == {"lamps", "relays"}
        assert all(isinstance(seconds, float) for seconds in servers.values())
        code, _, err = finish(client)
        assert code == 1
        assert "LeaseError" in err
        assert "(smoke)" in err
    with open_bench(served.bench) as bench, bench.control():  # the bench stays up
        bench.lamp.emission = True
        assert served.filament.on
    assert not served.filament.on


def test_an_emergency_stop_reaches_a_bench_within_a_script(site: Site) -> None:
    with lit_emitter(site) as client:
        (state,) = json.loads(labctl_now("status", "--json")[1])
        assert (state["kind"], state["pid"], state["bench"]) == ("script", client.pid, "lamps")
        (lease,) = state["servers"]["lamps"]["leases"]
        assert lease["holder"].startswith("emitter")
        code, out, _ = labctl_now("stop", "--reason", "smell")
        assert not site.filament.on
        assert code == 0
        assert "safe after" in out
        code, _, err = finish(client)
        assert code == 1
        assert "(smell)" in err
    assert (leftovers(), segments_of([client.pid])) == ([], [])


def test_an_emergency_stop_goes_to_all_benches_at_once() -> None:
    both = threading.Barrier(2, timeout=1.5)  # each bench is dark when the other one has been told, too

    def emergency(reason: str) -> None:
        both.wait()

    with zmq.Context() as context, contextlib.ExitStack() as stack:
        for name in ("one", "two"):
            config = SimpleNamespace(name=name, fingerprint="", path=name)
            host = SimpleNamespace(emergency=emergency)
            stack.enter_context(within_script(config, host, context))  # type: ignore[arg-type]
        told = stop_benches()
    assert len(told) == 2
    assert all(isinstance(took, float) for servers in told.values() for took in servers.values()), told


def test_an_emergency_stop_with_nobody_there_is_bad_input() -> None:
    code, _, err = labctl_now("stop")
    assert code == 2
    assert "no bench is up" in err


def test_a_bench_within_a_script_does_not_keep_another_from_coming_up(site: Site) -> None:
    with lit_emitter(site) as client:
        (record,) = runtime.all_hosts()
        assert (record.kind, runtime.find("lamps")) == ("script", None)
        client.send_signal(signal.SIGINT)
        client.wait(60)
    assert not site.filament.on
    assert leftovers() == []


# --- logs -------------------------------------------------------------------------------------------------------


def test_log_lines_carry_device_and_run(served: Site) -> None:
    with open_bench(served.bench) as bench, bench.control("logged", run="2026-042"):
        bench.lamp.emission = True
    assert labctl_now("logs", "lmaps")[2].endswith("there are logs of lamps\n")
    code, out, _ = labctl_now("logs", "lamps", "--json", "--device", "lamp", "--run", "2026-042")
    assert code == 0
    (line,) = [json.loads(text) for text in out.splitlines()]
    assert (line["device"], line["run"], line["process"], line["bench"]) == ("lamp", "2026-042", "lamps", "lamps")
    assert "lamp.emission = True" in line["message"]
    _, readable, _ = labctl_now("logs", "lamps", "--run", "2026-042")
    assert "logged" in readable
    assert "run 2026-042" in readable


# --- deaths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["lamps", "relays", "directory"])
def test_when_a_process_dies_the_light_goes_off_the_client_is_told_and_the_bench_comes_back(
    site: Site, victim: str
) -> None:
    with up(site.bench) as server, observer("lamps") as looking:
        pids = all_pids(looking)
        with open_bench(site.bench) as bench:
            with pytest.raises(LabError) as caught, bench.control("test"):
                bench.lamp.emission = True
                assert site.filament.on
                killed = kill(looking, victim)
                _work_until_told(bench)
            assert isinstance(caught.value, (BusError, LeaseError))
            # Whoever dies last hears why from the others, or finds the dead one silent.
            told = rf"{victim} died \(signal 9\): every device was made safe|-{victim}\.(calls|control)|started again"
            assert re.search(told, str(caught.value)), caught.value
            wait_until(lambda: not site.filament.on)
            wait_until_back(looking, victim, killed)
        deaths = {name: told["deaths"] for name, told in looking.directory()["processes"].items()}
        assert deaths == dict.fromkeys(("lamps", "relays", "directory"), 0) | {victim: 1}
        with open_bench(site.bench) as bench, bench.control("next"):
            bench.lamp.emission = True
            assert site.filament.on
            assert bench.relay.pass_on(3) == 3
        pids |= all_pids(looking)
        server.send_signal(signal.SIGTERM)
        finish(server)
    assert (leftovers(), segments_of([*pids, server.pid])) == ([], [])


def _work_until_told(bench: Any) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        bench.renew()
        bench.lamp.look()
        time.sleep(0.01)


def test_when_the_world_dies_the_light_goes_off_and_everything_on_it_begins_anew(tmp_path: Path) -> None:
    record = tmp_path / "filament"
    site = Site(write_bench(tmp_path / "lamps.toml", record, world=True), Filament(record))
    with up(site.bench) as server, observer("lamps") as looking:
        before = looking.pids()
        assert set(before) == {"world", "directory", "lamps", "relays", "panels"}
        with open_bench(site.bench) as bench:
            with pytest.raises(LabError) as caught, bench.control("test"):
                bench.lamp.emission = True
                bench.slm.write(np.ones((4, 4)))
                killed = kill(looking, "world")
                _work_until_told(bench)
            assert isinstance(caught.value, (BusError, LeaseError))
            wait_until(lambda: not site.filament.on)
            wait_until_back(looking, "world", killed)
        after = looking.pids()
        assert {name for name in before if before[name] != after[name]} == {"world", "lamps", "relays", "panels"}
        with open_bench(site.bench) as bench, bench.control("next"):
            bench.slm.write(np.ones((4, 4)))
            bench.lamp.emission = True
            assert site.filament.on
        server.send_signal(signal.SIGTERM)
        finish(server)
    assert not site.filament.on
    assert (leftovers(), segments_of([*before.values(), *after.values(), server.pid])) == ([], [])


def test_when_the_supervisor_dies_everything_ends_in_the_dark(site: Site) -> None:
    with up(site.bench) as server, observer("lamps") as looking:
        pids = all_pids(looking)
        with lit_emitter(site) as client:
            server.kill()
            server.wait()
            wait_until(lambda: not site.filament.on)
            code, _, err = finish(client)
            assert code == 1
            assert "BusError" in err or "LeaseError" in err
        wait_until(lambda: not any(segments.process_alive(pid) for pid in pids))
    wait_until(lambda: (leftovers(), segments_of([*pids, server.pid, client.pid])) == ([], []), timeout_s=20)


def test_a_call_under_way_when_its_server_dies_fails_and_says_that_its_fate_is_unknown(tmp_path: Path) -> None:
    record = tmp_path / "filament"
    site = Site(write_bench(tmp_path / "lamps.toml", record, lease_s=2.0), Filament(record))
    with up(site.bench), observer("lamps") as looking, open_bench(site.bench) as bench:
        pending = bench.lamp.slow.submit(100.0)
        time.sleep(0.2)
        kill(looking, "lamps")
        with pytest.raises(BusError, match=r"is not known|nobody listens|no answer"):
            pending.result()


def test_a_process_that_dies_again_and_again_is_started_after_longer_and_longer(site: Site) -> None:
    with up(site.bench), observer("lamps") as looking:
        for _ in range(3):
            wait_until_back(looking, "relays", kill(looking, "relays"))
        lines = [
            json.loads(text)
            for text in labctl_now("logs", "lamps", "--json", "--process", "supervisor")[1].splitlines()
        ]
        told = [line["message"].rpartition("again in ")[2] for line in lines if "relays died" in line["message"]]
        waits_s = [float(text.removesuffix(" s")) for text in told]
        assert len(waits_s) == 3
        assert waits_s == sorted(waits_s)
        assert waits_s[0] < waits_s[-1]


def test_a_server_that_is_started_again_takes_the_bench_file_as_it_was(site: Site) -> None:
    config = load_bench(site.bench)
    with up(site.bench), observer("lamps") as looking:
        site.bench.write_text(site.bench.read_text().replace('power = "2 W"', 'power = "3 W"'), encoding="utf-8")
        wait_until_back(looking, "lamps", kill(looking, "lamps"))
        with open_bench(config) as bench:
            assert bench.lamp.power_w == 2.0
            with bench.control():
                assert bench.lamp.power_w == 2.0


# --- beginning and end ------------------------------------------------------------------------------------------


def test_servers_wait_for_a_directory_that_starts_more_slowly(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found under load: a server that was first gave up, and the bench with it."""
    slow = site.bench.parent / "slow"
    slow.mkdir()
    (slow / "sitecustomize.py").write_text(
        "import atexit, threading\n"
        "import labctl.server.directory as directory\n"
        "start = directory.Directory.start\n"
        "def late(self):\n"
        "    import time\n"
        "    time.sleep(2.0)\n"
        "    start(self)\n"
        "directory.Directory.start = late\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(slow), os.environ["PYTHONPATH"]]))
    with up(site.bench):
        assert set(runtime.all_hosts()[0].emergency) == {"lamps", "relays"}


def test_a_directory_that_was_just_started_again_tells_of_the_whole_bench(site: Site) -> None:
    """Also before every server has been heard of again."""
    with up(site.bench), observer("lamps") as looking:
        before = {name: told["pid"] for name, told in looking.directory()["processes"].items()}
        kill(looking, "directory")
        with open_bench(site.bench) as bench:
            assert set(bench.devices) == {"lamp", "spare", "eye", "relay"}
        assert before["directory"]


def test_of_several_started_at_the_same_moment_exactly_one_comes_up(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(labctl_process("up", site.bench)) for _ in range(3)]
        wait_until(lambda: sum(c.poll() is not None for c in children) == 2)
        losers = [c for c in children if c.poll() is not None]
        (winner,) = [c for c in children if c not in losers]
        assert "is up" in next_line(winner)
        for loser in losers:
            code, out, err = finish(loser)
            assert (code, out) == (2, "")
            assert f"is up already (pid {winner.pid})" in err
        with open_bench(site.bench) as bench:
            assert bench.lamp.look() == 42
        winner.send_signal(signal.SIGINT)
        assert finish(winner)[0] == 130
    assert (leftovers(), segments_of([c.pid for c in children])) == ([], [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda s: s.name)
def test_a_bench_taken_down_takes_the_light_with_it_and_its_client_is_told(site: Site, number: signal.Signals) -> None:
    with up(site.bench) as server:
        with observer("lamps") as looking:
            pids = all_pids(looking)
        with lit_emitter(site) as client:
            server.send_signal(number)
            code, _, _ = finish(server)
            assert not site.filament.on
            assert code == 130
            code, _, err = finish(client)
            assert code == 1
            assert "BusError" in err or "the bench is being taken down" in err
    assert (leftovers(), segments_of([*pids, server.pid, client.pid])) == ([], [])


def test_a_bench_that_cannot_start_says_why_and_leaves_nothing(site: Site) -> None:
    text = site.bench.read_text(encoding="utf-8").replace(str(site.bench.parent / "filament"), "/nowhere/at/all")
    site.bench.write_text(text, encoding="utf-8")
    done = subprocess.run([*LABCTL, "up", str(site.bench)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "labctl: lamps: FileNotFoundError" in done.stderr
    assert "Fatal" not in done.stderr
    assert leftovers() == []
    (line,) = [json.loads(text) for text in labctl_now("logs", "lamps", "--json", "--process", "lamps")[1].splitlines()]
    assert "FileNotFoundError" in line["error"]

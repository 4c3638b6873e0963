"""The file of a record: bounded, whole up to the last block, without secrets; and what ends it ends no session."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import NoReturn

import fakes
import numpy as np
import pytest
from fakes import wait_until
from recording_fixtures import Recorded, Replays

from drivers.errors import BusError, ConfigurationError
from labctl.bus.messages import VERSION, Request
from labctl.bus.roles import Caller, Role
from labctl.record.blocks import read_body, read_heads
from labctl.record.record import Record
from labctl.record.session import recording


def everything(file: Path) -> bytes:
    """All that is in a record, unpacked."""
    parts = []
    for head, body in read_heads(file):
        parts.append(repr((head.server, head.about, head.ended)).encode())
        for entry in head.entries:
            parts += [entry.asked, entry.answer, f"{entry.lane} {entry.verb} {entry.name}".encode()]
        parts.append(read_body(file, body))
    return b"\n".join(parts)


def test_no_token_and_no_client_s_name_is_in_it(recorded: Recorded, file: Path) -> None:
    secret: list[bytes] = []
    with recorded(fakes.bench_config(servers=fakes.TWO_SERVERS)) as (lab, bench):
        with bench.control("a test", run="the run"):
            secret.append(bench._lease.token.encode())
            bench.relay.pass_on("something seen")
            bench.renew()
            server = bench.servers["a"]
            for verb in ("renew-where", "cancel"):
                server.control.request("", verb, arguments=[server.calls.side.session, 1])
        bench.status()
        bench.stop()
        for server in bench.servers.values():
            secret += [c.side.session.encode() for c in (server.calls, server.control, server.stop)]
        reaches = lab.host._neighbours._reaches.values()
        secret += [r.session.encode() for h in reaches for r in (h.calls.side, h.control.side)]
    kept = everything(file)
    for word in (b"something seen", b"the run", b"renew", b"stop stop", b"renew-where", b"cancel"):
        assert word in kept
    assert [s for s in secret if s in kept] == []
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_sent_again_and_again_is_kept_once(recorded: Recorded, file: Path) -> None:
    pattern = np.random.default_rng(0).random((300, 200))
    with recorded() as (_, bench), bench.control():
        for _ in range(20):
            bench.lamp.echo(pattern)
    assert pattern.nbytes * 0.8 < file.stat().st_size < pattern.nbytes * 1.5


def test_a_full_record_ends_and_the_session_goes_on(recorded: Recorded, replayed: Replays, file: Path) -> None:
    draw = np.random.default_rng(0)
    with recorded(most_bytes=1_000_000) as (_, bench), bench.control():
        for _ in range(30):
            assert bench.lamp.echo(draw.random((100, 250))).shape == (100, 250)
        wait_until(lambda: bool(bench.status()["main"]["recording"]["ended"]))
    record = Record(file)
    assert "full: 1000000 bytes" in record.ended["main"]
    assert file.stat().st_size <= 1_000_000
    with replayed() as lab, lab.bench().control() as bench:
        draw = np.random.default_rng(0)
        kept = sum(entry.name == "echo" for entry in record.entries["main"])
        assert kept >= 2
        for _ in range(kept):
            bench.lamp.echo(draw.random((100, 250)))


def test_a_disk_that_takes_no_more_ends_the_record_and_nothing_else(file: Path) -> None:
    code = """
import resource, sys; from pathlib import Path
import numpy as np; import fakes; from labctl.record.session import recording
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
with fakes.laboratory(fakes.bench_config()) as lab:
    bench = lab.bench()
    with recording(bench, sys.argv[1]), bench.control():
        for _ in range(30):
            bench.lamp.echo(np.random.default_rng().random((100, 250)))
        fakes.wait_until(lambda: "File too large" in bench.status()["main"]["recording"]["ended"])
print("went on")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p.endswith("bus"))}
    done = subprocess.run(
        [sys.executable, "-c", code, file], stdout=subprocess.PIPE, text=True, env=environment, timeout=60
    )
    assert done.stdout == "went on\n"
    assert Record(file).entries is not None


def test_what_there_is_no_memory_to_keep_ends_the_record_and_is_served(recorded: Recorded, file: Path) -> None:
    class TooLarge(dict[str, object]):
        def items(self) -> NoReturn:
            raise MemoryError

    with recorded() as (lab, _):
        kept = lab.host.servers["main"].traffic._recording
        assert kept is not None
        request = Request(VERSION, "s", 1, "", "acquire", "", TooLarge(), "", 0)
        assert kept.through("stop", lambda: "served", request) == "served"
        assert kept.through("stop", lambda: "served", request) == "served"
        assert kept.ended.startswith("MemoryError")
    assert Record(file).ended["main"].startswith("MemoryError")


def test_it_ends_with_the_process_that_asked_for_it(file: Path, recorded: Recorded) -> None:
    with recorded() as (_, bench):
        bench.servers["main"].calls.request("", "record")
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        arguments = {"file": str(file), "most_bytes": 10**9, "asker": [gone.pid, "1"]}
        bench.servers["main"].calls.request("", "record", arguments=arguments)
        wait_until(lambda: "gone" in bench.status()["main"]["recording"]["ended"])
        assert bench.lamp.look() == 42


def test_no_file_is_written_over(file: Path, recorded: Recorded) -> None:
    file.with_name("letter").write_text("dear")
    with recorded() as (lab, bench):
        with pytest.raises(ConfigurationError, match="is there already"), recording(bench, file):
            pass
        bench.servers["main"].calls.request("", "record")
        arguments = {"file": str(file.with_name("letter")), "most_bytes": 10**9, "asker": [os.getpid(), ""]}
        with pytest.raises(ConfigurationError, match="is not a record"):
            bench.servers["main"].calls.request("", "record", arguments=arguments)
        with pytest.raises(ConfigurationError, match="cannot write a record"), recording(bench, "nowhere/x.record"):
            pass
        assert lab.server.traffic.status() is None
    assert file.with_name("letter").read_text() == "dear"


def test_a_bench_that_is_being_recorded_is_not_recorded_twice(recorded: Recorded, file: Path) -> None:
    with recorded() as (_, bench):
        with pytest.raises(BusError, match=r"main is being recorded to .*lamps.record"), recording(bench, "other"):
            pass
        bench.lamp.look()
    assert not Path("other").exists()
    assert [entry.name for entry in Record(file).entries["main"]][-1:] == ["look"]


def test_nobody_from_another_machine_has_a_file_written(recorded: Recorded, file: Path) -> None:
    with recorded() as (lab, bench):
        bench.servers["main"].calls.request("", "record")
        handle = lab.server.traffic.on("calls", lambda request, caller: None)
        arguments = {"file": str(file), "most_bytes": 10**9, "asker": [os.getpid(), ""]}
        request = Request(2, "far", 1, "", "record", "", arguments, "", 0)
        with pytest.raises(BusError, match="own machine"):
            handle(request, Caller("somebody", Role.LASER_OPERATOR))
        assert lab.server.traffic.status() is None


def test_cut_off_or_spoilt_anywhere_the_rest_is_read(recorded: Recorded, file: Path) -> None:
    with recorded() as (_, bench), bench.control():
        for number in range(4):
            bench.eye.snap(40 + number, 100)
            wait_until(lambda: not bench.status()["main"]["recording"]["waiting_bytes"])
            threading.Event().wait(0.6)  # so that blocks are several
    sound = file.read_bytes()
    whole = Record(file)
    blocks = [body.offset + body.packed for _, body in read_heads(file)]
    assert len(blocks) >= 5
    draw = random.Random(1)
    entries = len(whole.entries["main"])
    for trial in range(60):
        spoilt = bytearray(sound)
        if trial % 2:
            del spoilt[draw.randrange(len(sound)) :]
        else:
            for place in draw.sample(range(8, len(sound)), 3):
                spoilt[place] ^= 1 << draw.randrange(8)
        file.write_bytes(spoilt)
        try:
            record = Record(file)
        except ConfigurationError:
            assert len(spoilt) < 8
            continue
        kept = record.entries.get("main", [])
        assert len(kept) <= entries
        if trial % 2:  # everything up to the last whole block
            assert len(kept) == sum(
                len(head.entries) for head, body in _all(sound, file) if body.offset + body.packed <= len(spoilt)
            )
        for entry in kept:
            try:
                assert record.answer(entry).number == 0
            except ConfigurationError as error:
                assert "spoilt" in str(error)  # noqa: PT017


def _all(sound: bytes, file: Path) -> list:
    now = file.read_bytes()
    file.write_bytes(sound)
    found = list(read_heads(file))
    file.write_bytes(now)
    return found

"""What must stay secret, keys and the tokens of leases, is in no log, run file, record, status or error message."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import msgspec
import pytest
import rich.pretty

from drivers.errors import BusError, InterlockError, LabError
from labctl.bench.client import Bench, open_bench
from labctl.bus import rotation, security
from labctl.bus.messages import VERSION, Request, encode
from labctl.experiments.execute import execute
from labctl.record.blocks import read_heads
from labctl.record.session import recording
from labctl.runfile.file import open_run
from labctl.server import runtime
from labctl.server.leases import Lease
from labctl.server.server import Place

BENCH = """
[bench]
name = "secrets"
world = "rail"
clock = "real"
lease = "10 s"

[devices.camera]
kind = "camera"
backend = "simulated"
exposure = "2 ms"

[devices.pump]
kind = "pump"
backend = "simulated"
power = "1 W"

[devices.slm]
kind = "slm"
backend = "simulated"

[servers.lasers]
devices = ["pump"]

[servers.cameras]
devices = ["slm", "camera"]

[interlocks.exposure]
rule = "setting"
device = "camera"
setting = "exposure"
max = "0.1 s"
within = "60 s"

[network]
listen = "127.0.0.1"
port = 0
"""
CANARY = "c4n4ry-of-the-environment"


@dataclass
class Seen:
    """Where a bench worked, what it said, and what it must not say."""

    folder: Path
    secrets: dict[str, str] = field(default_factory=dict)
    said: dict[str, bytes] = field(default_factory=dict)


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Seen]:
    """A bench that is up, used from near and from afar, with keys, leases, a trip, failures, a record and a run."""
    folder = tmp_path
    found = Seen(folder)
    path = folder / "secrets.toml"
    path.write_text(BENCH)
    make_token = secrets.token_hex

    def remembered(size: int | None = None) -> str:
        token = make_token(size)
        if size in (8, 16):
            found.secrets[f"token {len(found.secrets)}"] = token
        return token

    with pytest.MonkeyPatch.context() as patch:
        for variable in ("LABCTL_LOGS", "LABCTL_KEYS", "LABCTL_INTERLOCKS", "LABCTL_CALIBRATIONS"):
            patch.setenv(variable, str(folder / variable.lower()))
        patch.setenv("SOME_SERVICE_PASSWORD", CANARY)
        found.secrets["environment"] = CANARY
        for name in ("server", "alice"):
            security.make(name)
        security.allow("alice", str(security.folder() / "alice.key"), "laser-operator")
        rotation.begin("alice")
        for key in security.folder().glob("*.key_secret"):
            pair = security.load(key.name.removesuffix(".key_secret"))
            assert pair is not None
            found.secrets[key.name] = pair.secret
        patch.setattr("secrets.token_hex", remembered)
        up = [sys.executable, "-m", "labctl", "up", str(path)]
        with subprocess.Popen(up, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as served:
            assert served.stdout is not None
            first = served.stdout.readline()
            assert b"is up" in first
            try:
                work(path, found)
            finally:
                served.terminate()
                out, err = served.communicate(timeout=60)
        found.said |= {"up: out": first + out, "up: err": err}
        yield found


def work(path: Path, found: Seen) -> None:
    record = runtime.find("secrets")
    assert record is not None
    security.trust("far", record.remote, str(security.folder() / "server.key"))
    errors: list[str] = []

    def fails(act: Any) -> None:
        with pytest.raises(LabError) as caught:
            act()
        errors.append(
            f"{caught.value}\n{caught.value!r}\n{caught.value.__notes__ if hasattr(caught.value, '__notes__') else ''}"
        )

    def fail_in_every_way(bench: Bench) -> None:
        fails(lambda: bench.camera.trigger(object()))  # cannot be sent
        fails(lambda: bench.camera.trigger(1, 2, 3))
        fails(lambda: setattr(bench.pump, "power_w", "much"))
        fails(lambda: bench.servers["lasers"].control.request("", "cancel", arguments=5))
        fails(lambda: bench.servers["lasers"].calls.request("", "nothing"))
        errors.append(repr(bench) + repr(bench.servers))

    with open_bench(path, at="far") as bench, bench.control("from afar", run="far-run"):
        bench.pump.emission = True
        fail_in_every_way(bench)
        found.said["status from afar"] = json.dumps(bench.status()).encode()
    with open_bench(path) as bench, recording(bench, found.folder / "near.record"):
        with bench.control("near", run="near-run"):
            bench.pump.emission = True
            bench.camera.arm()
            bench.camera.trigger()
            fail_in_every_way(bench)
            bench.camera.exposure_s = 0.5  # trips an interlock of the other server
            with pytest.raises(InterlockError):  # noqa: PT012
                for _ in range(500):
                    bench.renew()
                    bench.wait_acknowledged(0.0)
        bench.camera.exposure_s = 0.002
        bench.acknowledge(reason="a test")
        status = [sys.executable, "-m", "labctl", "status", "--json"]
        found.said["status --json"] = subprocess.run(status, capture_output=True, check=True, timeout=60).stdout
        found.said["status, near"] = json.dumps(bench.status()).encode()
    execute(
        "labctl.protocols", "bench.series", path, {"count": 2, "camera": "camera"}, out=found.folder / "runs", at="far"
    )
    with pytest.raises(LabError):
        execute(
            "labctl.protocols",
            "bench.series",
            path,
            {"count": 2, "camera": "camera", "laser": "pump", "power": 1e9},
            out=found.folder / "runs",
            at="far",
        )
    found.said["errors"] = "\n".join(errors).encode()
    for file in Path(os.environ["LABCTL_RUNTIME"]).glob("*.host"):
        found.said[file.name] = file.read_bytes()


def texts_of_run(path: Path) -> bytes:
    with open_run(path) as run:
        told = [repr(dict(run.attrs))]

        def note(name: str, item: Any) -> None:
            told.append(repr(dict(item.attrs)))
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "O":
                told.append(str(item.asstr()[()]))

        run.visititems(note)
    return "\n".join(told).encode()


def test_no_secret_is_in_anything_that_was_written_or_said(seen: Seen) -> None:
    kept = dict(seen.said)
    for path in (p for p in seen.folder.rglob("*") if p.is_file()):
        if path.suffix not in (".key", ".key_secret"):
            kept[str(path.relative_to(seen.folder))] = path.read_bytes()
        if path.suffix == ".h5":
            kept[f"{path.name}: texts"] = texts_of_run(path)
        if path.suffix == ".record":
            heads = [msgspec.msgpack.encode(head) for head, _ in read_heads(path)]
            assert any(b"tripped" in head for head in heads)
            kept[f"{path.name}: heads"] = b"".join(heads)
        if path.suffix == ".sqlite":
            with closing(sqlite3.connect(path)) as catalogue:
                kept[f"{path.name}: text"] = "\n".join(catalogue.iterdump()).encode()
    assert any(name.endswith(".jsonl") for name in kept)
    assert sum(name.endswith(".h5") for name in kept) == 2
    assert any("interlocks" in name and name.endswith(".json") for name in kept)
    assert len([name for name in seen.secrets if name.startswith("token")]) >= 8
    assert len([name for name in seen.secrets if name.endswith("_secret")]) == 3
    leaks = [
        (name, place)
        for name, secret in seen.secrets.items()
        for place, data in kept.items()
        if secret.encode() in data
    ]
    assert leaks == []


def test_what_holds_a_secret_does_not_show_it() -> None:
    security.make("mine")
    keys = security.load("mine")
    assert keys is not None
    token, session = "t0ken" * 8, "sess1on" * 4
    request = Request(VERSION, session, 1, "lamp", "call", "echo", [[], {}], token, 0)
    holders = [keys, request, Lease(token, "me", "", frozenset("a"), 1.0, 5), Place({}, keys=keys)]
    for holder in holders:
        for shown in (repr(holder), f"{holder}", rich.pretty.pretty_repr(holder)):
            assert not [secret for secret in (keys.secret, token, session) if secret in shown]
    with pytest.raises(BusError) as caught:
        encode(msgspec.structs.replace(request, arguments=object()))
    assert "cannot" in str(caught.value)
    assert token not in str(caught.value)

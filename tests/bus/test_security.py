"""Who is let in from other machines, and what each of them may do: on a bench of processes, over tcp on loopback."""

from __future__ import annotations

import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from benchmarks.table import Table, table
from drivers.errors import BusError, ConfigurationError, LeaseError
from labctl import open_bench
from labctl.bench.load import load_bench
from labctl.bus import security
from labctl.bus.connection import Connection
from labctl.bus.roles import Role
from labctl.bus.transport import Address, connect, is_loopback, listen
from labctl.server import logs, runtime
from labctl.server.supervisor import Supervisor

NETWORK = '\n[network]\nlisten = "127.0.0.1"\nport = 0\n'
ROLES = {"looker": "observer", "student": "operator", "expert": "laser-operator"}


@pytest.fixture(scope="module")
def served() -> Iterator[Table]:
    with table("keys", network=NETWORK) as made:
        for name in ("server", "stranger", *ROLES):
            security.make(name)
        for name, role in ROLES.items():
            security.allow(name, str(security.folder() / f"{name}.key"), role)
        made.up()
        record = runtime.find(made.name)
        assert record is not None
        security.trust("far", record.remote, str(security.folder() / "server.key"))
        security.trust("impostor", record.remote, str(security.folder() / "stranger.key"))
        yield made


@pytest.fixture(autouse=True)
def _folders(served: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the bench, which every test would otherwise have of its own."""
    for variable, place in (("LABCTL_RUNTIME", "run"), ("LABCTL_LOGS", "logs"), ("LABCTL_KEYS", "keys")):
        monkeypatch.setenv(variable, str(served.folder / place))


@pytest.fixture
def as_(monkeypatch: pytest.MonkeyPatch) -> Any:
    def show(name: str) -> None:
        monkeypatch.setenv("LABCTL_KEY", name)

    return show


def log_lines(served: Table) -> list[str]:
    path = logs.newest_file(served.name)
    assert path is not None
    return [line["message"] for line in logs.read(path)]


# --- what each may do -------------------------------------------------------------------------------------------


def test_an_observer_reads_and_is_refused_everything_else(served: Table, as_: Any) -> None:
    as_("looker")
    with open_bench(served.bench_file, at="far") as bench:
        assert bench.laser.power_w == 1.0
        assert bench.camera.rows == 2160
        assert bench.laser.identity().model == "benchmark laser"
        assert set(bench.status()) == {"light", "camera", "slm"}
        with pytest.raises(LeaseError, match=r"for operators; looker is an observer.*labctl keys allow"):
            bench.laser.power_w = 2.0
        with pytest.raises(LeaseError, match=r"camera\.trigger is for operators"):
            bench.camera.trigger()
        with pytest.raises(LeaseError, match=r"control of devices is for operators"), bench.control():
            pass
        bench.stop("an observer may")


def test_an_operator_controls_devices_but_makes_no_light(served: Table, as_: Any) -> None:
    as_("student")
    with open_bench(served.bench_file, at="far") as bench, bench.control("lesson"):
        bench.laser.power_w = 2.0
        assert bench.laser.power_w == 2.0
        assert bench.camera.trigger().data.shape == (2160, 2560)
        with pytest.raises(LeaseError, match=r"laser\.emission is for laser-operators; student is an operator"):
            bench.laser.emission = True
        bench.laser.emission = False  # darkness is for everybody
        holder = bench.status()["light"]["leases"][0]["holder"]
        assert holder.startswith("lesson (")
        assert holder.endswith("[student]")


def test_a_laser_operator_makes_light(served: Table, as_: Any) -> None:
    as_("expert")
    with open_bench(served.bench_file, at="far") as bench, bench.control("experiment"):
        bench.laser.emission = True
        assert served.mark.read()[0]
    assert not served.mark.read()[0]


def test_frames_and_streams_come_whole_from_afar(served: Table, as_: Any) -> None:
    as_("expert")
    with open_bench(served.bench_file, at="far") as bench, bench.camera.stream(bin=4, timeout_s=20) as stream:
        time.sleep(0.3)  # a subscription takes a moment to arrive
        frame = bench.camera.trigger()
        assert frame.data[0, 0] == frame.frame_id & 0xFFFF
        item = stream.next()
        assert item.value.data.shape == (540, 640)
        assert item.value.frame_id == frame.frame_id


# --- who is not let in ------------------------------------------------------------------------------------------


def test_an_unknown_key_is_refused_counted_and_logged(served: Table, as_: Any) -> None:
    as_("stranger")
    with pytest.raises(BusError, match=r"labctl keys allow"), open_bench(served.bench_file, at="far"):
        pass
    key = security.public_key(str(security.folder() / "stranger.key"))
    assert f"refused a client with the unknown key {key}" in log_lines(served)


def test_a_server_that_cannot_prove_its_key_is_not_believed(served: Table, as_: Any) -> None:
    as_("expert")
    with pytest.raises(BusError, match=r"nobody listens"), open_bench(served.bench_file, at="impostor"):
        pass


@pytest.mark.parametrize("lane", ["calls", "control", "stop"])
def test_a_client_without_a_key_reaches_nothing(served: Table, lane: str) -> None:
    context: zmq.Context[Any] = zmq.Context()
    with open_bench(served.bench_file) as bench:
        endpoint = bench._servers["light"].entry.remote[lane]
    connection = Connection(context, Address(endpoint))
    try:
        with pytest.raises(BusError, match=r"nobody listens"):
            connection.request("laser", "set", "power_w", 3.0, timeout_s=2.0)
    finally:
        connection.close()
        context.destroy(linger=0)


def test_a_revoked_key_loses_what_it_holds_and_the_light_goes_off(served: Table, as_: Any) -> None:
    security.make("leaver")
    security.allow("leaver", str(security.folder() / "leaver.key"), "laser-operator")
    as_("leaver")
    with open_bench(served.bench_file, at="far") as bench:
        with pytest.raises(LeaseError, match=r"whose key was revoked"), bench.control("last day", lease_s=0.5):  # noqa: PT012
            bench.laser.emission = True
            security.revoke("leaver")
            for _ in range(500):
                bench.renew()
                time.sleep(0.01)
        deadline = time.monotonic() + 10
        while served.mark.read()[0]:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_role_that_is_changed_counts_at_once(served: Table, as_: Any) -> None:
    as_("student")
    key = str(security.folder() / "student.key")
    try:
        with open_bench(served.bench_file, at="far") as bench:
            bench.laser.power_w = 1.0
            security.allow("student", key, "observer")
            with pytest.raises(LeaseError, match=r"student is an observer"):
                bench.laser.power_w = 2.0
    finally:
        security.allow("student", key, "operator")


def test_garbage_on_the_tcp_ports_disturbs_nobody(served: Table, as_: Any) -> None:
    with open_bench(served.bench_file) as bench:
        endpoints = [e for s in bench._entry.servers for e in s.remote.values()]
        for endpoint in endpoints:
            host, port = endpoint.removeprefix("tcp://").split(":")
            for garbage in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 20, b"\xff" + bytes(8) + b"\x7f"):
                with socket.create_connection((host, int(port)), timeout=5) as raw:
                    raw.sendall(garbage)
    as_("looker")
    with open_bench(served.bench_file, at="far") as bench:
        assert bench.laser.wavelength_m == 532e-9


# --- where a server may listen ----------------------------------------------------------------------------------


def test_a_bench_does_not_listen_to_other_machines_without_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_KEYS", str(tmp_path))
    config = load_bench("prbm-sim", {"network.listen": "0.0.0.0"})
    context: zmq.Context[Any] = zmq.Context()
    try:
        with pytest.raises(
            ConfigurationError, match=r"0\.0\.0\.0 can be reached from other machines.*labctl keys make"
        ):
            Supervisor(config, context)
    finally:
        context.term()


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:0", "tcp://192.0.2.1:5570", "tcp://*:0", "tcp://[::]:0"])
def test_a_socket_is_not_bound_to_other_addresses_without_keys(endpoint: str) -> None:
    context: zmq.Context[Any] = zmq.Context()
    try:
        with pytest.raises(ConfigurationError, match=r"no keys: anybody could command the lasers"):
            listen(context, endpoint, zmq.ROUTER)
    finally:
        context.term()


def test_loopback_addresses_are_known() -> None:
    assert [is_loopback(f"tcp://{host}:1") for host in ("127.0.0.1", "127.8.9.1", "[::1]", "localhost")] == [True] * 4
    assert not any(is_loopback(f"tcp://{host}:1") for host in ("10.0.0.1", "*", "0.0.0.0", "[::]", "lab.example"))


def test_ipv6_is_listened_on() -> None:
    context: zmq.Context[Any] = zmq.Context()
    try:
        server, endpoint = listen(context, "tcp://[::1]:0", zmq.ROUTER)
        client = connect(context, Address(endpoint), zmq.DEALER)
        client.send(b"x")
        assert server.poll(5000)
        client.close()
        server.close()
    finally:
        context.term()


# --- files ------------------------------------------------------------------------------------------------------


def test_secrets_are_for_their_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_KEYS", str(tmp_path / "keys"))
    path = security.make("mine")
    secret = path.with_name("mine.key_secret")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    keys = security.load("mine")
    assert keys is not None
    assert keys.secret not in repr(keys)
    secret.chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"can be read by others"):
        security.load("mine")


def test_keys_are_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_KEYS", str(tmp_path))
    security.make("mine")
    with pytest.raises(ConfigurationError, match=r"exists and is kept"):
        security.make("mine")


@pytest.mark.parametrize("name", ["", "../up", "a b", "x" * 100, "-x"])
def test_names_of_keys_are_plain(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_KEYS", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"no name for a key"):
        security.make(name)


@pytest.mark.parametrize("text", ["[x]\nkey = 3", "not toml", '[x]\nkey = "short"\nrole = "observer"', "x = 1"])
def test_a_list_that_cannot_be_read_lets_nobody_in(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_KEYS", str(tmp_path))
    (tmp_path / "allowed.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"allowed\.toml"):
        security.allowed()
    context: zmq.Context[Any] = zmq.Context()
    door = security.Door(context)
    try:
        assert not door.callback("", b"x" * 40)
    finally:
        door.close()
        context.destroy(linger=0)


def test_roles_are_ordered_and_named() -> None:
    assert Role.NOBODY < Role.OBSERVER < Role.OPERATOR < Role.LASER_OPERATOR
    with pytest.raises(ConfigurationError, match=r"no role 'boss'; roles are observer, operator, laser-operator"):
        security.allow("x", "0" * 40, "boss")

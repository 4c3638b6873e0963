"""Keys are changed for new ones while a bench is up: both are good for a while, then the old one is not."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.table import Table, table
from drivers.errors import BusError, ConfigurationError, LeaseError
from labctl import open_bench
from labctl.bus import rotation, security
from labctl.bus.security import ALLOWED, next_name, read_list, write_list
from labctl.server import runtime
from labctl.server.directory import trusted_address

NETWORK = '\n[network]\nlisten = "127.0.0.1"\nport = 0\n'


def key_of(name: str) -> str:
    return security.public_key(str(security.folder() / f"{name}.key"))


@pytest.fixture(scope="module")
def served() -> Iterator[Table]:
    with table("rotated", network=NETWORK, one_server=True) as made:
        for name in ("server", "alice", "bob"):
            security.make(name)
        security.allow("alice", key_of("alice"), "operator")
        security.allow("bob", key_of("bob"), "operator")
        made.up()
        record = runtime.find(made.name)
        assert record is not None
        security.trust("far", record.remote, key_of("server"))
        yield made


@pytest.fixture(autouse=True)
def _folders(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "served" in request.fixturenames:
        served = request.getfixturevalue("served")
        for variable, place in (("LABCTL_RUNTIME", "run"), ("LABCTL_LOGS", "logs"), ("LABCTL_KEYS", "keys")):
            monkeypatch.setenv(variable, str(served.folder / place))
    monkeypatch.setenv("LABCTL_KEY", "alice")


def reads(served: Table) -> bool:
    with open_bench(served.bench_file, at="far") as bench:
        return bool(bench.laser.wavelength_m == 532e-9)


def end_overlap(name: str) -> None:
    """As if its time were over."""
    listed = read_list(ALLOWED)
    listed[name]["until"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    write_list(ALLOWED, listed)


def test_a_clients_old_and_new_keys_are_let_in_until_the_overlap_is_over(
    served: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = key_of("alice"), rotation.begin("alice")
    assert new not in (old, "")
    assert rotation.begin("alice") == new  # asked twice, made once
    rotation.accept("alice", new)
    with open_bench(served.bench_file, at="far") as with_old:
        monkeypatch.setenv("LABCTL_KEY", next_name("alice"))
        assert reads(served)
        with with_old.control("with the old key", devices=["spare"]):
            (lease,) = with_old.status()["main"]["leases"]
            assert lease["holder"].endswith("[alice]")
        end_overlap("alice")
        with pytest.raises(LeaseError, match=r"whose key was revoked"):
            assert with_old.laser.wavelength_m == 532e-9
        assert reads(served)
    monkeypatch.setenv("LABCTL_KEY", "alice")
    with pytest.raises(BusError, match=r"keys allow"):
        reads(served)
    assert rotation.finish("alice") == new == key_of("alice")
    assert reads(served)
    assert rotation.drop_old("alice")
    assert set(read_list(ALLOWED)["alice"]) == {"key", "role"}
    kept = {path.name for path in security.folder().iterdir()}
    assert {"alice.key", "alice.key_secret"} <= kept
    assert not any(name.startswith(next_name("alice")) for name in kept)


def test_a_client_is_told_of_the_benchs_next_key_and_follows_when_it_is_proved(
    served: Table, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LABCTL_KEY", "bob")
    old, new = key_of("server"), rotation.begin("server")
    with caplog.at_level(logging.WARNING):
        assert reads(served)
    assert f"labctl keys trust far --next '{new}'" in caplog.text
    rotation.believe("far", new)
    caplog.clear()
    assert reads(served)  # it still proves the old one
    assert "another key" not in caplog.text
    assert trusted_address("far").server_key == old
    rotation.finish("server")
    served.down()
    served.up()
    record = runtime.find(served.name)
    assert record is not None
    listed = read_list(security.TRUSTED)
    listed["far"]["address"] = record.remote  # its port is any that is free
    write_list(security.TRUSTED, listed)
    assert reads(served)
    assert dict(security.trusted()["far"]) == {"address": record.remote, "key": new}


# --- by hand, without a bench -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("left_at", ["before", "between", "after"])
def test_a_change_that_was_interrupted_is_finished_by_asking_again(left_at: str) -> None:
    security.make("dora")
    new = rotation.begin("dora")
    pair = [security.folder() / f"{next_name('dora')}.{kind}" for kind in ("key_secret", "key")]
    for path in pair[: ["before", "between", "after"].index(left_at)]:
        os.replace(path, path.with_name(path.name.replace(next_name("dora"), "dora")))
    if left_at != "after":
        assert rotation.finish("dora") == new
    found = security.load("dora")
    assert found is not None
    assert (found.public, key_of("dora"), rotation.is_changing("dora")) == (new, new, False)


def test_what_cannot_be_changed_is_told_with_the_cure() -> None:
    security.make("eve")
    security.allow("eve", key_of("eve"), "operator")
    for act, why in (
        (lambda: rotation.begin("nobody"), "no key pair 'nobody'.*there are eve"),
        (lambda: rotation.finish("eve"), "not being changed; begin with `labctl keys rotate eve`"),
        (lambda: rotation.accept("eve", key_of("eve")), "with this key already"),
        (lambda: rotation.accept("nobody", "0" * 40), "allowed are eve. Use `labctl keys allow`"),
        (lambda: rotation.accept("eve", "0" * 40, -1.0), "at most a year"),
        (lambda: rotation.believe("nowhere", "0" * 40), "Use `labctl keys trust`"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            act()
    assert security.revoke("eve") is None
    assert security.admitted() == []


@pytest.mark.parametrize("until", ["", "soon", "2026-11-27T10:00:00"])
def test_an_overlap_without_an_end_lets_nobody_in(until: str) -> None:
    Path(os.environ["LABCTL_KEYS"], ALLOWED).write_text(
        f'[x]\nkey = "{"0" * 40}"\nrole = "operator"\nold = "{"1" * 40}"\nuntil = "{until}"\n'
    )
    with pytest.raises(ConfigurationError, match=r"needs a time, until"):
        security.admitted()

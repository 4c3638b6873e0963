"""`labctl page` and `labctl tokens`, as typed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from drivers.errors import ConfigurationError
from labctl.cli.commands.tokens import list_, make, revoke
from labctl.cli.page import greeting, is_loopback, printable, serve_page


def page(**changed: object) -> None:
    usual = {"bench": "none", "host": "127.0.0.1", "port": 0, "out": Path("runs"), "names": [], "certificate": None,
             "key": None, "at": None}  # fmt: skip
    serve_page(**{**usual, **changed})  # type: ignore[arg-type]


def test_without_a_bench_that_is_up_the_command_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="labctl up"):
        page(bench=None)


def test_what_is_told_first_is_where_it_is_and_what_is_missing() -> None:
    url = "https://[::]:8470/"
    assert greeting("drill", url, up=True, signing_in=True) == [f"bench drill is shown at {url}"]
    _, absent, unsigned = greeting("drill", url, up=False, signing_in=False)
    assert "labctl up" in absent
    assert "ssh -L 8470:127.0.0.1:8470" in unsigned


@pytest.mark.parametrize(
    ("changed", "cure"),
    [
        ({"host": "table.lab"}, "an address of this machine"),
        ({"certificate": Path("there-is-none.pem")}, "go together"),
        ({"certificate": Path("there-is-none.pem"), "key": Path("nor-this.pem")}, "there is no file"),
        ({"bench": None, "at": "table"}, "name the bench"),
        ({"host": "192.0.2.1"}, "--port or --host"),
    ],
)
def test_bad_options_are_told_with_the_cure(changed: dict[str, object], cure: str) -> None:
    with pytest.raises(ConfigurationError, match=cure):
        page(**changed)


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("localhost", True), ("::1", True),
                                                ("0.0.0.0", False), ("192.168.1.7", False)])  # fmt: skip
def test_which_addresses_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_what_browsers_say_is_no_command_to_a_terminal() -> None:
    record = logging.LogRecord("nicegui", logging.WARNING, "", 0, "%s\nlabctl: \x1b[2J µm", ("said",), None)
    assert printable(record)
    assert record.getMessage() == "said\\nlabctl: \\x1b[2J µm"


def test_tokens_are_made_listed_and_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    make("alice", "operator", None)
    token = capsys.readouterr().out.strip()
    make("bob", "laser-operator", "8h")
    capsys.readouterr()
    list_()
    told = capsys.readouterr().out
    assert "alice" in told
    assert "laser-operator" in told
    assert "until" in told
    assert token not in told
    revoke("alice")
    with pytest.raises(ConfigurationError, match="no token of 'alice'"):
        revoke("alice")
    with pytest.raises(ConfigurationError, match="--for"):
        make("carol", "operator", "soon")

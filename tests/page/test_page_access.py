"""Tokens, sessions and the door of the page."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Mapping
from typing import Any

import pytest

from drivers.errors import ConfigurationError
from labctl.bus import security
from labctl.bus.roles import Role
from labctl.page.access import tokens
from labctl.page.access.door import OWN_HEADER, Door
from labctl.page.access.sessions import Sessions, SignInRefused


def test_a_token_lets_in_and_is_kept_as_a_hash_only() -> None:
    token = tokens.make("alice", "operator")
    file = security.folder() / tokens.FILE
    assert token not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = tokens.TokenBook().of(token)
    assert found is not None
    assert (found.name, found.role) == ("alice", Role.OPERATOR)
    assert tokens.TokenBook().of(token + "x") is None
    assert tokens.TokenBook().of("") is None


@pytest.mark.parametrize("role", ["observer", "nobody", "root"])
def test_there_are_tokens_for_two_roles(role: str) -> None:
    with pytest.raises(ConfigurationError, match="operator and laser-operator"):
        tokens.make("alice", role)


def test_a_new_token_replaces_the_one_before() -> None:
    first, second = tokens.make("alice", "operator"), tokens.make("alice", "laser-operator")
    book = tokens.TokenBook()
    assert book.of(first) is None
    assert book.of(second) is not None


def test_a_token_ends_with_its_time() -> None:
    assert tokens.TokenBook().of(tokens.make("alice", "operator", for_s=-1.0)) is None


def test_a_list_that_others_can_write_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    token = tokens.make("alice", "laser-operator")
    sessions = Sessions()
    session = sessions.find(sessions.sign_in(token, "here"))
    os.chmod(security.folder() / tokens.FILE, 0o666)
    os.utime(security.folder() / tokens.FILE)
    with pytest.raises(ConfigurationError, match="not believed"):
        tokens.TokenBook().of(token)
    with caplog.at_level(logging.ERROR):
        assert session.role == Role.OBSERVER


def test_a_revoked_token_counts_no_more_at_once() -> None:
    sessions = Sessions()
    session = sessions.find(sessions.sign_in(tokens.make("alice", "laser-operator"), "here"))
    assert (session.name, session.role) == ("alice", Role.LASER_OPERATOR)
    tokens.revoke("alice")
    assert (session.name, session.role) == ("", Role.OBSERVER)


def test_what_was_revoked_or_replaced_is_told_from_what_is_over() -> None:
    sessions = Sessions()
    alice, bob = (sessions.sign_in(tokens.make(name, "operator"), "here") for name in ("alice", "bob"))
    held = sessions.find(alice), sessions.find(bob)
    sessions.sign_out(bob)
    assert [one.revoked for one in held] == [False, False]
    tokens.make("alice", "operator")
    tokens.revoke("bob")
    assert [one.revoked for one in held] == [True, True]
    assert not sessions.observer.revoked


def test_without_a_cookie_one_looks_on() -> None:
    sessions = Sessions()
    for cookie in (None, "", "made up"):
        assert sessions.find(cookie).role == Role.OBSERVER


def test_wrong_tokens_are_put_off_by_address_and_say_nothing_of_right_ones(caplog: pytest.LogCaptureFixture) -> None:
    token, sessions = tokens.make("alice", "operator"), Sessions()
    with pytest.raises(SignInRefused, match="nobody's"):
        sessions.sign_in("labctl-page-wrong", "there")
    for tried in ("labctl-page-wrong", token):
        with pytest.raises(SignInRefused, match="try again") as refused:
            sessions.sign_in(tried, "there")
        assert refused.value.wait_s > 0
    assert sessions.find(sessions.sign_in(token, "elsewhere")).name == "alice"
    assert token not in caplog.text
    assert "labctl-page-wrong" not in caplog.text


def test_waits_double_up_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    from labctl.page.access import sessions as module

    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    sessions, waits = Sessions(), []
    for _ in range(9):
        with pytest.raises(SignInRefused):
            sessions.sign_in("wrong", "there")
        with pytest.raises(SignInRefused) as refused:
            sessions.sign_in("wrong", "there")
        waits.append(refused.value.wait_s)
        now[0] += refused.value.wait_s + 1e-6
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60], abs=1e-3)


def test_signing_out_ends_what_a_session_holds() -> None:
    sessions, ended = Sessions(), []
    secret = sessions.sign_in(tokens.make("alice", "operator"), "here")
    session = sessions.find(secret)
    session.ended.append(lambda: ended.append(True))
    sessions.sign_out(secret)
    assert ended == [True]
    assert session.role == Role.OBSERVER
    assert sessions.find(secret) is sessions.observer


# --- the door -----------------------------------------------------------------------------------------------------


def asked(
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    host: str = "127.0.0.1:8470",
    *,
    tls: bool = False,
    kind: str = "http",
) -> list[dict[str, Any]]:
    """What a browser gets for a request of these headers."""
    said: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect" if kind == "websocket" else "http.request"}

    async def send(message: Any) -> None:
        said.append(message)

    sent = {"host": host, **(headers or {})}
    scope = {
        "type": kind, "method": method, "path": "/", "scheme": "https" if tls else "http", "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }  # fmt: skip
    asyncio.run(Door(app, ["table.lab"], tls=tls)(scope, receive, send))
    return said


def status(*arguments: Any, **named: Any) -> int:
    return int(asked(*arguments, **named)[0]["status"])


OWN = {OWN_HEADER: "1"}


@pytest.mark.parametrize(
    "headers",
    [{}, OWN, {**OWN, "origin": "http://127.0.0.1:8470"}, {**OWN, "sec-fetch-site": "same-origin"}],
    ids=["no", "own", "origin", "site"],
)
def test_its_own_page_is_let_in(headers: Mapping[str, str]) -> None:
    start = asked("POST" if OWN_HEADER in headers else "GET", headers)[0]
    assert start["status"] == 200
    assert b"frame-ancestors 'none'" in dict(start["headers"])[b"content-security-policy"]


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {}),
        ("POST", {**OWN, "origin": "http://evil.example"}),
        ("POST", {**OWN, "origin": "http://127.0.0.1:9999"}),
        ("POST", {**OWN, "origin": "null"}),
        ("POST", {**OWN, "sec-fetch-site": "cross-site"}),
        ("GET", {"origin": "https://127.0.0.1:8470"}),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}),
        ("POST", {**OWN, "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}),
        ("GET", {"host": "rebound.example"}),
        ("GET", {"host": "rebound.example:8470"}),
        ("GET", {"host": "[::1"}),
        ("GET", {"host": "127.0.0.1:8470/?"}),
        ("GET", {"host": "127.0.0.1#.rebound.example"}),
        ("POST", {**OWN, "content-length": "99999999"}),
        ("POST", {**OWN, "transfer-encoding": "chunked"}),
    ],
)
def test_another_sites_page_is_not(method: str, headers: Mapping[str, str]) -> None:
    assert status(method, headers) == 403


def test_a_link_to_the_page_may_be_followed() -> None:
    assert status("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}) == 200


def test_names_that_were_given_are_its_own() -> None:
    assert status(host="table.lab") == 200
    assert status(host="other.lab") == 403


def test_with_tls_its_origin_is_another() -> None:
    assert status("POST", {**OWN, "origin": "https://127.0.0.1:8470"}, tls=True) == 200
    assert status("POST", {**OWN, "origin": "http://127.0.0.1:8470"}, tls=True) == 403


def test_websockets_are_for_its_own_pages() -> None:
    def socket(headers: Mapping[str, str]) -> str:
        return str(asked(headers=headers, kind="websocket")[0]["type"])

    assert socket({"origin": "http://127.0.0.1:8470"}) == "websocket.accept"
    for headers in ({}, {"origin": "http://evil.example"}, {"origin": "null"}):
        assert socket(headers) == "websocket.close"
